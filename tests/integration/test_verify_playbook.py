# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook verify as users call it: where it takes its domains from, who looks at them, and how it ends."""

from __future__ import annotations

import datetime as dt
import json
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible_playbook import play
from bind import Named

NAMES = [f"d{number}.example.com" for number in range(7)]

Document = dict[str, t.Any]


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Named]:
    """Knows that nothing is there."""
    server = Named(tmp_path_factory.mktemp("named"), {"example.com": "", "example.org": ""})
    yield server
    server.stop()


class Verify:
    """Runs the playbook in a directory of its own."""

    def __init__(self, directory: Path, named: Named) -> None:
        self.directory = directory
        self._resolver = f"{named.host}:{named.port}"

    def __call__(self, inventory: Document | None = None, **variables: t.Any) -> tuple[int, str]:
        (self.directory / "inventory.yml").write_text(yaml.safe_dump(inventory or {"all": {}}))
        told = {"mta_sts_resolvers": [self._resolver], "mta_sts_timeout": 2, **variables}
        return play(
            self.directory, "postmaster.mta_sts.verify", "-i", "inventory.yml", "--extra-vars", json.dumps(told)
        )

    def seen(self) -> Document:
        document: Document = json.loads((self.directory / "mta-sts-run/verify.json").read_text())
        return document


@pytest.fixture
def verify(tmp_path: Path, named: Named) -> Verify:
    return Verify(tmp_path, named)


def test_domains_in_a_line(verify: Verify) -> None:
    status, output = verify(mta_sts_verify_domains="example.com, Bücher.example.com")
    assert status == 0, output
    assert list(verify.seen()["domains"]) == ["example.com", "xn--bcher-kva.example.com"]
    assert "\npostmaster.mta_sts verify: 2 domains, " in output
    assert "\n2 absent. Report: " in output
    assert (verify.directory / "mta-sts-run/verify.html").exists()


def test_domains_in_a_file(verify: Verify) -> None:
    (verify.directory / "domains.txt").write_text("# ours\nexample.com\n\n  example.org  # theirs\n")
    status, output = verify(mta_sts_verify_file="domains.txt")
    assert status == 0, output
    assert list(verify.seen()["domains"]) == ["example.com", "example.org"]


def test_domains_of_the_inventory(verify: Verify) -> None:
    status, output = verify(mta_sts_domains=[{"domain": "example.org", "mx": ["mx.example.org"]}])
    assert status == 0, output
    assert list(verify.seen()["domains"]) == ["example.org"]


def test_domains_of_the_file_of_the_inventory(verify: Verify) -> None:
    path = verify.directory / "domains.csv"
    path.write_text("domain,mx\n" + "".join(f"{name},mx.example.org\n" for name in NAMES))
    status, output = verify(probes("probe1", "probe2"), mta_sts_domains_file=str(path))
    assert status == 0, output
    assert list(verify.seen()["domains"]) == sorted(NAMES)
    # Other domains are asked for by name.
    status, output = verify(mta_sts_domains_file=str(path), mta_sts_verify_domains="example.com")
    assert status == 0, output
    assert list(verify.seen()["domains"]) == ["example.com"]


def test_it_fails_as_it_is_told_to(verify: Verify) -> None:
    status, output = verify(mta_sts_verify_domains="example.com", mta_sts_verify_fail_on="error")
    assert status != 0
    assert "1 of 1 domains with a finding of severity error or worse: example.com" in output
    assert verify.seen()["counts"] == {"absent": 1}


MISTAKES: dict[str, tuple[Document, str]] = {
    "nothing": ({}, "Say which domains"),
    "an empty file": ({"mta_sts_verify_file": "/dev/null"}, "/dev/null: names no domain"),
    "no such file": ({"mta_sts_verify_file": "nowhere.txt"}, "nowhere.txt"),
    "bad names": ({"mta_sts_verify_domains": "a..example,10.0.0.1"}, "10.0.0.1"),
    "no such gravity": (
        {"mta_sts_verify_domains": "example.com", "mta_sts_verify_fail_on": "fatal"},
        "value of mta_sts_verify_fail_on must be one of",
    ),
    "two sources": (
        {"mta_sts_verify_domains": "example.com", "mta_sts_source_addresses": ["127.0.0.1", "127.0.0.2"]},
        "at most one of each family",
    ),
}


