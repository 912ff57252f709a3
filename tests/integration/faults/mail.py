# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be wrong with the MX hosts of a domain, and with what DANE says of them."""

from __future__ import annotations

from ansible_collections.postmaster.mta_sts.plugins.module_utils._policy import Policy
from faults.fault import (
    GOOD_MX,
    MAX_AGE,
    PLAIN,
    TEXT,
    Domain,
    Mail,
    common_name_only,
    expired,
    expired_between,
    expiring,
    for_clients,
    for_itself,
    named,
    of_unknown,
    to_come,
    without_chain,
)
from odd import be_silent, hang_up, smtp_script, smtp_server

EHLO = b"250-mx\r\n250 STARTTLS\r\n"
OLD = ("smtpd_tls_protocols=TLSv1.1", "tls_medium_cipherlist=DEFAULT@SECLEVEL=0")
AT_ONCE = "smtpd_delay_reject=no"
# For an MX host that is not reached.
NOBODY = Mail(behaviour=hang_up)
MATCHES, MATCHES_NOT = "3 1 1 {mail-spki}", "3 1 1 " + "00" * 32


def script(code: str, seen: str, *answers: bytes, in_handshake: bool = False) -> Domain:
    return Domain({code: seen}, mail=Mail(behaviour=smtp_script(*answers, in_handshake=in_handshake)))


MX: dict[str, Domain] = {
    "mx-missing": Domain({"mx-missing": "mx-missing."}, mx=""),
    "mx-null": Domain({"mx-null": "mx-null."}, mx="{d} MX 0 ."),
    "mx-implicit": Domain(
        {"mx-implicit": "mx-implicit."},
        mx="{d} A {mail}",
        mail=Mail(),
        mail_host="",
        policy=TEXT.replace(GOOD_MX.encode(), b"{d}"),
    ),
    "mx-unmatched": Domain(
        {"mx-unmatched": "mx2."}, mail=Mail(), mail2=Mail(), policy=TEXT.replace(GOOD_MX.encode(), b"mx.{d}")
    ),
    "mx-two-labels-for-a-star": Domain(
        {"mx-unmatched": "*.signed.test", "mx-unused": "*.signed.test"},
        mail=Mail(),
        policy=Policy("enforce", ("*.signed.test",), MAX_AGE),
    ),
    "mx-unused": Domain({"mx-unused": "old.test"}, policy=Policy("enforce", (GOOD_MX, "old.test"), MAX_AGE)),
    "mx-address-missing": Domain({"mx-address-missing": "mx."}, mail=NOBODY, mail_host=""),
    "mx-alias": Domain({"mx-alias": "mx."}, mail=Mail(), mail_host="{mx} CNAME real.{d}\nreal.{d} A {mail}"),
    "mx-closed": Domain({"mx-unreachable": "connection refused"}, mail=NOBODY, mail_host="{mx} A {closed}"),
    "mx-closed-at-one-address": Domain(
        {"mx-unreachable": "127.78.0.9"}, mail=Mail(), mail_host="{mx} A {mail}\n{mx} A {closed}"
    ),
    "mx-silent": Domain({"mx-unreachable": "no answer"}, mail=Mail(behaviour=be_silent)),
    "mx-hangs-up": Domain({"mx-unreachable": "closed"}, mail=NOBODY),
    "mx-defers": Domain({"mx-greeting": "450"}, mail=Mail(options=(AT_ONCE, "smtpd_client_restrictions=defer"))),
    "mx-rejects": Domain({"mx-greeting": "554"}, mail=Mail(options=(AT_ONCE, "smtpd_client_restrictions=reject"))),
    "mx-is-busy": script("mx-greeting", "421", b"421 4.3.2 All server ports are busy\r\n"),
    "mx-speaks-http": script("mx-unreachable", "HTTP/1.1", b"HTTP/1.1 400 Bad Request\r\n"),
    "mx-without-starttls": Domain({"mx-starttls": "does not offer"}, mail=Mail(None)),
    "mx-of-old": script("mx-starttls", "EHLO", b"220 mx\r\n", b"502 what?\r\n"),
    "mx-starttls-refused": script("mx-starttls", "454", b"220 mx\r\n", EHLO, b"454 4.7.0 TLS not available\r\n"),
    "mx-starttls-injected": Domain(
        {"mx-starttls": "plain text"},
        mail=Mail(behaviour_over=lambda tls: smtp_server(tls, after_starttls=b"250 mx\r\n")),
    ),
    "mx-junk-for-handshake": script("mx-tls", "", b"220 mx\r\n", EHLO, b"220 go\r\n", b"\x15\x03junk"),
    "mx-closes-in-handshake": script("mx-tls", "closed", b"220 mx\r\n", EHLO, b"220 go\r\n", in_handshake=True),
    "mx-tls-1.1": Domain({"mx-tls": "protocol"}, mail=Mail(options=OLD)),
    "mx-tls-1.2-only": Domain({"mx-tls-without-13": "1.2"}, mail=Mail(options=("smtpd_tls_protocols=TLSv1.2",))),
    "mx-tls-1.3-only": Domain({"mx-tls-without-12": "1.3"}, mail=Mail(options=("smtpd_tls_protocols=>=TLSv1.3",))),
    "mx-other-name": Domain({"mx-certificate-name": "mx."}, mail=Mail(named("mail.{parent}"))),
    "mx-common-name-only": Domain({"mx-certificate-name": "mx."}, mail=Mail(common_name_only)),
    "mx-domain-only": Domain({"mx-certificate-name": "mx."}, mail=Mail(named("{parent}"))),
    "mx-deep-wildcard": Domain({"mx-certificate-name": "mx."}, mail=Mail(named("*.signed.test"))),
    "mx-expired": Domain({"mx-certificate-date": "expired"}, mail=Mail(expired)),
    "mx-to-come": Domain({"mx-certificate-date": "not yet valid"}, mail=Mail(to_come)),
    "mx-issuer-expired": Domain({"mx-certificate-date": "expired"}, mail=Mail(expired_between)),
    "mx-self-signed": Domain({"mx-certificate-self-signed": "self"}, mail=Mail(for_itself)),
    "mx-without-chain": Domain({"mx-certificate-chain": "issuer"}, mail=Mail(without_chain)),
    "mx-of-unknown-authority": Domain({"mx-certificate-chain": "issuer"}, mail=Mail(of_unknown)),
    "mx-certificate-for-clients": Domain({"mx-certificate": "purpose"}, mail=Mail(for_clients)),
    "mx-expiring": Domain({"mx-certificate-expiring": "ends on"}, mail=Mail(expiring)),
    "mx-second-self-signed": Domain({"mx-certificate-self-signed": "mx2."}, mail=Mail(), mail2=Mail(for_itself)),
    "mx-self-signed-at-one-address": Domain(
        {"mx-certificate-self-signed": "mx."},
        mx="{d} MX 10 {mx}",
        mail=Mail(),
        mail2=Mail(for_itself),
        mail_host="{mx} A {mail}\n{mx} A {mail2}",
        policy=TEXT.replace(GOOD_MX.encode(), b"mx.{d}"),
    ),
    "mx-expired-testing": Domain(
        {"mx-certificate-date": "expired"},
        mail=Mail(expired),
        policy=TEXT.replace(GOOD_MX.encode(), b"mx.{d}").replace(b"enforce", b"testing"),
        verdict="testing",
    ),
}

