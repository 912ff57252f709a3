# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be wrong in DNS."""

from __future__ import annotations

from ansible_collections.postmaster.mta_sts.plugins.module_utils._policy import Policy
from faults.fault import BOGUS, DIFFERS, GOOD_MX, LAME, MAX_AGE, NAMELESS, REPORTS, SILENT, Domain, Mail
from faults.names import UNANSWERED


def sts(*texts: str) -> str:
    return "\n".join(f"_mta-sts.{{d}} TXT {text}" for text in texts)


def tlsrpt(*texts: str) -> str:
    return "\n".join(f"_smtp._tls.{{d}} TXT {text}" for text in texts)


def unusable(text: str, seen: str) -> Domain:
    return Domain({"record-unusable": seen}, sts=sts(text))


RECORDS: dict[str, Domain] = {
    "record-missing": Domain({"record-missing": "_mta-sts."}, sts=""),
    "record-and-host-missing": Domain({"record-missing": "_mta-sts."}, sts="", host="", verdict="absent"),
    "record-foreign-only": Domain(
        {"record-missing": "none of 1", "record-foreign": "v=spf1"}, sts=sts('"v=spf1 -all"')
    ),
    "record-foreign": Domain({"record-foreign": "v=spf1 -all"}, sts=sts('"v=STSv1; id={id}"', '"v=spf1 -all"')),
    "record-in-lower-case": Domain({"record-unusable": "v=stsv1"}, sts=sts('"v=stsv1; id={id}"')),
    "record-space-first": Domain({"record-unusable": "v=STSv1 ;"}, sts=sts('"v=STSv1 ; id={id}"')),
    "record-quoted": Domain({"record-unusable": '"v=STSv1'}, sts=sts(r'"\"v=STSv1; id={id}\""')),
    "record-several": Domain({"record-several": "2"}, sts=sts('"v=STSv1; id=1"', '"v=STSv1; id=2"')),
    "record-id-missing": unusable('"v=STSv1;"', "id"),
    "record-id-empty": unusable('"v=STSv1; id="', "id"),
    "record-id-dashes": unusable('"v=STSv1; id=2026-01-01"', "id"),
    "record-id-long": unusable('"v=STSv1; id=123456789012345678901234567890123"', "id"),
    "record-id-in-capitals": unusable('"v=STSv1; ID={id}"', "'ID' is not 'id'"),
    "record-two-semicolons": unusable('"v=STSv1;; id={id}"', "two semicolons"),
    "record-extension-wrong": unusable('"v=STSv1; id={id}; a=b=c"', "a:"),
    "record-bytes": unusable(r'"v=STSv1; id={id}; a=\195\188"', "a:"),
    "record-blank-at-the-end": unusable('"v=STSv1; id={id} "', "ends in a blank"),
    "record-duplicate-field": Domain({"record-duplicate-field": "id"}, sts=sts('"v=STSv1; id={id}; id=2"')),
    "record-extension": Domain({"record-extension": "note"}, sts=sts('"v=STSv1; id={id}; note=1"')),
    "record-space": Domain({"record-space": "_mta-sts."}, sts=sts('"v=STSv1; id={id} ;"')),
    "record-split": Domain({"record-split": "2"}, sts=sts('"v=STSv1; " "id={id}"')),
    "record-at-the-domain": Domain(
        {"record-missing": "_mta-sts.", "record-elsewhere": "record-at-the-domain"},
        sts="",
        more='{d} TXT "v=STSv1; id={id}"',
    ),
    "record-at-the-host": Domain(
        {"record-missing": "_mta-sts.", "record-elsewhere": "mta-sts."},
        sts="",
        more='mta-sts.{d} TXT "v=STSv1; id={id}"',
    ),
    "record-stale": Domain(
        {"record-stale": "id=0123"},
        sts=sts('"v=STSv1; id=0123456789abcdef0123456789abcdef"'),
        wanted=Policy("enforce", (GOOD_MX,), MAX_AGE),
    ),
    "authority-differs": Domain({"authority-differs": "_mta-sts."}, zone=DIFFERS, sts2=sts('"v=STSv1; id=other"')),
    "authority-without-record": Domain({"authority-differs": "_mta-sts."}, zone=DIFFERS, sts2=""),
    "authority-has-two": Domain(
        {"authority-differs": "_mta-sts."}, zone=DIFFERS, sts2=sts('"v=STSv1; id={id}"', '"v=STSv1; id=2"')
    ),
    "authority-ttl": Domain({"authority-ttl": "60"}, zone=DIFFERS, sts2='_mta-sts.{d} 60 TXT "v=STSv1; id={id}"'),
    "authority-silent": Domain({"authority-silent": "ns2"}, zone=SILENT),
    "authority-lame": Domain({"authority-silent": "ns2"}, zone=LAME),
    "authority-nameless": Domain({"authority-silent": "nobody.nowhere.test"}, zone=NAMELESS),
    "delegation-of-record-broken": Domain(
        {"delegation-broken": "_mta-sts."}, sts="_mta-sts.{d} CNAME gone.nowhere.test."
    ),
    "delegation-of-host-broken": Domain({"delegation-broken": "mta-sts."}, host="mta-sts.{d} CNAME gone.nowhere.test."),
    "dnssec-bogus": Domain({"dnssec-bogus": "dnssec-bogus.bogus.test"}, zone=BOGUS),
    "dnssec-bogus-record": Domain({"dnssec-bogus": "_mta-sts."}, forged=("_mta-sts.{d}",)),
    "dnssec-bogus-host": Domain({"dnssec-bogus": "mta-sts."}, forged=("mta-sts.{d}",)),
    "dnssec-bogus-mx": Domain({"dnssec-bogus": "dnssec-bogus-mx.signed.test"}, forged=("{d}",)),
    "dnssec-bogus-reports": Domain({"dnssec-bogus": "_smtp._tls."}, forged=("_smtp._tls.{d}",)),
    "dnssec-bogus-mx-address": Domain({"dnssec-bogus": "mx."}, mail=Mail(), forged=("{mx}",)),
    "dnssec-bogus-tlsa": Domain(
        {"dnssec-bogus": "_25._tcp.mx."}, mail=Mail(tlsa=("3 1 1 {mail-spki}",)), forged=("_25._tcp.{mx}",)
    ),
    "record-unanswered": Domain({"dns-failure": "_mta-sts."}, sts=f"_mta-sts.{{d}} CNAME any.{UNANSWERED}."),
    "record-in-a-circle": Domain(
        {"dns-failure": "_mta-sts."}, sts="_mta-sts.{d} CNAME a.{d}\na.{d} CNAME _mta-sts.{d}"
    ),
    "host-unanswered": Domain({"dns-failure": "mta-sts."}, host=f"mta-sts.{{d}} CNAME any.{UNANSWERED}."),
    "mx-unanswered": Domain(
        {"dns-failure": f"any.{UNANSWERED}"},
        mx=f"{{d}} MX 10 any.{UNANSWERED}.",
        policy=Policy("enforce", (f"any.{UNANSWERED}",), MAX_AGE),
    ),
}


