# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Dynamic updates to BIND."""

from __future__ import annotations

import base64
import contextlib
import typing as t
from pathlib import Path

from bind import Interceptor, Named

from .backend import ZONE, Wrong


class Bind:
    """Updates with TSIG to a primary server."""

    module = "rfc2136_record_sets"
    replaces_foreign = True

    def __init__(self, directory: Path) -> None:
        self._named = Named(directory, {ZONE: ""})
        self.secrets = [self._named.secrets["allowed"]]

    def options(self) -> dict[str, t.Any]:
        return {
            "server": self._named.host,
            "port": self._named.port,
            "key_name": "allowed",
            "key_secret": self._named.secrets["allowed"],
        }

    def answer(self, name: str, rdtype: str) -> list[str]:
        return self._named.lookup(name, rdtype)

    def put(self, name: str, ttl: int, rdtype: str, *values: str) -> None:
        self._named.put(ZONE, name, ttl, rdtype, *values)

    def wrong_credentials(self) -> list[Wrong]:
        secret = base64.b64encode(b"wrong" * 6).decode()
        return [
            Wrong({"key_secret": secret}, ("TSIG key 'allowed'", "BADSIG"), secret),
            Wrong({"key_name": "unknown"}, ("TSIG key 'unknown'", "BADKEY"), self.secrets[0]),
        ]

    @contextlib.contextmanager
    def dying(self) -> t.Iterator[dict[str, t.Any]]:
        interceptor = Interceptor(self._named, lives_for=1)
        yield {"port": interceptor.port, "timeout": 2}
        assert interceptor.updates > 1
        interceptor.close()

    def stop(self) -> None:
        self._named.stop()
