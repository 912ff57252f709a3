#!/usr/bin/python
# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: host_services
short_description: Keep the services of a role running with their files as they are now
version_added: 0.1.0
author: The postmaster.mta_sts authors (@postmaster-collections)
description:
  - Keeps units of systemd running and enabled, for many of them in one task, and has those read their files anew that have not since
    one of the files was changed.
  - That is seen from the times of the files and of the service, not from what else changed in the same run. So a run that died after
    it had written a file is healed by the next one, which a handler is not.
  - systemd itself reads its units anew (C(systemctl daemon-reload)) where it does not know them as they are.
  - The roles of this collection use it.
requirements:
  - Python >= 3.9
  - systemd >= 247
extends_documentation_fragment:
  - postmaster.mta_sts._attributes
  - postmaster.mta_sts._attributes.actiongroup_mta_sts
attributes:
  check_mode:
    support: full
    details:
      - What check mode did not write is no newer than the service. A unit that is not there yet would be started.
  diff_mode:
    support: full
    details:
      - It shows what systemd is told.
  idempotent:
    support: full
options:
  services:
    description: The units that shall be there, in the order in which they are looked after.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: The name of the unit with its suffix, as V(nginx.service) or V(certbot.timer).
        type: str
        required: true
      files:
        description:
          - What the service reads when it starts. Where one of the files was changed after that, the service is restarted.
          - Of a directory it counts when a file was added, replaced or removed. What is not there counts for nothing.
        type: list
        elements: path
        default: []
      reload_stamp:
        description:
          - Where it is given, the service is reloaded instead, and this file is touched then, as systemd does not know when it last was.
            In C(/run), as every service starts after that is empty.
        type: path
      started:
        description:
          - Whether the unit is kept running, and enabled so that it starts with the host.
          - Without it, it is only restarted or reloaded, if it runs. That is for what others look after, and for what a socket starts.
        type: bool
        default: true
  absent:
    description:
      - The units with a file in C(/etc/systemd/system) that shall not be there. They are stopped and disabled, in this order, and
        their files are removed. Units in other places are left alone.
    type: list
    elements: str
    default: []
seealso:
  - module: ansible.builtin.systemd_service
  - module: postmaster.mta_sts.host_files
"""

EXAMPLES = r"""
- name: A proxy that reads its configuration once, and a timer
  postmaster.mta_sts.host_services:
    services:
      - name: proxy.service
        files: [/etc/systemd/system/proxy.service, /etc/proxy.conf]
      - name: certbot.timer
    absent: [old-proxy.service]

- name: Have Postfix read its main.cf, if it has not and if it runs
  postmaster.mta_sts.host_services:
    services:
      - name: postfix.service
        files: [/etc/postfix/main.cf]
        reload_stamp: /run/postfix-reloaded
        started: false
"""

RETURN = r"""
commands:
  description: What C(systemctl) was told, or would be in check mode.
  type: list
  elements: str
  returned: success
  sample: [daemon-reload, restart proxy.service]
