# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What DNS answered, as the checks have it: record sets of each type, and why there is none.

Private to this collection.
"""

from __future__ import annotations

import typing as t

from .message import AD, SOA, MessageError, Reply, follow, is_below, to_text


class DnsFailure(Exception):
    """DNS did not answer: time-out, SERVFAIL, refusal. It does not mean that a name has no records."""


class DnsBogus(DnsFailure):
    """There is an answer, but the resolver does not give it, as DNSSEC validation fails."""


class Answer(t.NamedTuple):
    """One record set, or that there is none.

    The C(ttl) is as DNS answered, which of a resolver is what is left of it. C(secure) means that the resolver has
    validated the answer, and C(alias) is the name that a chain of CNAMEs ends at. Where there is nothing, C(zone) is
    the one that says so, if it was told.
    """

    records: tuple[t.Any, ...]
    ttl: t.Optional[int]
    secure: bool
    alias: str
    zone: str = ""


class Tlsa(t.NamedTuple):
    """RFC 6698 2.1."""

    usage: int
    selector: int
    matching: int
    data: bytes


class CaaProperty(t.NamedTuple):
    """RFC 8659 4.1; the tag in lower case."""

    flags: int
    tag: str
    value: str


class Found(t.NamedTuple):
    """An L(Answer) as it travels; the C(zone) is that of the SOA record that came in place of records."""

    data: list[t.Any]
    ttl: t.Optional[int]
    secure: bool
    alias: bytes
    zone: bytes

    @property
    def alias_name(self) -> str:
        return to_text(self.alias) if self.alias else ""

    @property
    def zone_name(self) -> str:
        """The zone that has nothing at a name.

        Behind an alias it is that of another name, and to the root nobody adds.
        """
        return to_text(self.zone) if self.zone[:1] > b"\0" and not self.data and not self.alias else ""

    def answer(self, records: tuple[t.Any, ...]) -> Answer:
        """The same with records that were made of the data."""
        return Answer(records, self.ttl, self.secure, self.alias_name, self.zone_name)


def found_in(reply: Reply, name: bytes, rdtype: int) -> Found:
    """What a reply says of a name, whatever chain of aliases it follows. Raises L(DnsFailure)."""
    try:
        end, data, ttl = follow(reply, name, rdtype)
    except MessageError as error:
        raise DnsFailure(str(error)) from None
    # Nobody can say of a name that does not lie in his zone that it is not there.
    zones = (record.owner for record in reply.authority if record.rdtype == SOA)
    zone = next((zone for zone in zones if is_below(end, zone)), b"")
    return Found(data, ttl, bool(reply.flags & AD), b"" if end == name else end, zone)


def texts(found: Found) -> Answer:
    """TXT records, each as its strings."""
    # What stands for bytes that are no text must not pass for what a record may hold: backslashes would.
    return found.answer(tuple(tuple(part.decode("utf-8", "replace") for part in one) for one in found.data))


def caa_property(data: bytes) -> CaaProperty:
    """Raises nothing: what is no text is made one."""
    end = 2 + data[1]
    return CaaProperty(data[0], data[2:end].decode("ascii", "replace").lower(), data[end:].decode("utf-8", "replace"))
