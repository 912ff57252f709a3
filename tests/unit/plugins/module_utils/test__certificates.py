# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates: what nginx could not use is refused, each name stands for itself, and certbot is understood."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest
import trustme
from ansible_collections.postmaster.mta_sts.plugins.module_utils import _certificates
from ansible_collections.postmaster.mta_sts.plugins.module_utils._attempts import Attempts
from ansible_collections.postmaster.mta_sts.plugins.module_utils._certificates import (
    Acme,
    certbot_reason,
    from_acme,
    remove,
    stops_all,
)
from ansible_collections.postmaster.mta_sts.plugins.module_utils._pem_files import (
    CertificateError,
    Outcome,
    Store,
    check_pem,
    from_files,
)
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

AUTHORITY = trustme.CA()
ONE, OTHER = AUTHORITY.issue_cert("mta-sts.example.com"), AUTHORITY.issue_cert("mta-sts.example.com")
CHAIN = b"".join(blob.bytes() for blob in ONE.cert_chain_pems)
KEY, OTHER_KEY = ONE.private_key_pem.bytes(), OTHER.private_key_pem.bytes()
ENCRYPTED = load_pem_private_key(KEY, None).private_bytes(
    Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")
)


@pytest.mark.parametrize("pem", [CHAIN + KEY, KEY + CHAIN, CHAIN + b"\n\n" + KEY])
def test_chain_and_key_that_belong_together(pem: bytes) -> None:
    check_pem(pem)


@pytest.mark.parametrize(
    ("pem", "reason"),
    [
        (CHAIN + OTHER_KEY, "key values mismatch"),
        (CHAIN, ""),
        (KEY, ""),
        (CHAIN + ENCRYPTED, ""),
        (b"", ""),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n" + KEY, ""),
        (CHAIN[:300] + KEY, ""),
    ],
    ids=["other key", "no key", "no certificate", "encrypted key", "empty", "garbage", "cut"],
)
def test_what_nginx_could_not_use(pem: bytes, reason: str) -> None:
    with pytest.raises(CertificateError, match=f"certificate and key are not usable together: .*{reason}"):
        check_pem(pem)


def test_a_key_of_another_file_does_not_pass_for_that_of_this_one() -> None:
    rsa = AUTHORITY.issue_cert("mta-sts.example.org", key_type=trustme.KeyType.RSA)
    rsa_chain = b"".join(blob.bytes() for blob in rsa.cert_chain_pems)
    check_pem(CHAIN + KEY)
    with pytest.raises(CertificateError):
        check_pem(rsa_chain + KEY)


def files(directory: Path, **contents: bytes) -> tuple[str, str]:
    for name, content in contents.items():
        (directory / name.replace("_", ".")).write_bytes(content)
    return str(directory / "{name}.crt"), str(directory / "{name}.key")


def test_one_bad_name_stops_no_other(tmp_path: Path) -> None:
    certificate, key = files(tmp_path, a_crt=CHAIN, a_key=KEY, b_crt=CHAIN, b_key=OTHER_KEY, d_crt=CHAIN, d_key=KEY)
    tls = tmp_path / "tls"
    tls.mkdir()
    names = ["a", "b", "c", "x" * 254, "d"]
    (tmp_path / ("x" * 251 + ".crt")).write_bytes(CHAIN)
    outcomes = from_files(names, certificate, key, Store(tls, os.getgid()), check_mode=False)
    assert list(outcomes) == names
    assert outcomes["a"] == outcomes["d"] == Outcome(changed=True)
    assert outcomes["b"].error.startswith("certificate and key are not usable together")
    assert outcomes["c"].error == f"{tmp_path}/c.crt: No such file or directory"
    assert "File name too long" in outcomes["x" * 254].error
    assert sorted(path.name for path in tls.iterdir()) == ["a.pem", "d.pem"]
    assert stat.S_IMODE((tls / "a.pem").stat().st_mode) == 0o640
    check_pem((tls / "a.pem").read_bytes())


def test_check_mode_tells_the_same_and_writes_nothing(tmp_path: Path) -> None:
    certificate, key = files(tmp_path, a_crt=CHAIN, a_key=KEY, b_crt=CHAIN, b_key=OTHER_KEY)
    tls = tmp_path / "tls"
    tls.mkdir()
    store = Store(tls, os.getgid())
    planned = from_files(["a", "b"], certificate, key, store, check_mode=True)
    assert list(tls.iterdir()) == []
    assert from_files(["a", "b"], certificate, key, store, check_mode=False) == planned
    assert from_files(["a"], certificate, key, store, check_mode=True) == {"a": Outcome()}
    assert from_files(["a"], certificate, key, store, check_mode=False) == {"a": Outcome()}


