# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules that run on a policy host, on every Python that is found here from 3.9 on."""

from __future__ import annotations

import contextlib
import grp
import json
import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import typing as t
from pathlib import Path

import ansible
import pytest
from ansible_collections.postmaster.mta_sts.plugins.module_utils._plan_document import SCHEMA
from ansible_collections.postmaster.mta_sts.plugins.module_utils._policy import Policy, policy_id, render_policy
from ansible_collections.postmaster.mta_sts.plugins.module_utils._webroot import TEMPORARY_PREFIX
from modules import ENVIRONMENT, MODULES, Result, command, run
from tls import Authority

CHECKOUT = Path(__file__).parents[2]
Call = t.Callable[..., Result]
GROUP = grp.getgrgid(os.getgid()).gr_name


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    path = tmp_path / "policies"
    path.mkdir()
    return path


def publish(place: Path, /, *, check: bool = False, **options: t.Any) -> Result:
    """Calls the module with a ledger of its own."""
    return run("mta_sts_policies", place, check=check, **{"ledger": str(place / "ledger.sqlite3"), **options})


def served(place: Path) -> dict[str, list[tuple[str, bool, bool]]]:
    """What the ledger says: for each domain the ids, whether they are served still, and after what is not known."""
    ledger = run("mta_sts_ledger_info", place, path=str(place / "ledger.sqlite3"))
    assert ledger["state"] == "ok"
    return {
        domain: [(row["id"], row["until"] is None, row["after_unknown"]) for row in one["served"]]
        for domain, one in ledger["domains"].items()
    }


def entry(domain: str, **more: t.Any) -> dict[str, t.Any]:
    return {"domain": domain, "mode": "testing", "mx": ["mx.example.net"], "max_age": 86400, **more}


def body(**more: t.Any) -> bytes:
    values = entry("", **more)
    return render_policy(Policy(values["mode"], tuple(values["mx"]), values["max_age"]))


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_policies_are_published(tmp_path: Path, directory: Path) -> None:
    """Checked, done, checked again, done again; what is not named stays."""
    (directory / "mta-sts.other.example.txt").write_bytes(b"other")
    (directory / "mta-sts.b.example.txt").write_bytes(b"old")
    options: dict[str, t.Any] = {
        "policies": [entry("a.example"), entry("B.example", mode="enforce")],
        "directory": str(directory),
    }
    before = contents(directory)
    planned = publish(tmp_path, check=True, **options)
    assert contents(directory) == before
    done = publish(tmp_path, **options)
    assert contents(directory) == {
        "mta-sts.a.example.txt": body(),
        "mta-sts.b.example.txt": body(mode="enforce"),
        "mta-sts.other.example.txt": b"other",
    }
    assert {stat.S_IMODE(path.stat().st_mode) for path in directory.glob("*.[ab].example.txt")} == {0o644}
    for key in ("changed", "counts", "published", "diff"):
        assert planned[key] == done[key]
    assert done["changed"]
    assert done["counts"] == {"written": 2, "removed": 0, "unchanged": 0}
    assert done["published"] == ["mta-sts.a.example", "mta-sts.b.example", "mta-sts.other.example"]
    assert [(diff["before"], diff["after"]) for diff in done["diff"]] == [
        ("", body().decode().replace("\r\n", "\n")),
        ("old", body(mode="enforce").decode().replace("\r\n", "\n")),
    ]
    for check in (True, False):
        again = publish(tmp_path, check=check, **options)
        assert (again["changed"], again["diff"], again["counts"]) == (
            False,
            [],
            {"written": 0, "removed": 0, "unchanged": 2},
        )


def test_nothing_is_removed_by_omission(tmp_path: Path, directory: Path) -> None:
    """P5: a domain that vanishes from the inventory goes on being served, and being in the ledger."""
    (directory / "mta-sts.a.example.txt").write_bytes(body())
    result = publish(tmp_path, policies=[], directory=str(directory))
    assert not result["changed"]
    assert result["published"] == ["mta-sts.a.example"]
    assert contents(directory) == {"mta-sts.a.example.txt": body()}
    result = publish(tmp_path, policies=[entry("b.example")], directory=str(directory))
    assert result["published"] == ["mta-sts.a.example", "mta-sts.b.example"]
    assert contents(directory)["mta-sts.a.example.txt"] == body()
    assert served(tmp_path)["a.example"] == [(policy_id(body()), True, True)]


