# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a run found, in Prometheus's text format, for the textfile collector of the node exporter.

Sums have no more series than there are codes. Single domains are named only where something is wrong with them, and
domains and certificates only so many, lest a bad day for mail become one for Prometheus. A verification and a rollout
share no series, as their files may lie in one directory. Pure, and private to this collection.
"""

from __future__ import annotations

import datetime as dt
import typing as t
from collections import Counter

from ._finding import ERROR, printable
from ._report import AT_RISK, needing_somebody
from ._verification import VERDICTS, seen_certificates

# Of single domains, and of certificates, at most so many are named.
NAMED = 500
LABEL_LIMIT = 300

STAGES: t.Final = ("pending", "testing", "enforcing", "none", "withdrawing", "absent")

# All of them are gauges. A metric never changes its meaning.
RUN: t.Final = {
    "mta_sts_run_timestamp_seconds": "When the last run ended, in Unix time.",
    "mta_sts_run_duration_seconds": "How long the last run took.",
}
VERIFY: t.Final = {
    **RUN,
    "mta_sts_domains": "Domains by verdict.",
    "mta_sts_findings": "Domains that have a finding, by its code.",
    "mta_sts_domain_broken": f"1 for a broken domain; at most {NAMED} are named.",
    "mta_sts_domain_errors": f"Findings of severity error of a domain that has any; at most {NAMED} are named.",
    "mta_sts_certificates": "Certificates of policy hosts and MX hosts that were seen.",
    "mta_sts_certificate_not_after_timestamp_seconds": (
        f"When a certificate expires, in Unix time; at most {NAMED} are named, those that expire first."
    ),
}
ROLLOUT: t.Final = {
    **RUN,
    "mta_sts_rollout_domains": "Domains by stage.",
    "mta_sts_rollout_holds": "Domains that have a hold, by its code, and whether time alone ends it.",
    "mta_sts_rollout_domains_held": "Domains that do not go on by waiting alone.",
    "mta_sts_rollout_domains_at_risk": "Domains that enforce while senders refuse an MX host.",
    "mta_sts_rollout_domain_held": f"1 for a domain that does not go on by waiting alone; at most {NAMED} are named.",
    "mta_sts_rollout_orphans": "Domains that are served and that the inventory does not name.",
    "mta_sts_rollout_dns_failed": "Whether no record at all could be written, so that the run served nothing.",
    "mta_sts_rollout_policy_host_failed": "Whether a policy host failed in the run.",
    "mta_sts_rollout_probe_host_failed": "1 for a probe host that failed in the run.",
    "mta_sts_rollout_report_host_failed": "1 for a host whose reports of senders were not all read in the run.",
}

Document = t.Mapping[str, t.Any]
Sample = tuple[str, dict[str, str], int]


def verify_metrics(document: Document) -> str:
    """The metrics of a verify document."""
    return _text(VERIFY, [*_run("verify", document), *_domains(document["domains"]), *_certificates(document)])


def rollout_metrics(report: Document) -> str:
    """The metrics of a rollout's report."""
    return _text(ROLLOUT, [*_run("rollout", report), *_rollout(report)])


# --- the samples ------------------------------------------------------------------------------------------


def _run(playbook: str, document: Document) -> t.Iterator[Sample]:
    yield "mta_sts_run_timestamp_seconds", {"playbook": playbook}, _unix_time(document["at"])
    yield "mta_sts_run_duration_seconds", {"playbook": playbook}, document["seconds"]


def _domains(domains: t.Mapping[str, Document]) -> t.Iterator[Sample]:
    verdicts = Counter(seen["verdict"] for seen in domains.values())
    for verdict in VERDICTS:
        yield "mta_sts_domains", {"verdict": verdict}, verdicts[verdict]
    codes = Counter(
        pair for seen in domains.values() for pair in {(one["code"], one["severity"]) for one in seen["findings"]}
    )
    for (code, severity), number in sorted(codes.items()):
        yield "mta_sts_findings", {"code": code, "severity": severity}, number
    broken = [name for name, seen in domains.items() if seen["verdict"] == "broken"]
    for name in broken[:NAMED]:
        yield "mta_sts_domain_broken", {"domain": name}, 1
    errors = {name: sum(one["severity"] == ERROR for one in seen["findings"]) for name, seen in domains.items()}
    for name in [name for name, number in errors.items() if number][:NAMED]:
        yield "mta_sts_domain_errors", {"domain": name}, errors[name]


def _certificates(document: Document) -> t.Iterator[Sample]:
    seen = seen_certificates(document)
    yield "mta_sts_certificates", {}, len(seen)
    for service, one in seen[:NAMED]:
        labels = {"service": service, "subject": one["subject"]}
        yield "mta_sts_certificate_not_after_timestamp_seconds", labels, _unix_time(one["not_after"])


def _rollout(report: Document) -> t.Iterator[Sample]:
    for stage in STAGES:
        yield "mta_sts_rollout_domains", {"stage": stage}, report["counts"].get(stage, 0)
    held = [{(hold["code"], hold["waits"]) for hold in domain["holds"]} for domain in report["domains"]]
    for (code, waits), number in sorted(Counter(pair for pairs in held for pair in pairs).items()):
        yield "mta_sts_rollout_holds", {"code": code, "waits": str(waits).lower()}, number
    needing = needing_somebody(dict(report))
    yield "mta_sts_rollout_domains_held", {}, len(needing)
    yield "mta_sts_rollout_domains_at_risk", {}, sum(any(code in AT_RISK for code, _waits in pairs) for pairs in held)
    for name, code in list(needing.items())[:NAMED]:
        yield "mta_sts_rollout_domain_held", {"code": code, "domain": name}, 1
    yield "mta_sts_rollout_orphans", {}, len(report["orphans"])
    yield "mta_sts_rollout_dns_failed", {}, int(bool(report["dns_trouble"]))
    for host in [
        *report["policy_hosts"],
        *(host for host in report["failed_hosts"] if host not in report["policy_hosts"]),
    ]:
        yield "mta_sts_rollout_policy_host_failed", {"host": host}, int(host in report["failed_hosts"])
    for host in report["failed_probes"]:
        yield "mta_sts_rollout_probe_host_failed", {"host": host}, 1
    for host in report["failed_report_hosts"]:
        yield "mta_sts_rollout_report_host_failed", {"host": host}, 1


def _unix_time(text: str) -> int:
    return int(dt.datetime.fromisoformat(text).timestamp())


# --- the format -------------------------------------------------------------------------------------------


def _text(metrics: t.Mapping[str, str], samples: t.Iterable[Sample]) -> str:
    """A series each; of two that would have one name the first, as one that is there twice spoils the whole file."""
    series: dict[str, dict[str, int]] = {name: {} for name in metrics}
    for name, labels, value in samples:
        series[name].setdefault(_labels(labels), value)
    lines = []
    for name, values in series.items():
        if values:
            lines += [f"# HELP {name} {metrics[name]}", f"# TYPE {name} gauge"]
            lines += [f"{name}{labels} {value}" for labels, value in values.items()]
    return "\n".join(lines) + "\n"


def _labels(labels: t.Mapping[str, str]) -> str:
    pairs = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())
    return f"{{{pairs}}}" if pairs else ""


def _escaped(value: str) -> str:
    """A label's value. Line feeds, which would need escaping too, are not printable."""
    return printable(value, LABEL_LIMIT).replace("\\", "\\\\").replace('"', '\\"')
