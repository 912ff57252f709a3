# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The PEM files that nginx reads, one per name, chain and key together so that the two can never belong to
different certificates, each replaced atomically; and how they are made from given files.

Standard library only, and as little as that of this collection, because it is installed on policy hosts to refresh
the files without Ansible. Private to this collection.
"""

from __future__ import annotations

import os
import ssl
import stat
import tempfile
import typing as t
from dataclasses import dataclass
from pathlib import Path

from ._webroot import each_by_itself, write_file

MODE = 0o640
SUFFIX = ".pem"


class CertificateError(Exception):
    """Why a name has no certificate, or still has one."""


@dataclass(frozen=True)
class Outcome:
    """What came of one name: whether its certificate changed, was removed or is yet to come, and what went wrong."""

    changed: bool = False
    removed: bool = False
    # It waits for its turn, as a run asks for so many certificates and no more.
    queued: bool = False
    error: str = ""


class Store:
    """The directory of PEM files that nginx's workers read."""

    def __init__(self, directory: Path, group: t.Optional[int]) -> None:
        self.directory = directory
        self._group = group

    def holds(self, name: str, pem: bytes) -> bool:
        """Whether the name's file has exactly this content, and can be read by those who shall and no others."""
        path = self._path(name)
        try:
            status = path.stat()
            allowed = stat.S_IMODE(status.st_mode) == MODE and self._group in (None, status.st_gid)
            return allowed and path.read_bytes() == pem
        except FileNotFoundError:
            return False

    def install(self, name: str, pem: bytes) -> None:
        """Puts chain and key of a name where nginx reads them; refuses what nginx could not use."""
        check_pem(pem)
        write_file(self._path(name), pem, MODE, self._group)

    def names(self) -> list[str]:
        """The names of which there is a file."""
        return sorted(path.name[: -len(SUFFIX)] for path in self.directory.glob(f"[!.]*{SUFFIX}"))

    def has(self, name: str) -> bool:
        """Whether there is a file of the name, whatever is in it."""
        return is_there(self._path(name))

    def remove(self, name: str) -> None:
        """Takes the name's file away."""
        self._path(name).unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self.directory / f"{name}{SUFFIX}"


def check_pem(pem: bytes) -> None:
    """Raises L(CertificateError) unless this is a chain with the key that belongs to it."""
    descriptor, path = tempfile.mkstemp()
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)
        # A new context each time: one keeps what it has, and a key of an earlier file could pass for that of this one.
        # A password callback that gives none: an encrypted key must be an error, not a question.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(path, password=lambda: "")
    except (ssl.SSLError, ValueError) as error:
        reason = str(getattr(error, "reason", None) or error).lower().replace("_", " ")
        raise CertificateError(f"certificate and key are not usable together: {reason}") from None
    finally:
        os.unlink(path)


def from_files(
    names: t.Sequence[str], certificate_path: str, key_path: str, store: Store, *, check_mode: bool
) -> dict[str, Outcome]:
    """Installs given files; C({name}) in the paths stands for the policy host's name."""

    def bring(name: str) -> Outcome:
        try:
            parts = [read_part(path.replace("{name}", name)).rstrip(b"\n") for path in (certificate_path, key_path)]
            pem = b"".join(part + b"\n" for part in parts)
            changed = not store.holds(name, pem)
            if changed and check_mode:
                check_pem(pem)
            elif changed:
                store.install(name, pem)
            return Outcome(changed)
        except (CertificateError, OSError) as error:
            return Outcome(error=str(error))

    return dict(zip(names, each_by_itself(bring, names)))


def is_there(path: Path) -> bool:
    """As C(os.path.lexists), but raises OSError where that cannot be known."""
    try:
        path.lstat()
    except FileNotFoundError:
        return False
    return True


def read_part(path: str) -> bytes:
    """A file of which a PEM file is made. Raises L(CertificateError)."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise CertificateError(f"{path}: {error.strerror}") from None
