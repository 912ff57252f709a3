# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Record data as dns-lexicon takes them, and as providers tell them. Private to this collection."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

try:
    import dns.exception
    import dns.name
    import dns.rdata
    import dns.rdataclass
    import dns.rdataset
    import dns.rdatatype
except ImportError:  # reported by the module, which needs it
    pass

from .._record_sets.record_set import PLAIN_TEXT_TYPES, QUOTED_CHARACTERS, SetError, text_rdata

# Of other types each provider wants the parts in a way of its own, such as the preference of an MX record.
TYPES: t.Final = ("A", "AAAA", "CNAME", "TLSA", "TXT")


@dataclass(frozen=True)
class Record:
    """One record as a provider tells it."""

    name: dns.name.Name
    type: str
    content: str
    # None where the provider does not tell it.
    ttl: int | None
    identifier: str | None

    @property
    def is_identified(self) -> bool:
        """Whether the identifier does.

        Where a provider has none dns-lexicon makes one of name and content, but takes it apart wrongly at a slash.
        """
        return bool(self.identifier) and not ("/" in self.content and self.content in str(self.identifier))


def record_of(told: t.Mapping[str, t.Any], zone: dns.name.Name) -> Record | None:
    """Return what dns-lexicon tells of a record, or None if it has no name that can be read."""
    try:
        name = name_of(str(told["name"]), zone)
        content, rtype = str(told["content"]), str(told["type"])
    except (KeyError, dns.exception.DNSException):
        return None
    ttl = str(told.get("ttl"))
    identifier = told.get("id")
    return Record(name, rtype, content, int(ttl) if ttl.isascii() and ttl.isdigit() else None, identifier)


def name_of(text: str, zone: dns.name.Name) -> dns.name.Name:
    """Some tell whole names, with or without the dot, some those within the zone."""
    if text in ("", "@"):
        return zone
    name = dns.name.from_text(text)
    return name if name.is_subdomain(zone) else dns.name.from_text(text, zone)


def content_of(rdata: dns.rdata.Rdata) -> str:
    """Return data as dns-lexicon takes them. Raises SetError for what providers do not agree about."""
    if dns.rdatatype.to_text(rdata.rdtype) not in PLAIN_TEXT_TYPES:
        return rdata.to_text()
    text = b"".join(rdata.strings).decode(errors="replace")  # type: ignore[attr-defined]
    if not text or not text.isascii() or not text.isprintable() or '"' in text or "\\" in text:
        raise SetError(
            f"the text {text[:QUOTED_CHARACTERS]!r} cannot be written through dns-lexicon: it must be of printable "
            "ASCII characters, at least one, and without quotes and backslashes, which each provider takes differently"
        )
    return text


def rdata_of(rdtype: dns.rdatatype.RdataType, content: str) -> dns.rdata.Rdata:
    """Return what a provider told as data. Raises SetError."""
    try:
        if dns.rdatatype.to_text(rdtype) in PLAIN_TEXT_TYPES:
            return _text(rdtype, content)
        return dns.rdata.from_text(dns.rdataclass.IN, rdtype, content, origin=dns.name.root, relativize=False)
    except (dns.exception.DNSException, ValueError) as exc:
        what = f"{content[:QUOTED_CHARACTERS]!r}"
        raise SetError(f"the provider tells {what}, which is no {dns.rdatatype.to_text(rdtype)} data: {exc}") from exc


def _text(rdtype: dns.rdatatype.RdataType, content: str) -> dns.rdata.Rdata:
    """Read a text, which may be in quotes, in several strings, or have lost its outermost quotes on the way."""
    if '"' in content or "\\" in content:
        quoted = content if content.startswith('"') and content.endswith('"') else f'"{content}"'
        try:
            return dns.rdata.from_text(dns.rdataclass.IN, rdtype, quoted)
        except (dns.exception.DNSException, ValueError):
            pass
    return text_rdata(rdtype, content)


def rdataset_of(
    rdtype: dns.rdatatype.RdataType, records: t.Sequence[Record], wanted_ttl: int
) -> dns.rdataset.Rdataset | None:
    """Return the set that some records make. Where the provider tells no TTL it counts as the wanted one."""
    if not records:
        return None
    ttls = [wanted_ttl if one.ttl is None else one.ttl for one in records]
    # One that differs is a reason to write the set anew.
    ttl = next((ttl for ttl in ttls if ttl != wanted_ttl), wanted_ttl)
    return dns.rdataset.from_rdata_list(ttl, [rdata_of(rdtype, one.content) for one in records])
