# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The one file that Postfix reads of an MX host's certificate: the key and its chain, replaced atomically.

A chain is installed only if a strict sender would accept it for the name of the host and, where TLSA records are
kept, only if it has the key that may be served. Standard library only, and as little as that of this collection,
because it is installed on MX hosts to follow renewals without Ansible. Private to this collection.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
import re
import smtplib
import ssl
import subprocess
import tempfile
import typing as t
from dataclasses import dataclass
from pathlib import Path

from ._tlsa import DerError, key_of
from ._webroot import write_file

LIVE = Path("/etc/letsencrypt/live")
# Of how certificates are brought, of the TLSA records, and that there are some; and what Postfix reads.
SETTINGS: t.Final = "settings.json"
MEMORY: t.Final = "tlsa.json"
KEPT: t.Final = "tlsa-kept"
CHAIN: t.Final = "chain.pem"
# What Postfix has loaded.
LOADED: t.Final = "loaded"
PRIVATE: t.Final = 0o600
CHAIN_FILES: t.Final = "smtpd_tls_chain_files"
LEVEL: t.Final = "smtpd_tls_security_level"
PROTOCOLS: t.Final = ("smtpd_tls_protocols", "smtpd_tls_mandatory_protocols")
PARAMETERS: t.Final = (CHAIN_FILES, LEVEL, *PROTOCOLS)
SECONDS: t.Final = 60
LINEAGE: t.Final = re.compile(r"\.mx-tls-([0-9]+)")
_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----")


class ChainError(Exception):
    """Why a chain cannot be used, or could not be brought."""


@dataclass(frozen=True)
class Settings:
    """Where the certificates of an MX host come from."""

    name: str
    source: str
    certificate_path: str = ""
    key_path: str = ""
    ca_file: str = ""
    acme_directory: str = ""
    acme_email: str = ""
    acme_webroot: str = ""


@dataclass(frozen=True)
class Chain:
    """A chain with its key: what it has to be called, the content of the file, and the digest of its public key."""

    label: str
    pem: bytes
    key: str


def read_settings(directory: Path) -> Settings:
    """What the role was told. Raises L(ChainError)."""
    path = directory / SETTINGS
    try:
        return Settings(**json.loads(path.read_bytes()))
    except OSError as error:
        raise ChainError(f"{path}: {error.strerror}; run the role mx_tls first") from None
    except (ValueError, TypeError):
        raise ChainError(f"{path} is damaged; run the role mx_tls again") from None


def key_to_serve(directory: Path) -> t.Optional[str]:
    """The key that may be served, where TLSA records are kept; none: any."""
    if not (directory / KEPT).exists():
        return None
    try:
        known = json.loads((directory / MEMORY).read_bytes())["serve"]
    except (OSError, ValueError, KeyError, TypeError):
        known = None
    if known is not None:
        return str(known)
    # A memory that was lost must not let a key be served that is in no TLSA record: what is there stays.
    installed = installed_chain(directory)
    return installed.key if installed else None


def installed_chain(directory: Path) -> t.Optional[Chain]:
    """What Postfix reads now."""
    try:
        pem = (directory / CHAIN).read_bytes()
        return Chain(str(directory / CHAIN), pem, _key(pem, str(directory / CHAIN)))
    except (OSError, ChainError):
        return None


def lineages(name: str) -> list[str]:
    """The names under which certbot holds certificates of the host, the newest last."""
    endings = (path.name[len(name) :] for path in LIVE.glob(f"{glob.escape(name)}.mx-tls-*"))
    numbers = {int(found.group(1)) for found in map(LINEAGE.fullmatch, endings) if found}
    return [f"{name}.mx-tls-{number}" for number in sorted(numbers)]


def available(settings: Settings) -> tuple[list[Chain], list[str]]:
    """The chains that there are and that senders would accept, the newest last; and what is wrong with others."""
    places = [(settings.certificate_path, settings.key_path)]
    if settings.source == "acme":
        names = [str(LIVE / lineage) for lineage in lineages(settings.name)]
        places = [(f"{place}/fullchain.pem", f"{place}/privkey.pem") for place in names]
    chains, troubles = [], []
    for certificate, key in places:
        try:
            chain = read_chain(certificate, key)
            check(chain.pem, settings.name, settings.ca_file)
            chains.append(chain)
        except ChainError as error:
            troubles.append(f"{certificate}: {error}")
    return chains, troubles


def read_chain(certificate: str, key: str) -> Chain:
    """The chain and the key at two paths. Raises L(ChainError)."""
    parts = []
    # Postfix wants the key before its chain.
    for path in (key, certificate):
        try:
            parts.append(Path(path).read_bytes().rstrip(b"\n") + b"\n")
        except OSError as error:
            raise ChainError(f"{path}: {error.strerror}") from None
    return Chain(certificate, b"".join(parts), _key(b"".join(parts), certificate))


