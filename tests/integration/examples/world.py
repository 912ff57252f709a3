# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The machine and the servers that the examples speak of, with their names, addresses, ports and paths.

It is started with C(unshare --net --mount): what it changes of the network and of the file system is seen by nobody
else, and gone when it ends.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import typing as t
from pathlib import Path

from ansible_collections.postmaster.mta_sts.plugins.module_utils._policy import Policy, policy_id, render_policy
from ansible_playbook import play
from bind import Named
from examples.mail import MX1, Mail
from examples.reports import KEY, put_reports
from nginx import Nginx
from powerdns import PowerDNS
from tls import Authority
from unbound import Unbound
from zone_files import NamedFiles, NsdFiles

NAME_SERVER, RESOLVER, WEB = "192.0.2.53", "127.0.0.1", "198.51.100.1"
ADDRESSES = [NAME_SERVER, WEB, "2001:db8::1", *(address for address, _port in Mail.LISTENERS)]
HOSTS = {WEB: "web1.example.net policies.example.net", NAME_SERVER: "ns1.example.net ns2.example.net"}
# What is the system's stays out of sight, and so does what is done to it.
PLACES = ("/etc", "/srv", "/var/lib", "/var/mail", "/var/tmp")
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
STATE = Path("/var/lib/mta-sts")
ID = "v=STSv1; id=5d41402abc4b2a76b9719d911017c592"
# The zone that the others' name server is in.
TEST = {"test": f"ns A {NAME_SERVER}\n"}
SERVED = {
    "example.com": Policy("testing", ("mx1.example.net",), 86400),
    "example.org": Policy("enforce", ("*.mail.example.org",), 2592000),
}
ZONES = {
    "example.com": f"@ MX 10 {MX1}.\nmta-sts A {WEB}\nmta-sts AAAA 2001:db8::1\n",
    "example.org": "@ MX 10 mx1.mail\nmx1.mail A 192.0.2.26\nmta-sts CNAME policies.example.net.\n",
    "example.net": f"@ MX 10 mx1\nns1 A {NAME_SERVER}\nmx1 A 192.0.2.25\nmx2 A 192.0.2.26\n"
    f"policies A {WEB}\npolicies AAAA 2001:db8::1\n",
    "old.example": f'_mta-sts TXT "{ID}"\n',
    # Has an address, and no policy yet.
    "new.example": f"@ MX 10 {MX1}.\nmta-sts A {WEB}\nmta-sts AAAA 2001:db8::1\n",
}
for _domain, _policy in SERVED.items():
    ZONES[_domain] += f'_mta-sts TXT "v=STSv1; id={policy_id(render_policy(_policy))}"\n'
    ZONES[_domain] += '_smtp._tls TXT "v=TLSRPTv1; rua=mailto:tls-reports@example.net"\n'
ZONES["example.org"] += f"tlsrpt._domainkey TXT {KEY}\n"

DOMAINS = """\
domain,mx,mode
example.com,mx1.example.net mx2.example.net,testing
example.org,*.mail.example.org,enforce
"""

Environment = dict[str, str]

# Those that may update all zones.
KEYS = {"mta-sts.example.net": "hmac-sha256", "rollout.example.net": "hmac-sha256", "strong.example.net": "hmac-sha512"}


class Updated(Named):
    """The primary server of all zones, which takes updates that are signed as the examples do."""

    host, port = NAME_SERVER, 53

    def _configuration(self, closed_zones: t.Collection[str]) -> str:
        secret = self.secrets["allowed"]
        keys = "".join(f'key "{name}" {{ algorithm {how}; secret "{secret}"; }};\n' for name, how in KEYS.items())
        allowed = "; ".join(f"key {name}" for name in ("allowed", *KEYS))
        return keys + super()._configuration(closed_zones).replace("key allowed", allowed)


class InBind(NamedFiles):
    host, port = NAME_SERVER, 53


class InNsd(NsdFiles):
    host, port = NAME_SERVER, 53


class WithApi(PowerDNS):
    host, port = NAME_SERVER, 53


