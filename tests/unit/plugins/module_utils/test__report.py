# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report: all of it for a few domains, as much as a person can read for many, and nothing that harms a terminal."""

from __future__ import annotations

import datetime as dt
import json
import time
import typing as t
from pathlib import Path

import pytest
from ansible_collections.postmaster.mta_sts.plugins.module_utils._finding import Finding
from ansible_collections.postmaster.mta_sts.plugins.module_utils._hold import HOLD_KINDS
from ansible_collections.postmaster.mta_sts.plugins.module_utils._report import (
    AT_RISK,
    SCHEMA,
    Run,
    make_report,
    needing_somebody,
    rollout_failure,
    rollout_lines,
)
from ansible_collections.postmaster.mta_sts.plugins.module_utils._time_line import Reported
from ansible_collections.postmaster.mta_sts.plugins.module_utils._verification import verify_lines
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

REPORT = Draft202012Validator(json.loads((Path(__file__).parents[4] / "docs/schemas/report.json").read_text()))
STARTED = dt.datetime(2026, 11, 23, 10, tzinfo=dt.timezone.utc)
NOW = STARTED + dt.timedelta(seconds=41)
ID = "3f2a9c01" + "0" * 24
PAGE = "./mta-sts-run/report.html"
OLD_ID = "0badcafe" + "0" * 24

Document = dict[str, t.Any]


def entry(domain: str, stage: str = "testing", *holds: Document, **more: t.Any) -> Document:
    values = {"mode": "testing", "mx": ["mx.example.net"], "max_age": 86400, "id": ID, "remove": False, **more}
    record = "keep" if stage in ("pending", "absent") else "announce"
    return {
        "domain": domain,
        "stage": stage,
        "holds": list(holds),
        "record": record,
        "record_name": f"_mta-sts.{domain}",
        **values,
    }


def enforcing(domain: str, *holds: Document) -> Document:
    return entry(domain, "enforcing", *holds, mode="enforce", max_age=2592000, mx=["a.example", "b.example"])


def without_policy(domain: str, stage: str, **more: t.Any) -> Document:
    return entry(domain, stage, **{"mode": None, "mx": [], "max_age": None, "id": None, **more})


def hold(message: str, code: str = "proof-failed", until: str | None = None) -> Document:
    return {"code": code, "message": message, "until": until}


def plan(*entries: Document, orphans: t.Sequence[str] = (), troubles: t.Sequence[str] = ()) -> Document:
    return {
        "policy_hosts": {"web1": [], "web2": []},
        "domains": list(entries),
        "orphans": list(orphans),
        "troubles": list(troubles),
    }


def result(domain: str, status: str, error: str = "", name: str = "_mta-sts", rdtype: str = "TXT") -> Document:
    before, after = [f"v=STSv1; id={OLD_ID}"], [f"v=STSv1; id={ID}"]
    return {
        "item": domain, "name": f"{name}.{domain}", "type": rdtype, "status": status, "error": error,
        "before": {"ttl": 60, "values": after if status == "ok" else before},
        "after": {"ttl": 60, "values": before if status == "failed" else after},
    }  # fmt: skip


def results(*found: Document) -> list[Document]:
    return [{"results": list(found)}]


def seen_ids(**ids: str | None) -> Document:
    """What was observed of domains, by their first label."""
    return {"domains": {f"{name}.example": {"record_id": value, "findings": []} for name, value in ids.items()}}


def reported(run: Run, *, valid: bool = True) -> tuple[Document, list[str]]:
    report = make_report(run, STARTED, NOW)
    if valid and len(report["domains"]) < 100:
        REPORT.validate(json.loads(json.dumps(report)))
    return report, rollout_lines(report, PAGE)


