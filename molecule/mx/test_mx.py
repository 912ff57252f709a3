# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""An MX host with TLSA records as a sender meets it that goes by them, all through the replacement of its key."""

from __future__ import annotations

import contextlib
import json
import re
import time
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest

if t.TYPE_CHECKING:
    from conftest import Lab, Playbook

TLSA = "_25._tcp.mx1.lab.test"
PARAMETERS = "smtpd_tls_chain_files smtpd_tls_protocols smtpd_tls_mandatory_protocols smtpd_tls_security_level"
SENT = re.compile(r"(?m)^.*postfix/smtp\[\d+\]: (\w+): to=<[^>]*>, .*status=(\w+) \((.*)\)$")


def records(lab: Lab) -> list[str]:
    """The TLSA records of the MX host, as they are written."""
    return [" ".join(text.split()[:3]) + " " + "".join(text.split()[3:]).lower() for text in lab.dig(TLSA, "TLSA")]


def memory(lab: Lab) -> dict[str, t.Any]:
    """What the MX host remembers of its keys."""
    found: dict[str, t.Any] = json.loads(lab.host("mx1").file("/var/lib/mx-tls/tlsa.json").content_string)
    return found


def served(lab: Lab) -> str:
    """The TLSA record of the key that a sender is served."""
    command = (
        "openssl s_client -starttls smtp -connect mx1.lab.test:25 </dev/null 2>/dev/null | openssl x509 -pubkey -noout"
    )
    digest = "openssl pkey -pubin -outform DER | openssl dgst -sha256 -r"
    return "3 1 1 " + str(lab.host("out1").check_output(f"{command} | {digest}")).split()[0]


def log_since(lab: Lab, cursor: str) -> str:
    """What Postfix said on the sender."""
    return str(
        lab.host("out1").check_output("journalctl --output=cat --identifier=postfix/smtp --after-cursor=%s", cursor)
    )


def ends(lab: Lab, cursor: str) -> list[tuple[str, str]]:
    """What became of each attempt to deliver a message, and why."""
    output = lab.host("out1").check_output("journalctl --output=short --no-pager --after-cursor=%s", cursor)
    return [(status, reason) for _queue, status, reason in SENT.findall(output)]


def cursor_of(lab: Lab) -> str:
    output = lab.host("out1").check_output("journalctl --lines=0 --show-cursor")
    return str(output).rpartition("-- cursor: ")[2].strip()


def until(condition: t.Callable[[], t.Any], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.5)


def mx(lab: Lab, *arguments: str, **variables: t.Any) -> Playbook:
    run = lab.playbook("mx", *arguments, **variables)
    assert run.status == 0, run.output
    return run


def wait_as_told(lab: Lab) -> None:
    """Waits until nothing is to be waited for any more, by the host's own clock."""
    found = memory(lab)
    times = [key["safe_from"] or 0 for key in found["keys"].values()]
    times.append((found["served_since"] or 0) + 5 + 3)
    until(lambda: int(lab.host("mx1").check_output("date +%s")) >= max(times), 60)


@contextlib.contextmanager
def mail_all_the_while(lab: Lab) -> Iterator[None]:
    """A sender that mails twice a second."""
    program = (Path(__file__).parent / "files/mail_all_the_while.py").read_text()
    with lab.on_host("out1", program) as process:
        try:
            yield
            assert process.poll() is None, "it ended"
        finally:
            process.kill()


def test_postfix_serves_a_certificate_for_its_name(lab: Lab) -> None:
    host = lab.host("mx1")
    values = dict(line.split(" = ") for line in host.check_output(f"postconf {PARAMETERS}").splitlines())
    assert values == {
        "smtpd_tls_chain_files": "/var/lib/mx-tls/chain.pem",
        "smtpd_tls_protocols": ">=TLSv1.2",
        "smtpd_tls_mandatory_protocols": ">=TLSv1.2",
        "smtpd_tls_security_level": "may",
    }
    file = host.file("/var/lib/mx-tls/chain.pem")
    assert (file.user, file.mode, host.file("/var/lib/mx-tls").mode) == ("root", 0o600, 0o700)
    verified = (
        "openssl s_client -starttls smtp -verify_return_error -verify_hostname mx1.lab.test -connect mx1.lab.test:25"
    )
    lab.host("out1").check_output(f"{verified} </dev/null")
    assert lab.host("out1").run(f"{verified} -tls1_1 </dev/null").rc != 0
    assert records(lab) == [served(lab)]


def test_a_renewal_keeps_the_key(lab: Lab) -> None:
    host = lab.host("mx1")
    before = host.check_output("openssl x509 -noout -serial -in /var/lib/mx-tls/chain.pem")
    host.check_output(
        "certbot renew --quiet --force-renewal --cert-name mx1.lab.test.mx-tls-1 --no-random-sleep-on-renew"
    )
    assert host.check_output("openssl x509 -noout -serial -in /var/lib/mx-tls/chain.pem") != before
    assert records(lab) == [served(lab)]


