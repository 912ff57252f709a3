# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Have Postfix serve the certificate of an MX host after it was renewed, without Ansible.

    follow_certificate.py DIRECTORY

What cannot be used, or has a key that is in no TLSA record yet, is told and leaves what is served as it is; the status
is 1 then.
"""

from __future__ import annotations

import sys
from pathlib import Path

from mx_tls._mx_chain import ChainError, available, choose, install, is_loaded, key_to_serve, load, read_settings


def main() -> int:
    directory = Path(sys.argv[1])
    try:
        chains, troubles = available(read_settings(directory))
        for trouble in troubles:
            print(f"{trouble}; what is served stays", file=sys.stderr)
        if chains:
            install(directory, choose(chains, key_to_serve(directory)))
        if chains and not is_loaded(directory):
            load(directory)
            print("Postfix was given the certificate")
    except (ChainError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return int(bool(troubles))


if __name__ == "__main__":
    sys.exit(main())
