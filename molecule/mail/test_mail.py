# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real mail: what Postfix delivers, what it defers, and what it tells others of it."""

from __future__ import annotations

import json
import os
import re
import secrets
import signal
import time
import typing as t

import pytest

if t.TYPE_CHECKING:
    from conftest import Lab

SENDER = "tls@out1.lab.test"
ASK = "postmap -q %s socketmap:inet:127.0.0.1:8462:postfix"
SENDERS = ("out1", "mx2")
COLLECTED = "/var/lib/tlsrpt/collectd.sqlite"


class Outgoing:
    """Mail that the sender has sent, and what Postfix's log says of it."""

    def __init__(self, lab: Lab) -> None:
        self.out1 = lab.host("out1")
        self.lab = lab

    def log(self) -> str:
        return str(self.out1.check_output("journalctl --identifier=postfix/smtp --no-pager --output=cat"))

    def send(self, domains: t.Sequence[str]) -> dict[str, str]:
        """What becomes of a mail to each domain: the line of its delivery in the log."""
        user = secrets.token_hex(6)
        for domain in domains:
            self.out1.check_output("echo hello | sendmail -f %s %s", SENDER, f"{user}@{domain}")
        return wait(lambda: self._results(user, domains))

    def _results(self, user: str, domains: t.Sequence[str]) -> dict[str, str]:
        found = re.finditer(rf"(?m)^.*to=<{user}@([^>]+)>.* status=.*$", self.log())
        lines = {match.group(1): match.group(0) for match in found}
        return lines if set(lines) == set(domains) else {}


T = t.TypeVar("T")


