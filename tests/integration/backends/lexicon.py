# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A provider's API through dns-lexicon: that of a PowerDNS of our own."""

from __future__ import annotations

import contextlib
import socket
import threading
import typing as t
from pathlib import Path

from powerdns import PowerDNS

from .backend import ZONE, Wrong


class Lexicon:
    """Writes over HTTP to the server that answers with authority, too."""

    module = "lexicon_record_sets"
    replaces_foreign = True

    def __init__(self, directory: Path, *more_zones: str) -> None:
        self.server = PowerDNS(directory, dict.fromkeys([ZONE, *more_zones], ""))
        self.secrets = [self.server.api_key]

    def options(self) -> dict[str, t.Any]:
        return {
            "provider": "powerdns",
            "credentials": self.credentials(),
            "authorities": [f"{self.server.host}:{self.server.port}"],
        }

    def credentials(self, **more: t.Any) -> dict[str, t.Any]:
        url = f"http://{self.server.host}:{self.server.api_port}"
        return {"pdns_server": url, "auth_token": self.server.api_key, **more}

    def answer(self, name: str, rdtype: str) -> list[str]:
        return self.server.lookup(name, rdtype)

    def put(self, name: str, ttl: int, rdtype: str, *values: str) -> None:
        self.server.put(ZONE, name, ttl, rdtype, *values)

    def wrong_credentials(self) -> list[Wrong]:
        wrong = "wrong-key-of-the-api"
        return [Wrong({"credentials": self.credentials(auth_token=wrong)}, ("provider powerdns", "401"), wrong)]

    @contextlib.contextmanager
    def dying(self) -> t.Iterator[dict[str, t.Any]]:
        with Dying(self.server.api_port, lives_for=200) as api:
            yield {"credentials": self.credentials(pdns_server=api.url)}
            assert api.connections == 200

    def stop(self) -> None:
        self.server.stop()


class Dying:
    """Passes so many connections on to a port of this host, and then takes no more."""

    def __init__(self, port: int, lives_for: int) -> None:
        self._port, self._lives_for = port, lives_for
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0))

    def __enter__(self) -> Dying:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    @property
    def url(self) -> str:
        return "http://127.0.0.1:{1}".format(*self._listener.getsockname())

    def __exit__(self, *_exception: object) -> None:
        self._listener.close()

    def _serve(self) -> None:
        while self.connections < self._lives_for:
            client, _address = self._listener.accept()
            self.connections += 1
            with client, socket.create_connection(("127.0.0.1", self._port)) as upstream:
                answering = threading.Thread(target=_pass_on, args=(upstream, client), daemon=True)
                answering.start()
                _pass_on(client, upstream)
                answering.join()
        self._listener.close()


def _pass_on(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
