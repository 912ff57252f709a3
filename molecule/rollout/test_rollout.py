# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a rollout leaves behind, as senders, name servers and administrators see it."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.postmaster.mta_sts.plugins.module_utils._policy import policy_id

if t.TYPE_CHECKING:
    from conftest import Lab

POLICIES = {
    "example.com": b"version: STSv1\r\nmode: enforce\r\nmx: mx1.lab.test\r\nmax_age: 2592000\r\n",
    "example.net": b"version: STSv1\r\nmode: testing\r\nmx: mx1.lab.test\r\nmx: mx2.lab.test\r\nmax_age: 86400\r\n",
    "xn--bcher-kva.example": b"version: STSv1\r\nmode: testing\r\nmx: mx1.lab.test\r\nmax_age: 86400\r\n",
}


@pytest.mark.parametrize("host", ["web1", "web2"])
@pytest.mark.parametrize("domain", POLICIES)
def test_every_policy_host_serves_the_very_bytes(lab: Lab, host: str, domain: str) -> None:
    assert lab.curl(host, domain) == POLICIES[domain]


@pytest.mark.parametrize("domain", POLICIES)
def test_dns_has_exactly_the_id_of_the_served_bytes(lab: Lab, domain: str) -> None:
    identifier = policy_id(lab.curl("web1", domain))
    assert lab.dig(f"_mta-sts.{domain}") == [f'"v=STSv1; id={identifier}"']


def test_tlsrpt_record(lab: Lab) -> None:
    wanted = '"v=TLSRPTv1; rua=mailto:tls-reports@example.com,https://reports.example.net/tlsrpt"'
    assert lab.dig("_smtp._tls.example.com") == [wanted]


def test_address_records_lead_to_every_policy_host(lab: Lab) -> None:
    assert lab.dig("mta-sts.example.com", "A") == sorted(lab.addresses[host] for host in lab.policy_hosts)


def test_a_second_rollout_changes_nothing(lab: Lab) -> None:
    again = lab.rollout()
    assert again.status == 0, again.output
    assert again.changed == {"localhost": 0, "web1": 0, "web2": 0}


def test_a_domain_that_leads_elsewhere_is_pending_and_hurts_no_other(lab: Lab) -> None:
    """In the rollout before."""
    assert lab.dig("_mta-sts.broken.example") == []
    assert lab.dig("mta-sts.broken.example", "A") == [lab.addresses["mx1"]]
    report = lab.report()
    assert report["broken.example"]["stage"] == "pending"
    assert [hold["code"] for hold in report["broken.example"]["holds"]] == ["address-elsewhere"]
    assert {report[domain]["stage"] for domain in POLICIES} == {"enforcing", "testing"}


@pytest.mark.parametrize("host", ["web1", "web2"])
def test_http_is_as_senders_want_it(lab: Lab, host: str) -> None:
    answer = lab.curl(host, "example.com", "--include", "--header", "If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT")
    head, _blank, body = answer.partition(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    assert lines[0] == b"http/1.1 200 ok"
    assert b"content-type: text/plain" in lines
    assert b"content-length: %d" % len(body) in lines
    assert not [line for line in lines if line.startswith((b"location:", b"set-cookie:", b"content-encoding:"))]


@pytest.mark.parametrize("path", ["/", "/.well-known/", "/.well-known/mta-sts.txt/", "/mta-sts.txt"])
def test_nothing_else_is_served(lab: Lab, path: str) -> None:
    answer = lab.curl("web1", "example.com", "--include", "--no-fail", path=path)
    assert answer.startswith(b"HTTP/1.1 404 ")


def test_port_80_serves_no_policy_and_redirects_nowhere(lab: Lab) -> None:
    url = f"http://{lab.addresses['web1']}/.well-known/mta-sts.txt"
    answer = lab.host("mx1").check_output("curl --silent --include --header 'Host: mta-sts.example.com' %s", url)
    assert answer.startswith("HTTP/1.1 404 ")


def test_unknown_names_are_refused_at_the_handshake(lab: Lab) -> None:
    with pytest.raises(AssertionError, match="unrecognized name"):
        lab.curl("web1", "unknown.example")


@pytest.mark.parametrize("host", ["web1", "web2"])
def test_keys_are_read_by_nginx_only(lab: Lab, host: str) -> None:
    directory = lab.host(host).file("/var/lib/mta-sts/tls")
    assert (directory.user, directory.group, directory.mode) == ("root", "www-data", 0o750)
    names = directory.listdir()
    assert sorted(names) == sorted(f"mta-sts.{domain}.pem" for domain in POLICIES)
    for name in names:
        file = lab.host(host).file(f"/var/lib/mta-sts/tls/{name}")
        assert (file.user, file.group, file.mode) == ("root", "www-data", 0o640)


def test_a_changed_policy_gets_a_new_id_and_others_keep_theirs(lab: Lab) -> None:
    others = [domain for domain in POLICIES if domain != "example.com"]
    before = {domain: lab.dig(f"_mta-sts.{domain}") for domain in POLICIES}
    domains = [
        {"domain": "example.com", "mx": ["mx1.lab.test"], "mode": "enforce", "max_age": 1209600},
        {"domain": "example.net", "mx": ["mx1.lab.test", "mx2.lab.test"]},
        {"domain": "bücher.example", "mx": ["mx1.lab.test"]},
    ]
    # P7: with one that is pending, of which the run is told to make a failure.
    domains.append({"domain": "broken.example", "mx": ["mx1.lab.test"]})
    changed = lab.quick_rollout(mta_sts_domains=domains, mta_sts_fail_on_pending=True)
    assert changed.status != 0
    assert "1 of 4 domains needs somebody: broken.example (address-elsewhere)" in changed.output
    body = lab.curl("web2", "example.com")
    assert body == POLICIES["example.com"].replace(b"2592000", b"1209600")
    assert lab.dig("_mta-sts.example.com") == [f'"v=STSv1; id={policy_id(body)}"'] != before["example.com"]
    assert {domain: lab.dig(f"_mta-sts.{domain}") for domain in others} == {d: before[d] for d in others}
    back = lab.quick_rollout()
    assert back.status == 0, back.output
    assert lab.dig("_mta-sts.example.com") == before["example.com"]


def test_verify_sees_what_senders_see(lab: Lab) -> None:
    seen = lab.playbook("verify", mta_sts_verify_domains="example.com,example.net,bücher.example,broken.example")
    assert seen.status != 0
    assert "4 domains" in seen.output
    assert "mx2.lab.test:25" in seen.output
    assert "self-signed certificate" in seen.output
    assert "1 broken, 1 enforce, 2 testing" in seen.output
    assert seen.changed == {"localhost": 0}
