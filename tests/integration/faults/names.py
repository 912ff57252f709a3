# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The name servers: two NSD, whose zones may differ, and an Unbound that validates what they sign.

BIND would listen at no other loopback address than 127.0.0.1 unless the system were changed for it.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import re
import subprocess
import typing as t
from pathlib import Path

import dns.exception
import dns.message
import dns.query
from bind import run
from daemon import Daemon
from faults.fault import BOGUS, LAME, NAMELESS, SIGNED, SILENT, VOID, ZONES
from unbound import Unbound

NSD = Path("/usr/sbin/nsd")
# Both servers are secondaries of nobody for it, so they answer with SERVFAIL.
UNANSWERED = "unanswered.test"

Lines = t.Sequence[str]

_SIGNATURE = re.compile(r"\sIN\sRRSIG\s")

NSD_CONFIGURATION = """\
server:
  ip-address: {address}@{port}
  server-count: 1
  tcp-count: 200
  username: root
  chroot: ""
  database: ""
  zonesdir: "{directory}"
  pidfile: "{directory}/nsd.pid"
  zonelistfile: "{directory}/zone.list"
  xfrdfile: "{directory}/xfrd.state"
  xfrdir: "{directory}"
  rrl-ratelimit: 0
remote-control:
  control-enable: no
zone:
  name: "{unanswered}"
  request-xfr: AXFR 127.0.0.1@1 NOKEY
"""


class NameServers:
    """Two authoritative servers and a resolver, which knows of no others."""

    def __init__(
        self,
        directory: Path,
        records: t.Mapping[str, Lines],
        second: t.Mapping[str, Lines],
        *,
        forged: t.Collection[str],
        addresses: t.Sequence[str],
        nowhere: str,
        silent: str,
        port: int,
    ) -> None:
        """The records of each zone, those of the second server that differ, and three addresses for one port.

        The signatures at the C(forged) names are damaged. There is no server at C(nowhere), and at C(silent) one
        that says nothing.
        """
        self._directory, self._port, self._nowhere, self._silent = directory, port, nowhere, silent
        self._first, self._second, self._resolver = addresses
        zones, anchors = {}, []
        for zone in ZONES:
            zones[zone] = self._apex(zone) + "\n".join(records.get(zone, ())) + "\n"
            if zone in (SIGNED, BOGUS):
                days = -1 if zone == BOGUS else 30
                zones[zone], anchor = _signed(directory, zone, zones[zone], forged, days=days)
                anchors.append(anchor)
        others = {zone: self._apex(zone) + "\n".join(lines) + "\n" for zone, lines in second.items()}
        others = {zone: text for zone, text in {**zones, **others}.items() if zone != LAME}
        with contextlib.ExitStack() as stack:
            # What is in no zone is in the root, and not there.
            stack.callback(self._nsd(self._first, {".": self._apex("."), **zones}).stop)
            stack.callback(self._nsd(self._second, others).stop)
            stack.callback(self._unbound(anchors).stop)
            self.stop = stack.pop_all().close

    def _apex(self, zone: str) -> str:
        """SOA, NS and the addresses of the name servers."""
        second = "nobody.nowhere.test." if zone == NAMELESS else "ns2"
        lines = [f"$ORIGIN {zone.rstrip('.')}.", "$TTL 300", "@ SOA ns1 hostmaster 1 3600 900 604800 60"]
        lines += ["@ NS ns1", f"@ NS {second}", f"ns1 A {self._first}"]
        lines += [f"ns2 A {self._nowhere if zone == SILENT else self._second}"] if zone != NAMELESS else []
        return "\n".join(lines) + "\n"

    def _nsd(self, address: str, zones: t.Mapping[str, str]) -> Daemon:
        directory = self._directory / address
        directory.mkdir()
        parts = {"directory": directory, "address": address, "port": self._port, "unanswered": UNANSWERED}
        configuration = NSD_CONFIGURATION.format(**parts)
        for zone, text in zones.items():
            (directory / f"zone.{zone}").write_text(text)
            configuration += f'zone:\n  name: "{zone}"\n  zonefile: "zone.{zone}"\n'
        (directory / "nsd.conf").write_text(configuration)
        return run(
            NSD,
            directory,
            "-d",
            "-c",
            directory / "nsd.conf",
            ready=lambda: self._answers(address, set(zones) - {BOGUS}),
        )

    def _unbound(self, anchors: t.Sequence[str]) -> Unbound:
        zones = dict.fromkeys((SIGNED, *ZONES, UNANSWERED, "."), (self._first, self._port))
        zones[VOID] = (self._silent, self._port)
        return Unbound(self._directory, zones, anchors, (self._resolver, self._port))

    def _answers(self, address: str, zones: t.Iterable[str]) -> bool:
        with contextlib.suppress(dns.exception.DNSException):
            for zone in zones:
                question = dns.message.make_query(zone, "SOA")
                if not dns.query.tcp(question, address, port=self._port, timeout=0.5).answer:
                    return False
            return True
        return False


def _signed(directory: Path, zone: str, text: str, forged: t.Collection[str], *, days: int) -> tuple[str, str]:
    """The zone with signatures that are good for so many days yet, and the trust anchor for it."""
    plain, signed = directory / f"plain.{zone}", directory / f"signed.{zone}"
    key = _output("dnssec-keygen", "-q", "-K", directory, "-a", "ECDSAP256SHA256", "-f", "KSK", zone).strip()
    anchor = next(line for line in (directory / f"{key}.key").read_text().splitlines() if line.startswith(zone))
    plain.write_text(f"{text}{anchor}\n")
    now = dt.datetime.now(dt.timezone.utc)
    since, until = (f"{now + dt.timedelta(days=when):%Y%m%d%H%M%S}" for when in (-30, days))
    _output(
        *("dnssec-signzone", "-q", "-P", "-z", "-O", "full", "-o", zone, "-s", since, "-e", until),
        *("-d", directory, "-K", directory, "-f", signed, plain, key),
    )
    lines = (
        f"{line[:-8]}AAAAAAA=" if _SIGNATURE.search(line) and line.split(maxsplit=1)[0] in forged else line
        for line in signed.read_text().splitlines()
    )
    return "\n".join(lines) + "\n", anchor


def _output(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{command[0]}: {done.stderr}")
    return done.stdout
