# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How documents travel to modules and back, with a real ansible-playbook."""

from __future__ import annotations

import grp
import json
import os
import typing as t
from pathlib import Path

import pytest
from ansible_collections.postmaster.mta_sts.plugins.module_utils._plan_document import SCHEMA
from ansible_playbook import run_tasks
from tls import Authority

HOSTS = ("web1", "web2")
POLICY = {"mode": "testing", "mx": ["mx.example.net"], "max_age": 86400}

Task = dict[str, t.Any]
Results = list[dict[str, t.Any]]


class Playbook:
    """Runs tasks on the hosts web1 and web2, which are this machine, and gives the tasks' results on each."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.printed = ""

    def __call__(self, *todo: Task, check: bool = False, hosts: t.Sequence[str] = HOSTS) -> list[Results]:
        arguments = ("-v", "--check", "--diff") if check else ("-v",)
        results, self.printed = run_tasks(self.directory, *todo, hosts=hosts, arguments=arguments)
        return results

    def read(self, path: str) -> dict[str, t.Any]:
        document: dict[str, t.Any] = json.loads((self.directory / path).read_text())
        return document


@pytest.fixture
def playbook(tmp_path: Path) -> Playbook:
    """With a directory for each host, and a plan of one domain that is served and one that is not."""
    for host in HOSTS:
        (tmp_path / "srv" / host).mkdir(parents=True)
        (tmp_path / "tls" / host).mkdir(parents=True)
    untold = {"found": None, "after_unknown": False, "conditions": None, "remove": False, **POLICY}
    entries = [
        {"domain": domain, "policy_host": f"mta-sts.{domain}", "serve": serve, "certificate": serve, **untold}
        for domain, serve in (("a.example", True), ("b.example", False))
    ]
    plan = {
        "schema": SCHEMA,
        "at": "2026-11-23T10:00:00+00:00",
        "policy_hosts": {"web1": ["127.0.0.1"]},
        "revisions": {"web1": 0, "web2": 0},
        "domains": entries,
    }
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    return Playbook(tmp_path)


def tasks(directory: Path) -> list[Task]:
    """What a rollout does on a policy host."""
    pem = Authority().issue("mta-sts.a.example")
    key, mark, chain = pem.partition(b"-----BEGIN CERTIFICATE-----")
    (directory / "a.key").write_bytes(key)
    (directory / "a.crt").write_bytes(mark + chain)
    return [
        {
            "postmaster.mta_sts.mta_sts_policies": {
                "document": "~/plan.json",
                "policy_host": "{{ inventory_hostname }}",
                "directory": f"{directory}/srv/{{{{ inventory_hostname }}}}",
                "ledger": f"{directory}/srv/{{{{ inventory_hostname }}}}.sqlite3",
                "results": "~/run/published/{{ inventory_hostname }}.json",
            }
        },
        {
            "postmaster.mta_sts.mta_sts_certificates": {
                "document": "plan.json",
                "source": "files",
                "directory": f"{directory}/tls/{{{{ inventory_hostname }}}}",
                "group": grp.getgrgid(os.getgid()).gr_name,
                "certificate_path": f"{directory}/a.crt",
                "key_path": f"{directory}/a.key",
                "results": "run/certificates/{{ inventory_hostname }}.json",
            }
        },
        {
            "postmaster.mta_sts.mta_sts_policies_info": {
                "directory": f"{directory}/srv/{{{{ inventory_hostname }}}}",
                "results": f"{directory}/run/served/{{{{ inventory_hostname }}}}.json",
            }
        },
        {
            "postmaster.mta_sts.mta_sts_ledger_info": {
                "path": f"{directory}/srv/{{{{ inventory_hostname }}}}.sqlite3",
                "results": f"{directory}/run/ledgers/{{{{ inventory_hostname }}}}.json",
            }
        },
    ]


def test_documents_there_and_back(playbook: Playbook, tmp_path: Path) -> None:
    """Checked first, which writes the same documents and nothing else; then done."""
    todo = tasks(tmp_path)
    for results in playbook(*todo, check=True):
        assert [result["changed"] for result in results] == [True, True, False, False]
    assert playbook.read("run/published/web1.json") == {"host": "web1", "published": ["mta-sts.a.example"]}
    assert playbook.read("run/served/web1.json") == {"host": "web1", "policies": {}, "damaged": {}}
    assert playbook.read("run/ledgers/web1.json")["state"] == "missing"
    assert list((tmp_path / "srv/web1").iterdir()) == list((tmp_path / "tls/web1").iterdir()) == []

    for host, results in zip(HOSTS, playbook(*todo)):
        assert [result["changed"] for result in results] == [True, True, False, False]
        # What is in the documents is not in the variables as well.
        for result in results:
            assert not {"published", "certificates", "policies", "damaged", "domains"} & set(result)
        assert results[0]["counts"] == {"written": 1, "removed": 0, "unchanged": 0}
        assert (tmp_path / f"srv/{host}/mta-sts.a.example.txt").is_file()
        assert (tmp_path / f"tls/{host}/mta-sts.a.example.pem").is_file()
        assert playbook.read(f"run/certificates/{host}.json") == {
            "host": host,
            "certificates": {"mta-sts.a.example": {"changed": True, "removed": False, "queued": False, "error": ""}},
        }
        assert list(playbook.read(f"run/served/{host}.json")["policies"]) == ["a.example"]
        ledger = playbook.read(f"run/ledgers/{host}.json")
        assert (ledger["host"], ledger["state"], list(ledger["domains"])) == (host, "ok", ["a.example"])
    assert "PRIVATE KEY" not in playbook.printed
    # The plan was made from ledgers that are others by now.
    for results in playbook(todo[0]):
        assert "another rollout has changed this policy host" in results[0]["msg"]
    assert not [path for path in (tmp_path / ".ansible/tmp").iterdir() if path.name.startswith("ansible-tmp-")]


def test_a_name_whose_address_was_not_brought_is_not_asked_for(playbook: Playbook, tmp_path: Path) -> None:
    """In check mode, which asks no server and tells who would be asked for."""

    def result(name: str, rdtype: str, item: str, status: str) -> dict[str, str]:
        return {"name": name, "type": rdtype, "item": item, "status": status, "error": f"why {status}"}

    results = [
        result("mta-sts.a.example", "A", "a.example", "failed"),
        # Kept in another zone, for which the domain's own name is an alias.
        result("b.example.policies.example.net", "CNAME", "b.example", "awaited"),
        result("_smtp._tls.c.example", "TXT", "c.example", "failed"),
        result("mta-sts.d.example", "A", "d.example", "changed"),
    ]
    (tmp_path / "prepared.json").write_text(json.dumps({"host": "localhost", "counts": {}, "results": results}))
    (tmp_path / "damaged.json").write_text('{"results": [{}]}')
    names = [f"mta-sts.{letter}.example" for letter in "abcd"]
    base = {"names": names, "directory": f"{tmp_path}/tls/web1", "limit": 1, "unready": {names[3]: "mine"}}
    prepared = ("prepared.json", "none.json", "damaged.json")
    todo: list[Task] = [
        {"postmaster.mta_sts.mta_sts_certificates": {**base, "prepared": str(tmp_path / path)}} for path in prepared
    ]
    ((told, silent, damaged),) = playbook(*todo, check=True, hosts=["web1"])
    assert {name: outcome["error"] for name, outcome in told["certificates"].items()} == {
        names[0]: "not asked for: mta-sts.a.example A: why failed",
        names[1]: "not asked for: b.example.policies.example.net CNAME: why awaited",
        names[2]: "",
        names[3]: "not asked for: mine",
    }
    assert told["counts"] == {"changed": 1, "removed": 0, "queued": 0, "unchanged": 0, "failed": 3}
    assert silent["counts"] == {"changed": 1, "removed": 0, "queued": 2, "unchanged": 0, "failed": 1}
    assert "damaged.json: no results document of record sets" in damaged["msg"]


def test_what_cannot_be_sent_or_kept_is_named(playbook: Playbook, tmp_path: Path) -> None:
    (tmp_path / "half.json").write_text('{"schema": ')
    (tmp_path / "other.json").write_text("{}")
    base = {"directory": f"{tmp_path}/srv/web1"}
    kept = {**base, "ledger": f"{tmp_path}/ledger.sqlite3"}
    bad: list[Task] = [{**kept, "document": f"{tmp_path}/{name}.json"} for name in ("none", "half", "other")]
    bad += [
        {**kept, "document": f"{tmp_path}/plan.json", "policies": []},
        {**kept, "document": f"{tmp_path}/plan.json", "results": f"{tmp_path}/plan.json/x.json"},
        {**kept, "document": f"{tmp_path}/plan.json", "directory": "/nowhere", "results": f"{tmp_path}/never.json"},
    ]
    good: list[Task] = [
        {"postmaster.mta_sts.mta_sts_policies": {**kept, "policies": [{"domain": "a.example", **POLICY}]}},
        {"postmaster.mta_sts.mta_sts_policies_info": base},
    ]
    todo = [*({"postmaster.mta_sts.mta_sts_policies": options} for options in bad), *good]
    ((*results, published, info),) = playbook(*todo, hosts=["web1"])
    # Without documents everything is returned.
    assert published["published"] == ["mta-sts.a.example"]
    assert (list(info["policies"]), info["damaged"]) == (["a.example"], {})
    assert [result["failed"] for result in results] == [True] * len(bad)
    for result, text in zip(
        results,
        (
            f"{tmp_path}/none.json: No such file or directory",
            f"{tmp_path}/half.json: not a JSON document",
            f"{tmp_path}/other.json: its schema is None",
            "mutually exclusive",
            f"{tmp_path}/plan.json/x.json: ",
            "no such directory: '/nowhere'",
        ),
        strict=True,
    ):
        assert text in result["msg"]
    assert not (tmp_path / "never.json").exists()
    assert "Traceback" not in playbook.printed
