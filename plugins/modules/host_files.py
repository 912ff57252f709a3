#!/usr/bin/python
# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: host_files
short_description: Bring the directories and small files of a role to a host, all at once
version_added: 0.1.0
author: The postmaster.mta_sts authors (@postmaster-collections)
description:
  - Does what M(ansible.builtin.file) and M(ansible.builtin.copy) with O(ansible.builtin.copy#module:content) do, for many
    paths in one task. Each path in a task of its own takes a connection to the host, and most of the time of a run in which nothing
    changes.
  - The roles of this collection use it. Where it does not matter how long a run takes, take the modules of ansible-core.
  - A file is replaced as a whole, atomically, and only if something is different. It is shown in diffs, so that this is not for secrets.
    Of one of more than 2000 bytes, as of a program, only the size and the hash are shown.
requirements:
  - Python >= 3.9
extends_documentation_fragment:
  - postmaster.mta_sts._attributes
  - postmaster.mta_sts._attributes.actiongroup_mta_sts
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  directories:
    description:
      - The directories that shall be there, in this order. Parents that are missing are made, with mode 0755.
      - It is an error if something else than a directory is at the path.
    type: list
    elements: dict
    default: []
    suboptions: &suboptions
      path:
        description: The path.
        type: path
        required: true
      owner:
        description: The name of the user who owns it. By default it is left as it is.
        type: str
      group:
        description: The name of the group that owns it. By default it is left as it is.
        type: str
      mode:
        description: The mode, as in V('0755'). By default it is left as it is.
        type: str
  files:
    description:
      - The files that shall be there, after O(directories).
      - It is an error if a directory is at the path, or if its directory is not there.
    type: list
    elements: dict
    default: []
    suboptions:
      <<: *suboptions
      content:
        description: The text of the file, in UTF-8.
        type: str
        required: true
      validate:
        description:
          - A command that says whether the file can be used, with C(%s) in place of its path, before it comes to where it belongs, as
            V(unbound-checkconf %s). Without a shell. Not in check mode.
        type: str
  absent:
    description:
      - The files that shall not be there, after all else and in this order. A directory is removed if nothing is in it then, which is
        else an error.
    type: list
    elements: path
    default: []
seealso:
  - module: ansible.builtin.copy
  - module: ansible.builtin.file
"""

EXAMPLES = r"""
- name: A hook in a directory of its own
  postmaster.mta_sts.host_files:
    directories:
      - {path: /etc/letsencrypt/renewal-hooks/deploy, owner: root, group: root, mode: '0755'}
    files:
      - path: /etc/letsencrypt/renewal-hooks/deploy/postfix
        content: |
          #!/bin/sh
          systemctl reload postfix
        owner: root
        group: root
        mode: '0755'
    absent: [/etc/cron.d/reload-postfix]
"""

RETURN = r"""
paths:
  description: What was made, changed or removed, or would be in check mode.
  type: list
  elements: str
  returned: success
  sample: [/etc/letsencrypt/renewal-hooks/deploy/postfix]
"""

import hashlib
import os
import shlex
import tempfile
import typing as t
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

ATTRIBUTES: t.Final = {
    "path": {"type": "path", "required": True},
    "owner": {"type": "str"},
    "group": {"type": "str"},
    "mode": {"type": "str"},
}
Wanted = dict[str, t.Any]
# What was there and what there is now, in the form of Ansible's diff.
Diff = dict[str, t.Any]
# Of a file with more bytes nobody reads a diff; it would hide those that somebody does.
SHOWN: t.Final = 2000


def titles(path: Path) -> Diff:
    return {"before_header": str(path), "after_header": str(path)}


def settle(module: AnsibleModule, wanted: Wanted, diff: Diff, *, changed: bool) -> t.Optional[Diff]:
    """Owner, group and mode. Returns the diff if anything is changed, by this or before."""
    attributes = module.load_file_common_arguments(wanted, path=wanted["path"])
    return diff if module.set_fs_attributes_if_different(attributes, changed, diff) else None


def bring_directory(module: AnsibleModule, wanted: Wanted) -> t.Optional[Diff]:
    path = Path(wanted["path"])
    if path.exists() and not path.is_dir():
        module.fail_json(msg=f"{path} shall be a directory, and something else is there")
    missing = not path.is_dir()
    if missing and not module.check_mode:
        path.mkdir(parents=True)
    states: Diff = (
        {"before": {"state": "absent"}, "after": {"state": "directory"}} if missing else {"before": {}, "after": {}}
    )
    return settle(module, wanted, {**titles(path), **states}, changed=missing)


def bring_file(module: AnsibleModule, wanted: Wanted, coming: t.Collection[Path]) -> t.Optional[Diff]:
    path, content = Path(wanted["path"]), wanted["content"].encode()
    if path.is_dir():
        module.fail_json(msg=f"{path} shall be a file, and a directory is there")
    if not path.parent.is_dir() and not (module.check_mode and path.parent in coming):
        module.fail_json(msg=f"{path} cannot be written: there is no directory {path.parent}")
    before = path.read_bytes() if path.exists() else None
    if before == content:
        # Owner or mode alone are told in the form of a dictionary.
        return settle(module, wanted, {**titles(path), "before": {}, "after": {}}, changed=False)
    if not module.check_mode:
        handle, temporary = tempfile.mkstemp(dir=module.tmpdir)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        validate(module, wanted, temporary)
        module.atomic_move(temporary, str(path))
    settle(module, wanted, {}, changed=True)
    return {**titles(path), **shown(before or b"", content)}


def shown(before: bytes, after: bytes) -> Diff:
    """What was in a file and what there is now, for people."""
    both = {"before": before, "after": after}
    if max(len(before), len(after)) <= SHOWN:
        return {name: content.decode(errors="replace") for name, content in both.items()}
    return {
        name: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()} if content else {}
        for name, content in both.items()
    }


def validate(module: AnsibleModule, wanted: Wanted, temporary: str) -> None:
    """Fails where what is to come to the path cannot be used."""
    if wanted["validate"]:
        status, output, errors = module.run_command(wanted["validate"].replace("%s", shlex.quote(temporary)))
        if status != 0:
            said = (errors or output).strip().replace(temporary, wanted["path"])
            module.fail_json(msg=f"{wanted['path']} was left as it is: {said}")


def remove(module: AnsibleModule, path: Path, going: set[Path]) -> t.Optional[Diff]:
    if not os.path.lexists(path):
        return None
    is_directory = path.is_dir() and not path.is_symlink()
    if is_directory and not going >= set(path.iterdir()):
        said = "and is a directory with something in it, which is not removed"
        module.fail_json(msg=f"{path} shall not be there, {said}")
    if not module.check_mode:
        path.rmdir() if is_directory else path.unlink()
    state = "directory" if is_directory else "file"
    return {**titles(path), "before": {"state": state}, "after": {"state": "absent"}}


def main() -> t.NoReturn:
    module = AnsibleModule(
        argument_spec={
            "directories": {"type": "list", "elements": "dict", "default": [], "options": ATTRIBUTES},
            "files": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    **ATTRIBUTES,
                    "content": {"type": "str", "required": True},
                    "validate": {"type": "str"},
                },
            },
            "absent": {"type": "list", "elements": "path", "default": []},
        },
        supports_check_mode=True,
    )
    params = module.params
    coming = {
        parent
        for wanted in params["directories"]
        for path in [Path(wanted["path"])]
        for parent in (path, *path.parents)
    }
    absent = [Path(path) for path in params["absent"]]
    done = [
        *((wanted["path"], bring_directory(module, wanted)) for wanted in params["directories"]),
        *((wanted["path"], bring_file(module, wanted, coming)) for wanted in params["files"]),
        *((str(path), remove(module, path, set(absent))) for path in absent),
    ]
    diffs = {path: diff for path, diff in done if diff is not None}
    module.exit_json(changed=bool(diffs), paths=list(diffs), diff=list(diffs.values()))


if __name__ == "__main__":
    main()