def test_a_small_rollout() -> None:
    tested = hold("testing period of 7 days", "testing-period", "2026-11-30T09:11:15+00:00")
    unready = hold("mx2.example.net:25: self-signed certificate", "mx-unready")
    older = hold("senders may hold older policies", "withdrawal-policies", "2026-12-23T10:10:00+00:00")
    elsewhere = "mta-sts.broken.example leads to 192.0.2.7, which is no policy host"
    self_signed = Finding("mx-certificate", "mx2.example.net:25", "self-signed certificate")
    run = Run(
        plan(
            enforcing("example.com"),
            entry("example.org", "testing", tested),
            entry("example.net", "testing", unready),
            entry("old.example", "withdrawing", older, mode="none"),
            entry("broken.example", "pending", hold(elsewhere, "address-elsewhere")),
            entry("new.example", "pending", hold("web2: mta-sts.new.example: status 404", "proof-failed")),
            enforcing("note.example", hold("web1: the certificate is not refreshed: timeout", "renewal")),
            orphans=["older.example"],
        ),
        {
            "domains": {
                "example.net": {"record_id": ID, "findings": [self_signed.to_dict()]},
                "broken.example": {"record_id": OLD_ID, "findings": []},
            }
        },
        results(
            result("example.com", "changed"),
            result("example.com", "changed", name="mta-sts", rdtype="A"),
            result("example.org", "ok"),
            result("example.net", "ok"),
            result("old.example", "changed"),
            result("note.example", "ok"),
        ),
    )
    report, lines = reported(run)
    expected = """\
postmaster.mta_sts rollout: 7 domains, 2 policy hosts, 41 s
  example.com     enforcing    enforce, 30 days, 2 mx  announced 3f2a9c01  ok
  example.org     testing      testing, 1 day, 1 mx    in place 3f2a9c01   waits
      until 2026-11-30 09:12 UTC: testing period of 7 days (testing-period)
  example.net     testing      testing, 1 day, 1 mx    in place 3f2a9c01   held
      mx2.example.net:25: self-signed certificate (mx-unready)
  old.example     withdrawing  none, 1 day, 1 mx       announced 3f2a9c01  waits
      until 2026-12-23 10:10 UTC: senders may hold older policies (withdrawal-policies)
  broken.example  pending      testing, 1 day, 1 mx    keeps 0badcafe      held
      mta-sts.broken.example leads to 192.0.2.7, which is no policy host (address-elsewhere)
  new.example     pending      testing, 1 day, 1 mx    not announced       held
      web2: mta-sts.new.example: status 404 (proof-failed)
  note.example    enforcing    enforce, 30 days, 2 mx  in place 3f2a9c01   ok, but
      web1: the certificate is not refreshed: timeout (renewal)
What to do:
  address-elsewhere: correct the address records, or allow them to be replaced with replace_foreign: true
  proof-failed: mend what the message says; then run again
  mx-unready: mend the MX host, or set gate: false to enforce all the same
  renewal: mend what the message says, before the certificate expires
  1 orphan: older.example
      served on, though the inventory does not name it; 'state: absent' withdraws it
2 announced, 3 in place, 2 waiting, 3 held, 1 withdrawing, 2 pending. Report: ./mta-sts-run/report.html"""
    assert "\n".join(lines) == expected
    assert (report["schema"], report["at"], report["seconds"]) == (SCHEMA, "2026-11-23T10:00:41+00:00", 41)
    assert report["counts"] == {"enforcing": 2, "testing": 2, "withdrawing": 1, "pending": 2}
    assert report["hold_counts"] == dict.fromkeys(
        ["testing-period", "mx-unready", "withdrawal-policies", "address-elsewhere", "proof-failed", "renewal"], 1
    )
    assert [domain["record_id"] for domain in report["domains"]] == [ID, ID, ID, ID, OLD_ID, None, ID]
    assert report["domains"][2]["holds"] == [
        {
            "code": "mx-unready",
            "message": "mx2.example.net:25: self-signed certificate",
            "until": None,
            "waits": False,
            "remedy": HOLD_KINDS["mx-unready"].remedy,
        }
    ]


