# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The TLSA records of one MX host, and the order in which its key is replaced (RFC 7672 8, RFC 7671 8).

What is promised: no sender ever holds TLSA records of which none is that of the key that is served. Senders hold
what they have looked up for its TTL, so a key is served only when the last set without it has expired everywhere.
Every run decides from what is seen, and from what the host remembers of when it was seen. A memory that was lost
makes it wait longer, never less. Pure, and private to this collection.
"""

from __future__ import annotations

import hashlib
import typing as t
from dataclasses import dataclass, field, replace

# DANE-EE, of the public key, by its SHA-256 digest (RFC 7672 3.1.1).
KIND: t.Final = "3 1 1"
# What is waited for where nobody knows for how long the earlier records are kept: as long as any resolver keeps any.
UNKNOWN_TTL: t.Final = 7 * 86400
DAY: t.Final = 86400

_SEQUENCE = 0x30
# What precedes the public key in a certificate: serial number, algorithm, issuer, validity and subject; and the
# version, which may be missing (RFC 5280 4.1).
_VERSION_TAG = 0xA0
_BEFORE_KEY = 5


class DerError(ValueError):
    """This is no certificate."""


def key_of(der: bytes) -> str:
    """The SHA-256 digest of a certificate's public key, its SubjectPublicKeyInfo, in hex. Raises L(DerError)."""
    _tag, start, _end = _element(der, 0)
    _tag, at, end = _element(der, start)
    tag, _content, after = _element(der, at)
    at = after if tag == _VERSION_TAG else at
    for _field in range(_BEFORE_KEY):
        at = _element(der, at)[2]
    tag, _content, after = _element(der, at)
    if tag != _SEQUENCE or after > end:
        raise DerError("this is no certificate")
    return hashlib.sha256(der[at:after]).hexdigest()


def _element(data: bytes, at: int) -> tuple[int, int, int]:
    """The tag of the DER element at a place, and where its content begins and ends."""
    if at + 2 > len(data):
        raise DerError("the certificate is cut off")
    tag, length, start = data[at], data[at + 1], at + 2
    if length & 0x80:
        size = length & 0x7F
        length, start = int.from_bytes(data[start : start + size], "big"), start + size
    if start + length > len(data):
        raise DerError("the certificate is cut off")
    return tag, start, start + length


def tlsa_value(key: str) -> str:
    """The TLSA record of a key, as zone files have it."""
    return f"{KIND} {key}"


def normal(value: str) -> str:
    """TLSA data written as everybody else writes it: the digest may have blanks and capitals (RFC 6698 2.2)."""
    parts = value.split()
    return " ".join([*parts[:3], "".join(parts[3:]).lower()])


# --- what is seen, wished and remembered ------------------------------------------------------------------


@dataclass(frozen=True)
class InDns:
    """The TLSA records of the host as its zone's name servers say them."""

    # In the answer of any, and of all; the longest TTL, 0 where there are none.
    anywhere: frozenset[str] = frozenset()
    everywhere: frozenset[str] = frozenset()
    ttl: int = 0
    # Whether all of them gave an answer, and what is wrong with those that did not.
    complete: bool = True
    trouble: str = ""
    # Whether a validating resolver says that both the host's addresses and these are signed (RFC 7672 2.2).
    secure: bool = True
    insecure: str = ""


@dataclass(frozen=True)
class Seen:
    """What is there now. Keys are digests as of L(key_of)."""

    dns: InDns
    # Of the chain that Postfix serves; none where that could not be seen, and why.
    served: t.Optional[str]
    trouble: str = ""
    # Keys of which the host has a certificate that can be served, the newest last.
    ready_keys: tuple[str, ...] = ()
    # Whether the host can make a next key when it is told to.
    makes_keys: bool = False


@dataclass(frozen=True)
class Wish:
    """What the inventory says; times in seconds."""

    ttl: int = 3600
    margin: int = 3600
    rollover: bool = False
    # A key that is older is replaced; 0 for never.
    key_days: int = 0
    absent: bool = False
    replace_foreign: bool = False


@dataclass(frozen=True)
class Key:
    """Since when the host has a key, and from when no cache holds records without it; none: it is not in DNS."""

    since: int
    safe_from: t.Optional[int] = None


