# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Decides on the controller, where the inventory is: a module would first have to be handed all of it."""

from __future__ import annotations

import datetime as dt
import ipaddress
import shutil
import socket
import typing as t
from collections import Counter
from pathlib import Path

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.postmaster.mta_sts.plugins.module_utils._document import (
    DocumentError,
    Documents,
    ReportDocuments,
    read_document,
    write_document,
)
from ansible_collections.postmaster.mta_sts.plugins.module_utils._evidence import Evidence, Site, without_good_ones
from ansible_collections.postmaster.mta_sts.plugins.module_utils._garbage import few_collections
from ansible_collections.postmaster.mta_sts.plugins.module_utils._inventory import (
    Desired,
    InventoryError,
    entry_of,
    read_domains,
)
from ansible_collections.postmaster.mta_sts.plugins.module_utils._plan import make_plan
from ansible_collections.postmaster.mta_sts.plugins.plugin_utils._domains_file import read_entries

ARGUMENTS: t.Final[dict[str, t.Any]] = {
    "domains": {"type": "list", "elements": "raw"},
    "domains_file": {"type": "path"},
    "domains_dest": {"type": "path"},
    "begin": {"type": "bool", "default": False},
    "defaults": {"type": "dict", "default": {}},
    "testing_days": {"type": "int", "default": 7},
    "at": {"type": "str"},
    "policy_hosts": {"type": "dict", "required": True},
    "cname": {"type": "str", "default": ""},
    "ttl": {"type": "int", "default": 3600},
    "ttl_changing": {"type": "int", "default": 300},
    "others_apply": {"type": "bool", "default": False},
    "caa_identities": {"type": "list", "elements": "str", "default": []},
    "served": {"type": "path"},
    "ledgers": {"type": "path"},
    "observed": {"type": "path"},
    "certificates": {"type": "path"},
    "proof": {"type": "path"},
    "failed_hosts": {"type": "list", "elements": "str", "default": []},
    "reports": {"type": "path"},
    "dest": {"type": "path", "required": True},
}
# What a rollout leaves in its directory beside the plan.
DIRECTORIES = ("served", "ledgers", "certificates", "seen", "proved", "reports")
FILES = ("observed.json", "prepared.json", "proof.json", "announced.json", "report.json", "report.html")


class ActionModule(ActionBase):
    """See the documentation of the module of the same name."""

    _supports_check_mode = True
    _supports_async = False
    _requires_connection = False

    @few_collections()
    def run(self, tmp: t.Optional[str] = None, task_vars: t.Optional[dict[str, t.Any]] = None) -> dict[str, t.Any]:
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        _validation, params = self.validate_argument_spec(
            argument_spec=ARGUMENTS,
            required_one_of=[("domains", "domains_file")],
            mutually_exclusive=[("domains", "domains_file")],
        )
        try:
            domains = wanted(params)
            evidence = evidence_of(params)
            plan = make_plan(
                domains, site_of(params), evidence, moment(params["at"]), assume_proof=self._task.check_mode
            )
            if params["begin"]:
                forget(Path(params["dest"]).parent)
            if params["domains_dest"]:
                write_document(params["domains_dest"], [entry_of(domain) for domain in domains])
            write_document(params["dest"], plan)
        except InventoryError as error:
            # Ansible would show their lines as one, or only the last of them.
            Display().display(f"\n{error}\n")
            result.update(failed=True, changed=False, msg=error.summary, mistakes=list(error.mistakes))
            return result
        except (DocumentError, ValueError) as error:
            raise AnsibleActionFail(str(error)) from error
        stages = Counter(entry["stage"] for entry in plan["domains"])
        result.update(changed=False, at=plan["at"], stages=dict(stages), orphans=plan["orphans"][:20])
        result["report_days"] = report_days(domains)
        return result


