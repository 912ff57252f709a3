# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reports arrive by HTTPS and by mail, are read, grow old, and the inbox goes again. The tests build on one another."""

from __future__ import annotations

import concurrent.futures
import contextlib
import email.message
import gzip
import http.client
import json
import smtplib
import socket
import ssl
import time
import typing as t
from pathlib import Path

import pytest
import trustme
from cryptography.x509 import load_der_x509_certificate
from footprint import HOSTS, footprint, kept

if t.TYPE_CHECKING:
    from conftest import Lab

GZIP, JSON = "application/tlsrpt+gzip", "application/tlsrpt+json"
DIRECTORY = "/var/lib/mta-sts-reports"
PATHS = {"web1": "/", "web2": "/v1/reports"}


class Connection(http.client.HTTPSConnection):
    """HTTPS to a host of the lab, by its own CA."""

    def __init__(self, lab: Lab, host: str, name: str = "") -> None:
        state = Path(lab.facts["lab_state_dir"])
        authority = state / "client.pem" if host == "web2" or name else lab.facts["lab_ca_file"]
        context = ssl.create_default_context(cafile=authority)
        super().__init__(name or f"{host}.lab.test", timeout=20, context=context)
        self._address, self._context_of = lab.addresses[host], context

    def connect(self) -> None:
        self.sock = self._context_of.wrap_socket(
            socket.create_connection((self._address, 443), timeout=20), server_hostname=self.host
        )

    def post(self, body: t.Any, media_type: str, path: str, method: str = "POST") -> int:
        self.request(method, path, body, {"Content-Type": media_type})
        response = self.getresponse()
        response.read()
        return response.status


def serial(lab: Lab, host: str) -> int:
    with contextlib.closing(Connection(lab, host)) as connection:
        connection.connect()
        shown = t.cast(ssl.SSLSocket, connection.sock).getpeercert(binary_form=True)
    assert shown
    return load_der_x509_certificate(shown).serial_number


def post(lab: Lab, host: str, body: t.Any, media_type: str = JSON, *, path: str = "", method: str = "POST") -> int:
    with contextlib.closing(Connection(lab, host)) as connection:
        return connection.post(body, media_type, path or PATHS[host], method)


def report(number: int) -> bytes:
    policy = {"policy": {"policy-type": "sts", "policy-domain": "example.com"}}
    summary = {"summary": {"total-successful-session-count": 10, "total-failure-session-count": 1}}
    times = {"start-datetime": "2026-11-20T00:00:00Z", "end-datetime": "2026-11-20T23:59:59Z"}
    named = {"organization-name": "Sender", "report-id": f"{number}", "date-range": times}
    return json.dumps({**named, "policies": [{**policy, **summary}]}).encode()


def mail(lab: Lab, number: int, recipient: str = "tls-reports@web1.lab.test") -> None:
    message = email.message.EmailMessage()
    message["From"], message["To"], message["Subject"] = "tls@sender.example", recipient, "Report Domain: example.com"
    message.set_content("This is an aggregate TLS report.")
    message.add_attachment(gzip.compress(report(number)), "application", "tlsrpt+gzip")
    with smtplib.SMTP(lab.addresses["web1"], timeout=20) as server:
        server.send_message(message)


