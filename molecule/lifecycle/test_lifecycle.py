# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way of a domain from nothing to enforce, through a move of its MX hosts, and out again.

Each test goes on where the one before it ended. Time passes by making the ledgers older. At each stage a sender of
other people's making says what it gets, and Postfix asks that sender what to do with mail.
"""

from __future__ import annotations

import datetime as dt
import json
import typing as t

from ansible_collections.postmaster.mta_sts.plugins.module_utils._policy import parse_policy, policy_id

if t.TYPE_CHECKING:
    from conftest import Lab

# For how long a sender may hold a policy of 30 days, by the guide.
HELD = dt.timedelta(days=30, minutes=70)
DAY, WEEK = dt.timedelta(days=1), dt.timedelta(days=7)
REPORTS = "mailto:tls-reports@example.org"
ORG = {"domain": "example.org", "mx": ["mx1.lab.test"], "mode": "enforce", "tlsrpt": [REPORTS]}
NET = {"domain": "example.net", "mx": ["mx1.lab.test", "mx2.lab.test"], "mode": "enforce", "testing_days": 0}
MOVING = {**ORG, "mx": ["mx1.lab.test", "mx2.lab.test"]}
COM = {"domain": "example.com", "mx": ["mx1.lab.test"], "mode": "enforce"}
OLD = {"domain": "old.example", "mx": ["mx1.lab.test"], "mode": "enforce", "replace_foreign": True}

ASK = """
import asyncio, json, sys
sys.path.insert(0, '/opt/sender')
from postfix_mta_sts_resolver.resolver import STSResolver
async def ask(domain):
    return await STSResolver(loop=asyncio.get_running_loop()).resolve(domain)