"""

import os
import typing as t
from datetime import datetime, timezone
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

UNITS: t.Final = Path("/etc/systemd/system")
PROPERTIES: t.Final = ("LoadState", "ActiveState", "UnitFileState", "NeedDaemonReload", "ActiveEnterTimestamp")
DAEMON_RELOAD: t.Final = ["daemon-reload"]
Service = dict[str, t.Any]


class Unit(t.NamedTuple):
    """A unit as systemd knows it."""

    there: bool
    runs: bool
    disabled: bool
    outdated: bool
    # When it last started, in seconds since 1970; 0 where it never did.
    since: float


class Systemd:
    """What systemd is asked and told; in check mode it is asked only."""

    def __init__(self, module: AnsibleModule) -> None:
        self.commands: list[str] = []
        self._module = module

    def tell(self, *arguments: str) -> None:
        self.commands.append(" ".join(arguments))
        if not self._module.check_mode:
            self._run(*arguments)

    def units(self, names: t.Sequence[str]) -> list[Unit]:
        if not names:
            return []
        output = self._run("show", "--timestamp=us+utc", f"--property={','.join(PROPERTIES)}", "--", *names)
        return [unit(dict(line.split("=", 1) for line in block.splitlines())) for block in output.strip().split("\n\n")]

    def _run(self, *arguments: str) -> str:
        systemctl = self._module.get_bin_path("systemctl", required=True)
        status, output, errors = self._module.run_command([systemctl, *arguments])
        if status != 0:
            self._module.fail_json(msg=f"systemctl {' '.join(arguments)}: {(errors or output).strip()}")
        return str(output)


def unit(properties: t.Mapping[str, str]) -> Unit:
    return Unit(
        there=properties["LoadState"] != "not-found",
        runs=properties["ActiveState"] in ("active", "reloading"),
        disabled=properties["UnitFileState"] == "disabled",
        outdated=properties["NeedDaemonReload"] == "yes",
        since=seconds(properties["ActiveEnterTimestamp"]),
    )


def seconds(timestamp: str) -> float:
    """Of a time as in C(Fri 2026-11-27 13:00:00.123456 UTC), or of none."""
    if not timestamp:
        return 0.0
    day, time = timestamp.split()[1:3]
    return datetime.strptime(f"{day} {time}", "%Y-%m-%d %H:%M:%S.%f").replace(tzinfo=timezone.utc).timestamp()


def changed_at(paths: t.Iterable[str]) -> float:
    """When the last of them was changed; 0 if there is none."""
    return max((path.stat().st_mtime for path in map(Path, paths) if path.exists()), default=0.0)


def due(service: Service, known: Unit) -> list[str]:
    """What systemd is to be told of a unit, so that it runs and knows its files."""
    name, stamp = service["name"], service["reload_stamp"]
    commands = [f"enable {name}"] if service["started"] and (known.disabled or not known.there) else []
    if not known.runs:
        return [*commands, f"start {name}"] if service["started"] else commands
    loaded_at = max(known.since, changed_at([stamp] if stamp else []))
    if changed_at(service["files"]) > loaded_at:
        verb = "reload" if stamp else "restart" if service["started"] else "try-restart"
        commands.append(f"{verb} {name}")
    return commands


def remove(systemd: Systemd, names: t.Sequence[str], *, check_mode: bool) -> None:
    there = [name for name in names if os.path.lexists(UNITS / name)]
    if not all(known.there for known in systemd.units(there)):
        # The run that wrote it died before systemd knew it.
        systemd.tell(*DAEMON_RELOAD)
    for name in there:
        systemd.tell("disable", "--now", name)
        if not check_mode:
            (UNITS / name).unlink()
    if there:
        systemd.tell(*DAEMON_RELOAD)


def bring(module: AnsibleModule, systemd: Systemd, services: t.Sequence[Service]) -> None:
    names = [service["name"] for service in services]
    units = systemd.units(names)
    if any(known.outdated or (service["started"] and not known.there) for service, known in zip(services, units)):
        systemd.tell(*DAEMON_RELOAD)
        units = systemd.units(names)
    for service, known in zip(services, units):
        if service["started"] and not known.there and not module.check_mode:
            module.fail_json(msg=f"There is no {service['name']} on this host, which shall be started")
        for command in due(service, known):
            systemd.tell(*command.split())
            if command.startswith("reload ") and not module.check_mode:
                Path(service["reload_stamp"]).touch()


def main() -> t.NoReturn:
    suboptions = {
        "name": {"type": "str", "required": True},
        "files": {"type": "list", "elements": "path", "default": []},
        "reload_stamp": {"type": "path"},
        "started": {"type": "bool", "default": True},
    }
    module = AnsibleModule(
        argument_spec={
            "services": {"type": "list", "elements": "dict", "default": [], "options": suboptions},
            "absent": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    systemd = Systemd(module)
    remove(systemd, module.params["absent"], check_mode=module.check_mode)
    bring(module, systemd, module.params["services"])
    commands = systemd.commands
    diff = {"prepared": "".join(f"systemctl {command}\n" for command in commands)} if commands else {}
    module.exit_json(changed=bool(commands), commands=commands, diff=diff)


if __name__ == "__main__":
    main()