def until(condition: t.Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def files(lab: Lab, host: str, below: str) -> list[str]:
    return sorted(lab.host(host).check_output("find %s -type f", f"{DIRECTORY}/{below}").split())


@pytest.mark.parametrize("host", HOSTS)
def test_reports_by_https(lab: Lab, host: str) -> None:
    """Over a connection that is verified."""
    assert post(lab, host, report(1)) == 201
    assert post(lab, host, gzip.compress(report(2)), GZIP) == 201
    # Chunked, as one who does not know the length.
    assert post(lab, host, iter([report(3)])) == 201
    assert len(files(lab, host, "https")) == 3


@pytest.mark.parametrize("host", HOSTS)
def test_what_is_no_report_is_refused(lab: Lab, host: str) -> None:
    assert post(lab, host, b"{}", "application/json") == 415
    assert post(lab, host, None, method="GET") == 405
    assert post(lab, host, b"") == 400
    assert post(lab, host, b"x" * 200_001) == 413
    assert post(lab, host, b"x" * 200_000, path="/elsewhere") == 404
    assert post(lab, host, report(1), path="/.well-known/mta-sts.txt") == 404
    assert len(files(lab, host, "https")) == 3


def test_reports_by_mail(lab: Lab) -> None:
    mail(lab, 4)
    mail(lab, 5, "tls-reports+example.com@web1.lab.test")
    until(lambda: len(files(lab, "web1", "mail/new")) == 2)
    with pytest.raises(smtplib.SMTPRecipientsRefused):
        mail(lab, 6, "nobody-else@web1.lab.test")


def test_the_module_reads_them_all(lab: Lab) -> None:
    read = lab.playbook("read.yml")
    assert read.status == 0, read.output
    told = {host: json.loads((lab.run_dir / f"{host}.json").read_text()) for host in HOSTS}
    assert told["web1"]["counts"] == {"reports": 5, "duplicates": 0, "unreadable": 0, "succeeded": 50, "failed": 5}
    assert told["web2"]["counts"]["reports"] == 3
    assert list(told["web1"]["domains"]) == ["example.com"]


@pytest.mark.parametrize("host", HOSTS)
def test_nobody_else_reads_them(lab: Lab, host: str) -> None:
    machine = lab.host(host)
    open_ones = f"find {DIRECTORY} /var/lib/mta-sts-reports-nginx/tls -mindepth 1 -perm /o=rwx"
    assert machine.check_output(open_ones) == ""
    owners = machine.check_output(f"find {DIRECTORY} -mindepth 1 -printf '%u\\n' | sort -u")
    assert owners == "tlsrpt"
    assert machine.check_output("ps -o user= -p $(systemctl show -P MainPID mta-sts-reports)") == "tlsrpt"
    level = machine.check_output("systemd-analyze security --no-pager mta-sts-reports.service | tail -1")
    assert "SAFE" in level


@pytest.mark.parametrize("host", HOSTS)
def test_one_sender_does_not_take_the_inbox_for_himself(lab: Lab, host: str) -> None:
    """Of more than so many at once the rest is put off; others are still answered."""

    def several(_number: int) -> list[int]:
        with contextlib.closing(Connection(lab, host)) as connection:
            return [connection.post(b"{}", "text/plain", PATHS[host]) for _number in range(60)]

    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        statuses = [status for some in pool.map(several, range(10)) for status in some]
    assert set(statuses) == {415, 429}
    assert statuses.count(415) >= 200
    ask = f"curl --silent --insecure --output /dev/null --write-out '%{{http_code}}' --data x https://{host}.lab.test"
    assert lab.host("mx1").check_output(f"{ask}{PATHS[host]}") == "415"


def test_policies_are_served_as_before(lab: Lab) -> None:
    with contextlib.closing(Connection(lab, "web1", "mta-sts.example.com")) as connection:
        connection.request("GET", "/.well-known/mta-sts.txt")
        response = connection.getresponse()
        assert (response.status, b"mode: testing" in response.read()) == (200, True)
    refused = f"openssl s_client -connect {lab.addresses['web1']}:443 -servername unknown.example </dev/null"
    assert "unrecognized name" in lab.host("mx1").run(refused).stderr


def test_the_certificate_of_the_ca_is_renewed_unattended(lab: Lab) -> None:
    machine, old = lab.host("web1"), serial(lab, "web1")
    assert machine.service("certbot.timer").is_running
    due = "sed -i 's/^# renew_before_expiry.*/renew_before_expiry = 36500 days/' %s"
    machine.check_output(due, "/etc/letsencrypt/renewal/web1.lab.test.conf")
    machine.check_output("systemctl start certbot.service")
    assert serial(lab, "web1") != old


def test_the_certificate_from_files_is_refreshed_unattended(lab: Lab) -> None:
    machine, old = lab.host("web2"), serial(lab, "web2")
    assert machine.service("mta-sts-reports-certificates.timer").is_running
    assert machine.service("mta-sts-reports-certificates.timer").is_enabled
    authority = trustme.CA()
    # Beside the one that signed that of the policies.
    authority.cert_pem.write_to_path(str(Path(lab.facts["lab_state_dir"]) / "client.pem"), append=True)
    issued = authority.issue_cert("web2.lab.test")
    for suffix, blob in (("pem", issued.cert_chain_pems[0]), ("key", issued.private_key_pem)):
        machine.check_output(
            "umask 077; printf %%s %s > %s", blob.bytes().decode(), f"/etc/ssl/private/scenario.{suffix}"
        )
    machine.check_output("systemctl start mta-sts-reports-certificates.service")
    assert serial(lab, "web2") != old
    assert post(lab, "web2", report(9)) == 201


def test_old_reports_go_and_new_ones_stay(lab: Lab) -> None:
    """By when they came, though they were read a moment ago."""
    machine = lab.host("web1")
    assert machine.service("systemd-tmpfiles-clean.timer").is_running
    old = [files(lab, "web1", below)[0] for below in ("https", "mail/new")]
    new = [files(lab, "web1", below)[1] for below in ("https", "mail/new")]
    for path in old:
        machine.check_output("touch --date='181 days ago' %s && cat %s >/dev/null", path, path)
    for path in new:
        machine.check_output("touch --date='179 days ago' %s", path)
    machine.check_output("systemd-tmpfiles --clean")
    assert [path for path in (*old, *new) if machine.file(path).exists] == new
    assert all(machine.file(f"{DIRECTORY}/{below}").is_directory for below in ("https", "mail/new", "mail/tmp"))


def test_a_way_that_is_turned_off_goes_and_reports_stay(lab: Lab) -> None:
    done = lab.playbook("report_inbox", "--limit=web1", report_inbox_https=False)
    assert done.status == 0, done.output
    machine = lab.host("web1")
    assert machine.run("ls /etc/nginx/sites-enabled/zz-mta-sts-reports.conf").rc != 0
    assert machine.run("systemctl is-active mta-sts-reports.socket").rc != 0
    assert len(files(lab, "web1", "https")) == 2
    mail(lab, 7)
    until(lambda: len(files(lab, "web1", "mail/new")) == 2)


def test_mistakes_are_named_before_anything_is_touched(lab: Lab) -> None:
    wrong = {"report_inbox_keep_days": 0, "report_inbox_path": "/a b", "report_inbox_name": ""}
    refused = lab.playbook("report_inbox", "--limit=web1", **wrong)
    assert refused.status != 0
    assert refused.changed == {"web1": 0}
    for name in wrong:
        assert f"{name}: " in refused.output


def test_it_goes_and_leaves_the_hosts_as_they_were(lab: Lab) -> None:
    done = lab.playbook("report_inbox", report_inbox_state="absent")
    assert done.status == 0, done.output
    # With those to whom they belong, and until their time has come.
    assert len(files(lab, "web1", "https")) == 2
    assert "m:180d" in lab.host("web1").check_output("cat /etc/tmpfiles.d/mta-sts-reports.conf")
    gone = lab.playbook("report_inbox", report_inbox_state="absent", report_inbox_remove_reports=True)
    assert gone.status == 0, gone.output
    assert footprint(lab) == json.loads(kept(lab).read_text())
    again = lab.playbook("report_inbox", report_inbox_state="absent", report_inbox_remove_reports=True)
    assert set(again.changed.values()) == {0}, again.output
    test_policies_are_served_as_before(lab)