def wait(look: t.Callable[[], T], seconds: float = 60) -> T:
    """What is found once it is there."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"not there after {seconds:g} s"
        time.sleep(0.2)
    return found


@pytest.fixture(scope="module")
def outgoing(lab: Lab) -> Outgoing:
    return Outgoing(lab)


@pytest.fixture(scope="module")
def delivered(outgoing: Outgoing) -> dict[str, str]:
    """What became of one mail to each domain of the scenario."""
    return outgoing.send([*GOES, *STAYS])


# How Postfix found the other side to be.
GOES = {
    "good.scale.example": "Verified",
    "testing.scale.example": "Untrusted",
    "dane.signed.example": "Verified",
}
STAYS = {
    "self-signed.scale.example": "self-signed certificate",
    "expired.scale.example": "certificate has expired",
    "misnamed.scale.example": "hostname mismatch",
    # The certificate is what MTA-STS wants, in each of them.
    "dane-fails.signed.example": "no matching DANE TLSA records",
    "dane-fails.scale.example": "no matching DANE TLSA records",
}


@pytest.mark.parametrize("domain", GOES)
def test_mail_that_goes(outgoing: Outgoing, delivered: dict[str, str], domain: str) -> None:
    assert "status=sent" in delivered[domain]
    relay = re.escape(re.findall(r"relay=(\S+),", delivered[domain])[0])
    assert re.search(rf"(?m)^{GOES[domain]} TLS connection (established|reused) to {relay}: ", outgoing.log())
    (recipient,) = re.findall(r"to=<([^>]+)>", delivered[domain])
    hosts = ["mx1"] if domain == "good.scale.example" else ["mx2"]
    wait(lambda: all(recipient in outgoing.lab.host(host).check_output("cat /var/mail/lab") for host in hosts))


@pytest.mark.parametrize("domain", STAYS)
def test_mail_that_stays(outgoing: Outgoing, delivered: dict[str, str], domain: str) -> None:
    assert "status=deferred (Server certificate not verified)" in delivered[domain]
    host = re.findall(r"relay=([^[]+)\[", delivered[domain])[0]
    assert re.search(rf"verification failed for {re.escape(host)}\[.*{STAYS[domain]}", outgoing.log())


@pytest.mark.usefixtures("delivered")
def test_none_that_stayed_arrived(outgoing: Outgoing) -> None:
    arrived = outgoing.lab.host("mx2").check_output("cat /var/mail/lab")
    assert [domain for domain in STAYS if f"@{domain}" in arrived] == []
    assert "@testing.scale.example" in arrived


def test_without_what_answers_nothing_goes_unchecked(outgoing: Outgoing) -> None:
    """Neither DANE nor MTA-STS can be had by stopping a service."""
    units = ["postfix-mta-sts-resolver", "mta-sts-sender"]
    for unit in units:
        outgoing.out1.check_output("systemctl stop %s", unit)
        try:
            results = outgoing.send(["good.scale.example", "self-signed.scale.example"])
        finally:
            outgoing.out1.check_output("systemctl start %s", unit)
            wait(lambda: "fatal" not in outgoing.out1.run(ASK, "mta-sts.invalid").stderr)
        assert all("status=deferred" in line for line in results.values()), results


@pytest.mark.parametrize("host", SENDERS)
def test_what_postfix_is_told_on_each_debian(lab: Lab, host: str) -> None:
    domains = [
        "good.scale.example",
        "testing.scale.example",
        "dane.signed.example",
        "dane-fails.scale.example",
        "[mx1.lab.test]",
    ]
    told = [lab.host(host).run(ASK, domain).stdout.split(" servername=")[0].strip() for domain in domains]
    assert told == ["secure match=mx1.lab.test", "", "dane-only", "dane", ""]


@pytest.fixture(scope="module")
def broken(lab: Lab, outgoing: Outgoing) -> str:
    """What became of a mail in testing, while the MX host offered TLS and could not do it."""
    mx2 = lab.host("mx2")
    settings = {"smtpd_tls_protocols": "TLSv1.2", "smtpd_tls_exclude_ciphers": "aNULL,kECDHE,kDHE"}
    wanted = " ".join(f"{name}={value}" for name, value in settings.items())
    mx2.check_output(f"postconf -e {wanted} && postfix reload")
    try:
        return outgoing.send(["testing.scale.example"])["testing.scale.example"]
    finally:
        mx2.check_output(f"postconf -X {' '.join(settings)} && postfix reload")


def test_in_testing_mail_goes_when_the_mx_host_is_mended(outgoing: Outgoing, broken: str) -> None:
    """Postfix itself would do without TLS, but only in five minutes."""
    assert "status=deferred (Cannot start TLS: handshake failure)" in broken
    outgoing.out1.check_output("postqueue -f")
    recipient = re.findall(r"to=<[^>]+>", broken)[0]
    wait(lambda: re.search(rf"(?m){recipient}.* status=sent", outgoing.log()))


@pytest.mark.usefixtures("delivered", "broken")
def test_a_report_tells_of_it(lab: Lab) -> None:
    """What tlsrpt-reporter makes of these sessions, as it is read by who is reported to."""
    reported = report_now(lab, ["self-signed.scale.example", "testing.scale.example"])
    failures = {
        domain: {(it["result_type"], it["mx_host"], it["reporter"]) for day in days.values() for it in day["failures"]}
        for domain, days in reported.items()
    }
    assert failures == {
        "self-signed.scale.example": {("validation-failure", "mx2.lab.test", "Lab Out")},
        # Of certificates, and of missing STARTTLS, Postfix says nothing here.
        "testing.scale.example": {("validation-failure", "mx2.lab.test", "Lab Out")},
    }
    sessions = {
        domain: {what for day in days.values() for what, count in day["reporters"]["Lab Out"].items() if count}
        for domain, days in reported.items()
    }
    assert sessions == {"self-signed.scale.example": {"failed"}, "testing.scale.example": {"failed", "succeeded"}}


def report_today(lab: Lab, domains: t.Sequence[str]) -> None:
    """Has the sender report on today as if it were over: reports on yesterday."""
    out1 = lab.host("out1")
    rows = "SELECT DISTINCT domain FROM finalresults"
    python = "import sqlite3, sys; print(*(row[0] for row in sqlite3.connect(sys.argv[1]).execute(sys.argv[2])))"
    wait(lambda: set(domains) <= set(out1.check_output(f"python3 -c '{python}' {COLLECTED} '{rows}'").split()))
    # A signal that it has for tests. The database of the day that is over bears another name.
    out1.check_output("systemctl kill --signal=SIGUSR2 tlsrpt-collectd")
    wait(lambda: not out1.check_output(f"python3 -c '{python}' {COLLECTED} '{rows}' || echo moving"))
    out1.check_output(
        "systemctl stop tlsrpt-reportd && rm /var/lib/tlsrpt/reportd.sqlite && systemctl start tlsrpt-reportd"
    )


def report_now(lab: Lab, domains: t.Sequence[str]) -> dict[str, t.Any]:
    """What the reports of these domains say that come by mail."""
    report_today(lab, domains)

    def look() -> dict[str, t.Any]:
        run = lab.playbook("read_reports.yml")
        assert run.status == 0, run.output
        found = json.loads((lab.run_dir / "reported.json").read_text())["domains"]
        return {domain: found[domain] for domain in domains} if set(domains) <= set(found) else {}

    wait(
        lambda: lab.host("mx1").run("grep --count TLS-Report-Domain: /var/mail/lab").stdout.strip() >= str(len(domains))
    )
    return wait(look)


def test_a_resolver_that_does_not_validate_is_refused(lab: Lab) -> None:
    run = lab.playbook("sender", "--limit=mx2", sender_resolver_check="scale.example")
    assert run.status != 0
    assert "127.0.0.1 does not say that what it knows of scale.example is validated" in run.output
    assert run.changed["mx2"] == 0


RESTARTED = ("unbound", "tlsrpt-collectd", "tlsrpt-reportd")


def loaded(lab: Lab) -> dict[str, str]:
    """When each service last started, and how often Postfix was reloaded."""
    out1 = lab.host("out1")
    looks = {name: f"systemctl show --property=ActiveEnterTimestampMonotonic {name}" for name in RESTARTED}
    looks["postfix"] = "journalctl --identifier=postfix/master --output=cat | grep --count ^reload"
    return {name: out1.run(look).stdout for name, look in looks.items()}


def test_a_run_that_died_before_services_knew_their_files_is_healed(lab: Lab) -> None:
    """The next one finds nothing to write, and has them read what is there."""
    before = loaded(lab)
    changed = {"sender_resolver_forwarders": [lab.facts["lab_ns_address"]]}
    with lab.begin("sender", "--limit=out1", **changed) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("TASK [") and "Keep unbound running" in line:
                os.killpg(process.pid, signal.SIGKILL)
                break
    assert process.returncode == -signal.SIGKILL
    # What it leaves where it dies later.
    lab.host("out1").check_output("touch /etc/postfix/main.cf /etc/mta-sts-sender/tlsrpt.cfg")
    assert loaded(lab) == before
    healed = lab.playbook("sender", "--limit=out1", **changed)
    assert healed.status == 0, healed.output
    wait(lambda: all(before[name] != when for name, when in loaded(lab).items()))
    again = lab.playbook("sender", "--limit=out1", **changed)
    assert again.changed == {"out1": 0}, again.output


# --- reports as evidence ----------------------------------------------------------------------------------

REPORTED = "reported.scale.example"
ARRIVED = "/var/lib/mta-sts-reports/https"
OLDER = """
import datetime, gzip, json, pathlib, sys
for path in pathlib.Path(sys.argv[1]).iterdir():
    report = json.loads(gzip.decompress(path.read_bytes()))
    for key, text in report["date-range"].items():
        older = datetime.datetime.fromisoformat(text.replace("Z", "+00:00")) - datetime.timedelta(days=1)
        report["date-range"][key] = older.isoformat()
    path.write_bytes(gzip.compress(json.dumps(report).encode()))
