# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes wrong outside of the collection: each time a clear error, and nothing half done."""

from __future__ import annotations

import re
import shutil
import typing as t
from pathlib import Path

import pytest
from ansible_collections.postmaster.mta_sts.plugins.module_utils._policy import policy_id

if t.TYPE_CHECKING:
    from conftest import Lab, Playbook

COM = {"domain": "example.com", "mx": ["mx1.lab.test"]}
ORG = {"domain": "example.org", "mx": ["mx1.lab.test"]}
NEW = {"domain": "example.net", "mx": ["mx1.lab.test"]}
ENFORCE = b"version: STSv1\r\nmode: enforce\r\nmx: mx1.lab.test\r\nmax_age: 2592000\r\n"

MISTAKES: list[tuple[dict[str, t.Any], str]] = [
    ({"domain": "exa mple.com", "mx": ["mx1.example.net"]}, "'exa mple.com'"),
    ({"domain": "example.org/path", "mx": ["mx1.example.net"]}, "'example.org/path' has a path"),
    ({"domain": "a.example", "mx": ["mx.bücher.example"]}, "'mx.xn--bcher-kva.example'"),
    ({"domain": "b.example"}, "mx: required"),
    ({"domain": "c.example", "mx": ["mx1.example.net"], "max_age": 31557601}, "31557601"),
    ({"domain": "d.example", "mx": ["mx1.example.net"], "max_age": -1}, "max_age -1"),
    ({"domain": "e.example", "mx": ["mx1.example.net"], "mode": "enforced"}, "mode 'enforced'"),
    ({"domain": "A.example.", "mx": ["mx1.example.net"]}, "'a.example' is listed twice, first at [3]"),
    ({"domain": "f.example", "mx": ["mx.*.example.net"]}, "one whole left-most label"),
    ({"domain": "g.example", "mx": ["192.0.2.1"]}, "an IP address"),
    ({"domain": "h.example", "mx": ["mx1.example.net"], "maxage": 1}, "did you mean 'max_age'?"),
    ({"domain": "i.example", "mx": ["mx1.example.net"], "tlsrpt": ["ftp://example.net"]}, "'ftp://example.net'"),
    ({"domain": "j.example", "mx": ["mx1.example.net"], "state": "gone"}, "state 'gone'"),
]


def footprint(lab: Lab) -> list[str]:
    """All that a rollout may change, as it stands on the hosts and in DNS."""
    listing = "find /var/lib/mta-sts /etc/nginx /etc/letsencrypt -printf '%p %s %T@ %m\n' | sort"
    return [
        *(lab.host(name).check_output(listing) for name in lab.policy_hosts),
        *(lab.zone(zone) for zone in ("example.com", "example.org", "example.net")),
    ]


def test_every_mistake_of_an_inventory_is_named_before_anything_is_touched(lab: Lab) -> None:
    before = footprint(lab)
    refused = lab.quick_rollout(mta_sts_domains=[COM, *(entry for entry, _text in MISTAKES)])
    assert refused.status != 0
    assert refused.output.count("[ERROR]: Task failed: ") == 1
    assert f"has {len(MISTAKES)} mistakes, nothing was touched" in refused.output
    lines = refused.output.splitlines()
    for index, (entry, text) in enumerate(MISTAKES, start=1):
        assert [line for line in lines if line.strip().startswith(f"[{index}] {entry['domain']}: ") and text in line]
    assert footprint(lab) == before


def test_a_tsig_key_that_bind_does_not_take(lab: Lab) -> None:
    before = footprint(lab)
    dns = {
        "server": lab.facts["lab_ns_address"],
        "key_name": lab.facts["lab_tsig_key_name"],
        "key_secret": "bm90IHRoZSBzZWNyZXQ=",
    }
    refused = lab.quick_rollout(mta_sts_dns=dns, mta_sts_domains=[{**COM, "mode": "enforce"}, ORG])
    assert refused.status != 0
    assert all(word in refused.output for word in ("rollout.lab.test", "secret")), refused.output
    assert dns["key_secret"] not in refused.output
    # It ends with a report all the same, in which no host counts as failed: none was asked for anything.
    assert "\npostmaster.mta_sts rollout: 2 domains, 2 policy hosts, " in refused.output
    assert "\n  policy host " not in refused.output
    assert re.search(r"\n  DNS: server .*rollout\.lab\.test", refused.output)
    assert footprint(lab) == before


