# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The MTA-STS policy: parse, render, id (RFC 8461 3.2, with errata 6253 for LF and 7282 for max_age).

Private to this collection. Pure: the standard library only, no I/O.
"""

from __future__ import annotations

import codecs
import hashlib
import re
import typing as t
from dataclasses import dataclass

from ansible_collections.postmaster.mta_sts.plugins.module_utils._names import is_ascii_domain, quoted

VERSION = "STSv1"
MODES = ("none", "testing", "enforce")
MAX_MAX_AGE = 31557600

# RFC 8461 3.3 suggests 64 KiB, but there are senders that cut the body here.
MAX_PUBLISHED = 10 * 1024

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,31}")
_MAX_AGE = re.compile(r"[0-9]{1,10}")
# The CTLs of sts-policy-vchar. U+0080 and above are UTF8-2, -3 and -4 there, C1 controls included.
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_WSP = " \t"
_BOMS = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class PolicyError(ValueError):
    """A policy, or the text of one, is not valid. ``line`` and ``field`` say where, as far as is known."""

    def __init__(self, message: str, *, line: int | None = None, field: str | None = None) -> None:
        where = ([] if line is None else [f"line {line}"]) + ([] if field is None else [field])
        super().__init__(": ".join([*where, message]))
        self.line = line
        self.field = field


@dataclass(frozen=True)
class Policy:
    """What a policy says. There is no invalid instance; the mx patterns are lower-case A-labels."""

    mode: str
    mx: tuple[str, ...]
    max_age: int

    def __post_init__(self) -> None:
        _check_mode(self.mode)
        if not isinstance(self.mx, (tuple, list)):
            raise PolicyError(f"{quoted(self.mx)} is not a list of patterns", field="mx")
        object.__setattr__(self, "mx", tuple(_checked_mx(pattern) for pattern in self.mx))
        if not self.mx and self.mode != "none":
            raise PolicyError(f"there is none, but mode {self.mode!r} needs at least one", field="mx")
        if isinstance(self.max_age, bool) or not isinstance(self.max_age, int):
            raise PolicyError(f"{quoted(self.max_age)} is not a whole number of seconds", field="max_age")
        _check_max_age(self.max_age)


def parse_policy(body: bytes) -> Policy:
    """The policy in the body of an HTTPS answer, by the ABNF of RFC 8461 3.2 and nothing beyond it.

    Of a repeated field, mx apart, the first entry counts. The other entries, and unknown fields, are ignored
    if they are well-formed.
    """
    if body.startswith(_BOMS):
        raise PolicyError("begins with a byte order mark (BOM): save the policy without one", line=1)
    once: dict[str, str] = {}
    mx: list[str] = []
    unknown: dict[str, tuple[int, str]] = {}
    for number, name, value in _numbered_fields(body):
        if name == "mx":
            mx.append(_checked_mx(value, number))
        elif name not in _CHECKS:
            unknown.setdefault(name.lower().replace("-", "_"), (number, name))
        elif name not in once:
            _CHECKS[name](value, number)
            once[name] = value
    for name in _CHECKS:
        if name not in once:
            raise PolicyError(_missing(unknown.get(name)), field=name)
    if not mx and once["mode"] != "none":
        raise PolicyError(_missing(unknown.get("mx")), field="mx")
    return Policy(mode=once["mode"], mx=tuple(mx), max_age=int(once["max_age"]))


def policy_fields(body: bytes) -> list[tuple[str, str]]:
    """The names and values of all fields of a body, as far as that is well-formed. Raises L(PolicyError)."""
    return [(name, value) for _number, name, value in _numbered_fields(body)]


def render_policy(policy: Policy) -> bytes:
    """The body to serve, in the one form that every known parser accepts."""
    fields = [("version", VERSION), ("mode", policy.mode)]
    fields += [("mx", pattern) for pattern in policy.mx]
    fields += [("max_age", str(policy.max_age))]
    body = "".join(f"{name}: {value}\r\n" for name, value in fields).encode("ascii")
    if len(body) > MAX_PUBLISHED:
        raise PolicyError(
            f"{len(policy.mx)} patterns make a policy of {len(body)} bytes, but some senders read only"
            f" {MAX_PUBLISHED}: use '*.' patterns",
            field="mx",
        )
    return body


def policy_id(body: bytes) -> str:
    """The id to announce for a body: it changes if and only if the bytes do."""
    return hashlib.sha256(body).hexdigest()[:32]


def _numbered_fields(body: bytes) -> t.Iterator[tuple[int, str, str]]:
    for number, raw in _lines(body):
        name, value = _split(number, raw)
        yield number, name, value


def _lines(body: bytes) -> list[tuple[int, bytes]]:
    """The numbered lines, without their ends: LF or CRLF, optional after the last one."""
    *ended, rest = body.split(b"\n")
    lines = [line.removesuffix(b"\r") for line in ended]
    if rest:
        lines.append(rest)
    if not lines:
        raise PolicyError("the policy is empty")
    return list(enumerate(lines, start=1))


def _split(number: int, raw: bytes) -> tuple[str, str]:
    """Name and value of one line, any name: sts-policy-extension is the widest of the fields."""

    def wrong(reason: str, field: str | None = None) -> PolicyError:
        return PolicyError(reason, line=number, field=field)

    try:
        line = raw.decode("utf-8").rstrip(_WSP)
    except UnicodeDecodeError as exc:
        raise wrong(f"byte 0x{raw[exc.start]:02x} at position {exc.start + 1} is not UTF-8") from None
    if not line:
        raise wrong("is blank: a policy has no blank lines, and one line end after the last field")
    if "\r" in line:
        raise wrong("has a bare carriage return (CR): end lines with CRLF or LF")
    if line[0] in _WSP:
        raise wrong(f"{quoted(line)} begins with a blank: start the field at the beginning of the line")
    name, colon, value = line.partition(":")
    if not colon:
        raise wrong(f"{quoted(line)} has no colon: write 'field: value'")
    if name.endswith(tuple(_WSP)):
        raise wrong(f"{quoted(line)} has a blank before the colon: remove it")
    if _NAME.fullmatch(name) is None:
        raise wrong(
            f"{quoted(name)} is not a field name: 1 to 32 letters, digits, '_', '-' or '.',"
            " of which the first is a letter or a digit"
        )
    value = value.lstrip(_WSP)
    if not value:
        raise wrong("has no value", name)
    control = _CONTROL.search(value)
    if control:
        raise wrong(f"{quoted(value)} has the control character 0x{ord(control[0]):02x}", name)
    return name, value


def _check_version(value: str, line: int) -> None:
    if value != VERSION:
        raise PolicyError(f"{quoted(value)} is not {VERSION!r}", line=line, field="version")


def _check_mode(value: str, line: int | None = None) -> None:
    if value not in MODES:
        raise PolicyError(
            f"{quoted(value)} is not 'none', 'testing' or 'enforce', in lower case", line=line, field="mode"
        )


def _check_max_age_text(value: str, line: int) -> None:
    # int() alone would take '+5', '1_000' and the digits of other scripts.
    if _MAX_AGE.fullmatch(value) is None:
        raise PolicyError(f"{quoted(value)} is not a number of 1 to 10 digits", line=line, field="max_age")
    _check_max_age(int(value), line)


def _check_max_age(value: int, line: int | None = None) -> None:
    if not 0 <= value <= MAX_MAX_AGE:
        raise PolicyError(f"{value} is not within 0 to {MAX_MAX_AGE} seconds", line=line, field="max_age")


def _checked_mx(value: str, line: int | None = None) -> str:
    if not isinstance(value, str) or not is_ascii_domain(value[2:] if value.startswith("*.") else value):
        raise PolicyError(
            f"{quoted(value)} is not a host name, nor '*.' and a host name{_mend_mx(value)}",
            line=line,
            field="mx",
        )
    return value.lower()


def _mend_mx(value: object) -> str:
    text = value if isinstance(value, str) else ""
    if not text.isascii():
        return ": write A-labels ('xn--...')"
    if text.endswith("."):
        return ": remove the dot at the end"
    if "_" in text:
        return ": host names have no '_'"
    if "[" in text:
        return ": an address cannot be a pattern"
    if "*" in text:
        return ": '*' may only stand for the whole first label"
    return ""


def _missing(near: tuple[int, str] | None) -> str:
    if near is None:
        return "is missing"
    line, name = near
    return f"is missing; line {line} has {name!r}, but field names must be written exactly so"


# The fields that are required once.
_CHECKS: dict[str, t.Callable[[str, int], None]] = {
    "version": _check_version,
    "mode": _check_mode,
    "max_age": _check_max_age_text,
}
