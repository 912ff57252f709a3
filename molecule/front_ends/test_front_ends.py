# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several policy hosts that serve other sites, too, with a certificate and a key of their own for each name.

The tests build on one another: what was rolled out, was renewed, was brought from files, and went again.
"""

from __future__ import annotations

import itertools
import json
import os
import shlex
import typing as t
from pathlib import Path

import neighbours
import pytest
import trustme
import yaml
from cryptography.x509 import load_pem_x509_certificate

if t.TYPE_CHECKING:
    from conftest import Lab

HOSTS = ("web1", "web2")
BOTH_WAYS = tuple(itertools.permutations(HOSTS))
TLS = "/var/lib/mta-sts/tls"
# The run directory of the first rollout.
FIRST = Path(os.environ.get("MOLECULE_EPHEMERAL_DIRECTORY", "")) / "run"
REFUSED = "refused.scale.example"
DOMAINS: list[dict[str, t.Any]] = yaml.safe_load((Path(__file__).parent / "inventory/group_vars/all.yml").read_text())[
    "mta_sts_domains"
]
CERTIFIED = sorted(entry["domain"] for entry in DOMAINS if entry["domain"] != REFUSED)


def codes(domain: dict[str, t.Any]) -> set[str]:
    return {hold["code"] for hold in domain["holds"]}


def test_nine_are_announced_and_one_is_pending_with_what_the_ca_says(lab: Lab) -> None:
    """In the first rollout of all."""
    report = {domain["domain"]: domain for domain in json.loads((FIRST / "report.json").read_text())["domains"]}
    assert sorted(name for name, domain in report.items() if domain["announcement"] == "announced") == CERTIFIED
    assert len(CERTIFIED) == 9
    assert [name for name in CERTIFIED if len(lab.dig(f"_mta-sts.{name}")) != 1] == []
    assert report[REFUSED]["stage"] == "pending"
    assert lab.dig(f"_mta-sts.{REFUSED}") == []
    assert [hold["code"] for hold in report[REFUSED]["holds"]] == ["certificate", "certificate"]
    for host, hold in zip(HOSTS, report[REFUSED]["holds"]):
        assert hold["message"].startswith(f"{host}: no certificate for mta-sts.{REFUSED}: certbot: ")
        assert f'issuance is forbidden by policy: "mta-sts.{REFUSED}"' in hold["message"]
        assert sorted(lab.host(host).file(TLS).listdir()) == sorted(
            ["refused.json", *(f"mta-sts.{name}.pem" for name in CERTIFIED)]
        )


@pytest.mark.parametrize("host", HOSTS)
def test_the_other_site_answers_as_before(lab: Lab, host: str) -> None:
    assert neighbours.answers(lab, host) == before(lab, host)["answers"]


def before(lab: Lab, host: str) -> dict[str, t.Any]:
    found: dict[str, t.Any] = json.loads(neighbours.kept(lab).read_text())[host]
    return found


@pytest.mark.parametrize(("asked", "knows"), BOTH_WAYS)
def test_a_challenge_at_the_wrong_host_is_answered_by_the_right_one(lab: Lab, asked: str, knows: str) -> None:
    place = "/var/lib/mta-sts/acme/.well-known/acme-challenge"
    token = f"only-{knows}"
    lab.host(knows).check_output(f"mkdir -p {place} && echo {token} > {place}/{token}")
    ask = f"curl --silent --max-time 10 --header 'Host: mta-sts.d1.scale.example' http://{lab.addresses[asked]}"
    path = "/.well-known/acme-challenge"
    assert lab.host("mx1").check_output(f"{ask}{path}/{token}") == token
    # What nobody knows is not passed round and round.
    assert "404 Not Found" in lab.host("mx1").check_output(f"{ask}{path}/nobody")
    lab.host(knows).check_output(f"rm {place}/{token}")


def test_keys_never_leave_their_host(lab: Lab) -> None:
    keys = f"cd {TLS} && for file in *.pem; do openssl pkey -in $file; done"
    secrets = {host: key_lines(lab.host(host).check_output(keys)) for host in HOSTS}
    assert {len(lines) for lines in secrets.values()} == {3 * len(CERTIFIED)}
    assert not secrets["web1"] & secrets["web2"]
    for host, other in BOTH_WAYS:
        # None of the other's, wherever somebody might have put them.
        search = f"grep -rlF {shlex.quote(min(secrets[other]))} /var/lib /etc /root /tmp /usr/local /var/log"
        assert lab.host(host).run(search).rc == 1
    files = [path for path in FIRST.rglob("*") if path.is_file()]
    assert len(files) > 10
    for path in files:
        content = path.read_text(errors="replace")
        assert "PRIVATE KEY" not in content
        assert not [line for line in secrets["web1"] | secrets["web2"] if line in content]


def key_lines(pem: str) -> set[str]:
    """The lines of the keys that differ from one to the other."""
    lines = [line for line in pem.splitlines() if "KEY" not in line]
    return {line for line in lines if lines.count(line) == 1}


def renew(lab: Lab, host: str, name: str) -> bool:
    """Has certbot's own unit try to renew a certificate that is due; whether it was."""
    conf = f"/etc/letsencrypt/renewal/{name}.conf"
    machine = lab.host(host)
    machine.check_output("sed -i 's/^# renew_before_expiry.*/renew_before_expiry = 36500 days/' %s", conf)
    done = machine.run("systemctl start certbot.service")
    machine.check_output("sed -i 's/^renew_before_expiry.*/# renew_before_expiry = 30 days/' %s", conf)
    return bool(done.succeeded)


