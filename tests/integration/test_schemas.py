# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The documents of a run are what their published schemas say, made by the code that makes them in a run."""

from __future__ import annotations

import copy
import dataclasses
import datetime as dt
import functools
import json
import socket
import socketserver
import threading
import typing as t
from pathlib import Path

import dns.message
import dns.rrset
import documents
import pytest
import trustme
from ansible_collections.postmaster.mta_sts.plugins.module_utils._evidence import Evidence, Site
from ansible_collections.postmaster.mta_sts.plugins.module_utils._finding import KINDS
from ansible_collections.postmaster.mta_sts.plugins.module_utils._inventory import KEYS, Desired, entry_of, read_domains
from ansible_collections.postmaster.mta_sts.plugins.module_utils._ledger import Ledger, read_ledger, time_text
from ansible_collections.postmaster.mta_sts.plugins.module_utils._pem_files import Store, from_files
from ansible_collections.postmaster.mta_sts.plugins.module_utils._plan import make_plan
from ansible_collections.postmaster.mta_sts.plugins.module_utils._policy import Policy, policy_id, render_policy
from ansible_collections.postmaster.mta_sts.plugins.module_utils._policy_files import describe_files, render_files
from ansible_collections.postmaster.mta_sts.plugins.module_utils._probe.connect import Reach
from ansible_collections.postmaster.mta_sts.plugins.module_utils._probe.proof import prove
from ansible_collections.postmaster.mta_sts.plugins.module_utils._probe.sender import Settings, observe
from ansible_collections.postmaster.mta_sts.plugins.module_utils._record_sets.record_set import parse_record_sets
from ansible_collections.postmaster.mta_sts.plugins.module_utils._record_sets.task import run as run_task
from ansible_collections.postmaster.mta_sts.plugins.module_utils._report import Run, make_report
from ansible_collections.postmaster.mta_sts.plugins.module_utils._rfc2136.reconcile import reconcile
from ansible_collections.postmaster.mta_sts.plugins.module_utils._verification import make_verification
from jsonschema import Draft202012Validator, ValidationError  # type: ignore[import-untyped]

SCHEMAS = Path(__file__).resolve().parents[2] / "docs/schemas"
NAMES = sorted(path.stem for path in SCHEMAS.glob("*.json"))
NOW = dt.datetime(2026, 11, 23, 10, tzinfo=dt.timezone.utc)
LOOPBACK = "127.0.0.1"
SITE = Site({"web1": [LOOPBACK], "web2": ["2001:db8::2"]})
MX = ("mx1.example.net",)
TESTING = Policy("testing", MX, 86400)
ID = policy_id(render_policy(TESTING))

Document = dict[str, t.Any]


def schema(name: str) -> Document:
    found: Document = json.loads((SCHEMAS / f"{name}.json").read_text())
    return found


def check(name: str, document: t.Any) -> Document:
    """The document as a reader of its file gets it."""
    read: Document = json.loads(json.dumps(document))
    Draft202012Validator(schema(name)).validate(read)
    return read


def written(result: Document) -> Document:
    """A results document, as its action plugin makes it."""
    return {"host": "web1", **result}


class Zone(socketserver.BaseRequestHandler):
    """A name server with a few records, on the loopback."""

    RECORDS: t.ClassVar[dict[tuple[str, str], tuple[str, ...]]] = {
        ("_mta-sts.example.com.", "TXT"): (f'"v=STSv1; id={ID}"', '"token=1"'),
        ("_smtp._tls.example.com.", "TXT"): ('"v=TLSRPTv1; rua=mailto:tls@example.com"',),
        ("mta-sts.example.com.", "A"): (LOOPBACK,),
        ("example.com.", "MX"): ("10 mx1.example.net.", "20 mx2.example.net."),
    }

    def handle(self) -> None:
        data, server = self.request
        query = dns.message.from_wire(data)
        answer = dns.message.make_response(query, recursion_available=True)
        asked = query.question[0]
        records = self.RECORDS.get((asked.name.to_text(), dns.rdatatype.to_text(asked.rdtype)), ())
        if records:
            answer.answer.append(dns.rrset.from_text(asked.name, 5, "IN", asked.rdtype, *records))
        server.sendto(answer.to_wire(), self.client_address)


