# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Publishes a policy as another tool would: a file with LF at the ends of its lines, served by something small."""

import http.server
import ssl

POLICY = b"version: STSv1\nmode: enforce\nmax_age: 604800\nmx: mx1.lab.test\n"
LINEAGE = "/etc/letsencrypt/live/mta-sts.old.example"


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers everything with the policy."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(POLICY)))
        self.end_headers()
        self.wfile.write(POLICY)


context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(f"{LINEAGE}/fullchain.pem", f"{LINEAGE}/privkey.pem")
server = http.server.ThreadingHTTPServer(("", 443), Handler)
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
