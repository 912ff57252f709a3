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
  returned: always
  sample: [daemon-reload, restart proxy.service]
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.postmaster.mta_sts.plugins.module_utils._systemd import (
    Systemd,
    SystemdError,
    bring,
    remove,
)


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
    module.get_bin_path("systemctl", required=True)
    systemd = Systemd(module.run_command, check_mode=module.check_mode)
    try:
        remove(systemd, module.params["absent"])
        bring(systemd, module.params["services"])
    except SystemdError as error:
        module.fail_json(msg=str(error), commands=systemd.commands)
    commands = systemd.commands
    diff = {"prepared": "".join(f"systemctl {command}\n" for command in commands)} if commands else {}
    module.exit_json(changed=bool(commands), commands=commands, diff=diff)


if __name__ == "__main__":
    main()
