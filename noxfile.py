# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is checked with every ansible-core that the collection supports, on a Python that it runs on.

Bring nox yourself, as in 'pipx install nox', and these Pythons; one that is missing is an error.

    nox --list                   what there is
    nox --session sanity         with all of them
    nox --session "unit(2.17)"   with one
"""

from __future__ import annotations

import os
from pathlib import Path

import nox

# All that meta/runtime.yml allows, each with a Python for the controller, from the oldest to the newest of both.
CORES = {"2.17": "3.10", "2.18": "3.11", "2.19": "3.11", "2.20": "3.12", "2.21": "3.13"}
ROOT = Path(__file__).parent

nox.options.error_on_missing_interpreters = True
nox.options.default_venv_backend = "venv"
nox.options.envdir = ".ansible/nox"
nox.options.sessions = ["unit", "sanity", "galaxy_importer"]
# Those of pyenv are found, too; what it puts on PATH itself only works for a version that is chosen.
if "PYENV_ROOT" in os.environ:
    found = sorted(map(str, Path(os.environ["PYENV_ROOT"]).glob("versions/*/bin")))
    os.environ["PATH"] = os.pathsep.join([*found, os.environ["PATH"]])

each_core = nox.parametrize("python,core", [nox.param(python, core, id=core) for core, python in CORES.items()])


def install_core(session: nox.Session, core: str, *more: str) -> None:
    session.install(f"ansible-core=={core}.*", *more)


@nox.session
@each_core
def unit(session: nox.Session, core: str) -> None:
    """The tests of the pure parts; others, as tests/integration, where they are named."""
    install_core(session, core, "--requirement", "requirements/unit.txt")
    session.run("make", "--quiet", ".collections/ansible_collections/postmaster/mta_sts", external=True)
    session.run("python", "-m", "pytest", "--numprocesses=auto", *(session.posargs or ["tests/unit"]))


@nox.session
@each_core
def sanity(session: nox.Session, core: str) -> None:
    """ansible-test sanity, for every Python that this ansible-core supports and that is here."""
    install_core(session, core)
    session.run(".ci/in-collection", ".ci/sanity", *session.posargs, external=True)


@nox.session(python=CORES["2.21"])
def galaxy_importer(session: nox.Session) -> None:
    """What Galaxy checks when a release arrives there: no error, and no warning."""
    session.install("--requirement", "requirements/galaxy.txt")
    session.run(".ci/in-collection", ".ci/galaxy", external=True)