def test_a_withdrawal_from_its_record_to_its_end() -> None:
    wait = hold(
        "the record is removed; the policy goes when it is in no cache",
        "withdrawal-record",
        "2026-11-24T10:00:41+00:00",
    )
    leaving = entry("a.example", "withdrawing", wait, mode="none", record="remove")
    gone = without_policy("a.example", "withdrawing", record="keep", remove=True)
    steps = [
        (leaving, {**result("a.example", "changed"), "after": None}),
        (leaving, {**result("a.example", "ok"), "before": None, "after": None}),
        (gone, None),
        (without_policy("a.example", "absent", remove=True), None),
    ]
    shown = []
    for planned, found in steps:
        run = Run(plan(planned), seen_ids(a=OLD_ID if found else None), results(*([found] if found else [])))
        report, lines = reported(run)
        assert needing_somebody(report) == {}
        shown += lines[1:]
    expected = """\
  a.example  withdrawing  none, 1 day, 1 mx  record removed  waits
      until 2026-11-24 10:01 UTC: the record is removed; the policy goes when it is in no cache (withdrawal-record)
1 removed, 0 announced, 0 in place, 1 waiting, 0 held, 1 withdrawing, 0 pending. Report: ./mta-sts-run/report.html
  a.example  withdrawing  none, 1 day, 1 mx  record gone  waits
      until 2026-11-24 10:01 UTC: the record is removed; the policy goes when it is in no cache (withdrawal-record)
0 announced, 0 in place, 1 waiting, 0 held, 1 withdrawing, 0 pending. Report: ./mta-sts-run/report.html
  a.example  withdrawing  no policy  withdrawn  ok
0 announced, 0 in place, 0 waiting, 0 held, 1 withdrawing, 0 pending. Report: ./mta-sts-run/report.html
  a.example  absent  no policy    ok
0 announced, 0 in place, 0 waiting, 0 held, 0 withdrawing, 0 pending. Report: ./mta-sts-run/report.html"""
    assert "\n".join(shown) == expected


def test_nothing_is_called_withdrawn_that_was_left_in_place() -> None:
    """By a host that failed, by check mode, or by a run that ended before it came to the hosts."""
    gone = plan(without_policy("a.example", "withdrawing", record="keep", remove=True))
    for run in (Run(gone, troubles={"web2": "no space"}), Run(gone, check_mode=True), Run(gone, dns_trouble="BADKEY")):
        report, lines = reported(run)
        assert not report["domains"][0]["removed"]
        assert "  a.example  withdrawing  no policy  to be withdrawn  ok" in lines
    assert reported(Run(gone))[0]["domains"][0]["removed"]


def test_a_record_that_failed_keeps_its_domain_back() -> None:
    run = Run(plan(enforcing("a.example")), seen_ids(a=OLD_ID), results(result("a.example", "failed", "REFUSED")))
    report, lines = reported(run)
    expected = """\
postmaster.mta_sts rollout: 1 domain, 2 policy hosts, 41 s
  a.example  pending  enforce, 30 days, 2 mx  keeps 0badcafe  held
      _mta-sts.a.example TXT: REFUSED (record-failed)
What to do:
  record-failed: mend what the name server says; then run again
0 announced, 0 in place, 0 waiting, 1 held, 0 withdrawing, 1 pending. Report: ./mta-sts-run/report.html"""
    assert "\n".join(lines) == expected
    assert report["counts"] == {"pending": 1}
    assert needing_somebody(report) == {"a.example": "record-failed"}


def test_a_record_that_others_are_to_put_in_place_is_awaited_and_that_of_reports_keeps_nothing_back() -> None:
    for name, stage, code in (("_mta-sts", "pending", "record-awaited"), ("_smtp._tls", "enforcing", "tlsrpt-awaited")):
        dns = results(result("a.example", "awaited", "is yet to be put in place", name=name))
        (domain,) = reported(Run(plan(enforcing("a.example")), seen_ids(a=OLD_ID), dns))[0]["domains"]
        assert domain["stage"] == stage
        assert [hold["code"] for hold in domain["holds"]] == [code]
        assert domain["holds"][0]["message"] == f"{name}.a.example TXT: is yet to be put in place"


@pytest.mark.parametrize(("before", "announcement"), [(OLD_ID, "announced"), (None, "announced"), (ID, "in place")])
def test_what_somebody_else_has_brought_there_in_this_run_is_announced(before: str | None, announcement: str) -> None:
    dns = results(result("a.example", "ok", name="mta-sts", rdtype="A"), result("a.example", "ok"))
    (domain,) = reported(Run(plan(entry("a.example")), seen_ids(a=before), dns))[0]["domains"]
    assert (domain["announcement"], domain["record_id"]) == (announcement, ID)


