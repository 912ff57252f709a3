# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Refresh what nginx reads of certificates that are given as files, without Ansible.

    refresh_certificates.py DIRECTORY GROUP CERTIFICATE KEY

For every name that has a PEM file in the directory, certificate and key are read again, with the name in place of
{name} in their paths. What cannot be used is told, and leaves the file as it is; the status is 1 then.
"""

from __future__ import annotations

import grp
import sys
from pathlib import Path

from mta_sts._pem_files import Store, from_files
from mta_sts._webroot import locked


def main() -> int:
    directory, group, certificate, key = sys.argv[1:]
    store = Store(Path(directory), grp.getgrnam(group).gr_gid)
    # A rollout that takes a name away must not find its file again.
    with locked(store.directory):
        outcomes = from_files(store.names(), certificate, key, store, check_mode=False)
    for name, outcome in outcomes.items():
        if outcome.changed:
            print(f"{name}: refreshed")
        if outcome.error:
            print(f"{name}: {outcome.error}; what was there stays", file=sys.stderr)
    return int(any(outcome.error for outcome in outcomes.values()))


if __name__ == "__main__":
    sys.exit(main())