@pytest.mark.parametrize(("variables", "text"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_named(verify: Verify, variables: Document, text: str) -> None:
    status, output = verify(**variables)
    assert status != 0
    assert text in output
    assert "Traceback" not in output


def probes(*hosts: str, **variables: t.Any) -> Document:
    here = {"ansible_connection": "local", **variables}
    away = {"ansible_host": "127.0.0.1", "ansible_port": 1}
    return {"mta_sts_probes": {"hosts": {host: away if host == "remote" else here for host in hosts}}}


def test_probe_hosts_share_the_domains(verify: Verify) -> None:
    status, output = verify(probes("probe1", "probe2", "probe3"), mta_sts_verify_domains=NAMES)
    assert status == 0, output
    assert list(verify.seen()["domains"]) == NAMES
    shares = {
        host: list(json.loads((verify.directory / f"mta-sts-run/seen/{host}.json").read_text())["domains"])
        for host in ("probe1", "probe2", "probe3")
    }
    assert shares == {"probe1": NAMES[::3], "probe2": NAMES[1::3], "probe3": NAMES[2::3]}


REPORT = {
    "organization-name": "Sender",
    "report-id": "1",
    "policies": [
        {
            "policy": {"policy-type": "sts", "policy-domain": "example.com"},
            "summary": {"total-successful-session-count": 10, "total-failure-session-count": 1},
        }
    ],
}


def inboxes(directory: Path, **hosts: Document) -> Document:
    """An inventory with report hosts, all of them here; two of them have a report of today."""
    today = f"{dt.datetime.now(dt.timezone.utc):%Y-%m-%d}"
    times = {f"{edge}-datetime": f"{today}T00:00:00Z" for edge in ("start", "end")}
    for place in ("mine", "default"):
        (directory / place).mkdir()
        (directory / place / "1.json").write_text(json.dumps({**REPORT, "date-range": times}))
    here = {"ansible_connection": "local", "ansible_become": False}
    return {"mta_sts_report_hosts": {"hosts": {name: {**here, **variables} for name, variables in hosts.items()}}}


def test_reports_of_senders_are_read_and_a_host_that_fails_takes_nothing_from_the_others(verify: Verify) -> None:
    place = verify.directory
    away = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1}
    inventory = inboxes(
        place,
        inbox1={"mta_sts_report_paths": [str(place / "mine")]},
        inbox2={"report_inbox_directory": str(place / "default")},
        inbox3={"mta_sts_report_paths": [str(place / "nowhere")]},
        inbox4=away,
    )
    (place / "mta-sts-run/reports").mkdir(parents=True)
    (place / "mta-sts-run/reports/old.json").write_text("{}")
    status, output = verify(inventory, mta_sts_verify_domains="example.com,example.org")
    assert status != 0
    document = verify.seen()
    assert set(document["failed_report_hosts"]) == {"inbox3", "inbox4"}
    assert "No such file or directory" in document["failed_report_hosts"]["inbox3"]
    assert "report hosts that failed: inbox3, inbox4" in output
    (day,) = document["domains"]["example.com"]["reported"]
    assert (day["succeeded"], day["failed"]) == (20, 2)
    assert document["domains"]["example.org"]["reported"] == []
    # Without any, nothing is asked for.
    status, output = verify(mta_sts_verify_domains="example.com")
    assert status == 0, output
    assert verify.seen()["domains"]["example.com"]["reported"] == []


def test_more_probe_hosts_than_domains(verify: Verify) -> None:
    status, output = verify(probes("probe1", "probe2", "probe3"), mta_sts_verify_domains=NAMES[:2])
    assert status == 0, output
    assert list(verify.seen()["domains"]) == NAMES[:2]


def test_a_probe_host_that_fails_takes_nothing_from_the_others(verify: Verify) -> None:
    status, output = verify(probes("probe1", "remote"), mta_sts_verify_domains=NAMES, mta_sts_verify_fail_on="never")
    assert status != 0
    assert "\n  probe host remote: could not be reached\n" in output
    assert "hosts that did not look at their share of the domains: remote" in output
    assert list(verify.seen()["domains"]) == NAMES[::2]
