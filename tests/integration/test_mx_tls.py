# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module mx_tls, and the program that follows renewals, with a real Postfix."""

from __future__ import annotations

import json
import stat
import subprocess
import typing as t
from pathlib import Path

import pytest
from ansible_collections.postmaster.mta_sts.plugins.module_utils._mx_chain import served_key
from ansible_collections.postmaster.mta_sts.plugins.module_utils._mx_tlsa import write_memory
from ansible_collections.postmaster.mta_sts.plugins.module_utils._tlsa import Memory
from mx_host import LISTENER, NAME, Host
from postfix import POSTFIX
from tls import Authority


@pytest.fixture
def host(tmp_path: Path) -> t.Iterator[Host]:
    started = Host(tmp_path)
    yield started
    started.postfix.stop()


def test_postfix_is_given_the_certificate_and_it_is_taken_back(host: Host) -> None:
    before = host.main.read_bytes()
    key = host.give(host.authority.issue(NAME))
    planned = host.call(check=True)
    assert planned["changed"]
    assert (host.main.read_bytes(), host.directory.exists()) == (before, False)
    done = host.call()
    assert (done["changed"], done["key"], done["name"]) == (True, key, NAME)
    assert done["diff"] == planned["diff"]
    assert "smtpd_tls_security_level = may\n" in done["diff"][0]["after"]
    assert host.parameters() == host.wanted()
    assert served_key(*LISTENER) == key
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (host.directory, *host.directory.iterdir())]
    assert modes == [0o700, *[0o600] * (len(modes) - 1)]
    for check in (True, False):
        again = host.call(check=check)
        assert not again["changed"]
        assert again["diff"] == [{"before": "", "after": ""}]
    assert host.call(state="absent", check=True)["changed"]
    assert host.parameters() == host.wanted()
    assert host.call(state="absent")["changed"]
    assert (host.main.read_bytes(), host.directory.exists()) == (before, False)
    assert not host.call(state="absent")["changed"]


def test_what_somebody_else_has_set_is_put_back_or_left(host: Host) -> None:
    with host.main.open("a") as main:
        main.write("smtpd_tls_security_level = encrypt\nsmtpd_tls_protocols = >=TLSv1\n")
    host.give(host.authority.issue(NAME))
    host.call()
    assert host.parameters() == {**host.wanted(), "smtpd_tls_security_level": "encrypt"}
    # Once more, as after a run that died: what was there first is not forgotten.
    (host.directory / "loaded").unlink()
    assert host.call()["changed"]
    subprocess.run(
        ["postconf", "-c", host.postfix.directory, "-e", "smtpd_tls_mandatory_protocols=>=TLSv1.3"], check=True
    )
    assert host.call(state="absent")["changed"]
    assert host.parameters() == {
        "smtpd_tls_security_level": "encrypt",
        "smtpd_tls_protocols": ">=TLSv1",
        "smtpd_tls_mandatory_protocols": ">=TLSv1.3",
    }


