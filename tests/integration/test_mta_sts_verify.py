# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole domains, against named, nginx and Postfix: what is seen of each, what is proved, and how fast."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import time
import typing as t
from pathlib import Path
from unittest import mock

import pytest
from ansible_collections.postmaster.mta_sts.plugins.module_utils._plan_document import SCHEMA
from ansible_collections.postmaster.mta_sts.plugins.module_utils._policy import Policy, policy_id, render_policy
from ansible_collections.postmaster.mta_sts.plugins.module_utils._probe import connect, proof
from ansible_collections.postmaster.mta_sts.plugins.module_utils._probe import domain as domain_probe
from ansible_collections.postmaster.mta_sts.plugins.module_utils._probe.connect import Reach
from ansible_collections.postmaster.mta_sts.plugins.module_utils._probe.https import Fetched
from ansible_collections.postmaster.mta_sts.plugins.module_utils._probe.proof import prove
from ansible_collections.postmaster.mta_sts.plugins.module_utils._probe.sender import Settings
from ansible_collections.postmaster.mta_sts.plugins.module_utils._probe.sender import observe as observe_all
from ansible_collections.postmaster.mta_sts.plugins.module_utils._probe.tls import Session
from ansible_collections.postmaster.mta_sts.plugins.module_utils._probe.workers import Progress
from bind import Named, free_port
from modules import ENVIRONMENT, run
from nginx import Nginx
from odd import OddServers, be_silent, smtp_server
from postfix import Postfix
from tls import Authority, server_context

CHECKOUT = Path(__file__).parents[2]

# The probes go to ports 443 and 25, so every server has an address of its own.
WEB, WEB_STALE, WEB_DOWN = "127.77.0.1", "127.77.0.2", "127.77.0.3"
SILENT = "127.77.0.9"
MAIL, MAIL_SELF_SIGNED, MAIL_PLAIN, MAIL_COUNTING, MAIL_DOWN, MAIL_CROWDED, MAIL_DEAD = (
    f"127.77.0.{number}" for number in range(11, 18)
)

MX = {
    "mx": [MAIL],
    "self-signed": [MAIL_SELF_SIGNED],
    "plain": [MAIL_PLAIN],
    "down": [MAIL_DOWN],
    "half": [MAIL, MAIL_SELF_SIGNED],
    "counting": [MAIL_COUNTING],
    "nowhere": [],
}
# What a certificate is for and how long it lasts, the tests of certificates tell.
ANY_CERTIFICATE = {"names": mock.ANY, "issuer": mock.ANY, "not_before": mock.ANY, "not_after": mock.ANY}
BULK = 500
BULK_DOMAINS = [f"d{number}.bulk.example" for number in range(BULK)]
# Each has a name of its own for the one MX host of all.
CROWD = 400


def policy(*mx: str, mode: str = "enforce") -> Policy:
    return Policy(mode, mx or ("mx.test",), 2592000)


def observe(domains: t.Mapping[str, Policy | None], settings: Settings) -> dict[str, dict[str, t.Any]]:
    """What is seen of each domain."""
    seen: dict[str, dict[str, t.Any]] = observe_all(domains, settings)["domains"]
    return seen


def identifier(wanted: Policy) -> str:
    return policy_id(render_policy(wanted))


class Case(t.NamedTuple):
    """A domain C(<name>.example.com), and what is found there; by default everything is well."""

    verdict: str
    # Code and subject, in which {d} stands for the domain.
    findings: t.Sequence[tuple[str, str]] = ()
    served: Policy | bytes = policy()
    # Records in place of the usual ones.
    sts: str = '_mta-sts.{d} TXT "v=STSv1; id={id}"'
    tlsrpt: str = '_smtp._tls.{d} TXT "v=TLSRPTv1; rua=mailto:tls@example.net"'
    address: str = f"mta-sts.{{d}} A {WEB}"
    mx: str = "{d} MX 10 mx.test."
    stale: bytes | None = None


