# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How a site of ours gets on with the other sites of an nginx: where its file goes, and what it leaves to them.

What C(nginx -T) prints is read as far as it concerns that. Pure, standard library only, because it runs on policy
hosts. Private to this collection.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass


class Site(t.NamedTuple):
    """A site of ours: how its file is called, and the variable by which it is told from those of others."""

    file_name: str
    variable: str


SITES: t.Final = {
    "policies": Site("zz-mta-sts.conf", "$mta_sts_certificate"),
    "reports": Site("zz-mta-sts-reports.conf", "$mta_sts_reports_certificate"),
}
PORTS = (80, 443)
ANYWHERE: t.Final = {4: "0.0.0.0", 6: "::"}  # noqa: S104 - it is compared, not bound
# Of each of these there can be but one on the http level.
SHARED = (
    "server_names_hash_max_size",
    "server_names_hash_bucket_size",
    "map_hash_max_size",
    "map_hash_bucket_size",
)

HEADING = re.compile(r"(?m)^# configuration file (\S.*):$")
TOKEN = re.compile(
    r"""#[^\n]*|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|[;{}]|(?:\$\{\w+\}|\\.|[^\s;{}"'\\]|(?<=[^\s;{}])["'])+""",
    re.DOTALL,
)
# With an address, a port or a range of them, or both.
LISTEN = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|(?!\d+(?:-|$))[^:]+)?:?(?P<first>\d+)?(?:-(?P<last>\d+))?")
INCLUDE = re.compile(r"(?:/etc/nginx/)?(sites-enabled/\*|sites-enabled/\*\.conf|conf\.d/\*\.conf)")


@dataclass(frozen=True)
class Listen:
    """A socket on which a site listens; the address is that of C(ANYWHERE) for all of a family."""

    family: int
    address: str
    port: int
    both_families: bool = False

    @property
    def anywhere(self) -> bool:
        return self.address == ANYWHERE[self.family]


@dataclass(frozen=True)
class Neighbours:
    """What is in nginx's configuration beside a site of ours."""

    # The files that have it.
    ours: tuple[str, ...] = ()
    # The directory whose files nginx reads last, of those that are meant for sites; empty if it reads neither.
    directory: str = ""
    # Those of C(SHARED) that the others have set, or that can no longer be set behind what they have.
    settled: tuple[str, ...] = ()
    listens: tuple[Listen, ...] = ()
    site: Site = SITES["policies"]
    # The last file of the others in that directory.
    last: str = ""

    @property
    def place(self) -> str:
        """Where our file is read behind those of the others, so that theirs come first wherever the first counts."""
        name = self.site.file_name
        while name <= self.last:
            # No other sign is behind this one.
            name = f"~{name}"
        return f"/etc/nginx/{self.directory}/{name}" if self.directory else ""


def read_dump(dump: str, site: Site = SITES["policies"]) -> Neighbours:
    """The neighbours of a site of ours, from what C(nginx -T) prints."""
    parts = HEADING.split(dump)[1:]
    ours, others, directory = [], [], ""
    settled: set[str] = set()
    listens: dict[Listen, None] = {}
    for path, text in zip(parts[::2], parts[1::2]):
        found = list(directives(text))
        owner = _owner(found)
        if owner == site:
            ours.append(path)
            continue
        if owner is None:
            others.append(path.rpartition("/"))
        for words in found:
            included = INCLUDE.fullmatch(words[-1]) if words[0] == "include" else None
            if included:
                directory = included.group(1).partition("/")[0]
            elif words[0] == "listen":
                listens.update(dict.fromkeys(_listens(words[1:])))
            elif words[0] in SHARED:
                settled.add(words[0])
            elif words[0] == "map":
                # nginx takes its defaults at the first map, and refuses others after it.
                settled.update(name for name in SHARED if name.startswith("map_"))
    last = max((name for folder, _slash, name in others if folder == f"/etc/nginx/{directory}"), default="")
    return Neighbours(tuple(ours), directory, tuple(sorted(settled)), tuple(listens), site, last)


def _owner(found: t.Sequence[t.Sequence[str]]) -> t.Optional[Site]:
    """Which site of ours a file has; none: it is one of the others'."""
    variables = {word for words in found if words[0] in ("map", "geo") for word in words}
    return next((site for site in SITES.values() if site.variable in variables), None)


def directives(text: str) -> t.Iterator[list[str]]:
    """The directives of a file, each as its words, without those of C(stream) and C(mail)."""
    words: list[str] = []
    blocks: list[str] = []
    for found in TOKEN.findall(text):
        if found.startswith("#"):
            continue
        if found not in (";", "{", "}"):
            words.append(found[1:-1] if found[0] in "\"'" else found)
            continue
        if words and not {"stream", "mail"}.intersection(blocks):
            yield words
        if found == "{":
            blocks.append(words[0] if words else "")
        elif found == "}" and blocks:
            blocks.pop()
        words = []


def _listens(words: t.Sequence[str]) -> t.Iterator[Listen]:
    """The sockets of a C(listen) that can meet ours."""
    found = LISTEN.fullmatch(words[0]) if words else None
    if found is None or words[0].startswith("unix:"):
        return
    host, first, last = found.group("host") or "*", int(found.group("first") or 80), found.group("last")
    for port in PORTS:
        if not first <= port <= int(last or first):
            continue
        if host.startswith("["):
            yield Listen(6, host[1:-1].lower(), port, "ipv6only=off" in words)
        else:
            yield Listen(4, ANYWHERE[4] if host == "*" else host.lower(), port)


def conflicts(theirs: t.Sequence[Listen], addresses: t.Sequence[str]) -> list[str]:
    """Why our site cannot listen on these addresses beside the others; without any address it is on all.

    For each connection nginx looks only at the sites that listen on the very address, if there are any, and cannot
    begin to listen on all addresses of a port of which it holds some.
    """
    ours = [Listen(6 if ":" in address else 4, address.lower(), port) for address in addresses for port in PORTS]
    if not addresses:
        ours = [Listen(family, address, port) for family, address in ANYWHERE.items() for port in PORTS]
    return list(dict.fromkeys(text for listen in ours for text in [_conflict(theirs, listen)] if text))


def _conflict(theirs: t.Sequence[Listen], ours: Listen) -> str:
    met = [listen for listen in theirs if listen.port == ours.port and listen.family == ours.family]
    if ours.family == 4 and any(listen.both_families and listen.port == ours.port for listen in theirs):
        return (
            f"other sites listen on [::]:{ours.port} with ipv6only=off, which takes IPv4, too: name '::' and "
            "no address of IPv4"
        )
    if ours.anywhere and met and not any(listen.anywhere for listen in met):
        seen = ", ".join(f"{listen.address} port {listen.port}" for listen in met)
        return f"other sites listen on {seen} and not on all addresses: name the addresses that senders come to"
    if not ours.anywhere and any(listen.anywhere for listen in met) and ours.address not in {x.address for x in met}:
        return (
            f"other sites listen on all addresses of port {ours.port}, and would no longer be found on {ours.address}: "
            "do not name it"
        )
    return ""