AT = "2026-11-23T10:00:00+00:00"


def plan(path: Path, *entries: dict[str, t.Any], **more: t.Any) -> str:
    common: dict[str, t.Any] = {"serve": True, "remove": False, "certificate": True}
    common |= {"found": None, "after_unknown": False, "conditions": {}}
    domains = [{"policy_host": f"mta-sts.{one['domain']}", **common, **one} for one in entries]
    path.write_text(json.dumps({"schema": SCHEMA, "at": AT, "policy_hosts": {}, "domains": domains, **more}))
    return str(path)


def unserved(domain: str, **more: t.Any) -> dict[str, t.Any]:
    return entry(domain, **{"serve": False, "mode": None, "mx": [], "max_age": None, **more})


def test_policies_of_a_plan_are_removed(tmp_path: Path, directory: Path) -> None:
    """Only where the plan says so; checked first, which tells the same and does nothing."""
    start = plan(tmp_path / "start.json", *map(entry, ("a.example", "b.example", "c.example")))
    publish(tmp_path, document=start, directory=str(directory))
    before, ledger = contents(directory), (tmp_path / "ledger.sqlite3").read_bytes()
    entries = (
        unserved("a.example", remove=True),
        unserved("b.example"),
        entry("c.example", remove=True),
        unserved("never.example", remove=True),
    )
    document = plan(tmp_path / "plan.json", *entries)
    planned = publish(tmp_path, check=True, document=document, directory=str(directory))
    assert (contents(directory), (tmp_path / "ledger.sqlite3").read_bytes()) == (before, ledger)
    done = publish(tmp_path, document=document, directory=str(directory))
    for result in (planned, done):
        assert result["changed"]
        assert result["counts"] == {"written": 0, "removed": 1, "unchanged": 1}
        assert result["published"] == ["mta-sts.b.example", "mta-sts.c.example"]
        assert [(diff["before"], diff["after"]) for diff in result["diff"]] == [
            (body().decode().replace("\r\n", "\n"), "")
        ]
    assert contents(directory) == {"mta-sts.b.example.txt": body(), "mta-sts.c.example.txt": body()}
    assert {domain: rows[0][1] for domain, rows in served(tmp_path).items()} == {
        "a.example": False,
        "b.example": True,
        "c.example": True,
    }
    assert not publish(tmp_path, document=document, directory=str(directory))["changed"]


def test_the_ledger_keeps_what_a_plan_knows(tmp_path: Path, directory: Path) -> None:
    """The controller's time counts for what it decided; U-labels and a policy of others go through."""
    found = {"mode": "enforce", "mx": ["mx.other.example"], "max_age": 9, "until": "2026-11-24T10:00:00+00:00"}
    found["after_unknown"] = True
    conditions = {"testing": "2026-11-20T10:00:00+00:00"}
    document = plan(
        tmp_path / "plan.json",
        entry("b\u00fccher.example", after_unknown=True, conditions=conditions),
        unserved("c.example", found=found, conditions=None),
    )
    publish(tmp_path, document=document, directory=str(directory))
    domains = run("mta_sts_ledger_info", tmp_path, path=str(tmp_path / "ledger.sqlite3"))["domains"]
    (own,), (others,) = (domains[name]["served"] for name in ("xn--bcher-kva.example", "c.example"))
    assert (own["since"], own["until"], own["after_unknown"]) == (AT, None, True)
    assert domains["xn--bcher-kva.example"]["conditions"] == conditions
    assert {key: others[key] for key in found} == found
    # Those who need no plan say nothing of that.
    publish(tmp_path, policies=[entry("b\u00fccher.example")], directory=str(directory))
    assert run("mta_sts_ledger_info", tmp_path, path=str(tmp_path / "ledger.sqlite3"))["domains"] == domains