@pytest.mark.parametrize("host", HOSTS)
def test_certificates_are_renewed_unattended(lab: Lab, host: str) -> None:
    """Certbot's timer runs, and what it renews is served without a reload of nginx."""
    machine, name = lab.host(host), "mta-sts.d1.scale.example"
    assert machine.service("certbot.timer").is_running
    assert machine.service("certbot.timer").is_enabled
    started = machine.check_output("systemctl show --property=ExecMainStartTimestamp,ExecReload nginx")
    workers = machine.check_output("pgrep -u www-data nginx")
    old = neighbours.serial(lab, host, name)
    assert renew(lab, host, name)
    assert neighbours.serial(lab, host, name) != old
    assert machine.check_output("systemctl show --property=ExecMainStartTimestamp,ExecReload nginx") == started
    assert machine.check_output("pgrep -u www-data nginx") == workers


@pytest.mark.parametrize("in_dns", [True, False])
def test_renewal_while_the_other_host_is_down(lab: Lab, in_dns: bool) -> None:
    """A CA asks one of the name's addresses, any of them: what meets the host that is down fails, and is tried again.

    Certbot's timer tries twice a day in the last thirty days. Without that host's address in DNS it is one attempt.
    """
    name, address = "mta-sts.d2.scale.example", lab.addresses["web2"]
    old = neighbours.serial(lab, "web1", name)
    lab.lab_command("stop", "web2")
    try:
        if not in_dns:
            lab.nsupdate(f"update delete {name} A {address}")
        # Of the sixty attempts that the timer has; each meets either host.
        assert any(renew(lab, "web1", name) for _attempt in range(20 if in_dns else 1))
    finally:
        lab.nsupdate(f"update add {name} 5 A {address}")
        lab.lab_command("start", "web2")
    assert neighbours.serial(lab, "web1", name) != old
    # What was served meanwhile is served still, and by the host that is back, too.
    assert {lab.curl(host, "d2.scale.example") for host in HOSTS} == {lab.curl("web1", "d2.scale.example")}


def test_so_many_certificates_in_a_run_and_no_more(lab: Lab) -> None:
    """A name that fails every time comes first in the inventory, and last when it is asked for."""
    new = [f"n{number}.scale.example" for number in range(1, 5)]
    domains = [*DOMAINS, *({"domain": name, "mx": ["mx1.lab.test"]} for name in new)]
    report = {}
    for queued in (2, 0):
        run = lab.quick_rollout(mta_sts_domains=domains, policy_host_certificates_per_run=3)
        assert run.status == 0, run.output
        report = lab.report()
        waiting = [name for name in (*new, REFUSED) if codes(report[name]) == {"certificate-queued"}]
        assert len(waiting) == queued, run.output
    assert {report[name]["stage"] for name in new} == {"testing"}
    assert codes(report[REFUSED]) == {"certificate"}


