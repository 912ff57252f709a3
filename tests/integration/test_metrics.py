# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The metrics and the example alerts, as Prometheus itself judges them."""

from __future__ import annotations

import re
import subprocess
import typing as t
from pathlib import Path

import documents
import pytest
import yaml
from ansible_collections.postmaster.mta_sts.plugins.module_utils._metrics import (
    ROLLOUT,
    VERIFY,
    rollout_metrics,
    verify_metrics,
)

ALERTS = Path(__file__).parents[2] / "docs/examples/mta-sts-alerts.yml"
TEXTS = {
    "verification": verify_metrics(documents.verification()),
    "rollout": rollout_metrics(documents.rollout()),
    "hostile verification": verify_metrics(documents.hostile()),
    "hostile rollout": rollout_metrics(documents.hostile_rollout()),
}
# Series of metrics as a run leaves them, and which alerts they raise, in a world that is a day old.
NOW, DAY = 86400, 86400
RUN = 'mta_sts_run_timestamp_seconds{playbook="verify"}'
EXPIRES = 'mta_sts_certificate_not_after_timestamp_seconds{service="mx",subject="mx1.example.net:25 at 192.0.2.25"}'
RAISED: dict[str, tuple[dict[str, int], set[str]]] = {
    "all is well": ({RUN: NOW - 60, EXPIRES: NOW + 60 * DAY, "mta_sts_rollout_domains_at_risk": 0}, set()),
    "mail at risk": ({"mta_sts_rollout_domains_at_risk": 1}, {"MtaStsMailAtRisk"}),
    "broken": ({'mta_sts_domain_broken{domain="a.example"}': 1}, {"MtaStsDomainBroken"}),
    "held": ({'mta_sts_rollout_domain_held{code="mx-unready",domain="a.example"}': 1}, {"MtaStsDomainHeld"}),
    "no way into DNS": ({"mta_sts_rollout_dns_failed": 1}, {"MtaStsDnsFailed"}),
    "a way into DNS": ({"mta_sts_rollout_dns_failed": 0}, set()),
    "a policy host": ({'mta_sts_rollout_policy_host_failed{host="web1"}': 1}, {"MtaStsPolicyHostFailed"}),
    "a probe host": ({'mta_sts_rollout_probe_host_failed{host="probe1"}': 1}, {"MtaStsProbeHostFailed"}),
    "a report host": ({'mta_sts_rollout_report_host_failed{host="inbox1"}': 1}, {"MtaStsReportHostFailed"}),
    "none": ({'mta_sts_rollout_policy_host_failed{host="web1"}': 0}, set()),
    "expires soon": ({EXPIRES: NOW + 13 * DAY}, {"MtaStsCertificateExpiresSoon"}),
    "has expired": ({EXPIRES: NOW - 60}, {"MtaStsCertificateExpired"}),
    "a finding": ({'mta_sts_findings{code="mx-starttls",severity="error"}': 2}, {"MtaStsFindings"}),
    "a warning": ({'mta_sts_findings{code="mx-unused",severity="notice"}': 2}, set()),
    "no run": ({RUN: NOW - 40 * 3600}, {"MtaStsRunMissing"}),
}


def promtool(*arguments: str | Path, given: str | None = None) -> str:
    done = subprocess.run(["promtool", *arguments], input=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_prometheus_finds_nothing_wrong_with_the_metrics(text: str) -> None:
    assert promtool("check", "metrics", given=text) == ""


def test_alerts_are_about_metrics_that_there_are() -> None:
    rules = [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]
    named = {name for rule in rules for name in re.findall(r"mta_sts_\w+", rule["expr"])}
    assert named <= {*VERIFY, *ROLLOUT}
    alerts = {rule["alert"] for rule in rules}
    assert alerts == {alert for _series, raised in RAISED.values() for alert in raised}
    assert len(alerts) == len(rules)
    assert "SUCCESS" in promtool("check", "rules", ALERTS)


def test_alerts_are_raised_when_they_should_be(tmp_path: Path) -> None:
    rules = [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]
    tests: list[dict[str, t.Any]] = []
    for name, (series, raised) in RAISED.items():
        firing = [f'ALERTS{{alertname="{rule["alert"]}",alertstate="firing"}}' for rule in rules]
        expected = [{"exp_samples": _samples(rule, series) if rule["alert"] in raised else []} for rule in rules]
        tests.append({
            "name": name,
            "interval": "5m",
            "input_series": [{"series": one, "values": f"{value}x300"} for one, value in series.items()],
            "promql_expr_test": [
                {"expr": expression, "eval_time": "24h", **answer} for expression, answer in zip(firing, expected)
            ],
        })  # fmt: skip
    path = tmp_path / "tests.yml"
    path.write_text(yaml.safe_dump({"rule_files": [str(ALERTS)], "evaluation_interval": "5m", "tests": tests}))
    assert "SUCCESS" in promtool("test", "rules", path)


def _samples(rule: dict[str, t.Any], series: dict[str, int]) -> list[dict[str, t.Any]]:
    """The alert of a rule as a series: with its own labels, and those of the metric that raises it."""
    ((name, _value),) = series.items()
    labels = name.partition("{")[2].rstrip("}").split(",") if "{" in name else []
    labels += [f'alertname="{rule["alert"]}"', 'alertstate="firing"', f'severity="{rule["labels"]["severity"]}"']
    # The severity of a finding gives way to that of the alert.
    kept = {pair.partition("=")[0]: pair for pair in labels}
    return [{"labels": f"ALERTS{{{','.join(kept.values())}}}", "value": 1}]
