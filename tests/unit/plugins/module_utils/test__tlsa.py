# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The digest of a key, and what is decided of the TLSA records of an MX host; time passes in the simulation."""

from __future__ import annotations

import datetime as dt
import hashlib
import typing as t
from dataclasses import replace

import pytest
from ansible_collections.postmaster.mta_sts.plugins.module_utils._tlsa import (
    DerError,
    InDns,
    Key,
    Memory,
    Pending,
    Seen,
    Wish,
    decide,
    in_dns,
    key_of,
    lost,
    normal,
    remember,
    tlsa_value,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

NOW = 1_800_000_000
DAY = 86400
A, B, C = (digit * 64 for digit in "abc")
A1, B1, C1 = map(tlsa_value, (A, B, C))

KEYS: dict[str, t.Any] = {
    "ECDSA P-256": ec.generate_private_key(ec.SECP256R1()),
    "ECDSA P-384": ec.generate_private_key(ec.SECP384R1()),
    "RSA": rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "Ed25519": ed25519.Ed25519PrivateKey.generate(),
}


def certificate(key: t.Any, subject: str = "mx1.example.net") -> bytes:
    name = x509.Name([x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, subject[:64])])
    now = dt.datetime(2026, 1, 1, tzinfo=dt.timezone.utc)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now)
    signed = builder.sign(key, None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256())
    return signed.public_bytes(Encoding.DER)


@pytest.mark.parametrize("kind", KEYS)
def test_the_digest_is_that_of_the_public_key(kind: str) -> None:
    public = KEYS[kind].public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert key_of(certificate(KEYS[kind])) == hashlib.sha256(public).hexdigest()


def test_what_is_no_certificate_is_refused() -> None:
    der = certificate(KEYS["ECDSA P-256"])
    for length in range(0, len(der), 7):
        with pytest.raises(DerError):
            key_of(der[:length])
    for garbage in (b"\x30\x03\x30\x01\x02", b"\x30\x84\xff\xff\xff\xff", b"\x00" * 64):
        with pytest.raises(DerError):
            key_of(garbage)


def test_records_are_compared_as_others_write_them() -> None:
    assert normal("3  1 1 ABCD ef01") == "3 1 1 abcdef01"


def seen(*records: str, served: str | None = A, ready: tuple[str, ...] = (A,), **dns: t.Any) -> Seen:
    sets: dict[str, t.Any] = {
        "anywhere": frozenset(records),
        "everywhere": frozenset(records),
        "ttl": 3600 if records else 0,
    }
    return Seen(InDns(**{**sets, **dns}), served, "" if served else "127.0.0.1:25: Connection refused", ready, True)


STEADY = Memory({A: Key(NOW - DAY, NOW - DAY)}, A, NOW - DAY, NOW - DAY)
NEXT = replace(STEADY, keys={A: Key(NOW - DAY, NOW - DAY), B: Key(NOW - DAY, NOW)})
REPLACED = replace(NEXT, serve=B, served_since=NOW - 7200)
UNSIGNED: dict[str, t.Any] = {"secure": False, "insecure": "the zone is not signed"}

