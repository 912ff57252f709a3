# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the one table of tests wants of every way into DNS: the module, and the real server behind it."""

from __future__ import annotations

import contextlib
import typing as t
from pathlib import Path

from modules import executed

Set = dict[str, t.Any]
Result = dict[str, t.Any]

ZONE = "example.com"


class Wrong(t.NamedTuple):
    """Credentials that the server does not take: the options that hold them, what is told, and what never is."""

    options: dict[str, t.Any]
    words: tuple[str, ...]
    secret: str = ""


class Backend(t.Protocol):
    """One way into DNS, with a server of its own that has the zone example.com."""

    @property
    def module(self) -> str:
        """Its name."""

    @property
    def secrets(self) -> t.Sequence[str]:
        """What no output may hold."""

    @property
    def replaces_foreign(self) -> bool:
        """Whether records that somebody else has put there can be replaced in this way."""

    def options(self) -> dict[str, t.Any]:
        """The module's options beside the record sets."""

    def answer(self, name: str, rdtype: str) -> list[str]:
        """What the authoritative server answers, as C(<ttl> <data>), sorted."""

    def put(self, name: str, ttl: int, rdtype: str, *values: str) -> None:
        """Replaces a set as somebody else would, without this collection."""

    def wrong_credentials(self) -> t.Sequence[Wrong]:
        """None, where there are no credentials."""

    def dying(self) -> contextlib.AbstractContextManager[dict[str, t.Any]]:
        """While it lasts the server goes down half-way through the next call, which gets these options more."""

    def stop(self) -> None:
        """Ends the server."""


class Caller:
    """Runs a back end's module as Ansible does, in a process of its own, and keeps all that it printed."""

    def __init__(self, backend: Backend, directory: Path) -> None:
        self.backend, self._directory = backend, directory
        self.environment: dict[str, str] = {}
        self.printed = ""

    def __call__(self, record_sets: list[Set] | None, *, check: bool = False, **options: t.Any) -> Result:
        options = {**self.backend.options(), "record_sets": record_sets, "_ansible_diff": True, **options}
        given = {key: value for key, value in options.items() if value is not None}
        module = self.backend.module
        result, self.printed = executed(module, self._directory, given, check=check, **self.environment)
        return result


def record_set(name: str, rdtype: str, *values: str, **options: t.Any) -> Set:
    """A record set as the modules take it."""
    return {"name": name, "type": rdtype, "values": list(values), **options}


def statuses(result: Result) -> list[str]:
    """What became of each set."""
    return [one["status"] for one in result["results"]]