def test_what_the_ledger_alone_learns_is_no_change(tmp_path: Path, directory: Path) -> None:
    options: dict[str, t.Any] = {"policies": [entry("a.example")], "directory": str(directory)}
    publish(tmp_path, **options)
    (tmp_path / "ledger.sqlite3").unlink()
    result = publish(tmp_path, **options)
    assert (result["changed"], result["diff"], result["ledger"]) == (False, [], "")
    assert served(tmp_path) == {"a.example": [(policy_id(body()), True, True)]}


def test_a_file_that_was_edited_by_hand_is_written_down_and_replaced(tmp_path: Path, directory: Path) -> None:
    options: dict[str, t.Any] = {"policies": [entry("a.example")], "directory": str(directory)}
    publish(tmp_path, **options)
    (directory / "mta-sts.a.example.txt").write_bytes(body(mode="enforce"))
    assert publish(tmp_path, **options)["changed"]
    assert contents(directory) == {"mta-sts.a.example.txt": body()}
    assert sorted(served(tmp_path)["a.example"]) == sorted(
        [(policy_id(body()), True, False), (policy_id(body(mode="enforce")), False, True)]
    )


def test_a_plan_is_carried_out_only_on_what_it_was_made_from(tmp_path: Path, directory: Path) -> None:
    """Two rollouts at once: the second one is told, in check mode too, and nothing is done."""
    revisions = {"web1": 0, "web2": 7}
    first = plan(tmp_path / "first.json", entry("a.example"), revisions=revisions)
    second = plan(tmp_path / "second.json", entry("a.example", mode="enforce"), revisions=revisions)
    options: dict[str, t.Any] = {"directory": str(directory), "policy_host": "web1"}
    assert publish(tmp_path, document=first, **options)["changed"]
    before, ledger = contents(directory), (tmp_path / "ledger.sqlite3").read_bytes()
    for check in (True, False):
        refused = publish(tmp_path, check=check, document=second, **options)
        assert refused["failed"]
        assert f"{tmp_path}/ledger.sqlite3: another rollout has changed this policy host" in refused["msg"]
        assert "run again" in refused["msg"]
        assert (contents(directory), (tmp_path / "ledger.sqlite3").read_bytes()) == (before, ledger)
    # A host that the plan knows no revision of may have any.
    done = publish(tmp_path, document=second, directory=str(directory), policy_host="web3")
    assert done["counts"] == {"written": 1, "removed": 0, "unchanged": 0}


def test_a_damaged_ledger_stops_nothing(tmp_path: Path, directory: Path) -> None:
    path = tmp_path / "ledger.sqlite3"
    path.write_bytes(b"")
    options: dict[str, t.Any] = {"policies": [entry("a.example")], "directory": str(directory)}
    planned = publish(tmp_path, check=True, **options)
    assert "will be set aside" in planned["ledger"]
    assert path.read_bytes() == b""
    done = publish(tmp_path, **options)
    (aside,) = tmp_path.glob("ledger.sqlite3.damaged-*")
    assert str(aside) in done["ledger"]
    for result in (planned, done):
        assert result["changed"]
        (warning,) = result["warnings"]
        assert result["ledger"] in str(warning)
        assert f"{path}: is empty, or no ledger" in result["ledger"]
    assert served(tmp_path) == {"a.example": [(policy_id(body()), True, False)]}
    again = publish(tmp_path, **options)
    assert (again["ledger"], "warnings" in again) == ("", False)


def test_a_newer_ledger_stops_everything(tmp_path: Path, directory: Path) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "ledger.sqlite3")) as connection:
        connection.execute("PRAGMA user_version = 99")
    for check in (True, False):
        result = publish(tmp_path, check=check, policies=[entry("a.example")], directory=str(directory))
        assert result["failed"]
        assert f"{tmp_path}/ledger.sqlite3: its version is 99" in result["msg"]
    assert contents(directory) == {}


def test_2000_policies_of_a_plan(tmp_path: Path, directory: Path) -> None:
    domains = [f"d{number}.example" for number in range(2000)]
    document = plan(tmp_path / "plan.json", *map(entry, domains), unserved("no.example"))
    result = publish(tmp_path, document=document, directory=str(directory))
    assert result["counts"] == {"written": 2000, "removed": 0, "unchanged": 0}
    assert len(result["diff"]) == 201
    assert contents(directory) == {f"mta-sts.{domain}.txt": body() for domain in domains}
    assert not publish(tmp_path, document=document, directory=str(directory))["changed"]


