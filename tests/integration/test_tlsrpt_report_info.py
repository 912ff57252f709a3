# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reports are found wherever they lie, and what is none is told, bounded, and stops no other."""

from __future__ import annotations

import datetime as dt
import email.message
import email.policy
import gzip
import json
import mailbox
import os
import resource
import typing as t
from pathlib import Path

import pytest
from ansible_collections.postmaster.mta_sts.plugins.module_utils._report_files import MAIL_LIMIT
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from modules import Result, run

SCHEMA = json.loads((Path(__file__).parents[2] / "docs/schemas/reports.json").read_text())
TODAY = dt.datetime.now(dt.timezone.utc).date()


def report(number: int, domain: str = "example.com", day: dt.date = TODAY) -> bytes:
    return json.dumps(
        {
            "organization-name": "Sender",
            "report-id": f"{number}",
            "date-range": {"start-datetime": f"{day}T00:00:00Z", "end-datetime": f"{day}T23:59:59Z"},
            "policies": [
                {
                    "policy": {"policy-type": "sts", "policy-domain": domain},
                    "summary": {"total-successful-session-count": 10, "total-failure-session-count": 1},
                }
            ],
        }
    ).encode()


def mail(data: bytes, subtype: str = "tlsrpt+gzip", filename: str = "") -> email.message.EmailMessage:
    """A mail of RFC 8460 5.3, or what else brings a report."""
    message = email.message.EmailMessage(email.policy.SMTP)
    message["From"], message["Subject"] = "tls@sender.example", "Report Domain: example.com"
    message.set_content("This is an aggregate TLS report.")
    kept = gzip.compress(data) if "gzip" in subtype else data
    message.add_attachment(kept, "application", subtype, filename=filename or None)
    return message


def tell(*paths: Path, **options: t.Any) -> Result:
    """Calls the module, and checks the document that its action plugin makes of what it returns."""
    result = run("tlsrpt_report_info", paths[0].parent, paths=[str(path) for path in paths], **options)
    if not result.get("failed"):
        assert not result["changed"]
        Draft202012Validator(SCHEMA).validate(
            {"host": "web1", **{key: result[key] for key in ("domains", "unreadable")}}
        )
    return result


def reasons(result: Result) -> list[str]:
    return [one["reason"] for one in result["unreadable"]]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    directory = tmp_path / "reports"
    directory.mkdir()
    return directory


def test_files_of_a_directory(place: Path) -> None:
    (place / "deep/er").mkdir(parents=True)
    (place / "one.json").write_bytes(report(1))
    (place / "two.json.gz").write_bytes(gzip.compress(report(2)))
    # A name is believed nothing.
    (place / "deep/er/three.txt").write_bytes(gzip.compress(report(3)))
    (place / "again.json").write_bytes(report(1))
    (place / ".hidden").write_bytes(report(4))
    result = tell(place)
    assert result["counts"] == {"reports": 3, "duplicates": 1, "unreadable": 0, "succeeded": 30, "failed": 3}
    failure = {"result_type": "not detailed", "mx_host": "", "policy_type": "sts", "reporter": "Sender", "sessions": 3}
    assert result["domains"] == {
        "example.com": {
            str(TODAY): {"reporters": {"Sender": {"succeeded": 30, "failed": 3}}, "failures": [failure]},
        }
    }


@pytest.mark.parametrize(
    ("subtype", "filename"),
    [
        ("tlsrpt+gzip", ""), ("tlsrpt+json", ""), ("gzip", "r.json.gz"), ("x-gzip", "r.json.gz"), ("json", "R.JSON"),
        ("octet-stream", "r.json"), ("octet-stream", ""),
    ],
)  # fmt: skip
def test_attachments(place: Path, subtype: str, filename: str) -> None:
    (place / "mail").write_bytes(mail(report(1), subtype, filename).as_bytes())
    assert tell(place / "mail")["counts"]["reports"] == 1


def test_a_mail_with_several_reports_and_one_that_was_forwarded(place: Path) -> None:
    message = mail(report(1))
    message.add_attachment(gzip.compress(report(2)), "application", "tlsrpt+gzip")
    # Beside what has its type nothing is guessed at.
    message.add_attachment(b"{}", "application", "json", filename="notes.json")
    forwarded = email.message.EmailMessage()
    forwarded.set_content("see below")
    forwarded.add_attachment(mail(report(3)))
    (place / "a").write_bytes(message.as_bytes())
    (place / "b").write_bytes(forwarded.as_bytes())
    counts = tell(place)["counts"]
    assert (counts["reports"], counts["unreadable"]) == (3, 0)


def test_a_maildir(place: Path) -> None:
    box = mailbox.Maildir(place / "box")
    for number in range(3):
        box.add(mail(report(number)))
    read = mailbox.MaildirMessage(mail(report(3)))
    read.set_subdir("cur")
    box.add(read)
    (place / "box/tmp/half").write_bytes(report(9))
    (place / "box/dovecot.index").write_bytes(b"\1\2\3")
    counts = tell(place)["counts"]
    assert (counts["reports"], counts["unreadable"]) == (4, 0)