CASES: dict[str, Case] = {
    "well": Case("enforce"),
    "testing": Case("testing", served=policy(mode="testing")),
    "none": Case("none", served=policy(mode="none"), mx="{d} MX 10 self-signed.test."),
    "nothing": Case(
        "absent",
        [
            ("record-missing", "_mta-sts.{d}"),
            ("tlsrpt-missing", "_smtp._tls.{d}"),
        ],
        sts="",
        tlsrpt="",
        address="",
        mx="",
    ),
    # The record
    "no-record": Case("broken", [("record-missing", "_mta-sts.{d}")], sts=""),
    "two-records": Case(
        "broken",
        [("record-several", "_mta-sts.{d}")],
        sts='_mta-sts.{d} TXT "v=STSv1; id=1"\n_mta-sts.{d} TXT "v=STSv1; id=2"',
    ),
    "foreign-beside": Case(
        "enforce",
        [("record-foreign", "_mta-sts.{d}")],
        sts='_mta-sts.{d} TXT "v=STSv1; id={id}"\n_mta-sts.{d} TXT "v=spf1 -all"',
    ),
    "only-foreign": Case(
        "broken",
        [("record-missing", "_mta-sts.{d}"), ("record-foreign", "_mta-sts.{d}")],
        sts='_mta-sts.{d} TXT "v=spf1 -all"',
    ),
    "blank-before-semicolon": Case(
        "broken",
        [("record-unusable", "_mta-sts.{d}")],
        sts='_mta-sts.{d} TXT "v=STSv1 ; id=1"',
    ),
    "many-records": Case(
        "broken",
        [("record-several", "_mta-sts.{d}"), ("record-foreign", "_mta-sts.{d}")],
        sts="\n".join(f'_mta-sts.{{d}} TXT "{tag}{n}"' for tag in ("v=STSv1; id=", "other=") for n in range(40)),
    ),
    "record-by-alias": Case("enforce", sts="_mta-sts.{d} CNAME shared-id.example.com."),
    "record-in-parts": Case(
        "enforce", [("record-split", "_mta-sts.{d}")], sts='_mta-sts.{d} TXT "v=STSv1; " "id={id}"'
    ),
    "record-unanswered": Case(
        "broken", [("dns-failure", "_mta-sts.{d}")], sts="_mta-sts.{d} CNAME any.servfail.example."
    ),
    # The policy host
    "no-policy-host": Case("broken", [("policy-host-missing", "mta-sts.{d}")], address=""),
    "policy-host-by-alias": Case("enforce", address="mta-sts.{d} CNAME web.example.com."),
    "policy-host-unanswered": Case(
        "broken", [("dns-failure", "mta-sts.{d}")], address="mta-sts.{d} CNAME any.servfail.example."
    ),
    "unanswered-and-no-record": Case(
        "broken",
        [("record-missing", "_mta-sts.{d}"), ("dns-failure", "mta-sts.{d}")],
        sts="",
        address="mta-sts.{d} CNAME any.servfail.example.",
    ),
    "not-served": Case(
        "broken",
        [("policy-unreachable", f"https://mta-sts.{{d}} at {WEB_DOWN}")],
        address=f"mta-sts.{{d}} A {WEB_DOWN}",
    ),
    "invalid": Case("broken", [("policy-invalid", "https://mta-sts.{d}")], served=b"version: STSv1\nmode: on\n"),
    "same-on-two": Case(
        "enforce", address=f"mta-sts.{{d}} A {WEB}\nmta-sts.{{d}} A {WEB_STALE}", stale=render_policy(policy())
    ),
    "differs-on-two": Case(
        "broken",
        [("policy-differs", "https://mta-sts.{d}")],
        address=f"mta-sts.{{d}} A {WEB}\nmta-sts.{{d}} A {WEB_STALE}",
        stale=render_policy(policy(mode="testing")),
    ),
    "down-on-one-of-two": Case(
        "broken",
        [("policy-unreachable", f"https://mta-sts.{{d}} at {WEB_DOWN}")],
        address=f"mta-sts.{{d}} A {WEB}\nmta-sts.{{d}} A {WEB_DOWN}",
    ),
    # The MX hosts
    "unmatched": Case(
        "broken", [("mx-unmatched", "mx.test"), ("mx-unused", "other.test")], served=policy("other.test")
    ),
    "unmatched-testing": Case(
        "testing",
        [("mx-unmatched", "mx.test"), ("mx-unused", "other.test")],
        served=policy("other.test", mode="testing"),
    ),
    "unused": Case("enforce", [("mx-unused", "*.other.test")], served=policy("mx.test", "*.other.test")),
    "wildcard": Case("enforce", served=policy("*.test")),
    "no-mx": Case("enforce", [("mx-missing", "{d}")], mx=""),
    "null-mx": Case("enforce", [("mx-null", "{d}")], mx="{d} MX 0 ."),
    "none-mx-unanswered": Case("none", served=policy(mode="none"), mx="{d} CNAME any.servfail.example."),
    "mx-without-address": Case(
        "broken", [("mx-address-missing", "nowhere.test")], served=policy("nowhere.test"), mx="{d} MX 5 nowhere.test."
    ),
    "mx-unanswered": Case(
        "broken",
        [("dns-failure", "a.servfail.example")],
        served=policy("a.servfail.example"),
        mx="{d} MX 5 a.servfail.example.",
    ),
    "mx-self-signed": Case(
        "broken",
        [("mx-certificate-chain", f"self-signed.test:25 at {MAIL_SELF_SIGNED}")],
        served=policy("*.test"),
        mx="{d} MX 5 self-signed.test.\n{d} MX 10 mx.test.",
    ),
    "mx-self-signed-testing": Case(
        "testing",
        [("mx-certificate-chain", f"self-signed.test:25 at {MAIL_SELF_SIGNED}")],
        served=policy("*.test", mode="testing"),
        mx="{d} MX 5 self-signed.test.",
    ),
    "mx-plain": Case(
        "broken",
        [("mx-starttls", f"plain.test:25 at {MAIL_PLAIN}")],
        served=policy("*.test"),
        mx="{d} MX 5 plain.test.",
    ),
    "mx-down": Case(
        "enforce",
        [("mx-unreachable", f"down.test:25 at {MAIL_DOWN}")],
        served=policy("*.test"),
        mx="{d} MX 5 down.test.",
    ),
    "mx-half": Case(
        "broken",
        [("mx-certificate-chain", f"half.test:25 at {MAIL_SELF_SIGNED}")],
        served=policy("*.test"),
        mx="{d} MX 5 half.test.",
    ),
    "mx-of-bytes": Case(
        "broken",
        [
            ("mx-unmatched", "\\195" * 40 + ".test"),
            ("mx-unused", "mx.test"),
            ("mx-unreachable", "\\195" * 40 + f".test:25 at {MAIL}"),
        ],
        mx="{d} MX 5 " + "\\195" * 40 + ".test.",
    ),
    # TLSRPT
    "no-tlsrpt": Case("enforce", [("tlsrpt-missing", "_smtp._tls.{d}")], tlsrpt=""),
    "tlsrpt-unusable": Case(
        "enforce", [("tlsrpt-unusable", "_smtp._tls.{d}")], tlsrpt='_smtp._tls.{d} TXT "v=TLSRPTv1; ruf=mailto:a@b.c"'
    ),
    "tlsrpt-unanswered": Case(
        "broken", [("dns-failure", "_smtp._tls.{d}")], tlsrpt="_smtp._tls.{d} CNAME any.servfail.example."
    ),
    "hostile-record": Case(
        "broken",
        [("record-missing", "_mta-sts.{d}"), ("record-foreign", "_mta-sts.{d}")],
        sts='_mta-sts.{d} TXT "\\027[2J\\007\\255"',
    ),
}


