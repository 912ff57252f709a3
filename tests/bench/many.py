# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What deciding about, and publishing for, very many more domains takes than the lab has.

The documents of a rollout are multiplied: each domain of it becomes several, each with all that was seen of it.
"""

from __future__ import annotations

import json
import re
import shutil
import typing as t

from bench_lab import ENVIRONMENT, WORK, BenchLab
from measure import Measured, RunFailed, measure

HERE = WORK / "many"
TIMES = 10
# As many policy hosts as the lab has, and more of the same.
HOSTS = (2, 10)

Documents = t.Mapping[str, t.Any]


def many(lab: BenchLab, summary: t.Callable[[Measured], Documents]) -> dict[str, t.Any]:
    """After a rollout to two policy hosts."""
    shutil.rmtree(HERE, ignore_errors=True)
    plan = json.loads((lab.run_dir / "plan.json").read_text())
    count = TIMES * len(plan["domains"])
    _write("observed.json", _multiplied(lab, "observed.json", "domains"))
    entries = json.loads((lab.run_dir / "domains.json").read_text())
    _write("domains.json", [entry for copy in range(TIMES) for entry in _renamed(entries, copy)])
    found: dict[str, t.Any] = {"domains": count, "decided": []}
    for hosts in HOSTS:
        found["decided"].append({"hosts": hosts, **summary(_decide(lab, plan, hosts, count))})
    found["published"] = summary(_publish(count))
    return found


def _decide(lab: BenchLab, plan: Documents, hosts: int, count: int) -> Measured:
    known = dict(plan["policy_hosts"])
    first = next(iter(known))
    for number in range(hosts):
        host = [*known][number] if number < len(known) else f"host{number}"
        known.setdefault(host, [f"192.0.2.{number}"])
        for kind, part in (("served", "policies"), ("ledgers", "domains")):
            _write(f"{kind}/{host}.json", {**_multiplied(lab, f"{kind}/{first}.json", part), "host": host})
    done = _module(
        "mta_sts_plan",
        {
            "domains_file": str(HERE / "domains.json"),
            "policy_hosts": known,
            "served": str(HERE / "served"),
            "ledgers": str(HERE / "ledgers"),
            "observed": str(HERE / "observed.json"),
            "dest": str(HERE / "plan.json"),
        },
    )
    decided = json.loads((HERE / "plan.json").read_text())
    if sum(entry["serve"] for entry in decided["domains"]) != count or len(decided["policy_hosts"]) != hosts:
        raise RunFailed("not all of these domains are to be served")
    return done


def _publish(count: int) -> Measured:
    policies = HERE / "policies"
    policies.mkdir()
    options = {
        "document": str(HERE / "plan.json"),
        "directory": str(policies),
        "ledger": str(HERE / "ledger.sqlite3"),
        "results": str(HERE / "published.json"),
    }
    done = _module("mta_sts_policies", options)
    if sum(1 for _path in policies.iterdir()) != count:
        raise RunFailed("not all of these policies were published")
    return done


def _module(name: str, options: Documents) -> Measured:
    command = ["ansible", "localhost", "--module-name", f"postmaster.mta_sts.{name}", "--args", json.dumps(options)]
    return measure(command, ENVIRONMENT)


def _multiplied(lab: BenchLab, path: str, part: str) -> dict[str, t.Any]:
    document: dict[str, t.Any] = json.loads((lab.run_dir / path).read_text())
    whole: dict[str, t.Any] = {}
    for copy in range(TIMES):
        whole.update(_renamed(document[part], copy))
    return {**document, part: whole}


def _renamed(value: t.Any, copy: int) -> t.Any:
    return json.loads(re.sub(r"\bd(\d+)\.example\b", rf"d\1.c{copy}.example", json.dumps(value)))


def _write(path: str, document: t.Any) -> None:
    (HERE / path).parent.mkdir(parents=True, exist_ok=True)
    (HERE / path).write_text(json.dumps(document))