"""


def reported(lab: Lab) -> None:
    """Has the sender report on a session with the domain, by HTTPS, and waits for the report."""
    before = int(lab.host("web1").check_output(f"ls {ARRIVED} | wc -l"))
    report_today(lab, [REPORTED])
    wait(lambda: int(lab.host("web1").check_output(f"ls {ARRIVED} | wc -l")) > before)


def rolled_out(lab: Lab) -> tuple[str, dict[str, str]]:
    """The stage of the domain after a rollout, and what holds it."""
    # Others of this scenario are broken.
    lab.quick_rollout(mta_sts_fail_on_pending=False)
    found = lab.report()[REPORTED]
    return found["stage"], {hold["code"]: hold["message"] for hold in found["holds"]}


def test_what_a_sender_reported_holds_the_domain_until_it_is_mended(lab: Lab, outgoing: Outgoing) -> None:
    """Only the sender does not get through the handshake: no probe can see that.

    In testing its mail goes all the same, once it has waited: without TLS.
    """
    out1 = lab.host("out1")
    old = {
        "smtp_tls_protocols": "TLSv1.2",
        "smtp_tls_exclude_ciphers": "aNULL,kECDHE,kDHE",
        "minimal_backoff_time": "1s",
    }
    out1.check_output("postconf " + " ".join(f"{name}={value}" for name, value in old.items()))
    out1.check_output("systemctl reload postfix")
    try:
        recipient = f"{secrets.token_hex(6)}@{REPORTED}"
        out1.check_output("echo hello | sendmail -f %s %s", SENDER, recipient)
        wait(lambda: out1.run("postqueue -f").rc == 0 and f"to=<{recipient}>" in sent(outgoing))
    finally:
        out1.check_output("postconf -X " + " ".join(old))
        out1.check_output("systemctl reload postfix")
    reported(lab)
    lab.age(days=8)
    stage, holds = rolled_out(lab)
    assert (stage, set(holds)) == ("testing", {"mx-reported"})
    told = r"mx1\.lab\.test: validation-failure in \d+ sessions? since \S+, reported by Lab Out"
    assert re.fullmatch(told, holds["mx-reported"])

    assert "status=sent" in outgoing.send([REPORTED])[REPORTED]
    # The report that tells so is about a later day.
    with lab.on_host("web1", OLDER, ARRIVED) as process:
        assert process.wait() == 0
    reported(lab)
    assert rolled_out(lab) == ("enforcing", {})


def sent(outgoing: Outgoing) -> str:
    """What the log says of mail that was delivered."""
    return "\n".join(line for line in outgoing.log().splitlines() if "status=sent" in line)


def test_all_goes_back_to_what_it_was(lab: Lab) -> None:
    """Last, as nothing is left after it."""
    preview = lab.playbook("sender", "--check", "--diff", sender_state="absent")
    assert preview.status == 0, preview.output
    assert min(preview.changed.values()) > 0
    assert "smtp_tls_policy_maps is removed" in preview.output
    assert lab.host("out1").check_output("postconf -h smtp_tls_policy_maps").endswith(":8462:postfix")
    run = lab.playbook("sender", sender_state="absent")
    assert run.status == 0, run.output
    for host in map(lab.host, SENDERS):
        host.check_output("postconf -n | diff /root/postconf.before - && diff /root/resolv.before /etc/resolv.conf")
        host.check_output("diff /etc/resolv.conf /var/spool/postfix/etc/resolv.conf")
        active = host.run(
            "systemctl is-active unbound postfix-mta-sts-resolver mta-sts-sender tlsrpt-collectd tlsrpt-reportd"
        )
        assert set(active.stdout.split()) == {"inactive"}
        left = host.check_output("find / -xdev -name '*mta-sts-sender*' -o -xdev -name '*tlsrpt*'").splitlines()
        ours = [path for path in left if re.match("/(etc|usr/local|var/spool|var/lib/(?!apt|dpkg))", path)]
        assert ours == ["/var/lib/mta-sts-sender-packages"]
    again = lab.playbook("sender", sender_state="absent")
    assert set(again.changed.values()) == {0}, again.output
