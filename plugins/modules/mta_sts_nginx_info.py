#!/usr/bin/python
# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: mta_sts_nginx_info
short_description: Tell how a site of this collection gets on with the other sites of an nginx
version_added: 0.1.0
author: The postmaster.mta_sts authors (@postmaster-collections)
description:
  - Reads what C(nginx -T) prints on a host, and tells where the file with the site of the policies, or with that where reports
    arrive, goes so that nothing changes for the others, and what it must leave to them.
  - Nothing of the configuration itself is returned, as it may hold secrets.
  - Needs nothing but nginx and Python's standard library on the host.
requirements:
  - Python >= 3.9
  - nginx, if it is there, with a configuration that is sound
extends_documentation_fragment:
  - postmaster.mta_sts._attributes
  - postmaster.mta_sts._attributes.actiongroup_mta_sts
  - postmaster.mta_sts._attributes.info_module
options:
  listen_addresses:
    description: The addresses on which the site shall listen, IPv4 or IPv6. Without any it is on all.
    type: list
    elements: str
    default: []
  site:
    description: Which site it is, that of the policies or that where TLSRPT reports arrive. To each the other is one of the others.
    type: str
    choices: [policies, reports]
    default: policies
  stamp:
    description:
      - Path of a file on the host that is touched whenever nginx has loaded its configuration, for RV(loaded).
    type: path
seealso:
  - module: postmaster.mta_sts.mta_sts_policies
"""

EXAMPLES = r"""
- name: See what else nginx serves
  postmaster.mta_sts.mta_sts_nginx_info:
    listen_addresses: [198.51.100.1, '2001:db8::1']
  register: nginx
"""

RETURN = r"""
installed:
  description: Whether there is an nginx.
  type: bool
  returned: success
certbot:
  description: Whether there is a certbot where distributions put it, C(/usr/bin/certbot).
  type: bool
  returned: success
version:
  description: The version of nginx.
  type: str
  returned: where it is installed
  sample: 1.22.1
place:
  description:
    - Path of a file that nginx reads behind those of the other sites, so that none of these stops being the first of its
      address, which answers for unknown names.
    - Empty if nginx reads neither C(/etc/nginx/sites-enabled) nor C(/etc/nginx/conf.d).
  type: str
  returned: where it is installed
  sample: /etc/nginx/sites-enabled/zz-mta-sts.conf
ours:
  description: The files that nginx reads now and that have the site.
  type: list
  elements: str
  returned: where it is installed
settled:
  description: Directives of the C(http) level that the site would set and cannot, as the other sites settled them.
  type: list
  elements: str
  returned: where it is installed
  sample: [map_hash_bucket_size]
conflicts:
  description: Why the site cannot listen on O(listen_addresses) beside the others, and what to do about it.
  type: list
  elements: str
  returned: where it is installed
loaded:
  description: Whether the site is there, and O(stamp) is newer than its files.
  type: bool
  returned: where it is installed
"""

import re
import typing as t
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.postmaster.mta_sts.plugins.module_utils._nginx_conf import SITES, conflicts, read_dump

CERTBOT: t.Final = Path("/usr/bin/certbot")


def is_loaded(files: t.Sequence[str], stamp: t.Optional[str]) -> bool:
    """Whether there are files, and the stamp is newer than all of them."""
    if not stamp or not files:
        return False
    try:
        return Path(stamp).stat().st_mtime_ns > max(Path(path).stat().st_mtime_ns for path in files)
    except FileNotFoundError:
        return False


def main() -> t.NoReturn:
    module = AnsibleModule(
        argument_spec={
            "listen_addresses": {"type": "list", "elements": "str", "default": []},
            "site": {"type": "str", "choices": list(SITES), "default": "policies"},
            "stamp": {"type": "path"},
        },
        supports_check_mode=True,
    )
    nginx, certbot = module.get_bin_path("nginx"), CERTBOT.exists()
    if nginx is None:
        module.exit_json(changed=False, installed=False, certbot=certbot)
    status, dump, errors = module.run_command([nginx, "-T"])
    if status != 0:
        module.fail_json(msg=f"nginx's configuration does not pass 'nginx -t', mend it first: {errors.strip()}")
    version = re.search(r"nginx/([0-9.]*[0-9])", module.run_command([nginx, "-v"])[2])
    neighbours = read_dump(dump, SITES[module.params["site"]])
    module.exit_json(
        changed=False,
        installed=True,
        certbot=certbot,
        version=version.group(1) if version else "0",
        place=neighbours.place,
        ours=list(neighbours.ours),
        settled=list(neighbours.settled),
        conflicts=conflicts(neighbours.listens, module.params["listen_addresses"]),
        loaded=is_loaded(neighbours.ours, module.params["stamp"]),
    )


if __name__ == "__main__":
    main()