def test_a_key_that_others_may_read_is_put_right(tmp_path: Path) -> None:
    certificate, key = files(tmp_path, a_crt=CHAIN, a_key=KEY)
    tls = tmp_path / "tls"
    tls.mkdir()
    store = Store(tls, os.getgid())
    from_files(["a"], certificate, key, store, check_mode=False)
    (tls / "a.pem").chmod(0o644)
    assert from_files(["a"], certificate, key, store, check_mode=False) == {"a": Outcome(changed=True)}
    assert stat.S_IMODE((tls / "a.pem").stat().st_mode) == 0o640


REMOVED = Outcome(removed=True)


@pytest.mark.parametrize("acme", [False, True])
def test_removal_is_announced_done_and_done_once(tmp_path: Path, letsencrypt: Path, acme: bool) -> None:
    for name in ("a", "a.pem", "b"):
        (tmp_path / f"{name}.pem").write_bytes(CHAIN + KEY)
    store = Store(tmp_path, None)
    for check_mode in (True, False):
        expected = {"a": REMOVED, "c": Outcome()}
        assert remove(["a", "c"], store, acme=acme, check_mode=check_mode) == expected
        assert (tmp_path / "a.pem").exists() == check_mode
    assert remove(["a", "c"], store, acme=acme, check_mode=False) == {"a": Outcome(), "c": Outcome()}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.pem.pem", "b.pem"]
    assert list(letsencrypt.iterdir()) == []


def test_removal_before_the_first_run(tmp_path: Path) -> None:
    """In check mode the directory may be missing."""
    store = Store(tmp_path / "missing", None)
    assert remove(["a"], store, acme=False, check_mode=True) == {"a": Outcome()}


def test_a_removal_that_fails_stops_no_other(tmp_path: Path) -> None:
    (tmp_path / "a.pem").mkdir()
    (tmp_path / "b.pem").write_bytes(CHAIN + KEY)
    outcomes = remove(["a", "x" * 254, "b"], Store(tmp_path, None), acme=False, check_mode=False)
    assert str(tmp_path / "a.pem") in outcomes["a"].error
    assert "File name too long" in outcomes["x" * 254].error
    assert outcomes["b"] == REMOVED
    assert [path.name for path in tmp_path.iterdir()] == ["a.pem"]


