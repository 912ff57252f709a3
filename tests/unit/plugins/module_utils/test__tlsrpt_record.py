# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of a TLSRPT record: ours follows the inventory, those of others stay as they are."""

from __future__ import annotations

import dataclasses
import datetime as dt
import typing as t

import pytest
from ansible_collections.postmaster.mta_sts.plugins.module_utils._inventory import Desired
from ansible_collections.postmaster.mta_sts.plugins.module_utils._observed import Observed
from ansible_collections.postmaster.mta_sts.plugins.module_utils._record import render_tlsrpt_record
from ansible_collections.postmaster.mta_sts.plugins.module_utils._tlsrpt_record import decide_tlsrpt, leave_tlsrpt

NOW = dt.datetime(2026, 11, 26, tzinfo=dt.timezone.utc)
OURS, NEW, THEIRS = ("mailto:a@example.net",), ("mailto:b@example.net",), ("https://reports.example.org/x",)
DESIRED = Desired("example.com", ("mx.example.com",), tlsrpt=OURS)


def there(*uris: str, **more: t.Any) -> Observed:
    """What is seen of a domain with one record of these addresses, or none."""
    records = (render_tlsrpt_record(uris),) if uris else ()
    return Observed(tlsrpt_records=records, tlsrpt=uris, **more)


def decided(observed: Observed, known: t.Mapping[str, dt.datetime] | None = None, **more: t.Any) -> t.Any:
    return decide_tlsrpt(dataclasses.replace(DESIRED, **more), observed, known or {}, NOW)


def test_a_record_that_is_missing_is_published_and_remembered() -> None:
    first = decided(there())
    assert (first.uris, first.notes) == (OURS, ())
    assert len(first.conditions) == 1


def test_a_record_of_ours_follows_the_inventory() -> None:
    """Also where the run died that was to replace it: both are known then."""
    remembered = decided(there()).conditions
    changed = decided(there(*OURS), remembered, tlsrpt=NEW)
    assert (changed.uris, changed.notes) == (NEW, ())
    assert remembered.items() <= changed.conditions.items()
    assert len(changed.conditions) == 2
    again = decided(there(*OURS), changed.conditions, tlsrpt=NEW)
    assert again.uris == NEW
    arrived = decided(there(*NEW), again.conditions, tlsrpt=NEW)
    assert (arrived.uris, len(arrived.conditions)) == (NEW, 1)


def test_a_record_of_somebody_else_is_left_and_told() -> None:
    seen = decided(there(*THEIRS))
    assert (seen.uris, seen.conditions) == (None, {})
    assert [hold.code for hold in seen.notes] == ["tlsrpt-others"]
    assert THEIRS[0] in seen.notes[0].message


@pytest.mark.parametrize(
    ("how", "uris", "remembered"),
    [
        ({"tlsrpt_others": "merge"}, (*THEIRS, *OURS), False),
        ({"tlsrpt_others": "merge", "tlsrpt": THEIRS}, THEIRS, True),
        ({"tlsrpt_others": "replace"}, OURS, True),
        ({"replace_foreign": True}, OURS, True),
    ],
)
def test_a_record_of_somebody_else_as_is_asked(how: dict[str, t.Any], uris: tuple[str, ...], remembered: bool) -> None:
    seen = decided(there(*THEIRS), **how)
    assert (seen.uris, seen.notes, bool(seen.conditions)) == (uris, (), remembered)


def test_what_was_merged_is_not_ours_and_is_merged_again() -> None:
    merged = decided(there(*THEIRS), tlsrpt_others="merge")
    again = decided(there(*merged.uris), merged.conditions, tlsrpt=NEW, tlsrpt_others="merge")
    assert again.uris == (*THEIRS, *OURS, *NEW)


