# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program that refreshes certificates from files, laid out as the role installs it and run as systemd does."""

from __future__ import annotations

import grp
import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import trustme
import yaml

ROOT = Path(__file__).resolve().parents[2]
ROLE = ROOT / "roles/nginx_certificates"
GROUP = grp.getgrgid(os.getgid()).gr_name
AUTHORITY = trustme.CA()
NAMES = ("mta-sts.a.example", "mta-sts.b.example")


class Installed:
    """The program, a directory with the PEM files of two names, and a source for each."""

    def __init__(self, place: Path) -> None:
        self.place, self.tls = place, place / "tls"
        self.tls.mkdir()
        (place / "program/mta_sts").mkdir(parents=True)
        for dest, source in parts().items():
            shutil.copy(source, place / "program" / dest)
        for name in NAMES:
            (self.tls / f"{name}.pem").write_bytes(b"old")
            self.give(name)

    def give(self, name: str) -> bytes:
        issued = AUTHORITY.issue_cert(name)
        (self.place / f"{name}.crt").write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        (self.place / f"{name}.key").write_bytes(issued.private_key_pem.bytes())
        return issued.private_key_pem.bytes()

    def run(self, source: str = "{name}") -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-BEs", str(self.place / "program/refresh_certificates.py"), str(self.tls), GROUP]
        command += [str(self.place / f"{source}.crt"), str(self.place / f"{source}.key")]
        return subprocess.run(command, cwd="/", env={}, capture_output=True, text=True, check=False)

    def pem(self, name: str) -> bytes:
        return (self.tls / f"{name}.pem").read_bytes()


def parts() -> dict[str, Path]:
    """The parts of the program that the role copies, by where they go."""
    files = yaml.safe_load((ROLE / "vars/main.yml").read_text())["__nginx_certificates_ways"]["files"]["files"]
    found = {}
    for file in files:
        source = re.search(r"role_path ~ '(.*?)'", file["content"])
        if source:
            found[file["path"].replace("{{ __nginx_certificates_programs }}/", "")] = ROLE / source[1].lstrip("/")
    assert "refresh_certificates.py" in found
    return found


@pytest.fixture
def installed(tmp_path: Path) -> Installed:
    return Installed(tmp_path)


def test_what_changed_is_refreshed_and_what_did_not_stays(installed: Installed) -> None:
    done = installed.run()
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [f"{name}: refreshed" for name in NAMES]
    status = (installed.tls / f"{NAMES[0]}.pem").stat()
    assert (stat.S_IMODE(status.st_mode), status.st_gid) == (0o640, os.getgid())
    key = installed.give(NAMES[1])
    assert installed.run().stdout == f"{NAMES[1]}: refreshed\n"
    assert key.strip() in installed.pem(NAMES[1])
    assert (installed.tls / f"{NAMES[0]}.pem").stat().st_ino == status.st_ino
    assert installed.run().stdout == ""
    assert sorted(path.name for path in installed.tls.iterdir()) == [f"{name}.pem" for name in NAMES]


def test_one_certificate_for_all_names(installed: Installed) -> None:
    key = installed.give("wild")
    assert installed.run("wild").returncode == 0
    assert all(key.strip() in installed.pem(name) for name in NAMES)


@pytest.mark.parametrize("kind", ["other key", "no key", "half"])
def test_a_bad_source_is_told_and_leaves_the_good_file_and_the_other_name(installed: Installed, kind: str) -> None:
    key = installed.place / f"{NAMES[0]}.key"
    installed.run()
    good = installed.pem(NAMES[0])
    if kind == "no key":
        key.unlink()
    else:
        key.write_bytes((installed.place / f"{NAMES[1]}.key").read_bytes()[: 40 if kind == "half" else None])
    installed.give(NAMES[1])
    done = installed.run()
    assert done.returncode == 1
    assert done.stdout == f"{NAMES[1]}: refreshed\n"
    assert done.stderr.startswith(f"{NAMES[0]}: ")
    assert done.stderr.endswith("; what was there stays\n")
    assert installed.pem(NAMES[0]) == good
    assert "PRIVATE" not in done.stderr
    # A source that was read in the midst of a change is whole the next time.
    installed.give(NAMES[0])
    assert installed.run().returncode == 0
