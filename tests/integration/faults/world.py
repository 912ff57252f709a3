# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""All the servers that a table of domains needs, started side by side."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import typing as t
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from ansible_collections.postmaster.mta_sts.plugins.module_utils._probe.connect import Reach
from ansible_collections.postmaster.mta_sts.plugins.module_utils._probe.sender import Settings, observe
from bind import free_port
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from faults.fault import DIFFERS, GOOD_MX, PLAIN, PLAIN_MX, REPORTS, SIGNED, Authorities, Domain, Mail, fill, good
from faults.names import NameServers
from nginx import Nginx
from odd import OddServers, be_silent
from postfix import Postfix
from tls import server_context

Document = dict[str, t.Any]

# Every server has an address of its own: all policy hosts share one port, all MX hosts another, and so do the
# name servers.
NAME_SERVERS = ("127.78.0.1", "127.78.0.2", "127.78.0.3")
CLOSED, SILENT = "127.78.0.9", "127.78.0.8"
WEB, WEB2 = "127.78.1.1", "127.78.1.2"
GOOD_MAIL, PLAIN_MAIL = "127.78.2.1", "127.78.2.2"

# More seconds than a server needs that answers at all.
PATIENCE = 6.0
WELL_KNOWN = "location = /.well-known/mta-sts.txt"
SERVE = "try_files /$host.txt =404;"


def addresses(net: int) -> t.Iterator[str]:
    """Loopback addresses without end."""
    return (f"127.{net}.{number // 200}.{number % 200 + 1}" for number in itertools.count())


