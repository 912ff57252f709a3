# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The parsers of texts: policies, records, names, and the files of people and programs."""

from __future__ import annotations

import json
import typing as t

import dns.name
import dns.rdatatype
import trustme
from ansible_collections.postmaster.mta_sts.plugins.module_utils._certificates import certbot_reason, stops_all
from ansible_collections.postmaster.mta_sts.plugins.module_utils._finding import printable
from ansible_collections.postmaster.mta_sts.plugins.module_utils._inventory import InventoryError, read_domains
from ansible_collections.postmaster.mta_sts.plugins.module_utils._lexicon.content import TYPES, rdata_of, record_of
from ansible_collections.postmaster.mta_sts.plugins.module_utils._names import DomainNameError, to_ascii
from ansible_collections.postmaster.mta_sts.plugins.module_utils._nginx_conf import read_dump
from ansible_collections.postmaster.mta_sts.plugins.module_utils._pem_files import CertificateError, check_pem
from ansible_collections.postmaster.mta_sts.plugins.module_utils._policy import (
    PolicyError,
    parse_policy,
    policy_id,
    render_policy,
)
from ansible_collections.postmaster.mta_sts.plugins.module_utils._probe.message import to_text, to_wire
from ansible_collections.postmaster.mta_sts.plugins.module_utils._record import (
    RecordError,
    parse_sts_record,
    parse_tlsrpt_record,
    render_sts_record,
    render_tlsrpt_record,
    select_sts_record,
)
from ansible_collections.postmaster.mta_sts.plugins.module_utils._record_sets.record_set import SetError
from ansible_collections.postmaster.mta_sts.plugins.module_utils._zone_file.text import (
    ZoneTextError,
    entries,
    record,
    serial,
    with_serial,
)
from ansible_collections.postmaster.mta_sts.plugins.module_utils._zone_file.zone import read_zone
from ansible_collections.postmaster.mta_sts.plugins.plugin_utils._domains_file import (
    DomainsFileError,
    read_entries,
    read_names,
)
from parsing import ENDS, JSON_PIECES, NUMBERS, Parser, written

ORIGIN = dns.name.from_text("example.com")


def _policy(data: bytes) -> None:
    policy = parse_policy(data)
    body = render_policy(policy)
    assert parse_policy(body) == policy
    assert policy_id(body) == policy_id(render_policy(parse_policy(body)))


def _sts_record(data: bytes) -> None:
    text = data.decode("latin-1")
    found = parse_sts_record(text)
    assert parse_sts_record(render_sts_record(found.id)).id == found.id
    assert select_sts_record([[text[:7], text[7:]], ["v=spf1 -all"]]) == found


def _tlsrpt_record(data: bytes) -> None:
    found = parse_tlsrpt_record(data.decode("latin-1"))
    assert parse_tlsrpt_record(render_tlsrpt_record(found.rua)).rua == found.rua


def _name(data: bytes) -> None:
    name = to_ascii(data.decode("utf-8", errors="replace"))
    assert to_ascii(name) == name
    assert len(name) <= 253
    assert to_text(to_wire(name)) == name


def _zone(data: bytes) -> None:
    for entry in entries(data):
        if not entry.directive:
            record(entry)
    assert serial(with_serial(data, 2026112701)) == 2026112701


def _fragment(data: bytes) -> None:
    """With all data of its records, as a file that the zone includes."""
    found = read_zone("/zones/zone", b"$INCLUDE ours\n", ("/zones/ours", data), ORIGIN, ())
    assert found.includes
    for sets in found.ours.values():
        assert all(held.rdataset for held in sets.values())


def _provider(data: bytes) -> None:
    try:
        told = json.loads(data)
    except (ValueError, RecursionError):
        return
    found = record_of(told, ORIGIN) if isinstance(told, dict) else None
    if found is not None and found.type in TYPES:
        rdata_of(dns.rdatatype.from_text(found.type), found.content)


def _nginx(data: bytes) -> None:
    read_dump("# configuration file /etc/nginx/nginx.conf:\n" + data.decode("latin-1"))


def _certbot(data: bytes) -> None:
    reason = certbot_reason(data.decode("utf-8", errors="replace"))
    assert reason == printable(reason, 400)
    stops_all(reason)


def _domains(suffix: str) -> t.Callable[[bytes], None]:
    def check(data: bytes) -> None:
        with written(data, f"domains{suffix}") as path:
            for desired in read_domains(read_entries(str(path)), {}):
                assert to_ascii(desired.domain) == desired.domain
            assert read_names(str(path))

    return check


def _domain_lines(data: bytes) -> None:
    with written(data, "domains.txt") as path:
        assert read_names(str(path))