class World:
    """What all worlds have: the machine, an authority that it trusts, and a directory for the play."""

    def __init__(self, place: Path, stack: contextlib.ExitStack) -> None:
        self.place, self._stack = place, stack
        self.environment: Environment = {}
        self.variables: dict[str, str] = {"vault_hetzner_token": "not-a-token"}
        change_machine(place / "machine")
        self.authority = Authority()
        with CERTIFICATES.open("a") as trusted:
            trusted.write(Path(self.authority.write_trust_store(place / "ca.pem")).read_text())
        # What looks for certificates with its own list looks there, too.
        self.environment |= {"SSL_CERT_FILE": str(CERTIFICATES), "REQUESTS_CA_BUNDLE": str(CERTIFICATES)}

    def directory(self, name: str) -> Path:
        made = self.place / name
        made.mkdir()
        return made

    def until_the_end(self, server: t.Any) -> t.Any:
        self._stack.callback(server.stop)
        return server

    def resolve(self, zones: t.Iterable[str], *anchors: str) -> None:
        known = dict.fromkeys(zones, (NAME_SERVER, 53))
        self.until_the_end(Unbound(self.directory("unbound"), known, anchors, (RESOLVER, 53)))

    def put(self, path: str, content: bytes | str) -> None:
        file = Path(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)

    def put_certificate(self, certificate: str, key: str, *names: str) -> None:
        private, end, chain = self.authority.issue(*names).partition(b"-----END PRIVATE KEY-----\n")
        self.put(certificate, chain)
        self.put(key, private + end)

    def put_plan(self, *names: str) -> None:
        sets = [{"name": f"_mta-sts.{name}", "type": "TXT", "values": [ID], "item": name} for name in names]
        self.put(f"{STATE}/plan.json", json.dumps({"record_sets": {"announce": sets}}))


def change_machine(place: Path) -> None:
    """Brings the network and the files in which the examples work."""
    commands = [["ip", "link", "set", "lo", "up"]]
    commands += [["ip", "address", "add", address, "dev", "lo"] for address in ADDRESSES if address != RESOLVER]
    place.mkdir()
    commands += [["mount", "-t", "tmpfs", "tmpfs", str(place)]]
    for number, path in enumerate(PLACES):
        mine = str(place / f"{number}")
        commands += [["cp", "-a", path, mine] if path == "/etc" else ["mkdir", mine], ["mount", "--bind", mine, path]]
    for command in commands:
        subprocess.run(command, check=True)
    Path("/etc/resolv.conf").write_text(f"nameserver {RESOLVER}\n")
    with Path("/etc/hosts").open("a") as hosts:
        hosts.writelines(f"{address} {names}\n" for address, names in HOSTS.items())
    STATE.mkdir()


def updates(world: World) -> None:
    """Policy hosts, MX hosts, reports, and a name server that takes updates."""
    named = world.until_the_end(Updated(world.directory("named"), ZONES | TEST, signed_zones={"example.net"}))
    [key] = [line.split(maxsplit=1)[1] for line in named.lookup("example.net", "DNSKEY")]
    world.resolve(ZONES | TEST, f"example.net. DNSKEY {key}")
    world.variables |= dict.fromkeys(("mta_sts_key_secret", "vault_rollout_key"), named.secrets["allowed"])
    mail = world.until_the_end(Mail(world.authority.issue("mx2.example.net", "mx1.mail.example.org")))
    world.environment["MAIL_CONFIG"] = str(mail.directory)
    serve_policies(world)
    # Where the guides have it.
    Path("/srv/mta-sts").symlink_to(STATE)
    put_reports()
    world.put_certificate("/etc/ssl/mx/fullchain.pem", "/etc/ssl/mx/privkey.pem", MX1)
    names = "/etc/ssl/mta-sts/mta-sts.example.com"
    world.put_certificate(f"{names}.crt", f"{names}.key", "mta-sts.example.com")
    world.put(f"{STATE}/tls/mta-sts.old.example.pem", "one that is needed no longer")
    world.put("/etc/cron.d/reload-postfix", "")
    world.put(f"{world.place}/domains.csv", DOMAINS)
    world.put_plan("example.com", "example.org", "elsewhere.example")
    others = ("/etc/letsencrypt/renewal-hooks", "/var/lib/prometheus/node-exporter", "/var/lib/nginx")
    for path in (f"{STATE}/policies", *others):
        Path(path).mkdir(parents=True, exist_ok=True)