REFUSED: dict[str, tuple[dict[str, t.Any], str]] = {
    "directory is missing": (
        {"policies": [entry("a.example")], "directory": "/nowhere"},
        "no such directory: '/nowhere'",
    ),
    "directory is a file": ({"policies": [entry("a.example")], "directory": "/etc/passwd"}, "/etc/passwd"),
    "no document": ({"document": "/nowhere/plan.json"}, "/nowhere/plan.json: No such file or directory"),
    "a bad policy": ({"policies": [entry("a.example"), entry("b.example", mx=["a b"])]}, "policies[1] b.example"),
    "a bad name": ({"policies": [entry("../a.example")]}, "../a.example"),
    "twice": ({"policies": [entry("a.example"), entry("a.example")]}, "listed twice"),
    "both": ({"policies": [], "document": "/nowhere"}, "mutually exclusive"),
    "neither": ({}, "one of the following is required"),
    "a policy host without a plan": ({"policies": [], "policy_host": "web1"}, "required by 'policy_host'"),
    "no place for a ledger": ({"policies": [entry("a.example")], "ledger": "/nowhere/ledger"}, "/nowhere/ledger: "),
    "no ledger": ({"policies": [entry("a.example")], "ledger": "/proc"}, "/proc: unable to open database file"),
}


@pytest.mark.parametrize(("options", "text"), REFUSED.values(), ids=REFUSED)
def test_refused_and_nothing_written(tmp_path: Path, directory: Path, options: dict[str, t.Any], text: str) -> None:
    result = publish(tmp_path, **{"directory": str(directory), **options})
    assert result["failed"]
    assert text in result["msg"]
    assert contents(directory) == {}


def test_check_mode_needs_no_directory_yet(tmp_path: Path) -> None:
    result = publish(tmp_path, check=True, policies=[entry("a.example")], directory="/nowhere")
    assert result["changed"]
    assert not Path("/nowhere").exists()


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"{", "not a JSON document"),
        (b"[]", "not a JSON object"),
        (b"{}", "its schema is None"),
        (json.dumps({"schema": SCHEMA}).encode(), "'policy_hosts' is missing"),
        (
            json.dumps({"schema": SCHEMA, "policy_hosts": {}, "domains": [{}]}).encode(),
            "domains[0]: 'domain' is missing",
        ),
    ],
)
@pytest.mark.parametrize("module", ["mta_sts_policies", "mta_sts_certificates"])
def test_a_damaged_plan_is_refused(tmp_path: Path, directory: Path, module: str, content: bytes, text: str) -> None:
    path = tmp_path / "plan.json"
    path.write_bytes(content)
    result = run(module, tmp_path, document=str(path), directory=str(directory))
    assert result["failed"]
    assert f"{path}: {text}" in result["msg"]


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        ({"at": None}, "'at' or 'revisions' is missing or damaged"),
        ({"at": "2026-11-23T10:00:00"}, "'at' or 'revisions' is missing or damaged"),
        ({"revisions": []}, "'at' or 'revisions' is missing or damaged"),
        ({"domains": [{"found": {}}]}, "what the plan says of a.example is damaged: KeyError('mode')"),
        ({"domains": [{"conditions": {"ready": 1}}]}, "what the plan says of a.example is damaged: TypeError"),
    ],
)
def test_a_plan_whose_times_are_damaged_is_refused(
    tmp_path: Path, directory: Path, damage: dict[str, t.Any], text: str
) -> None:
    document = json.loads(Path(plan(tmp_path / "plan.json", entry("a.example"))).read_text())
    domains = [{**document["domains"][0], **one} for one in damage.get("domains", [{}])]
    (tmp_path / "plan.json").write_text(json.dumps({**document, **damage, "domains": domains}))
    result = publish(tmp_path, document=str(tmp_path / "plan.json"), directory=str(directory))
    assert result["failed"]
    assert text in result["msg"]
    assert contents(directory) == {}