@pytest.fixture(scope="module")
def settings() -> t.Iterator[Settings]:
    with socketserver.UDPServer((LOOPBACK, 0), Zone) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield Settings(resolvers=[(LOOPBACK, server.server_address[1])], reach=Reach(5.0))
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def closed_port() -> int:
    """A port of the loopback on which nothing listens."""
    with socket.socket() as listener:
        listener.bind((LOOPBACK, 0))
        port: int = listener.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def observed(settings: Settings, closed_port: int) -> Document:
    seen = observe({"example.com": TESTING, "example.org": None}, settings)
    silent = Settings(resolvers=[(LOOPBACK, closed_port)], reach=Reach(0.2))
    seen["domains"].update(observe({"example.net": None}, silent)["domains"])
    return check("observed", written(seen))


@pytest.fixture(scope="module")
def served() -> Document:
    files = render_files([{"domain": "example.com", "mode": "testing", "mx": list(MX), "max_age": 86400}])
    files["mta-sts.orphan.example.txt"] = render_policy(Policy("enforce", ("*.mail.example.org",), 2592000))
    files["mta-sts.broken.example.txt"] = b"version: STSv1\n"
    policies, damaged = describe_files(files)
    assert damaged
    result = {"policies": policies, "damaged": damaged}
    return check("served", written(result))


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Document:
    """Of a host that began a day ago, on which a policy was replaced and another one was found there before."""
    path = tmp_path_factory.mktemp("ledger") / "ledger.sqlite3"
    yesterday = NOW - dt.timedelta(days=1)
    found = Policy("enforce", ("*.mail.example.org",), 2592000)
    elsewhere = {
        "mode": found.mode,
        "mx": list(found.mx),
        "max_age": found.max_age,
        "until": NOW.isoformat(),
        "after_unknown": True,
    }
    told = {"domain": "example.com", "mode": "testing", "mx": list(MX), "max_age": 86400, "after_unknown": False}
    entry = {**told, "serve": True, "remove": False, "found": elsewhere, "conditions": {"ready": yesterday.isoformat()}}
    with Ledger(path) as opened:
        opened.record([entry], {"orphan.example": render_policy(found)}, int(yesterday.timestamp()))
        opened.settle({"example.com": render_policy(TESTING)}, int(yesterday.timestamp()))
    result = {**read_ledger(path), "now": time_text(int(NOW.timestamp()))}
    return check("ledger", written(result))


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Document:
    given, tls = tmp_path_factory.mktemp("given"), tmp_path_factory.mktemp("tls")
    names = ["mta-sts.example.com", "mta-sts.example.org"]
    issued = trustme.CA().issue_cert(names[0])
    issued.private_key_and_cert_chain_pem.write_to_path(given / f"{names[0]}.pem")
    path = str(given / "{name}.pem")
    outcomes = from_files(names, path, path, Store(tls, None), check_mode=False)
    assert [(outcome.changed, bool(outcome.error)) for outcome in outcomes.values()] == [(True, False), (False, True)]
    result = {"certificates": {name: dataclasses.asdict(outcome) for name, outcome in outcomes.items()}}
    return check("certificates", written(result))


@pytest.fixture(scope="module")
def proof(settings: Settings) -> Document:
    proved = prove({"example.com": TESTING}, {"web1": [LOOPBACK]}, settings)
    assert proved["example.com"]["failures"]
    return check("proof", written({"domains": proved}))


def plan_of(desired: t.Sequence[Desired], evidence: Evidence, *, assume_proof: bool = False) -> Document:
    return check("plan", make_plan(desired, SITE, evidence, NOW, assume_proof=assume_proof))


DESIRED = read_domains(
    [
        {"domain": "example.com", "mx": list(MX), "tlsrpt": ["mailto:tls@example.com"], "replace_foreign": True},
        {"domain": "example.org", "mx": ["*.mail.example.org"], "mode": "enforce"},
        {"domain": "example.net", "mx": list(MX), "mode": "none"},
        {"domain": "gone.example", "state": "absent"},
        {"domain": "orphan.example", "state": "absent"},
    ],
    {},
)


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_is_sound_and_named(name: str) -> None:
    document = schema(name)
    Draft202012Validator.check_schema(document)
    assert document["title"] == f"postmaster.mta_sts/{name}/1"
    told = document["items"] if document["type"] == "array" else document
    constant = told["properties"].get("schema")
    assert constant is None or constant == {"const": document["title"]}
    assert told["additionalProperties"] is False


def test_domains_are_those_of_the_plans() -> None:
    check("domains", [entry_of(domain) for domain in DESIRED])
    assert set(schema("domains")["items"]["properties"]) == KEYS


