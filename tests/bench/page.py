# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page about the benchmarks, for people, from the results of one run."""

from __future__ import annotations

import typing as t

# A paragraph is one line, as Markdown does not care.
# ruff: noqa: E501

Results = dict[str, t.Any]

HEAD = """\
<!--
SPDX-FileCopyrightText: The postmaster.mta_sts authors
SPDX-License-Identifier: GPL-3.0-or-later
-->

# Benchmarks

Written by `make bench` at {at}, and by nothing else: measured in one run, on {cores} cores with {memory_gib} GiB, with
ansible-core {ansible_core} on Python {python}. Controller, name server, policy hosts and MX hosts shared these cores.
{others}

![What a domain costs](benchmarks.svg)
"""
LAB = """\
## What was measured

A lab of real hosts with systemd in containers, reached over SSH: {servers}. Every domain has a zone of its own, updated
with TSIG, and a certificate of its own, which lies on the policy hosts already: getting certificates is not measured. Most domains
share two MX hosts; every twentieth has one with a name of its own.

- **cold**: the first rollout, to policy hosts with nothing but Debian. It installs nginx, too. All domains enforce in the end.
- **unchanged**: the rollout after that, which finds nothing to do, and looks at everything all the same.
- **one change**: a rollout after the `max_age` of one domain was changed.
- **verify**: the playbook `postmaster.mta_sts.verify` with all its checks, from the start of Ansible to the report.

Seconds are those of the whole command. Memory is the proportional set size of all processes together at the worst moment, looked
at five times a second: of the controller, and of the policy host with everything that runs there.
"""
MANY = """\
## {count} domains

So many are decided about, and published, without their servers: the documents of the largest rollout were multiplied by ten,
each domain with all that was seen of it. `mta_sts_plan` has the documents of so many policy hosts; `mta_sts_policies` writes all policies and a new
ledger.
"""
REPORTS = """\
## Reports of senders

`tlsrpt_report_info` reads {reports:,} reports, {mib:,} MiB of JSON, gzip and mail in equal parts, from as many files and adds them up, in {seconds:,.1f} s
and {controller_mib:,.0f} MiB with all of Ansible.
"""
LOOPED = """\
## Beside a role with loops

`tests/bench/looped` does what roles for this usually do: for each domain a directory, the policy and a virtual host by template, a link, and
three records by `community.general.nsupdate`; nginx is reloaded once. It was run with {few} and with {many} domains, so that its
constant part does not count. Ours is the whole rollout of {largest} domains to one host, divided by them.
"""
CHECKDMARC = """\
## Verification beside checkdmarc

checkdmarc as it comes, one domain after the other, does the checks that verification makes, too: policy, record, TLSRPT record, and
STARTTLS of the MX hosts. It gets the addresses of policy hosts and MX hosts for nothing. Verification is the whole
playbook. Servers of the world are not next door, so both ran a second time with packets carried for {milliseconds} ms in all to the lab and
back; that is work for the same cores.
"""


def page(results: Results) -> str:
    """All of it, as Markdown."""
    runs = results["rollouts"]
    largest = max(run["domains"] for run in runs)
    looped = results["looped"]
    machine = {**results["machine"], "servers": ", ".join(results["machine"]["servers"])}
    parts = [
        HEAD.format(at=results["at"], others=_others(results), **machine),
        "## Goals\n\n" + _table(["goal", "wanted", "measured", ""], goals(results)),
        LAB.format(**machine),
        "## Rollouts\n\n" + _rollouts(runs),
        "## nginx and memory\n\n" + _nginx(runs),
        MANY.format(count=f"{results['many']['domains']:,}") + "\n" + _many(results["many"]),
        REPORTS.format(**results["reports"]),
        LOOPED.format(few=looped["runs"][0]["domains"], many=looped["runs"][-1]["domains"], largest=f"{largest:,}")
        + "\n"
        + _looped(results),
        CHECKDMARC.format(milliseconds=results["verification"][-1]["milliseconds"])
        + "\n"
        + _verification(results["verification"]),
    ]
    return "\n".join(parts)


