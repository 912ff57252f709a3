# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The TLSA records of an MX host as every name server of its zone says them, and whether they are signed.

Private to this collection.
"""

from __future__ import annotations

import asyncio
import time
import typing as t

try:
    import dns.name
    import dns.rdatatype
except ImportError:  # reported by the module, which needs it
    pass

from ._probe.answer import DnsFailure
from ._probe.dane import tlsa_name
from ._probe.dns import Lookup
from ._probe.server import resolve_server
from ._record_sets.answers import read
from ._record_sets.authorities import LOOK_SECONDS, Authorities
from ._record_sets.record_set import InputError, ServerError, SetError, parse_name
from ._record_sets.server import Server
from ._tlsa import InDns, normal


class Look:
    """Looks at the records of one MX host."""

    def __init__(self, host: str, authorities: t.Sequence[str], resolvers: t.Sequence[str], timeout: float) -> None:
        """Raises InputError."""
        self._host, self._resolvers, self._timeout = host, resolvers, timeout
        self._authorities = authorities
        try:
            self._name = parse_name(tlsa_name(host), "name")
        except ValueError as error:
            raise InputError(str(error)) from None

    async def at_records(self, wanted: t.Optional[t.Collection[str]], ttl: int, wait: float) -> InDns:
        """What is there; with C(wanted), once all name servers say so with this TTL, or the seconds are over."""
        deadline = time.monotonic() + wait
        authorities = Authorities(self._authorities, self._resolvers, self._timeout)
        try:
            while True:
                found = await self._at_servers(authorities)
                arrived = found.complete and found.anywhere == found.everywhere == frozenset(wanted or ())
                left = deadline - time.monotonic()
                if wanted is None or left <= 0 or (arrived and (not wanted or found.ttl == ttl)):
                    return found
                await asyncio.sleep(min(LOOK_SECONDS, left))
        finally:
            await authorities.close()

    async def _at_servers(self, authorities: Authorities) -> InDns:
        try:
            servers = await authorities.of(self._name)
        except SetError as error:
            return InDns(complete=False, trouble=str(error))
        answers = await asyncio.gather(*(self._at(server) for server in servers))
        troubles = [trouble for _values, _ttl, trouble in answers if trouble]
        said = [values for values, _ttl, trouble in answers if not trouble]
        return InDns(
            frozenset().union(*said),
            frozenset.intersection(*said) if said else frozenset(),
            max((ttl for _values, ttl, _trouble in answers), default=0),
            bool(said) and not troubles,
            "; ".join(troubles) or ("" if said else f"no name server of {self._host} is known"),
        )

    async def _at(self, server: Server) -> tuple[frozenset[str], int, str]:
        try:
            reading = await read(server, self._name, dns.rdatatype.TLSA)
        except (ServerError, SetError) as error:
            return frozenset(), 0, str(error)
        if reading.alias is not None:
            return (
                frozenset(),
                0,
                f"{self._name} is a CNAME of {reading.alias}: this role keeps the records at the name itself",
            )
        if reading.rdataset is None:
            return frozenset(), 0, ""
        return frozenset(normal(rdata.to_text()) for rdata in reading.rdataset), reading.rdataset.ttl, ""

    async def whether_signed(self) -> str:
        """What keeps senders from the use of TLSA records: nothing where a validating resolver vouches for them."""
        lookup = Lookup([resolve_server(text) for text in self._resolvers], [], self._timeout)
        try:
            addresses, records = await lookup.addresses(self._host), await lookup.tlsa(tlsa_name(self._host))
        except DnsFailure as error:
            return f"no sender can look up whether {self._host} has TLSA records: {error}"
        finally:
            lookup.close()
        if not addresses.records:
            return f"{self._host} has no address in DNS"
        if addresses.secure and records.secure:
            return ""
        what = f"what is at {tlsa_name(self._host)} is" if addresses.secure else f"the addresses of {self._host} are"
        return (
            f"{what} not signed, or no resolver that was asked validates, so nobody would use TLSA records: sign the "
            "zone, have its DS record published, or name a validating resolver"
        )


async def look_at(
    params: t.Mapping[str, t.Any],
) -> InDns:
    """What a module's options ask for. Raises InputError, and ValueError where there is no resolver."""
    look = Look(params["name"], params["authorities"], params["resolvers"], params["timeout"])
    insecure = await look.whether_signed()
    found = await look.at_records(params["wanted"], params["ttl"], params["wait"])
    values = {**vars(found), "secure": not insecure, "insecure": insecure}
    return InDns(**values)
