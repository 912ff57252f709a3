# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What certbot holds of a name, and how very many of them are taken away.

C(certbot delete) takes one name, and a second for it. What it removes is the same three places for every certificate
that certbot has brought by itself; so they are removed here, under the lock that keeps two certbots apart. Of a
certificate that is kept elsewhere nothing is removed here. Standard library only, because it runs on policy hosts.
Private to this collection.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import typing as t
from dataclasses import dataclass
from pathlib import Path

LOCK: t.Final = ".certbot.lock"


class LockedError(Exception):
    """Certbot is at work."""


@dataclass(frozen=True)
class Lineage:
    """The certificates of one name, as certbot calls them, in its directory."""

    config: Path
    name: str

    @property
    def live(self) -> Path:
        return self.config / "live" / self.name

    @property
    def archive(self) -> Path:
        return self.config / "archive" / self.name

    @property
    def renewal(self) -> Path:
        return self.config / "renewal" / f"{self.name}.conf"

    def setting(self, key: str) -> str:
        """What certbot keeps of it, as C(server); empty where it does not."""
        try:
            text = self.renewal.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""
        found = re.search(rf"(?m)^{key}\s*=\s*(\S+)", text)
        return found.group(1) if found else ""

    def is_usual(self) -> bool:
        """Whether all of it is where certbot puts it."""
        archive, certificate = self.setting("archive_dir"), self.setting("cert")
        return archive == str(self.archive) and certificate == str(self.live / "cert.pem")

    def delete(self) -> None:
        """Raises OSError. What tells certbot of it goes last, so that who dies before that is healed by the next."""
        for place in (self.live, self.archive):
            with contextlib.suppress(FileNotFoundError):
                shutil.rmtree(place)
        self.renewal.unlink()


@contextlib.contextmanager
def certbot_locked(config: Path) -> t.Iterator[None]:
    """Keeps every certbot out, as one of them does. Raises L(LockedError) if one is at work, OSError."""
    path = config / LOCK
    descriptor = _lock(path)
    while descriptor is None:
        descriptor = _lock(path)
    try:
        yield
    finally:
        # In this order, as others may wait for a file that is no longer the one.
        path.unlink()
        os.close(descriptor)


def _lock(path: Path) -> t.Optional[int]:
    """The descriptor that holds the lock; none if the file was removed by who had it before."""
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY, 0o600)
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), path.stat()):
            return descriptor
    except (BlockingIOError, PermissionError):
        os.close(descriptor)
        raise LockedError("certbot is at work; run it again") from None
    except FileNotFoundError:
        pass
    os.close(descriptor)
    return None