class Resolver(Named):
    """Answers for the tests' zones, with SERVFAIL for one more, and has names that no host may have."""

    def _configuration(self, closed_zones: t.Collection[str]) -> str:
        names = "recursion no; check-names primary ignore;"
        return super()._configuration(closed_zones).replace("recursion no;", names) + (
            'zone "servfail.example" { type secondary; file "servfail"; primaries { 127.0.0.1 port 1; }; };\n'
        )


class World:
    """Servers with all cases, and with many domains that are well."""

    def __init__(self, directory: Path) -> None:
        if os.geteuid() != 0:
            raise PermissionError("these tests need ports 25 and 443 of 127.77.0.0/24: run them as root")
        self.authority = Authority()
        self.ca_file = self.authority.write_trust_store(directory / "ca.pem")
        (directory / "named").mkdir()
        (directory / "nginx").mkdir()
        self.odd = OddServers()
        counting = server_context(self.authority.issue("counting.test"), directory / "counting.pem")
        self.odd.serve(smtp_server(counting), host=MAIL_COUNTING, port=25)
        self.named = Resolver(directory / "named", self._zones())
        listens = "".join(
            f"server {{ listen {address}:443 ssl; location = /.well-known/mta-sts.txt {{ "
            "try_files /$host.txt =404; } }\n"
            for address in (WEB, WEB_STALE)
        )
        self.nginx = Nginx(directory / "nginx", listens, [(WEB, 443), (WEB_STALE, 443)])
        for name, case in CASES.items():
            body = render_policy(case.served) if isinstance(case.served, Policy) else case.served
            self.serve(f"{name}.example.com", body)
            if case.stale is not None:
                self.serve(f"{name}.example.com", case.stale, WEB_STALE)
        for domain in BULK_DOMAINS:
            self.serve(domain, render_policy(policy("counting.test")))
        self.postfix = Postfix(
            {
                (MAIL, 25): self.authority.issue("mx.test", "half.test"),
                (MAIL_SELF_SIGNED, 25): Authority().issue("self-signed.test", "half.test"),
                (MAIL_PLAIN, 25): None,
                (MAIL_CROWDED, 25): self.authority.issue("*.crowd.test"),
            },
            # It takes so many from each client, and makes no exception for this machine; each waits a second (its
            # restriction 'sleep') to be greeted.
            {
                (MAIL_CROWDED, 25): [
                    "smtpd_client_connection_count_limit=20",
                    "smtpd_client_event_limit_exceptions=",
                    "smtpd_client_restrictions=sleep,1",
                    "smtpd_delay_reject=no",
                ]
            },
        )

    def _zones(self) -> dict[str, str]:
        cases = []
        for name, case in CASES.items():
            known = identifier(case.served) if isinstance(case.served, Policy) else "1"
            lines = "\n".join((case.sts, case.tlsrpt, case.address, case.mx))
            cases.append(lines.replace("{d}", f"{name}.example.com.").replace("{id}", known))
        hosts = [f"{name} A {address}" for name, addresses in MX.items() for address in addresses]
        hosts += ["ns A 127.0.0.1"]
        for zone in (cases, hosts):
            zone += [f"web A {WEB}", f'shared-id TXT "v=STSv1; id={identifier(policy())}"']
        cases += ["_mta-sts.over.zones CNAME shared-id.test.", "mta-sts.over.zones CNAME web.test."]
        hosts.append("\\195" * 40 + f" A {MAIL}")
        hosts += [f"*.crowd A {MAIL_CROWDED}", f"*.dead A {MAIL_DEAD}"]
        bulk = [
            f'_mta-sts.d{n} TXT "v=STSv1; id={identifier(policy("counting.test"))}"\nmta-sts.d{n} A {WEB}\n'
            f'_smtp._tls.d{n} TXT "v=TLSRPTv1; rua=mailto:tls@example.net"\nd{n} MX 10 counting.test.'
            for n in range(BULK)
        ]
        return {
            "example.com": "\n".join(cases) + "\n",
            "test": "\n".join(hosts) + "\n",
            "bulk.example": "\n".join(bulk) + "\n",
            "crowd.example": "".join(
                f"d{n} MX 10 d{n}.crowd.test.\ndead{n} MX 10 d{n}.dead.test.\n" for n in range(CROWD)
            ),
            # Delegated to a server that nobody here asks.
            "referral.example": "child NS ns.child\nns.child A 192.0.2.53\n",
        }

    def serve(self, domain: str, body: bytes, address: str = WEB) -> None:
        name = f"mta-sts.{domain}"
        path = self.nginx.directory / "tls" / f"{name}.pem"
        pem = path.read_bytes() if path.exists() else self.authority.issue(name)
        self.nginx.serve(address, name, body, pem)

    def settings(self, timeout: float = 5, **options: t.Any) -> Settings:
        return Settings(
            **{
                "resolvers": [(self.named.host, self.named.port)],
                "ca_file": self.ca_file,
                "reach": Reach(timeout, dns_port=self.named.port),
                **options,
            }
        )

    def stop(self) -> None:
        for server in (self.postfix, self.nginx, self.named):
            server.stop()
        self.odd.close()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[World]:
    servers = World(tmp_path_factory.mktemp("world"))
    yield servers
    servers.stop()


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> t.Iterator[None]:
    """The event loop has nothing to complain of."""
    yield
    records = [record for record in caplog.get_records("call") if record.threadName == "MainThread"]
    assert [record.getMessage() for record in records] == []


