# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Records that are not ours alone: of customers who keep their zones, of others who want reports, of who may issue."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
from ansible_collections.postmaster.mta_sts.plugins.module_utils._policy import policy_id

if t.TYPE_CHECKING:
    from conftest import Lab, Playbook

CUSTOMER = {
    "domain": "customer.example",
    "mx": ["mx1.lab.test"],
    "delegation": "lab.test",
    "tlsrpt": ["mailto:a@lab.test"],
}
UNCERTIFIED = {"domain": "uncertified.example", "mx": ["mx1.lab.test"]}
OLD = {"domain": "old.example", "mx": ["mx1.lab.test"], "tlsrpt": ["mailto:ours@lab.test"]}
# With something to change in the policies, too.
MERGING = [{**CUSTOMER, "max_age": 43200}, UNCERTIFIED, {**OLD, "tlsrpt_others": "merge"}]
LINES = {kind: f"{kind}.customer.example. CNAME {kind}.customer.example.lab.test." for kind in ("_mta-sts", "mta-sts")}


def holds(lab: Lab, domain: str) -> dict[str, str]:
    return {hold["code"]: hold["message"] for hold in lab.report()[domain]["holds"]}


def test_records_that_are_not_ours_alone(lab: Lab) -> None:
    """A customer is told the two lines, others' reports go on, and a forbidden certificate is not asked for."""
    theirs = '"v=TLSRPTv1; rua=mailto:theirs@example.net"'
    lab.nsupdate(f"update add _smtp._tls.old.example. 5 TXT {theirs}")
    first = lab.rollout(mta_sts_domains=[CUSTOMER, UNCERTIFIED, OLD])
    assert first.status != 0
    assert "Module failed" not in first.output
    told = holds(lab, "customer.example")
    assert all(line in told["delegation"] for line in LINES.values())
    assert "_smtp._tls.customer.example.lab.test." in told["tlsrpt-delegation"]
    # In our zone all is there that the customer will lead to, but for the id.
    assert lab.dig("mta-sts.customer.example.lab.test", "A") == sorted(lab.addresses[n] for n in lab.policy_hosts)
    assert lab.dig("_smtp._tls.customer.example.lab.test") == ['"v=TLSRPTv1; rua=mailto:a@lab.test"']
    assert lab.dig("_mta-sts.customer.example.lab.test") == []
    forbidden = holds(lab, "uncertified.example")
    assert "let nobody issue" in forbidden["certificate"]
    assert "let nobody issue" in forbidden["caa"]
    assert lab.report()["old.example"]["stage"] == "testing"
    assert "mailto:theirs@example.net" in holds(lab, "old.example")["tlsrpt-others"]
    assert lab.dig("_smtp._tls.old.example") == [theirs]


@pytest.fixture(scope="module")
def then(lab: Lab) -> Playbook:
    """The rollout after the others did what they were told, which prints all that it can."""
    for line in LINES.values():
        name, rdtype, target = line.split()
        lab.nsupdate(f"update add {name} 5 {rdtype} {target}")
    lab.nsupdate("update delete uncertified.example. CAA")
    return lab.quick_rollout("-vvv", "--diff", mta_sts_domains=MERGING)


def test_records_that_others_made_meanwhile(lab: Lab, then: Playbook) -> None:
    assert then.status == 0, then.output
    identifier = policy_id(lab.curl("web2", "customer.example"))
    assert lab.dig("_mta-sts.customer.example.lab.test") == [f'"v=STSv1; id={identifier}"']
    assert lab.dig("_mta-sts.customer.example") == ["_mta-sts.customer.example.lab.test."]
    assert lab.report()["uncertified.example"]["stage"] == "testing"
    merged = '"v=TLSRPTv1; rua=mailto:theirs@example.net,mailto:ours@lab.test"'
    assert lab.dig("_smtp._tls.old.example") == [merged]


def test_no_secret_is_told_or_lies_open(lab: Lab, then: Playbook) -> None:
    """P12: not in what a rollout prints when it is told to print all, not in its documents, not on the policy hosts."""
    # It changed something in DNS, in files and in certificates.
    assert "rfc2136_record_sets" in then.output
    assert set(then.changed) == {"localhost", *lab.policy_hosts}
    assert min(then.changed.values()) > 0
    secrets = [lab.facts["lab_tsig_secret"], "PRIVATE KEY"]
    written = [path.read_text() for path in lab.run_dir.rglob("*") if path.is_file()]
    assert len(written) > 5
    assert not [secret for secret in secrets for text in (then.output, *written) if secret in text]
    open_files = "find /etc /var /tmp /run /srv -xdev -type f -perm -o=r -exec grep -lF %s {} +"
    for host in lab.policy_hosts:
        for secret in secrets:
            assert lab.host(host).run(open_files, f"-e{secret}").stdout == ""


def test_yet_another_rollout_changes_nothing(lab: Lab) -> None:
    again = lab.quick_rollout(mta_sts_domains=MERGING)
    assert again.status == 0, again.output
    assert set(again.changed.values()) == {0}, again.output


def test_records_that_somebody_else_applies(lab: Lab, tmp_path: Path) -> None:
    """Each run goes as far as what is in DNS lets it: first the addresses, then the id."""
    domain = "xn--bcher-kva.example"
    ours = {
        "mta_sts_domains": [{"domain": domain, "mx": ["mx1.lab.test"]}],
        "mta_sts_dns": {"backend": "records", "directory": str(tmp_path), "authorities": [lab.facts["lab_ns_address"]]},
    }
    zone = tmp_path / "records.zone"

    def apply() -> None:
        lines = [line for line in zone.read_text().splitlines() if line and not line.startswith(";")]
        assert lines
        sets = dict.fromkeys(" ".join((line.split()[0], line.split()[3])) for line in lines)
        for one in sets:
            lab.nsupdate(f"update delete {one}")
        for line in lines:
            lab.nsupdate(f"update add {line}")

    first = lab.quick_rollout(**ours)
    assert first.status != 0
    assert "Module failed" not in first.output
    awaited = holds(lab, domain)["record-awaited"]
    assert f"mta-sts.{domain} A: not in DNS yet: " in awaited
    assert str(tmp_path / "records.md") in awaited
    # Nobody was asked for a certificate that could not have been given.
    for host in lab.policy_hosts:
        assert not lab.host(host).file(f"/etc/letsencrypt/renewal/mta-sts.{domain}.conf").exists
    apply()
    assert lab.quick_rollout(**ours).status != 0
    assert f"_mta-sts.{domain} TXT: not in DNS yet: " in holds(lab, domain)["record-awaited"]
    assert lab.dig(f"_mta-sts.{domain}") == []
    apply()
    last = lab.quick_rollout(**ours)
    assert last.status == 0, last.output
    assert lab.report()[domain]["stage"] == "testing"
    assert lab.dig(f"_mta-sts.{domain}") == [f'"v=STSv1; id={policy_id(lab.curl("web1", domain))}"']
