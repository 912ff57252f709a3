# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One turn of the loop in the simulated world: the real decisions, ledgers and documents, without Ansible.

It is a generator that stops after every write, so that a run can die, or wait, between any two of them.
"""

from __future__ import annotations

import typing as t
from dataclasses import replace

from ansible_collections.postmaster.mta_sts.plugins.module_utils._evidence import Evidence, Site
from ansible_collections.postmaster.mta_sts.plugins.module_utils._ledger import Ledger
from ansible_collections.postmaster.mta_sts.plugins.module_utils._ledger_file import LedgerError
from ansible_collections.postmaster.mta_sts.plugins.module_utils._plan import make_plan
from ansible_collections.postmaster.mta_sts.plugins.module_utils._policy_files import describe_files, render_files
from world import (
    ELSEWHERE,
    Broken,
    Document,
    Domain,
    PolicyHost,
    World,
    id_in,
    may_enforce,
    moment,
    policy_in,
)

# What a run does, write by write.
Steps = t.Generator[str, None, None]


class Trouble(t.NamedTuple):
    """What goes wrong in one run."""

    # "", "dns", "mx", "txt" or "https": what does not answer the probes.
    probe: str = ""
    # By how much the controller's clock is wrong.
    skew: int = 0
    # Seconds between two writes.
    pace: int = 0


NO_TROUBLE = Trouble()


class Rollout:
    """One run; whoever takes the next of its C(steps) carries it on."""

    def __init__(self, world: World, trouble: Trouble = NO_TROUBLE) -> None:
        self.world = world
        self.trouble = trouble
        self.started = world.now
        self.at = world.now + trouble.skew
        self.desired = {d.name: d.desired for d in world.domains.values() if d.desired is not None}
        self.site = Site({host.name: [host.address] for host in world.hosts}, ttl=3600)
        self.seen_mx: dict[str, dict[str, bool]] = {}
        self.last_words: dict[str, dict[tuple[str, int], set[str]]] = {}
        self.forgotten: set[str] = set()
        self.looked_at = world.change
        self.proved_at = 0
        self.overtaken = False
        self.completed = False
        self.plan: Document = {}
        self._failed: set[str] = set()
        self._failed_hosts: set[str] = set()
        self.steps = self._carry_out()

    def _carry_out(self) -> Steps:
        evidence = self._observe()
        self.plan = plan = self._plan(evidence)
        self._note_enforced(evidence, plan)
        for record_set in plan["record_sets"]["prepare"]:
            yield from self._apply(record_set)
        for host in self.world.hosts:
            if host.managed:
                yield from self._serve(host, plan)
        proof = {"host": "controller", "domains": self._prove(plan)}
        yield "all proved"
        evidence = replace(evidence, proof=proof, failed_hosts=self._failed_hosts)
        self.plan = plan = self._plan(evidence)
        for record_set in plan["record_sets"]["announce"]:
            yield from self._apply(record_set)
        self._report()

    def _plan(self, evidence: Evidence) -> Document:
        domains = list(self.desired.values())
        plan = make_plan(domains, self.site, evidence, moment(self.at))
        if len(domains) > 1 and self.looked_at % 4 == 0:
            # P7: what is decided of a domain does not depend on the others. Now and then, as it takes its time.
            alone = make_plan(domains[-1:], self.site, evidence, moment(self.at))["domains"][0]
            if alone != plan["domains"][-1]:
                raise Broken(f"P7 {domains[-1].domain} is decided otherwise beside others")
        return plan

    def _note_enforced(self, evidence: Evidence, plan: Document) -> None:
        """Others that were seen enforcing, by a run that decided something and was to leave that so, are known to."""
        for entry in plan["domains"]:
            domain, seen = self.world.domains[entry["domain"]], evidence.live(entry["domain"])
            if (
                (entry["conditions"] is None and entry["found"] is None)
                or seen is None
                or ELSEWHERE not in domain.address.value
                or not may_enforce(self.desired[domain.name])
            ):
                continue
            if seen["records"] and seen["policy"] and seen["policy"]["mode"] == "enforce":
                domain.enforced = True

    # --- observe ------------------------------------------------------------------------------------------

    def _observe(self) -> Evidence:
        managed = [host for host in self.world.hosts if host.managed]
        served = {host.name: _served(host) for host in managed}
        ledgers = {host.name: self._read_ledger(host) for host in managed}
        domains, reports = {}, {}
        for name in self.desired:
            domain = self.world.domains[name]
            self.last_words[name] = self.world.last_words(domain)
            reports[name] = self.world.reports(domain)
            domains[name] = self._see(domain, self.trouble.probe)
            if id_in(domain.txt.value) is not None and not any(self._knows(host, domain) for host in managed):
                self.forgotten.add(name)
        observed = {"host": "c", "domains": domains}
        return Evidence(served, ledgers, observed, reports={"inbox": reports.items()})

    @staticmethod
    def _knows(host: PolicyHost, domain: Domain) -> bool:
        """Whether a host knows a policy that was served, and not only one that a run wrote down before it died."""
        if domain.file in host.files:
            return True
        rows = host.ledger.describe()["domains"].get(domain.name, {"served": ()})["served"] if host.ledger else ()
        return any(row["until"] for row in rows)

    def _read_ledger(self, host: PolicyHost) -> Document:
        found: Document = {"state": host.ledger_state, "trouble": "", "revision": 0, "written": None, "domains": {}}
        if host.ledger_state == "ok" and host.ledger is not None:
            found.update(host.ledger.describe())
        elif host.ledger_state == "unreadable":
            found["revision"] = None
        return {"host": host.name, **found, "now": moment(self.world.now + host.skew).isoformat()}

    def _see(self, domain: Domain, failing: str) -> Document:
        world = self.world
        records = foreign = addresses = mx = policy = None
        if failing not in ("dns", "txt"):
            records = [text for text in domain.txt.value if text.startswith("v=STSv1;")]
            foreign = [text for text in domain.txt.value if not text.startswith("v=STSv1;")]
        if failing != "dns":
            addresses = list(domain.address.value)
            bodies = [world.body_at(address, domain) for address in sorted(addresses)]
            body = next((body for body in bodies if body is not None), None)
            policy = policy_in(body) if body is not None and failing != "https" else None
        if failing not in ("dns", "mx"):
            mx = list(domain.mx.value)
        self.seen_mx[domain.name] = {host: host in world.broken_mx for host in mx or ()}
        return {
            "record_id": id_in(domain.txt.value) if records is not None else None,
            "records": records,
            "foreign_records": foreign,
            "tlsrpt": [],
            "tlsrpt_records": None if failing == "dns" else [],
            "foreign_tlsrpt_records": None if failing == "dns" else [],
            "ttls": {},
            "aliases": {},
            "zones": {},
            "served": {},
            "caa": None,
            "addresses": addresses,
            "policy": policy and {"mode": policy.mode, "mx": list(policy.mx), "max_age": policy.max_age},
            "mx": mx,
            "mx_ttl": domain.mx.ttl if mx else None,
            "findings": [
                {"code": "mx-certificate", "subject": f"{host}:25 at 192.0.2.25", "seen": "expired"}
                for host in mx or ()
                if host in world.broken_mx
            ],
        }

    # --- serve --------------------------------------------------------------------------------------------

    def _serve(self, host: PolicyHost, plan: Document) -> Steps:
        """As a policy host carries a plan out: ledger, files, ledger."""
        if not any(e["serve"] or e["remove"] or e["found"] or e["conditions"] is not None for e in plan["domains"]):
            return
        try:
            ledger = self._open_ledger(host)
            ledger.record(plan["domains"], host.bodies(), self.at, plan["revisions"].get(host.name))
        except LedgerError:
            self._failed_hosts.add(host.name)
            return
        host.publishing = True
        try:
            yield from self._publish(host, ledger, plan)
        finally:
            host.publishing = False

    def _publish(self, host: PolicyHost, ledger: Ledger, plan: Document) -> Steps:
        yield f"{host.name} recorded"
        wanted = render_files(entry for entry in plan["domains"] if entry["serve"])
        for name, body in wanted.items():
            if host.files.get(name) != body:
                self.world.write_file(host, self._domain_of(name), body, self)
                yield f"{host.name} wrote {name}"
        for entry in plan["domains"]:
            domain = self.world.domains[entry["domain"]]
            if entry["remove"] and not entry["serve"] and domain.file in host.files:
                self.world.remove_file(host, domain, self)
                yield f"{host.name} removed {domain.file}"
        if host.ledger is ledger:
            ledger.settle(host.bodies(), self.world.now + host.skew)
            yield f"{host.name} settled"

    def _open_ledger(self, host: PolicyHost) -> Ledger:
        if host.ledger_state == "unreadable" or host.publishing:
            raise LedgerError("cannot be used")
        if host.ledger is None:
            host.ledger, host.ledger_state = Ledger(":memory:"), "ok"
        return host.ledger

    def _domain_of(self, name: str) -> Domain:
        return self.world.domains[name[len("mta-sts.") : -len(".txt")]]

    # --- prove and announce -------------------------------------------------------------------------------

    def _prove(self, plan: Document) -> Document:
        self.proved_at = self.world.change
        return {e["domain"]: self._prove_one(e) for e in plan["domains"] if e["serve"] and e["certificate"]}

    def _prove_one(self, entry: Document) -> Document:
        domain = self.world.domains[entry["domain"]]
        body = render_files([entry])[domain.file]
        targets = {host.address: host.name for host in self.world.hosts}
        targets.update({address: "public" for address in domain.address.value if address not in targets})
        failures = [
            {"host": host, "code": "policy-differs", "subject": address, "seen": "another policy, or none"}
            for address, host in targets.items()
            if self.world.body_at(address, domain) != body
        ]
        if not domain.address.value:
            failures.append({"host": "public", "code": "policy-host-missing", "subject": domain.name, "seen": ""})
        failed = {failure["host"] for failure in failures}
        return {
            "id": entry["id"],
            "fetched": len(targets) - len(failures),
            "proved": [host.name for host in self.world.hosts if host.name not in failed],
            "failures": failures,
        }

    def _apply(self, record_set: Document) -> Steps:
        """Brings one record set to its wanted state, unless it is not what it was when that was decided."""
        domain = self.world.domains[record_set["item"]]
        values = tuple(record_set["values"])
        if record_set["type"] == "TXT":
            if domain.txt.value == values:
                return
            expected = record_set.get("expected")
            if expected is not None and sorted(expected) != sorted(domain.txt.value):
                self._failed.add(domain.name)
                return
            self.world.write_txt(domain, values, self)
        elif record_set["type"] == "A" and domain.address.value != values:
            self.world.write_address(domain, values, self)
        else:
            return
        yield f"{record_set['name']} {record_set['type']} {values}"

    def _report(self) -> None:
        self.completed = True
        for domain in self.world.domains.values():
            domain.reported = None
            domain.reported_at = self.at
            domain.reported_mx = self.desired[domain.name].mx if domain.name in self.desired else ()
        for entry in self.plan["domains"]:
            failed = {"stage": "pending"} if entry["domain"] in self._failed else {}
            self.world.domains[entry["domain"]].reported = {**entry, **failed}


def _served(host: PolicyHost) -> Document:
    policies, damaged = describe_files(host.files)
    return {"host": host.name, "policies": policies, "damaged": damaged}
