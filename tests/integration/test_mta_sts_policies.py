# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules that run on a policy host, on every Python that is found here from 3.9 on."""

from __future__ import annotations

import grp
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import typing as t
from pathlib import Path

import ansible
import pytest
from ansible_collections.postmaster.mta_sts.plugins.module_utils._plan import SCHEMA
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
    planned = run("mta_sts_policies", tmp_path, check=True, **options)
    assert contents(directory) == before
    done = run("mta_sts_policies", tmp_path, **options)
    assert contents(directory) == {
        "mta-sts.a.example.txt": body(),
        "mta-sts.b.example.txt": body(mode="enforce"),
        "mta-sts.other.example.txt": b"other",
    }
    assert {stat.S_IMODE(path.stat().st_mode) for path in directory.glob("*.[ab].example.txt")} == {0o644}
    for key in ("changed", "counts", "published", "diff"):
        assert planned[key] == done[key]
    assert done["changed"]
    assert done["counts"] == {"written": 2, "unchanged": 0}
    assert done["published"] == ["mta-sts.a.example", "mta-sts.b.example", "mta-sts.other.example"]
    assert [(diff["before"], diff["after"]) for diff in done["diff"]] == [
        ("", body().decode().replace("\r\n", "\n")),
        ("old", body(mode="enforce").decode().replace("\r\n", "\n")),
    ]
    for check in (True, False):
        again = run("mta_sts_policies", tmp_path, check=check, **options)
        assert (again["changed"], again["diff"], again["counts"]) == (False, [], {"written": 0, "unchanged": 2})


def test_nothing_is_ever_removed(tmp_path: Path, directory: Path) -> None:
    """P5: a domain that vanishes from the inventory goes on being served."""
    (directory / "mta-sts.a.example.txt").write_bytes(b"a")
    result = run("mta_sts_policies", tmp_path, policies=[], directory=str(directory))
    assert not result["changed"]
    assert result["published"] == ["mta-sts.a.example"]
    assert contents(directory) == {"mta-sts.a.example.txt": b"a"}


def plan(path: Path, *entries: dict[str, t.Any], **more: t.Any) -> str:
    domains = [
        {"policy_host": f"mta-sts.{one['domain']}", "serve": True, "certificate": True, **one} for one in entries
    ]
    path.write_text(json.dumps({"schema": SCHEMA, "policy_hosts": {}, "domains": domains, **more}))
    return str(path)


def test_2000_policies_of_a_plan(tmp_path: Path, directory: Path) -> None:
    domains = [f"d{number}.example" for number in range(2000)]
    unserved = entry("no.example", serve=False, mode=None, max_age=None, mx=[])
    document = plan(tmp_path / "plan.json", *map(entry, domains), unserved)
    result = run("mta_sts_policies", tmp_path, document=document, directory=str(directory))
    assert result["counts"] == {"written": 2000, "unchanged": 0}
    assert len(result["diff"]) == 201
    assert contents(directory) == {f"mta-sts.{domain}.txt": body() for domain in domains}
    assert not run("mta_sts_policies", tmp_path, document=document, directory=str(directory))["changed"]


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
}


@pytest.mark.parametrize(("options", "text"), REFUSED.values(), ids=REFUSED)
def test_refused_and_nothing_written(tmp_path: Path, directory: Path, options: dict[str, t.Any], text: str) -> None:
    result = run("mta_sts_policies", tmp_path, **{"directory": str(directory), **options})
    assert result["failed"]
    assert text in result["msg"]
    assert contents(directory) == {}


def test_check_mode_needs_no_directory_yet(tmp_path: Path) -> None:
    result = run("mta_sts_policies", tmp_path, check=True, policies=[entry("a.example")], directory="/nowhere")
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
    options: dict[str, t.Any] = {"policies": [entry("a.example")], "directory": str(directory)}
    module, path = command("mta_sts_policies", tmp_path, options)[-2:]
    with subprocess.Popen(
        [sys.executable, "-c", STOPS, module, path], env=ENVIRONMENT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "about to replace\n"
        process.send_signal(signal.SIGKILL)
    (leftover,) = [name for name in contents(directory) if name.startswith(TEMPORARY_PREFIX)]
    assert contents(directory) == {"mta-sts.a.example.txt": old, leftover: body()}
    served = run("mta_sts_policies_info", tmp_path, directory=str(directory))
    assert (list(served["policies"]), served["damaged"]) == (["a.example"], {})
    assert run("mta_sts_policies", tmp_path, **options)["published"] == ["mta-sts.a.example"]
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
    assert done["counts"] == {"changed": 1, "unchanged": 0, "failed": 2}
    outcomes = done["certificates"]
    assert outcomes["mta-sts.good.example"] == {"changed": True, "error": ""}
    assert "key values mismatch" in outcomes["mta-sts.bad.example"]["error"]
    assert (
        outcomes["mta-sts.none.example"]["error"] == f"{tmp_path}/mta-sts.none.example.crt: No such file or directory"
    )
    assert list(contents(directory)) == ["mta-sts.good.example.pem"]
    status = (directory / "mta-sts.good.example.pem").stat()
    assert (stat.S_IMODE(status.st_mode), status.st_gid) == (0o640, os.getgid())
    again = run("mta_sts_certificates", tmp_path, **certificates)
    assert (again["changed"], again["counts"]) == (False, {"changed": 0, "unchanged": 1, "failed": 2})
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
    assert result["certificates"] == {"mta-sts.good.example": {"changed": True, "error": ""}}


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
        "mta_sts_policies": {"policies": [entry("a.example")], "directory": str(directory)},
        "mta_sts_policies_info": {"directory": str(directory)},
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
