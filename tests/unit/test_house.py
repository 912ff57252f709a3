# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The house keeps its order: who may import whom, what every file carries, and what is listed where."""

from __future__ import annotations

import ast
import functools
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
UTILS = ROOT / "plugins/module_utils"
PREFIX = "ansible_collections.postmaster.mta_sts.plugins.module_utils."

# Room by room, as the design has them. A file that is in no room fails the test.
PURE = {
    "_caa",
    "_case",
    "_checks",
    "_evidence",
    "_finding",
    "_history",
    "_garbage",
    "_hold",
    "_inventory",
    "_lifecycle",
    "_metrics",
    "_mx_patterns",
    "_names",
    "_nginx_conf",
    "_observed",
    "_obstacle",
    "_page",
    "_page_data",
    "_plan",
    "_plan_document",
    "_policy",
    "_policy_files",
    "_record",
    "_report",
    "_reported",
    "_reports_document",
    "_screen",
    "_shares",
    "_tls_policy",
    "_time_line",
    "_tlsa",
    "_tlsrpt",
    "_tlsrpt_record",
    "_verification",
    "_wanted_records",
    "_zone_file.text",
}
DISK = {"_attempts", "_certificates", "_document", "_ledger", "_ledger_file", "_lineages", "_pem_files"}
DISK |= {"_publication", "_systemd", "_webroot"}
DISK |= {"_mx_chain", "_mx_tls", "_mx_tlsa"}
DISK |= {"_report_files", "_zone_file.commands", "_zone_file.places"}
NETWORK = {
    "_probe.answer",
    "_probe.connect",
    "_probe.dane",
    "_probe.dns",
    "_probe.domain",
    "_probe.https",
    "_probe.means",
    "_probe.message",
    "_probe.mx",
    "_probe.older_python",
}
NETWORK |= {"_probe.proof", "_probe.sender", "_probe.server", "_probe.smtp", "_probe.tls", "_probe.tls_stream"}
NETWORK |= {"_probe.transport", "_probe.workers"}
NETWORK |= {f"_record_sets.{name}" for name in ("answers", "authorities", "record_set", "server", "task")}
NETWORK |= {f"_lexicon.{name}" for name in ("content", "provider", "reconcile", "redaction")}
NETWORK |= {"_tlsa_look"}
NETWORK |= {"_rfc2136.reconcile", "_rfc2136.update_message"}
NETWORK |= {"_external.reconcile", "_external.texts"}
NETWORK |= {f"_zone_file.{name}" for name in ("plan", "publish", "reconcile", "zone")}
NETWORK |= {"_signed_mail"}
ALLOWED = {"pure": PURE, "disk": PURE | DISK, "network": PURE | DISK | NETWORK}

# What a policy host runs must need nothing but Python and these.
ON_POLICY_HOSTS = [
    *(f"mta_sts_{name}" for name in ("policies", "policies_info", "ledger_info", "certificates", "nginx_info")),
    "host_services",
    "tlsrpt_report_info",
    "mx_tls",
    "mx_tlsa",
]
# What needs more, and is used only by those that are told to. The others run where it cannot, as its own tests show.
WHEN_ASKED = {PREFIX + "_signed_mail"}
# Modules that do input or output by their nature, which pure files never import.
IMPURE = {"asyncio", "http", "os", "random", "socket", "sqlite3", "ssl", "subprocess", "tempfile", "time", "urllib"}


def room_of(name: str) -> str:
    rooms = [room for room, names in (("pure", PURE), ("disk", DISK), ("network", NETWORK)) if name in names]
    assert rooms, f"{name} is in no room of the house"
    return rooms[0]


@functools.cache
def files() -> dict[str, Path]:
    found = {".".join(path.relative_to(UTILS).with_suffix("").parts): path for path in UTILS.rglob("_*.py")}
    for package in sorted(path.name for path in UTILS.iterdir() if path.is_dir() and path.name.startswith("_")):
        found |= {f"{package}.{path.stem}": path for path in (UTILS / package).glob("*.py")}
    assert len(found) > 10
    return found