result, answer = asyncio.run(ask(sys.argv[1]))
print(json.dumps([result.name, answer]))
"""


DELIVER = """
import pathlib, sys
pathlib.Path('/var/spool/tls-reports', sys.argv[1]).write_text(sys.argv[2])
"""


def deliver(lab: Lab, days: int, succeeded: int, failed: int) -> None:
    """A report about the day so many days ago arrives."""
    day = (dt.datetime.now(dt.timezone.utc) - dt.timedelta(days=days)).date()
    detail = {
        "result-type": "certificate-expired",
        "receiving-mx-hostname": "mx1.lab.test",
        "failed-session-count": failed,
    }
    counts = {"total-successful-session-count": succeeded, "total-failure-session-count": failed}
    policy = {"policy-type": "sts", "policy-domain": "example.com"}
    report = {
        "organization-name": "Sender",
        "date-range": {"start-datetime": f"{day}T00:00:00Z", "end-datetime": f"{day}T23:59:59Z"},
        "report-id": str(days),
        "policies": [{"policy": policy, "summary": counts, "failure-details": [detail] if failed else []}],
    }
    with lab.on_host("mx1", DELIVER, f"{days}.json", json.dumps(report)) as process:
        assert process.wait() == 0


def step(lab: Lab, *entries: dict[str, t.Any]) -> dict[str, dict[str, t.Any]]:
    """One rollout, and what it reported."""
    done = lab.quick_rollout(mta_sts_domains=[*entries])
    assert done.status == 0, done.output
    return lab.report()


def holds(report: dict[str, t.Any]) -> dict[str, dict[str, t.Any]]:
    return {hold["code"]: hold for hold in report["holds"]}


def about(until: str, span: dt.timedelta) -> bool:
    """Whether a time is so far from now, as exactly as a run of some minutes lets it be."""
    wanted = dt.datetime.now(dt.timezone.utc) + span
    return abs(dt.datetime.fromisoformat(until) - wanted) < dt.timedelta(minutes=5)


def ask(lab: Lab, domain: str) -> list[t.Any]:
    """What the sender gets for a domain."""
    with lab.on_host("mx1", ASK, domain) as process:
        output, _no_errors = process.communicate()
    answer: list[t.Any] = json.loads(output)
    return answer


def postfix_may(lab: Lab, domain: str) -> str:
    """What Postfix is told to do with mail for a domain; nothing, where it may do as it likes."""
    found = lab.host("mx1").run("postmap -q %s socketmap:inet:127.0.0.1:8461:postfix", domain)
    return str(found.stdout).strip()


def agrees(lab: Lab, entry: dict[str, t.Any]) -> bool:
    """Whether the sender gets exactly what the plan says, from what DNS announces."""
    assert lab.dig(f"_mta-sts.{entry['domain']}") == [f'"v=STSv1; id={entry["id"]}"']
    policy = {"version": "STSv1", "mode": entry["mode"], "mx": entry["mx"], "max_age": entry["max_age"]}
    return ask(lab, entry["domain"]) == ["VALID", [entry["id"], policy]]


def test_a_domain_is_tested_before_it_is_enforced(lab: Lab) -> None:
    org = step(lab, ORG, NET, OLD, COM)["example.org"]
    assert (org["stage"], org["mode"]) == ("testing", "testing")
    assert set(holds(org)) == {"testing-period"}
    assert about(holds(org)["testing-period"]["until"], WEEK)
    assert agrees(lab, org)
    assert postfix_may(lab, "example.org") == ""


def test_an_mx_host_that_is_not_ready_holds_the_step(lab: Lab) -> None:
    net = lab.report()["example.net"]
    assert (net["stage"], net["mode"]) == ("testing", "testing")
    assert "mx2.lab.test" in holds(net)["mx-unready"]["message"]
    assert "self-signed" in holds(net)["mx-unready"]["message"]
    assert agrees(lab, net)


def test_what_another_tool_enforced_is_enforced_without_a_gap(lab: Lab) -> None:
    old = lab.report()["old.example"]
    assert (old["stage"], old["mode"]) == ("enforcing", "enforce")
    assert set(holds(old)) <= {"mx-new"}
    assert agrees(lab, old)
    assert postfix_may(lab, "old.example").startswith("secure match=mx1.lab.test")
    # No policy host ever served anything else, and what the other tool served is remembered.
    for host in lab.policy_hosts:
        rows = json.loads((lab.run_dir / f"ledgers/{host}.json").read_text())["domains"]["old.example"]["served"]
        assert {row["mode"] for row in rows} == {"enforce"}
        assert {row["max_age"] for row in rows} == {7 * 86400, 30 * 86400}


def test_after_the_testing_period_it_enforces(lab: Lab) -> None:
    lab.age(days=7, minutes=1)
    deliver(lab, 3, 20, 4)
    report = step(lab, ORG, NET, OLD, COM)
    assert (report["example.org"]["stage"], report["example.org"]["holds"]) == ("enforcing", [])
    assert agrees(lab, report["example.org"])
    assert postfix_may(lab, "example.org").startswith("secure match=mx1.lab.test")
    # Time does not mend a certificate.
    assert report["example.net"]["mode"] == "testing"
    assert "mx-unready" in holds(report["example.net"])


def test_what_senders_reported_holds_the_step_until_they_report_that_all_is_well(lab: Lab) -> None:
    com = lab.report()["example.com"]
    assert (com["stage"], set(holds(com))) == ("testing", {"mx-reported"})
    assert "mx1.lab.test: certificate-expired in 4 sessions since " in holds(com)["mx-reported"]["message"]
    assert [(day["succeeded"], day["failed"]) for day in com["reported"]] == [(20, 4)]
    assert agrees(lab, com)
    deliver(lab, 1, 30, 0)
    com = step(lab, MOVING, NET, OLD, COM)["example.com"]
    assert (com["stage"], com["holds"]) == ("enforcing", [])
    assert agrees(lab, com)


def test_a_new_mx_host_is_in_the_policy_at_once_and_in_dns_later(lab: Lab) -> None:
    """In the rollout before."""
    org = lab.report()["example.org"]
    assert org["mx"] == ["mx1.lab.test", "mx2.lab.test"]
    assert set(holds(org)) == {"mx-new"}
    assert about(holds(org)["mx-new"]["until"], HELD)
    assert agrees(lab, org)


def test_one_that_is_in_dns_too_early_is_told_and_lowers_nothing(lab: Lab) -> None:
    lab.nsupdate("update add example.org 5 MX 20 mx2.lab.test.")
    deliver(lab, 0, 0, 50)
    org = step(lab, MOVING, NET, OLD, COM)["example.org"]
    assert (org["stage"], org["mode"]) == ("enforcing", "enforce")
    assert {"mx-early", "mx-failing"} <= set(holds(org))
    assert about(holds(org)["mx-early"]["until"], HELD)
    assert "self-signed" in holds(org)["mx-failing"]["message"]


def test_what_senders_report_of_a_domain_that_enforces_does_not_take_it_back(lab: Lab) -> None:
    """In the rollout before."""
    com = lab.report()["example.com"]
    assert (com["stage"], com["mode"], com["holds"]) == ("enforcing", "enforce", [])
    assert [day["failed"] for day in com["reported"]] == [4, 0, 50]


def test_a_pattern_stays_as_long_as_senders_may_find_its_host(lab: Lab) -> None:
    needed = step(lab, ORG)["example.org"]
    assert needed["mx"] == ["mx1.lab.test", "mx2.lab.test"]
    assert "still in DNS" in holds(needed)["mx-needed"]["message"]
    lab.nsupdate("update delete example.org MX 20 mx2.lab.test.")
    cached = step(lab, ORG)["example.org"]
    assert cached["mx"] == ["mx1.lab.test", "mx2.lab.test"]
    assert about(holds(cached)["mx-needed"]["until"], DAY)
    lab.age(days=1, minutes=1)
    gone = step(lab, ORG)["example.org"]
    assert (gone["mx"], gone["holds"]) == (["mx1.lab.test"], [])
    assert agrees(lab, gone)


LEAVING = {"domain": "example.org", "state": "absent"}


def test_it_leaves_with_mode_none(lab: Lab) -> None:
    org = step(lab, LEAVING)["example.org"]
    assert (org["stage"], org["mode"], org["mx"][0]) == ("withdrawing", "none", "mx1.lab.test")
    assert about(holds(org)["withdrawal-policies"]["until"], HELD)
    assert agrees(lab, org)
    assert postfix_may(lab, "example.org") == ""


def test_the_record_goes_when_no_sender_can_hold_an_older_policy(lab: Lab) -> None:
    lab.age(days=30, minutes=60)
    assert agrees(lab, step(lab, LEAVING)["example.org"])
    lab.age(minutes=11)
    org = step(lab, LEAVING)["example.org"]
    assert (org["stage"], set(holds(org))) == ("withdrawing", {"withdrawal-record"})
    assert lab.dig("_mta-sts.example.org") == []
    assert ask(lab, "example.org") == ["NONE", None]
    # Whoever has the record in a cache still gets the policy.
    for host in lab.policy_hosts:
        assert parse_policy(lab.curl(host, "example.org")).mode == "none"


def test_the_rest_goes_when_the_record_is_in_no_cache(lab: Lab) -> None:
    assert about(holds(step(lab, LEAVING)["example.org"])["withdrawal-record"]["until"], DAY)
    lab.age(days=1, minutes=1)
    assert lab.dig("_smtp._tls.example.org") == [f'"v=TLSRPTv1; rua={REPORTS}"']
    assert step(lab, LEAVING)["example.org"]["stage"] == "withdrawing"
    assert lab.dig("mta-sts.example.org", "A") == []
    assert lab.dig("_smtp._tls.example.org") == []
    for host in lab.policy_hosts:
        there = "find /var/lib/mta-sts /etc/letsencrypt /etc/nginx -name '*example.org*'"
        assert lab.host(host).check_output(there) == ""
        assert "example.org" not in lab.host(host).check_output("cat /etc/nginx/sites-enabled/zz-mta-sts.conf")
    assert ask(lab, "example.org") == ["NONE", None]
    after = step(lab, LEAVING)["example.org"]
    assert (after["stage"], after["holds"]) == ("absent", [])
    # The other domains were left out of the inventory meanwhile, and are served and announced as before.
    assert [len(lab.dig(f"_mta-sts.{name}")) for name in ("example.net", "old.example")] == [1, 1]
    assert policy_id(lab.curl("web2", "old.example")) in lab.dig("_mta-sts.old.example")[0]
