# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""An Unbound resolver that validates, on a loopback port. All that it knows is what one name server has."""

from __future__ import annotations

import contextlib
import typing as t
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import dns.rcode
from bind import Named, free_port, run

UNBOUND = Path("/usr/sbin/unbound")


class Unbound:
    """A running `unbound`."""

    host = "127.0.0.1"

    def __init__(self, directory: Path, named: Named, zones: t.Collection[str], anchors: t.Mapping[str, str]) -> None:
        """Each zone is asked of the name server; C(anchors) are the keys to trust (DNSKEY) by zone."""
        self.port = free_port()
        trusted = "\n".join(f'  trust-anchor: "{zone}. DNSKEY {key}"' for zone, key in anchors.items())
        stubs = "\n".join(
            f'stub-zone:\n  name: "{zone}"\n  stub-addr: {named.host}@{named.port}\n' for zone in (*zones, ".")
        )
        (directory / "unbound.conf").write_text(f"""\
server:
  directory: "{directory}"
  chroot: ""
  username: ""
  pidfile: ""
  use-syslog: no
  interface: {self.host}
  port: {self.port}
  do-not-query-localhost: no
  root-hints: ""
  local-zone: "test." nodefault
  module-config: "validator iterator"
{trusted}
{stubs}""")
        probe = dns.message.make_query(next(iter(zones)), "SOA")

        def is_ready() -> bool:
            with contextlib.suppress(dns.exception.DNSException):
                return dns.query.udp(probe, self.host, timeout=0.5, port=self.port).rcode() == dns.rcode.NOERROR
            return False

        self._daemon = run(UNBOUND, directory, "-d", "-c", directory / "unbound.conf", ready=is_ready)

    def stop(self) -> None:
        self._daemon.stop()
