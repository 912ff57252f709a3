# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Zone files as BIND takes them: they are read as it reads them, and its own ways with files are known."""

from __future__ import annotations

import subprocess
from pathlib import Path

import dns.name
import modules
from ansible_collections.postmaster.mta_sts.plugins.module_utils._zone_file.zone import read_zone
from backends.backend import record_set, statuses
from bind import Named
from zone_files import NamedFiles

ORIGIN = dns.name.from_text("example.com")
FILES = {
    "example.com.zone": """\
; ( " everything that the grammar allows, RFC 1035 5.1
@ 1h IN SOA ns host (1 ; serial
  3600 900
  604800 60)
  NS ns ; the last name, the last TTL
ns 5m A 192.0.2.1
  IN 600 AAAA 2001:db8::1
$TTL 1d
$ORIGIN sub
a TXT "two" strings ; comment
  in txt ( "over ; lines" ; "
   "b(" ) \t
b\\.c TXT "\\"q\\" \\\\ \\233\t;"
@ MX 10 a
UPPER 1H30m CNAME Target
$INCLUDE more other.example.com.
d HTTPS 1 . alpn="h2,h3" port=443
$ORIGIN .
absolute.example.com A 192.0.2.2
$ORIGIN example.com.
$include more
type CAA 0 issue "ca.example; x=y"
unknown TYPE65280 \\# 2 abcd
long TXT ""abc"" "d"
""",
    "more": """\
more TXT "of more"
$ORIGIN deeper
$TTL 7
  A 192.0.2.3
x A 192.0.2.4
""",
}


def test_a_zone_is_read_as_bind_reads_it(tmp_path: Path) -> None:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    file = tmp_path / "example.com.zone"
    compiled = subprocess.run(
        ["named-compilezone", "-q", "-i", "none", "-s", "full", "-o", "-", "example.com", file],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    names = {dns.name.from_text(line.split()[0]) for line in compiled.splitlines()}
    assert len(names) > 10
    reading = read_zone(str(file), file.read_bytes(), (str(tmp_path / "ours"), None), ORIGIN, names)
    found = {
        (name, held.rdataset.ttl, rdata)
        for name, part in reading.theirs.items() for held in part.values() for rdata in held.rdataset
    }  # fmt: skip
    (tmp_path / "compiled").write_text(compiled)
    theirs = read_zone("compiled", compiled.encode(), ("ours", None), ORIGIN, names).theirs
    assert found == {
        (name, held.rdataset.ttl, rdata)
        for name, part in theirs.items() for held in part.values() for rdata in held.rdataset
    }  # fmt: skip


def test_a_dynamic_zone_is_refused(tmp_path: Path) -> None:
    """What it was told by updates is in its journal first."""
    named = Named(tmp_path, {"example.com": ""})
    try:
        named.put("example.com", "a.example.com", 300, "TXT", "theirs")
        result = modules.run(
            "zonefile_record_sets",
            tmp_path,
            zone_file=f"{tmp_path}/{{zone}}.zone",
            authorities=[f"{named.host}:{named.port}"],
            record_sets=[record_set("b.example.com", "TXT", "ours")],
        )
    finally:
        named.stop()
    assert statuses(result) == ["failed"]
    assert "zone example.com is dynamic, as " in result["results"][0]["error"]
    assert "use the back end rfc2136" in result["results"][0]["error"]


def test_a_zone_that_the_server_signs_beside_its_file(tmp_path: Path) -> None:
    """Its signed copy has a journal, and a serial of its own."""
    named = NamedFiles(tmp_path, {"example.com": ""}, "dnssec-policy default; inline-signing yes;")
    try:
        for value in ("a", "b", "c"):
            wanted = record_set("a.example.com", "TXT", value)
            options = {key: option for key, option in named.options.items() if key != "check"}
            result = modules.run("zonefile_record_sets", tmp_path, record_sets=[wanted], **options)
            assert statuses(result) == ["changed"], result
            assert named.lookup("a.example.com", "TXT") == [f'300 "{value}"']
    finally:
        named.stop()
    assert Path(f"{named.file('example.com')}.signed.jnl").exists()