def wanted(params: t.Mapping[str, t.Any]) -> tuple[Desired, ...]:
    """What the inventory says. Raises L(DomainsFileError) and L(InventoryError)."""
    defaults = {"testing_days": params["testing_days"], **params["defaults"]}
    if params["domains_file"]:
        return read_domains(read_entries(params["domains_file"]), defaults, params["domains_file"])
    return read_domains(params["domains"], defaults)


def evidence_of(params: t.Mapping[str, t.Any]) -> Evidence:
    """What is known so far. Raises L(DocumentError)."""
    return Evidence(
        served=Documents(params["served"]) if params["served"] else {},
        ledgers=Documents(params["ledgers"]) if params["ledgers"] else None,
        observed=read_document(params["observed"]) if params["observed"] else None,
        proof=read_document(params["proof"]) if params["proof"] else None,
        certificates=without_good_ones(Documents(params["certificates"])) if params["certificates"] else None,
        failed_hosts=params["failed_hosts"],
        reports=ReportDocuments(params["reports"]) if params["reports"] else {},
    )


def report_days(domains: t.Iterable[Desired]) -> int:
    """For how many days back the plans of these domains need reports."""
    return max((domain.testing_days for domain in domains), default=0) or 1


def forget(directory: Path) -> None:
    """Removes what earlier runs left. Raises L(DocumentError)."""
    try:
        for name in DIRECTORIES:
            if (directory / name).exists():
                shutil.rmtree(directory / name)
        for name in FILES:
            (directory / name).unlink(missing_ok=True)
    except OSError as error:
        raise DocumentError(f"{error.filename}: {error.strerror}") from None


def resolve_hosts(policy_hosts: dict[str, list[str]]) -> dict[str, list[str]]:
    """The policy hosts with addresses for names. Raises ValueError for a host that has none."""
    resolved = {}
    for host, addresses in policy_hosts.items():
        if not isinstance(addresses, list):
            raise ValueError(f"policy host {host}: mta_sts_public_addresses {addresses!r} must be a list of addresses")
        found: list[str] = []
        for address in addresses:
            try:
                found.append(str(ipaddress.ip_address(address)))
            except ValueError:
                try:
                    answers = socket.getaddrinfo(address, 443, type=socket.SOCK_STREAM)
                except (OSError, UnicodeError):
                    raise ValueError(
                        f"policy host {host}: {address!r} is no IP address and does not resolve; "
                        "set mta_sts_public_addresses for this host"
                    ) from None
                found.extend(str(answer[4][0]) for answer in answers)
        if any(ipaddress.ip_address(address).is_loopback for address in found):
            raise ValueError(
                f"policy host {host}: senders cannot reach it at {', '.join(found)}; "
                "set mta_sts_public_addresses for this host"
            )
        if not found:
            raise ValueError(f"policy host {host}: mta_sts_public_addresses is empty")
        resolved[host] = sorted(set(found))
    if not resolved:
        raise ValueError("there is no policy host; put at least one into the group mta_sts_hosts")
    return resolved


def moment(text: t.Optional[str]) -> dt.datetime:
    """The time to decide for. Raises ValueError for a text that is no time with a zone."""
    if text is None:
        return dt.datetime.now(dt.timezone.utc).replace(microsecond=0)
    try:
        time = dt.datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"at: {text!r} is no time such as 2026-11-23T10:00:00+00:00") from None
    if time.tzinfo is None:
        raise ValueError(f"at: {text!r} has no time zone, as 2026-11-23T10:00:00+00:00 has")
    return time.astimezone(dt.timezone.utc)


def site_of(params: t.Mapping[str, t.Any]) -> Site:
    """What all domains share. Raises ValueError for a policy host that has no address."""
    return Site(
        hosts=resolve_hosts(params["policy_hosts"]),
        cname=params["cname"].lower().rstrip("."),
        ttl=params["ttl"],
        ttl_changing=params["ttl_changing"],
        others_apply=params["others_apply"],
        caa_identities=tuple(params["caa_identities"]),
    )