REPORTING: dict[str, Domain] = {
    "tlsrpt-missing": Domain({"tlsrpt-missing": "_smtp._tls."}, tlsrpt=""),
    "tlsrpt-without-rua": Domain({"tlsrpt-unusable": "rua"}, tlsrpt=tlsrpt('"v=TLSRPTv1; ruf=mailto:a@b.test"')),
    "tlsrpt-of-dmarc": Domain(
        {"tlsrpt-missing": "none of 1", "tlsrpt-foreign": "v=DMARC1"},
        tlsrpt=tlsrpt('"v=DMARC1; rua=mailto:a@b.test"'),
    ),
    "tlsrpt-several": Domain(
        {"tlsrpt-unusable": "2"},
        tlsrpt=tlsrpt(f'"v=TLSRPTv1; rua=mailto:a@{REPORTS}"', f'"v=TLSRPTv1; rua=mailto:b@{REPORTS}"'),
    ),
    "tlsrpt-ftp": Domain({"tlsrpt-unusable": "ftp"}, tlsrpt=tlsrpt('"v=TLSRPTv1; rua=ftp://a.test/"')),
    "tlsrpt-address-only": Domain({"tlsrpt-unusable": "mailto:"}, tlsrpt=tlsrpt(f'"v=TLSRPTv1; rua=a@{REPORTS}"')),
    "tlsrpt-http": Domain({"tlsrpt-unusable": "https"}, tlsrpt=tlsrpt(f'"v=TLSRPTv1; rua=http://{REPORTS}/"')),
    "tlsrpt-foreign": Domain(
        {"tlsrpt-foreign": "v=spf1"}, tlsrpt=tlsrpt(f'"v=TLSRPTv1; rua=mailto:a@{REPORTS}"', '"v=spf1 -all"')
    ),
    "tlsrpt-split": Domain({"tlsrpt-split": "2"}, tlsrpt=tlsrpt(f'"v=TLSRPTv1; " "rua=mailto:a@{REPORTS}"')),
    "tlsrpt-order": Domain({"tlsrpt-order": "rua"}, tlsrpt=tlsrpt(f'"v=TLSRPTv1; note=1; rua=mailto:a@{REPORTS}"')),
    "tlsrpt-to-nowhere": Domain(
        {"tlsrpt-undeliverable": "nowhere.test"}, tlsrpt=tlsrpt('"v=TLSRPTv1; rua=mailto:a@nowhere.test"')
    ),
    "tlsrpt-to-nobody": Domain(
        {"tlsrpt-undeliverable": "null."},
        tlsrpt=tlsrpt('"v=TLSRPTv1; rua=mailto:a@null.{domain}"'),
        more="null.{d} MX 0 .",
    ),
    "tlsrpt-to-no-host": Domain(
        {"tlsrpt-undeliverable": "nowhere.test"}, tlsrpt=tlsrpt('"v=TLSRPTv1; rua=https://nowhere.test/r"')
    ),
    "tlsrpt-same-domain": Domain(
        {"tlsrpt-same-domain": "tlsrpt-same-domain.signed.test"},
        tlsrpt=tlsrpt('"v=TLSRPTv1; rua=mailto:a@{domain}"'),
    ),
    "tlsrpt-old-name": Domain(
        {"tlsrpt-old-name": "_smtp-tlsrpt.", "tlsrpt-missing": "_smtp._tls."},
        tlsrpt="",
        more='_smtp-tlsrpt.{d} TXT "v=TLSRPTv1; rua=mailto:a@b.test"',
    ),
    "tlsrpt-unanswered": Domain({"dns-failure": "_smtp._tls."}, tlsrpt=f"_smtp._tls.{{d}} CNAME any.{UNANSWERED}."),
}