# Runs a module and stops for ever between the temporary file and its new name.
STOPS = """\
import os, sys, time
def stop(*names):
    print("about to replace", flush=True)
    time.sleep(600)
os.replace = stop
import runpy
sys.argv = sys.argv[1:]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""


def test_killed_before_the_file_has_its_name(tmp_path: Path, directory: Path) -> None:
    """P8: the old policy is whole, and the next run finishes the work and tidies up."""
    old = body(mode="none")
    (directory / "mta-sts.a.example.txt").write_bytes(old)
    options: dict[str, t.Any] = {
        "policies": [entry("a.example")],
        "directory": str(directory),
        "ledger": str(tmp_path / "ledger.sqlite3"),
    }
    module, path = command("mta_sts_policies", tmp_path, options)[-2:]
    with subprocess.Popen(
        [sys.executable, "-c", STOPS, module, path], env=ENVIRONMENT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "about to replace\n"
        process.send_signal(signal.SIGKILL)
    (leftover,) = [name for name in contents(directory) if name.startswith(TEMPORARY_PREFIX)]
    assert contents(directory) == {"mta-sts.a.example.txt": old, leftover: body()}
    held = run("mta_sts_policies_info", tmp_path, directory=str(directory))
    assert (list(held["policies"]), held["damaged"]) == (["a.example"], {})
    assert publish(tmp_path, **options)["published"] == ["mta-sts.a.example"]
    assert contents(directory) == {"mta-sts.a.example.txt": body()}


def test_info(tmp_path: Path, directory: Path) -> None:
    (directory / "mta-sts.a.example.txt").write_bytes(body())
    (directory / "mta-sts.b.example.txt").write_bytes(b"\x1b[2J")
    (directory / "robots.txt").write_bytes(b"")
    result = run("mta_sts_policies_info", tmp_path, directory=str(directory))
    assert result["count"] == 1
    assert result["policies"] == {
        "a.example": {"id": policy_id(body()), "mode": "testing", "mx": ["mx.example.net"], "max_age": 86400}
    }
    assert list(result["damaged"]) == ["b.example"]
    assert "\x1b" not in str(result["damaged"])
    empty = run("mta_sts_policies_info", tmp_path, directory=str(directory / "no"))
    assert (empty["count"], empty["policies"], empty["damaged"]) == (0, {}, {})


# Certificates


@pytest.fixture
def certificates(tmp_path: Path, directory: Path) -> dict[str, t.Any]:
    """Options for three names: one that is well, one whose key is another's, one without files."""
    authority = Authority()
    for name in ("good", "bad"):
        pem = authority.issue(f"mta-sts.{name}.example")
        key, mark, chain = pem.partition(b"-----BEGIN CERTIFICATE-----")
        (tmp_path / f"mta-sts.{name}.example.key").write_bytes(key)
        (tmp_path / f"mta-sts.{name}.example.crt").write_bytes(mark + chain)
    shutil.copy(tmp_path / "mta-sts.good.example.key", tmp_path / "mta-sts.bad.example.key")
    return {
        "names": ["mta-sts.good.example", "mta-sts.bad.example", "mta-sts.none.example"],
        "source": "files",
        "directory": str(directory),
        "group": GROUP,
        "certificate_path": str(tmp_path / "{name}.crt"),
        "key_path": str(tmp_path / "{name}.key"),
    }


def test_certificates_from_files(tmp_path: Path, directory: Path, certificates: dict[str, t.Any]) -> None:
    """One name that is not ready stops no other, and no key is ever shown."""
    planned = run("mta_sts_certificates", tmp_path, check=True, **certificates)
    assert contents(directory) == {}
    done = run("mta_sts_certificates", tmp_path, **certificates)
    assert planned["certificates"] == done["certificates"]
    assert done["counts"] == {"changed": 1, "removed": 0, "queued": 0, "unchanged": 0, "failed": 2}
    outcomes = done["certificates"]
    assert outcomes["mta-sts.good.example"] == {"changed": True, "removed": False, "queued": False, "error": ""}
    assert "key values mismatch" in outcomes["mta-sts.bad.example"]["error"]
    assert (
        outcomes["mta-sts.none.example"]["error"] == f"{tmp_path}/mta-sts.none.example.crt: No such file or directory"
    )
    assert list(contents(directory)) == ["mta-sts.good.example.pem"]
    status = (directory / "mta-sts.good.example.pem").stat()
    assert (stat.S_IMODE(status.st_mode), status.st_gid) == (0o640, os.getgid())
    again = run("mta_sts_certificates", tmp_path, **certificates)
    assert not again["changed"]
    assert again["counts"] == {"changed": 0, "removed": 0, "queued": 0, "unchanged": 1, "failed": 2}
    for result in (planned, done, again):
        assert "PRIVATE KEY" not in json.dumps(result)


