# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real nginx on loopback addresses, for as long as the tests need it."""

from __future__ import annotations

import typing as t
from pathlib import Path

from daemon import Daemon, accepts

NGINX = Path("/usr/sbin/nginx")

CONFIGURATION = """\
daemon off;
user root;
worker_processes 1;
pid {prefix}/nginx.pid;
error_log {prefix}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  client_body_temp_path {prefix}/t1; proxy_temp_path {prefix}/t2; fastcgi_temp_path {prefix}/t3;
  uwsgi_temp_path {prefix}/t4; scgi_temp_path {prefix}/t5;
  server_names_hash_bucket_size 128;
  default_type text/plain;
  ssl_protocols TLSv1.2 TLSv1.3;
  ssl_certificate {prefix}/tls/$ssl_server_name.pem;
  ssl_certificate_key {prefix}/tls/$ssl_server_name.pem;
  root {prefix}/policies/$server_addr;
{servers}
}}
"""


class Nginx:
    """A running nginx.

    It takes the certificate of a name from C(tls/<name>.pem), which it reads at the handshake, and what it serves
    at an address from C(policies/<address>/<name>.txt).
    """

    def __init__(self, directory: Path, servers: str, listens: t.Sequence[tuple[str, int]]) -> None:
        """The server blocks say where to listen; C(listens) is what to wait for."""
        self.directory = directory
        (directory / "tls").mkdir()
        for address, _port in listens:
            (directory / "policies" / address).mkdir(parents=True, exist_ok=True)
        (directory / "nginx.conf").write_text(CONFIGURATION.format(prefix=directory, servers=servers))
        self._daemon = Daemon(
            [NGINX, "-p", directory, "-c", directory / "nginx.conf", "-e", directory / "error.log"],
            directory / "error.log",
            lambda: accepts(listens),
        )

    def serve(self, address: str, name: str, body: bytes, pem: bytes) -> None:
        """Has a policy host's name served at an address from now on."""
        (self.directory / "tls" / f"{name}.pem").write_bytes(pem)
        (self.directory / "policies" / address / f"{name}.txt").write_bytes(body)

    def stop(self) -> None:
        self._daemon.stop()
