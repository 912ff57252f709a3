# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""An Unbound resolver that validates, at a loopback address. All that it knows is what a few name servers have."""

from __future__ import annotations

import contextlib
import typing as t
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import dns.rcode
from bind import free_port, run

UNBOUND = Path("/usr/sbin/unbound")

CONFIGURATION = """\
server:
  directory: "{directory}"
  chroot: ""
  username: ""
  pidfile: ""
  use-syslog: no
  interface: {host}
  port: {port}
  num-threads: 1
  num-queries-per-thread: 4096
  outgoing-range: 4096
  incoming-num-tcp: 500
  do-not-query-localhost: no
  root-hints: ""
  target-fetch-policy: "0 0 0 0 0"
  local-zone: "test." nodefault
  module-config: "validator iterator"
{anchors}
{stubs}
"""


class Unbound:
    """A running `unbound`."""

    def __init__(
        self,
        directory: Path,
        zones: t.Mapping[str, tuple[str, int]],
        anchors: t.Iterable[str],
        address: tuple[str, int] | None = None,
    ) -> None:
        """Each zone is asked of a name server, the first one when it starts; C(anchors) are the keys to trust."""
        self.host, self.port = address or ("127.0.0.1", free_port())
        parts = {
            "directory": directory,
            "host": self.host,
            "port": self.port,
            "anchors": "\n".join(f'  trust-anchor: "{anchor}"' for anchor in anchors),
            "stubs": "\n".join(
                f'stub-zone:\n  name: "{zone}"\n  stub-addr: {host}@{port}' for zone, (host, port) in zones.items()
            ),
        }
        (directory / "unbound.conf").write_text(CONFIGURATION.format(**parts))
        probe = dns.message.make_query(next(iter(zones)), "SOA")

        def is_ready() -> bool:
            with contextlib.suppress(dns.exception.DNSException):
                return dns.query.udp(probe, self.host, timeout=0.5, port=self.port).rcode() == dns.rcode.NOERROR
            return False

        self._daemon = run(UNBOUND, directory, "-d", "-c", directory / "unbound.conf", ready=is_ready)

    def stop(self) -> None:
        self._daemon.stop()