@functools.cache
def imports(path: Path, package: str) -> set[str]:
    """All modules that a file imports, with relative ones made absolute."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")[: -(node.level - 1) or None] if node.level else []
            found.add(".".join([*parts, *(node.module or "").split(".")]) if node.level else node.module or "")
    return found


@pytest.mark.parametrize("name", sorted(files()))
def test_import_rule(name: str) -> None:
    package = (PREFIX + name).rpartition(".")[0]
    seen = imports(files()[name], package)
    ours = {module[len(PREFIX) :] for module in seen if module.startswith(PREFIX)}
    room = room_of(name)
    assert ours <= ALLOWED[room], f"{name} is {room} and must not import {ours - ALLOWED[room]}"
    others = {module.partition(".")[0] for module in seen if not module.startswith(PREFIX)}
    if room == "pure":
        assert not others & IMPURE
    if room != "network":
        assert not others & {"ansible", "dns", "ansible_collections"}


@pytest.mark.parametrize("module", ON_POLICY_HOSTS)
def test_policy_hosts_need_the_standard_library_only(module: str) -> None:
    """P11, over everything that the module imports, directly or not."""
    pending = {m for m in imports(ROOT / f"plugins/modules/{module}.py", "") if m.startswith(PREFIX)} - WHEN_ASKED
    assert pending
    reached: set[str] = set()
    while pending:
        name = pending.pop()
        reached.add(name)
        found = imports(files()[name[len(PREFIX) :]], name.rpartition(".")[0])
        pending |= {m for m in found if m.startswith(PREFIX)} - reached
    assert {room_of(name[len(PREFIX) :]) for name in reached} <= {"pure", "disk"}
    # Hosts do not think: what decides stays on the controller, and is not sent to them either.
    assert not {PREFIX + name for name in ("_case", "_evidence", "_lifecycle", "_plan")} & reached


@pytest.mark.parametrize("path", sorted((ROOT / "plugins/modules").glob("*.py")), ids=lambda path: path.stem)
def test_a_module_is_documentation_plus_wiring(path: Path) -> None:
    functions = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)]
    for function in functions:
        assert function.end_lineno is not None
        assert function.end_lineno - function.lineno <= 45, f"{path.name}: {function.name} is too long for wiring"


def tracked() -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    names = [name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]
    assert len(names) > 50
    return names


def test_module_utils_are_private() -> None:
    for name, path in files().items():
        assert "rivate to this collection" in (ast.get_docstring(ast.parse(path.read_text())) or ""), name


def test_the_action_group_lists_every_module() -> None:
    runtime = yaml.safe_load((ROOT / "meta/runtime.yml").read_text())
    modules = sorted(path.stem for path in (ROOT / "plugins/modules").glob("*.py"))
    assert modules == runtime["action_groups"]["mta_sts"]


def test_every_action_plugin_has_a_module_of_its_name() -> None:
    actions = {path.stem for path in (ROOT / "plugins/action").glob("*.py")}
    assert actions
    assert actions <= {path.stem for path in (ROOT / "plugins/modules").glob("*.py")}


def test_top_level() -> None:
    """What a newcomer sees first is what the design says."""
    shown = {name.partition("/")[0] for name in tracked() if not name.startswith(".")}
    conventional = {"CHANGELOG.md", "COPYING", "LICENSES", "Makefile", "REUSE.toml", "changelogs", "docs", "meta"}
    conventional |= {"requirements", "ruff.toml", "noxfile.py", "AGENTS.md", "CONTRIBUTING.md", "SECURITY.md"}
    assert shown - conventional == {"galaxy.yml", "roles", "plugins", "playbooks", "molecule", "tests", "README.md"}


def test_readme_lists_the_whole_content() -> None:
    readme = (ROOT / "README.md").read_text()
    listed = [path.stem for folder in ("modules", "filter") for path in (ROOT / "plugins" / folder).glob("*.py")]
    listed += [path.name for path in (ROOT / "roles").iterdir()]
    listed += [path.stem for path in (ROOT / "playbooks").glob("*.yml")]
    assert len(listed) > 10
    assert [name for name in listed if f"`{name}`" not in readme] == []