class World:
    """Servers for domains, of which C(<name>.<zone>) is the one that the table has under a name."""

    def __init__(self, directory: Path, table: t.Mapping[str, Domain]) -> None:
        self.domains = {f"{name}.{domain.zone}": domain for name, domain in table.items()}
        self.https_port, self.smtp_port, self.dns_port = free_port(), free_port(), free_port()
        self._directory = directory
        self._authorities = Authorities()
        self.ca_file = self._authorities.root.write_trust_store(directory / "ca.pem")
        self._mails: dict[str, Mail] = {}
        for name, domain in self.domains.items():
            own = {"mx": domain.mail, "mx2": domain.mail2}
            self._mails.update({f"{mx}.{name}": mail for mx, mail in own.items() if mail is not None})
        apart = [name for name, domain in self.domains.items() if domain.web.is_apart]
        self._web = dict(zip(apart, addresses(81)))
        self._mail = dict(zip(self._mails, addresses(82)))
        self._mail.update({GOOD_MX: GOOD_MAIL, PLAIN_MX: PLAIN_MAIL})
        self._pems = {host: pem for host in self._mail if (pem := self._mail_certificate(host)) is not None}
        self._start()

    def _start(self) -> None:
        with contextlib.ExitStack() as stack, ThreadPoolExecutor() as pool:
            self.odd = OddServers()
            stack.callback(self.odd.close)
            self.odd.serve(be_silent, None, SILENT, self.https_port)
            self.odd.serve(be_silent, None, SILENT, self.smtp_port)
            self.odd.reply(lambda _question: (), SILENT, self.dns_port)
            web = pool.submit(self._start_web)
            started: tuple[Future[t.Any], ...] = (web, pool.submit(self._start_names), pool.submit(self._start_mail))
            for server in started:
                if not server.exception():
                    stack.callback(server.result().stop)
            for server in started:
                server.result()
            self._publish(web.result())
            self.stop = stack.pop_all().close

    def reach(self, timeout: float = PATIENCE, **options: t.Any) -> Reach:
        ports = {"https_port": self.https_port, "smtp_port": self.smtp_port, "dns_port": self.dns_port}
        return Reach(**{"timeout": timeout, **ports, **options})

    def settings(self, **options: t.Any) -> Settings:
        return Settings(
            **{
                "resolvers": [(NAME_SERVERS[2], self.dns_port)],
                "ca_file": self.ca_file,
                "reach": self.reach(),
                # As many as a busy machine can attend to within the time that each has.
                "concurrency": 48,
                **options,
            }
        )

    def observe(self, names: t.Iterable[str], **options: t.Any) -> Document:
        """What is seen of these domains, in one go."""
        return observe({name: self.domains[name].wanted for name in names}, self.settings(**options))

    # The policy hosts

    def _start_web(self) -> Nginx:
        directory = self._directory / "nginx"
        directory.mkdir()
        blocks = [self._block(address, "ssl default_server", SERVE) for address in (WEB, WEB2)]
        listens = [WEB, WEB2]
        for name, domain in self.domains.items():
            web, address, host = domain.web, self._web.get(name, WEB), f"mta-sts.{name}"
            if web.behaviour:
                pem = web.certificate(self._authorities, [host])
                context = None if web.plain else server_context(pem, self._directory / f"{host}.pem")
                self.odd.serve(web.behaviour, context, address, self.https_port)
            elif web.server or web.directives or web.plain:
                how = "" if web.plain else "ssl"
                blocks.append(self._block(address, how, web.directives or SERVE, f"server_name {host}; {web.server}"))
                listens += [address] if address != WEB else []
        return Nginx(directory, "\n".join(blocks), [(address, self.https_port) for address in listens])

    def _block(self, address: str, how: str, location: str, more: str = "") -> str:
        return f"server {{ listen {address}:{self.https_port} {how}; {more} {WELL_KNOWN} {{ {location} }} }}"

    def _publish(self, server: Nginx) -> None:
        server.serve(WEB, REPORTS, b"", good(self._authorities, [REPORTS]))
        for name, domain in self.domains.items():
            if not domain.web.behaviour:
                host, body, address = f"mta-sts.{name}", domain.body(name), self._web.get(name, WEB)
                pem = domain.web.certificate(self._authorities, [host])
                server.serve(address, host, body, pem)
                if address == WEB:
                    server.serve(WEB2, host, body if domain.policy2 is None else domain.policy2, pem)

    # The MX hosts

    def _mail_certificate(self, host: str) -> bytes | None:
        mail = self._mails.get(host, Mail())
        if mail.certificate is None:
            return None
        _first, _dot, domain = host.partition(".")
        # For all names of the domain, so that two hosts or two addresses of one can differ in one thing only.
        names = dict.fromkeys((host, f"mx.{domain}", f"mx2.{domain}", domain))
        return mail.certificate(self._authorities, list(names))

    def _start_mail(self) -> Postfix:
        listeners, options = {}, {}
        for host, address in self._mail.items():
            mail, listener = self._mails.get(host, Mail()), (address, self.smtp_port)
            behaviour = mail.behaviour
            if mail.behaviour_over:
                behaviour = mail.behaviour_over(server_context(self._pems[host], self._directory / f"{host}.pem"))
            if behaviour:
                self.odd.serve(behaviour, None, *listener)
            else:
                listeners[listener], options[listener] = self._pems.get(host), mail.options
        return Postfix(listeners, options)

    # The name servers

    def _start_names(self) -> NameServers:
        directory = self._directory / "names"
        directory.mkdir()
        records: dict[str, list[str]] = {
            ".": [],
            SIGNED: [
                f"{GOOD_MX}. A {GOOD_MAIL}",
                fill(f"_25._tcp.{GOOD_MX}. TLSA 3 1 1 {{spki}}", digests(self._pems[GOOD_MX])),
                f"{REPORTS}. MX 10 {GOOD_MX}.",
                f"{REPORTS}. A {WEB}",
            ],
            PLAIN: [f"{PLAIN_MX}. A {PLAIN_MAIL}"],
        }
        second: dict[str, list[str]] = {DIFFERS: []}
        forged = []
        for name, domain in self.domains.items():
            places = self._places(name)
            records.setdefault(domain.zone, []).extend(domain.lines(name, places))
            if domain.zone == DIFFERS:
                second[DIFFERS] += domain.lines(name, places, second=True)
            forged += [fill(owner, {"d": f"{name}.", "mx": f"mx.{name}."}) for owner in domain.forged]
        return NameServers(
            directory,
            records,
            second,
            forged=forged,
            addresses=NAME_SERVERS,
            nowhere=CLOSED,
            silent=SILENT,
            port=self.dns_port,
        )

    def _places(self, name: str) -> dict[str, str]:
        """What the records of a domain may speak of: addresses, and what matches the certificates."""
        places = {"web": self._web.get(name, WEB), "web2": WEB2, "closed": CLOSED, "silent": SILENT}
        for mx, key in (("mx", "mail"), ("mx2", "mail2")):
            host = f"{mx}.{name}"
            if host in self._mail:
                places[key] = self._mail[host]
            if host in self._pems:
                # Both may be in the records of one host, but each writes of its own.
                places.update({f"{key}-{what}": data for what, data in digests(self._pems[host]).items()})
        return places


def digests(pem: bytes) -> dict[str, str]:
    """What a TLSA record may hold of a chain."""
    chain = x509.load_pem_x509_certificates(pem)
    found = {}
    for prefix, certificate in zip(("", "issuer-"), chain):
        whole = certificate.public_bytes(Encoding.DER)
        key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        for what, data in (("cert", whole), ("spki", key)):
            found[f"{prefix}{what}"] = hashlib.sha256(data).hexdigest()
            found[f"{prefix}{what}512"] = hashlib.sha512(data).hexdigest()
            found[f"{prefix}{what}-whole"] = data.hex()
    return found


def assert_found(document: Document, domain: Domain) -> None:
    """Of a domain there is found what shall be, and nothing else."""
    texts: dict[str, list[str]] = {}
    for finding in document["findings"]:
        texts.setdefault(finding["code"], []).append(f"{finding['subject']}: {finding['seen']}")
    assert set(texts) == set(domain.finds), texts
    for code, part in domain.finds.items():
        assert any(part in text for text in texts[code]), texts[code]