def goals(results: Results) -> list[list[str]]:
    """What the design wants, beside what was measured; of the largest number of domains."""
    one = {run["domains"]: run for run in results["rollouts"] if run["hosts"] == 1}
    largest, smallest = one[max(one)], one[min(one)]
    tenth = one[sorted(one)[-2]] if len(one) > 1 else largest
    return [
        *_goals_of_rollouts(largest),
        *_goals_of_many(results),
        *_goals_of_one(smallest),
        *_goals_beside_others(results, largest, tenth),
    ]


def _goals_of_rollouts(run: Results) -> list[list[str]]:
    cold, unchanged, change = (run[kind]["seconds"] for kind in ("cold", "unchanged", "change"))
    controller = max(run[kind]["controller_mib"] for kind in ("cold", "unchanged", "change", "verify"))
    host = max(run[kind]["host_mib"] for kind in ("cold", "unchanged", "change"))
    verified = _rate({"domains": run["domains"], **run["verify"]})
    return [
        _goal("cold rollout", cold, "under {:,.0f} s", 60 * run["domains"] / 10000),
        _goal("run with nothing to do", unchanged, "under {:,.0f} s", 30 * run["domains"] / 10000),
        _goal("one domain changed", change, "at most {:,.1f} s: 2 s more than nothing", unchanged + 2),
        _goal("verify, domains a second", verified, "at least {:,.0f}", 500, least=True),
        _goal("memory of the controller", controller, "under {:,.0f} MiB", 1024),
        _goal("memory of a policy host", host, "under {:,.0f} MiB", 1024),
    ]


def _goals_of_many(results: Results) -> list[list[str]]:
    many, reports = results["many"], results["reports"]
    what = f"memory to decide about {many['domains']:,} domains, and to publish"
    decided = max(done["controller_mib"] for done in (*many["decided"], many["published"]))
    read = reports["reports"] / reports["seconds"]
    return [
        _goal(what, decided, "under {:,.0f} MiB", 2048),
        _goal("reports read and added up, a second", read, "at least {:,.0f}", 2000, least=True),
        _goal("memory to read and add up reports", reports["controller_mib"], "under {:,.0f} MiB", 1024),
    ]


def _goals_of_one(run: Results) -> list[list[str]]:
    told = {
        "cold": "cold, with the installation of nginx",
        "cold_with_nginx": "cold, where nginx is there",
        "unchanged": "nothing to do",
    }
    return [
        _goal(f"one domain, {text}", run[kind]["seconds"], "under {:,.0f} s", 15)
        for kind, text in told.items()
        if kind in run
    ]


def _goals_beside_others(results: Results, run: Results, tenth: Results) -> list[list[str]]:
    kinds = ("cold", "unchanged")
    growth = max(run[kind]["seconds"] * tenth["domains"] / tenth[kind]["seconds"] / run["domains"] for kind in kinds)
    each = results["looped"]["seconds_each"]
    cheaper = min(each[kind] * run["domains"] / run[kind]["seconds"] for kind in kinds)
    rows = [
        _goal(f"each domain, beside {tenth['domains']:,} domains", growth, "at most {:,.0f} times as much", 1),
        _goal("rollout, times cheaper than a role with loops", cheaper, "at least {:,.0f}", 500, least=True),
    ]
    for row in results["verification"]:
        text = f"verify, times faster than checkdmarc, {row['milliseconds']} ms away"
        rows.append(_goal(text, _rate(row["verify"]) / _rate(row["checkdmarc"]), "at least {:,.0f}", 20, least=True))
    return rows


def _rate(done: Results) -> float:
    return float(done["domains"] / done["seconds"])


def _goal(what: str, measured: float, wanted: str, limit: float, *, least: bool = False) -> list[str]:
    met = measured >= limit if least else measured <= limit
    return [what, wanted.format(limit), f"{measured:,.1f}", "met" if met else "**not met**"]


