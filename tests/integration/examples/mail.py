# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The MX hosts of the examples: one that offers no STARTTLS yet, and one that does."""

from __future__ import annotations

import subprocess

from postfix import POSTFIX, Postfix

MX1 = "mx1.example.net"


class Mail(Postfix):
    """The first is that of this machine, and goes by that name."""

    MINE = (("127.0.0.1", 25), ("192.0.2.25", 25))
    OTHER = ("192.0.2.26", 25)
    LISTENERS = (*MINE, OTHER)

    def __init__(self, pem_of_the_other: bytes) -> None:
        super().__init__({**dict.fromkeys(self.MINE), self.OTHER: pem_of_the_other})
        for name, old, new in (
            ("main.cf", "myhostname = mail.test", f"myhostname = {MX1}"),
            ("master.cf", " -o smtpd_tls_security_level=none", ""),
        ):
            path = self.directory / name
            path.write_text(path.read_text().replace(old, new))
        subprocess.run([POSTFIX, "-c", self.directory, "reload"], check=True, capture_output=True)