@pytest.fixture(scope="module")
def seen(world: World) -> dict[str, dict[str, t.Any]]:
    """All cases in one go, as they come: no one may spoil another."""
    return observe({f"{name}.example.com": None for name in CASES}, world.settings())


@pytest.mark.parametrize("name", CASES)
def test_observe(seen: dict[str, dict[str, t.Any]], name: str) -> None:
    case, domain = CASES[name], f"{name}.example.com"
    document = seen[domain]
    found = [(finding["code"], finding["subject"]) for finding in document["findings"]]
    assert (document["verdict"], found) == (
        case.verdict,
        [(code, subject.format(d=domain)) for code, subject in case.findings],
    )
    assert json.dumps(document).isprintable()


def test_observe_tells_all_there_is(seen: dict[str, dict[str, t.Any]]) -> None:
    assert seen["well.example.com"] == {
        "verdict": "enforce",
        "record_id": identifier(policy()),
        "records": [f"v=STSv1; id={identifier(policy())}"],
        "foreign_records": [],
        "tlsrpt": ["mailto:tls@example.net"],
        "tlsrpt_records": ["v=TLSRPTv1; rua=mailto:tls@example.net"],
        "foreign_tlsrpt_records": [],
        "ttls": {"address": 300, "record": 300, "tlsrpt": 300},
        "aliases": {},
        "zones": {},
        "served": {WEB: identifier(policy())},
        "caa": None,
        "addresses": [WEB],
        "policy": {"id": identifier(policy()), "mode": "enforce", "mx": ["mx.test"], "max_age": 2592000},
        "mx": ["mx.test"],
        "mx_ttl": 300,
        "dnssec": {"record": False, "mx": False},
        "certificates": [{**ANY_CERTIFICATE, "subject": f"https://mta-sts.well.example.com at {WEB}"}],
        "findings": [],
    }


def test_what_is_not_known_is_not_said_to_be_missing(seen: dict[str, dict[str, t.Any]]) -> None:
    """P6: a resolver that does not answer must not look like a name without records."""
    unanswered = seen["record-unanswered.example.com"]
    assert unanswered["records"] is unanswered["foreign_records"] is None
    assert seen["policy-host-unanswered.example.com"]["addresses"] is None
    assert seen["tlsrpt-unanswered.example.com"]["foreign_tlsrpt_records"] is None
    nothing = seen["nothing.example.com"]
    assert nothing["addresses"] == nothing["records"] == nothing["foreign_records"] == []


# What begins as a record of ours does, and what does not.
TEXTS: dict[str, tuple[list[str], list[str]]] = {
    "two-records": (["v=STSv1; id=1", "v=STSv1; id=2"], []),
    "foreign-beside": ([f"v=STSv1; id={identifier(policy())}"], ["v=spf1 -all"]),
    "only-foreign": ([], ["v=spf1 -all"]),
    "record-in-parts": ([f"v=STSv1; id={identifier(policy())}"], []),
    "blank-before-semicolon": ([], ["v=STSv1 ; id=1"]),
    "hostile-record": ([], ["?[2J?\N{REPLACEMENT CHARACTER}"]),
}


@pytest.mark.parametrize("name", TEXTS)
def test_a_record_is_ours_or_foreign_and_printable(seen: dict[str, dict[str, t.Any]], name: str) -> None:
    document = seen[f"{name}.example.com"]
    assert (sorted(document["records"]), document["foreign_records"]) == TEXTS[name]


def test_records_are_bounded(seen: dict[str, dict[str, t.Any]]) -> None:
    document = seen["many-records.example.com"]
    assert len(set(document["records"])) == len(set(document["foreign_records"])) == 32


# The MX hosts that DNS names and the TTL of their record set, whatever there is of a policy.
MX_SETS: dict[str, tuple[list[str] | None, int | None]] = {
    "testing": (["mx.test"], 300),
    "none": (["self-signed.test"], 300),
    "no-policy-host": (["mx.test"], 300),
    "invalid": (["mx.test"], 300),
    "nothing": ([], None),
    "no-mx": ([], None),
    "null-mx": ([], 300),
    "none-mx-unanswered": (None, None),
}


@pytest.mark.parametrize("name", MX_SETS)
def test_mx_hosts_are_told_of_every_domain(seen: dict[str, dict[str, t.Any]], name: str) -> None:
    document = seen[f"{name}.example.com"]
    assert (document["mx"], document["mx_ttl"]) == MX_SETS[name]


@pytest.mark.parametrize("kind", ["resolvers", "authorities"])
def test_mx_hosts_that_no_policy_needs_are_not_probed(world: World, domain: str, kind: str) -> None:
    world.named.put("example.com", domain, 60, "MX", "10 counting.test.")
    servers: dict[str, t.Any] = {kind: [(world.named.host, world.named.port)]}
    settings = world.settings(**servers)
    for wanted, probes in ((None, 0), (policy(mode="none"), 0), (policy("counting.test"), 2)):
        before = world.odd.connections[25]
        document = observe({domain: wanted}, settings)[domain]
        assert (document["mx"], document["mx_ttl"]) == (["counting.test"], 60)
        assert world.odd.connections[25] - before == probes


