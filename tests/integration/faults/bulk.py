# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many domains that are well, and among them some of which something never answers."""

from __future__ import annotations

from faults.fault import GOOD_MX, PLAIN, TEXT, VOID, Domain

WELL_DOMAINS = {f"bulk{number}": Domain(zone=PLAIN) for number in range(180)}

_SILENT = (
    Domain({"policy-unreachable": "no answer"}, zone=PLAIN, host="mta-sts.{d} A {silent}"),
    Domain(
        {"mx-unreachable": "no answer"},
        zone=PLAIN,
        mx="{d} MX 10 mx.{d}\nmx.{d} A {silent}",
        policy=TEXT.replace(GOOD_MX.encode(), b"mx.{d}"),
    ),
    Domain(
        {"tlsrpt-undeliverable": "no answer"},
        zone=PLAIN,
        tlsrpt='_smtp._tls.{d} TXT "v=TLSRPTv1; rua=https://reports.{domain}/"\nreports.{d} A {silent}',
    ),
    Domain({"dns-failure": "no answer"}, zone=VOID),
)
SILENT_DOMAINS = {f"silent{number}": _SILENT[number % len(_SILENT)] for number in range(20)}
