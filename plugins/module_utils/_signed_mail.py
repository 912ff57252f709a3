# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether a mail with a TLSRPT report is signed by whoever it says it is from (RFC 8460 3, RFC 6376 6).

dkimpy does the cryptography. What it leaves open is closed here: which signatures are looked at, what a key is for,
and how much work a mail can make. Private to this collection.
"""

from __future__ import annotations

import email.utils
import re
import time
import typing as t

from ._finding import printable
from ._names import DomainNameError, to_ascii
from ._probe.server import parse_server

try:
    import dkim
    import dns.exception
    import dns.resolver
except ImportError:  # reported by the module, which needs them for this only
    pass

# Headers of real mail are far smaller, and a report of 16 MiB in BASE64 has fewer lines.
HEADERS_LIMIT: t.Final = 64 * 1024
HEADER_LINES_LIMIT: t.Final = 1000
LINES_LIMIT: t.Final = 500_000
SIGNATURES_LIMIT: t.Final = 5
SIGNATURE_LIMIT: t.Final = 4096
# A longer run costs dkimpy its length for each of its blanks.
BLANKS_LIMIT: t.Final = 100
# That of an RSA key of 4096 bits has half of it.
KEY_LIMIT: t.Final = 1500
# RFC 8301 3.2.
SHORTEST_KEY: t.Final = 1024
ALGORITHMS: t.Final = (b"rsa-sha256", b"ed25519-sha256")
SERVICES: t.Final = {"*", "tlsrpt"}
# For how long a key is looked up, and all those that cannot be, in seconds.
LOOKUP_SECONDS: t.Final = 5.0
PATIENCE: t.Final = 120.0

_SELECTOR = re.compile(r"[A-Za-z0-9_.-]{1,200}")

Header = tuple[bytes, bytes]


class UnsignedError(Exception):
    """Why a mail, or one signature of it, does not count."""


def missing_library() -> str:
    """The library without which nothing can be verified and that is not there, if any."""
    return "" if "dkim" in globals() and "dns" in globals() else "dkimpy >= 1.1 (python3-dkim)"


class SignedMail:
    """Tells of mail whether it counts, and looks every key up once."""

    def __init__(self, resolvers: t.Sequence[str] = ()) -> None:
        """Asks the system's resolvers, if none are given. Raises ValueError."""
        self._resolver = dns.resolver.Resolver(configure=not resolvers)
        if resolvers:
            servers = [parse_server(text) for text in resolvers]
            self._resolver.nameservers = [address for address, _port in servers]
            self._resolver.nameserver_ports = dict(servers)
        self._keys: dict[str, t.Union[dict[str, str], UnsignedError]] = {}
        self._patience = PATIENCE

    def distrust(self, message: bytes) -> str:
        """Why a mail does not count; empty if it does."""
        try:
            _check_size(message)
            signer = dkim.DKIM(message, minkey=SHORTEST_KEY, tlsrpt=True)
            author = _author(signer.headers)
            signatures = [value for name, value in signer.headers if name.lower() == b"dkim-signature"]
            if not signatures:
                raise UnsignedError("it is not signed")
            reasons = []
            for index, signature in enumerate(signatures[:SIGNATURES_LIMIT]):
                try:
                    self._verify(signer, index, signature, author)
                    return ""
                except UnsignedError as error:
                    reasons.append(str(error))
            raise UnsignedError("; ".join(dict.fromkeys(reasons)))
        except UnsignedError as error:
            return f"DKIM: {printable(str(error), 300)}"
        except Exception as error:
            # What the library makes of all the garbage that there may be is not to be listed.
            return f"DKIM: it cannot be verified: {printable(str(error) or type(error).__name__, 200)}"

    def _verify(self, signer: dkim.DKIM, index: int, signature: bytes, author: str) -> None:
        """Raises L(UnsignedError) and, for what does not keep to the grammar, what the library raises."""
        if len(signature) > SIGNATURE_LIMIT:
            raise UnsignedError(f"a signature has more than {SIGNATURE_LIMIT} bytes")
        tags, signed, _headers = _library(lambda: signer.verify_headerprep(index))
        domain, selector = _name(tags[b"d"]), tags[b"s"].decode("ascii", "replace")
        if not _SELECTOR.fullmatch(selector):
            raise UnsignedError(f"{selector!r} is no selector")
        if not _is_aligned(domain, author):
            raise UnsignedError(f"signed by {domain}, and from {author}")
        if tags[b"a"] not in ALGORITHMS:
            raise UnsignedError(
                f"signed with {tags[b'a'].decode('ascii', 'replace')}, which is not safe (RFC 8301 3.1)"
            )
        if b"l" in tags:
            raise UnsignedError("signed in part, with l= (RFC 8460 3)")
        if b"from" not in signed:
            raise UnsignedError("its From is not signed (RFC 6376 5.4)")
        key = self._key(f"{selector}._domainkey.{domain}")
        if "s" in _list(key, "t") and b"i" in tags and _name(tags[b"i"].rpartition(b"@")[2]) != domain:
            raise UnsignedError("its key is not for names below its domain (t=s)")
        record = "; ".join(f"{tag}={value}" for tag, value in key.items() if tag != "s").encode()
        if not _library(lambda: signer.verify(index, dnsfunc=lambda _name, **_options: record)):
            raise UnsignedError(f"the signature of {domain} does not verify")

    def _key(self, name: str) -> dict[str, str]:
        """The tags of a key that may sign reports. Raises L(UnsignedError)."""
        if name not in self._keys:
            try:
                self._keys[name] = _usable_key(name, self._look_up(name))
            except UnsignedError as error:
                self._keys[name] = error
        found = self._keys[name]
        if isinstance(found, UnsignedError):
            raise found
        return found

    def _look_up(self, name: str) -> list[str]:
        if self._patience <= 0:
            raise UnsignedError(f"the key {name} was not looked up, as those before took too long")
        started = time.monotonic()
        try:
            answer = self._resolver.resolve(f"{name}.", "TXT", lifetime=LOOKUP_SECONDS, search=False)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            raise UnsignedError(f"there is no key {name} in DNS") from None
        except dns.exception.DNSException as error:
            self._patience -= time.monotonic() - started
            raise UnsignedError(f"the key {name} could not be looked up: {error}") from None
        return [b"".join(record.strings).decode("ascii", "replace") for record in answer]


