# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the user wrote, checked: C(mta_sts_domains), or a file of its entries, becomes one L(Desired) per domain.

Every mistake of every entry is reported, all in one message, each with the entry's index and the value.
Pure, and private to this collection.
"""

from __future__ import annotations

import difflib
import ipaddress
import re
import typing as t
from dataclasses import dataclass

from ._names import MAX_NAME, DomainNameError, to_ascii
from ._policy import MAX_MAX_AGE, MODES, Policy, PolicyError, render_policy
from ._record import RecordError, parse_tlsrpt_record, render_tlsrpt_record

STATES = ("present", "absent")
TLSRPT_OTHERS = ("report", "merge", "replace")

# RFC 8461 leaves max_age to the publisher; these two are what every sender that was examined honours.
DEFAULT_MAX_AGE = 2592000
# A policy that is being tried, or withdrawn, must be gone from every cache within a day.
SHORT_MAX_AGE = 86400
MAX_TESTING_DAYS = 365
_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,20}")


@dataclass(frozen=True)
class Desired:
    """What one domain shall end up as."""

    domain: str
    mx: tuple[str, ...]
    # Empty: enforce for a domain that does so already, testing for others.
    mode: str = ""
    max_age: int = DEFAULT_MAX_AGE
    tlsrpt: tuple[str, ...] = ()
    state: str = "present"
    # False: mta-sts.<domain> is kept by someone else, and only looked at.
    manage_address: bool = True
    # True: TXT and address records that are not ours are replaced instead of reported.
    replace_foreign: bool = False
    # For how many days a policy is tested before it is enforced.
    testing_days: int = 7
    # False: enforced even where an MX host is not ready for it.
    gate: bool = True
    # A zone of ours that keeps the domain's records, to which its own names are aliases; empty: its own zone does.
    delegation: str = ""
    # What becomes of a TLSRPT record of somebody else: it is reported, or merged with ours, or replaced.
    tlsrpt_others: str = "report"

    @property
    def record_name(self) -> str:
        """Where the MTA-STS record is kept."""
        return self._kept_at("_mta-sts")

    @property
    def address_name(self) -> str:
        """Where the addresses of the policy hosts are kept."""
        return self._kept_at("mta-sts")

    @property
    def tlsrpt_name(self) -> str:
        """Where the TLSRPT record is kept."""
        return self._kept_at("_smtp._tls")

    def _kept_at(self, labels: str) -> str:
        return ".".join(filter(None, (labels, self.domain, self.delegation)))


KEYS = frozenset(Desired.__dataclass_fields__)


class InventoryError(ValueError):
    """All mistakes of an inventory: C(mistakes) has one sentence each, C(summary) how many there are."""

    def __init__(self, mistakes: t.Sequence[str], source: str) -> None:
        self.mistakes = tuple(mistakes)
        count = "1 mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
        self.summary = f"{source} has {count}, nothing was touched"
        super().__init__(f"{self.summary}:\n" + "\n".join(mistakes))


def read_domains(
    entries: t.Sequence[t.Any], defaults: t.Mapping[str, t.Any], source: str = "mta_sts_domains"
) -> tuple[Desired, ...]:
    """Entries as the user wrote them in C(source), over their defaults, as L(Desired) in the same order.

    Raises L(InventoryError) with every mistake there is.
    """
    mistakes = [f"mta_sts_defaults: {text}" for text in _unknown_keys(set(defaults), KEYS - {"domain"})]
    result = []
    first_index: dict[str, int] = {}
    for index, entry in enumerate(entries):
        if not isinstance(entry, t.Mapping):
            mistakes.append(f"[{index}] {entry!r}: an entry is a dictionary with at least 'domain' and 'mx'")
            continue
        reader = _Entry({**defaults, **entry})
        desired = reader.read()
        label = f"[{index}] {entry.get('domain', '(no domain)')}"
        mistakes.extend(f"{label}: {text}" for text in _unknown_keys(set(entry), KEYS) + reader.mistakes)
        if desired is None:
            continue
        if desired.domain in first_index:
            mistakes.append(
                f"{label}: domain {desired.domain!r} is listed twice, first at [{first_index[desired.domain]}]"
            )
            continue
        first_index[desired.domain] = index
        result.append(desired)
    if mistakes:
        raise InventoryError(mistakes, source)
    return tuple(result)


def entry_of(desired: Desired) -> dict[str, t.Any]:
    """The entry that is read as this L(Desired), without any defaults."""
    usual = Desired(desired.domain, ())
    told = {key: value for key, value in vars(desired).items() if value != getattr(usual, key)}
    return {"domain": desired.domain, **told, "testing_days": desired.testing_days}


def _unknown_keys(keys: set[str], known: frozenset[str]) -> list[str]:
    texts = []
    for key in sorted(map(str, keys - known)):
        close = difflib.get_close_matches(key, known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(sorted(known))}"
        texts.append(f"unknown key {key!r}; {hint}")
    return texts


class _Entry:
    """Reads one entry and collects its mistakes."""

    def __init__(self, values: t.Mapping[str, t.Any]) -> None:
        self.values = values
        self.mistakes: list[str] = []

    def read(self) -> t.Optional[Desired]:
        domain = self._domain()
        state = self._choice("state", STATES, "present")
        desired = Desired(
            domain=domain,
            mx=self._mx(required=state == "present"),
            mode=self._choice("mode", MODES, ""),
            max_age=self._number("max_age", DEFAULT_MAX_AGE, MAX_MAX_AGE, "seconds"),
            tlsrpt=self._tlsrpt(),
            state=state,
            manage_address=self._flag("manage_address", default=True),
            replace_foreign=self._flag("replace_foreign", default=False),
            testing_days=self._number("testing_days", Desired.testing_days, MAX_TESTING_DAYS, "days"),
            gate=self._flag("gate", default=True),
            delegation=self._delegation(domain),
            tlsrpt_others=self._choice("tlsrpt_others", TLSRPT_OTHERS, "report"),
        )
        if not self.mistakes and desired.state == "present":
            self._renders(desired)
        return desired if domain else None

    def _domain(self) -> str:
        value = self.values.get("domain")
        if not isinstance(value, str) or not value:
            self.mistakes.append(f"domain {value!r}: required, a domain name as text")
            return ""
        try:
            domain = to_ascii(value)
        except DomainNameError as error:
            self.mistakes.append(f"domain {error}")
            return ""
        if len(domain) > MAX_NAME - len("_smtp._tls."):
            self.mistakes.append(f"domain {value!r}: too long to have a name such as _smtp._tls.<domain> in DNS")
        return domain

    def _delegation(self, domain: str) -> str:
        value = self.values.get("delegation")
        if value is None or value == "":
            return ""
        try:
            zone = to_ascii(value) if isinstance(value, str) else ""
        except DomainNameError as error:
            self.mistakes.append(f"delegation {error}")
            return ""
        if not zone:
            self.mistakes.append(f"delegation {value!r}: must be the name of a zone of yours, as text")
        elif zone == domain or zone.endswith(f".{domain}"):
            self.mistakes.append(f"delegation {value!r}: must lie outside of the domain, whose records it is to keep")
        elif len(f"_smtp._tls.{domain}.{zone}") > MAX_NAME:
            self.mistakes.append(f"delegation {value!r}: too long for a name such as _smtp._tls.{domain}.<delegation>")
        else:
            return zone
        return ""

    def _mx(self, *, required: bool) -> tuple[str, ...]:
        value = self.values.get("mx")
        if value is None or value == []:
            if required:
                self.mistakes.append(
                    "mx: required, the list of the domain's MX hosts; it is never taken from DNS, "
                    "because what an attacker could put there must not end up in the policy"
                )
            return ()
        if not isinstance(value, (list, tuple)):
            self.mistakes.append(f"mx {value!r}: must be a list of host names")
            return ()
        patterns: list[str] = []
        for item in value:
            pattern = self._mx_pattern(item)
            if pattern in patterns:
                self.mistakes.append(f"mx {item!r}: listed twice")
            elif pattern:
                patterns.append(pattern)
        return tuple(patterns)

    def _mx_pattern(self, item: t.Any) -> str:
        if not isinstance(item, str) or not item:
            self.mistakes.append(f"mx {item!r}: must be a host name as text")
            return ""
        if _is_ip_address(item):
            self.mistakes.append(f"mx {item!r}: an IP address; senders match the name of the MX host")
            return ""
        star, host = ("*.", item[2:]) if item.startswith("*.") else ("", item)
        if "*" in host:
            self.mistakes.append(f"mx {item!r}: a wildcard is one whole left-most label, as in '*.mail.example.com'")
            return ""
        try:
            ascii_host = to_ascii(host)
        except DomainNameError as error:
            self.mistakes.append(f"mx {error}")
            return ""
        if not host.isascii():
            self.mistakes.append(f"mx {item!r}: must be written in A-labels, as {star + ascii_host!r}")
            return ""
        return star + ascii_host

    def _choice(self, key: str, choices: t.Sequence[str], default: str) -> str:
        if key not in self.values:
            return default
        value = self.values[key]
        if value in choices:
            return str(value)
        self.mistakes.append(f"{key} {value!r}: must be one of {', '.join(choices)}")
        return default

    def _number(self, key: str, default: int, most: int, unit: str) -> int:
        value = self.values.get(key, default)
        text = value if isinstance(value, str) else str(value)
        # Variables given on the command line arrive as text.
        if isinstance(value, (bool, float)) or not _WHOLE_NUMBER.fullmatch(text):
            self.mistakes.append(f"{key} {value!r}: must be a whole number of {unit}")
        elif not 0 <= int(text) <= most:
            self.mistakes.append(f"{key} {value!r}: must be from 0 to {most} {unit}")
        else:
            return int(text)
        return default

    def _tlsrpt(self) -> tuple[str, ...]:
        value = self.values.get("tlsrpt")
        if value is None or value == []:
            return ()
        if not isinstance(value, (list, tuple)) or not all(isinstance(uri, str) for uri in value):
            self.mistakes.append(f"tlsrpt {value!r}: must be a list of mailto: or https: URIs")
            return ()
        try:
            return parse_tlsrpt_record(render_tlsrpt_record(value)).rua
        except RecordError as error:
            self.mistakes.append(f"tlsrpt: {error}")
            return ()

    def _flag(self, key: str, *, default: bool) -> bool:
        value = self.values.get(key, default)
        if not isinstance(value, bool):
            self.mistakes.append(f"{key} {value!r}: must be true or false")
            return default
        return value

    def _renders(self, desired: Desired) -> None:
        try:
            render_policy(Policy(desired.mode or "testing", desired.mx, desired.max_age))
        except PolicyError as error:
            self.mistakes.append(str(error))


def _is_ip_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        return False
    return True
