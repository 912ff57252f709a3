# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Dynamic updates to each of the servers that are known to take them."""

from __future__ import annotations

import base64
import contextlib
import typing as t
from pathlib import Path

from bind import Interceptor, Named
from knot import Knot
from powerdns import PowerDNS

from .backend import ZONE, Wrong


class Updates:
    """Updates with TSIG to a primary server."""

    module = "rfc2136_record_sets"
    replaces_foreign = True
    server_class: type[Named | Knot | PowerDNS]
    # What the server says to a secret that is not the key's, and to a key that it does not know.
    bad_secret, bad_key = "BADSIG", "BADKEY"

    def __init__(self, directory: Path, *closed_zones: str) -> None:
        self.server = self.server_class(directory, dict.fromkeys([ZONE, *closed_zones], ""), closed_zones)
        self.secrets = [self.server.secrets["allowed"]]

    def options(self) -> dict[str, t.Any]:
        return {
            "server": self.server.host,
            "port": self.server.port,
            "key_name": "allowed",
            "key_secret": self.server.secrets["allowed"],
        }

    def answer(self, name: str, rdtype: str) -> list[str]:
        return self.server.lookup(name, rdtype)

    def put(self, name: str, ttl: int, rdtype: str, *values: str) -> None:
        self.server.put(ZONE, name, ttl, rdtype, *values)

    def wrong_credentials(self) -> list[Wrong]:
        secret = base64.b64encode(b"wrong" * 6).decode()
        return [
            Wrong({"key_secret": secret}, ("TSIG key 'allowed'", self.bad_secret), secret),
            Wrong({"key_name": "unknown"}, ("TSIG key 'unknown'", self.bad_key), self.secrets[0]),
        ]

    @contextlib.contextmanager
    def dying(self) -> t.Iterator[dict[str, t.Any]]:
        interceptor = Interceptor(self.server, lives_for=1)
        yield {"port": interceptor.port, "timeout": 2}
        assert interceptor.updates > 1
        interceptor.close()

    def stop(self) -> None:
        self.server.stop()


class UpdatesToBind(Updates):
    server_class = Named


class UpdatesToKnot(Updates):
    server_class = Knot


class UpdatesToPowerDNS(Updates):
    """It answers both without a signature, and does not say which it is."""

    server_class = PowerDNS
    bad_secret = bad_key = "NOTAUTH"