def _check_size(message: bytes) -> None:
    """Raises L(UnsignedError) for what the library would work on for ever."""
    header = message.replace(b"\r\n", b"\n").partition(b"\n\n")[0]
    if len(header) > HEADERS_LIMIT or header.count(b"\n") >= HEADER_LINES_LIMIT:
        raise UnsignedError(f"its header has more than {HEADERS_LIMIT >> 10} KiB or {HEADER_LINES_LIMIT} lines")
    if message.count(b"\n") > LINES_LIMIT:
        raise UnsignedError(f"it has more than {LINES_LIMIT} lines")
    if b" " * BLANKS_LIMIT in message.replace(b"\t", b" "):
        raise UnsignedError(f"it has {BLANKS_LIMIT} blanks in a row")


def _author(headers: t.Sequence[Header]) -> str:
    """The domain that a mail is from. Raises L(UnsignedError)."""
    given = [value.decode("utf-8", "replace") for name, value in headers if name.lower() == b"from"]
    addresses = [address for _name, address in email.utils.getaddresses(given)]
    if len(given) != 1 or len(addresses) != 1 or "@" not in addresses[0]:
        raise UnsignedError("its From is not one address")
    return _name(addresses[0].rpartition("@")[2].encode())


def _name(value: bytes) -> str:
    try:
        return to_ascii(value.decode("utf-8", "replace").strip())
    except DomainNameError as error:
        raise UnsignedError(str(error)) from None


def _is_aligned(domain: str, author: str) -> bool:
    """Whether they are the same, or one is below the other. Neither is a top-level domain."""
    upper, lower = sorted((domain, author), key=len)
    return f".{lower}".endswith(f".{upper}")


def _library(work: t.Callable[[], t.Any]) -> t.Any:
    """What a function of the library returns. Raises L(UnsignedError) for what it refuses."""
    try:
        return work()
    except dkim.DKIMException as error:
        raise UnsignedError(f"the signature does not verify: {error}") from None


def _usable_key(name: str, records: t.Sequence[str]) -> dict[str, str]:
    """The tags of the one key record of a name (RFC 6376 3.6.1). Raises L(UnsignedError)."""
    if len(records) != 1:
        raise UnsignedError(f"there are {len(records)} records at the key {name}")
    if len(records[0]) > KEY_LIMIT:
        raise UnsignedError(f"the key {name} has more than {KEY_LIMIT} characters")
    parts = [part.partition("=") for part in records[0].split(";") if part.strip()]
    key = {tag.strip(): "".join(value.split()) for tag, _equals, value in parts}
    if not key.get("p"):
        raise UnsignedError(f"the key {name} was revoked")
    if not SERVICES.intersection(_list(key, "s") or {"*"}):
        raise UnsignedError(f"the key {name} is not for reports, it has s={key['s']} (RFC 8460 3)")
    if "h" in key and "sha256" not in _list(key, "h"):
        raise UnsignedError(f"the key {name} is not for sha256")
    if "y" in _list(key, "t"):
        raise UnsignedError(f"the key {name} is for tests (t=y)")
    return key


def _list(key: t.Mapping[str, str], tag: str) -> set[str]:
    return set(filter(None, key.get(tag, "").split(":")))
