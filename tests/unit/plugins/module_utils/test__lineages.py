# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What certbot holds is taken away as it does it, and never while it is at work."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.postmaster.mta_sts.plugins.module_utils._lineages import Lineage, LockedError, certbot_locked

# As certbot 2.1 and 4.0 write it.
RENEWAL = """version = 2.1.0
archive_dir = {config}/archive/{name}
cert = {config}/live/{name}/cert.pem
privkey = {config}/live/{name}/privkey.pem

[renewalparams]
server = https://ca.example/directory
"""
HOLD = """
import fcntl, os, sys
fcntl.lockf(os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY, 0o600), fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def lineage(tmp_path: Path) -> Lineage:
    made = Lineage(tmp_path, "mta-sts.example.com")
    for folder in (made.live, made.archive, made.renewal.parent):
        folder.mkdir(parents=True)
    (made.archive / "privkey1.pem").write_text("secret")
    (made.live / "privkey.pem").symlink_to("../../archive/mta-sts.example.com/privkey1.pem")
    made.renewal.write_text(RENEWAL.format(config=tmp_path, name=made.name))
    return made


def test_all_of_one_name_goes_and_no_other(lineage: Lineage) -> None:
    other = Lineage(lineage.config, "mta-sts.example.org")
    other.live.mkdir()
    assert lineage.is_usual()
    lineage.delete()
    left = [path for path in lineage.config.rglob("*") if path.is_file() or path == other.live]
    assert left == [other.live]


def test_a_removal_that_died_is_ended(lineage: Lineage) -> None:
    (lineage.live / "privkey.pem").unlink()
    lineage.live.rmdir()
    lineage.delete()
    assert not lineage.renewal.exists()
    assert not lineage.archive.exists()


@pytest.mark.parametrize("moved", ["archive_dir", "cert"])
def test_what_is_kept_elsewhere_is_for_certbot(lineage: Lineage, moved: str) -> None:
    text = lineage.renewal.read_text()
    lineage.renewal.write_text(text.replace(f"{moved} = ", f"{moved} = /elsewhere"))
    assert not lineage.is_usual()
    assert lineage.setting("server") == "https://ca.example/directory"


def test_without_settings_nothing_is_known() -> None:
    nothing = Lineage(Path("/nowhere"), "x")
    assert (nothing.setting("server"), nothing.is_usual()) == ("", False)


def test_certbot_that_is_at_work_is_left_alone(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path / ".certbot.lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "held\n"
        with pytest.raises(LockedError, match="certbot is at work"), certbot_locked(tmp_path):
            pass
        process.communicate("")
    with certbot_locked(tmp_path):
        assert (tmp_path / ".certbot.lock").exists()
    assert list(tmp_path.iterdir()) == []


def test_a_lock_that_was_given_back_while_it_was_opened_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, real = tmp_path / ".certbot.lock", fcntl.lockf
    removals = iter([True, False])

    def lockf(descriptor: int, operation: int) -> None:
        real(descriptor, operation)
        if next(removals):
            path.unlink()

    monkeypatch.setattr(fcntl, "lockf", lockf)
    with certbot_locked(tmp_path):
        assert path.exists()