ZONE = b"""$TTL 3600
@ IN SOA ns1.example.com. hostmaster.example.com. ( 2026112600 ; serial
    3600 600 86400 300 )
@ NS ns1
_mta-sts 300 IN TXT "v=STSv1; id=1;" "and" more
"""
NGINX = b"""events { worker_connections 768; }
http { include /etc/nginx/sites-enabled/*; map $a $b { default ''; "x y" 'z'; }
  server { listen [::]:443 ssl default_server; listen 192.0.2.1:80; server_name _; # all
    location ~ \\.php$ { return 404; } } }
"""
CERTBOT = b"""Saving debug log to /var/log/letsencrypt/letsencrypt.log
Certbot failed to authenticate some domains (authenticator: webroot). The Certificate Authority reported these problems:
  Domain: mta-sts.example.com
  Type:   unauthorized
  Detail: 192.0.2.1: Invalid response from http://mta-sts.example.com/.well-known/acme-challenge/x: 404
Hint: The Certificate Authority failed to download the temporary challenge files.
"""
YAML = b"- domain: example.com\n  mx: [mx1.example.net, '*.mail.example.net']\n  mode: enforce\n  max_age: 2592000\n"
JSON = b'[{"domain": "b\\u00fccher.example", "mx": ["mx.example.net"], "tlsrpt": ["mailto:a@example.net"]}]'
CSV = b"domain,mx,mode\nexample.com,mx1.example.net mx2.example.net,testing\n"
ISSUED = trustme.CA().issue_cert("mta-sts.example.com", "*.example.net")
PEM = ISSUED.cert_chain_pems[0].bytes() + ISSUED.private_key_pem.bytes()
PROVIDER = (
    b'{"id": "4711", "name": "_mta-sts.example.com", "type": "TXT", "content": "\\"v=STSv1; id=1;\\" b", "ttl": 300}',
    b'{"id": 1, "name": "mta-sts", "type": "CNAME", "content": "web.example.net.", "ttl": "auto"}',
    b'{"id": "a", "name": "@", "type": "TLSA", "content": "3 1 0 00112233445566778899aabbccddeeff", "ttl": "300"}',
)

PARSERS: dict[str, Parser] = {
    "policy": Parser(
        _policy,
        (b"version: STSv1\r\nmode: enforce\r\nmx: mx1.example.com\r\nmx: *.example.net\r\nmax_age: 86400\r\n",),
        (b"version:", b"mode: none", b"mx: ", b"max_age:", b"*", b"xn--", b".", *NUMBERS, *ENDS),
        (PolicyError,),
    ),
    "sts-record": Parser(
        _sts_record, (b"v=STSv1; id=3f2a9c01;", b"v=STSv1;id=1;a=b"), (b";", b"=", b"v=", b"id=", *ENDS), (RecordError,)
    ),
    "tlsrpt-record": Parser(
        _tlsrpt_record,
        (b"v=TLSRPTv1; rua=mailto:a@example.com,https://example.com/r",),
        (b";", b",", b"mailto:", b"https://", b"%2C", b"!", b"[::1]", b"ruf=", *ENDS),
        (RecordError,),
    ),
    "name": Parser(
        _name,
        (b"mta-sts.example.com", "b\u00fccher.example".encode(), b"xn--bcher-kva.example."),
        (b".", b"-", b"xn--", b"*", b"a" * 64, *(one.encode() for one in "\u3002\u200d\u00df"), *NUMBERS, *ENDS),
        (DomainNameError,),
    ),
    "zone-file": Parser(
        _zone, (ZONE,), (b"(", b")", b'"', b";", b"\\", b"SOA", b"IN", *NUMBERS, *ENDS), (ZoneTextError,)
    ),
    "zone-fragment": Parser(
        _fragment,
        (ZONE,),
        (b"$ORIGIN a.", b"$TTL", b"A 192.0.2.1", b"TLSA 3 1 1 ", b"\\", *NUMBERS, *ENDS),
        (SetError,),
    ),
    "provider": Parser(_provider, PROVIDER, (b"AAAA", b"TLSA", b"3 1 1 aa", b"\\\\", *JSON_PIECES), (SetError,)),
    "nginx": Parser(_nginx, (NGINX,), (b"{", b"}", b";", b"'", b'"', b"#", b"\\", b"listen", b"map", b"unix:", *ENDS)),
    "certbot": Parser(_certbot, (CERTBOT,), (b"Detail:", b":", b"rateLimited", b"\x1b[2J", *ENDS)),
    "pem": Parser(check_pem, (PEM,), (b"-----BEGIN ", b"ENCRYPTED ", b"-----", b"=", *ENDS), (CertificateError,)),
    "domains-yaml": Parser(
        _domains(".yml"),
        (YAML,),
        (b"- ", b": ", b"&a", b"*a", b"<<: *a", b"!!python/name:os", *NUMBERS, *ENDS),
        (DomainsFileError, InventoryError),
    ),
    "domains-json": Parser(_domains(".json"), (JSON,), JSON_PIECES, (DomainsFileError, InventoryError)),
    "domains-csv": Parser(
        _domains(".csv"),
        (CSV,),
        (b",", b'"', b"gate", b"testing_days", *NUMBERS, *ENDS),
        (DomainsFileError, InventoryError),
    ),
    "domain-lines": Parser(
        _domain_lines, (b"example.com\nexample.org # ours\n",), (b"#", b"\xef\xbb\xbf", *ENDS), (DomainsFileError,)
    ),
}
