# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Domain names: A-labels (RFC 5890), the Domain of RFC 5321 4.1.2, MX pattern matching (RFC 8461 4.1).

Private to this collection. Pure: the standard library only, no I/O.
"""

from __future__ import annotations

import functools
import ipaddress
import re
import typing as t
import unicodedata

MAX_LABEL = 63
MAX_NAME = 253

# Decomposed U-labels are longer than the name that becomes of them. Beyond this none can fit, and
# Punycode takes quadratic time.
_MAX_UNICODE_NAME = 4 * MAX_NAME

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_LDH = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")
_ACE_PREFIX = "xn--"

# What IDNA2003 maps away and IDNA2008 keeps (RFC 5894 7.2): each such name is two different domains.
_DEVIATIONS = frozenset("\u00df\u03c2\u200c\u200d")
# The categories that IDNA2008 builds its PVALID characters from (RFC 5892 2.1), upper case apart.
_LETTERS_AND_DIGITS = frozenset(("Ll", "Lo", "Lm", "Mn", "Mc", "Nd"))
# Of these, the ones that nobody sees: IDNA2003 keeps them, IDNA2008 disallows them (RFC 5892 2.3), and some
# software drops them.
_INVISIBLE = frozenset("\u115f\u1160\u17b4\u17b5")

_MISTAKES: t.Final = (
    (re.compile(r"[\s\x00-\x1f\x7f]"), "holds a blank or a control character: write the domain name alone"),
    (re.compile(r"://"), "is a URL: write the domain name alone, without scheme and path"),
    (re.compile(r"/"), "has a path: write the domain name alone"),
    (re.compile(r"@"), "is a mail address: write only what follows the '@'"),
    (re.compile(r"[\u3002\uff0e\uff61]"), "has an ideographic full stop: write '.' between the labels"),
)
_PORT = re.compile(r":")


class DomainNameError(ValueError):
    """A text is not a domain name that can be used."""


def quoted(value: object) -> str:
    """``repr`` of a value from outside, cut: an error stays one short line whatever the network sent."""
    text = repr(value)
    return text if len(text) <= 300 else f"{text[:280]}... ({len(text)} characters)"


def is_ascii_domain(text: str) -> bool:
    """Is this a Domain of RFC 5321 4.1.2, in ASCII, without a trailing dot?

    Grammar only: one label will do, and labels may be digits throughout.
    """
    return len(text) <= MAX_NAME and _DOMAIN.fullmatch(text) is not None


def to_ascii(name: str) -> str:
    """The lower-case A-labels of a domain name that a person wrote, as U-labels or A-labels.

    The standard library knows IDNA2003 only. A U-label that IDNA2008 may encode differently is therefore
    refused: to guess would be to work on somebody else's domain.
    """
    if not isinstance(name, str):
        raise DomainNameError(f"{quoted(name)} is not a text, but a domain name must be one")
    if not name:
        raise DomainNameError("'' is empty, but a domain name is needed")
    _refuse(name, _MISTAKES)
    if _is_address(name):
        raise DomainNameError(f"{quoted(name)} is an IP address, not a domain name")
    _refuse(name, ((_PORT, "has a port: write the domain name alone"),))
    ascii_name = _a_labels(name)
    if "." not in ascii_name:
        raise DomainNameError(f"{quoted(name)} is a single label: write the whole domain name")
    if ascii_name.rpartition(".")[2].isdigit():
        raise DomainNameError(f"{quoted(name)} ends in a number, as IP addresses do and domain names do not")
    return ascii_name


def mx_matches(host: str, patterns: t.Iterable[str]) -> bool:
    """Does the name of an MX host match one of the mx patterns of a policy (RFC 8461 4.1)?

    ``*.`` stands for exactly one whole left-most label. What is no host name, or no pattern, matches nothing.
    """
    name = _folded(host) if isinstance(host, str) else None
    if name is None:
        return False
    parent = name.partition(".")[2]
    return any(
        _folded(pattern[2:]) == parent if pattern.startswith("*.") else _folded(pattern) == name
        for pattern in patterns
        if isinstance(pattern, str)
    )


def _refuse(name: str, mistakes: t.Iterable[tuple[re.Pattern[str], str]]) -> None:
    for pattern, mistake in mistakes:
        if pattern.search(name):
            raise DomainNameError(f"{quoted(name)} {mistake}")


def _is_address(name: str) -> bool:
    literal = re.fullmatch(r"\[(?:IPv6:)?(.*)\]", name, re.IGNORECASE)
    try:
        ipaddress.ip_address(literal[1] if literal else name.removesuffix("."))
    except ValueError:
        return False
    return True


# Many domains share few MX hosts.
@functools.lru_cache(maxsize=4096)
def _folded(name: str) -> str | None:
    """A name made comparable, or None. DNS compares octets, so A-labels are taken as they are."""
    text = name.removesuffix(".")
    if is_ascii_domain(text):
        return text.lower()
    if text.isascii():
        return None
    try:
        return _a_labels(name)
    except DomainNameError:
        return None


def _a_labels(name: str) -> str:
    text = name.removesuffix(".")
    if len(text) > _MAX_UNICODE_NAME:
        raise DomainNameError(f"{quoted(name)} is longer than the {MAX_NAME} characters of a domain name")
    ascii_name = ".".join(_a_label(label, name) for label in text.split("."))
    if len(ascii_name) > MAX_NAME:
        raise DomainNameError(
            f"{quoted(name)} has {len(ascii_name)} characters as A-labels, at most {MAX_NAME} are allowed"
        )
    return ascii_name


def _a_label(label: str, name: str) -> str:
    if not label:
        raise DomainNameError(f"{quoted(name)} has an empty label: write one '.' between two labels")
    if not label.isascii():
        return _encoded(label, name)
    ascii_label = label.lower()
    if _LDH.fullmatch(ascii_label) is None:
        raise DomainNameError(
            f"{quoted(name)}: the label {quoted(label)} may only have letters, digits and, inside, hyphens"
        )
    if len(ascii_label) > MAX_LABEL:
        raise DomainNameError(
            f"{quoted(name)}: the label {quoted(label)} has {len(label)} characters, at most {MAX_LABEL} are allowed"
        )
    if ascii_label.startswith(_ACE_PREFIX) and not _is_punycode(ascii_label[len(_ACE_PREFIX) :]):
        raise DomainNameError(f"{quoted(name)}: the label {quoted(label)} is not an A-label, its Punycode is wrong")
    return ascii_label


def _is_punycode(text: str) -> bool:
    try:
        decoded = text.encode("ascii").decode("punycode")
        return not decoded.isascii() and decoded.encode("punycode") == text.encode("ascii")
    except UnicodeError:
        return False


def _encoded(label: str, name: str) -> str:
    """The A-label of a U-label that is the same in IDNA2003 and in IDNA2008."""

    def refused(reason: str) -> DomainNameError:
        return DomainNameError(f"{quoted(name)}: the label {quoted(label)} {reason}")

    wanted = unicodedata.normalize("NFC", label.lower())
    for char in wanted:
        if char in _DEVIATIONS:
            raise refused(
                f"has {char!r}, which IDNA2003 and IDNA2008 encode differently: write the label as A-label ('xn--...')"
            )
        # Characters that Unicode 3.2 did not know have no category there: IDNA2003 cannot fold them.
        category = unicodedata.ucd_3_2_0.category(char)
        if char in _INVISIBLE or (category not in _LETTERS_AND_DIGITS and char != "-"):
            raise refused(
                f"has {char!r}, which is no letter or digit to both IDNA2003 and IDNA2008:"
                " remove it, or write the label as A-label ('xn--...')"
            )
    if wanted.startswith("-") or wanted.endswith("-") or wanted[2:4] == "--":
        raise refused("may have hyphens inside only, and not as third and fourth character")
    if len(wanted.encode("punycode")) > MAX_LABEL - len(_ACE_PREFIX):
        raise refused(f"is longer than {MAX_LABEL} characters as A-label")
    try:
        ascii_label = label.encode("idna").decode("ascii")
        same = ascii_label.startswith(_ACE_PREFIX) and ascii_label.encode("ascii").decode("idna") == wanted
    except UnicodeError:
        same = False
    if not same or unicodedata.category(wanted[0]).startswith("M"):
        raise refused("may not mean the same in IDNA2003 and IDNA2008: write it as A-label ('xn--...')")
    return ascii_label
