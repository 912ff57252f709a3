# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A DNS server that does on purpose what no real one would: it loses questions, lies and babbles."""

from __future__ import annotations

import contextlib
import socket
import threading
import typing as t

import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rrset
from bind import Named, free_port

# What is sent, one datagram after the other, in answer to a question that has come so many times by UDP before.
Behaviour = t.Callable[[dns.message.Message, int], t.Sequence[bytes]]


class OddDns:
    """Answers by UDP as the behaviour says, and by TCP with C(by_tcp), bytes as they are, if there is something."""

    def __init__(
        self,
        behaviour: Behaviour,
        by_tcp: t.Callable[[dns.message.Message], bytes] | None = None,
        address: tuple[str, int] | None = None,
    ) -> None:
        self._behaviour, self._by_tcp = behaviour, by_tcp
        self.questions: list[dns.message.Message] = []
        self.tcp_clients: list[str] = []
        self.address = address or ("127.0.0.1", free_port())
        self._udp = socket.socket(type=socket.SOCK_DGRAM)
        self._udp.bind(self.address)
        self._tcp = socket.create_server(self.address)
        for work in (self._answer, self._accept):
            threading.Thread(target=work, daemon=True).start()

    def _answer(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                wire, client = self._udp.recvfrom(65535)
                if not wire:
                    return
                query = dns.message.from_wire(wire)
                before = sum(query.question == other.question for other in self.questions)
                self.questions.append(query)
                for datagram in self._behaviour(query, before):
                    self._udp.sendto(datagram, client)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, address = self._tcp.accept()
                self.tcp_clients.append(address[0])
                with client, client.makefile("rb") as stream:
                    size = int.from_bytes(stream.read(2), "big")
                    query = dns.message.from_wire(stream.read(size))
                    if self._by_tcp:
                        client.sendall(self._by_tcp(query))

    def __enter__(self) -> OddDns:
        return self

    def __exit__(self, *_error: object) -> None:
        for sock in (self._udp, self._tcp):
            with contextlib.suppress(OSError):
                # Wakes who waits for something to come.
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()


def reply(query: dns.message.Message, *records: str, flags: str = "QR AA RD RA", rcode: int = 0) -> dns.message.Message:
    """The answer to a question, with records as in a zone file."""
    message = dns.message.make_response(query)
    message.use_edns(False)
    message.flags = dns.flags.from_text(flags)
    message.set_rcode(dns.rcode.Rcode(rcode))
    for record in records:
        name, ttl, rdtype, data = record.split(maxsplit=3)
        message.answer.append(dns.rrset.from_text(name, int(ttl), "IN", rdtype, data))
    return message


def silent(_query: dns.message.Message, _before: int) -> list[bytes]:
    """Says nothing."""
    return []


def relay(named: Named) -> Behaviour:
    """What another server says: BIND listens at no address that no interface has."""

    def behave(query: dns.message.Message, _before: int) -> list[bytes]:
        return [dns.query.udp(query, named.host, port=named.port, timeout=5).to_wire()]

    return behave