@pytest.fixture
def letsencrypt(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory of certbot's, on a host where certbot itself cannot be found."""
    directory = tmp_path_factory.mktemp("letsencrypt")
    monkeypatch.setattr(_certificates, "CERTBOT_CONFIG", directory)
    monkeypatch.setenv("PATH", "")
    return directory


def test_certbot_is_asked_only_for_what_it_has_under_the_very_name(tmp_path: Path, letsencrypt: Path) -> None:
    renewal = letsencrypt / "renewal"
    renewal.mkdir()
    for name in ("mta-sts.a.example", "mta-sts.b.example-0001", "mta-sts.c.example.net"):
        (renewal / f"{name}.conf").write_text("server = https://acme.example/directory\n")
    names = [f"mta-sts.{label}.example" for label in "abc"]
    store = Store(tmp_path, None)
    for name in names:
        (tmp_path / f"{name}.pem").write_bytes(CHAIN + KEY)
    assert remove(names, store, acme=True, check_mode=True) == dict.fromkeys(names, REMOVED)
    outcomes = remove(names, store, acme=True, check_mode=False)
    assert outcomes[names[0]].error.startswith("certbot cannot be run, is it installed?")
    assert outcomes[names[1]] == outcomes[names[2]] == REMOVED
    # What certbot goes on renewing would come back.
    assert [path.name for path in tmp_path.iterdir()] == [f"{names[0]}.pem"]
    assert len(list(renewal.iterdir())) == 3


def test_a_lineage_without_file_is_removed_too_and_left_alone_where_files_are_given(
    tmp_path: Path, letsencrypt: Path
) -> None:
    (letsencrypt / "renewal").mkdir()
    (letsencrypt / "renewal/a.conf").write_text("")
    store = Store(tmp_path, None)
    assert remove(["a"], store, acme=False, check_mode=True) == {"a": Outcome()}
    assert remove(["a"], store, acme=True, check_mode=True) == {"a": REMOVED}
    assert remove(["a"], store, acme=True, check_mode=False)["a"].error.startswith("certbot cannot be run")


BEGIN = "Saving debug log to /var/log/letsencrypt/letsencrypt.log\nRequesting a certificate for mta-sts.example.com\n"
ASK = (
    "Ask for help or search for solutions at https://community.letsencrypt.org. See the logfile "
    "/var/log/letsencrypt/letsencrypt.log or re-run Certbot with -v for more details.\n"
)


def challenge(kind: str, detail: str) -> str:
    return (
        f"{BEGIN}\nCertbot failed to authenticate some domains (authenticator: webroot). "
        "The Certificate Authority reported these problems:\n"
        f"  Domain: mta-sts.example.com\n  Type:   {kind}\n  Detail: {detail}\n\n"
        "Hint: The Certificate Authority failed to download the temporary challenge files created by Certbot.\n\n"
        f"Some challenges have failed.\n{ASK}"
    )


def unexpected(text: str) -> str:
    return f"{BEGIN}An unexpected error occurred:\n{text}\n{ASK}"


NXDOMAIN = "DNS problem: NXDOMAIN looking up A for mta-sts.example.com - check that a DNS record exists"
ALONE = (
    'too many failed authorizations (5) for "mta-sts.example.com" in the last 1h0m0s, retry after 2026-11-23 15:34 UTC'
)
EXACT = "too many certificates (5) already issued for this exact set of identifiers in the last 168h0m0s"
GENERIC = "There were too many requests of a given type :: "
ORDERS = "too many new orders (300) from this account in the last 3h0m0s, retry after 2026-11-23 15:34:00 UTC"

# What certbot prints, what of it is told, and whether to ask for other names is of no use.
OUTPUTS: dict[str, tuple[str, str, bool]] = {
    "no address": (challenge("dns", NXDOMAIN), NXDOMAIN, False),
    "not found": (
        challenge("unauthorized", "198.51.100.7: Invalid response from http://mta-sts.example.com/: 404"),
        "198.51.100.7: Invalid response from http://mta-sts.example.com/: 404",
        False,
    ),
    "this name failed too often": (unexpected(ALONE), ALONE, False),
    "this name was issued too often": (
        unexpected(f"{GENERIC}Error creating new order :: {EXACT}"),
        f"{GENERIC}Error creating new order :: {EXACT}",
        False,
    ),
    "this account asked too often": (
        unexpected(f"{GENERIC}Error creating new order :: {ORDERS}"),
        f"{GENERIC}Error creating new order :: {ORDERS}",
        True,
    ),
    "too many accounts": (
        unexpected("too many new registrations (10) from this IP address in the last 3h0m0s"),
        "too many new registrations (10) from this IP address in the last 3h0m0s",
        True,
    ),
    "busy": (unexpected("Error: Service busy; retry later."), "Error: Service busy; retry later.", True),
    "another certbot": (
        f"{BEGIN}Another instance of Certbot is already running.\n{ASK}",
        "Another instance of Certbot is already running.",
        False,
    ),
    "a reason that speaks of a log": (
        f"{BEGIN}The catalogue of logs is full.\n{ASK}",
        "The catalogue of logs is full.",
        False,
    ),
    "silent": ("", "failed without saying why", False),
    "hostile": (challenge("connection", "\x1b[2J\x07"), "?[2J?", False),
}


@pytest.mark.parametrize(("output", "reason", "stops"), OUTPUTS.values(), ids=OUTPUTS)
def test_what_certbot_says(output: str, reason: str, stops: bool) -> None:
    told = certbot_reason(output)
    assert told == f"certbot: {reason}"
    assert stops_all(told) is stops


def test_what_certbot_says_is_bounded() -> None:
    assert len(certbot_reason("x" * 10_000)) == 400


CERTBOT = """#!/bin/sh
# As certbot: a certificate for every name but those that begin with 'bad', or the server's refusal.
while [ $# -gt 0 ]; do [ "$1" = --cert-name ] && name=$2; shift; done
echo "$name" >> {place}/asked
case $name in
    bad*) echo "Detail: no such name" >&2; exit 1 ;;
    hidden*) echo "acme.messages.Error: urn:ietf:params:acme:error:rateLimited :: too many new orders" >> {place}/log
             echo "AttributeError: can't set attribute" >&2; exit 1 ;;
esac
mkdir -p {place}/renewal {place}/live/$name
echo "server = {directory}" > {place}/renewal/$name.conf
cp {place}/chain {place}/live/$name/fullchain.pem
cp {place}/key {place}/live/$name/privkey.pem
"""
HOOK = """#!/bin/sh
cat $RENEWED_LINEAGE/fullchain.pem $RENEWED_LINEAGE/privkey.pem > {tls}/${{RENEWED_LINEAGE##*/}}.pem
chmod 0640 {tls}/${{RENEWED_LINEAGE##*/}}.pem
"""


class Host:
    """A policy host with a certbot that says yes or no by the name alone."""

    def __init__(self, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.place, self.tls = place, place / "tls"
        self.tls.mkdir()
        (place / "chain").write_bytes(CHAIN)
        (place / "key").write_bytes(KEY)
        # Anything that answers is a server.
        self.directory = (place / "chain").as_uri()
        for name, text in (("certbot", CERTBOT), ("hook", HOOK)):
            (place / name).write_text(text.format(place=place, tls=self.tls, directory=self.directory))
            (place / name).chmod(0o755)
        monkeypatch.setattr(_certificates, "CERTBOT", str(place / "certbot"))
        monkeypatch.setattr(_certificates, "CERTBOT_CONFIG", place)
        monkeypatch.setattr(_certificates, "CERTBOT_LOG", place / "log")

    def run(
        self, names: list[str], limit: int = 0, check_mode: bool = False, **unready: str
    ) -> tuple[dict[str, Outcome], list[str]]:
        """The outcomes, and who was asked for in which order."""
        acme = Acme(self.directory, "", self.place, self.place / "hook", limit, unready)
        outcomes = from_acme(names, acme, Store(self.tls, os.getgid()), check_mode=check_mode)
        assert list(outcomes) == names
        asked = self.place / "asked"
        order = asked.read_text().split() if asked.exists() else []
        asked.unlink(missing_ok=True)
        return outcomes, order


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    return Host(tmp_path, monkeypatch)


QUEUED, CHANGED = Outcome(queued=True), Outcome(changed=True)


def test_so_many_are_asked_for_and_no_more(host: Host) -> None:
    names = ["bad1", "a", "b", "c", "bad2", "d"]
    outcomes, asked = host.run(names, limit=3)
    assert asked == ["bad1", "a", "b"]
    assert [outcomes[name].queued for name in names] == [False, False, False, True, True, True]
    assert outcomes["bad1"].error == "certbot: no such name"
    # What never failed comes first; what is there is seen to in any case.
    outcomes, asked = host.run(names, limit=2)
    assert asked == ["c", "bad2"]
    assert (outcomes["a"], outcomes["c"], outcomes["d"], outcomes["bad1"]) == (Outcome(), CHANGED, QUEUED, QUEUED)
    # Then what failed longest ago.
    assert host.run(names, limit=2)[1] == ["d", "bad1"]
    assert host.run(names, limit=1)[1] == ["bad2"]
    assert host.run(names)[1] == ["bad1", "bad2"]


def test_names_that_fail_do_not_starve_others(host: Host) -> None:
    names = ["bad1", "bad2", "bad3", "a", "b"]
    for _run in names:
        outcomes, asked = host.run(names, limit=1)
        assert len(asked) == 1
    assert (outcomes["a"], outcomes["b"]) == (Outcome(), CHANGED)


def test_check_mode_tells_who_is_asked_for(host: Host) -> None:
    names = ["bad", "a", "b"]
    host.run(["bad"])
    before = sorted(path.name for path in host.tls.iterdir())
    outcomes, asked = host.run(names, limit=1, check_mode=True)
    assert (asked, outcomes) == ([], {"bad": QUEUED, "a": CHANGED, "b": QUEUED})
    assert sorted(path.name for path in host.tls.iterdir()) == before


def test_a_name_that_is_not_ready_is_not_asked_for_unless_it_has_a_certificate(host: Host) -> None:
    host.run(["b"])
    outcomes, asked = host.run(["a", "b", "c"], limit=1, a="mta-sts.a A: refused\x07", b="mta-sts.b A: refused")
    assert asked == ["c"]
    assert outcomes == {"a": Outcome(error="not asked for: mta-sts.a A: refused?"), "b": Outcome(), "c": CHANGED}


def test_a_limit_of_the_server_ends_the_run_and_counts_for_the_one_that_met_it(host: Host) -> None:
    """Also where certbot tells nothing but of its own stumbling."""
    outcomes, asked = host.run(["a", "hidden", "b", "c"], limit=3)
    assert asked == ["a", "hidden"]
    assert "rateLimited :: too many new orders" in outcomes["hidden"].error
    assert outcomes["b"].error.startswith("not asked for, since the ACME server had said: certbot: urn:")
    assert outcomes["c"] == QUEUED
    assert Attempts(host.tls).in_turn(["hidden", "b"]) == ["b", "hidden"]


def test_what_failed_is_forgotten_with_the_certificate_and_with_the_name(host: Host) -> None:
    kept = host.tls / "refused.json"
    host.run(["bad1", "bad2"])
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    certbot = host.place / "certbot"
    certbot.write_text(certbot.read_text().replace("bad*", "worse*"))
    host.run(["bad1"])
    assert list(json.loads(kept.read_text())) == ["bad2"]
    remove(["bad2"], Store(host.tls, None), acme=True, check_mode=False)
    assert not kept.exists()


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"bad": 1}', b'{"bad": {"at": 5}}', b"\xff", b"[" * 100_000])
def test_what_failed_may_be_damaged(host: Host, damage: bytes) -> None:
    (host.tls / "refused.json").write_bytes(damage)
    assert host.run(["bad", "a"], limit=1)[1] == ["bad"]
    assert host.run(["bad", "a"], limit=1)[1] == ["a"]
