# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Primary servers on a loopback port whose zones are files, as an administrator keeps them: BIND and NSD."""

from __future__ import annotations

import base64
import contextlib
import re
import secrets
import subprocess
import time
import typing as t
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import dns.rdatatype
from bind import NAMED, free_port, run

NSD = Path("/usr/sbin/nsd")
SECONDS = 20

ZONE_FILE = """\
$TTL 300
@ IN SOA ns.test. hostmaster.test. ( ; who "keeps it
    1 ; serial
    3600 900 604800 60 )
  NS ns.test.
"""


class FileServer:
    """A running server that reads each zone from a file C(<zone>.zone)."""

    host = "127.0.0.1"
    # Without one, any that is free.
    port = 0
    check: t.Sequence[str]

    def __init__(self, directory: Path, zones: t.Mapping[str, str]) -> None:
        """Zones are given with their records, without SOA and NS."""
        self.directory, self.port, self._zones = directory, self.port or free_port(), list(zones)
        for zone, records in zones.items():
            self.file(zone).write_text(ZONE_FILE + records)
        self.configure()
        self.start()

    @property
    def options(self) -> dict[str, t.Any]:
        """Those of the module that keeps record sets in such files."""
        return {
            "zone_file": f"{self.directory}/{{zone}}.zone",
            "check": [*self.check],
            "reload": [*self.control, "reload", "{zone}"],
            "authorities": [f"{self.host}:{self.port}"],
            "wait": SECONDS,
        }

    @property
    def control(self) -> list[str]:
        """The command that the server is controlled with, without what it shall do."""
        raise NotImplementedError

    def configure(self) -> None:
        """Writes the server's configuration."""
        raise NotImplementedError

    def start(self) -> None:
        """Returns when it answers for all zones."""
        raise NotImplementedError

    def stop(self) -> None:
        """Does no harm to one that has ended."""
        self._daemon.stop()

    def _run(self, program: Path, *arguments: str | Path) -> None:
        self._daemon = run(program, self.directory, *arguments, ready=self._is_ready)

    def file(self, zone: str) -> Path:
        return self.directory / f"{zone}.zone"

    def fragment(self, zone: str) -> Path:
        return self.directory / f"{zone}.mta-sts"

    def exchange(self, name: str, rdtype: str) -> dns.message.Message:
        # NSD resets TCP connections that it has when it reloads.
        return dns.query.udp(dns.message.make_query(name, rdtype, flags=0), self.host, port=self.port, timeout=5)

    def lookup(self, name: str, rdtype: str) -> list[str]:
        """Return the answer as `<ttl> <data>`, sorted."""
        wanted = dns.rdatatype.from_text(rdtype)
        found = [one for one in self.exchange(name, rdtype).answer if one.rdtype == wanted]
        return sorted(f"{one.ttl} {rdata.to_text()}" for one in found for rdata in one)

    def serial(self, zone: str) -> int:
        """The serial that is served."""
        return int(self.lookup(zone, "SOA")[0].split()[3])

    def _is_ready(self) -> bool:
        with contextlib.suppress(dns.exception.DNSException):
            return all(self.lookup(zone, "SOA") for zone in self._zones)
        return False

    def reload(self, zone: str) -> None:
        subprocess.run([*self.control, "reload", zone], check=True, capture_output=True)

    def put(self, zone: str, name: str, ttl: int, rdtype: str, *values: str) -> None:
        """Replaces a record set in the zone file by hand, and waits until that is served."""
        kept = [line for line in self.file(zone).read_text().splitlines() if not line.startswith(f"{name}. {rdtype} ")]
        text = "\n".join([*kept, *(f'{name}. {rdtype} "{value}"' for value in values)])
        text = re.sub(rf"(?m)^{re.escape(name)}\. ", f"{name}. {ttl} ", text)
        serial = self.serial(zone) + 1
        self.file(zone).write_text(re.sub(r"[0-9]+(?= ; serial)", str(serial), text) + "\n")
        self.reload(zone)
        deadline = time.monotonic() + SECONDS
        while self.serial(zone) != serial:
            assert time.monotonic() < deadline, f"{zone} was not loaded"


class NamedFiles(FileServer):
    """BIND; statements about all zones may be given."""

    check = ("named-checkzone", "-i", "local", "{zone}", "{file}")

    def __init__(self, directory: Path, zones: t.Mapping[str, str], statements: str = "") -> None:
        self._statements = statements
        super().__init__(directory, zones)

    @property
    def control(self) -> list[str]:
        return self.control_with("rndc.conf")

    def control_with(self, configuration: str) -> list[str]:
        return ["rndc", "-c", str(self.directory / configuration)]

    def configure(self) -> None:
        self.secrets = [base64.b64encode(secrets.token_bytes(32)).decode() for _key in range(2)]
        control_port = free_port()
        keys = [f'key "control" {{ algorithm hmac-sha256; secret "{secret}"; }};\n' for secret in self.secrets]
        for name, key in zip(("rndc.conf", "wrong.conf"), keys):
            options = f"options {{ default-key control; default-server {self.host}; default-port {control_port}; }};\n"
            (self.directory / name).write_text(key + options)
        statements = f"type primary; {self._statements}"
        zones = [f'zone "{zone}" {{ file "{self.file(zone)}"; {statements} }};\n' for zone in self._zones]
        (self.directory / "named.conf").write_text(f"""
{keys[0]}
controls {{ inet {self.host} port {control_port} allow {{ any; }} keys {{ control; }}; }};
options {{
  directory "{self.directory}"; pid-file none; session-keyfile none;
  listen-on port {self.port} {{ {self.host}; }}; listen-on-v6 {{ none; }};
  recursion no; notify no; dnssec-validation no; empty-zones-enable no;
}};
{"".join(zones)}""")

    def start(self) -> None:
        self._run(NAMED, "-g", "-c", self.directory / "named.conf")


class NsdFiles(FileServer):
    """NSD, controlled over a socket that a file system's permissions protect."""

    check = ("nsd-checkzone", "{zone}", "{file}")

    @property
    def control(self) -> list[str]:
        return self.control_with("nsd.conf")

    def control_with(self, configuration: str) -> list[str]:
        return ["nsd-control", "-c", str(self.directory / configuration)]

    def configure(self) -> None:
        for name, socket in (("nsd.conf", "control"), ("wrong.conf", "elsewhere")):
            zones = [f'zone:\n  name: "{zone}"\n  zonefile: "{self.file(zone)}"\n' for zone in self._zones]
            (self.directory / name).write_text(f"""
server:
  ip-address: {self.host}@{self.port}
  server-count: 1
  username: root
  chroot: ""
  database: ""
  zonesdir: "{self.directory}"
  pidfile: "{self.directory}/nsd.pid"
  zonelistfile: "{self.directory}/zone.list"
  xfrdfile: "{self.directory}/xfrd.state"
  xfrdir: "{self.directory}"
  rrl-ratelimit: 0
remote-control:
  control-enable: yes
  control-interface: "{self.directory}/{socket}"
{"".join(zones)}""")

    def start(self) -> None:
        self._run(NSD, "-d", "-c", self.directory / "nsd.conf")
