#!/usr/bin/python
# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: mx_tls
short_description: Give a Postfix MX host a certificate for its own name
version_added: 0.1.0
author: The postmaster.mta_sts authors (@postmaster-collections)
description:
  - Brings a certificate for the name of an MX host, and has Postfix serve it with TLS 1.2 and later (RFC 8461 4.2, RFC 8314 4.1).
  - A certificate that a strict sender would not accept for the name is refused, and nothing is changed then.
  - Sets C(smtpd_tls_chain_files), C(smtpd_tls_protocols) and C(smtpd_tls_mandatory_protocols) and, if TLS was off,
    C(smtpd_tls_security_level), and nothing else. What they were is written down, and taken back with O(state=absent).
  - Where M(postmaster.mta_sts.mx_tlsa) keeps TLSA records, only a chain with the key that may be served is installed.
  - Needs nothing but Postfix and Python's standard library on the host, and certbot for O(source=acme).
requirements:
  - Python >= 3.9
  - Postfix >= 3.6
extends_documentation_fragment:
  - postmaster.mta_sts._attributes
  - postmaster.mta_sts._attributes.actiongroup_mta_sts
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details:
      - Keys are shown by their SHA-256 digest.
  idempotent:
    support: full
options:
  name:
    description:
      - The name that MX records have for the host. Without it, what Postfix calls it in C(myhostname), with which it greets senders.
    type: str
  source:
    description:
      - V(acme) gets the certificate by certbot with the http-01 challenge (RFC 8555 8.3), and keeps its key when it is renewed.
      - V(files) takes one that is on the host.
    type: str
    choices: [acme, files]
    default: acme
  acme_directory:
    description: The directory URL of the ACME server. Its terms of service are agreed to.
    type: str
    default: https://acme-v02.api.letsencrypt.org/directory
  acme_email:
    description: Where the ACME server may send notices.
    type: str
    default: ''
  acme_webroot:
    description:
      - The directory from which a web server on the host delivers C(/.well-known/acme-challenge/). Without one, certbot
        answers on port 80 itself.
    type: path
    default: ''
  certificate_path:
    description: For O(source=files), the path on the host of the certificate with its chain.
    type: path
    default: ''
  key_path:
    description: For O(source=files), the path on the host of the key.
    type: path
    default: ''
  ca_file:
    description: A file on the host with the CAs that senders trust. Without one, those of the system.
    type: path
    default: ''
  keep_key:
    description:
      - Whether the host may have TLSA records already. If so, what Postfix serves now stays until M(postmaster.mta_sts.mx_tlsa) has
        published the records of the new key, and senders know them.
    type: bool
    default: false
  address:
    description: The address at which Postfix is asked what it serves, for O(keep_key), from the host itself.
    type: str
    default: 127.0.0.1
  directory:
    description: Where all of this is kept on the host, for nobody but root.
    type: path
    default: /var/lib/mx-tls
  state:
    description: V(absent) takes all of it away again. It is refused as long as senders may hold TLSA records.
    type: str
    choices: [present, absent]
    default: present
seealso:
  - module: postmaster.mta_sts.mx_tlsa
"""

EXAMPLES = r"""
- name: Have Postfix serve a certificate from Let's Encrypt
  postmaster.mta_sts.mx_tls:
    name: mx1.example.net
    acme_email: hostmaster@example.net

- name: Have it serve one that is there
  postmaster.mta_sts.mx_tls:
    source: files
    certificate_path: /etc/ssl/mx/fullchain.pem
    key_path: /etc/ssl/mx/privkey.pem
"""

RETURN = r"""
name:
  description: The name of the host.
  type: str
  returned: success
  sample: mx1.example.net
key:
  description: The SHA-256 digest of the public key that Postfix was given, as in a TLSA record. Null where there is none yet.
  type: str
  returned: success
  sample: 8bb0c2a4d4a0c6b5d3b1bcb0a9f3a0a7b0e6a1c2d3e4f5061728394a5b6c7d8e
"""

import typing as t
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.postmaster.mta_sts.plugins.module_utils._mx_chain import ChainError, Settings
from ansible_collections.postmaster.mta_sts.plugins.module_utils._mx_tls import bring, my_name, take_back
from ansible_collections.postmaster.mta_sts.plugins.module_utils._mx_tlsa import keep_key

FROM_FILES = ["certificate_path", "key_path"]
GIVEN = ["source", "acme_directory", "acme_email", "acme_webroot", *FROM_FILES, "ca_file"]


def main() -> t.NoReturn:
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str"},
            "source": {"type": "str", "choices": ["acme", "files"], "default": "acme"},
            "acme_directory": {"type": "str", "default": "https://acme-v02.api.letsencrypt.org/directory"},
            "acme_email": {"type": "str", "default": ""},
            "acme_webroot": {"type": "path", "default": ""},
            "certificate_path": {"type": "path", "default": ""},
            "key_path": {"type": "path", "default": "", "no_log": False},
            "ca_file": {"type": "path", "default": ""},
            "keep_key": {"type": "bool", "default": False, "no_log": False},
            "address": {"type": "str", "default": "127.0.0.1"},
            "directory": {"type": "path", "default": "/var/lib/mx-tls"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
        supports_check_mode=True,
    )
    params = module.params
    if params["source"] == "files" and not all(params[path] for path in FROM_FILES):
        module.fail_json(msg="source=files needs certificate_path and key_path")
    try:
        settings = Settings(params["name"] or my_name(), **{name: params[name] for name in GIVEN})
        directory = Path(params["directory"])
        if params["state"] == "absent":
            done = take_back(settings.name, directory, check_mode=module.check_mode)
        else:
            if params["keep_key"] and not module.check_mode:
                keep_key(directory, params["address"])
            done = bring(settings, directory, check_mode=module.check_mode)
    except (ChainError, OSError) as error:
        module.fail_json(msg=str(error))
    for warning in done.warnings:
        module.warn(warning)
    lines = [{"before": "\n".join([*done.before, ""]), "after": "\n".join([*done.after, ""])}]
    module.exit_json(changed=done.changed, name=done.name, key=done.key, diff=lines)


if __name__ == "__main__":
    main()
