# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Certificates for many policy hosts' names, each by itself: a name that is not ready stops no other.

What nginx reads is one PEM file per name, chain and key together so that the two can never belong to different
certificates, replaced atomically. It comes from given files, or from certbot (RFC 8555 with http-01), whose own
timer renews it and whose deploy hook refreshes what nginx reads. Standard library only, because it runs on
policy hosts. Private to this collection.
"""

from __future__ import annotations

import http.client
import os
import re
import ssl
import stat
import subprocess
import tempfile
import typing as t
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from ._finding import printable
from ._webroot import write_file

CERTBOT = "certbot"
CERTBOT_CONFIG = Path("/etc/letsencrypt")
CERTBOT_SECONDS = 300

MODE = 0o640

# What the ACME server says to an account that asked for too much (RFC 8555 6.6); asking on makes it worse. A limit
# that only this name, or its own domain, has come up against stops no other.
RATE_LIMITED = re.compile(r"rateLimited|too many |service busy|rate limit", re.IGNORECASE)
LIMITED_ALONE = re.compile(r"too many (failed authorizations|certificates)\b", re.IGNORECASE)

# Lines of certbot's that are the same whatever went wrong.
ADVICE = re.compile(
    r"(Saving debug log|Requesting a|Renewing an|Account registered|Certbot failed to authenticate|Domain:|Type:|Hint:"
    r"|Some challenges have failed|Ask for help|See the logfile|Please see the|An unexpected error occurred:$|(- )+-?$)"
)


class CertificateError(Exception):
    """Why a name has no certificate, or still has one."""


@dataclass(frozen=True)
class Outcome:
    """What came of one name: whether its certificate changed or was removed, and what went wrong."""

    changed: bool = False
    removed: bool = False
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

    def has(self, name: str) -> bool:
        """Whether there is a file of the name, whatever is in it."""
        return _is_there(self._path(name))

    def remove(self, name: str) -> None:
        """Takes the name's file away."""
        self._path(name).unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self.directory / f"{name}.pem"


def check_pem(pem: bytes) -> None:
    """Raises L(CertificateError) unless this is a chain with the key that belongs to it."""
    descriptor, path = tempfile.mkstemp()
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)
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
    outcomes = {}
    for name in names:
        try:
            pem = b"\n".join(_read(path.replace("{name}", name)).rstrip(b"\n") for path in (certificate_path, key_path))
            pem += b"\n"
            changed = not store.holds(name, pem)
            if changed and check_mode:
                check_pem(pem)
            elif changed:
                store.install(name, pem)
            outcomes[name] = Outcome(changed)
        except (CertificateError, OSError) as error:
            outcomes[name] = Outcome(error=str(error))
    return outcomes


def _is_there(path: Path) -> bool:
    """As C(os.path.lexists), but raises OSError where that cannot be known."""
    try:
        path.lstat()
    except FileNotFoundError:
        return False
    return True


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise CertificateError(f"{path}: {error.strerror}") from None


@dataclass(frozen=True)
class Acme:
    """How certbot gets certificates."""

    directory: str
    email: str
    webroot: Path
    hook: Path


def from_acme(names: t.Sequence[str], acme: Acme, store: Store, *, check_mode: bool) -> dict[str, Outcome]:
    """Gets a certificate for every name that has none of this ACME server, and installs what is there."""
    outcomes: dict[str, Outcome] = {}
    missing = {name for name in names if not _has_lineage(name, acme.directory)}
    stop = "" if check_mode or not missing else _acme_trouble(acme.directory)
    for name in names:
        if name not in missing:
            outcomes[name] = _refresh(name, acme, store, check_mode=check_mode)
        elif check_mode:
            outcomes[name] = Outcome(changed=True)
        elif stop:
            outcomes[name] = Outcome(error=stop)
        else:
            outcomes[name] = _issue(name, acme, store)
            if stops_all(outcomes[name].error):
                stop = f"not asked for, since the ACME server had said: {outcomes[name].error}"
    return outcomes


def remove(names: t.Sequence[str], store: Store, *, acme: bool, check_mode: bool) -> dict[str, Outcome]:
    """Takes away what nginx reads of every name and, with C(acme), what certbot holds under exactly that name."""
    return {name: _remove(name, store, acme=acme, check_mode=check_mode) for name in names}