def test_a_tsig_key_without_the_right_to_update(lab: Lab) -> None:
    zones = [lab.zone("example.com"), lab.zone("example.org")]
    dns = {
        "server": lab.facts["lab_ns_address"],
        "key_name": lab.facts["lab_tsig_powerless_key_name"],
        "key_secret": lab.facts["lab_tsig_powerless_secret"],
    }
    refused = lab.quick_rollout(mta_sts_dns=dns, mta_sts_domains=[{**COM, "mode": "enforce"}, ORG])
    assert refused.status != 0
    assert [hold["code"] for hold in lab.report()["example.com"]["holds"]] == ["record-failed"]
    message = lab.report()["example.com"]["holds"][0]["message"]
    assert "REFUSED" in message
    assert lab.facts["lab_tsig_powerless_key_name"] in message
    assert dns["key_secret"] not in refused.output
    assert [lab.zone("example.com"), lab.zone("example.org")] == zones


def test_an_acme_server_that_is_down_holds_only_what_needs_it(lab: Lab) -> None:
    machines = [lab.host(name) for name in lab.policy_hosts]
    # The ACME server itself must not be stopped: it would come back with another root.
    for machine in machines:
        machine.check_output("echo 127.0.0.1 ca.lab.test >> /etc/hosts")
    try:
        without = lab.quick_rollout(mta_sts_domains=[{**COM, "mode": "enforce"}, ORG, NEW])
    finally:
        for machine in machines:
            machine.check_output("sed -i /ca.lab.test/d /etc/hosts")
    assert without.status != 0
    hold = lab.report()["example.net"]["holds"][0]
    assert hold["code"] == "certificate"
    assert f"the ACME server {lab.facts['lab_acme_directory']} does not answer" in hold["message"]
    assert lab.dig("_mta-sts.example.net") == []
    assert lab.dig("_mta-sts.example.com") == [f'"v=STSv1; id={policy_id(ENFORCE)}"']


def test_an_nginx_configuration_that_was_broken_before(lab: Lab) -> None:
    lab.host("web1").check_output("echo 'nonsense;' > /etc/nginx/conf.d/broken.conf")
    before = footprint(lab)
    try:
        # A policy that no host served before, so that web1 cannot pass the proof of it.
        refused = lab.quick_rollout(mta_sts_domains=[{**COM, "mode": "enforce", "max_age": 1209600}, ORG])
        assert refused.status != 0
        assert "/etc/nginx/conf.d/broken.conf:1" in refused.output
        assert "does not pass 'nginx -t', mend it first" in refused.output
        after = footprint(lab)
        assert (after[0], after[2:]) == (before[0], before[2:])
        assert {hold["code"] for hold in lab.report()["example.com"]["holds"]} == {"proof-failed"}
    finally:
        lab.host("web1").check_output("rm /etc/nginx/conf.d/broken.conf")