def test_an_mbox(place: Path) -> None:
    box = mailbox.mbox(place / "mbox")
    for number in range(3):
        box.add(mail(report(number)))
    box.add(b"Subject: Hello\n\nFrom me to you\n\n>From nobody\n")
    box.close()
    result = tell(place / "mbox")
    assert (result["counts"]["reports"], result["counts"]["unreadable"]) == (3, 1)
    assert result["unreadable"][0]["source"].endswith("mbox (mail 4)")


def test_of_these_domains_and_days_only(place: Path) -> None:
    (place / "1").write_bytes(report(1))
    (place / "2").write_bytes(report(2, "example.org"))
    (place / "3").write_bytes(report(3, "xn--bcher-kva.example", TODAY - dt.timedelta(days=9)))
    assert sorted(tell(place)["domains"]) == ["example.com", "example.org", "xn--bcher-kva.example"]
    assert list(tell(place, domains=["b\u00fccher.example"])["domains"]) == ["xn--bcher-kva.example"]
    assert sorted(tell(place, days=7)["domains"]) == ["example.com", "example.org"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"paths": ["/nowhere"]}, "No such file or directory: '/nowhere'"),
        ({"domains": ["a b"]}, "'a b' holds a blank"),
        ({"days": -1}, "days: -1 is not between 0 and 36500"),
    ],
)
def test_options_that_cannot_be_used(place: Path, options: dict[str, t.Any], message: str) -> None:
    result = run("tlsrpt_report_info", place, **{"paths": [str(place)], **options})
    assert result["failed"]
    assert result["msg"].startswith("Cannot read the reports: ")
    assert message in result["msg"]


def test_what_is_no_report_stops_no_other(place: Path) -> None:
    """Hostile ones, too: what they take is bounded."""
    nested = b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (level, level) for level in range(3000)
    )
    files = {
        "empty": b"",
        "picture.png": b"\x89PNG\r\n\x1a\n" + os.urandom(2000),
        "bomb.json.gz": gzip.compress(b'{"a": "' + b"\0" * (300 << 20)),
        "deep.json": b'{"a":' * 100_000,
        "many.eml": b"Content-Type: multipart/mixed; boundary=a\n\n" + b"--a\n\nx\n" * 5000 + b"--a--\n",
        "nested.eml": nested + b"\nx\n",
        "letter.eml": b"From: a@example.org\nSubject: hi\n\nhello\n",
        "charset.eml": b"Content-Type: application/json; name*=x'y'%00\nContent-Transfer-Encoding: base64\n\n!!!\n",
        "\x1b[31mred\x1b[0m.json": b"{}",
    }
    for name, data in files.items():
        (place / name).write_bytes(data)
    with (place / "huge.eml").open("wb") as file:
        file.write(b"Subject: huge\n\n")
        file.truncate(4 * MAIL_LIMIT)
    with (place / "huge.mbox").open("wb") as file:
        file.write(b"From x\nSubject: huge\n\n")
        file.truncate(4 * MAIL_LIMIT)
        file.seek(0, os.SEEK_END)
        file.write(b"\n\nFrom y\n" + mail(report(7)).as_bytes())
    (place / "well.json").write_bytes(report(8))
    result = tell(place)
    counts = result["counts"]
    assert (counts["reports"], counts["succeeded"]) == (2, 20)
    assert counts["unreadable"] == len(files) + 2
    told = json.dumps(result["unreadable"], ensure_ascii=False)
    assert told.isprintable()
    for reason in ("when decompressed", "nested too deep", "more than 100 parts", "is larger than 32 MiB"):
        assert reason in told


def test_what_cannot_be_read_of_a_report_is_told(place: Path) -> None:
    document = json.loads(report(1))
    document["policies"].append({"policy": {"policy-domain": "a b"}, "summary": {}})
    (place / "half.json").write_text(json.dumps(document))
    result = tell(place)
    assert (result["counts"]["reports"], result["counts"]["succeeded"], result["counts"]["unreadable"]) == (1, 10, 1)
    assert reasons(result)[0].startswith("policies[1]: 'a b' holds a blank")


def test_unreadable_ones_are_counted_and_the_first_hundred_told(place: Path) -> None:
    for number in range(130):
        (place / f"{number}.json").write_bytes(b"{}")
    result = tell(place)
    assert (result["counts"]["unreadable"], len(result["unreadable"])) == (130, 100)


def test_memory_does_not_grow_with_the_number_of_reports(place: Path) -> None:
    filler = {"x": "y" * 200_000}
    for number in range(300):
        (place / f"{number}.json").write_bytes(json.dumps({**json.loads(report(number)), **filler}).encode())
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    assert tell(place)["counts"]["reports"] == 300
    # 60 MB of reports.
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss - before < 30_000