def _remove(name: str, store: Store, *, acme: bool, check_mode: bool) -> Outcome:
    try:
        renewed = acme and _is_there(_renewal(name))
        if not renewed and not store.has(name):
            return Outcome()
        if renewed and not check_mode:
            # Before the file: as long as certbot renews the certificate, its hook brings the file back.
            _certbot("delete", "--non-interactive", "--cert-name", name)
        if not check_mode:
            store.remove(name)
        return Outcome(removed=True)
    except (CertificateError, OSError) as error:
        return Outcome(error=str(error))


def _has_lineage(name: str, directory: str) -> bool:
    try:
        renewal = _renewal(name).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    server = re.search(r"(?m)^server\s*=\s*(\S+)", renewal)
    # A certificate of another server, such as one for staging, is no certificate.
    return server is not None and server.group(1) == directory and _lineage(name).is_dir()


def _lineage(name: str) -> Path:
    return CERTBOT_CONFIG / "live" / name


def _renewal(name: str) -> Path:
    return CERTBOT_CONFIG / "renewal" / f"{name}.conf"


def _acme_trouble(directory: str) -> str:
    """Why the ACME server cannot be used at all, found out once instead of once per name."""
    try:
        with urllib.request.build_opener().open(directory, timeout=30) as response:
            response.read(1 << 20)
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        return f"the ACME server {directory} does not answer: {reason}"
    return ""


def _issue(name: str, acme: Acme, store: Store) -> Outcome:
    try:
        _certbot(
            "certonly", "--non-interactive", "--agree-tos",
            *(["--email", acme.email, "--no-eff-email"] if acme.email else ["--register-unsafely-without-email"]),
            "--server", acme.directory, "--webroot", "--webroot-path", str(acme.webroot),
            "--cert-name", name, "--domain", name, "--key-type", "ecdsa", "--force-renewal",
        )  # fmt: skip
    except CertificateError as error:
        return Outcome(error=str(error))
    refreshed = _refresh(name, acme, store, check_mode=False)
    return Outcome(changed=True, error=refreshed.error)


def _certbot(*arguments: str) -> None:
    """Runs certbot. Raises L(CertificateError)."""
    command = [CERTBOT, *arguments]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=CERTBOT_SECONDS, check=False
        )
    except OSError as error:
        raise CertificateError(f"certbot cannot be run, is it installed? {error}") from None
    except subprocess.TimeoutExpired:
        raise CertificateError(f"certbot did not finish within {CERTBOT_SECONDS} seconds") from None
    if done.returncode != 0:
        raise CertificateError(certbot_reason(done.stdout + done.stderr))


def _refresh(name: str, acme: Acme, store: Store, *, check_mode: bool) -> Outcome:
    """Has the deploy hook install what certbot holds, if nginx would read something else."""
    lineage = _lineage(name)
    try:
        pem = _read(str(lineage / "fullchain.pem")) + _read(str(lineage / "privkey.pem"))
        if store.holds(name, pem):
            return Outcome()
        # What nginx reads now may be good: what certbot holds must not replace it unless it is, too.
        check_pem(pem)
        if not check_mode:
            done = subprocess.run(
                [str(acme.hook)], env={**os.environ, "RENEWED_LINEAGE": str(lineage)},
                capture_output=True, text=True, errors="replace", timeout=60, check=False,
            )  # fmt: skip
            if done.returncode != 0:
                raise CertificateError(f"{acme.hook}: {printable(done.stderr)}")
        return Outcome(changed=True)
    except CertificateError as error:
        return Outcome(error=f"{error}; if it stays so, run 'certbot delete --cert-name {name}', and the rollout again")
    except (OSError, subprocess.TimeoutExpired) as error:
        return Outcome(error=str(error))


def certbot_reason(output: str) -> str:
    """The lines of certbot's output that say what is wrong, without its advice around them."""
    lines = [line.strip() for line in output.splitlines()]
    details = [line.partition(":")[2].strip() for line in lines if line.startswith("Detail:")]
    chosen = details or [line for line in lines if line and not ADVICE.match(line)][-3:]
    return printable("certbot: " + ("; ".join(dict.fromkeys(chosen)) or "failed without saying why"), 400)


def stops_all(reason: str) -> bool:
    """Whether the ACME server would refuse every other name as well."""
    return bool(RATE_LIMITED.search(reason)) and not LIMITED_ALONE.search(reason)
