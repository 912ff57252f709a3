# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What an MX host with Postfix gets: a certificate for its own name, and the parameters that make use of it.

What is replaced of Postfix's configuration is written down before, and taken back in the end. Standard library only,
because it runs on MX hosts. Private to this collection.
"""

from __future__ import annotations

import json
import re
import shutil
import typing as t
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ._certificates import CERTBOT_CONFIG, run_certbot
from ._mx_chain import (
    CHAIN,
    CHAIN_FILES,
    KEPT,
    LEVEL,
    PROTOCOLS,
    SETTINGS,
    Chain,
    ChainError,
    Settings,
    available,
    choose,
    install,
    installed_chain,
    is_loaded,
    key_to_serve,
    lineages,
    load,
    reload_postfix,
    run,
)
from ._pem_files import CertificateError
from ._webroot import write_file

REPLACED: t.Final = "replaced.json"
# Postfix 3.6 and later; older versions have no way to say it once and for all.
OLDEST: t.Final = ">=TLSv1.2"

Values = dict[str, t.Optional[str]]


@dataclass
class Done:
    """What was done, or would be in check mode."""

    changed: bool = False
    name: str = ""
    key: t.Optional[str] = None
    before: list[str] = field(default_factory=list)
    after: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def differs(self, what: str, before: t.Optional[str], after: t.Optional[str]) -> None:
        """Notes a difference, which is a change."""
        self.changed = True
        for lines, value in ((self.before, before), (self.after, after)):
            if value is not None:
                lines.append(f"{what} = {value}")


# --- Postfix's parameters ---------------------------------------------------------------------------------


def my_name() -> str:
    """What Postfix calls the host, which is what it greets senders with."""
    return run("postconf", "-h", "myhostname").strip()


def _set_in_main(names: t.Collection[str]) -> Values:
    """What main.cf says of parameters; none of those that it does not set."""
    lines = run("postconf", "-n").splitlines()
    found = {name.rstrip(): value.strip() for name, equals, value in (line.partition("=") for line in lines) if equals}
    return {name: found.get(name) for name in names}


def _wanted(directory: Path) -> dict[str, str]:
    wanted = {CHAIN_FILES: str(directory / CHAIN)}
    wanted |= dict.fromkeys(PROTOCOLS, OLDEST)
    level, enforced = run("postconf", "-h", LEVEL, "smtpd_enforce_tls").splitlines()[:2]
    if level.strip() in ("", "none") and enforced.strip() != "yes":
        wanted[LEVEL] = "may"
    return wanted


def _write(values: Values) -> None:
    new = [f"{name}={value}" for name, value in values.items() if value is not None]
    gone = [name for name, value in values.items() if value is None]
    if new:
        run("postconf", "-e", *new)
    if gone:
        run("postconf", "-X", *gone)


def _read_replaced(directory: Path) -> dict[str, list[t.Optional[str]]]:
    """Of each parameter what was there before, and what was put there."""
    path = directory / REPLACED
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ChainError(f"{path} cannot be used, so nobody knows what Postfix's parameters were: {error}") from None
    return t.cast("dict[str, list[t.Optional[str]]]", found)


def _configure(directory: Path, done: Done, *, check_mode: bool) -> Values:
    """Sets what differs; what it was before."""
    wanted = _wanted(directory)
    before = _set_in_main(wanted)
    differing = {name: value for name, value in wanted.items() if before[name] != value}
    for name, value in differing.items():
        done.differs(name, before[name], value)
    if differing and not check_mode:
        replaced = _read_replaced(directory)
        for name, value in differing.items():
            replaced[name] = [replaced.get(name, [before[name]])[0], value]
        _write_json(directory / REPLACED, replaced)
        _write(t.cast("Values", differing))
    return {name: before[name] for name in differing}


def _write_json(path: Path, content: t.Any) -> None:
    write_file(path, (json.dumps(content, indent=2) + "\n").encode(), 0o600)


# --- certificates -----------------------------------------------------------------------------------------


def issue(settings: Settings, number: int) -> None:
    """Gets a certificate for a key that is made for it, and kept at its renewals. Raises L(ChainError)."""
    webroot = ["--webroot", "--webroot-path", settings.acme_webroot]
    email = ["--email", settings.acme_email, "--no-eff-email"]
    try:
        run_certbot(
            "certonly", "--non-interactive", "--agree-tos",
            *(email if settings.acme_email else ["--register-unsafely-without-email"]),
            "--server", settings.acme_directory, *(webroot if settings.acme_webroot else ["--standalone"]),
            "--cert-name", f"{settings.name}.mx-tls-{number}", "--domain", settings.name,
            "--key-type", "ecdsa", "--reuse-key",
        )  # fmt: skip
    except CertificateError as error:
        raise ChainError(f"no certificate for {settings.name}: {error}") from None


def issue_next(settings: Settings) -> None:
    """Gets one for a key that is made anew, beside those that there are. Raises L(ChainError)."""
    last = max((number_of(lineage) for lineage in lineages(settings.name)), default=0)
    issue(settings, last + 1)


def number_of(lineage: str) -> int:
    return int(lineage.rpartition("-")[2])


def forget(names: t.Iterable[str]) -> None:
    """Has certbot delete what it holds under these names. Raises L(ChainError)."""
    for name in names:
        try:
            run_certbot("delete", "--non-interactive", "--cert-name", name)
        except CertificateError as error:
            raise ChainError(str(error)) from None


def has_lineage(settings: Settings) -> bool:
    """Whether the newest certificate is of this ACME server; one of another, as for staging, is none."""
    for lineage in lineages(settings.name)[-1:]:
        renewal = CERTBOT_CONFIG / "renewal" / f"{lineage}.conf"
        if renewal.exists():
            found = re.search(r"(?m)^server\s*=\s*(\S+)", renewal.read_text(encoding="utf-8", errors="replace"))
            return found is not None and found.group(1) == settings.acme_directory
    return False


# --- the whole --------------------------------------------------------------------------------------------


def bring(settings: Settings, directory: Path, *, check_mode: bool) -> Done:
    """A certificate for the host, in use by Postfix unless TLSA records stand in the way.

    Raises L(ChainError); what was in use stays so then.
    """
    done = Done(name=settings.name)
    _keep_settings(settings, directory, done, check_mode=check_mode)
    if settings.source == "acme" and not has_lineage(settings):
        done.differs("certificate", None, f"a new one for {settings.name} by {settings.acme_directory}")
        if not check_mode:
            issue_next(settings)
    chains, done.warnings = available(settings)
    if not chains:
        if done.changed and check_mode and settings.source == "acme":
            _configure(directory, done, check_mode=True)
            return done
        raise ChainError("; ".join(done.warnings) or f"there is no certificate for {settings.name}")
    done.key = _install(directory, chains, done, check_mode=check_mode)
    if done.key is None:
        return done
    before = _configure(directory, done, check_mode=check_mode)
    if not check_mode and not is_loaded(directory):
        done.changed = True
        _load(directory, before)
    return done


def _keep_settings(settings: Settings, directory: Path, done: Done, *, check_mode: bool) -> None:
    path, content = directory / SETTINGS, asdict(settings)
    try:
        before = json.loads(path.read_bytes())
    except (OSError, ValueError):
        before = {}
    for name in [name for name, value in content.items() if before.get(name, "") != value]:
        done.differs(name, before.get(name) or None, str(content[name]) or None)
    if before != content and not check_mode:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write_json(path, content)


def _install(directory: Path, chains: t.Sequence[Chain], done: Done, *, check_mode: bool) -> t.Optional[str]:
    installed, key = installed_chain(directory), key_to_serve(directory)
    try:
        chain = choose(chains, key)
    except ChainError as error:
        done.warnings.append(f"{error}; the role mx_tlsa brings a new key into use in order")
        return installed.key if installed else None
    if installed is None or installed.pem != chain.pem:
        done.differs("chain", f"key {installed.key}" if installed else None, f"key {chain.key} of {chain.label}")
    if not check_mode:
        install(directory, chain)
    return chain.key


def _load(directory: Path, before: Values) -> None:
    try:
        load(directory)
    except ChainError:
        _write(before)
        raise


def take_back(name: str, directory: Path, *, check_mode: bool) -> Done:
    """Nothing of this is left, and Postfix's parameters are what they were. Raises L(ChainError)."""
    done = Done(name=name)
    if (directory / KEPT).exists():
        raise ChainError(
            f"senders may still hold TLSA records of {name}, and would deliver nothing to another certificate: "
            "run the role mx_tlsa with mx_tlsa_state=absent first, until it says that they are gone"
        )
    replaced = _read_replaced(directory)
    now = _set_in_main(replaced)
    # What somebody else has changed since is theirs.
    ours = {parameter: before for parameter, (before, put) in replaced.items() if now[parameter] == put}
    for parameter, before in ours.items():
        done.differs(parameter, now[parameter], before)
    held = lineages(name)
    for lineage in held:
        done.differs("certificate", lineage, None)
    if directory.exists():
        done.differs("directory", str(directory), None)
    if done.changed and not check_mode:
        _write(ours)
        reload_postfix()
        forget(held)
        shutil.rmtree(directory, ignore_errors=True)
    return done