REFUSED: dict[str, tuple[t.Callable[[Authority], bytes], str]] = {
    "another name": (
        lambda ca: ca.issue("mx2.example.net"),
        "senders would not accept it for mx1.example.net: Hostname mism",
    ),
    "only a common name": (lambda ca: ca.issue("a.example", common_name=NAME), "senders would not accept it for"),
    "expired": (
        lambda ca: ca.issue(NAME, expired=True),
        "senders would not accept it for mx1.example.net: certificate has ex",
    ),
    "an authority that nobody trusts": (lambda _ca: Authority().issue(NAME), "unable to get local issuer certificate"),
    "a key of another": (
        lambda ca: (
            ca.issue(NAME).split(b"-----END PRIVATE KEY-----\n")[0]
            + b"-----END PRIVATE KEY-----\n"
            + ca.issue(NAME).split(b"-----END PRIVATE KEY-----\n")[1]
        ),
        "certificate and key are not usable together: key values mismatch",
    ),
    "no certificate": (
        lambda ca: ca.issue(NAME).split(b"-----END PRIVATE KEY-----\n")[0] + b"-----END PRIVATE KEY-----\nnothing\n",
        "has no certificate",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_senders_would_not_accept_is_refused(host: Host, kind: str) -> None:
    make, words = REFUSED[kind]
    good = host.give(host.authority.issue(NAME))
    host.call()
    before = host.main.read_bytes()
    pem = make(host.authority)
    key, end, chain = pem.partition(b"-----END PRIVATE KEY-----\n")
    (host.place / "key.pem").write_bytes(key + end)
    (host.place / "chain.pem").write_bytes(chain)
    for check in (True, False):
        refused = host.call(check=check)
        assert refused["failed"]
        assert words in refused["msg"]
        assert str(host.place / "chain.pem") in refused["msg"]
    followed = host.follow()
    assert followed.returncode == 1
    assert words in followed.stderr
    assert (host.main.read_bytes(), served_key(*LISTENER)) == (before, good)


def test_a_first_certificate_that_is_refused_changes_nothing_of_postfix(host: Host) -> None:
    before = host.main.read_bytes()
    host.give(host.authority.issue("mx2.example.net"))
    assert host.call()["failed"]
    assert host.main.read_bytes() == before


def test_a_configuration_that_postfix_does_not_take_is_not_loaded(host: Host) -> None:
    good = host.main.read_bytes()
    before = good + b"mail_owner = nobody-of-that-name\n"
    host.main.write_bytes(before)
    host.give(host.authority.issue(NAME))
    refused = host.call()
    after = host.main.read_bytes()
    # Else it could not even be stopped.
    host.main.write_bytes(good)
    assert refused["failed"]
    assert refused["msg"].startswith("postfix check: ")
    assert after == before


def test_a_renewal_is_followed(host: Host) -> None:
    host.give(host.authority.issue(NAME))
    host.call()
    assert (host.follow().stdout, host.follow().returncode) == ("", 0)
    key = host.give(host.authority.issue(NAME))
    followed = host.follow()
    assert (followed.returncode, followed.stderr, followed.stdout) == (0, "", "Postfix was given the certificate\n")
    assert served_key(*LISTENER) == key
    assert not host.call()["changed"]


def test_what_somebody_put_in_its_place_is_served_no_longer(host: Host) -> None:
    key = host.give(host.authority.issue(NAME))
    host.call()
    (host.directory / "chain.pem").write_bytes(host.authority.issue(NAME))
    subprocess.run([POSTFIX, "-c", host.postfix.directory, "reload"], check=True, capture_output=True)
    assert served_key(*LISTENER) != key
    assert host.call()["changed"]
    assert served_key(*LISTENER) == key


@pytest.mark.parametrize("memory", ["whole", "damaged", "lost"])
def test_a_key_that_no_record_is_of_is_not_served(host: Host, memory: str) -> None:
    old = host.give(host.authority.issue(NAME))
    host.call()
    (host.directory / "tlsa-kept").touch()
    if memory != "lost":
        text = json.dumps({"serve": old}) if memory == "whole" else '{"serve"'
        (host.directory / "tlsa.json").write_text(text)
    new = host.give(host.authority.issue(NAME))
    told = host.call()
    assert not told["changed"]
    assert told["key"] == old != new
    assert "what is served stays as it is; the role mx_tlsa brings a new key into use in order" in str(told["warnings"])
    assert host.follow().returncode == 1
    assert served_key(*LISTENER) == old
    refused = host.call(state="absent")
    assert refused["failed"]
    assert "senders may still hold TLSA records of mx1.example.net" in refused["msg"]
    (host.directory / "tlsa-kept").unlink()
    assert host.call()["key"] == new == served_key(*LISTENER)


def test_a_host_that_has_records_already_keeps_what_it_serves(host: Host) -> None:
    """Until somebody has published those of the new key, which is the time to point Postfix at it."""
    own = host.authority.issue(NAME)
    old = host.give(own)
    (host.place / "own.pem").write_bytes(own)
    with host.main.open("a") as main:
        main.write(f"smtpd_tls_chain_files = {host.place}/own.pem\nsmtpd_tls_security_level = may\n")
    subprocess.run([POSTFIX, "-c", host.postfix.directory, "reload"], check=True, capture_output=True)
    before = host.main.read_bytes()
    new = host.give(host.authority.issue(NAME))
    # As the module does, which asks at port 25.
    host.directory.mkdir(mode=0o700)
    write_memory(host.directory, Memory(serve=old))
    for keep in (True, False):
        told = host.call(keep_key=keep)
        assert not told.get("failed"), told
        assert told["key"] is None
        assert "the role mx_tlsa brings a new key into use in order" in str(told["warnings"])
        assert (host.main.read_bytes(), served_key(*LISTENER)) == (before, old)
    write_memory(host.directory, Memory(serve=new))
    assert host.call()["key"] == new == served_key(*LISTENER)
    assert host.parameters() == host.wanted()
