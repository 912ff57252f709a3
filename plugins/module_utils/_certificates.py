# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Certificates for many policy hosts' names, each by itself: a name that is not ready stops no other.

They come from certbot (RFC 8555 with http-01), whose own timer renews them and whose deploy hook refreshes what
nginx reads. Standard library only, because it runs on policy hosts. Private to this collection.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import subprocess
import typing as t
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

from ._attempts import Attempts
from ._finding import printable
from ._lineages import Lineage, LockedError, certbot_locked
from ._pem_files import CertificateError, Outcome, Store, check_pem, is_there, read_part
from ._webroot import each_by_itself

CERTBOT = "certbot"
CERTBOT_CONFIG = Path("/etc/letsencrypt")
CERTBOT_LOG = Path("/var/log/letsencrypt/letsencrypt.log")
CERTBOT_SECONDS = 300
# What certbot 2.1 says whenever the server refuses an order, and where its log has the server's words; so much is read.
HIDING = "AttributeError: can't set attribute"
LOGGED = re.compile(r"(?m)^acme\.messages\.Error: (.*)$")
LOG_END = 1 << 18

# What the ACME server says to an account that asked for too much (RFC 8555 6.6); asking on makes it worse. A limit
# that only this name, or its own domain, has come up against stops no other.
RATE_LIMITED = re.compile(r"rateLimited|too many |service busy|rate limit", re.IGNORECASE)
LIMITED_ALONE = re.compile(r"too many (failed authorizations|certificates)\b", re.IGNORECASE)

# Lines of certbot's that are the same whatever went wrong.
ADVICE = re.compile(
    r"(Saving debug log|Requesting a|Renewing an|Account registered|Certbot failed to authenticate|Domain:|Type:|Hint:"
    r"|Some challenges have failed|Ask for help|See the logfile|Please see the|An unexpected error occurred:$|(- )+-?$)"
)


@dataclass(frozen=True)
class Acme:
    """How certbot gets certificates."""

    directory: str
    email: str
    webroot: Path
    hook: Path
    # So many are asked for in one call, at most; 0 for any number. What is refused counts, as it does at the server.
    limit: int = 0
    # The names that are not asked for as long as they have none, each with the reason.
    unready: t.Mapping[str, str] = field(default_factory=dict)


def from_acme(names: t.Sequence[str], acme: Acme, store: Store, *, check_mode: bool) -> dict[str, Outcome]:
    """Gets a certificate for every name that has none of this ACME server, and installs what is there."""
    attempts = Attempts(store.directory)
    missing = {name for name in names if not _has_lineage(name, acme.directory)}
    outcomes = {name: _refresh(name, acme, store, check_mode=check_mode) for name in names if name not in missing}
    reasons = {name: acme.unready[name] for name in missing.intersection(acme.unready)}
    outcomes.update((name, Outcome(error=f"not asked for: {printable(text, 300)}")) for name, text in reasons.items())
    turn = attempts.in_turn(name for name in names if name in missing and name not in reasons)
    last = acme.limit or len(turn)
    outcomes.update(dict.fromkeys(turn[last:], Outcome(queued=True)))
    if check_mode:
        outcomes.update(dict.fromkeys(turn[:last], Outcome(changed=True)))
    else:
        attempts.forget(name for name in names if name not in missing)
        outcomes.update(_ask(turn[:last], acme, store, attempts))
    return {name: outcomes[name] for name in names}


def _ask(names: t.Sequence[str], acme: Acme, store: Store, attempts: Attempts) -> t.Iterator[tuple[str, Outcome]]:
    """Asks for one certificate after the other, until the server would refuse all others, too."""
    stop = _acme_trouble(acme.directory) if names else ""
    for name in names:
        if stop:
            yield name, Outcome(error=stop)
            continue
        outcome = _issue(name, acme, store)
        if outcome.changed:
            attempts.forget([name])
        else:
            attempts.failed(name, outcome.error)
        if stops_all(outcome.error):
            stop = f"not asked for, since the ACME server had said: {outcome.error}"
        yield name, outcome


def remove(names: t.Sequence[str], store: Store, *, acme: bool, check_mode: bool) -> dict[str, Outcome]:
    """Takes away what nginx reads of every name and, with C(acme), what certbot holds under exactly that name."""
    # Before the files: as long as certbot renews a certificate, its hook brings the file back.
    forgotten = _forget(names, check_mode=check_mode) if acme else {}
    nothing = Outcome()
    outcomes = {name: _remove(name, store, forgotten.get(name, nothing), check_mode=check_mode) for name in names}
    if acme and names and not check_mode:
        Attempts(store.directory).forget(names)
    return outcomes