def test_another_ttl_is_no_announcement() -> None:
    retimed = {**result("a.example", "changed"), "before": {"ttl": 3600, "values": [f"v=STSv1; id={ID}"]}}
    for check_mode in (False, True):
        _report, lines = reported(Run(plan(entry("a.example")), None, results(retimed), check_mode))
        assert lines[1] == "  a.example  testing  testing, 1 day, 1 mx  in place 3f2a9c01  ok"
        assert lines[-1].startswith("0 announced, 1 in place, ")


def test_check_mode_speaks_of_what_is_to_come() -> None:
    leaving = entry("b.example", "withdrawing", mode="none", record="remove")
    dns = results(result("a.example", "changed"), {**result("b.example", "changed"), "after": None})
    report, lines = reported(Run(plan(entry("a.example"), leaving), seen_ids(a=None, b=OLD_ID), dns, check_mode=True))
    expected = """\
postmaster.mta_sts rollout: 2 domains, 2 policy hosts, 41 s (check mode, nothing was changed)
  a.example  testing      testing, 1 day, 1 mx  to come 3f2a9c01  ok
  b.example  withdrawing  none, 1 day, 1 mx     record to go      ok
1 to come, 1 to go, 0 announced, 0 in place, 0 waiting, 0 held, 1 withdrawing, 0 pending. \
Report: ./mta-sts-run/report.html"""
    assert "\n".join(lines) == expected
    assert [domain["record_id"] for domain in report["domains"]] == [None, OLD_ID]


def test_nothing_to_report() -> None:
    report, lines = reported(Run(plan()))
    expected = """\
postmaster.mta_sts rollout: 0 domains, 2 policy hosts, 41 s
0 announced, 0 in place, 0 waiting, 0 held, 0 withdrawing, 0 pending. Report: ./mta-sts-run/report.html"""
    assert "\n".join(lines) == expected
    assert needing_somebody(report) == {}


def test_troubles_of_whole_hosts_come_first() -> None:
    run = Run(
        plan(entry("a.example"), troubles=["web1: its ledger is damaged and is set aside: not a database"]),
        troubles={"web2": "could not be reached"},
    )
    report, lines = reported(run)
    assert lines[1:3] == [
        "  policy host web2: could not be reached",
        "  policy host web1: its ledger is damaged and is set aside: not a database",
    ]
    assert report["failed_hosts"] == {"web2": "could not be reached"}
    assert report["troubles"] == ["web1: its ledger is damaged and is set aside: not a database"]
    report, lines = reported(
        Run(plan(entry("a.example")), troubles={"web2": "gone"}, probe_troubles={"probe1": "gone"})
    )
    assert lines[1:3] == ["  policy host web2: gone", "  probe host probe1: gone"]
    assert report["failed_probes"] == {"probe1": "gone"}
    assert rollout_failure(report) == "policy hosts that failed: web2; probe hosts that failed: probe1"
    unread = Reported({}, {"inbox1": "No such file or directory"})
    report, lines = reported(Run(plan(entry("a.example")), reported=unread))
    assert lines[1] == "  report host inbox1: No such file or directory"
    assert report["failed_report_hosts"] == unread.troubles
    assert rollout_failure(report) == "report hosts that failed: inbox1"
    report, lines = reported(Run(plan(entry("a.example")), troubles={"web2": "gone"}, dns_trouble="BADKEY"))
    assert lines[1:3] == ["  DNS: BADKEY", "  policy host web2: gone"]
    assert report["dns_trouble"] == "BADKEY"
    assert rollout_failure(report) == "no record could be written; policy hosts that failed: web2"
    many = {f"web{n}": "could not be reached" for n in range(500)}
    _report, lines = reported(Run(plan(entry("a.example")), troubles=many))
    assert lines[21] == "  ... and 480 more troubles of policy hosts"
    assert len(lines) == 24


