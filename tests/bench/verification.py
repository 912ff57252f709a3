# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast many domains are verified, beside checkdmarc on the same domains, and with some that never answer."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import typing as t
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import many_zones

PEER = Path(__file__).with_name("peer_checkdmarc.py")
# Seconds that a domain which never answers may take.
TIMEOUT = 5
# One process, as the module is one, which says how long it took and how much memory.
PROGRAM = """
import json, os, resource, sys, time
from ansible_collections.postmaster.mta_sts.plugins.module_utils._probe.connect import Reach
from ansible_collections.postmaster.mta_sts.plugins.module_utils._probe.sender import Settings, observe
port, ca_file, timeout, domains = json.load(sys.stdin)
reach = Reach(timeout, dns_port=port)
settings = Settings([("127.0.0.1", port)], ca_file=ca_file, reach=reach, processes=os.cpu_count())
begin = time.perf_counter()
seen = observe(dict.fromkeys(domains), settings)["domains"]
spent = time.perf_counter() - begin
broken = sum(one["verdict"] == "broken" for one in seen.values())
# Its own, and that of the largest of the processes that shared the work, for each of them.
memory = [resource.getrusage(who).ru_maxrss / 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
print(json.dumps([spent, memory[0] + os.cpu_count() * memory[1], broken]))
"""


class Verified(t.NamedTuple):
    """What a verification took: seconds, MiB, and how many domains turned out to be broken."""

    seconds: float
    memory: float
    broken: int


def verify(servers: many_zones.Servers, domains: t.Sequence[str]) -> Verified:
    """Verifies the domains, in a process of its own."""
    told = json.dumps([servers.dns_port, servers.ca_file, TIMEOUT, domains])
    done = subprocess.run([sys.executable, "-c", PROGRAM], input=told, capture_output=True, text=True, check=True)
    return Verified(*json.loads(done.stdout))


def verify_by_checkdmarc(servers: many_zones.Servers, domains: t.Sequence[str], python: Path) -> float:
    """The seconds that checkdmarc takes."""
    hosts = {"mta-sts": many_zones.WEB[0], **dict(zip(many_zones.POLICY.mx, many_zones.MAIL))}
    trusted = {"SSL_CERT_FILE": servers.ca_file, "REQUESTS_CA_BUNDLE": servers.ca_file}
    command: list[str | Path] = [
        python,
        PEER,
        many_zones.NAME_SERVER,
        str(servers.dns_port),
        json.dumps(hosts),
        *domains,
    ]
    environment = {**os.environ, **trusted, "PYTHONPATH": ""}
    return float(subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout)


@contextmanager
def silence() -> Iterator[None]:
    """Has an address where connections are neither taken nor refused: its queue is full."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind((many_zones.SILENT, 443))
        listener.listen(0)
        for _place in range(2):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex((many_zones.SILENT, 443))
        yield


@contextmanager
def running(domains: t.Sequence[str], silent: t.Collection[str] = ()) -> Iterator[many_zones.Servers]:
    with tempfile.TemporaryDirectory() as directory:
        servers = many_zones.Servers(Path(directory), domains, silent)
        try:
            yield servers
        finally:
            servers.stop()


def verifying(count: int, alone: int, python: Path) -> None:
    """Shows what it costs to verify many domains, and what those cost that never answer."""
    domains = [f"d{number}.example" for number in range(count)]
    with running(domains) as servers:
        peer = verify_by_checkdmarc(servers, domains[:alone], python)
        ours = verify(servers, domains)
    if ours.broken:
        raise SystemExit(f"{ours.broken} of {count} domains that are well were found to be broken")
    rows = [("checkdmarc, one by one", alone, peer), ("verify, all checks", count, ours.seconds)]
    first = peer / alone
    print("\nVerifying, over loopback without any latency")
    for text, number, spent in rows:
        rate, ratio = number / spent, first / (spent / number)
        print(f"  {text:<44} {number:>6} domains {spent:>7.2f} s {rate:>9,.0f} a second  x{ratio:,.1f}")
    print(f"  memory of verify: {ours.memory:,.0f} MiB")

    few = domains[:1000]
    silent = few[::10]
    with silence(), running(few, silent) as servers:
        well = verify(servers, [domain for domain in few if domain not in silent])
        some = verify(servers, few)
    if some.broken != len(silent):
        raise SystemExit(f"{some.broken} domains were found to be broken, and {len(silent)} are")
    more = some.seconds - well.seconds
    print(
        f"  {len(few)} domains of which {len(silent)} never answer: {more:.2f} s more than without these, "
        f"which is {more / TIMEOUT:.1f} times the {TIMEOUT} s that one may take"
    )
