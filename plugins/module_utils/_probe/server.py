# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Name servers as people and systems name them. Private to this collection."""

from __future__ import annotations

import contextlib
import ipaddress
import socket

from .transport import Server

# Its absence is reported by the modules, which need it.
with contextlib.suppress(ImportError):
    import dns.resolver


def parse_server(text: str) -> Server:
    """C(address), C(address:port) or C([v6]:port) as address and port. Raises ValueError."""
    address, port = text, "53"
    if text.startswith("["):
        address, _bracket, rest = text[1:].partition("]")
        port = rest.lstrip(":") or port
    elif text.count(":") == 1:
        address, _colon, port = text.partition(":")
    try:
        ipaddress.ip_address(address)
        if not 0 < int(port) < 65536:
            raise ValueError
    except ValueError:
        raise ValueError(f"{text!r} is not an IP address with an optional port") from None
    return address, int(port)


def resolve_server(text: str) -> Server:
    """As L(parse_server), for a server that may be given by its name. Raises ValueError."""
    try:
        return parse_server(text)
    except ValueError:
        name, _colon, port = text.partition(":")
    try:
        return str(socket.getaddrinfo(name, int(port or 53), type=socket.SOCK_DGRAM)[0][4][0]), int(port or 53)
    except (OSError, ValueError):
        raise ValueError(f"the name server {text!r} is neither an address nor a name that resolves") from None


def system_resolvers() -> list[Server]:
    """Raises ValueError when the system has none."""
    try:
        found = dns.resolver.Resolver()
    except dns.resolver.NoResolverConfiguration as error:
        raise ValueError(f"this system has no DNS resolver, and none was given: {error}") from None
    return [(str(address), found.port) for address in found.nameservers]