def test_mail_that_is_refused_now_is_loud_and_first() -> None:
    """P6: a domain that enforces is not taken back, so somebody must hear of it."""
    failing = hold("mx2.example.net:25: certificate has expired", "mx-failing")
    early = hold(
        "mx3.example.net is in DNS, and senders may hold a policy without it", "mx-early", "2026-12-01T00:00:00+00:00"
    )
    report, lines = reported(Run(plan(enforcing("a.example", failing), enforcing("b.example", early))))
    assert [line for line in lines if line.endswith("MAIL AT RISK")] == [lines[1], lines[3]]
    assert needing_somebody(report) == {"a.example": "mx-failing", "b.example": "mx-early"}
    others = [entry(f"d{n}.example", "pending", hold("no", "dns-failure")) for n in range(50)]
    _report, lines = reported(Run(plan(*others, enforcing("a.example", failing))))
    assert lines[1] == f"  1 domain held, mx-failing: {HOLD_KINDS['mx-failing'].cause}"
    assert lines[2] == "      a.example: mx2.example.net:25: certificate has expired"


@pytest.mark.parametrize("code", HOLD_KINDS)
def test_time_alone_needs_nobody_and_neither_does_what_holds_nothing(code: str) -> None:
    """P7: what fails a run."""
    report, lines = reported(Run(plan(enforcing("a.example", hold("why", code)))))
    kind = HOLD_KINDS[code]
    fails = not kind.waits and kind.effect in ("announce", "step")
    assert needing_somebody(report) == ({"a.example": code} if fails else {})
    word = "waits" if kind.waits else "held" if fails else "ok, but"
    assert lines[1].endswith("MAIL AT RISK" if code in AT_RISK else word)
    assert (f"  {code}: {kind.remedy}" in lines) == (not kind.waits)
    assert (" 1 held, " in lines[-1]) == fails
    assert (" 1 waiting, " in lines[-1]) == kind.waits


def test_a_run_fails_for_the_domains_that_need_somebody() -> None:
    pending = [entry(f"d{n}.example", "pending", hold("no", "dns-failure")) for n in range(30)]
    waiting = entry("w.example", "testing", hold("testing period of 7 days", "testing-period"))
    assert rollout_failure(reported(Run(plan(waiting)))[0]) == ""
    one = "1 of 2 domains needs somebody: d0.example (dns-failure)"
    assert rollout_failure(reported(Run(plan(pending[0], waiting)))[0]) == one
    two = "2 of 3 domains need somebody: d0.example (dns-failure), d1.example (dns-failure)"
    assert rollout_failure(reported(Run(plan(*pending[:2], waiting)))[0]) == two
    many = rollout_failure(reported(Run(plan(*pending, waiting)))[0])
    assert many.startswith("30 of 31 domains need somebody: d0.example (dns-failure), ")
    assert many.endswith(", d19.example (dns-failure), ...")


def test_the_first_hold_that_needs_somebody_is_named() -> None:
    holds = [hold("a", "testing-period"), hold("b", "renewal"), hold("c", "mx-unready"), hold("d", "mx-early")]
    report, _lines = reported(Run(plan(entry("a.example", "testing", *holds), entry("b.example"))))
    assert needing_somebody(report) == {"a.example": "mx-unready"}


def test_a_remedy_that_many_share_is_said_once() -> None:
    entries = [entry(f"d{n}.example", "pending", hold(f"d{n}: 404"), hold(f"d{n}: 500")) for n in range(40)]
    _report, lines = reported(Run(plan(*entries)))
    assert [line for line in lines if HOLD_KINDS["proof-failed"].remedy in line] == [lines[-2]]
    assert len(lines) == 1 + 40 * 3 + 2 + 1


def test_findings_about_mx_hosts_are_told_where_no_hold_says_the_same() -> None:
    finding = Finding("mx-starttls", "mx.example.net:25", "does not offer STARTTLS")
    observed = {"domains": {"a.example": {"record_id": ID, "findings": [finding.to_dict()]}}}
    _report, lines = reported(Run(plan(entry("a.example")), observed, results(result("a.example", "ok"))))
    assert lines[1:3] == [
        "  a.example  testing  testing, 1 day, 1 mx  in place 3f2a9c01  ok, but",
        "      mx.example.net:25: does not offer STARTTLS (MX finding)",
    ]


