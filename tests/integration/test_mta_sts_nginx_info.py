# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module mta_sts_nginx_info on configurations that a real nginx reads, and what that nginx says of its advice."""

from __future__ import annotations

import json
import os
import subprocess
import typing as t
from pathlib import Path

import modules
import pytest
from ansible_collections.postmaster.mta_sts.plugins.module_utils._nginx_conf import SHARED
from nginx import NGINX

MAIN = """\
pid {place}/nginx.pid;
events {{ }}
http {{
    access_log off;
    # Relative, as it may be written.
    include conf.d/*.conf;
    include sites-enabled/*;
}}
"""
OURS = "map $ssl_server_name $mta_sts_certificate { default ''; }\n"
SECRET = "proxy_set_header Authorization secret;"


class Configured:
    """An nginx that is configured, and never started."""

    def __init__(self, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.place = place
        for folder in ("bin", "conf.d", "sites-enabled"):
            (place / folder).mkdir()
        (place / "nginx.conf").write_text(MAIN.format(place=place))
        self.nginx = place / "bin/nginx"
        self.nginx.write_text(f'#!/bin/sh\nexec {NGINX} -e {place}/error.log -c {place}/nginx.conf "$@"\n')
        self.nginx.chmod(0o755)
        monkeypatch.setitem(modules.ENVIRONMENT, "PATH", f"{place}/bin:/usr/bin:/bin")

    def write(self, path: str, text: str) -> None:
        (self.place / path).write_text(text)

    def info(self, *listen_addresses: str) -> modules.Result:
        return modules.run("mta_sts_nginx_info", self.place, listen_addresses=list(listen_addresses))

    def test(self) -> str:
        """What nginx says against the configuration."""
        done = subprocess.run([self.nginx, "-t", "-q"], capture_output=True, text=True, check=False)
        return done.stderr if done.returncode else ""


@pytest.fixture
def configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Configured:
    return Configured(tmp_path, monkeypatch)


def test_what_is_told(configured: Configured) -> None:
    found = configured.info()
    version = subprocess.run([NGINX, "-v"], capture_output=True, text=True, check=True).stderr
    assert found["version"] in version
    assert found["place"] == "/etc/nginx/sites-enabled/zz-mta-sts.conf"
    assert (found["ours"], found["settled"], found["conflicts"], found["changed"]) == ([], [], [], False)
    configured.write("conf.d/mta-sts.conf", OURS)
    site = f"server {{ listen 127.0.0.1:443; location / {{ {SECRET} }} }}\nserver_names_hash_max_size 1024;\n"
    configured.write("sites-enabled/shop", site)
    found = configured.info()
    assert found["ours"] == [f"{configured.place}/conf.d/mta-sts.conf"]
    assert found["settled"] == ["server_names_hash_max_size"]
    assert "127.0.0.1 port 443" in found["conflicts"][0]
    assert configured.info("127.0.0.2")["conflicts"] == []
    assert "secret" not in str(found)


SITES: dict[str, str] = {
    "nothing": "",
    "a map": "map $host $shop { default 1; }",
    **{name: f"{name} 512;" for name in SHARED},
    "all": " ".join(f"{name} 512;" for name in SHARED),
}


@pytest.mark.parametrize("site", SITES.values(), ids=SITES)
def test_nginx_takes_what_is_not_settled_and_nothing_else(configured: Configured, site: str) -> None:
    configured.write("sites-enabled/shop", site)
    settled: list[str] = configured.info()["settled"]
    free = [f"{name} 1024;" for name in SHARED if name not in settled]
    configured.write("sites-enabled/zz-mta-sts.conf", "\n".join([*free, OURS]))
    assert configured.test() == ""
    for name in settled:
        configured.write("sites-enabled/zz-mta-sts.conf", f"{name} 1024;\n{OURS}")
        assert f'"{name}" directive is duplicate' in configured.test()


def test_a_host_without_nginx(configured: Configured) -> None:
    configured.nginx.unlink()
    # The module looks among the system's programs, too: for it, and nobody else, there is none.
    hidden: list[str | Path] = ["unshare", "--mount", "sh", "-c", 'mount --bind /dev/null "$0" && exec "$@"', NGINX]
    command = modules.command("mta_sts_nginx_info", configured.place, {"stamp": "/nowhere"})
    done = subprocess.run([*hidden, *command], env=modules.ENVIRONMENT, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert (found["installed"], found["changed"], "place" in found) == (False, False, False)


def test_what_is_loaded_is_older_than_the_stamp(configured: Configured) -> None:
    stamp, site = configured.place / "loaded", configured.place / "sites-enabled/zz-mta-sts.conf"

    def loaded() -> bool:
        found: bool = modules.run("mta_sts_nginx_info", configured.place, stamp=str(stamp))["loaded"]
        return found

    assert not loaded()
    stamp.touch()
    assert not loaded()
    site.write_text(OURS)
    os.utime(site, ns=(0, stamp.stat().st_mtime_ns))
    assert not loaded()
    os.utime(site, ns=(0, stamp.stat().st_mtime_ns - 1))
    assert loaded()
    assert not configured.info()["loaded"]
    stamp.unlink()
    assert not loaded()


def test_a_broken_configuration_is_named(configured: Configured) -> None:
    configured.write("sites-enabled/shop", "no_such_directive;")
    found: dict[str, t.Any] = configured.info()
    assert found["failed"]
    assert found["msg"].startswith("nginx's configuration does not pass 'nginx -t', mend it first: ")
    assert 'unknown directive "no_such_directive"' in found["msg"]