def _key(pem: bytes, label: str) -> str:
    found = _CERTIFICATE.search(pem)
    try:
        if found is None:
            raise ValueError
        return key_of(ssl.PEM_cert_to_DER_cert(found.group().decode("ascii")))
    except (DerError, ValueError):
        raise ChainError(f"{label} has no certificate") from None


def check(pem: bytes, name: str, ca_file: str) -> None:
    """Raises L(ChainError) unless a strict sender accepts this for the name (RFC 8461 4.2): both of them are played."""
    descriptor, path = tempfile.mkstemp()
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        # An encrypted key must be an error, not a question.
        server.load_cert_chain(path, password=lambda: "")
        client = ssl.create_default_context(cafile=ca_file or None)
        client.hostname_checks_common_name = False
        _shake_hands(client, server, name)
    except ssl.SSLCertVerificationError as error:
        raise ChainError(f"senders would not accept it for {name}: {error.verify_message}") from None
    except (ssl.SSLError, ValueError) as error:
        reason = str(getattr(error, "reason", None) or error).lower().replace("_", " ")
        raise ChainError(f"certificate and key are not usable together: {reason}") from None
    except OSError as error:
        raise ChainError(f"{ca_file}: {error.strerror}") from None
    finally:
        os.unlink(path)


def _shake_hands(client_context: ssl.SSLContext, server_context: ssl.SSLContext, name: str) -> None:
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(to_client, to_server, server_hostname=name)
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    pending = [client, server]
    # Each waits for the other; a handshake has a few turns and no more.
    for _turn in range(20):
        for side in list(pending):
            try:
                side.do_handshake()
                pending.remove(side)
            except ssl.SSLWantReadError:
                pass
        if client not in pending:
            return
    raise ChainError("the handshake does not end")


def choose(chains: t.Sequence[Chain], key: t.Optional[str]) -> Chain:
    """The newest chain of those that may be served. Raises L(ChainError)."""
    fitting = [chain for chain in chains if key in (None, chain.key)]
    if not fitting:
        labels = ", ".join(chain.label for chain in chains)
        raise ChainError(f"{labels or 'nothing'} has not the key of the TLSA records, so what is served stays as it is")
    return fitting[-1]


def install(directory: Path, chain: Chain) -> bool:
    """Puts a chain where Postfix reads it; whether that was needed."""
    installed = installed_chain(directory)
    if installed is not None and installed.pem == chain.pem:
        return False
    unload(directory)
    write_file(directory / CHAIN, chain.pem, PRIVATE)
    return True


def unload(directory: Path) -> None:
    """Has Postfix told again of what is there, whatever it was told before."""
    (directory / LOADED).unlink(missing_ok=True)


def is_loaded(directory: Path) -> bool:
    """Whether Postfix was told of what is there now."""
    try:
        return (directory / LOADED).read_text(encoding="ascii") == _loaded_text(directory)
    except OSError:
        return False


def load(directory: Path) -> None:
    """Has Postfix load what is there. Raises L(ChainError)."""
    reload_postfix()
    write_file(directory / LOADED, _loaded_text(directory).encode("ascii"), PRIVATE)


def _loaded_text(directory: Path) -> str:
    content = [(directory / CHAIN).read_bytes(), run("postconf", "-h", *PARAMETERS).encode()]
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in content)).hexdigest()


def reload_postfix() -> None:
    """Has Postfix read its configuration again, once it was checked. Raises L(ChainError)."""
    run("postfix", "check")
    # That it does not run is no mistake of ours, and when it starts it loads all.
    status = subprocess.run(  # pylint: disable=ansible-bad-function  # no module here
        ["postfix", "status"], capture_output=True, timeout=SECONDS, check=False
    )
    if status.returncode == 0:
        run("postfix", "reload")


def run(*command: str) -> str:
    """What a command of Postfix prints. Raises L(ChainError)."""
    try:
        done = subprocess.run(  # pylint: disable=ansible-bad-function  # no module here
            command, capture_output=True, text=True, errors="replace", timeout=SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ChainError(f"{command[0]} cannot be run, is Postfix installed? {error}") from None
    if done.returncode != 0:
        raise ChainError(f"{' '.join(command[:2])}: {(done.stderr or done.stdout).strip()[:400]}")
    return done.stdout


def served_key(address: str, port: int = 25) -> str:
    """The key of the chain that is served after STARTTLS. Raises L(ChainError)."""
    context = ssl.create_default_context()
    # It is to be known what is served, whatever it is.
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with smtplib.SMTP(address, port, timeout=SECONDS / 2) as smtp:
            smtp.starttls(context=context)
            der = t.cast("ssl.SSLSocket", smtp.sock).getpeercert(binary_form=True)
        return key_of(der or b"")
    except (OSError, smtplib.SMTPException, DerError) as error:
        raise ChainError(f"{address}:{port}: {error}") from None
