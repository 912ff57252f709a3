# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What whole rollouts and verifications cost on real hosts, beside a role with loops and beside checkdmarc.

All of it is measured in one run on one lab. Seconds depend on the machine, ratios hardly do. Run by 'make bench'.
Nothing is judged here but that every domain arrived where it should: what is wanted stands beside what was measured.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import platform
import subprocess
import typing as t
from pathlib import Path

import ansible.release
import chart
import page
from bench_lab import GROUPS, HERE, BenchLab, domain, mx_of
from distance import distant
from many import many
from many_reports import reports
from measure import Measured

SIZES = [1, 100, 1000, 10000]
LOOPED = [10, 50]
# So many domains are enough for what looks at one after the other.
ALONE = 30
# From a checker to a server and back, in milliseconds.
DISTANCE = 20


def summary(done: Measured) -> dict[str, float]:
    """What of a run stands in the results."""
    found = {
        "seconds": round(done.seconds, 2),
        "cpu_seconds": round(done.cpu, 2),
        "controller_mib": round(done.controller),
        "others": round(done.others, 3),
    }
    return {**found, "host_mib": round(done.host)} if done.host else found


def say(what: str, domains: int, done: Measured) -> None:
    others = f", while others took {done.others:.0%} of the machine" if done.others > 0.1 else ""
    print(f"  {what:<42} {domains:>6} domains {done.seconds:>8.2f} s{others}", flush=True)


def rollouts(lab: BenchLab, count: int, hosts: int) -> dict[str, t.Any]:
    """The three kinds of rollouts, beginning with bare hosts."""
    found: dict[str, t.Any] = {"domains": count, "hosts": hosts}
    lab.fresh()
    for kind, first in (("cold", {}), ("unchanged", {}), ("change", {"max_age": 1209600})):
        lab.want(count, **first)
        done = lab.rollout(hosts)
        say(f"rollout, {kind}, policy hosts: {hosts}", count, done)
        found[kind] = summary(done)
    if hosts == 1 and count == 1:
        lab.fresh()
        lab.ssh("web1", "apt-get", "--quiet=2", "--yes", "--no-install-recommends", "install", "nginx")
        done = lab.rollout(hosts)
        say("rollout, cold, where nginx is there", count, done)
        found["cold_with_nginx"] = summary(done)
    if hosts == 1:
        done = lab.verify()
        say("verify", count, done)
        found["verify"] = summary(done)
        found["nginx"] = json.loads(lab.ssh("web1", "python3", "-", data=(HERE / "nginx_on_host.py").read_text()))
    return found


def looped(lab: BenchLab, counts: t.Sequence[int]) -> dict[str, t.Any]:
    """The role with loops, and what a domain more costs with it."""
    runs = []
    for count in counts:
        lab.fresh()
        lab.want(count)
        run: dict[str, t.Any] = {"domains": count}
        for kind in ("cold", "unchanged"):
            done = lab.play(HERE / "looped.yml")
            say(f"role with loops, {kind}", count, done)
            run[kind] = summary(done)
        runs.append(run)
    few, many = runs[0], runs[-1]
    slopes = {
        kind: (many[kind]["seconds"] - few[kind]["seconds"]) / (many["domains"] - few["domains"])
        for kind in ("cold", "unchanged")
    }
    return {"runs": runs, "seconds_each": slopes}


def verification(lab: BenchLab, count: int, python: Path) -> list[dict[str, t.Any]]:
    """Our verification beside checkdmarc, as near as the lab is and from farther away."""
    lab.fresh()
    lab.want(count)
    lab.rollout(1)
    rows = [beside_checkdmarc(lab, count, python, 0, [])]
    with distant(DISTANCE) as prefix:
        rows.append(beside_checkdmarc(lab, count, python, DISTANCE, prefix))
    return rows


def beside_checkdmarc(
    lab: BenchLab, count: int, python: Path, milliseconds: float, prefix: t.Sequence[str]
) -> dict[str, t.Any]:
    alone = min(count, ALONE)
    addresses = {"mta-sts": lab.addresses["web1"]}
    for number in range(1, alone + 1):
        addresses |= {host: lab.addresses.get(host.partition(".")[0], lab.addresses["mx2"]) for host in mx_of(number)}
    command = [*prefix, str(python), str(HERE / "peer_checkdmarc.py"), lab.addresses["ns1"], json.dumps(addresses)]
    trusted = {"SSL_CERT_FILE": str(lab.ca_file), "REQUESTS_CA_BUNDLE": str(lab.ca_file)}
    told = subprocess.run(
        [*command, *map(domain, range(1, alone + 1))],
        env={**os.environ, **trusted, "PYTHONPATH": ""},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    ours = lab.verify(prefix=prefix)
    say(f"verify, {milliseconds} ms away", count, ours)
    print(f"  {'checkdmarc':<42} {alone:>6} domains {float(told.stdout):>8.2f} s", flush=True)
    return {
        "milliseconds": milliseconds,
        "checkdmarc": {"domains": alone, "seconds": round(float(told.stdout), 2)},
        "verify": {"domains": count, **summary(ours)},
    }


def machine(lab: BenchLab) -> dict[str, t.Any]:
    """What it was measured on; nothing that names it."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    asked = "dpkg-query --show --showformat='${source:Package} ${source:Version}\\n' "
    packages = (("web1", "nginx"), ("ns1", "bind9"), ("mx1", "postfix"))
    servers = [lab.ssh(host, asked + package).strip() for host, package in packages]
    return {
        "cores": os.cpu_count(),
        "memory_gib": round(memory / (1 << 30)),
        "ansible_core": ansible.release.__version__,
        "python": platform.python_version(),
        "servers": servers,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", type=Path, required=True, help="a Python with checkdmarc")
    parser.add_argument("--dest", type=Path, required=True, help="the directory for the results")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="so many domains are rolled out")
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        raise SystemExit("this looks at the memory of other users' processes and moves packets: run it as root")
    sizes = sorted(arguments.sizes)
    with BenchLab(max(*sizes, *LOOPED, ALONE)) as lab:
        results: dict[str, t.Any] = {
            "at": dt.datetime.now(dt.timezone.utc).isoformat(timespec="seconds"),
            "rollouts": [rollouts(lab, count, hosts) for count in sizes for hosts in GROUPS],
            "many": many(lab, summary),
            "reports": reports(summary),
            "looped": looped(lab, LOOPED),
            "verification": verification(lab, sizes[-1], arguments.peers),
            "machine": machine(lab),
        }
    text = page.page(results)
    print(text)
    # A quick look leaves the page alone.
    if sizes == SIZES:
        arguments.dest.joinpath("benchmarks.json").write_text(json.dumps(results, indent=2) + "\n")
        arguments.dest.joinpath("benchmarks.md").write_text(text)
        arguments.dest.joinpath("benchmarks.svg").write_text(chart.chart(results))


if __name__ == "__main__":
    main()