@dataclass(frozen=True)
class Pending:
    """A change of the records that was begun: what was wanted, and the TTL of what was there before."""

    values: tuple[str, ...]
    old_ttl: int


@dataclass(frozen=True)
class Memory:
    """What the host remembers, times in seconds since 1970."""

    keys: t.Mapping[str, Key] = field(default_factory=dict)
    # The key that may be served, and since when it was seen to be.
    serve: t.Optional[str] = None
    served_since: t.Optional[int] = None
    # Until when some cache may hold any of the sets that were seen so far.
    cached_until: int = 0
    pending: t.Optional[Pending] = None


def lost(now: int) -> Memory:
    """What is remembered where all was forgotten: that any cache may hold anything."""
    return Memory(cached_until=now + UNKNOWN_TTL)


@dataclass(frozen=True)
class Decision:
    """What is to be done now. C(values) are the wanted records; none: they are left alone."""

    memory: Memory
    values: t.Optional[tuple[str, ...]] = None
    make_key: bool = False
    stage: str = ""
    why: str = ""
    until: t.Optional[int] = None
    refused: str = ""
    warnings: tuple[str, ...] = ()
    # Nothing of ours is left in DNS or in any cache.
    gone: bool = False


def in_dns(found: t.Mapping[str, t.Any]) -> InDns:
    """What a look at DNS returned as a dictionary. Raises ValueError."""
    try:
        return InDns(
            frozenset(map(str, found["anywhere"])),
            frozenset(map(str, found["everywhere"])),
            int(found["ttl"]),
            found["complete"] is True,
            str(found["trouble"]),
            found["secure"] is True,
            str(found["insecure"]),
        )
    except (KeyError, TypeError, ValueError):
        raise ValueError("dns is not what mx_tlsa_info returned") from None


# --- what follows from what is seen -----------------------------------------------------------------------


def remember(memory: Memory, seen: Seen, wish: Wish, now: int) -> Memory:
    """The memory with what was seen now."""
    dns = seen.dns
    own = {seen.served, *seen.ready_keys} - {None}
    keys = {key: memory.keys.get(key) or Key(now) for key in sorted(t.cast("set[str]", own) | set(memory.keys))}
    pending = memory.pending
    if dns.complete:
        old_ttl = UNKNOWN_TTL if pending is None else pending.old_ttl
        limit = max(memory.cached_until, now + old_ttl) + wish.margin
        keys = {key: replace(one, safe_from=_safe_from(key, one, dns, limit)) for key, one in keys.items()}
    # What is there now may be looked up until the next change, which comes after this.
    cached_until = max(memory.cached_until, now + dns.ttl if dns.anywhere else 0)
    if pending is not None:
        cached_until = max(cached_until, now + pending.old_ttl)
        if dns.complete and dns.anywhere == dns.everywhere == frozenset(pending.values):
            pending = None
    since = memory.served_since if seen.served == memory.serve else None
    if seen.served is not None and since is None:
        since = now
    kept = {key: one for key, one in keys.items() if key in own or tlsa_value(key) in dns.anywhere}
    return replace(
        memory,
        keys=kept if dns.complete else keys,
        serve=seen.served if seen.served is not None else memory.serve,
        served_since=since,
        cached_until=cached_until,
        pending=pending,
    )


def _safe_from(key: str, known: Key, dns: InDns, limit: int) -> t.Optional[int]:
    if tlsa_value(key) not in dns.everywhere:
        return None
    return limit if known.safe_from is None else known.safe_from