def test_many_domains_are_counted_by_reason() -> None:
    period = [
        hold("testing period of 7 days", "testing-period", f"2026-11-{day}T10:00:00+00:00")
        for day in ("30", "25", "28")
    ]
    unread = hold("web2: its ledger was not read", "ledger-unread")
    silent = [hold(f"DNS did not answer for mta-sts.e{n}.example", "dns-failure") for n in range(5)]
    run = Run(
        plan(
            *(entry(f"d{n}.example", "testing", period[n % 3]) for n in range(40)),
            *(entry(f"e{n}.example", "pending", why, unread) for n, why in enumerate(silent)),
            enforcing("example.com", hold("web1: not refreshed", "renewal")),
            enforcing("example.org"),
            orphans=["older.example", "oldest.example"],
        ),
        None,
        results(result("example.org", "changed"), result("example.com", "ok")),
    )
    _report, lines = reported(run)
    expected = """\
postmaster.mta_sts rollout: 47 domains, 2 policy hosts, 41 s
  example.org  enforcing  enforce, 30 days, 2 mx  announced 3f2a9c01  ok
  5 domains held, dns-failure: DNS did not answer, so DNS is left as it is
      e0.example: DNS did not answer for mta-sts.e0.example
      e1.example: DNS did not answer for mta-sts.e1.example
      e2.example: DNS did not answer for mta-sts.e2.example
      ... and 2 more like these
      what to do: mend the name servers of the domain
  5 domains held, ledger-unread: the ledger of a policy host could not be read, so nobody knows what senders may hold; \
nothing is changed
      e0.example, e1.example, e2.example and 2 more: web2: its ledger was not read
      what to do: bring the host back, or take it out of the group for good; then run again
  1 domain told, renewal: a policy host could not refresh its certificate, or not remove that of a policy that is gone
      example.com: web1: not refreshed
      what to do: mend what the message says, before the certificate expires
  40 domains waiting, testing-period: the policy is tested before it is enforced
      d0.example, d1.example, d2.example and 37 more: testing period of 7 days
      until 2026-11-25 10:00 UTC for the first, 2026-11-30 10:00 UTC for the last
  1 domain without a hold
  2 orphans: older.example, oldest.example
      served on, though the inventory does not name them; 'state: absent' withdraws them
1 announced, 1 in place, 40 waiting, 5 held, 0 withdrawing, 5 pending. Report: ./mta-sts-run/report.html"""
    assert "\n".join(lines) == expected


@pytest.mark.parametrize(("moved", "shown"), [(20, 20), (21, 0)])
def test_of_many_domains_those_that_moved_are_shown_if_they_are_few(moved: int, shown: int) -> None:
    domains = [f"d{n}.example" for n in range(50)]
    dns = results(*(result(domain, "changed") for domain in domains[:moved]))
    _report, lines = reported(Run(plan(*map(entry, domains)), None, dns))
    assert sum("announced 3f2a9c01" in line for line in lines) == shown
    assert lines[-1].startswith(f"{moved} announced, ")


@pytest.mark.parametrize(("number", "held"), [(1000, 0), (1000, 7), (1000, 1000), (10_000, 3000)])
def test_very_many_domains_are_a_page(number: int, held: int) -> None:
    codes = list(HOLD_KINDS)
    entries = [
        entry(f"d{n}.example", "pending", hold(f"reason {n}", codes[n % 5]), hold(f"also {n}", codes[n % 5]))
        if n < held
        else entry(f"d{n}.example")
        for n in range(number)
    ]
    orphans = [f"o{n}.example" for n in range(5000)]
    before = time.process_time()
    report, lines = reported(Run(plan(*entries, orphans=orphans)))
    assert time.process_time() - before < 2
    assert len(lines) < 60
    assert len(report["domains"]) == number
    text = "\n".join(lines)
    for first, code in enumerate(codes[:5]):
        count = len(range(first, held, 5))
        assert (f"{count} domain{'' if count == 1 else 's'} held, {code}: " in text) == (count > 0)
    assert f"0 announced, 0 in place, 0 waiting, {held} held, 0 withdrawing, {held} pending." in lines[-1]
    assert "o19.example and 4980 more" in text
    assert (f"{number - held} domains without a hold" in text) == (held < number)


def test_every_reason_at_once_is_still_a_page() -> None:
    codes = list(HOLD_KINDS)
    entries = [
        entry(f"d{n}.example", "pending", hold(f"reason {n}", codes[n % len(codes)], "2026-11-30T09:12:00+00:00"))
        for n in range(2000)
    ]
    _report, lines = reported(Run(plan(*entries)))
    assert len(lines) < 7 * len(codes)