DANE: dict[str, Domain] = {
    "dane-mismatch": Domain({"dane-mismatch": "mx."}, mail=Mail(tlsa=(MATCHES_NOT,))),
    "dane-of-key-with-selector-0": Domain({"dane-mismatch": "mx."}, mail=Mail(tlsa=("3 0 1 {mail-spki}",))),
    "dane-of-authority-as-end-entity": Domain({"dane-mismatch": "mx."}, mail=Mail(tlsa=("3 1 1 {mail-issuer-spki}",))),
    "dane-of-other-authority": Domain({"dane-mismatch": "mx."}, mail=Mail(tlsa=("2 1 1 " + "00" * 32,))),
    "dane-pkix-usage": Domain({"dane-unusable": "1 1 1"}, mail=Mail(tlsa=("1 1 1 {mail-spki}",))),
    "dane-unknown-matching": Domain({"dane-unusable": "3 1 9"}, mail=Mail(tlsa=("3 1 9 {mail-spki}",))),
    "dane-cut-off": Domain({"dane-unusable": "3 1 1"}, mail=Mail(tlsa=("3 1 1 abcd",))),
    "dane-insecure": Domain({"dane-insecure": "mx."}, mail=Mail(tlsa=(MATCHES,)), zone=PLAIN),
    "dane-partial": Domain({"dane-partial": "mx2."}, mail=Mail(tlsa=(MATCHES,)), mail2=Mail()),
    "dane-next-key": Domain({"dane-unmatched": MATCHES_NOT}, mail=Mail(tlsa=(MATCHES_NOT, MATCHES))),
    "dane-partly-unusable": Domain({"dane-partly-unusable": "1 1 1"}, mail=Mail(tlsa=(MATCHES, "1 1 1 {mail-spki}"))),
    "dane-next-key-beside-a-wrong-one": Domain(
        {"dane-mismatch": "mx."}, mail=Mail(tlsa=(MATCHES_NOT, "3 1 1 " + "ab" * 32))
    ),
    "dane-right-but-expired": Domain({"mx-certificate-date": "expired"}, mail=Mail(expired, tlsa=(MATCHES,))),
    "dane-right-but-self-signed": Domain(
        {"mx-certificate-self-signed": "self"}, mail=Mail(for_itself, tlsa=(MATCHES,))
    ),
}