def test_what_a_killed_run_left_of_a_key_goes_away(
    tmp_path: Path, directory: Path, certificates: dict[str, t.Any]
) -> None:
    (directory / f"{TEMPORARY_PREFIX}abc").write_bytes(b"half a key")
    run("mta_sts_certificates", tmp_path, check=True, **certificates)
    assert list(contents(directory)) == [f"{TEMPORARY_PREFIX}abc"]
    run("mta_sts_certificates", tmp_path, **certificates)
    assert list(contents(directory)) == ["mta-sts.good.example.pem"]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"group": "no-such-group"}, "no group 'no-such-group'"),
        ({"directory": "/nowhere"}, "no such directory: '/nowhere'"),
        ({"names": ["../../etc/shadow"]}, "../../etc/shadow"),
        ({"key_path": None}, "key_path"),
    ],
)
def test_certificates_refused(
    tmp_path: Path, directory: Path, certificates: dict[str, t.Any], options: dict[str, t.Any], text: str
) -> None:
    given = {key: value for key, value in {**certificates, **options}.items() if value is not None}
    result = run("mta_sts_certificates", tmp_path, **given)
    assert result["failed"]
    assert text in result["msg"]
    assert contents(directory) == {}


def test_certificates_of_a_plan(tmp_path: Path, certificates: dict[str, t.Any]) -> None:
    del certificates["names"]
    document = plan(tmp_path / "plan.json", entry("good.example"), entry("bad.example", certificate=False))
    result = run("mta_sts_certificates", tmp_path, document=document, **certificates)
    good = {"changed": True, "removed": False, "queued": False, "error": ""}
    assert result["certificates"] == {"mta-sts.good.example": good}


# Old Python


def old_pythons() -> list[str]:
    """Every Python from 3.9 to 3.10 that is on the path or that pyenv has."""
    places = [Path(place) for place in os.environ.get("PATH", "").split(":")]
    places += sorted((Path.home() / ".pyenv/versions").glob("3.*/bin"))
    found = {name: place / name for place in places for name in ("python3.9", "python3.10") if (place / name).exists()}
    return [str(path) for path in found.values()]


def test_modules_run_on_the_oldest_python(tmp_path: Path, directory: Path, certificates: dict[str, t.Any]) -> None:
    """Policy hosts may have Python 3.9: everything that they import must run there, and nothing else be needed."""
    packed = tmp_path / "packed"
    collection = packed / "ansible_collections/postmaster/mta_sts/plugins"
    for folder in ("modules", "module_utils"):
        shutil.copytree(CHECKOUT / "plugins" / folder, collection / folder)
    (packed / "ansible").mkdir()
    (packed / "ansible/__init__.py").touch()
    shutil.copytree(Path(ansible.__file__).parent / "module_utils", packed / "ansible/module_utils")
    calls: dict[str, dict[str, t.Any]] = {
        "mta_sts_policies": {
            "policies": [entry("a.example")],
            "directory": str(directory),
            "ledger": str(tmp_path / "ledger.sqlite3"),
        },
        "mta_sts_policies_info": {"directory": str(directory)},
        "mta_sts_ledger_info": {"path": str(tmp_path / "ledger.sqlite3")},
        "mta_sts_certificates": certificates,
    }
    for python in old_pythons() or [sys.executable]:
        for module, options in calls.items():
            path = command(module, tmp_path, options)[-1]
            done = subprocess.run(
                [python, "-S", "-m", f"{MODULES}{module}", path],
                env={"PYTHONPATH": str(packed), "PATH": os.environ["PATH"]},
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, f"{python}: {done.stdout}{done.stderr}"
            assert "failed" not in json.loads(done.stdout)
        assert sorted(contents(directory)) == ["mta-sts.a.example.txt", "mta-sts.good.example.pem"]