@pytest.mark.parametrize("kind", ["dead", "silent", "referral", "refused"])
def test_dns_that_does_not_answer(world: World, kind: str) -> None:
    server = (world.named.host, world.named.port)
    domain = {"referral": "a.child.referral.example", "refused": "not.served.example.org"}.get(kind, "a.example.com")
    with socket.socket(type=socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        if kind == "dead":
            server = ("127.0.0.1", free_port())
        elif kind == "silent":
            server = silent.getsockname()
        document = observe({domain: policy()}, world.settings(resolvers=[server], timeout=0.5))[domain]
    assert document["verdict"] == "broken"
    assert [finding["code"] for finding in document["findings"]] == ["dns-failure"] * 4
    assert {document[key] for key in ("addresses", "records", "foreign_records", "mx", "mx_ttl")} == {None}


def test_authorities_are_asked_first_and_others_for_what_they_do_not_know(world: World) -> None:
    """A resolver may have old news; a server without authority may have none."""
    domain = "well.example.com"
    authority = (world.named.host, world.named.port)
    with socket.socket(type=socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        for settings in (
            world.settings(authorities=[authority], resolvers=[silent.getsockname()], timeout=1),
            world.settings(authorities=[("127.0.0.1", free_port())], timeout=1),
        ):
            assert observe({domain: None}, settings)[domain]["verdict"] == "enforce"
    # An alias leads to a zone that this authority may not have.
    settings = world.settings(authorities=[authority])
    document = observe({"over.zones.example.com": None}, settings)["over.zones.example.com"]
    assert (document["record_id"], document["addresses"]) == (identifier(policy()), [WEB])
    # A name that exists in no zone of the authority is left to the resolver.
    other = "a.child.referral.example"
    document = observe({other: None}, world.settings(authorities=[authority], timeout=0.5))[other]
    assert {finding["code"] for finding in document["findings"]} == {"dns-failure"}


def test_an_alias_whose_end_is_not_known(world: World) -> None:
    """To a server that is no resolver, an alias into another zone looks like a name without records."""
    document = observe({"over.zones.example.com": None}, world.settings())["over.zones.example.com"]
    assert document["verdict"] == "broken"
    assert (document["addresses"], document["foreign_records"]) == (None, None)


def test_an_authority_that_is_down_does_not_cost_a_time_out_per_name(world: World) -> None:
    domains = [f"d{number}.nothing.example.com" for number in range(200)]
    with socket.socket(type=socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        settings = world.settings(authorities=[silent.getsockname()], timeout=1, concurrency=16)
        begin = time.monotonic()
        found = observe(dict.fromkeys(domains), settings)
    assert {document["verdict"] for document in found.values()} == {"absent"}
    assert time.monotonic() - begin < 10


def test_the_wanted_policy_is_the_one_that_counts(world: World) -> None:
    domain = "well.example.com"
    document = observe({domain: policy("next.test", "mx.test")}, world.settings())[domain]
    assert [(f["code"], f["subject"]) for f in document["findings"]] == [("mx-unused", "next.test")]
    assert document["policy"]["mx"] == ["mx.test"]


@pytest.mark.parametrize("processes", [1, 2])
def test_many_domains_at_once_and_their_mx_host_once(world: World, processes: int) -> None:
    before = world.odd.connections[25]
    told: list[Progress] = []
    settings = world.settings(timeout=10, processes=processes, tell=told.append)
    found = observe(dict.fromkeys(BULK_DOMAINS), settings)
    assert list(found) == BULK_DOMAINS
    done = [one.done for one in told if one.what == "domains"]
    assert (sorted(set(done)), done[-1]) == (done, BULK)
    # The MX host, and the address of the policy host.
    assert {(one.total, one.broken) for one in told if one.what == "shared hosts"} == {(2, 0)}
    assert {(document["verdict"], len(document["findings"])) for document in found.values()} == {("enforce", 0)}
    # Once for each version of TLS.
    assert world.odd.connections[25] - before == 2


@pytest.mark.parametrize("processes", [1, 2])
def test_many_domains_are_proved_at_once(world: World, processes: int) -> None:
    wanted = policy("counting.test")
    settings = world.settings(timeout=10, processes=processes)
    found = prove(dict.fromkeys(BULK_DOMAINS, wanted), {"web": [WEB]}, settings)
    expected = {"id": identifier(wanted), "fetched": 1, "proved": ["web"], "failures": []}
    assert list(found.values()) == [expected] * BULK


def test_an_error_that_nobody_thought_of_costs_one_domain(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """P7, for what is met in the code itself."""

    def fails(_subject: str, body: bytes) -> tuple[Policy, list[t.Any]]:
        if b"testing" in body:
            raise KeyError("oh\x1b[2J")
        return policy(), []

    monkeypatch.setattr(domain_probe, "check_policy", fails)
    found = observe({"testing.example.com": None, "well.example.com": None}, world.settings())
    assert found["well.example.com"]["verdict"] == "enforce"
    document = found["testing.example.com"]
    assert document["verdict"] == "broken"
    (failure,) = (f for f in document["findings"] if f["severity"] == "error")
    assert failure["code"] == "probe-failure"
    assert failure["seen"] == "KeyError: 'oh\\x1b[2J'"


def mx_findings(found: t.Mapping[str, dict[str, t.Any]]) -> dict[str, int]:
    codes = [finding["code"] for one in found.values() for finding in one["findings"]]
    return {code: codes.count(code) for code in codes if code.startswith(("mx-", "probe-"))}


def test_many_names_of_one_mx_host_leave_it_room_for_mail(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """And to wait for a turn is no failure of the host, however long it takes."""
    monkeypatch.setattr(connect, "DEADLINE", 1)
    timeout = 4
    domains = {
        f"d{n}.crowd.example": policy(f"d{n}.crowd.test")
        for n in range((timeout + 2) * connect.CONNECTIONS_TO_AN_MX_HOST)
    }
    begin = time.monotonic()
    found = observe(domains, world.settings(timeout=timeout, processes=2))
    # The last of them had to wait longer than all is given that is done for one.
    assert time.monotonic() - begin > timeout
    assert mx_findings(found) == {}


def test_an_address_that_nobody_answers_at_is_waited_for_but_a_few_times(world: World) -> None:
    timeout = 1
    # The queue of those who want to connect is full, and nobody takes any.
    with socket.create_server((MAIL_DEAD, 25), backlog=0), contextlib.ExitStack() as queue:
        for _place in range(2):
            waiting = queue.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex((MAIL_DEAD, 25))
        domains = {f"dead{n}.crowd.example": policy(f"d{n}.dead.test") for n in range(CROWD)}
        begin = time.monotonic()
        found = observe(domains, world.settings(timeout=timeout))
        spent = time.monotonic() - begin
    assert mx_findings(found) == {"mx-unreachable": CROWD}
    assert spent < CROWD / connect.CONNECTIONS_TO_AN_MX_HOST * timeout / 2


def test_one_deadline_for_all_that_is_done_for_a_domain(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What has been seen by then counts, for the domain and for an MX host."""
    monkeypatch.setattr(connect, "DEADLINE", 0.1)
    world.odd.serve(be_silent, host=SILENT, port=443)
    world.odd.serve(be_silent, host=SILENT, port=25)
    world.named.put("example.com", "mta-sts.stuck.example.com", 60, "A", SILENT)
    world.named.put("example.com", "_mta-sts.stuck.example.com", 60, "TXT", '"v=STSv1; id=1"')
    world.named.put("example.com", "mx.stuck.example.com", 60, "A", SILENT)
    world.named.put("example.com", "stuck.example.com", 60, "MX", "10 mx.stuck.example.com.")
    begin = time.monotonic()
    domains = {"stuck.example.com": policy("mx.stuck.example.com"), "well.example.com": None}
    found = observe(domains, world.settings(timeout=10))
    assert time.monotonic() - begin < 10
    assert found["well.example.com"]["findings"] == []
    stuck = found["stuck.example.com"]
    assert (stuck["verdict"], stuck["record_id"], stuck["policy"]) == ("broken", "1", None)
    incomplete = [f["subject"] for f in stuck["findings"] if f["code"] == "probe-incomplete"]
    assert incomplete == [f"mx.stuck.example.com:25 at {SILENT}", "stuck.example.com"]


# Hosts by their addresses, the addresses that were seen, and how many are asked all the same.
SEEN_AT: dict[str, tuple[dict[str, list[str]], list[str], int]] = {
    "all": ({"web1": [WEB], "web2": [WEB_STALE]}, [WEB, WEB_STALE], 0),
    "more than all": ({"web1": [WEB]}, [WEB, WEB_STALE], 0),
    "not of all hosts": ({"web1": [WEB], "web2": [WEB_STALE]}, [WEB], 2),
    "not all of a host": ({"web1": [WEB, WEB_STALE]}, [WEB], 2),
    "a host without addresses": ({"web1": [WEB], "web2": []}, [WEB], 2),
    "two hosts at one address": ({"web1": [WEB], "web2": [WEB]}, [WEB], 2),
    "no host": ({}, [WEB], 2),
    "nothing": ({"web1": [WEB]}, [], 2),
}


@pytest.mark.parametrize(("hosts", "seen_at", "asked"), SEEN_AT.values(), ids=SEEN_AT)
def test_what_was_seen_is_not_fetched_again(
    world: World, monkeypatch: pytest.MonkeyPatch, hosts: dict[str, list[str]], seen_at: list[str], asked: int
) -> None:
    fetched: list[str] = []

    async def count(_name: str, address: str, *_more: t.Any) -> Fetched:
        fetched.append(address)
        return Fetched(render_policy(policy()), Session("TLSv1.3", ()), 0.1)

    monkeypatch.setattr(proof, "fetch_policy", count)
    (found,) = prove(
        {"same-on-two.example.com": policy()}, hosts, world.settings(), {"same-on-two.example.com": seen_at}
    ).values()
    assert len(fetched) == asked
    if not asked:
        assert found == {"id": identifier(policy()), "fetched": len(seen_at), "proved": [*hosts], "failures": []}


def test_an_error_that_nobody_thought_of_proves_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fails(name: str, *_more: t.Any) -> Fetched:
        if "testing" in name:
            raise KeyError(name)
        return Fetched(render_policy(policy()), Session("TLSv1.3", ()), 0.1)

    monkeypatch.setattr(proof, "fetch_policy", fails)
    domains = ["testing.example.com", "well.example.com"]
    broken, well = prove(dict.fromkeys(domains, policy()), {"web1": [WEB]}, world.settings()).values()
    assert (well["fetched"], well["proved"], well["failures"]) == (1, ["web1"], [])
    assert (broken["fetched"], broken["proved"]) == (0, [])
    assert {(failure["host"], failure["code"]) for failure in broken["failures"]} == {
        ("web1", "probe-failure"),
        ("public", "probe-failure"),
    }


class Proof(t.NamedTuple):
    hosts: dict[str, list[str]]
    fetched: int
    # Host and code
    failures: list[tuple[str, str]]
    domain: str = "same-on-two.example.com"
    wanted: Policy = policy()


PROOFS: dict[str, Proof] = {
    "all": Proof({"web1": [WEB], "web2": [WEB_STALE]}, 2, []),
    "public only": Proof({}, 2, []),
    "other bytes on one": Proof(
        {"web1": [WEB], "web2": [WEB_STALE]}, 1, [("web2", "policy-differs")], "differs-on-two.example.com"
    ),
    "other bytes everywhere": Proof(
        {"web1": [WEB], "web2": [WEB_STALE]},
        0,
        [("web1", "policy-differs"), ("web2", "policy-differs")],
        wanted=policy(mode="testing"),
    ),
    "one down": Proof({"web1": [WEB], "web2": [WEB_DOWN]}, 1, [("web2", "policy-unreachable")], "well.example.com"),
    "one not reachable by any address": Proof(
        {"web1": [WEB], "web2": []}, 1, [("web2", "policy-unreachable")], "well.example.com"
    ),
    "one has no such name": Proof(
        {"web1": [WEB], "web2": [WEB_STALE]}, 1, [("web2", "policy-status")], "well.example.com"
    ),
    "public way leads elsewhere": Proof(
        {"web1": [WEB]}, 1, [("public", "policy-differs")], "differs-on-two.example.com"
    ),
    "no public address": Proof({"web1": [WEB]}, 1, [("public", "policy-host-missing")], "no-policy-host.example.com"),
    "public address unknown": Proof(
        {"web1": [WEB]}, 1, [("public", "dns-failure")], "policy-host-unanswered.example.com"
    ),
    "two hosts at one address": Proof(
        {"web1": [WEB], "web2": [WEB]}, 1, [("web2", "policy-unreachable")], "well.example.com"
    ),
    "not an address": Proof({"web1": ["\x1b[2J"]}, 1, [("web1", "policy-unreachable")], "well.example.com"),
}


@pytest.mark.parametrize("case", PROOFS.values(), ids=PROOFS)
def test_prove(world: World, case: Proof) -> None:
    document = prove({case.domain: case.wanted}, case.hosts, world.settings())[case.domain]
    assert document["id"] == identifier(case.wanted)
    assert document["fetched"] == case.fetched
    assert [(failure["host"], failure["code"]) for failure in document["failures"]] == case.failures
    assert document["proved"] == [host for host in case.hosts if host not in dict(case.failures)]


def test_a_host_of_many_addresses_leaves_connections_for_others(world: World) -> None:
    """Sixteen addresses that stall, on each of 32 MX hosts, are no reason to find fault with a healthy domain."""
    silent = [f"127.77.{1 + number // 200}.{1 + number % 200}" for number in range(512)]
    for address in silent:
        world.odd.serve(be_silent, host=address, port=25)
    zone = "test"
    for number in range(32):
        world.named.put(zone, f"tar{number}.pit.test", 60, "A", *silent[number * 16 : number * 16 + 16])
    world.named.put(zone, "pit.test", 60, "MX", *(f"{number} tar{number}.pit.test." for number in range(32)))
    program = (
        "import resource, sys, json; resource.setrlimit(resource.RLIMIT_NOFILE, (400, 400))\n"
        "from ansible_collections.postmaster.mta_sts.plugins.module_utils._probe.sender import *\n"
        f"server = ('{world.named.host}', {world.named.port})\n"
        f"settings = Settings([server], ca_file={world.ca_file!r}, reach=Reach(1, dns_port=server[1]))\n"
        "domains = {'pit.test': Policy('enforce', ('*.pit.test',), 86400), 'well.example.com': None}\n"
        "print(json.dumps(observe(domains, settings)['domains']))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    found = json.loads(done.stdout)
    assert found["well.example.com"]["findings"] == []
    texts = {finding["seen"] for finding in found["pit.test"]["findings"] if finding["code"] == "mx-unreachable"}
    assert texts == {"no answer within 1 seconds"}


# The module


def call(world: World, directory: Path, **options: t.Any) -> dict[str, t.Any]:
    arguments = {
        "resolvers": [f"{world.named.host}:{world.named.port}"],
        "ca_file": world.ca_file,
        "timeout": 5,
        "dns_port": world.named.port,
        **options,
    }
    return run("mta_sts_verify", directory, **arguments)


def plan(directory: Path, *entries: dict[str, t.Any], **more: t.Any) -> str:
    path = directory / "plan.json"
    document = {"schema": SCHEMA, "policy_hosts": {"web1": [WEB]}, "domains": entries, **more}
    path.write_text(json.dumps(document))
    return str(path)


def entry(domain: str, wanted: Policy, **more: t.Any) -> dict[str, t.Any]:
    return {
        "domain": domain,
        "policy_host": f"mta-sts.{domain}",
        "serve": True,
        "remove": False,
        "certificate": True,
        "mode": wanted.mode,
        "mx": list(wanted.mx),
        "max_age": wanted.max_age,
        "found": None,
        "after_unknown": False,
        "conditions": None,
        **more,
    }


def test_module_looks_at_domains(world: World, tmp_path: Path) -> None:
    names = ["WELL.example.com", "mx-self-signed.example.com", "nothing.example.com", "testing.example.com"]
    result = call(world, tmp_path, domains=names)
    assert result["counts"] == {"enforce": 1, "broken": 1, "absent": 1, "testing": 1}
    assert list(result["domains"]) == [name.lower() for name in names]
    assert not result["changed"]


def test_module_looks_at_a_plan(world: World, tmp_path: Path) -> None:
    document = plan(
        tmp_path,
        entry("well.example.com", policy("next.test", "mx.test")),
        entry("mx-unanswered.example.com", policy(mode="testing"), serve=False, certificate=False),
        entry("nothing.example.com", policy(), serve=False, mode=None, mx=[], max_age=None),
    )
    result = call(world, tmp_path, document=document)
    assert result["counts"] == {"enforce": 1, "broken": 1, "absent": 1}
    codes = {domain: [f["code"] for f in seen["findings"]] for domain, seen in result["domains"].items()}
    assert codes["well.example.com"] == ["mx-unused"]
    # What is not served yet is looked at as if it were.
    assert codes["mx-unanswered.example.com"] == ["dns-failure", "mx-unmatched", "mx-unused"]
    assert "mx-missing" not in codes["nothing.example.com"]


def test_module_proves_a_plan(world: World, tmp_path: Path) -> None:
    document = plan(
        tmp_path,
        entry("well.example.com", policy()),
        entry("same-on-two.example.com", policy(mode="testing")),
        entry("nothing.example.com", policy(), certificate=False),
        entry("testing.example.com", policy(mode="testing"), serve=False),
    )
    result = call(world, tmp_path, document=document, prove=True)
    assert result["counts"] == {"proved": 1, "unproved": 1}
    assert list(result["domains"]) == ["well.example.com", "same-on-two.example.com"]


def test_module_proves_every_host_of_the_plan(world: World, tmp_path: Path) -> None:
    """P1: to say where one host is reached is not to leave out the others."""
    hosts = {"web1": ["192.0.2.1"], "web2": [WEB_STALE]}
    document = plan(tmp_path, entry("well.example.com", policy()), policy_hosts=hosts)
    result = call(world, tmp_path, document=document, prove=True, policy_hosts={"web1": [WEB]})
    failures = result["domains"]["well.example.com"]["failures"]
    assert [(failure["host"], failure["code"]) for failure in failures] == [("web2", "policy-status")]


REFUSED: dict[str, tuple[dict[str, t.Any], str]] = {
    "bad names": ({"domains": ["a.example", "b..example", "10.0.0.1"]}, "b..example.*10.0.0.1"),
    "no document": ({"document": "/nowhere/plan.json"}, "/nowhere/plan.json: No such file or directory"),
    "trust store": ({"domains": ["a.example"], "ca_file": "/nowhere/ca.pem"}, "/nowhere/ca.pem"),
    "resolver": ({"domains": ["a.example"], "resolvers": ["one.one"]}, "'one.one' is not an IP address"),
    "port": ({"domains": ["a.example"], "resolvers": ["127.0.0.1:99999"]}, "127.0.0.1:99999"),
    "timeout": ({"domains": ["a.example"], "timeout": 0}, "timeout"),
    "concurrency": ({"domains": ["a.example"], "concurrency": 0}, "concurrency"),
    "both": ({"domains": ["a.example"], "document": "/nowhere"}, "mutually exclusive"),
    "prove what": ({"domains": ["a.example"], "prove": True}, "document"),
}


@pytest.mark.parametrize(("options", "text"), REFUSED.values(), ids=REFUSED)
def test_module_refuses(world: World, tmp_path: Path, options: dict[str, t.Any], text: str) -> None:
    result = call(world, tmp_path, **options)
    assert result["failed"]
    assert re.search(text, result["msg"]), result["msg"]
    assert "Traceback" not in result["msg"]


DAMAGED: dict[str, tuple[t.Any, str]] = {
    "no JSON": (b"{", "not a JSON document"),
    "a list": (b"[]", "not a JSON object"),
    "another document": (b'{"schema": "postmaster.mta_sts/report/1"}', "schema is 'postmaster.mta_sts/report/1'"),
    "no domains": ({}, "'domains' is missing"),
    "an entry that is none": ({"domains": [1]}, r"domains\[0\] is damaged"),
    "an entry without mode": ({"domains": [{"domain": "a.example"}]}, r"domains\[0\]: 'policy_host' is missing"),
    "no hosts": ({"policy_hosts": None}, "'policy_hosts' is missing"),
    "an address alone": (
        {"policy_hosts": {"web1": WEB}, "domains": [entry("well.example.com", policy())]},
        "web1: '127.77.0.1' is not a list",
    ),
    "a policy that is none": ({"domains": [entry("well.example.com", policy(), mode="on")]}, "'on'"),
}


@pytest.mark.parametrize(("content", "text"), DAMAGED.values(), ids=DAMAGED)
def test_module_refuses_a_damaged_plan(world: World, tmp_path: Path, content: t.Any, text: str) -> None:
    if isinstance(content, bytes):
        (tmp_path / "plan.json").write_bytes(content)
    else:
        plan(tmp_path, **{"domains": None, **content})
    result = call(world, tmp_path, document=str(tmp_path / "plan.json"), prove=True)
    assert result["failed"]
    assert re.search(text, result["msg"]), result["msg"]
    assert "Traceback" not in result["msg"]