def test_no_message_is_deferred_while_the_key_is_replaced(lab: Lab) -> None:
    old, cursor = records(lab), cursor_of(lab)
    with mail_all_the_while(lab):
        until(lambda: ends(lab, cursor))
        run = mx(lab, mx_tlsa_rollover=True)
        assert "senders may hold records without the next key, until" in run.output
        assert len(records(lab)) == 2
        assert served(lab) == old[0]
        wait_as_told(lab)
        run = mx(lab)
        new = served(lab)
        assert new != old[0]
        assert new in records(lab)
        wait_as_told(lab)
        run = mx(lab)
        assert records(lab) == [new]
        assert "mx1                  steady" in run.output
        count = len(ends(lab, cursor))
        until(lambda: len(ends(lab, cursor)) > count)
    found = ends(lab, cursor)
    assert len(found) > 20
    assert [reason for status, reason in found if status != "sent"] == []
    connections = re.findall(r"(\w+) TLS connection established to mx1\.lab\.test", log_since(lab, cursor))
    assert len(connections) >= len(found)
    assert set(connections) == {"Verified"}
    # What is not served any more is not renewed any more.
    assert lab.host("mx1").file("/etc/letsencrypt/live").listdir().count("mx1.lab.test.mx-tls-1") == 0


def test_the_wrong_order_is_noticed_and_healed(lab: Lab) -> None:
    """A key that is served before its record is there: what the order is for."""
    host, cursor = lab.host("mx1"), cursor_of(lab)
    name = "/CN=mx1.lab.test"
    host.check_output(f"openssl req -x509 -newkey rsa:2048 -nodes -subj {name} -keyout /root/k.pem -out /root/c.pem")
    host.check_output("cat /root/k.pem /root/c.pem >/var/lib/mx-tls/chain.pem && postfix reload")
    until(lambda: served(lab) not in records(lab))
    lab.host("out1").check_output("printf 'Subject: x\n\nx\n' | sendmail all@signed.example")
    until(lambda: ends(lab, cursor))
    assert [status for status, _reason in ends(lab, cursor)] == ["deferred"]
    assert "not verified" in ends(lab, cursor)[0][1].lower()
    run = mx(lab)
    assert served(lab) in records(lab)
    assert run.changed["mx1"] > 0
    # What a cache holds of the time before is over.
    until(lambda: lab.host("out1").run("postqueue -f && sleep 1 && postqueue -p | grep -q empty").rc == 0, 60)
    assert ends(lab, cursor)[-1][0] == "sent"


def test_a_certificate_that_senders_would_refuse_is_refused(lab: Lab) -> None:
    before = served(lab)
    files = {"mx_tls_source": "files", "mx_tls_certificate_path": "/root/c.pem", "mx_tls_key_path": "/root/k.pem"}
    run = lab.playbook("mx", **files)
    assert run.status != 0
    assert "/root/c.pem: senders would not accept it for mx1.lab.test: self-signed certificate" in run.output
    assert served(lab) == before


def test_a_zone_that_is_not_signed_is_refused(lab: Lab) -> None:
    """As that resolver says who does not validate."""
    lab.nsupdate(f"delete {TLSA} TLSA")
    run = lab.playbook("mx", mta_sts_resolvers=[lab.facts["lab_ns_address"]])
    assert run.status != 0
    assert (
        "no TLSA records for mx1.lab.test: the addresses of mx1.lab.test are not signed, or no resolver" in run.output
    )
    assert records(lab) == []
    mx(lab)
    assert records(lab) == [served(lab)]


def test_it_leaves_in_order(lab: Lab) -> None:
    run = lab.playbook("mx", mx_tlsa_state="absent", mx_tls_state="absent")
    assert run.status != 0
    assert "senders may still hold TLSA records of mx1.lab.test" in run.output
    assert records(lab) == []
    found = memory(lab)
    until(lambda: int(lab.host("mx1").check_output("date +%s")) > found["cached_until"] + 3, 60)
    mx(lab, mx_tlsa_state="absent", mx_tls_state="absent")
    host = lab.host("mx1")
    chain = "/etc/letsencrypt/live/mx1.lab.test"
    assert host.check_output("postconf -n smtpd_tls_chain_files") == (
        f"smtpd_tls_chain_files = {chain}/privkey.pem, {chain}/fullchain.pem"
    )
    assert host.check_output("postconf -n smtpd_tls_protocols smtpd_tls_mandatory_protocols") == ""
    left = "/var/lib/mx-tls /usr/local/lib/mx-tls /etc/letsencrypt/renewal-hooks/deploy/mx-tls"
    assert [path for path in left.split() if host.file(path).exists] == []
    assert host.file("/etc/letsencrypt/live").listdir().count("mx1.lab.test") == 1
    assert set(mx(lab, mx_tlsa_state="absent", mx_tls_state="absent").changed.values()) == {0}


@pytest.fixture(scope="module", autouse=True)
def sender_as_it_was(lab: Lab) -> Iterator[None]:
    """Other scenarios find the sender as the lab makes it."""
    yield
    restore = "cp -a /root/before/main.cf /etc/postfix/ && cat /root/before/resolv.conf >/etc/resolv.conf"
    units = "systemctl disable --now unbound && systemctl restart postfix"
    lab.host("out1").check_output(f"{restore} && rm /etc/unbound/unbound.conf.d/scenario.conf && {units}")
