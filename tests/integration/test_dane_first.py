# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program that Postfix asks, laid out as the role installs it, between a client and what stands behind it."""

from __future__ import annotations

import contextlib
import re
import shutil
import socket
import socketserver
import subprocess
import sys
import threading
import time
import typing as t
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
ROLE = ROOT / "roles/sender"
STS = "OK secure match=mx1.example.net servername=hostname"


def netstring(text: str) -> bytes:
    return b"%d:%s," % (len(text.encode()), text.encode())


class Readable(t.Protocol):
    """What a netstring is read from."""

    def read(self, size: int, /) -> bytes:
        """At most so many bytes."""


def read_netstring(stream: Readable) -> str:
    digits = b""
    while (byte := stream.read(1)) not in (b":", b""):
        digits += byte
    return stream.read(int(digits) + 1)[:-1].decode() if digits else ""


class Daemon(socketserver.ThreadingTCPServer):
    """Says of each domain what the test has it say, as mta-sts-daemon does in its place."""

    daemon_threads = True

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.replies: dict[str, bytes] = {}
        super().__init__(("127.0.0.1", 0), Handler)


class Handler(socketserver.StreamRequestHandler):
    """One connection."""

    def handle(self) -> None:
        assert isinstance(self.server, Daemon)
        domain = read_netstring(self.rfile).partition(" ")[2]
        self.server.asked.append(domain)
        self.wfile.write(self.server.replies.get(domain, netstring("NOTFOUND ")))


@pytest.fixture
def daemon() -> t.Iterator[Daemon]:
    with Daemon() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def port(tmp_path: Path, daemon: Daemon) -> t.Iterator[int]:
    """Where the program listens. No resolver is at 127.0.0.77."""
    for file in yaml.safe_load((ROLE / "vars/main.yml").read_text())["__sender_files"]:
        source = re.search(r"role_path ~ '/(.*?)'", file["content"])
        if source:
            path = tmp_path / file["path"].replace("{{ __sender_programs }}/", "")
            path.parent.mkdir(exist_ok=True)
            shutil.copy(ROLE / source[1], path)
    port = free_port()
    places = [f"127.0.0.1:{port}", f"127.0.0.1:{daemon.server_address[1]}", "127.0.0.77"]
    with subprocess.Popen([sys.executable, "-BEs", tmp_path / "dane_first.py", "serve", *places]) as process:
        deadline = time.monotonic() + 30
        while True:
            with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
                break
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield port
        process.terminate()


def ask(port: int, *requests: bytes) -> list[str]:
    """The replies to requests over one connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        stream = connection.makefile("rwb")
        replies = []
        for request in requests:
            stream.write(request)
            stream.flush()
            replies.append(read_netstring(stream))
        return replies


def test_what_enforces_nothing_is_passed_on_without_a_look_into_dns(port: int, daemon: Daemon) -> None:
    daemon.replies["b.example"] = netstring("TEMP trouble")
    assert ask(port, netstring("postfix a.example"), netstring("postfix b.example")) == ["NOTFOUND ", "TEMP trouble"]
    assert daemon.asked == ["a.example", "b.example"]


def test_relays_and_parents_are_no_domains(port: int, daemon: Daemon) -> None:
    keys = ["[mx.example.net]:587", "mx.example.net:587", ".example.com", "localhost"]
    assert ask(port, *(netstring(f"postfix {key}") for key in keys)) == ["NOTFOUND "] * len(keys)
    assert daemon.asked == []


def test_without_a_resolver_a_policy_defers_the_mail(port: int, daemon: Daemon) -> None:
    """Else whoever blocks DNS would have MTA-STS override a failing DANE."""
    daemon.replies["a.example"] = netstring(STS)
    (reply,) = ask(port, netstring("postfix a.example"))
    assert reply.startswith("TEMP ")


@pytest.mark.parametrize("reply", [b"", b"x", b"7:NOT", b"200000:", b"9999999:", b"9:NOTFOUND x", b"3:\xff\xff\xff,"])
def test_a_daemon_that_talks_nonsense_defers_the_mail(port: int, daemon: Daemon, reply: bytes) -> None:
    daemon.replies["a.example"] = reply
    assert ask(port, netstring("postfix a.example"))[0].startswith("TEMP ")


@pytest.mark.parametrize("request_", [b"x" * 70_000, b"-1:,", b"2000:" + b"a" * 2000 + b",", b"3:abc;", b"2:\xff\xff,"])
def test_a_client_that_talks_nonsense_is_left_and_others_are_served(port: int, request_: bytes) -> None:
    with contextlib.suppress(ConnectionError):
        assert ask(port, request_) == [""]
    assert ask(port, netstring("postfix a.example")) == ["NOTFOUND "]


def test_a_daemon_that_is_down_defers_the_mail(port: int, daemon: Daemon) -> None:
    daemon.shutdown()
    daemon.server_close()
    assert ask(port, netstring("postfix a.example"))[0].startswith("TEMP ")
