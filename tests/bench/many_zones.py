# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What verification is measured on: a name server with many zones, policy hosts that share the domains, and MX hosts.

It runs on loopback addresses, and but for the name server at the usual ports, as other tools know no others; so it
needs root.
"""

from __future__ import annotations

import os
import shutil
import sys
import typing as t
from pathlib import Path

from ansible_collections.postmaster.mta_sts.plugins.module_utils._policy import Policy, policy_id, render_policy

# The servers of the tests serve here, too.
sys.path.insert(0, str(Path(__file__).parents[1] / "integration"))

from bind import NAMED, free_port
from daemon import Daemon, accepts
from nginx import Nginx
from postfix import Postfix
from tls import Authority

NAME_SERVER = "127.0.0.1"
WEB = ("127.78.0.1", "127.78.0.2")
MAIL = tuple(f"127.78.0.{number}" for number in range(21, 25))
# So many names have a certificate together.
NAMES = 20
# Nothing listens there, and nothing says so: a full queue of connections that nobody takes.
SILENT = "127.78.0.99"

POLICY = Policy("enforce", tuple(f"mx{number}.bench.test" for number in range(len(MAIL))), 2592000)
ZONE = """\
$TTL 300
@ IN SOA ns.bench.test. hostmaster.bench.test. 1 3600 900 604800 60
@ IN NS ns.bench.test.
"""
NAMED_CONF = """\
options {{
  directory "{directory}"; pid-file none; session-keyfile none;
  listen-on port {port} {{ {address}; }}; listen-on-v6 {{ none; }};
  recursion no; notify no; dnssec-validation no; empty-zones-enable no; minimal-responses yes;
}};
controls {{ }};
zone "bench.test" {{ type primary; file "hosts.zone"; }};
"""


class Servers:
    """Runs until it is stopped. All of its domains are well, but for those that are to be silent."""

    def __init__(self, directory: Path, domains: t.Sequence[str], silent: t.Collection[str] = ()) -> None:
        if os.geteuid() != 0:
            raise PermissionError("this needs ports 25 and 443 of 127.78.0.0/24: run it as root")
        self.dns_port = free_port()
        self._authority = Authority()
        self.ca_file = self._authority.write_trust_store(directory / "ca.pem")
        self._stops: list[t.Callable[[], None]] = []
        try:
            self._serve_names(directory / "named", domains, set(silent))
            self._serve_policies(directory / "nginx", domains)
            hosts = {(address, 25): self._authority.issue(POLICY.mx[number]) for number, address in enumerate(MAIL)}
            self._stops.append(Postfix(hosts).stop)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        for stop in reversed(self._stops):
            stop()

    def _serve_names(self, directory: Path, domains: t.Sequence[str], silent: set[str]) -> None:
        directory.mkdir()
        hosts = [f"mx{number} A {address}" for number, address in enumerate(MAIL)]
        hosts += [f"ns A {NAME_SERVER}", "reports MX 10 mx0"]
        (directory / "hosts.zone").write_text(ZONE + "\n".join(hosts) + "\n")
        common = f"""\
_mta-sts TXT "v=STSv1; id={policy_id(render_policy(POLICY))}"
_smtp._tls TXT "v=TLSRPTv1; rua=mailto:tls@reports.bench.test"
"""
        common += "".join(f"@ MX 10 {host}.\n" for host in POLICY.mx)
        for address in (*WEB, SILENT):
            (directory / f"{address}.zone").write_text(f"{ZONE}{common}mta-sts A {address}\n")
        homes = {domain: SILENT if domain in silent else WEB[n % len(WEB)] for n, domain in enumerate(domains)}
        zones = [f'zone "{domain}" {{ type primary; file "{home}.zone"; }};' for domain, home in homes.items()]
        options = NAMED_CONF.format(directory=directory, address=NAME_SERVER, port=self.dns_port)
        (directory / "named.conf").write_text(options + "\n".join(zones) + "\n")
        # AppArmor confines the program under its own path to the system's directories.
        program = Path(shutil.copy(NAMED, directory))
        daemon = Daemon(
            [program, "-g", "-c", directory / "named.conf"],
            directory / "named.log",
            lambda: "all zones loaded" in (directory / "named.log").read_text(),
        )
        self._stops.append(daemon.stop)

    def _serve_policies(self, directory: Path, domains: t.Sequence[str]) -> None:
        """A certificate for each few names, so that little of what is measured is the servers' work."""
        directory.mkdir()
        listens = [(address, 443) for address in WEB]
        listen = "".join(f"listen {address}:443 ssl; " for address in WEB)
        location = "location = /.well-known/mta-sts.txt { try_files /policy.txt =404; }"
        servers = [f"server_names_hash_max_size {8 * len(domains) + 512};"]
        for number in range(0, len(domains), NAMES):
            names = [f"mta-sts.{domain}" for domain in domains[number : number + NAMES]]
            pem = directory / f"{number}.pem"
            pem.write_bytes(self._authority.issue(*names))
            certificate = f"ssl_certificate {pem}; ssl_certificate_key {pem};"
            servers.append(f"server {{ {listen} server_name {' '.join(names)}; {certificate} {location} }}")
        nginx = Nginx(directory, "\n".join(servers), listens)
        self._stops.append(nginx.stop)
        for address in WEB:
            (directory / "policies" / address / "policy.txt").write_bytes(render_policy(POLICY))
        if not accepts(listens):
            raise RuntimeError("nginx takes no connections")
