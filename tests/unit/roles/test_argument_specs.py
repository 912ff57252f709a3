# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A role's defaults, argument specification and README agree: in the names, in the values, and in the types."""

from __future__ import annotations

import re
import typing as t
from pathlib import Path

import pytest
import yaml

ROLES = sorted((Path(__file__).resolve().parents[3] / "roles").iterdir())
ALL = ["dns_records", "mx_tls", "mx_tlsa", "nginx_certificates", "nginx_site", "policy_host", "report_inbox", "sender"]
TYPES: dict[str, type] = {"str": str, "path": str, "int": int, "bool": bool, "list": list, "dict": dict}


def options(role: Path) -> dict[str, t.Any]:
    spec = yaml.safe_load((role / "meta/argument_specs.yml").read_text())
    found: dict[str, t.Any] = spec["argument_specs"]["main"]["options"]
    assert found
    return found


def defaults(role: Path) -> dict[str, t.Any]:
    found: dict[str, t.Any] = yaml.safe_load((role / "defaults/main.yml").read_text())
    assert found
    return found


def test_there_are_roles() -> None:
    assert [role.name for role in ROLES] == ALL


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_defaults_are_what_the_specification_says(role: Path) -> None:
    assert defaults(role) == {name: option["default"] for name, option in options(role).items()}


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_every_option_is_documented_and_of_its_type(role: Path) -> None:
    for name, option in options(role).items():
        assert name.startswith(f"{role.name}_")
        assert option["description"]
        assert isinstance(option["default"], TYPES[option["type"]]), name
        if "choices" in option:
            assert option["default"] in option["choices"], name


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_readme_has_the_same_table(role: Path) -> None:
    rows = re.findall(r"(?m)^\| `(\w+)` \| (\w+) \| (.*?) \|", (role / "README.md").read_text())
    expected = [(name, option["type"], f"`{yaml_text(option['default'])}`") for name, option in options(role).items()]
    assert rows == expected


def yaml_text(value: t.Any) -> str:
    text: str = yaml.safe_dump(value, default_flow_style=True)
    return text.replace("\n...", "").strip()


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_every_variable_that_is_used_is_declared(role: Path) -> None:
    # What it hands to tasks of the user's is said where it does so.
    handed = {
        name
        for path in role.glob("tasks/*.yml")
        for name in re.findall(rf"(?m)^    ({role.name}_\w+):", path.read_text())
    }
    declared = set(defaults(role)) | handed
    for path in [*role.glob("tasks/*.yml"), *role.glob("templates/*")]:
        code = re.sub(r"(?m)#.*$|^\s*tags: .*$", "", path.read_text())
        used = set(re.findall(rf"(?<![\w.])({role.name}_\w+)", code))
        assert used <= declared, path
