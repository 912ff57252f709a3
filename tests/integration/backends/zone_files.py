# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Zone files of BIND and NSD."""

from __future__ import annotations

import contextlib
import typing as t
from pathlib import Path

from zone_files import FileServer, NamedFiles, NsdFiles

from .backend import ZONE, Wrong

STOP_FIRST = '"$@" stop; while "$@" status; do :; done; "$@" reload "$0"'


class ZoneFiles:
    """Files of one server, which reads them when it is told to."""

    module = "zonefile_record_sets"
    replaces_foreign = False
    secrets: t.Sequence[str] = ()

    def __init__(self, server: FileServer) -> None:
        self._server = server

    def options(self) -> dict[str, t.Any]:
        return self._server.options

    def answer(self, name: str, rdtype: str) -> list[str]:
        return self._server.lookup(name, rdtype)

    def put(self, name: str, ttl: int, rdtype: str, *values: str) -> None:
        self._server.put(ZONE, name, ttl, rdtype, *values)

    def wrong_credentials(self) -> list[Wrong]:
        raise NotImplementedError

    @contextlib.contextmanager
    def dying(self) -> t.Iterator[dict[str, t.Any]]:
        """It goes down after the files were written, when it is told."""
        yield {"reload": ["sh", "-c", STOP_FIRST, "{zone}", *self._server.control]}
        self._server.stop()
        self._server.start()

    def stop(self) -> None:
        self._server.stop()


class FilesOfBind(ZoneFiles):
    """Told by C(rndc), with a key."""

    def __init__(self, directory: Path) -> None:
        self._named = NamedFiles(directory, {ZONE: ""})
        self.secrets = self._named.secrets
        super().__init__(self._named)

    def wrong_credentials(self) -> list[Wrong]:
        reload = [*self._named.control_with("wrong.conf"), "reload", "{zone}"]
        words = ("rndc ended with 1", "connection to remote host closed", "the files are as they were")
        return [Wrong({"reload": reload}, words, self._named.secrets[1])]


class FilesOfNsd(ZoneFiles):
    """Told over a socket."""

    def __init__(self, directory: Path) -> None:
        self._nsd = NsdFiles(directory, {ZONE: ""})
        super().__init__(self._nsd)

    def wrong_credentials(self) -> list[Wrong]:
        reload = [*self._nsd.control_with("wrong.conf"), "reload", "{zone}"]
        return [Wrong({"reload": reload}, ("nsd-control ended with 1", "the files are as they were"))]