def _forget(names: t.Sequence[str], *, check_mode: bool) -> dict[str, Outcome]:
    """Has certbot hold nothing of those names of which it does."""
    outcomes, usual = {}, []
    for name in names:
        lineage = Lineage(CERTBOT_CONFIG, name)
        try:
            if not is_there(lineage.renewal):
                continue
            outcomes[name] = Outcome(removed=True)
            if check_mode:
                continue
            if lineage.is_usual():
                usual.append(lineage)
            else:
                run_certbot("delete", "--non-interactive", "--cert-name", name)
        except (CertificateError, OSError) as error:
            outcomes[name] = Outcome(error=str(error))
    try:
        with certbot_locked(CERTBOT_CONFIG) if usual else contextlib.nullcontext():
            done = list(each_by_itself(_delete, usual))
    except (LockedError, OSError) as error:
        done = [Outcome(error=str(error))] * len(usual)
    outcomes.update(zip((lineage.name for lineage in usual), done))
    return outcomes


def _delete(lineage: Lineage) -> Outcome:
    try:
        lineage.delete()
    except OSError as error:
        return Outcome(error=str(error))
    return Outcome(removed=True)


def _remove(name: str, store: Store, forgotten: Outcome, *, check_mode: bool) -> Outcome:
    try:
        if forgotten.error or not store.has(name):
            return forgotten
        if not check_mode:
            store.remove(name)
        return Outcome(removed=True)
    except OSError as error:
        return Outcome(error=str(error))


def _has_lineage(name: str, directory: str) -> bool:
    lineage = Lineage(CERTBOT_CONFIG, name)
    # A certificate of another server, such as one for staging, is no certificate.
    return lineage.setting("server") == directory and lineage.live.is_dir()


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
        run_certbot(
            "certonly", "--non-interactive", "--agree-tos",
            *(["--email", acme.email, "--no-eff-email"] if acme.email else ["--register-unsafely-without-email"]),
            "--server", acme.directory, "--webroot", "--webroot-path", str(acme.webroot),
            "--cert-name", name, "--domain", name, "--key-type", "ecdsa", "--force-renewal",
        )  # fmt: skip
    except CertificateError as error:
        return Outcome(error=str(error))
    refreshed = _refresh(name, acme, store, check_mode=False)
    return Outcome(changed=True, error=refreshed.error)


def run_certbot(*arguments: str) -> None:
    """Runs certbot. Raises L(CertificateError)."""
    command = [CERTBOT, *arguments]
    try:
        done = subprocess.run(  # pylint: disable=ansible-bad-function  # no module here
            command, capture_output=True, text=True, errors="replace", timeout=CERTBOT_SECONDS, check=False
        )
    except OSError as error:
        raise CertificateError(f"certbot cannot be run, is it installed? {error}") from None
    except subprocess.TimeoutExpired:
        raise CertificateError(f"certbot did not finish within {CERTBOT_SECONDS} seconds") from None
    if done.returncode != 0:
        output = done.stdout + done.stderr
        raise CertificateError(certbot_reason(_logged_reason() if HIDING in output else output))


def _logged_reason() -> str:
    """What the ACME server said when certbot does not tell: that of Debian 12 stumbles over it on its way out."""
    try:
        with CERTBOT_LOG.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - LOG_END))
            log = file.read().decode("utf-8", "replace")
    except OSError:
        return HIDING
    found: list[str] = LOGGED.findall(log)
    return found[-1] if found else HIDING


def _refresh(name: str, acme: Acme, store: Store, *, check_mode: bool) -> Outcome:
    """Has the deploy hook install what certbot holds, if nginx would read something else."""
    lineage = Lineage(CERTBOT_CONFIG, name).live
    try:
        pem = read_part(str(lineage / "fullchain.pem")) + read_part(str(lineage / "privkey.pem"))
        if store.holds(name, pem):
            return Outcome()
        # What nginx reads now may be good: what certbot holds must not replace it unless it is, too.
        check_pem(pem)
        if not check_mode:
            done = subprocess.run(  # pylint: disable=ansible-bad-function  # no module here
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
