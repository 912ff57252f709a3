# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guides say what the code does: every code, key and variable, and examples that work."""

from __future__ import annotations

import re
import textwrap
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible_collections.postmaster.mta_sts.plugins.module_utils import _inventory
from ansible_collections.postmaster.mta_sts.plugins.module_utils._finding import KINDS
from ansible_collections.postmaster.mta_sts.plugins.module_utils._lifecycle import HOLD_CODES, STAGES

ROOT = Path(__file__).resolve().parents[2]
DOCSITE = ROOT / "docs/docsite"
GUIDES = sorted((DOCSITE / "rst").glob("*.rst"))
ROLLOUT = (DOCSITE / "rst/guide_rollout.rst").read_text()
VERIFY = (DOCSITE / "rst/guide_verify.rst").read_text()
GROUPS = {"mta_sts_hosts", "mta_sts_probes"}


def rows(text: str, first_column: str) -> dict[str, list[str]]:
    """The rows of the table whose first column has this heading, by what stands there."""
    for table in re.findall(r"(?m)^\.\. list-table::\n((?:(?: {3}.*)?\n)+)", text):
        cells = [
            [" ".join(cell.split()) for cell in re.split(r"(?m)^ {5}- ", row.replace("* -", "  -", 1))[1:]]
            for row in re.split(r"(?m)^(?= {3}\* - )", table)[1:]
        ]
        if cells[0][0] == first_column:
            assert len(cells) > 1
            assert all(len(row) == len(cells[0]) and all(row) for row in cells)
            return {name: row[1:] for row in cells[1:] for name in re.findall(r"``(.+?)``", row[0])}
    raise AssertionError(f"there is no table of {first_column}")


def code_blocks() -> list[tuple[str, t.Any]]:
    """The YAML of the guides, each with the guide it stands in."""
    return [
        (guide.stem, yaml.safe_load(textwrap.dedent(block)))
        for guide in GUIDES
        for block in re.findall(r"(?m)^\.\. code-block:: yaml\n\n((?: {4}.*\n|\n)+)", guide.read_text())
    ]


def inside(value: t.Any) -> t.Iterator[dict[str, t.Any]]:
    """All dictionaries in a value, at any depth."""
    if isinstance(value, dict):
        yield value
    for child in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from inside(child)


def used_in_playbooks() -> set[str]:
    """The public variables and groups in the playbooks; what follows a dot is a module, unless it is a group."""
    text = "".join(path.read_text() for path in (ROOT / "playbooks").rglob("*.yml"))
    return set(re.findall(r"(?:(?<![\w.])|(?<=groups\.))mta_sts_\w+", text))


def test_every_hold_code_is_in_the_guide() -> None:
    assert list(rows(ROLLOUT, "hold")) == list(HOLD_CODES)


def test_every_stage_is_in_the_guide() -> None:
    assert set(rows(ROLLOUT, "stage")) == {*STAGES.values(), "pending", "withdrawing", "absent"}


def test_every_finding_is_in_the_guide_as_it_is() -> None:
    table = {code: (cells[0], cells[-1]) for code, cells in rows(VERIFY, "code").items()}
    assert table == {code: (kind.severity, kind.reference) for code, kind in KINDS.items()}


def test_every_key_of_an_entry_is_documented() -> None:
    fields = _inventory.Desired.__dataclass_fields__
    table = rows(ROLLOUT, "key")
    assert set(table) == set(fields)
    defaults = {"mx": "required unless ``state`` is ``absent``", "domain": "required", "tlsrpt": "``[]``"}
    for name, field in fields.items():
        text = f"``{str(field.default).lower()}``"
        assert table[name][1] == defaults.get(name, text), name


def test_every_variable_is_documented_and_every_documented_one_is_used() -> None:
    assert set(rows(ROLLOUT, "variable")) | set(rows(ROLLOUT, "group")) == used_in_playbooks()
    assert set(rows(ROLLOUT, "group")) == GROUPS


def test_every_variable_that_a_guide_names_is_one() -> None:
    modules = {path.stem for path in (ROOT / "plugins/modules").glob("*.py")}
    for guide in GUIDES:
        named = set(re.findall(r"(?<![\w.])mta_sts_\w+", guide.read_text()))
        assert named
        assert named <= used_in_playbooks() | modules, guide.name


