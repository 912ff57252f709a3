# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A primary server on a loopback port, for as long as the tests need it: BIND, and what all such servers share."""

from __future__ import annotations

import base64
import contextlib
import secrets
import shutil
import socket
import threading
import typing as t
from pathlib import Path

import dns.exception
import dns.message
import dns.opcode
import dns.query
import dns.rcode
import dns.rdatatype
import dns.tsig
import dns.update
from daemon import Daemon

NAMED = Path("/usr/sbin/named")

ZONE = """\
$TTL 300
@ IN SOA ns.test. hostmaster.test. 1 3600 900 604800 60
@ IN NS ns.test.
"""


def free_port() -> int:
    """Return a loopback port that neither TCP nor UDP uses."""
    while True:
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            tcp.bind(("127.0.0.1", 0))
            port: int = tcp.getsockname()[1]
            with contextlib.suppress(OSError):
                udp.bind(("127.0.0.1", port))
                return port


def run(program: Path, directory: Path, *arguments: str | Path, ready: t.Callable[[], bool]) -> Daemon:
    """Runs a name server that keeps its files in a directory.

    AppArmor confines the program under its own path to the system's directories.
    """
    copy = Path(shutil.copy(program, directory)) if program.exists() else program
    return Daemon([copy, *arguments], directory / f"{program.name}.log", ready)


class Primary:
    """A primary server that takes updates. The key `allowed` may update every zone, `powerless` none."""

    host = "127.0.0.1"
    # Without one, any that is free.
    port = 0

    def __init__(self, zones: t.Collection[str]) -> None:
        self.zones = list(zones)
        self.port = self.port or free_port()
        self.secrets = {name: base64.b64encode(secrets.token_bytes(32)).decode() for name in ("allowed", "powerless")}
        self._key = dns.tsig.Key("allowed", self.secrets["allowed"], "hmac-sha256")

    def exchange(self, message: dns.message.Message, timeout: float = 5) -> dns.message.Message:
        return dns.query.tcp(message, self.host, port=self.port, timeout=timeout)

    def is_ready(self) -> bool:
        with contextlib.suppress(dns.exception.DNSException):
            return all(self.serves(zone) for zone in self.zones)
        return False

    def serves(self, zone: str) -> bool:
        return len(self.exchange(dns.message.make_query(zone, "SOA", flags=0), timeout=0.5).answer) == 1

    def lookup(self, name: str, rdtype: str) -> list[str]:
        """Return the answer as `<ttl> <data>`, sorted."""
        answer = self.exchange(dns.message.make_query(name, rdtype, flags=0)).answer
        wanted = dns.rdatatype.from_text(rdtype)
        return sorted(f"{one.ttl} {rdata.to_text()}" for one in answer if one.rdtype == wanted for rdata in one)

    def put(self, zone: str, name: str, ttl: int, rdtype: str, *values: str) -> None:
        """Replace a record set, as somebody else would."""
        message = dns.update.UpdateMessage(zone)
        message.use_tsig(self._key)
        absolute = f"{name}."
        message.delete(absolute, rdtype)
        if values:
            message.add(absolute, ttl, rdtype, *values)
        rcode = self.exchange(message).rcode()
        if rcode != dns.rcode.NOERROR:
            raise RuntimeError(f"{type(self).__name__} answered {dns.rcode.to_text(rcode)} for {name}")


class Named(Primary):
    """A running `named`."""

    def __init__(
        self,
        directory: Path,
        zones: t.Mapping[str, str],
        closed_zones: t.Collection[str] = (),
        signed_zones: t.Collection[str] = (),
        *,
        inline: bool = False,
    ) -> None:
        """Zones are given with their records, without SOA and NS. Closed zones allow no updates.

        With C(inline) the signed ones are signed beside what is updated.
        """
        super().__init__(zones)
        self.directory, self._signed_zones = directory, signed_zones
        self._signs = "dnssec-policy default; inline-signing yes; " if inline else "dnssec-policy default; "
        for zone, records in zones.items():
            (directory / f"{zone}.zone").write_text(ZONE + records)
        (directory / "named.conf").write_text(self._configuration(closed_zones))
        self._daemon = run(NAMED, directory, "-g", "-c", directory / "named.conf", ready=self.is_ready)

    def _configuration(self, closed_zones: t.Collection[str]) -> str:
        keys = [
            f'key "{name}" {{ algorithm hmac-sha256; secret "{secret}"; }};' for name, secret in self.secrets.items()
        ]
        parts = [
            f'zone "{zone}" {{ type primary; file "{zone}.zone"; '
            f"allow-update {{ {'none' if zone in closed_zones else 'key allowed'}; }}; "
            f"{self._signs if zone in self._signed_zones else ''}}};"
            for zone in self.zones
        ]
        options = f"""
options {{
  directory "{self.directory}"; pid-file none; session-keyfile none;
  listen-on port {self.port} {{ {self.host}; }}; listen-on-v6 {{ none; }};
  recursion no; notify no; dnssec-validation no; empty-zones-enable no;
}};
controls {{ }};
"""
        return "\n".join([options, *keys, *parts, ""])

    def serves(self, zone: str) -> bool:
        query = dns.message.make_query(zone, "SOA", flags=0, want_dnssec=True)
        # A signed zone has a signature beside its record.
        return len(self.exchange(query, timeout=0.5).answer) == 1 + (zone in self._signed_zones)

    def stop(self) -> None:
        self._daemon.stop()


class Interceptor:
    """Passes DNS over TCP on to a server, and does something at the first update that comes by.

    `before` runs before that update is passed on, `after` before its answer is passed back. With `lose_answer`
    the connection ends instead, and with C(lives_for) every connection once more than so many updates have come by.
    """

    def __init__(
        self,
        named: Primary,
        *,
        before: t.Callable[[], None] | None = None,
        after: t.Callable[[], None] | None = None,
        lose_answer: bool = False,
        lives_for: int | None = None,
    ) -> None:
        self._lives_for = lives_for
        self._named, self._before, self._after, self._lose_answer = named, before, after, lose_answer
        self.updates = 0
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _address = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        """Pass on one message after the other; pipelined ones wait in the socket."""
        upstream = socket.create_connection((self._named.host, self._named.port))
        with client, upstream, client.makefile("rb") as questions, upstream.makefile("rb") as answers:
            while message := _read_message(questions):
                with self._lock:
                    is_update = (message[4] >> 3) & 0xF == dns.opcode.UPDATE
                    self.updates += is_update
                    first = is_update and self.updates == 1
                    if first and self._before:
                        self._before()
                    if self._lives_for is not None and self.updates > self._lives_for:
                        return
                upstream.sendall(message)
                answer = _read_message(answers)
                if first and self._after:
                    self._after()
                if first and self._lose_answer:
                    return
                client.sendall(answer)

    def close(self) -> None:
        self._listener.close()


def _read_message(stream: t.BinaryIO) -> bytes:
    """Return one message with its length in front (RFC 1035 4.2.2), or nothing at the end."""
    size = stream.read(2)
    return size + stream.read(int.from_bytes(size, "big")) if size else b""