def test_shared_parts_are_the_same_everywhere() -> None:
    parts: dict[str, Document] = {}
    for name in NAMES:
        for part, definition in schema(name).get("$defs", {}).items():
            assert parts.setdefault(part, definition) == definition, (name, part)
    assert "finding" in parts


def test_observed_has_all_that_may_be_known_and_unknown(observed: Document) -> None:
    known, none, unknown = (observed["domains"][name] for name in ("example.com", "example.org", "example.net"))
    assert known["record_id"] == ID
    assert known["records"] == [f"v=STSv1; id={ID}"]
    assert (known["mx"], known["mx_ttl"]) == (["mx1.example.net", "mx2.example.net"], 5)
    assert {"record-foreign", "mx-unmatched", "mx-address-missing"} <= {found["code"] for found in known["findings"]}
    assert none["addresses"] == none["records"] == none["foreign_records"] == none["mx"] == []
    assert none["mx_ttl"] is None
    assert {unknown[key] for key in ("addresses", "records", "foreign_records", "mx", "mx_ttl")} == {None}


def test_verify_has_what_was_observed_and_the_sums(observed: Document) -> None:
    document = check("verify", make_verification([observed], NOW, NOW + dt.timedelta(seconds=12)))
    assert document["domains"] == {name: {**seen, "reported": []} for name, seen in observed["domains"].items()}
    assert sum(document["counts"].values()) == len(observed["domains"]) == 3
    assert set(document["finding_counts"]) == {
        finding["code"] for seen in observed["domains"].values() for finding in seen["findings"]
    }
    # Hosts that shared the domains.
    halves = [{**observed, "domains": {name: seen}} for name, seen in observed["domains"].items()]
    whole = check("verify", make_verification(halves, NOW, NOW, {"probe4": "could not be reached"}))
    assert (whole["domains"], whole["counts"]) == (document["domains"], document["counts"])
    assert whole["failed_hosts"] == {"probe4": "could not be reached"}


def test_the_documents_of_the_tests_are_such_documents() -> None:
    check("verify", documents.verification())
    check("verify", documents.many(100))
    check("report", documents.rollout())
    check("report", documents.held_by_everything())
    reports = {"host": "inbox1", "domains": documents.reports("example.com", documents.BAKERY), "unreadable": []}
    check("reports", reports)


def test_ledger_has_all_that_may_be_written_down(ledger: Document) -> None:
    assert ledger["domains"]["example.com"]["conditions"]
    rows = [row for entry in ledger["domains"].values() for row in entry["served"]]
    assert {row["until"] is None for row in rows} == {row["after_unknown"] for row in rows} == {True, False}
    lost = {"state": "damaged", "trouble": "no", "revision": None, "written": None, "now": ledger["now"], "domains": {}}
    check("ledger", {"host": "web1", **lost})


def test_plan_at_every_step_of_a_run(
    served: Document, ledger: Document, observed: Document, certificates: Document, proof: Document
) -> None:
    first = plan_of(DESIRED, Evidence({}))
    assert {entry["stage"] for entry in first["domains"]} == {"pending"}
    known = Evidence({"web1": served}, {"web1": ledger, "web2": {**ledger, "host": "web2"}}, observed)
    second = plan_of(DESIRED, known)
    assert second["record_sets"]["prepare"]
    assert not second["record_sets"]["announce"]
    assert second["revisions"] == dict.fromkeys(SITE.hosts, ledger["revision"])
    third = plan_of(DESIRED[:1], dataclasses.replace(known, proof=proof, certificates={"web1": certificates}))
    assert third["orphans"] == ["orphan.example"]
    assert "proof-failed" in {hold["code"] for hold in third["domains"][0]["holds"]}
    preview = plan_of(DESIRED, known, assume_proof=True)
    assert [one for one in preview["record_sets"]["announce"] if "expected" not in one]
    frozen = plan_of(DESIRED, dataclasses.replace(known, ledgers={"web1": ledger}))
    assert {hold["code"] for entry in frozen["domains"] if entry["conditions"] is None for hold in entry["holds"]} == {
        "ledger-unread",
        "unobserved",
    }
    lost = {**ledger, "state": "damaged", "trouble": "no", "revision": 0, "written": None, "domains": {}}
    assert plan_of(DESIRED, dataclasses.replace(known, ledgers={"web1": ledger, "web2": lost}))["troubles"]


