# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the policies' site gets on with the other sites of an nginx."""

from __future__ import annotations

import pytest
from ansible_collections.postmaster.mta_sts.plugins.module_utils._nginx_conf import (
    ANYWHERE,
    SITES,
    Listen,
    Neighbours,
    conflicts,
    directives,
    read_dump,
)

MAIN = "/etc/nginx/nginx.conf"
DEBIAN = """
user www-data;
http {
    access_log /var/log/nginx/access.log; # gzip on;
    include /etc/nginx/conf.d/*.conf;
    include /etc/nginx/sites-enabled/*;
}
# stream { include /etc/nginx/conf.d/*.conf; }
"""
OURS = (
    "map $ssl_server_name $mta_sts_certificate { default ''; }\nmap_hash_max_size 9000;\nserver { listen 443 ssl; }\n"
)
REPORTS = "geo $mta_sts_reports_certificate { default /reports.pem; }\nserver { listen 192.0.2.1:443 ssl; }\n"
ALL = Listen(4, ANYWHERE[4], 443)
ALL_6 = Listen(6, "::", 443)


def dump(**files: str) -> str:
    named = {"main": DEBIAN, **files}
    paths = {"main": MAIN, "site": "/etc/nginx/sites-enabled/shop", "ours": "/etc/nginx/conf.d/mta-sts.conf"}
    paths["reports"] = "/etc/nginx/sites-enabled/zz-mta-sts-reports.conf"
    return "".join(f"# configuration file {paths[name]}:\n{text}\n\n" for name, text in named.items())


def test_a_debian_without_other_sites() -> None:
    expected = Neighbours(directory="sites-enabled")
    assert read_dump(dump()) == expected
    assert expected.place == "/etc/nginx/sites-enabled/zz-mta-sts.conf"


@pytest.mark.parametrize(
    ("main", "place"),
    [
        ("http { include conf.d/*.conf; }", "/etc/nginx/conf.d/zz-mta-sts.conf"),
        ("http { include sites-enabled/*.conf; }", "/etc/nginx/sites-enabled/zz-mta-sts.conf"),
        ('http { include "sites-enabled/*"; include conf.d/*.conf; }', "/etc/nginx/conf.d/zz-mta-sts.conf"),
        ("http { include /etc/nginx/sites-enabled/*.vhost; }", ""),
        ("http { include /usr/share/nginx/modules/*.conf; }", ""),
        ("stream { include /etc/nginx/conf.d/*.conf; }", ""),
        ("", ""),
    ],
)
def test_the_place_is_where_nginx_looks_last(main: str, place: str) -> None:
    assert read_dump(dump(main=main)).place == place


def test_our_own_file_is_no_neighbour() -> None:
    found = read_dump(dump(ours=OURS))
    assert found == Neighbours(("/etc/nginx/conf.d/mta-sts.conf",), "sites-enabled")


@pytest.mark.parametrize(
    ("site", "settled"),
    [
        ("server_names_hash_bucket_size 64;", ("server_names_hash_bucket_size",)),
        ("server_names_hash_max_size 64; map_hash_max_size 9;", ("map_hash_max_size", "server_names_hash_max_size")),
        ("map $host $x { a b; }", ("map_hash_bucket_size", "map_hash_max_size")),
        ("# map_hash_max_size 9;\nserver { add_header X 'map_hash_max_size 9;'; }", ()),
        ("server { location /map { return 200; } }", ()),
    ],
)
def test_what_the_others_settled(site: str, settled: tuple[str, ...]) -> None:
    assert read_dump(dump(site=site)).settled == settled


@pytest.mark.parametrize(
    ("site", "expected"),
    [
        ("listen 443 ssl http2;", ALL),
        ("listen *:443 ssl default_server;", ALL),
        ("listen 0.0.0.0:443;", ALL),
        ("listen 192.0.2.1;", Listen(4, "192.0.2.1", 80)),
        ("listen 192.0.2.1:443 ssl;", Listen(4, "192.0.2.1", 443)),
        ("listen [2001:DB8::1]:443 ssl;", Listen(6, "2001:db8::1", 443)),
        ("listen [::]:443 ssl ipv6only=on;", ALL_6),
        ("listen [::]:443 ssl ipv6only=off;", Listen(6, "::", 443, both_families=True)),
        ("listen 8080;", None),
        ("listen unix:/run/shop.sock;", None),
        ("listen 192.0.2.1:440-445;", Listen(4, "192.0.2.1", 443)),
        ("listen 443-445;", ALL),
        ("listen 8000-9000;", None),
    ],
)
def test_where_the_others_listen(site: str, expected: Listen | None) -> None:
    listens = read_dump(dump(site=f"server {{ {site} server_name shop.example; }}")).listens
    assert listens == (() if expected is None else (expected,))


