# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The proof that every policy host serves exactly the policies of a plan (P1), each fetched as a strict sender would.

Private to this collection.
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import typing as t

from .._finding import Finding
from .._policy import Policy, policy_id, render_policy
from .answer import DnsFailure
from .connect import CONNECTIONS
from .https import FetchFailure, fetch_policy
from .mx import dns_finding
from .sender import Settings, lookup_of, probe_failure
from .tls import Document, strict_context
from .workers import Told, for_each, keep_quiet, share_out


def prove(
    policies: t.Mapping[str, Policy],
    hosts: t.Mapping[str, t.Sequence[str]],
    settings: Settings,
    seen_at: t.Optional[t.Mapping[str, t.Collection[str]]] = None,
) -> dict[str, Document]:
    """Fetches each domain's policy from every address of every policy host, and from the public ones.

    What was just seen (C(seen_at)) at the public addresses, if those of all policy hosts are among them, is not fetched
    again. A document has the policy's C(id), how many addresses served exactly its bytes (C(fetched)), the hosts all of
    whose addresses did (C(proved)), and the C(failures). Raises ValueError for settings that cannot be used, and for
    nothing that is seen.
    """
    strict_context(settings.ca_file)
    work = functools.partial(_prove, dataclasses.replace(settings, tell=keep_quiet), hosts)
    seen = {domain: _seen(policies[domain], hosts, at) for domain, at in (seen_at or {}).items() if domain in policies}
    open_ones = [(domain, policy) for domain, policy in policies.items() if not seen.get(domain)]
    found = share_out("policies", open_ones, work, settings.processes, settings.tell)
    proved = dict(zip((domain for domain, _policy in open_ones), found))
    return {domain: proved.get(domain) or t.cast("Document", seen[domain]) for domain in policies}


def _seen(policy: Policy, hosts: t.Mapping[str, t.Sequence[str]], at: t.Collection[str]) -> t.Optional[Document]:
    """The proof of a policy by what was seen already, if that is one."""
    asked = [address for addresses in hosts.values() for address in addresses]
    # Two hosts at one address are not told apart.
    if not hosts or not all(hosts.values()) or not set(asked) <= set(at) or len(set(asked)) < len(asked):
        return None
    return {"id": policy_id(render_policy(policy)), "fetched": len(at), "proved": list(hosts), "failures": []}


def _prove(
    settings: Settings,
    hosts: t.Mapping[str, t.Sequence[str]],
    policies: t.Sequence[tuple[str, Policy]],
    told: Told,
) -> list[Document]:
    return asyncio.run(_prove_all(settings, hosts, policies, told))


async def _prove_all(
    settings: Settings,
    hosts: t.Mapping[str, t.Sequence[str]],
    policies: t.Sequence[tuple[str, Policy]],
    told: Told,
) -> list[Document]:
    prover = _Prover(hosts, settings)

    async def work(item: tuple[str, Policy]) -> Document:
        domain, body = item[0], render_policy(item[1])
        try:
            fetched, failures = await prover.prove(domain, body)
        except Exception as error:
            fetched, failures = 0, [_failure(host, probe_failure(domain, error)) for host in (*hosts, "public")]
        failed = {failure["host"] for failure in failures}
        told(bool(failures), ())
        proved = [host for host in hosts if host not in failed]
        return {"id": policy_id(body), "fetched": fetched, "proved": proved, "failures": failures}

    try:
        return await for_each(policies, work, settings.concurrency)
    finally:
        prover.close()


class _Prover:
    """What is shared while policies are proved, in one event loop."""

    def __init__(self, hosts: t.Mapping[str, t.Sequence[str]], settings: Settings) -> None:
        self._hosts = hosts
        self._reach = settings.reach
        self._turns = asyncio.Semaphore(CONNECTIONS)
        self._context = strict_context(settings.ca_file)
        self._lookup = lookup_of(settings)

    def close(self) -> None:
        self._lookup.close()

    async def prove(self, domain: str, body: bytes) -> tuple[int, list[Document]]:
        """How many addresses serve exactly this policy, and what the others do."""
        name = f"mta-sts.{domain}"
        targets, failures = self._targets(name)
        try:
            public = await self._lookup.addresses(name)
            targets.update({address: "public" for address in public.records if address not in targets})
            if not public.records:
                failures.append(_failure("public", Finding("policy-host-missing", name, "has no address in DNS")))
        except DnsFailure as error:
            failures.append(_failure("public", dns_finding(name, error)))
        outcomes = await asyncio.gather(*(self._prove_one(name, address, body) for address in targets))
        failures += [_failure(host, finding) for host, finding in zip(targets.values(), outcomes) if finding]
        return outcomes.count(None), failures

    def _targets(self, name: str) -> tuple[dict[str, str], list[Document]]:
        """Which host each address to ask is of, and which hosts cannot be asked."""
        failures: list[Document] = []
        # A policy host's own address is, as a rule, a public one, too: what it serves is the same.
        targets: dict[str, str] = {}
        for host, addresses in self._hosts.items():
            if not addresses:
                seen = f"no address is known at which the policy host {host} can be reached from here"
                failures.append(_failure(host, Finding("policy-unreachable", f"https://{name}", seen)))
            for address in addresses:
                other = targets.setdefault(address, host)
                if other != host:
                    seen = f"is the address of both {other} and {host}; name addresses that tell them apart"
                    failures.append(_failure(host, Finding("policy-unreachable", f"https://{name} at {address}", seen)))
        return targets, failures

    async def _prove_one(self, name: str, address: str, body: bytes) -> t.Optional[Finding]:
        subject = f"https://{name} at {address}"
        try:
            async with self._turns:
                served = (await fetch_policy(name, address, self._context, self._reach)).body
        except FetchFailure as error:
            return Finding(error.code, subject, error.seen)
        if served != body:
            seen = f"serves the policy with id {policy_id(served)} instead of {policy_id(body)}"
            return Finding("policy-differs", subject, seen)
        return None


def _failure(host: str, finding: Finding) -> Document:
    return {"host": host, "code": finding.code, "subject": finding.subject, "seen": finding.seen}