def test_plan_of_a_domain_that_others_served_and_of_one_that_goes(observed: Document) -> None:
    seen = copy.deepcopy(observed)
    legacy = Policy("enforce", MX, 604800)
    policy = {"id": ID, "mode": legacy.mode, "mx": list(legacy.mx), "max_age": legacy.max_age}
    seen["domains"]["example.org"]["policy"] = policy
    seen["domains"]["gone.example"] = {**seen["domains"]["example.org"], "policy": None}
    row = {"id": ID, "mode": "none", "mx": list(MX), "max_age": 86400, "after_unknown": False}
    ended = {**row, "since": "2026-11-01T10:00:00+00:00", "until": "2026-11-22T10:00:00+00:00"}
    gone = {"served": [ended], "conditions": {"record-gone": "2026-11-20T10:00:00+00:00"}}
    base = {"host": "web1", "state": "ok", "trouble": "", "revision": 3, "written": "2026-11-22T10:00:00+00:00"}
    ledger = check("ledger", {**base, "now": NOW.isoformat(), "domains": {"gone.example": gone}})
    ledgers = {host: {**ledger, "host": host} for host in SITE.hosts}
    plan = plan_of(DESIRED, Evidence({}, ledgers, check("observed", seen)))
    entries = {entry["domain"]: entry for entry in plan["domains"]}
    assert entries["example.org"]["found"]
    assert entries["gone.example"]["remove"]
    assert entries["gone.example"]["conditions"] == gone["conditions"]


def results_document(counts: Document, results: list[Document]) -> Document:
    """As the action plugins write it."""
    document = {"host": "localhost", "counts": counts, "results": results}
    return check("record-sets-results", json.loads(json.dumps(document)))


def test_results_of_record_sets(closed_port: int, tmp_path: Path, observed: Document) -> None:
    plan = plan_of(DESIRED, Evidence({}, observed=observed), assume_proof=True)
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    params = {
        "server": LOOPBACK, "port": closed_port, "timeout": 5, "authorities": [], "wait": 0,
        "key_name": None, "key_algorithm": "hmac-sha256", "key_secret": None,
        "record_sets": None, "document": str(tmp_path / "plan.json"), "section": "announce",
        "continue_on_error": True, "results": None,
    }  # fmt: skip
    result = run_task(params, functools.partial(reconcile, params), check_mode=False)
    assert result["failed"]
    failed = results_document(result["counts"], result["results"])
    assert failed["counts"]["failed"] == len(failed["results"]) == len(plan["record_sets"]["announce"]) > 0
    report = check("report", make_report(Run(plan, observed, [failed]), NOW, NOW))
    assert "record-failed" in {hold["code"] for domain in report["domains"] for hold in domain["holds"]}


def test_report_of_a_run_that_announced(observed: Document) -> None:
    body = render_policy(TESTING)
    found = {"id": policy_id(body), "fetched": 2, "proved": list(SITE.hosts), "failures": []}
    proved = {"host": "localhost", "domains": {"example.com": found}}
    plan = plan_of(DESIRED[:1], Evidence({}, observed=observed, proof=check("proof", proved)))
    (wanted,) = (one for one in plan["record_sets"]["announce"] if one["type"] == "TXT")
    results = []
    statuses: tuple[t.Literal["changed", "ok"], ...] = ("changed", "ok")
    for status in statuses:
        (record_set,) = parse_record_sets([wanted])
        record_set.status = status
        record_set.before = record_set.wanted if status == "ok" else None
        counts = {"ok": 0, "changed": 0, "awaited": 0, "failed": 0, status: 1}
        results.append(results_document(counts, [record_set.result()]))
    for document, check_mode, expected in (
        (results[0], False, "announced"),
        (results[0], True, "to come"),
        (results[1], False, "in place"),
    ):
        run = Run(plan, observed, [document], check_mode)
        report = check("report", make_report(run, NOW, NOW + dt.timedelta(seconds=2)))
        assert report["domains"][0]["announcement"] == expected
        assert {finding["code"] for finding in report["domains"][0]["findings"]} <= set(KINDS)
        assert report["domains"][0]["findings"]


def test_what_a_schema_does_not_know_is_refused(served: Document, observed: Document) -> None:
    documents = {"served": served, "observed": observed, "plan": plan_of(DESIRED, Evidence({}))}
    for name, document in documents.items():
        with pytest.raises(ValidationError):
            check(name, {**document, "extra": 1})
        less = copy.deepcopy(document)
        less.popitem()
        with pytest.raises(ValidationError):
            check(name, less)
