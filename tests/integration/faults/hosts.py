# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be wrong with a policy host, and with the policy that it serves."""

from __future__ import annotations

import gzip

from ansible_collections.postmaster.mta_sts.plugins.module_utils._policy import Policy
from faults.fault import (
    GOOD_MX,
    TEXT,
    Domain,
    Web,
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
from odd import be_silent, drip, hang_up, http_answer

SERVE = "try_files /$host.txt =404;"
# TLS 1.1 is nothing that OpenSSL would do on its own.
OLD = "ssl_protocols TLSv1.1; ssl_ciphers DEFAULT@SECLEVEL=0;"
HOST = "mta-sts.{d} A {web}"
MX_LINE = f"mx: {GOOD_MX}\r\n".encode()


def answer(*headers: bytes, body: bytes = TEXT) -> bytes:
    return b"\r\n".join([b"HTTP/1.1 200 OK", b"Content-Type: text/plain", *headers, b"", body])


def invalid(body: bytes, seen: str) -> Domain:
    return Domain({"policy-invalid": seen}, policy=body)


HOSTS: dict[str, Domain] = {
    "host-missing": Domain({"policy-host-missing": "mta-sts."}, host=""),
    "host-closed": Domain({"policy-unreachable": "connection refused"}, host="mta-sts.{d} A {closed}"),
    "host-closed-at-one-address": Domain(
        {"policy-unreachable": "127.78.0.9"}, host=f"{HOST}\nmta-sts.{{d}} A {{closed}}"
    ),
    "host-closed-at-ipv6": Domain({"policy-unreachable": "::1"}, host=f"{HOST}\nmta-sts.{{d}} AAAA ::1"),
    "host-silent": Domain({"policy-unreachable": "no answer"}, web=Web(behaviour=be_silent)),
    "host-silent-without-tls": Domain({"policy-unreachable": "no answer"}, web=Web(behaviour=be_silent, plain=True)),
    "host-without-end": Domain({"policy-unreachable": "no answer"}, web=Web(behaviour=drip(answer() * 20, 0.1))),
    "host-hangs-up": Domain({"policy-unreachable": "closed"}, web=Web(behaviour=http_answer(b""))),
    "host-plain-http": Domain({"policy-tls": "wrong version number"}, web=Web(plain=True)),
    "host-refuses-handshake": Domain({"policy-tls": "unrecognized name"}, web=Web(server="ssl_reject_handshake on;")),
    "host-hangs-up-in-handshake": Domain({"policy-unreachable": ""}, web=Web(behaviour=hang_up, plain=True)),
    "host-tls-1.1": Domain({"policy-tls": "protocol"}, web=Web(server=OLD)),
    "host-tls-1.2-only": Domain({"policy-tls-without-13": "1.2"}, web=Web(server="ssl_protocols TLSv1.2;")),
    "host-tls-1.3-only": Domain({"policy-tls-without-12": "1.3"}, web=Web(server="ssl_protocols TLSv1.3;")),
    "host-other-name": Domain({"policy-certificate-name": "www."}, web=Web(named("www.{parent}"))),
    "host-common-name-only": Domain({"policy-certificate-name": "mta-sts."}, web=Web(common_name_only)),
    "host-deep-wildcard": Domain({"policy-certificate-name": "*.signed.test"}, web=Web(named("*.signed.test"))),
    "host-partial-wildcard": Domain({"policy-certificate-name": "mta-*"}, web=Web(named("mta-*.{parent}"))),
    "host-expired": Domain({"policy-certificate-date": "expired"}, web=Web(expired)),
    "host-to-come": Domain({"policy-certificate-date": "not yet valid"}, web=Web(to_come)),
    "host-issuer-expired": Domain({"policy-certificate-date": "expired"}, web=Web(expired_between)),
    "host-self-signed": Domain({"policy-certificate-self-signed": "self"}, web=Web(for_itself)),
    "host-without-chain": Domain({"policy-certificate-chain": "issuer"}, web=Web(without_chain)),
    "host-of-unknown-authority": Domain({"policy-certificate-chain": "issuer"}, web=Web(of_unknown)),
    "host-certificate-for-clients": Domain({"policy-certificate": "purpose"}, web=Web(for_clients)),
    "host-expiring": Domain({"policy-certificate-expiring": "ends on"}, web=Web(expiring)),
    "redirect": Domain(
        {"policy-redirect": "www.example.com"}, web=Web(directives="return 301 https://www.example.com/;")
    ),
    "redirect-for-now": Domain({"policy-redirect": "302"}, web=Web(directives="return 302 /policy.txt;")),
    "not-modified": Domain({"policy-status": "304"}, web=Web(directives="return 304;")),
    "not-found": Domain({"policy-status": "404"}, web=Web(directives="return 404;")),
    "forbidden": Domain({"policy-status": "403"}, web=Web(directives="deny all;")),
    "internal-error": Domain({"policy-status": "500"}, web=Web(directives="return 500;")),
    "no-content": Domain({"policy-status": "204"}, web=Web(directives="return 204;")),
    "bad-gateway": Domain({"policy-status": "502"}, web=Web(directives="proxy_pass http://127.78.0.9:1;")),
    "html": Domain(
        {"policy-type": "text/html"},
        policy=b"<html>Hello</html>",
        web=Web(directives="default_type text/html; " + SERVE + ""),
    ),
    "no-type": Domain({"policy-type": "None"}, web=Web(directives='default_type ""; try_files /$host.txt =404;')),
    "gzip": Domain(
        {"policy-encoding": "gzip"},
        policy=gzip.compress(TEXT),
        web=Web(directives="add_header Content-Encoding gzip; try_files /$host.txt =404;"),
    ),
    "too-large": Domain({"policy-size": "64 KiB"}, policy=TEXT.ljust(65537, b" ")),
    "endless": Domain({"policy-size": "64 KiB"}, web=Web(behaviour=http_answer(answer() + b"x" * 200000, then="stay"))),
    "not-http": Domain({"policy-http": "not an HTTP answer"}, web=Web(behaviour=http_answer(b"220 mail\r\n\r\n"))),
    "chunks-garbled": Domain(
        {"policy-http": "garbled"},
        web=Web(behaviour=http_answer(answer(b"Transfer-Encoding: chunked"))),
    ),
    "cut-off": Domain(
        {"policy-http": "closed before the whole policy"},
        web=Web(behaviour=http_answer(answer(b"Content-Length: 999"))),
    ),
    "slow": Domain({"policy-slow": "seconds"}, web=Web(behaviour=drip(answer(), 1.5 / len(answer())))),
    "differs": Domain(
        {"policy-differs": "2"}, host=f"{HOST}\nmta-sts.{{d}} A {{web2}}", policy2=TEXT.replace(b"enforce", b"testing")
    ),
}


POLICIES: dict[str, Domain] = {
    "html-as-text": invalid(b"<!DOCTYPE html>\n<html></html>\n", "line 1"),
    "empty": invalid(b"", "empty"),
    "bare-cr": invalid(TEXT.replace(b"\r\n", b"\r"), "carriage return"),
    "byte-order-mark": invalid(b"\xef\xbb\xbf" + TEXT, "byte order mark"),
    "utf-16": invalid(TEXT.decode().encode("utf-16"), "byte order mark"),
    "latin-1": invalid(TEXT + b"note: \xfc\r\n", "UTF-8"),
    "zeros": invalid(TEXT.replace(b"enforce", b"enforce\0"), "mode"),
    "blank-line": invalid(TEXT + b"\r\n", "blank"),
    "comment": invalid(b"# ours\r\n" + TEXT, "no colon"),
    "indented": invalid(TEXT.replace(b"mx:", b" mx:"), "begins with a blank"),
    "blank-before-colon": invalid(TEXT.replace(b"mx:", b"mx :"), "before the colon"),
    "no-version": invalid(TEXT.replace(b"version: STSv1\r\n", b""), "version: is missing"),
    "version-in-lower-case": invalid(TEXT.replace(b"STSv1", b"stsv1"), "version"),
    "no-mode": invalid(TEXT.replace(b"mode: enforce\r\n", b""), "mode: is missing"),
    "mode-in-capitals": invalid(TEXT.replace(b"enforce", b"Enforce"), "mode"),
    "mode-of-a-draft": invalid(TEXT.replace(b"enforce", b"report"), "mode"),
    "no-max-age": invalid(TEXT.replace(b"max_age: 2592000\r\n", b""), "max_age: is missing"),
    "max-age-too-large": invalid(TEXT.replace(b"2592000", b"31557601"), "31557600"),
    "max-age-in-words": invalid(TEXT.replace(b"2592000", b"30d"), "max_age"),
    "max-age-with-sign": invalid(TEXT.replace(b"2592000", b"+2592000"), "max_age"),
    "key-in-capitals": invalid(TEXT.replace(b"max_age", b"Max_Age"), "'Max_Age'"),
    "no-mx-in-policy": invalid(TEXT.replace(MX_LINE, b""), "mx"),
    "mx-address": invalid(TEXT.replace(GOOD_MX.encode(), b"[192.0.2.1]"), "address"),
    "mx-u-label": invalid(TEXT.replace(b"signed", "sígned".encode()), "xn--"),
    "mx-with-dot": invalid(TEXT.replace(GOOD_MX.encode(), GOOD_MX.encode() + b"."), "dot at the end"),
    "mx-with-underscore": invalid(TEXT.replace(b"mx.signed", b"m_x.signed"), "'_'"),
    "mx-partial-wildcard": invalid(TEXT.replace(b"mx.signed", b"m*.signed"), "'*'"),
    "duplicate-mode": Domain({"policy-duplicate-field": "mode"}, policy=TEXT + b"mode: testing\r\n"),
    "extension": Domain({"policy-extension": "note"}, policy=TEXT + b"note: 1\r\n"),
    "line-feeds": Domain({"policy-line-ends": "LF"}, policy=TEXT.replace(b"\r\n", b"\n")),
    "mixed-line-ends": Domain({"policy-line-ends": "LF"}, policy=TEXT.replace(b"\r\n", b"\n", 1)),
    "short-lived": Domain({"policy-max-age": "3600"}, policy=TEXT.replace(b"2592000", b"3600")),
    "large": Domain({"policy-large": "bytes"}, policy=TEXT.replace(b"enforce", b"enforce".ljust(11000))),
    "none-without-mx": Domain({"policy-without-mx": "none"}, policy=Policy("none", (), 86400), verdict="none"),
}
