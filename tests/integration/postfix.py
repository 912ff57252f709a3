# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real Postfix on loopback addresses, for as long as the tests need it."""

from __future__ import annotations

import os
import pwd
import subprocess
import tempfile
import typing as t
from pathlib import Path

from daemon import Daemon, accepts

POSTFIX = Path("/usr/sbin/postfix")
Listener = tuple[str, int]

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

    def __init__(
        self, listeners: t.Mapping[Listener, bytes | None], options: t.Mapping[Listener, t.Sequence[str]] | None = None
    ) -> None:
        """Options are parameters of main.cf, as in C(name=value), for one listener."""
        # Its programs give up root, and must be able to reach their directories all the same.
        self._temporary = tempfile.TemporaryDirectory(prefix="postfix-")
        self.directory = directory = Path(self._temporary.name)
        directory.chmod(0o755)
        services = [
            self._service(number, listener, pem, (options or {}).get(listener, ()))
            for number, (listener, pem) in enumerate(listeners.items())
        ]
        (directory / "main.cf").write_text(MAIN.format(directory=directory))
        (directory / "master.cf").write_text(MASTER + "".join(services))
        (directory / "queue").mkdir()
        (directory / "data").mkdir()
        os.chown(directory / "data", pwd.getpwnam("postfix").pw_uid, -1)
        self._daemon = Daemon(
            [POSTFIX, "-c", directory, "start-fg"], directory / "start.log", lambda: accepts(listeners, greets=True)
        )

    def _service(self, number: int, listener: Listener, pem: bytes | None, options: t.Sequence[str]) -> str:
        settings = ["smtpd_tls_security_level=none"]
        if pem is not None:
            path = self.directory / f"{number}.pem"
            path.write_bytes(pem)
            settings = ["smtpd_tls_security_level=may", f"smtpd_tls_chain_files={path}"]
        address, port = listener
        return " ".join([f"{address}:{port} inet n - n - - smtpd", *(f"-o {o}" for o in (*settings, *options))]) + "\n"

    def stop(self) -> None:
        subprocess.run([POSTFIX, "-c", self.directory, "stop"], capture_output=True, check=False)
        self._daemon.stop()
        self._temporary.cleanup()