def test_every_key_of_the_dns_settings_is_documented() -> None:
    text = "".join(path.read_text() for path in (ROOT / "playbooks").rglob("*.yml"))
    second_table = ROLLOUT.partition("The keys of ``mta_sts_dns``")[2]
    assert set(rows(second_table, "key")) == set(re.findall(r"mta_sts_dns\.(\w+)", text))


def test_defaults_are_those_of_the_playbooks() -> None:
    text = "".join(path.read_text() for path in (ROOT / "playbooks").rglob("*.yml"))
    literal = re.findall(r"\b(mta_sts_\w+) \| default\(('\w*'|\d+|true|false|\[\]|\{\})\)", text)
    assert len({name for name, _default in literal}) > 5
    table = rows(ROLLOUT, "variable")
    for name, default in literal:
        if name not in {"mta_sts_domains", *GROUPS}:
            shown = default.strip("'") or default
            assert table[name][1].startswith(f"``{shown}``"), name


def test_every_example_inventory_is_accepted() -> None:
    inventories = [found for _guide, block in code_blocks() for found in inside(block) if "mta_sts_domains" in found]
    assert len(inventories) >= 2
    for inventory in inventories:
        entries = inventory["mta_sts_domains"]
        desired = _inventory.read_domains(entries, inventory.get("mta_sts_defaults", {}))
        assert len(desired) == len(entries) > 0


def test_the_refusal_in_the_guide_is_the_real_one() -> None:
    entries: list[t.Any] = [
        {"domain": "example.com", "mx": ["mx1.example.net"]},
        {"domain": "example.org", "mx": ["mx1.example.net"], "maxage": 1},
        {"domain": "example.net", "mx": ["192.0.2.1"], "max_age": -1},
    ]
    with pytest.raises(_inventory.InventoryError) as refused:
        _inventory.read_domains(entries, {})
    assert textwrap.indent(str(refused.value), "    ") in ROLLOUT


def test_examples_use_options_that_there_are() -> None:
    seen = set()
    for _guide, block in code_blocks():
        for found in inside(block):
            for key, arguments in found.items():
                module = ROOT / "plugins/modules" / f"{str(key).removeprefix('postmaster.mta_sts.')}.py"
                if str(key).startswith("postmaster.mta_sts.") and isinstance(arguments, dict):
                    seen.add(module.stem)
                    assert set(arguments) <= documented_options(module), key
    assert len(seen) >= 4


def documented_options(module: Path) -> set[str]:
    text = module.read_text().partition('DOCUMENTATION = r"""')[2].partition('"""')[0]
    return set(yaml.safe_load(text)["options"])


def test_role_variables_in_the_guides_are_declared() -> None:
    declared = {
        name for path in (ROOT / "roles").glob("*/defaults/main.yml") for name in yaml.safe_load(path.read_text())
    }
    roles = {path.name for path in (ROOT / "roles").iterdir()}
    named = {
        name
        for guide in GUIDES
        for name in re.findall(r"\b(?:policy_host|dns_records)_\w+", guide.read_text())
        if name != "policy_hosts"
    }
    assert len(named) > 5
    assert named <= declared | roles


def test_every_guide_is_listed_and_labelled() -> None:
    sections = yaml.safe_load((DOCSITE / "extra-docs.yml").read_text())["sections"]
    assert sorted(name for section in sections for name in section["toctree"]) == [guide.stem for guide in GUIDES]
    for guide in GUIDES:
        labels = re.findall(r"(?m)^\.\. _([^:]+):$", guide.read_text())
        assert labels == [f"ansible_collections.postmaster.mta_sts.docsite.{guide.stem}"]


def test_every_schema_is_in_the_guide() -> None:
    text = (DOCSITE / "rst/guide_own_playbooks.rst").read_text()
    named = set(re.findall(r"docs/schemas/([\w-]+\.json)", text))
    assert named == {path.name for path in (ROOT / "docs/schemas").glob("*.json")}
    assert named
