# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What checkdmarc needs for the checks that verification makes as well, domain by domain as it works.

Runs in an environment of its own, where checkdmarc is installed: peer_checkdmarc.py SERVER ADDRESSES DOMAIN...
"""

from __future__ import annotations

import json
import socket
import sys
import time
import typing as t

import checkdmarc.mta_sts
import checkdmarc.smtp
import checkdmarc.smtp_tls_reporting


def main() -> None:
    server, addresses, *domains = sys.argv[1:]
    hosts: dict[str, str] = json.loads(addresses)
    resolve = socket.getaddrinfo

    def known(host: t.Any, *more: t.Any, **options: t.Any) -> t.Any:
        # It connects to names that only the system's resolver may know: here it gets them for nothing.
        return resolve(
            hosts.get(host, hosts["mta-sts"] if str(host).startswith("mta-sts.") else host), *more, **options
        )

    socket.getaddrinfo = known
    asked = {"nameservers": [server]}
    begin = time.perf_counter()
    for domain in domains:
        found = checkdmarc.mta_sts.check_mta_sts(domain, **asked)
        mx = checkdmarc.smtp.check_mx(domain, check_mx_tls=True, **asked)
        reports = checkdmarc.smtp_tls_reporting.check_smtp_tls_reporting(domain, **asked)
        if not (found["valid"] and reports["valid"] and all(host["starttls"] for host in mx["hosts"])):
            raise SystemExit(f"{domain} is not well: {found} {mx} {reports}")
    print(time.perf_counter() - begin)


if __name__ == "__main__":
    main()