def _table(head: list[str], rows: t.Iterable[list[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _others(results: Results) -> str:
    shares = [run[kind]["others"] for run in results["rollouts"] for kind in ("cold", "unchanged", "change")]
    if max(shares) < 0.05:
        return "Nothing else ran there."
    return (
        f"Other programs took up to {max(shares):.0%} of the machine meanwhile, {sum(shares) / len(shares):.0%} on average, so "
        "that it would have been quicker alone."
    )


def _rollouts(runs: list[Results]) -> str:
    head = ["domains", "policy hosts", "cold", "unchanged", "one change", "each, cold", "each, unchanged"]
    rows = []
    for run in runs:
        seconds = [run[kind]["seconds"] for kind in ("cold", "unchanged", "change")]
        each = [1000 * spent / run["domains"] for spent in seconds[:2]]
        rows.append(
            [f"{run['domains']:,}", str(run["hosts"]), *(f"{spent:,.1f} s" for spent in seconds)]
            + [f"{spent:,.1f} ms" for spent in each]
        )
    return _table(head, rows) + _growth(runs)


def _growth(runs: list[Results]) -> str:
    """How much more ten times as many domains cost, and a second host."""
    one = {run["domains"]: run for run in runs if run["hosts"] == 1}
    texts = []
    for few, many in zip(sorted(one), sorted(one)[1:]):
        factors = [one[many][kind]["seconds"] / one[few][kind]["seconds"] for kind in ("cold", "unchanged")]
        texts.append(
            f"From {few:,} to {many:,} domains a cold rollout takes {factors[0]:,.1f} times as long, and one with nothing to do "
            f"{factors[1]:,.1f} times."
        )
    largest = [run for run in runs if run["domains"] == max(one)]
    more = largest[-1]["cold"]["seconds"] / largest[0]["cold"]["seconds"] - 1
    texts.append(f"A second policy host adds {more:.0%} to a cold rollout of {max(one):,} domains.")
    return "\n" + "\n".join(texts) + "\n"


def _nginx(runs: list[Results]) -> str:
    head = [
        "domains",
        "nginx -t",
        "reload",
        "each process of nginx",
        "policy host",
        "controller, cold",
        "unchanged",
        "verify",
    ]
    rows = []
    for run in (run for run in runs if run["hosts"] == 1):
        nginx = run["nginx"]
        held = [nginx["process_mib"], run["cold"]["host_mib"]]
        held += [run[kind]["controller_mib"] for kind in ("cold", "unchanged", "verify")]
        rows.append(
            [
                f"{run['domains']:,}",
                f"{1000 * nginx['test_seconds']:,.0f} ms",
                f"{1000 * nginx['reload_seconds']:,.0f} ms",
            ]
            + [f"{mib:,.0f} MiB" for mib in held]
        )
    return _table(head, rows)


def _many(found: Results) -> str:
    rows = [(f"`mta_sts_plan`, {done['hosts']} policy hosts", done) for done in found["decided"]]
    rows.append(("`mta_sts_policies`", found["published"]))
    return _table(
        ["", "seconds", "memory"],
        [[what, f"{done['seconds']:,.1f} s", f"{done['controller_mib']:,.0f} MiB"] for what, done in rows],
    )


def _looped(results: Results) -> str:
    largest = max((run for run in results["rollouts"] if run["hosts"] == 1), key=lambda run: run["domains"])
    rows = []
    for kind in ("cold", "unchanged"):
        each = results["looped"]["seconds_each"][kind]
        ours = largest[kind]["seconds"] / largest["domains"]
        spent = [f"{run[kind]['seconds']:,.1f} s" for run in results["looped"]["runs"]]
        rows.append([kind, *spent, f"{1000 * each:,.0f} ms", f"{1000 * ours:,.2f} ms", f"**{each / ours:,.0f}**"])
    counts = [f"{run['domains']} domains" for run in results["looped"]["runs"]]
    return _table(["", *counts, "each domain more", "ours, each", "times cheaper"], rows)


def _verification(rows: list[Results]) -> str:
    head = ["distance", "checkdmarc", "a second", "verify", "a second", "times faster"]
    return _table(head, [_beside(row) for row in rows])


def _beside(row: Results) -> list[str]:
    rates = [_rate(row[who]) for who in ("checkdmarc", "verify")]
    counts = [f"{row[who]['domains']:,} domains in {row[who]['seconds']:,.1f} s" for who in ("checkdmarc", "verify")]
    return [
        f"{row['milliseconds']} ms",
        counts[0],
        f"{rates[0]:,.1f}",
        counts[1],
        f"{rates[1]:,.0f}",
        f"**{rates[1] / rates[0]:,.0f}**",
    ]
