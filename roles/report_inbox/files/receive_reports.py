# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Take TLSRPT reports that come by HTTPS (RFC 8460 5.4), behind nginx.

    receive_reports.py DIRECTORY MAX_SIZE MAX_REPORTS

Listens on the socket that systemd hands over (sd_listen_fds(3)). Every body becomes a file in the directory, under a
name that owes nothing to the sender, and nothing in it is looked at. A sender is told that it was taken when it would
survive a power cut. Whom to let in, and how often, is nginx's business.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import errno
import os
import re
import secrets
import socket
import socketserver
import sys
import threading
import typing as t
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from mta_sts._webroot import remove_leftovers, sync_directory, write_pieces

# RFC 8460 6.4 and 6.5, and how the files are called.
SUFFIXES: t.Final = {"application/tlsrpt+gzip": ".json.gz", "application/tlsrpt+json": ".json"}
METHODS: t.Final = ("GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH")
MODE: t.Final = 0o600
PIECE: t.Final = 1 << 16
# From when a connection begins until its body is here, in seconds. nginx has it whole before it asks us.
PATIENCE: t.Final = 10.0
AT_A_TIME: t.Final = 16
# Of the file system so much stays free for others.
RESERVE: t.Final = 1 / 20
# The first descriptor that systemd hands over.
SOCKET: t.Final = 3


class Refusal(Exception):
    """Why a body is not taken."""

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Inbox:
    """A directory with so many reports at most."""

    def __init__(self, directory: Path, limit: int) -> None:
        self._directory, self._limit = directory, limit
        remove_leftovers(directory)
        self._lock = threading.Lock()
        self._reports = self._count()

    def keep(self, pieces: t.Iterable[bytes], length: int, suffix: str) -> None:
        """Writes a report durably. Raises L(Refusal)."""
        self._make_room(length)
        name = f"{dt.datetime.now(dt.timezone.utc):%Y%m%dT%H%M%SZ}-{secrets.token_hex(8)}{suffix}"
        try:
            write_pieces(self._directory / name, pieces, MODE)
            sync_directory(self._directory)
        except BaseException:
            with self._lock:
                self._reports -= 1
            raise

    def _make_room(self, length: int) -> None:
        disk = os.statvfs(self._directory)
        if disk.f_bavail * disk.f_frsize - length < disk.f_blocks * disk.f_frsize * RESERVE:
            raise OSError(errno.ENOSPC, "the file system is nearly full", str(self._directory))
        with self._lock:
            # Those that grew old were taken away by somebody else.
            if self._reports >= self._limit:
                self._reports = self._count()
            if self._reports >= self._limit:
                raise OSError(errno.ENOSPC, f"there are {self._reports} reports already", str(self._directory))
            self._reports += 1

    def _count(self) -> int:
        with os.scandir(self._directory) as entries:
            return sum(1 for _entry in entries)


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """Serves on a socket that is open already, so many connections at a time; the others wait in its queue."""

    daemon_threads = True

    def __init__(self, inbox: Inbox, max_size: int) -> None:
        super().__init__("", Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = socket.socket(fileno=SOCKET)
        self.inbox, self.max_size = inbox, max_size
        self._places = threading.BoundedSemaphore(AT_A_TIME)

    def process_request(self, request: t.Any, client_address: t.Any) -> None:
        self._places.acquire()
        super().process_request(request, client_address)

    def process_request_thread(self, request: t.Any, client_address: t.Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()


class Handler(BaseHTTPRequestHandler):
    """One connection, for one request (HTTP/1.0)."""

    server: Server
    server_version, sys_version = "mta-sts-reports", ""
    error_content_type, error_message_format = "text/plain; charset=utf-8", "%(code)d %(message)s\n"

    def setup(self) -> None:
        super().setup()
        self._is_late = False
        self._deadline = threading.Timer(PATIENCE, self._give_up)
        self._deadline.daemon = True
        self._deadline.start()

    def _give_up(self) -> None:
        self._is_late = True
        with contextlib.suppress(OSError):
            self.request.shutdown(socket.SHUT_RD)

    def handle(self) -> None:
        # Whoever went away wants no answer.
        with contextlib.suppress(ConnectionError):
            super().handle()

    def finish(self) -> None:
        """Hears out who still sends: on a connection that is closed before, the answer would be lost."""
        with contextlib.suppress(OSError):
            self.request.shutdown(socket.SHUT_WR)
            left = self.server.max_size
            while left > 0 and (piece := self.request.recv(PIECE)):
                left -= len(piece)
        self._deadline.cancel()
        super().finish()

    def do_POST(self) -> None:
        """Takes a report."""
        try:
            suffix = SUFFIXES.get(self.headers.get_content_type())
            if suffix is None:
                raise Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"send one of {', '.join(SUFFIXES)}")
            length = self._length()
            self.server.inbox.keep(self._body(length), length, suffix)
        except Refusal as refusal:
            self._answer(refusal.status, str(refusal))
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            print(f"A report was refused: {error}", file=sys.stderr, flush=True)
            status = HTTPStatus.INSUFFICIENT_STORAGE if full else HTTPStatus.SERVICE_UNAVAILABLE
            self._answer(status, "this inbox cannot take it now, try later")
        else:
            self._answer(HTTPStatus.CREATED, "thank you")

    def refuse(self) -> None:
        """Answers all that is no POST."""
        self._answer(HTTPStatus.METHOD_NOT_ALLOWED, "send a report with POST")

    def _answer(self, status: HTTPStatus, text: str) -> None:
        body = f"{text}\n".encode()
        self.send_response(status)
        if status is HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header("Allow", "POST")
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _length(self) -> int:
        given = self.headers.get_all("Content-Length", [])
        if not given or "Transfer-Encoding" in self.headers:
            raise Refusal(HTTPStatus.LENGTH_REQUIRED, "send it with its Content-Length")
        if len(given) > 1 or not re.fullmatch("[0-9]{1,18}", given[0]) or int(given[0]) == 0:
            raise Refusal(HTTPStatus.BAD_REQUEST, "Content-Length must be one number above 0")
        if int(given[0]) > self.server.max_size:
            raise Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"send {self.server.max_size} bytes at most")
        return int(given[0])

    def _body(self, length: int) -> t.Iterator[bytes]:
        while length:
            piece = self.rfile.read1(min(length, PIECE))
            if not piece and self._is_late:
                raise Refusal(HTTPStatus.REQUEST_TIMEOUT, "it took too long")
            if not piece:
                raise Refusal(HTTPStatus.BAD_REQUEST, "it ended early")
            length -= len(piece)
            yield piece

    def address_string(self) -> str:
        return "nginx"

    def log_message(self, format: str, *args: t.Any) -> None:
        """Says nothing: nginx keeps a log of requests."""


for method in METHODS:
    setattr(Handler, f"do_{method}", Handler.refuse)


def main() -> None:
    directory, max_size, max_reports = sys.argv[1:]
    Server(Inbox(Path(directory), int(max_reports)), int(max_size)).serve_forever()


if __name__ == "__main__":
    main()