def test_own_certificates_are_refreshed_when_their_files_change(lab: Lab, tmp_path: Path) -> None:
    """A wildcard from files, changed without Ansible; and what certbot needed is gone."""
    authority, source = trustme.CA(), "/etc/ssl/private/wild"
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    first = give(lab, authority, source)
    rolled = lab.rollout(
        mta_sts_domains=[entry for entry in DOMAINS if entry["domain"] == "example.com"],
        mta_sts_ca_file=str(tmp_path / "ca.pem"),
        policy_host_certificate_source="files",
        policy_host_certificate_path=f"{source}.crt",
        policy_host_key_path=f"{source}.key",
    )
    assert rolled.status == 0, rolled.output
    assert lab.report()["example.com"]["announcement"] == "in place"
    second = give(lab, authority, source)
    for host in HOSTS:
        machine = lab.host(host)
        assert machine.service("mta-sts-certificates.timer").is_running
        assert machine.service("mta-sts-certificates.timer").is_enabled
        assert not machine.file("/etc/letsencrypt/renewal-hooks/deploy/mta-sts").exists
        assert int(neighbours.serial(lab, host, "mta-sts.example.com").partition("=")[2], 16) == first
        machine.check_output("systemctl start mta-sts-certificates.service")
        assert int(neighbours.serial(lab, host, "mta-sts.example.com").partition("=")[2], 16) == second
        # A key that does not belong to it is told, and replaces nothing.
        machine.check_output(f"openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out {source}.key")
        assert machine.run("systemctl start mta-sts-certificates.service").rc != 0
        assert "key values mismatch" in machine.check_output("journalctl --unit=mta-sts-certificates.service")
        assert int(neighbours.serial(lab, host, "mta-sts.example.com").partition("=")[2], 16) == second


def give(lab: Lab, authority: trustme.CA, source: str) -> int:
    """Puts a new wildcard certificate on the policy hosts, and tells its serial number."""
    issued = authority.issue_cert("*.example.com")
    chain = b"".join(blob.bytes() for blob in issued.cert_chain_pems).decode()
    for host in HOSTS:
        machine = lab.host(host)
        machine.check_output("umask 077; printf %%s %s > %s", chain, f"{source}.crt")
        machine.check_output("umask 077; printf %%s %s > %s", issued.private_key_pem.bytes().decode(), f"{source}.key")
    return load_pem_x509_certificate(chain.encode()).serial_number


@pytest.mark.parametrize("host", HOSTS)
def test_the_other_site_still_answers_as_before(lab: Lab, host: str) -> None:
    assert neighbours.answers(lab, host) == before(lab, host)["answers"]


def test_a_host_that_serves_policies_is_not_taken_out_of_service(lab: Lab) -> None:
    refused = lab.playbook("uninstall.yml")
    assert refused.status != 0
    assert "still serves" in refused.output
    assert "that are not withdrawn" in refused.output
    assert refused.changed == {"web1": 0, "web2": 0}


def test_uninstallation_leaves_the_hosts_as_they_were(lab: Lab) -> None:
    done = lab.playbook("uninstall.yml", policy_host_remove_served=True, policy_host_remove_packages=True)
    assert done.status == 0, done.output
    for host in HOSTS:
        assert neighbours.footprint(lab, host) == before(lab, host)["footprint"]
        assert neighbours.answers(lab, host) == before(lab, host)["answers"]
        # But for what is known of senders' caches.
        assert lab.host(host).check_output("find /var/lib/mta-sts* -type f") == "/var/lib/mta-sts/ledger.sqlite3"
    again = lab.playbook("uninstall.yml")
    assert again.status == 0, again.output
    assert again.changed == {"web1": 0, "web2": 0}