HOSTILE = "\x1b]0;gone\x07\x1b[2J\r\nok: [web1]\x9b31m\u202e\u2028"


def test_nothing_harms_a_terminal() -> None:
    """P12: what came from DNS, HTTPS, SMTP, certbot and name servers ends up here."""
    finding = Finding("mx-starttls", HOSTILE, HOSTILE).to_dict()
    for copies in (1, 50):
        run = Run(
            plan(
                *(entry(f"a{n}.example", "pending", hold(HOSTILE)) for n in range(copies)),
                entry("b.example"),
                entry("c.example", "pending", hold("why")),
                orphans=[HOSTILE],
                troubles=[HOSTILE],
            ),
            {"domains": {name: {"record_id": HOSTILE, "findings": [finding]} for name in ("b.example", "c.example")}},
            results(result("b.example", "failed", HOSTILE)),
            troubles={HOSTILE: HOSTILE},
            probe_troubles={HOSTILE: HOSTILE},
        )
        _report, lines = reported(run, valid=False)
        assert "\n".join(lines).count("gone") > 4
        assert [line for line in lines if not line.isprintable()] == []


def seen(verdict: str = "enforce", *findings: Finding, **more: t.Any) -> Document:
    policy = {"id": ID, "mode": "enforce", "mx": ["mx.example.net"], "max_age": 604800}
    return {
        "verdict": verdict,
        "record_id": ID,
        "policy": policy,
        "findings": [finding.to_dict() for finding in findings],
        "reported": [],
        **more,
    }


def verified(domains: Document, **troubles: str) -> Document:
    return {"domains": domains, "seconds": 3, "failed_hosts": troubles, "failed_report_hosts": {}}


def test_a_small_verification() -> None:
    lines = verify_lines(
        verified(
            {
                "example.com": seen(),
                "example.org": seen(
                    "broken",
                    Finding("tlsrpt-missing", "_smtp._tls.example.org", "has no TXT record"),
                    Finding("policy-http", "https://mta-sts.example.org", "status 404 instead of 200"),
                    policy=None,
                    record_id=None,
                ),
            }
        ),
        PAGE,
    )
    assert lines == [
        "postmaster.mta_sts verify: 2 domains, 3 s",
        "  example.com  enforce  enforce, 7 days, 1 mx  id 3f2a9c01  ok",
        "  example.org  broken   no policy              no id",
        "      error: https://mta-sts.example.org: status 404 instead of 200 (RFC 8461 3.3)",
        "          serve the policy with a web server that does",
        "      notice: _smtp._tls.example.org: has no TXT record (RFC 8460 3)",
        f"1 broken, 1 enforce. Report: {PAGE}",
    ]


def test_very_many_verified_domains_are_a_page() -> None:
    failure = Finding("policy-unreachable", "https://x", "connection refused")
    domains = {f"d{n}.example": seen("broken", failure) if n % 2 else seen() for n in range(2000)}
    lines = verify_lines(verified(domains), PAGE)
    assert len(lines) < 130
    assert lines[-1] == f"1000 broken, 1000 enforce. Report: {PAGE}"
    assert "  ... and 960 more" in lines


def test_a_domain_with_very_many_findings_is_not_a_book() -> None:
    findings = [Finding("mx-starttls", f"mx{n}.example:25", "does not offer STARTTLS") for n in range(512)]
    assert len(verify_lines(verified({"a.example": seen("broken", *findings)}), PAGE)) < 60
    documents = [finding.to_dict() for finding in findings]
    _report, lines = reported(
        Run(plan(entry("a.example")), {"domains": {"a.example": {"record_id": None, "findings": documents}}})
    )
    assert len(lines) < 60


def test_a_hostile_verification_harms_no_terminal() -> None:
    hostile = verified({"a.example": seen("broken", Finding("policy-http", HOSTILE, HOSTILE))}, probe1=HOSTILE)
    lines = verify_lines(hostile, PAGE)
    assert lines[1].startswith("  probe host probe1: ")
    assert [line for line in lines if not line.isprintable()] == []