# Of each: what is remembered, seen and wished, and the stage and the records that follow.
CASES: dict[str, tuple[Memory, Seen, Wish, str, tuple[str, ...] | None]] = {
    "the first": (Memory(), seen(), Wish(), "publishing", (A1,)),
    "nothing to do": (STEADY, seen(A1), Wish(), "steady", (A1,)),
    "it is not seen what is served": (STEADY, seen(A1, served=None), Wish(), "waiting", None),
    "a next key": (STEADY, seen(A1, ready=(A, B)), Wish(), "publishing", (A1, B1)),
    "a next key that one name server has not": (
        STEADY,
        seen(A1, B1, ready=(A, B), everywhere=frozenset({A1})),
        Wish(),
        "publishing",
        (A1, B1),
    ),
    "a next key that is safe": (NEXT, seen(A1, B1, ready=(A, B)), Wish(), "replacing", (A1, B1)),
    "a next key while a name server is silent": (
        NEXT,
        seen(A1, B1, ready=(A, B), complete=False, trouble="ns2 did not answer"),
        Wish(),
        "publishing",
        (A1, B1),
    ),
    "the key before is kept": (
        replace(REPLACED, served_since=NOW - 7199),
        seen(A1, B1, served=B, ready=(A, B)),
        Wish(),
        "dropping",
        (A1, B1),
    ),
    "the key before may go": (REPLACED, seen(A1, B1, served=B, ready=(A, B)), Wish(), "publishing", (B1,)),
    "a key that nobody knew of is served": (STEADY, seen(A1, served=C), Wish(), "publishing", (A1, C1)),
    "records of others": (STEADY, seen(A1, C1), Wish(), "steady", (A1, C1)),
    "records of others, to be replaced": (STEADY, seen(A1, C1), Wish(replace_foreign=True), "publishing", (A1,)),
    "a zone that is not signed": (Memory(), seen(**UNSIGNED), Wish(), "refused", None),
    "a zone that is not signed any more": (STEADY, seen(A1, served=B, **UNSIGNED), Wish(), "publishing", (A1, B1)),
    "it shall go": (STEADY, seen(A1, C1), Wish(absent=True), "leaving", ()),
    "it is gone, but not from caches": (replace(STEADY, cached_until=NOW), seen(), Wish(absent=True), "leaving", ()),
    "it is gone": (replace(STEADY, cached_until=NOW - 3600), seen(), Wish(absent=True), "absent", ()),
    "it is of others": (Memory(serve=A), seen(A1), Wish(absent=True), "absent", None),
    "it shall go although what was remembered is lost": (lost(NOW), seen(A1), Wish(absent=True), "leaving", ()),
    "it never was": (Memory(), seen(**UNSIGNED), Wish(absent=True), "absent", None),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_decided(case: str) -> None:
    memory, found, wish, stage, values = CASES[case]
    decision = decide(memory, found, wish, NOW)
    assert (decision.stage, decision.values) == (stage, None if values is None else tuple(sorted(values)))
    assert bool(decision.refused) == (stage == "refused")
    assert decision.gone == (stage == "absent" and not found.dns.anywhere)


@pytest.mark.parametrize(
    ("records", "dns", "waits"),
    [
        # All of it is there, one name server has it not, one was silent, and somebody has put another one there.
        ((A1, B1), {}, False),
        ((A1, B1), {"everywhere": frozenset({A1})}, True),
        ((A1, B1), {"complete": False}, True),
        ((A1, B1, C1), {}, True),
    ],
)
def test_a_change_is_over_when_it_is_seen_everywhere(
    records: tuple[str, ...], dns: dict[str, t.Any], waits: bool
) -> None:
    begun = replace(NEXT, pending=Pending((A1, B1), 7200), cached_until=NOW)
    memory = remember(begun, seen(*records, ready=(A, B), **dns), Wish(), NOW)
    assert (memory.pending is not None) == waits
    # Some cache may have got what was there before until now.
    assert memory.cached_until == NOW + 7200


def test_it_says_until_when_it_waits() -> None:
    memory = replace(NEXT, keys={**NEXT.keys, B: Key(NOW, NOW + 60)})
    decision = decide(memory, seen(A1, B1, ready=(A, B)), Wish(), NOW)
    assert (decision.stage, decision.until) == ("waiting", NOW + 60)
    assert decision.why == "senders may hold records without the next key"


@pytest.mark.parametrize(
    ("wish", "made"),
    [
        (Wish(), False),
        (Wish(rollover=True), True),
        (Wish(key_days=2), False),
        (Wish(key_days=1), True),
    ],
)
def test_when_a_next_key_is_made(wish: Wish, made: bool) -> None:
    assert decide(STEADY, seen(A1), wish, NOW).make_key == made
    # Not while there is one, and not where keys come with files.
    assert not decide(STEADY, seen(A1, ready=(A, B)), wish, NOW).make_key
    assert not decide(STEADY, replace(seen(A1), makes_keys=False), wish, NOW).make_key


def test_what_is_told_loudly() -> None:
    stale = decide(STEADY, seen(A1, served=C), Wish(), NOW)
    assert "no TLSA record is of the key that is served" in stale.warnings[0]
    unsigned = decide(STEADY, seen(A1, **UNSIGNED), Wish(), NOW)
    assert unsigned.warnings == ("the zone is not signed; the records are kept right all the same",)
    foreign = decide(STEADY, seen(A1, C1), Wish(), NOW)
    assert foreign.warnings == (f"TLSA records that are not of this host's keys are left as they are: {C1}",)
    assert decide(STEADY, seen(A1), Wish(), NOW).warnings == ()


def test_what_is_handed_over_is_checked() -> None:
    found: dict[str, t.Any] = {
        "anywhere": [A1],
        "everywhere": [],
        "ttl": 60,
        "complete": True,
        "trouble": "",
        "secure": True,
    }
    found["insecure"] = ""
    assert in_dns(found) == InDns(frozenset({A1}), frozenset(), 60)
    for key in found:
        with pytest.raises(ValueError, match="not what mx_tlsa_info returned"):
            in_dns({name: value for name, value in found.items() if name != key})