def test_what_belongs_to_another_protocol_is_no_neighbour() -> None:
    assert read_dump(dump(main="mail { server { listen 443; } } http { server { listen 80; } }")).listens == (
        Listen(4, ANYWHERE[4], 80),
    )


def test_words() -> None:
    text = 'a \'b;{\' "c\\"d" e\\;f ${g}h i#j; # k;\n{ l; }'
    assert list(directives(text)) == [["a", "b;{", 'c\\"d', "e\\;f", "${g}h", "i#j"], ["l"]]


HERE, LOCAL = Listen(4, "192.0.2.1", 443), Listen(4, "127.0.0.1", 80)
# What the others listen on, where ours shall be, and what is wrong with that.
TOGETHER: dict[str, tuple[list[Listen], list[str], str]] = {
    "nobody else": ([], [], ""),
    "all and all": ([ALL, ALL_6], [], ""),
    "all and one of both": ([ALL, HERE], [], ""),
    "one and the same": ([HERE], ["192.0.2.1"], ""),
    "one and another": ([HERE], ["192.0.2.2"], ""),
    "one and all": (
        [HERE],
        [],
        "other sites listen on 192.0.2.1 port 443 and not on all addresses: name the addresses",
    ),
    "a local one and all": ([LOCAL], [], "other sites listen on 127.0.0.1 port 80 and not on all"),
    "all and one": ([ALL], ["192.0.2.1"], "would no longer be found on 192.0.2.1: do not name it"),
    "all and one, where they are, too": ([ALL, HERE], ["192.0.2.1"], ""),
    "all of the other family and one": ([ALL_6], ["192.0.2.1"], ""),
    "both families by one socket": (
        [Listen(6, "::", 443, True)],
        [],
        "with ipv6only=off, which takes IPv4, too: name '::'",
    ),
    "the same socket": ([Listen(6, "::", 443, True)], ["::"], ""),
}


@pytest.mark.parametrize(("theirs", "addresses", "text"), TOGETHER.values(), ids=TOGETHER)
def test_listening_together(theirs: list[Listen], addresses: list[str], text: str) -> None:
    found = conflicts(theirs, addresses)
    assert len(found) == bool(text)
    assert text in "".join(found)


def test_each_of_our_sites_is_one_of_the_others_to_the_other() -> None:
    text = dump(ours=OURS, reports=REPORTS)
    policies, reports = (read_dump(text, SITES[name]) for name in ("policies", "reports"))
    assert (policies.ours, policies.listens) == (("/etc/nginx/conf.d/mta-sts.conf",), (Listen(4, "192.0.2.1", 443),))
    assert (reports.ours, reports.listens) == (("/etc/nginx/sites-enabled/zz-mta-sts-reports.conf",), (ALL,))
    # That of the reports leaves the sizes for many names to the policies.
    assert (policies.settled, "map_hash_max_size" in reports.settled) == ((), True)
    assert reports.place == "/etc/nginx/sites-enabled/zz-mta-sts-reports.conf"


@pytest.mark.parametrize(
    ("others", "name"),
    [
        (["sites-enabled/shop"], "zz-mta-sts.conf"),
        (["sites-enabled/zz-mta-sts-reports.conf", "sites-enabled/zzz-shop"], "~zz-mta-sts.conf"),
        (["sites-enabled/~shop", "sites-enabled/zzz-shop"], "~zz-mta-sts.conf"),
        (["sites-enabled/~~shop"], "~~zz-mta-sts.conf"),
        (["conf.d/zzz.conf", "zzz.conf"], "zz-mta-sts.conf"),
    ],
)
def test_a_site_that_would_be_read_behind_ours_is_not(others: list[str], name: str) -> None:
    text = dump() + "".join(f"# configuration file /etc/nginx/{path}:\nserver {{ }}\n" for path in others)
    assert read_dump(text).place == f"/etc/nginx/sites-enabled/{name}"


def test_our_sites_do_not_drive_each_other_behind() -> None:
    text = dump(reports=REPORTS) + f"# configuration file /etc/nginx/sites-enabled/zz-mta-sts.conf:\n{OURS}\n"
    assert [read_dump(text, SITES[name]).place.rpartition("/")[2] for name in ("policies", "reports")] == [
        "zz-mta-sts.conf",
        "zz-mta-sts-reports.conf",
    ]
