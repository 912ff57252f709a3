# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The receiver of the role report_inbox, laid out as the role installs it, asked over its own socket.

It runs in a mount namespace in which its inbox is a file system of its own, so that a full disk is a real one.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import http.client
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import typing as t
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "roles/report_inbox/files/receive_reports.py"
GZIP, JSON = "application/tlsrpt+gzip", "application/tlsrpt+json"
DISK = 1 << 20
MAX_SIZE = 300_000
MAX_REPORTS = 20
NAME = re.compile(r"20\d{6}T\d{6}Z-[0-9a-f]{16}\.json(\.gz)?")


class Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path, timeout: float = 20) -> None:
        super().__init__("reports.example.net", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class Receiver:
    """The receiver with a socket that outlives it, as systemd holds one."""

    def __init__(self, place: Path) -> None:
        self.program, self.path, self._inbox = place / "program", place / "socket", place / "inbox"
        (self.program / "mta_sts").mkdir(parents=True)
        self._inbox.mkdir()
        shutil.copy(PROGRAM, self.program)
        shutil.copy(ROOT / "plugins/module_utils/_webroot.py", self.program / "mta_sts")
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(str(self.path))
        self.socket.listen()
        # Lives as long as the tests do, so that a receiver that is started anew finds the same file system.
        mount = f"mount -t tmpfs -o size={DISK} tmpfs {self._inbox} && echo there && exec sleep infinity"
        command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount]
        self._holder = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._holder.stdout
        assert self._holder.stdout.readline() == "there\n"
        self.inbox = Path(f"/proc/{self._holder.pid}/root{self._inbox}")
        self.errors = place / "errors"
        self.start()

    def start(self) -> None:
        inside = ["nsenter", f"--target={self._holder.pid}", "--user", "--mount", "--preserve-credentials"]
        program = [sys.executable, "-BEs", str(self.program / "receive_reports.py")]
        limits = [str(self._inbox), str(MAX_SIZE), str(MAX_REPORTS)]
        # The descriptor is handed over as systemd does it.
        shell = ["bash", "-c", f'exec "$@" 3<&{self.socket.fileno()}', "bash"]
        with self.errors.open("ab") as errors:
            self._process = subprocess.Popen(
                [*shell, *inside, *program, *limits], pass_fds=[self.socket.fileno()], stderr=errors
            )

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        self.kill()
        self._holder.kill()
        self._holder.communicate()
        self.socket.close()

    def post(self, body: bytes, media_type: str | None = GZIP, **headers: str) -> http.client.HTTPResponse:
        sent = {**({"Content-Type": media_type} if media_type else {}), **headers}
        return self.ask("POST", body, sent)

    def ask(self, method: str, body: bytes | None, headers: t.Mapping[str, str]) -> http.client.HTTPResponse:
        connection = Connection(self.path)
        connection.request(method, "/", body, headers)
        response = connection.getresponse()
        response.read()
        connection.close()
        return response

    def raw(self, data: bytes) -> bytes:
        """All that is answered to some bytes."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(40)
            connection.connect(str(self.path))
            with contextlib.suppress(BrokenPipeError):
                connection.sendall(data)
            return b"".join(iter(lambda: connection.recv(1 << 16), b""))

    def files(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.inbox.iterdir()}


@pytest.fixture
def receiver(tmp_path: Path) -> t.Iterator[Receiver]:
    running = Receiver(tmp_path)
    yield running
    running.stop()


def head(*lines: str) -> bytes:
    return "\r\n".join([*lines, "", ""]).encode()


@pytest.mark.parametrize(
    ("media_type", "suffix"),
    [(GZIP, ".json.gz"), (JSON, ".json"), ("Application/TLSRPT+JSON; charset=utf-8", ".json")],
)
def test_a_report_is_taken_as_it_is(receiver: Receiver, media_type: str, suffix: str) -> None:
    body = os.urandom(200_000)
    headers = {"Content-Disposition": 'attachment; filename="../../etc/passwd"', "X-Name": "../evil"}
    assert receiver.post(body, media_type, **headers).status == 201
    ((name, kept),) = receiver.files().items()
    assert kept == body
    assert NAME.fullmatch(name)
    assert name.endswith(suffix)
    assert (receiver.inbox / name).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("media_type", [None, "application/json", "text/plain", "application/tlsrpt", "*/*", "\x7f"])
def test_other_media_types_are_refused(receiver: Receiver, media_type: str | None) -> None:
    assert receiver.post(b"{}", media_type).status == 415
    assert receiver.files() == {}


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_only_post_is_allowed(receiver: Receiver, method: str) -> None:
    response = receiver.ask(method, b"{}", {"Content-Type": JSON})
    assert (response.status, response.getheader("Allow")) == (405, "POST")
    assert receiver.files() == {}


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (["POST / HTTP/1.1", f"Content-Type: {GZIP}"], b"411"),
        (["POST / HTTP/1.1", f"Content-Type: {GZIP}", "Transfer-Encoding: chunked"], b"411"),
        (["POST / HTTP/1.1", f"Content-Type: {GZIP}", "Transfer-Encoding: chunked", "Content-Length: 3"], b"411"),
        *(
            (["POST / HTTP/1.1", f"Content-Type: {GZIP}", f"Content-Length: {length}"], b"400")
            for length in ("0", "-1", "+3", "1_0", "3, 3", "0x3", "", "\u0663", "9" * 40)
        ),
        (["POST / HTTP/1.1", f"Content-Type: {GZIP}", "Content-Length: 3", "Content-Length: 3"], b"400"),
        (["POST / HTTP/1.1", f"Content-Type: {GZIP}", f"Content-Length: {MAX_SIZE + 1}"], b"413"),
        (["POST / HTTP/1.1", f"Content-Type: {GZIP}", "Content-Length: 999999999999999999"], b"413"),
        (["POST / HTTP/1.1", *(f"X-{number}: y" for number in range(200))], b"431"),
        (["POST / HTTP/1.1", f"X: {'y' * 70_000}"], b"431"),
        ([f"POST /{'y' * 70_000} HTTP/1.1"], b"414"),
        (["BREW / HTTP/1.1"], b"501"),
        (["\x16\x03\x01\x02"], b"400"),
    ],
)
def test_what_is_no_request_for_it(receiver: Receiver, lines: list[str], status: bytes) -> None:
    """Answered at once, without waiting for a body."""
    started = time.monotonic()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(20)
        connection.connect(str(receiver.path))
        connection.sendall(head(*lines))
        answer = connection.recv(1 << 16)
    # What begins with no request line is answered as HTTP/0.9 was, without one.
    assert answer.split(b" ", 2)[1 if answer.startswith(b"HTTP/") else 0] == status
    assert time.monotonic() - started < 8
    assert receiver.files() == {}


def test_the_largest_one_and_one_byte_more(receiver: Receiver) -> None:
    assert receiver.post(b"x" * MAX_SIZE).status == 201
    # Sent whole, and answered nevertheless.
    assert receiver.post(b"x" * (MAX_SIZE + 1)).status == 413
    assert [len(body) for body in receiver.files().values()] == [MAX_SIZE]


def test_a_body_that_ends_early_leaves_nothing(receiver: Receiver) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(20)
        connection.connect(str(receiver.path))
        connection.sendall(head("POST / HTTP/1.1", f"Content-Type: {GZIP}", "Content-Length: 1000") + b"half")
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1 << 16).split()[1] == b"400"
    assert receiver.files() == {}


def test_an_endless_body_is_not_read_to_its_end(receiver: Receiver) -> None:
    endless = head("POST / HTTP/1.1", f"Content-Type: {GZIP}", "Content-Length: 999999999999") + bytes(50 << 20)
    with contextlib.suppress(ConnectionResetError):
        assert b" 413 " in receiver.raw(endless)
    assert receiver.files() == {}
    assert receiver.post(b"{}", JSON).status == 201


def test_slow_ones_end_in_time_and_stand_in_nobodys_way(receiver: Receiver) -> None:
    beginnings = [b"", b"POST / HT", head("POST / HTTP/1.1", f"Content-Type: {GZIP}", "Content-Length: 1000") + b"x"]
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(socket.socket(socket.AF_UNIX)) for _beginning in beginnings]
        started = time.monotonic()
        for connection, beginning in zip(slow, beginnings, strict=True):
            connection.settimeout(60)
            connection.connect(str(receiver.path))
            connection.sendall(beginning)
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            both = pool.map(lambda number: receiver.post(bytes([number]) * 100_000).status, range(2))
            assert list(both) == [201, 201]
        assert time.monotonic() - started < 8
        answers = []
        for connection in slow:
            answers.append(connection.recv(1 << 16))
        assert 8 < time.monotonic() - started < 30
    assert answers[0] == b""
    assert answers[2].split()[1] == b"408"
    assert sorted(receiver.files().values()) == [bytes([number]) * 100_000 for number in range(2)]


def test_the_inbox_has_a_limit_and_takes_again_when_something_went(receiver: Receiver) -> None:
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda _number: receiver.post(b"{}", JSON).status, range(MAX_REPORTS + 5)))
    assert sorted(statuses) == [201] * MAX_REPORTS + [507] * 5
    assert len(receiver.files()) == MAX_REPORTS
    next(receiver.inbox.iterdir()).unlink()
    assert receiver.post(b"{}", JSON).status == 201
    assert receiver.post(b"{}", JSON).status == 507
    assert f"there are {MAX_REPORTS} reports already" in receiver.errors.read_text()


def test_a_full_disk(receiver: Receiver) -> None:
    """First some is left for others; then, as somebody else takes that, the disk itself refuses."""
    statuses = [receiver.post(b"x" * 200_000).status for _number in range(6)]
    assert statuses == [201] * 4 + [507] * 2
    assert "the file system is nearly full" in receiver.errors.read_text()
    for path in receiver.inbox.iterdir():
        path.unlink()
    body = head("POST / HTTP/1.1", f"Content-Type: {GZIP}", "Content-Length: 200000")
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(20)
        connection.connect(str(receiver.path))
        connection.sendall(body + b"x" * 70_000)
        until(lambda: len(receiver.files()) == 1)
        with contextlib.suppress(OSError), (receiver.inbox / "theirs").open("wb") as file:
            file.write(bytes(2 * DISK))
        connection.sendall(b"x" * 130_000)
        assert connection.recv(1 << 16).split()[1] == b"507"
    assert list(receiver.files()) == ["theirs"]
    assert "No space left on device" in receiver.errors.read_text()
    (receiver.inbox / "theirs").unlink()
    assert receiver.post(b"{}", JSON).status == 201


def test_a_disk_that_fails(receiver: Receiver) -> None:
    remount = ["nsenter", f"--target={receiver._holder.pid}", "--user", "--mount", "--preserve-credentials"]
    subprocess.run([*remount, "mount", "-o", "remount,ro", receiver._inbox], check=True)
    assert receiver.post(b"{}", JSON).status == 503


def test_a_receiver_that_dies_leaves_nothing_half_and_keeps_nobody_out(receiver: Receiver) -> None:
    assert receiver.post(b"first", JSON).status == 201
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(20)
        connection.connect(str(receiver.path))
        connection.sendall(head("POST / HTTP/1.1", f"Content-Type: {GZIP}", "Content-Length: 1000") + b"half")
        until(lambda: len(receiver.files()) == 2)
        receiver.kill()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        # It waits in the queue of the socket.
        waiting = pool.submit(receiver.post, b"second", JSON)
        receiver.start()
        assert waiting.result().status == 201
    assert sorted(receiver.files().values()) == [b"first", b"second"]


def until(condition: t.Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
