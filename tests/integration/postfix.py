# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real Postfix on loopback addresses, for as long as the tests need it."""

from __future__ import annotations

import contextlib
import os
import pwd
import socket
import subprocess
import tempfile
import time
import typing as t
from pathlib import Path

POSTFIX = Path("/usr/sbin/postfix")
START_SECONDS = 20

MAIN = """\
compatibility_level = 3.6
queue_directory = {directory}/queue
data_directory = {directory}/data
maillog_file = {directory}/postfix.log
maillog_file_prefixes = {directory}
myhostname = mail.test
mydestination =
local_recipient_maps =
alias_maps =
alias_database =
smtpd_peername_lookup = no
smtpd_client_connection_rate_limit = 0
smtpd_client_connection_count_limit = 0
"""
MASTER = """\
postlog unix-dgram n - n - 1 postlogd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
anvil unix - - n - 1 anvil
proxymap unix - - n - - proxymap
tlsmgr unix - - n 1000? 1 tlsmgr
"""


class Postfix:
    """A running Postfix with one listener per certificate; one that has none offers no STARTTLS."""

    def __init__(self, listeners: t.Mapping[tuple[str, int], bytes | None]) -> None:
        if not POSTFIX.exists():
            raise FileNotFoundError(f"{POSTFIX} is missing: install the Debian package postfix")
        # Its programs give up root, and must be able to reach their directories all the same.
        self._temporary = tempfile.TemporaryDirectory(prefix="postfix-")
        self.directory = directory = Path(self._temporary.name)
        directory.chmod(0o755)
        services = [
            self._service(number, address, port, pem) for number, ((address, port), pem) in enumerate(listeners.items())
        ]
        (directory / "main.cf").write_text(MAIN.format(directory=directory))
        (directory / "master.cf").write_text(MASTER + "".join(services))
        (directory / "queue").mkdir()
        (directory / "data").mkdir()
        os.chown(directory / "data", pwd.getpwnam("postfix").pw_uid, -1)
        self._process = subprocess.Popen(
            [POSTFIX, "-c", directory, "start-fg"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self._wait(list(listeners))

    def _service(self, number: int, address: str, port: int, pem: bytes | None) -> str:
        line = f"{address}:{port} inet n - n - - smtpd -o smtpd_tls_security_level="
        if pem is None:
            return f"{line}none\n"
        path = self.directory / f"{number}.pem"
        path.write_bytes(pem)
        return f"{line}may -o smtpd_tls_chain_files={path}\n"

    def _wait(self, listeners: t.Sequence[tuple[str, int]]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            with contextlib.suppress(OSError):
                for listener in listeners:
                    with socket.create_connection(listener, timeout=1) as connection:
                        if not connection.recv(1):
                            raise OSError
                return
        log = self.directory / "postfix.log"
        reason = log.read_text() if log.exists() else "it wrote no log"
        self.stop()
        raise RuntimeError(f"Postfix did not start:\n{reason}")

    def stop(self) -> None:
        subprocess.run([POSTFIX, "-c", self.directory, "stop"], capture_output=True, check=False)
        self._process.wait(timeout=START_SECONDS)
        self._temporary.cleanup()
