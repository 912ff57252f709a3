# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A PowerDNS primary server on a loopback port, with its HTTP API, for as long as the tests need it."""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
import typing as t
from pathlib import Path

from bind import ZONE, Primary, free_port, run
from daemon import accepts

PDNS_SERVER = Path("/usr/sbin/pdns_server")
PDNSUTIL = Path("/usr/bin/pdnsutil")
SCHEMA = Path("/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql")


class PowerDNS(Primary):
    """A running `pdns_server`, with the database in SQLite and the caches that it has by default."""

    def __init__(self, directory: Path, zones: t.Mapping[str, str], closed_zones: t.Collection[str] = ()) -> None:
        """Zones are given with their records, without SOA and NS. Closed zones allow no updates."""
        super().__init__(zones)
        self._directory = directory
        self.api_port, self.api_key = free_port(), self.secrets["allowed"].encode().hex()
        (directory / "pdns.conf").write_text(self._configuration())
        with contextlib.closing(sqlite3.connect(directory / "pdns.sqlite3")) as database:
            database.executescript(SCHEMA.read_text())
        for name, secret in self.secrets.items():
            self._pdnsutil("import-tsig-key", name, "hmac-sha256", secret)
        for zone, records in zones.items():
            (directory / f"{zone}.zone").write_text(ZONE + records)
            self._pdnsutil("load-zone", zone, directory / f"{zone}.zone")
            # Without such a key the address is enough.
            self._pdnsutil("set-meta", zone, "TSIG-ALLOW-DNSUPDATE", "none" if zone in closed_zones else "allowed")
        self._daemon = run(PDNS_SERVER, directory, f"--config-dir={directory}", ready=self.is_ready)

    def _configuration(self) -> str:
        return f"""\
launch=gsqlite3
gsqlite3-database={self._directory}/pdns.sqlite3
gsqlite3-pragma-synchronous=0
local-address={self.host}
local-port={self.port}
socket-dir={self._directory}
dnsupdate=yes
allow-dnsupdate-from=127.0.0.0/8
api=yes
api-key={self.api_key}
webserver-address={self.host}
webserver-port={self.api_port}
daemon=no
guardian=no
security-poll-suffix=
max-tcp-connections-per-client=0
"""

    def _pdnsutil(self, *arguments: str | Path) -> None:
        command = [PDNSUTIL, f"--config-dir={self._directory}", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"pdnsutil {arguments[0]} failed: {done.stdout}{done.stderr}")

    def is_ready(self) -> bool:
        return super().is_ready() and accepts([(self.host, self.api_port)])

    def stop(self) -> None:
        self._daemon.stop()
