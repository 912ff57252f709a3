# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one call for all domains costs, beside the usual task per domain, measured in the same run.

Seconds depend on the machine; the ratios hardly do. Run by 'make bench'; nothing here passes or fails.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
import typing as t
from pathlib import Path

POLICY = {"mode": "testing", "mx": ["mx1.example.net", "mx2.example.net"], "max_age": 86400}
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
                "policy_hosts": {},
                "domains": [
                    {**one, "policy_host": f"mta-sts.{one['domain']}", "serve": True, "certificate": True}
                    for one in policies
                ],
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--domains", type=int, default=10000)
    parser.add_argument("--looped", type=int, default=30, help="domains for what is done one by one")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        publishing(Path(directory), arguments.domains, arguments.looped)


if __name__ == "__main__":
    main()