def serve_policies(world: World) -> None:
    """The web server of the policy host serves what the modules put there."""
    block = (
        f"server {{ listen {WEB}:443 ssl default_server; listen [2001:db8::1]:443 ssl; "
        f"root {STATE}/policies; location = /.well-known/mta-sts.txt {{ try_files /$host.txt =404; }} }}"
    )
    nginx = world.until_the_end(Nginx(world.directory("nginx"), block, [(WEB, 443)]))
    for domain in (*SERVED, "new.example"):
        host = f"mta-sts.{domain}"
        (nginx.directory / "tls" / f"{host}.pem").write_bytes(world.authority.issue(host))


def zone_files_of_bind(world: World) -> None:
    world.until_the_end(InBind(emptied("/etc/bind"), {"example.com": "", **TEST}))
    world.resolve(["example.com", *TEST])


def zone_files_of_nsd(world: World) -> None:
    world.until_the_end(InNsd(emptied("/etc/nsd"), {"example.com": "", **TEST}))
    world.resolve(["example.com", *TEST])
    world.put_plan("example.com")


def emptied(path: str) -> Path:
    """A server's directory, with the zone files below as they often are."""
    directory = Path(path)
    subprocess.run(["rm", "-rf", path], check=True)
    directory.mkdir()
    (directory / "zones").symlink_to(".")
    return directory


def an_api(world: World) -> None:
    """That of PowerDNS, which gets its TLS from a web server in front of it."""
    server = world.until_the_end(WithApi(world.directory("pdns"), {"example.com": "", **TEST}))
    world.resolve(["example.com", *TEST])
    # It takes requests from this address alone.
    block = (
        f"server {{ listen {NAME_SERVER}:8443 ssl; "
        f"location / {{ proxy_pass http://{NAME_SERVER}:{server.api_port}; proxy_bind 127.0.0.1; }} }}"
    )
    nginx = world.until_the_end(Nginx(world.directory("nginx"), block, [(NAME_SERVER, 8443)]))
    (nginx.directory / "tls/ns1.example.net.pem").write_bytes(world.authority.issue("ns1.example.net"))
    world.environment["LEXICON_POWERDNS_AUTH_TOKEN"] = server.api_key


def names(world: World) -> None:
    """No servers, but names that lead somewhere, and a list of domains: for what is looked at and not carried out."""
    world.put("/etc/mta-sts/domains.csv", DOMAINS)
    with Path("/etc/hosts").open("a") as hosts:
        hosts.writelines(f"{WEB} {name}\n" for name in json.loads((world.place / "names.json").read_text()))


WORLDS: dict[str, t.Callable[[World], None]] = {
    "names": names,
    "updates": updates,
    "zone files of BIND": zone_files_of_bind,
    "zone files of NSD": zone_files_of_nsd,
    "an API": an_api,
}


def main(name: str, place: Path) -> None:
    """Runs ansible-playbook with each list of arguments in C(commands.json), in a world, with what it is told of it."""
    with contextlib.ExitStack() as stack:
        world = World(place, stack)
        WORLDS[name](world)
        told = ["--extra-vars", json.dumps(world.variables)]
        ended = []
        for number, arguments in enumerate(json.loads((place / "commands.json").read_text())):
            recorder = {
                "ANSIBLE_CALLBACK_PLUGINS": str(Path(__file__).parent / "callback"),
                "ANSIBLE_CALLBACKS_ENABLED": "recorder",
                "RECORDED": str(place / f"recorded{number}"),
                # As in the guide, and for the time of whoever waits.
                "ANSIBLE_PIPELINING": "1",
            }
            ended.append(play(place, *arguments, *told, **recorder, **world.environment))
        (place / "ended.json").write_text(json.dumps(ended))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
