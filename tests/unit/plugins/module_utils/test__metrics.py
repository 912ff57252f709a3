# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The metrics, read back with Prometheus's own parser."""

from __future__ import annotations

import re

import documents
import pytest
from ansible_collections.postmaster.mta_sts.plugins.module_utils._hold import HOLD_KINDS
from ansible_collections.postmaster.mta_sts.plugins.module_utils._lifecycle import STAGES as KEPT
from ansible_collections.postmaster.mta_sts.plugins.module_utils._metrics import (
    NAMED,
    ROLLOUT,
    STAGES,
    VERIFY,
    rollout_metrics,
    verify_metrics,
)
from ansible_collections.postmaster.mta_sts.plugins.module_utils._report import AT_RISK, needing_somebody
from prometheus_client.parser import text_string_to_metric_families

Series = dict[tuple[tuple[str, str], ...], float]

END = documents.NOW.timestamp()
DAY = 86400


def read(text: str) -> dict[str, Series]:
    """Every metric with its series; each has its help and its type, and no series is there twice."""
    found: dict[str, Series] = {}
    for family in text_string_to_metric_families(text):
        assert family.documentation
        assert family.type == "gauge"
        series = {tuple(sorted(sample.labels.items())): sample.value for sample in family.samples}
        assert len(series) == len(family.samples) > 0
        assert {sample.name for sample in family.samples} == {family.name}
        assert family.name not in found
        found[family.name] = series
    assert text.endswith("\n")
    return found


def by(series: Series, label: str) -> dict[str, float]:
    return {dict(labels)[label]: value for labels, value in series.items()}


def test_a_verification() -> None:
    found = read(verify_metrics(documents.verification()))
    assert set(found) == set(VERIFY)
    assert found["mta_sts_run_timestamp_seconds"] == {(("playbook", "verify"),): END}
    assert found["mta_sts_run_duration_seconds"] == {(("playbook", "verify"),): 12}
    sums = {"enforce": 3, "testing": 1, "none": 1, "absent": 1, "broken": 2}
    assert by(found["mta_sts_domains"], "verdict") == sums
    assert found["mta_sts_findings"][("code", "mx-certificate-expiring"), ("severity", "warning")] == 2
    assert by(found["mta_sts_domain_broken"], "domain") == {"library.example": 1, documents.LONG: 1}
    errors = {"bakery.example": 1, "library.example": 1, documents.LONG: 2, "old.example": 1}
    assert by(found["mta_sts_domain_errors"], "domain") == errors
    assert found["mta_sts_certificates"] == {(): 18}
    ends = found["mta_sts_certificate_not_after_timestamp_seconds"]
    assert ends[("service", "mx"), ("subject", "mx1.example.net:25 at 192.0.2.25")] == END + 71 * DAY
    subject = "https://mta-sts.library.example at 192.0.2.1"
    assert ends[("service", "policy"), ("subject", subject)] == END - 4 * DAY


def test_nothing_to_tell() -> None:
    found = read(verify_metrics(documents.verified([], {}, 0)))
    assert by(found["mta_sts_domains"], "verdict") == dict.fromkeys(by(found["mta_sts_domains"], "verdict"), 0)
    assert len(found["mta_sts_domains"]) == 5
    assert "mta_sts_domain_broken" not in found


