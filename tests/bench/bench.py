# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one call for all domains costs, beside the usual task per domain, measured in the same run.

Seconds depend on the machine; the ratios hardly do. Run by 'make bench'; nothing here passes or fails.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import subprocess
import tempfile
import time
import typing as t
from pathlib import Path

from ansible_collections.postmaster.mta_sts.plugins.module_utils._history import DAY, History, Served
from ansible_collections.postmaster.mta_sts.plugins.module_utils._inventory import Desired
from ansible_collections.postmaster.mta_sts.plugins.module_utils._lifecycle import decide
from ansible_collections.postmaster.mta_sts.plugins.module_utils._observed import Observed, Proof
from ansible_collections.postmaster.mta_sts.plugins.module_utils._policy import Policy, policy_id, render_policy
from verification import verifying

POLICY: dict[str, t.Any] = {"mode": "testing", "mx": ["mx1.example.net", "mx2.example.net"], "max_age": 86400}
# What a plan says of every one of them beside the policy.
TOLD = {
    "serve": True,
    "remove": False,
    "certificate": True,
    "found": None,
    "after_unknown": False,
    "conditions": {"testing": "2026-11-23T10:00:00+00:00", "ready": "2026-11-23T10:00:00+00:00"},
}
BODY = "version: STSv1\r\nmode: testing\r\nmx: mx1.example.net\r\nmx: mx2.example.net\r\nmax_age: 86400\r\n"


def seconds(work: t.Callable[[], object]) -> float:
    """How long a piece of work takes."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def play(directory: Path, *tasks: dict[str, t.Any]) -> None:
    """One ansible-playbook run on this machine."""
    path = directory / "play.yml"
    path.write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": list(tasks)}]))
    subprocess.run(["ansible-playbook", path], check=True, stdout=subprocess.DEVNULL)


def table(title: str, rows: t.Sequence[tuple[str, int, float]]) -> None:
    """Rows of what was done, for how many domains, in how many seconds; ratios to the first row, per domain."""
    print(f"\n{title}")
    _text, first_count, first_seconds = rows[0]
    for text, count, spent in rows:
        ratio = (first_seconds / first_count) / (spent / count)
        print(f"  {text:<44} {count:>6} domains {spent:>7.2f} s {1000 * spent / count:>9.3f} ms each  x{ratio:,.1f}")


def publishing(directory: Path, count: int, looped: int) -> None:
    """The policies of one policy host."""
    served = directory / "policies"
    served.mkdir()
    policies = [{"domain": f"d{number}.example", **POLICY} for number in range(count)]
    domains = [{"domain": f"d{number}.example", "mx": POLICY["mx"]} for number in range(count)]
    (directory / "plan.json").write_text(
        json.dumps(
            {
                "schema": "postmaster.mta_sts/plan/1",
                "at": dt.datetime.now(dt.timezone.utc).isoformat(timespec="seconds"),
                "policy_hosts": {},
                "revisions": {},
                "domains": [{**one, "policy_host": f"mta-sts.{one['domain']}", **TOLD} for one in policies],
            }
        )
    )
    loop = {
        "ansible.builtin.copy": {"content": "{{ body }}", "dest": f"{directory}/{{{{ item.domain }}}}.txt"},
        "loop": policies[:looped],
        "vars": {"body": BODY},
    }
    batch = {
        "postmaster.mta_sts.mta_sts_policies": {
            "document": str(directory / "plan.json"),
            "directory": str(served),
            "ledger": str(directory / "ledger.sqlite3"),
            "results": str(directory / "published.json"),
        }
    }
    plan = {
        "postmaster.mta_sts.mta_sts_plan": {
            "domains": domains,
            "policy_hosts": {"web1": ["198.51.100.1"]},
            "dest": str(directory / "made.json"),
        }
    }
    start = seconds(lambda: play(directory))
    rows = [
        ("one copy task for each domain, cold", looped, seconds(lambda: play(directory, loop)) - start),
        ("one copy task for each domain, unchanged", looped, seconds(lambda: play(directory, loop)) - start),
        ("one call for all, cold", count, seconds(lambda: play(directory, batch)) - start),
        ("one call for all, unchanged", count, seconds(lambda: play(directory, batch)) - start),
        ("the plan for all", count, seconds(lambda: play(directory, plan)) - start),
    ]
    table("Publishing policies, without the start of Ansible", rows)


def deciding(count: int) -> None:
    """The decision alone, for domains that two hosts serve and whose policy was changed a few times."""
    now = dt.datetime(2026, 11, 23, 10, tzinfo=dt.timezone.utc)
    mx = tuple(POLICY["mx"])
    policies = [
        Policy(mode, mx[:hosts], age) for hosts in (1, 2) for mode, age in (("testing", 86400), ("enforce", 2592000))
    ]
    proof = Proof(policy_id(render_policy(policies[-1])), 3)
    record = f"v=STSv1; id={proof.id};"
    cases = []
    for number in range(count):
        domain = f"d{number}.example"
        ended = [
            Served(host, policy, now - (50 - 10 * index) * DAY, now - (40 - 10 * index) * DAY)
            for host in ("web1", "web2")
            for index, policy in enumerate(policies[:-1])
        ]
        served = [Served(host, policies[-1], now - 10 * DAY) for host in ("web1", "web2")]
        observed = Observed("ours", ("198.51.100.1",), (record,), proof.id, policy=policies[-1], mx=mx, proof=proof)
        cases.append((Desired(domain, mx, "enforce"), History((*ended, *served)), observed))
    spent = seconds(lambda: [decide(*case, now) for case in cases])
    table("Deciding", [("what may be done for a domain with a history", count, spent)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--domains", type=int, default=10000)
    parser.add_argument("--looped", type=int, default=30, help="domains for what is done one by one")
    parser.add_argument("--peers", type=Path, help="the Python of an environment in which checkdmarc is installed")
    arguments = parser.parse_args()
    deciding(arguments.domains)
    if arguments.peers:
        verifying(arguments.domains, arguments.looped, arguments.peers)
    with tempfile.TemporaryDirectory() as directory:
        publishing(Path(directory), arguments.domains, arguments.looped)


if __name__ == "__main__":
    main()