@pytest.mark.parametrize("how", ["report", "merge"])
def test_records_that_no_sender_can_use_are_not_ours_to_mend(how: str) -> None:
    several = Observed(tlsrpt_records=("v=TLSRPTv1; rua=mailto:a@x.example", "v=TLSRPTv1; rua=mailto:b@x.example"))
    seen = decided(several, tlsrpt_others=how)
    assert (seen.uris, [hold.code for hold in seen.notes]) == (None, ["tlsrpt-others"])
    assert decided(several, tlsrpt_others="replace").uris == OURS


def test_a_merged_record_that_would_be_too_long_is_told_instead() -> None:
    many = tuple(f"mailto:{'x' * 60}{number}@example.org" for number in range(1000))
    assert decided(there(*many[:2]), tlsrpt_others="merge").uris is not None
    seen = Observed(tlsrpt_records=("v=TLSRPTv1; rua=...",), tlsrpt=many)
    assert decided(seen, tlsrpt_others="merge").uris is None


def test_what_documents_tell_and_is_no_uri_is_not_merged() -> None:
    seen = Observed(tlsrpt_records=("v=TLSRPTv1; rua=...",), tlsrpt=("ftp://example.org",))
    assert [hold.code for hold in decided(seen, tlsrpt_others="merge").notes] == ["tlsrpt-others"]


def test_what_dns_does_not_say_is_no_reason_to_do_or_to_forget_anything() -> None:
    remembered = decided(there()).conditions
    silent = decided(Observed(tlsrpt_records=None), {**remembered, "testing": NOW})
    assert (silent.uris, silent.conditions) == (None, remembered)


def test_foreign_texts_are_told() -> None:
    seen = decided(there(foreign_tlsrpt_records=("v=spf1 -all",)))
    assert (seen.uris, [hold.code for hold in seen.notes]) == (None, ["tlsrpt-foreign"])


def test_a_domain_without_wishes_keeps_what_it_has() -> None:
    for observed in (there(), there(*THEIRS)):
        assert decided(observed, tlsrpt=()).uris is None


class TestDelegation:
    HOW: t.ClassVar[dict[str, t.Any]] = {"delegation": "sts.example.net"}
    TARGET = "_smtp._tls.example.com.sts.example.net"

    def test_what_nobody_is_led_to_is_published_and_told(self) -> None:
        seen = decided(there(*THEIRS), **self.HOW)
        assert (seen.uris, [hold.code for hold in seen.notes]) == (OURS, ["tlsrpt-delegation"])
        assert f"_smtp._tls.example.com. CNAME {self.TARGET}." in seen.notes[0].message

    def test_where_it_leads_to_us_it_is_as_everywhere(self) -> None:
        seen = decided(there(*THEIRS, tlsrpt_alias=self.TARGET), **self.HOW)
        assert [hold.code for hold in seen.notes] == ["tlsrpt-others"]
        assert decided(there(*OURS, tlsrpt_alias=self.TARGET), **self.HOW).notes == ()


class TestLeaving:
    def test_ours_goes(self) -> None:
        remembered = decided(there()).conditions
        gone = Desired("example.com", (), state="absent")
        assert leave_tlsrpt(gone, there(*OURS), remembered, NOW).uris == ()
        assert leave_tlsrpt(gone, there(), remembered, NOW).uris is None

    def test_theirs_stays(self) -> None:
        assert leave_tlsrpt(Desired("example.com", (), state="absent"), there(*THEIRS), {}, NOW).uris is None

    def test_one_that_the_entry_names_is_ours(self) -> None:
        assert leave_tlsrpt(dataclasses.replace(DESIRED, state="absent"), there(*OURS), {}, NOW).uris == ()

    def test_it_is_remembered_until_then(self) -> None:
        remembered = decided(there()).conditions
        gone = Desired("example.com", (), state="absent")
        assert leave_tlsrpt(gone, there(*OURS), remembered, NOW).conditions == remembered
        assert leave_tlsrpt(gone, Observed(tlsrpt_records=None), remembered, NOW).conditions == remembered
