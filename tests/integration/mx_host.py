# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""An MX host with a real Postfix, and what the role mx_tls brings to it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import typing as t
from pathlib import Path

import yaml
from ansible_collections.postmaster.mta_sts.plugins.module_utils._tlsa import key_of
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from modules import Result, executed
from postfix import POSTFIX, Postfix
from tls import Authority

ROOT = Path(__file__).resolve().parents[2]
LISTENER = ("127.77.21.1", 25)
NAME = "mx1.example.net"
PARAMETERS = {
    "smtpd_tls_chain_files": "{directory}/chain.pem",
    "smtpd_tls_protocols": ">=TLSv1.2",
    "smtpd_tls_mandatory_protocols": ">=TLSv1.2",
    "smtpd_tls_security_level": "may",
}


class Host:
    """A Postfix that offers no STARTTLS yet, and an authority that its senders trust."""

    def __init__(self, place: Path) -> None:
        self.place, self.directory = place, place / "mx-tls"
        self.authority = Authority()
        self.ca_file = self.authority.write_trust_store(place / "ca.pem")
        self.postfix = Postfix({LISTENER: None})
        self.main = self.postfix.directory / "main.cf"
        master = self.postfix.directory / "master.cf"
        master.write_text(master.read_text().replace(" -o smtpd_tls_security_level=none", ""))
        subprocess.run([POSTFIX, "-c", self.postfix.directory, "reload"], check=True, capture_output=True)

    def give(self, pem: bytes) -> str:
        """Puts a key and its chain where they are looked for; the digest of the key."""
        key, end, chain = pem.partition(b"-----END PRIVATE KEY-----\n")
        assert chain
        (self.place / "key.pem").write_bytes(key + end)
        (self.place / "chain.pem").write_bytes(chain)
        return key_of(x509.load_pem_x509_certificates(chain)[0].public_bytes(Encoding.DER))

    def call(self, *, check: bool = False, **options: t.Any) -> Result:
        given = {
            "name": NAME,
            "source": "files",
            "certificate_path": str(self.place / "chain.pem"),
            "key_path": str(self.place / "key.pem"),
            "ca_file": self.ca_file,
            "directory": str(self.directory),
            "_ansible_diff": True,
            **options,
        }
        return self._executed("mx_tls", given, check=check)

    def turn(self, dns: t.Mapping[str, t.Any], *, check: bool = False, **options: t.Any) -> Result:
        """The module mx_tlsa, which is told what there is in DNS."""
        given = {"dns": dns, "address": LISTENER[0], "directory": str(self.directory), **options}
        return self._executed("mx_tlsa", given, check=check)

    def _executed(self, module: str, options: dict[str, t.Any], *, check: bool) -> Result:
        result, printed = executed(module, self.place, options, check=check, MAIL_CONFIG=str(self.postfix.directory))
        assert "PRIVATE" not in printed
        return result

    def parameters(self) -> dict[str, str]:
        command = ["postconf", "-c", str(self.postfix.directory), "-n"]
        lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
        found = {name.strip(): value.strip() for name, _equals, value in (line.partition("=") for line in lines)}
        return {name: found[name] for name in PARAMETERS if name in found}

    def wanted(self) -> dict[str, str]:
        return {name: value.format(directory=self.directory) for name, value in PARAMETERS.items()}

    def follow(self) -> subprocess.CompletedProcess[str]:
        """What the timer does, laid out as the role installs it."""
        program = self.place / "program"
        (program / "mx_tls").mkdir(parents=True, exist_ok=True)
        for dest, source in parts().items():
            shutil.copy(source, program / dest)
        command = [sys.executable, "-BEs", str(program / "follow_certificate.py"), str(self.directory)]
        environment = {"MAIL_CONFIG": str(self.postfix.directory), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
        return subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True, check=False)


def parts() -> dict[str, Path]:
    """The parts of the program that the role brings, by where they go."""
    role = ROOT / "roles/mx_tls"
    found = {}
    for file in yaml.safe_load((role / "vars/main.yml").read_text())["__mx_tls_files"]:
        (source,) = re.findall(r"role_path ~ '/(.*?)'", file["content"])
        found[file["path"].replace("{{ __mx_tls_programs }}/", "")] = role / source
    assert "follow_certificate.py" in found
    return found
