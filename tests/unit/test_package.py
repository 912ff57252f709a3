# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is in the package that users install, and which versions it says that it is for."""

from __future__ import annotations

import re
import subprocess
import tarfile
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
# All that is of use without a checkout.
FILES = {"CHANGELOG.md", "CONTRIBUTING.md", "COPYING", "README.md", "SECURITY.md", "changelogs/changelog.yaml"}
DIRECTORIES = ("LICENSES/", "docs/", "meta/", "playbooks/", "plugins/", "roles/")
OF_THE_PACKAGE = {"FILES.json", "MANIFEST.json"}


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The files of a package that is built from this checkout."""
    directory = tmp_path_factory.mktemp("package")
    command = [".ci/in-collection", "ansible-galaxy", "collection", "build", "--output-path", str(directory)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    [built] = directory.iterdir()
    with tarfile.open(built) as archive:
        return {member.name for member in archive if not member.isdir()}


def test_the_package_has_what_users_need_and_nothing_else(package: set[str]) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    there = {name for name in listed.stdout.splitlines() if (ROOT / name).exists()}
    wanted = {name for name in there if name in FILES or name.startswith(DIRECTORIES)} - {
        name for name in there if name.startswith("docs/site/")
    }
    assert wanted >= FILES
    assert package == wanted | OF_THE_PACKAGE


def test_every_place_names_the_same_oldest_ansible_core() -> None:
    runtime = yaml.safe_load((ROOT / "meta/runtime.yml").read_text())
    [oldest] = re.findall(r"^>=(\d+\.\d+)\.0$", runtime["requires_ansible"])
    roles = {
        path: yaml.safe_load(path.read_text())["galaxy_info"]["min_ansible_version"]
        for path in ROOT.glob("roles/*/meta/main.yml")
    }
    assert len(roles) > 5
    assert set(roles.values()) == {oldest}
    for place, text in {
        "README.md": f"ansible-core {oldest} or newer",
        "docs/examples/awx/execution-environment.yml": f"ansible-core>={oldest}",
        "noxfile.py": f'CORES = {{"{oldest}"',
    }.items():
        assert text in (ROOT / place).read_text(), place
