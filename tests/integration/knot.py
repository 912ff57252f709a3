# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Knot DNS primary server on a loopback port, for as long as the tests need it."""

from __future__ import annotations

import typing as t
from pathlib import Path

from bind import ZONE, Primary, run

KNOTD = Path("/usr/sbin/knotd")


class Knot(Primary):
    """A running `knotd`."""

    def __init__(self, directory: Path, zones: t.Mapping[str, str], closed_zones: t.Collection[str] = ()) -> None:
        """Zones are given with their records, without SOA and NS. Closed zones allow no updates."""
        super().__init__(zones)
        self._directory, self._closed_zones = directory, closed_zones
        for zone, records in zones.items():
            (directory / f"{zone}.zone").write_text(ZONE + records)
        (directory / "knot.conf").write_text(self._configuration())
        self._daemon = run(KNOTD, directory, "-c", directory / "knot.conf", ready=self.is_ready)

    def _configuration(self) -> str:
        keys = [
            f"  - id: {name}\n    algorithm: hmac-sha256\n    secret: {secret}\n"
            for name, secret in self.secrets.items()
        ]
        zones = [
            f"  - domain: {zone}\n    file: {zone}.zone\n{'' if zone in self._closed_zones else '    acl: updates'}\n"
            for zone in self.zones
        ]
        return f"""\
server:
    rundir: {self._directory}
    listen: {self.host}@{self.port}
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
database:
    storage: {self._directory}
    journal-db-max-size: 16M
    kasp-db-max-size: 16M
    timer-db-max-size: 16M
template:
  - id: default
    storage: {self._directory}
    zonefile-sync: -1
    zonefile-load: whole
key:
{"".join(keys)}acl:
  - id: updates
    key: allowed
    action: update
zone:
{"".join(zones)}"""

    def stop(self) -> None:
        self._daemon.stop()