def test_a_rollout() -> None:
    report = documents.rollout()
    found = read(rollout_metrics(report))
    assert set(found) == set(ROLLOUT)
    assert found["mta_sts_run_duration_seconds"] == {(("playbook", "rollout"),): 41}
    assert by(found["mta_sts_rollout_domains"], "stage") == {**dict.fromkeys(STAGES, 0), **report["counts"]}
    assert by(found["mta_sts_rollout_holds"], "code") == report["hold_counts"]
    assert found["mta_sts_rollout_holds"][("code", "testing-period"), ("waits", "true")] == 1
    assert found["mta_sts_rollout_holds"][("code", "mx-unready"), ("waits", "false")] == 1
    assert by(found["mta_sts_rollout_domain_held"], "domain") == dict.fromkeys(needing_somebody(report), 1)
    assert found["mta_sts_rollout_domains_held"] == {(): 3}
    assert found["mta_sts_rollout_domains_at_risk"] == {(): 1}
    assert found["mta_sts_rollout_orphans"] == {(): 2}
    assert found["mta_sts_rollout_dns_failed"] == {(): 0}
    assert read(rollout_metrics({**report, "dns_trouble": "BADKEY"}))["mta_sts_rollout_dns_failed"] == {(): 1}
    hosts = {"web1.example.net": 0, "web2.example.net": 1}
    assert by(found["mta_sts_rollout_policy_host_failed"], "host") == hosts
    assert by(found["mta_sts_rollout_probe_host_failed"], "host") == {"probe2.example.net": 1}
    assert by(found["mta_sts_rollout_report_host_failed"], "host") == {"inbox3": 1}


def test_every_stage_and_every_hold_is_counted() -> None:
    assert set(STAGES) == {*KEPT.values(), "pending", "withdrawing", "absent"}
    found = read(rollout_metrics(documents.held_by_everything()))
    assert by(found["mta_sts_rollout_holds"], "code") == dict.fromkeys(HOLD_KINDS, 1)
    assert found["mta_sts_rollout_domains_at_risk"] == {(): len(AT_RISK)}


@pytest.mark.parametrize("text", [
    verify_metrics(documents.hostile()), rollout_metrics(documents.hostile_rollout())
], ids=["verification", "rollout"])  # fmt: skip
def test_hostile_values_stay_inside_their_label(text: str) -> None:
    assert [char for char in text if not char.isprintable() and char != "\n"] == []
    values = {value for series in read(text).values() for labels in series for _name, value in labels}
    for hostile in documents.HOSTILE.values():
        shown = "".join(char if char.isprintable() else "?" for char in hostile)
        assert [value for value in values if shown in value], shown


def test_names_that_are_cut_to_the_same_are_one_series() -> None:
    domains = [documents.seen_domain(f"{'x' * 400}{n}", "broken") for n in range(3)]
    assert len(read(verify_metrics(documents.verified(domains, {}, 0)))["mta_sts_domain_broken"]) == 1


def test_a_bad_day_is_a_large_number_and_not_2000_series() -> None:
    error = documents.finding("record-missing", "x", "has no TXT record")
    domains = (documents.seen_domain(f"d{n}.example", "broken", error, days=n / 100) for n in range(2000))
    found = read(verify_metrics(documents.verified(domains, {}, 0)))
    assert by(found["mta_sts_domains"], "verdict")["broken"] == 2000
    assert found["mta_sts_findings"] == {(("code", "record-missing"), ("severity", "error")): 2000}
    assert found["mta_sts_certificates"] == {(): 4000}
    for name in ("mta_sts_domain_broken", "mta_sts_domain_errors", "mta_sts_certificate_not_after_timestamp_seconds"):
        assert len(found[name]) == NAMED
    # Those that expire first are among them.
    ends = found["mta_sts_certificate_not_after_timestamp_seconds"].values()
    assert max(ends) < END + 3 * DAY


@pytest.mark.parametrize("name", sorted({*VERIFY, *ROLLOUT}))
def test_names_are_as_prometheus_wants_them(name: str) -> None:
    assert re.fullmatch(r"mta_sts_[a-z_]+", name)
    assert name.endswith("_seconds") == any(word in name for word in ("timestamp", "duration"))
    assert not name.endswith(("_total", "_count", "_sum", "_bucket", "_info"))
    text = {**VERIFY, **ROLLOUT}[name]
    assert "\n" not in text
    assert "\\" not in text


def test_the_playbooks_share_no_series() -> None:
    verified, rolled_out = (
        {(name, labels) for name, series in read(text).items() for labels in series}
        for text in (verify_metrics(documents.verification()), rollout_metrics(documents.rollout()))
    )
    assert verified
    assert rolled_out
    assert not verified & rolled_out
