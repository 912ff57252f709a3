# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Policies as the files of a policy host: C(mta-sts.<domain>.txt) with the body that senders get.

Pure, and private to this collection.
"""

from __future__ import annotations

import typing as t
from pathlib import PurePath

from ._names import is_ascii_domain, to_ascii
from ._policy import Policy, PolicyError, parse_policy, policy_id, render_policy

SUFFIX = ".txt"
PREFIX = "mta-sts."
DIFF_LIMIT = 200


class FileChange(t.Protocol):
    """A file that changes; none stands for no file."""

    @property
    def name(self) -> str:
        """That of the file, without a directory."""

    @property
    def before(self) -> t.Optional[bytes]:
        """What is in it."""

    @property
    def after(self) -> t.Optional[bytes]:
        """What shall be in it."""


def file_name(domain: str) -> str:
    """The name of a domain's file. Raises DomainNameError."""
    return f"{PREFIX}{to_ascii(domain)}{SUFFIX}"


def render_files(policies: t.Iterable[t.Mapping[str, t.Any]]) -> dict[str, bytes]:
    """The file of each policy, by name.

    Raises PolicyError, naming the domain, or DomainNameError.
    """
    files: dict[str, bytes] = {}
    for index, values in enumerate(policies):
        name = file_name(values["domain"])
        if name in files:
            raise PolicyError(f"policies[{index}]: domain {values['domain']!r} is listed twice")
        try:
            files[name] = render_policy(Policy(values["mode"], tuple(values["mx"]), values["max_age"]))
        except PolicyError as error:
            raise PolicyError(f"policies[{index}] {values['domain']}: {error}") from None
    return files


def bodies_by_domain(files: t.Mapping[str, bytes]) -> dict[str, bytes]:
    """What senders may get, by domain: of no file whose name no web server looks for."""
    bodies = {}
    for name, body in files.items():
        domain = name[len(PREFIX) : -len(SUFFIX)]
        if name == f"{PREFIX}{domain}{SUFFIX}" and is_ascii_domain(domain) and domain == domain.lower():
            bodies[domain] = body
    return bodies


def describe_files(files: t.Mapping[str, bytes]) -> tuple[dict[str, dict[str, t.Any]], dict[str, str]]:
    """What policy files say, by domain, and which of them are damaged, and how."""
    policies: dict[str, dict[str, t.Any]] = {}
    damaged: dict[str, str] = {}
    for domain, body in bodies_by_domain(files).items():
        try:
            policy = parse_policy(body)
        except PolicyError as error:
            damaged[domain] = str(error)
        else:
            policies[domain] = {
                "id": policy_id(body),
                "mode": policy.mode,
                "mx": list(policy.mx),
                "max_age": policy.max_age,
            }
    return policies, damaged


def policy_diff(directory: PurePath, pending: t.Sequence[FileChange]) -> list[dict[str, str]]:
    """The changes as Ansible shows them with C(--diff)."""
    diffs = [
        {
            "before_header": str(directory / change.name),
            "after_header": str(directory / change.name),
            "before": _text(change.before or b""),
            "after": _text(change.after or b""),
        }
        for change in pending[:DIFF_LIMIT]
    ]
    if len(pending) > DIFF_LIMIT:
        diffs.append({"prepared": f"... and {len(pending) - DIFF_LIMIT} more policies\n"})
    return diffs


def _text(body: bytes) -> str:
    return body.decode("utf-8", "backslashreplace").replace("\r\n", "\n")
