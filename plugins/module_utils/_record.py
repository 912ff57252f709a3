# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The TXT records of MTA-STS (RFC 8461 3.1) and TLSRPT (RFC 8460 3): parse, select, render.

The ``parse_`` functions follow the ABNF, the ``select_`` functions the prose around it, which is stricter:
it discards a record with a blank before the first semicolon (erratum 6285).

Private to this collection. Pure: the standard library only, no I/O.
"""

from __future__ import annotations

import ipaddress
import re
import typing as t
from dataclasses import dataclass

from ansible_collections.postmaster.mta_sts.plugins.module_utils._names import is_ascii_domain, quoted

STS_VERSION = "v=STSv1"
TLSRPT_VERSION = "v=TLSRPTv1"

_WSP = " \t"
_ID = re.compile(r"[A-Za-z0-9]{1,32}")
_EXT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,31}")
_EXT_VALUE = re.compile(r"[\x21-\x3a\x3c\x3e-\x7e]+")

# RFC 3986, less the three characters that RFC 8460 3 wants encoded. The repeated alternatives never
# begin alike, so matching takes linear time.
_TO_ENCODE = {"!": "%21", ",": "%2C", ";": "%3B"}
_CHAR = r"(?:[A-Za-z0-9._~$&'()*+=-]|%[0-9A-Fa-f]{2})"
_TAIL = rf"(?:\?(?:{_CHAR}|[:@/?])*)?(?:\#(?:{_CHAR}|[:@/?])*)?"
_URI_CHARS = re.compile(rf"(?:{_CHAR}|[\[\]:@/?#])*")
_MAILTO = re.compile(rf"mailto:(?:{_CHAR}|[:/])+@(?P<host>{_CHAR}+){_TAIL}", re.IGNORECASE | re.ASCII)
_HTTPS = re.compile(
    rf"https://(?:(?:{_CHAR}|:)*@)?(?P<host>{_CHAR}+|\[(?P<ipv6>[0-9A-Fa-f:.]+)\])(?::[0-9]*)?"
    rf"(?:/(?:{_CHAR}|[:@/])*)?{_TAIL}",
    re.IGNORECASE | re.ASCII,
)


class RecordError(ValueError):
    """A TXT record, or a set of them, is not usable. ``field`` names the field at fault, if it is one."""

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message if field is None else f"{field}: {message}")
        self.field = field


@dataclass(frozen=True)
class StsRecord:
    """What a record at ``_mta-sts`` says. There is no invalid instance."""

    id: str

    def __post_init__(self) -> None:
        if not isinstance(self.id, str) or _ID.fullmatch(self.id) is None:
            raise RecordError(f"{quoted(self.id)} is not 1 to 32 letters and digits", field="id")


@dataclass(frozen=True)
class TlsrptRecord:
    """What a record at ``_smtp._tls`` says: where reports go to. There is no invalid instance."""

    rua: tuple[str, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.rua, (tuple, list)):
            raise RecordError(f"{quoted(self.rua)} is not a list of URIs", field="rua")
        if not self.rua:
            raise RecordError("has no URI, but needs at least one", field="rua")
        for uri in self.rua:
            _host(uri)
        object.__setattr__(self, "rua", tuple(self.rua))


def parse_sts_record(text: str) -> StsRecord:
    """The record in a text, by the ABNF of RFC 8461 3.1. Of several ids the first counts."""
    fields = record_fields(text, STS_VERSION)
    ids = [value for name, value in fields if name == "id"]
    if not ids:
        raise RecordError(_missing("id", fields), field="id")
    record = StsRecord(ids[0])
    for name, value in fields:
        _check_extension(name, value)
    return record


def parse_tlsrpt_record(text: str) -> TlsrptRecord:
    """The record in a text, by the ABNF of RFC 8460 3. The URIs of all ``rua`` fields count, in order."""
    fields = record_fields(text, TLSRPT_VERSION)
    rua: list[str] = []
    for name, value in fields:
        if name != "rua":
            _check_extension(name, value)
            continue
        if value.startswith(tuple(_WSP)):
            raise RecordError(f"{quoted(value)} begins with a blank: remove it", field="rua")
        rua += [uri.strip(_WSP) for uri in value.split(",")]
    if not rua:
        raise RecordError(_missing("rua", fields), field="rua")
    return TlsrptRecord(tuple(rua))


def select_sts_record(rrset: t.Sequence[t.Sequence[str]]) -> StsRecord:
    """The one usable record among the TXT records at ``_mta-sts``, each given as its strings."""
    return parse_sts_record(_select(rrset, STS_VERSION))


def select_tlsrpt_record(rrset: t.Sequence[t.Sequence[str]]) -> TlsrptRecord:
    """The one usable record among the TXT records at ``_smtp._tls``, each given as its strings."""
    return parse_tlsrpt_record(_select(rrset, TLSRPT_VERSION))


def report_target(uri: str) -> tuple[str, str]:
    """The scheme of a checked URI, in lower case, and the mail domain or host that its reports go to."""
    return uri.partition(":")[0].lower(), _host(uri).lower()


def is_attempt(text: str, version: str) -> bool:
    """Whether a text that senders discard was meant to be one of theirs."""
    return any(True for _reason in _why_discarded(text, version))


def render_sts_record(policy_id: str) -> str:
    """The text to announce for an id."""
    return f"{STS_VERSION}; id={StsRecord(policy_id).id}"


def render_tlsrpt_record(rua: t.Sequence[str]) -> str:
    """The text to announce for the URIs that reports go to, in the one form that all known parsers accept."""
    if isinstance(rua, str) or not isinstance(rua, t.Sequence):
        raise RecordError(f"{quoted(rua)} is not a list of URIs", field="rua")
    record = TlsrptRecord(tuple(_encoded(uri) for uri in rua))
    for uri in record.rua:
        if not is_ascii_domain(_host(uri)):
            raise RecordError(f"{quoted(uri)} does not name a host in A-labels", field="rua")
    return f"{TLSRPT_VERSION}; rua={','.join(record.rua)}"


def _select(rrset: t.Sequence[t.Sequence[str]], version: str) -> str:
    texts = ["".join(strings) for strings in rrset]
    candidates = [text for text in texts if text.startswith(f"{version};")]
    if len(candidates) == 1:
        return candidates[0]
    if candidates:
        raise RecordError(f"{len(candidates)} TXT records begin with '{version};', so senders use none of them")
    if not texts:
        raise RecordError("there is no TXT record")
    reasons = [f"{quoted(text)} {reason}" for text in texts for reason in _why_discarded(text, version)]
    none = f"there is no TXT record that begins with '{version};'"
    raise RecordError(f"{none}: {reasons[0]}" if reasons else f"{none} among the {len(texts)} there are")


def _why_discarded(text: str, version: str) -> t.Iterator[str]:
    """What a record lacks that was meant to be one of ours."""
    bare = text.strip(" \t\"'")
    if not bare.lower().startswith(version.lower()):
        return
    if bare != text and text[0] != bare[0]:
        yield "has a blank or a quotation mark in front"
    elif not text.startswith(version):
        yield "has its version in the wrong case"
    elif text[len(version) :].lstrip(_WSP).startswith(";"):
        yield "has a blank before the first semicolon"
    else:
        yield "has no semicolon after its version"


def record_fields(text: str, version: str) -> list[tuple[str, str]]:
    """Names and values after the version. Values still have to be checked, as their fields differ."""
    first, *parts = text.split(";")
    if (first.rstrip(_WSP) if parts else first) != version:
        same_but_case = first.strip(_WSP).lower() == version.lower() and first.strip(_WSP) != version
        hint = ", which must be written exactly so" if same_but_case else ""
        raise RecordError(f"{quoted(text)} does not begin with '{version};'{hint}", field="v")
    if parts and not parts[-1].strip(_WSP):
        del parts[-1]
    elif parts and parts[-1].endswith(tuple(_WSP)):
        raise RecordError(f"{quoted(text)} ends in a blank: remove it, or write ';' before it")
    fields = []
    for part in parts:
        name, equals, value = part.strip(_WSP).partition("=")
        if not name and not equals:
            raise RecordError(f"{quoted(text)} has two semicolons with nothing between them")
        if not equals:
            raise RecordError(f"{quoted(name)} has no '=': write 'name=value'")
        if _EXT_NAME.fullmatch(name) is None:
            raise RecordError(
                f"{quoted(name)} is not a field name: 1 to 32 letters, digits, '_', '-' or '.',"
                " of which the first is a letter or a digit"
            )
        fields.append((name, value))
    return fields


def _check_extension(name: str, value: str) -> None:
    if _EXT_VALUE.fullmatch(value) is None:
        reason = "has blanks, '=' or characters beyond ASCII" if value else "is empty"
        raise RecordError(f"the value {quoted(value)} {reason}", field=name)


def _missing(wanted: str, fields: list[tuple[str, str]]) -> str:
    near = [name for name, _value in fields if name.lower() == wanted]
    return f"is missing; {near[0]!r} is not {wanted!r}, write it in lower case" if near else "is missing"


def _encoded(uri: str) -> str:
    if not isinstance(uri, str):
        raise RecordError(f"{quoted(uri)} is not a text, but a URI must be one", field="rua")
    return "".join(_TO_ENCODE.get(char, char) for char in uri)


def _host(uri: str) -> str:
    """The mail domain or host of a checked URI."""

    def wrong(reason: str) -> RecordError:
        return RecordError(f"{quoted(uri)} {reason}", field="rua")

    if not isinstance(uri, str):
        raise wrong("is not a text, but a URI must be one")
    scheme = uri.partition(":")[0].lower()
    if not uri:
        raise wrong("is empty: write a URI there, or remove the comma")
    if scheme not in {"mailto", "https"}:
        raise wrong("is not a mailto: or https: URI; a ',' inside of a URI is written %2C")
    for char, code in _TO_ENCODE.items():
        if char in uri:
            raise wrong(f"has {char!r}, which is written {code} here")
    if _URI_CHARS.fullmatch(uri) is None:
        raise wrong("has a character that RFC 3986 does not allow, or a '%' without two hexadecimal digits")
    match = (_MAILTO if scheme == "mailto" else _HTTPS).fullmatch(uri)
    if match is None or not _is_ipv6(match.groupdict().get("ipv6")):
        raise wrong("has no mail address" if scheme == "mailto" else "has no host")
    return match["host"]


def _is_ipv6(literal: str | None) -> bool:
    if literal is None:
        return True
    try:
        ipaddress.IPv6Address(literal)
    except ValueError:
        return False
    return True