def test_an_nginx_configuration_that_does_not_go_with_ours(lab: Lab) -> None:
    """As on a host where somebody else took a name of ours. For the moment nginx goes on with what it has in memory."""
    theirs, ours = "/etc/nginx/conf.d/theirs.conf", "/etc/nginx/sites-enabled/zz-mta-sts.conf"
    elsewhere = "/etc/nginx/conf.d/zz-mta-sts.conf"
    before = lab.zone("example.com")
    try:
        for name in lab.policy_hosts:
            machine = lab.host(name)
            machine.check_output(f"cp -p {ours} /root/ours.conf && rm {ours}")
            machine.check_output(f"echo 'upstream mta_sts_peers {{ server 192.0.2.1; }}' > {theirs}")
        changed = {**COM, "mode": "enforce", "max_age": 604800}
        refused = lab.quick_rollout(policy_host_nginx_conf=elsewhere, mta_sts_domains=[changed, ORG])
        assert refused.status != 0
        assert 'duplicate upstream "mta_sts_peers"' in refused.output
        assert "was taken back" in refused.output
        for name in lab.policy_hosts:
            assert not lab.host(name).file(elsewhere).exists
            lab.host(name).check_output("nginx -t -q")
        # Every policy host failed, and the run was reported all the same.
        (summary,) = re.findall(r"(?m)^postmaster.mta_sts rollout: .*$", refused.output)
        assert "2 policy hosts" in summary
        assert [hold["message"] for hold in lab.report()["example.com"]["holds"]] == [
            "every policy host failed in this run, so what they serve may not last"
        ]
        assert lab.zone("example.com") == before
    finally:
        for name in lab.policy_hosts:
            lab.host(name).check_output(f"mv /root/ours.conf {ours}; rm {theirs}")


OURS, ELSEWHERE = "/etc/nginx/sites-enabled/zz-mta-sts.conf", "/etc/nginx/conf.d/mta-sts.conf"


@pytest.fixture(scope="module")
def healed(lab: Lab) -> t.Iterator[Playbook]:
    """It finds our file of nginx at another place, and a certificate of certbot that is damaged."""
    key, machine = "/etc/letsencrypt/live/mta-sts.example.com/privkey.pem", lab.host("web2")
    for name in lab.policy_hosts:
        lab.host(name).check_output(f"mv {OURS} {ELSEWHERE}")
    machine.check_output(f"cp -L {key} /root/good.pem && rm {key} && echo junk > {key}")
    try:
        yield lab.quick_rollout(mta_sts_domains=[COM, ORG, NEW])
    finally:
        machine.check_output(f"mv /root/good.pem {key}")


def test_after_all_of_it_a_rollout_goes_through(lab: Lab, healed: Playbook) -> None:
    assert healed.status == 0, healed.output
    assert {domain["stage"] for domain in lab.report().values()} == {"testing"}
    # What had no certificate has one now.
    assert len(lab.dig("_mta-sts.example.net")) == 1


@pytest.mark.usefixtures("healed")
def test_our_file_of_another_place_goes(lab: Lab) -> None:
    for name in lab.policy_hosts:
        assert not lab.host(name).file(ELSEWHERE).exists
        assert lab.host(name).file(OURS).exists
        assert lab.curl(name, "example.com")


@pytest.mark.usefixtures("healed")
def test_a_damaged_certificate_of_certbot_does_not_replace_a_good_one(lab: Lab) -> None:
    assert [hold["code"] for hold in lab.report()["example.com"]["holds"]] == ["renewal"]
    assert lab.curl("web2", "example.com")


@pytest.fixture(scope="module")
def looked_ahead(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a look ahead leaves in the run directory."""
    assert lab.rollout("--check", mta_sts_domains=[{**COM, "max_age": 3600}, ORG]).status == 0
    return Path(shutil.copytree(lab.run_dir, tmp_path_factory.mktemp("kept") / "run"))


@pytest.mark.parametrize(
    "arguments",
    [
        ["--limit=mta_sts_hosts"],
        ["--limit=localhost,web1"],
        ["--tags=policy_host_policies"],
        # What AWX tells of a job slice.
        ["--extra-vars=awx_workflow_job_name=MTA-STS awx_job_template_name=MTA-STS"],
    ],
)
def test_a_rollout_in_part_is_refused(lab: Lab, looked_ahead: Path, arguments: list[str]) -> None:
    """It would serve what an earlier run, or a look ahead, had planned."""
    shutil.copytree(looked_ahead, lab.run_dir, dirs_exist_ok=True)
    before = footprint(lab)
    refused = lab.rollout(*arguments)
    assert refused.status != 0
    assert "Run the rollout without --limit" in refused.output or "Run it without --limit" in refused.output
    assert footprint(lab) == before