def decide(before: Memory, seen: Seen, wish: Wish, now: int) -> Decision:
    """How far it can go now, from what the host remembers and what is seen."""
    if wish.absent and not before.keys and not before.cached_until:
        # What there is was made by others.
        return Decision(before, stage="absent", gone=not seen.dns.anywhere)
    memory = remember(before, seen, wish, now)
    if wish.absent:
        return _leave(memory, seen, wish, now)
    served, dns = seen.served, seen.dns
    if served is None:
        return Decision(memory, stage="waiting", why=f"it cannot be seen which key is served: {seen.trouble}")
    if not dns.secure and not dns.anywhere:
        return Decision(memory, stage="refused", refused=dns.insecure)
    target = seen.ready_keys[-1] if seen.ready_keys else served
    ours = {key for key in memory.keys if tlsa_value(key) in dns.anywhere}
    foreign = sorted(dns.anywhere - {tlsa_value(key) for key in memory.keys})
    old = ours - {served, target}
    drop_from = t.cast("int", memory.served_since) + max(dns.ttl, wish.ttl) + wish.margin
    kept = old if target != served or not dns.complete or now < drop_from else set()
    wanted = {tlsa_value(key) for key in {served, target} | kept}
    values = tuple(sorted(wanted | (set() if wish.replace_foreign else set(foreign))))
    case = _Case(memory, seen, wish, now, target, values, frozenset(kept), drop_from)
    return replace(case.step(), values=values, warnings=tuple(_warnings(seen, wish, foreign)))


@dataclass(frozen=True)
class _Case:
    memory: Memory
    seen: Seen
    wish: Wish
    now: int
    target: str
    values: tuple[str, ...]
    kept: t.Collection[str]
    drop_from: int

    def step(self) -> Decision:
        memory, dns = self._begun(), self.seen.dns
        if frozenset(self.values) != dns.anywhere or dns.anywhere != dns.everywhere or not dns.complete:
            why = dns.trouble or "the records are not at all name servers yet"
            return Decision(memory, stage="publishing", why=why)
        if self.target != self.seen.served:
            return self._replace(memory)
        if self.kept:
            return Decision(memory, stage="dropping", why="the key before is kept for a while", until=self.drop_from)
        make = self.seen.makes_keys and (self.wish.rollover or self._is_old())
        return Decision(memory, make_key=make, stage="steady", why="a next key is made" if make else "")

    def _begun(self) -> Memory:
        """The memory, before the records are changed, of what they were."""
        memory, dns = self.memory, self.seen.dns
        if frozenset(self.values) == dns.anywhere == dns.everywhere and dns.ttl == self.wish.ttl:
            return memory
        earlier = memory.pending.old_ttl if memory.pending else 0
        # Whoever finds no records at all does without DANE, so that nothing without them is to be waited for.
        return replace(memory, pending=Pending(self.values, max(earlier, dns.ttl)))

    def _replace(self, memory: Memory) -> Decision:
        safe_from = memory.keys[self.target].safe_from
        if safe_from is None or self.now < safe_from:
            why = "senders may hold records without the next key"
            return Decision(memory, stage="waiting", why=why, until=safe_from)
        # Since when it is served is known when it is seen to be.
        memory = replace(memory, serve=self.target, served_since=None)
        return Decision(memory, stage="replacing", why="the next key can be served")

    def _is_old(self) -> bool:
        key = self.memory.keys[t.cast("str", self.seen.served)]
        return bool(self.wish.key_days) and self.now >= key.since + self.wish.key_days * DAY


def _warnings(seen: Seen, wish: Wish, foreign: t.Sequence[str]) -> t.Iterator[str]:
    dns = seen.dns
    if dns.anywhere and tlsa_value(t.cast("str", seen.served)) not in dns.anywhere:
        yield "no TLSA record is of the key that is served: senders that know DANE deliver nothing here until one is"
    if not dns.secure:
        yield f"{dns.insecure}; the records are kept right all the same"
    if foreign and not wish.replace_foreign:
        yield f"TLSA records that are not of this host's keys are left as they are: {', '.join(foreign)}"


def _leave(memory: Memory, seen: Seen, wish: Wish, now: int) -> Decision:
    """Without records senders do without DANE; those who hold some still go by them, so the key stays for a while.

    The set goes whole: with what is left of it senders would find none of the key that is served.
    """
    dns = seen.dns
    if dns.anywhere or not dns.complete:
        old_ttl = max(dns.ttl, memory.pending.old_ttl if memory.pending else 0)
        memory = replace(memory, pending=Pending((), old_ttl))
        return Decision(memory, (), stage="leaving", why=dns.trouble or "the records are in DNS")
    until = memory.cached_until + wish.margin
    if now < until:
        return Decision(memory, (), stage="leaving", why="senders may hold the records", until=until)
    return Decision(memory, (), stage="absent", gone=True)
