# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Playbooks say what is wrong with their variables before they touch anything, and tell no secret with it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from ansible_playbook import CHECKOUT, play

SECRET = "c2VjcmV0LW9mLXRoZS1yb2xsb3V0LWtleQ=="
INVENTORY = {
    "mta_sts_hosts": {"hosts": {"web1.example.net": {"mta_sts_public_addresses": ["192.0.2.1"]}}},
    "mta_sts_mx_hosts": {"hosts": {"mx1.example.net": {}}},
}
DNS = {"server": "192.0.2.53", "key_name": "rollout.example.net", "key_secret": SECRET}
DOMAINS = [{"domain": "example.com", "mx": ["mx1.example.net"]}]


def refusal(home: Path, playbook: str, **variables: object) -> str:
    """The message with which a playbook fails that has these variables of all hosts."""
    (home / "inventory.json").write_text(json.dumps({**INVENTORY, "all": {"vars": variables}}))
    status, printed = play(home, f"postmaster.mta_sts.{playbook}", "-i", "inventory.json", "-vvv")
    assert status == 2, printed
    assert SECRET not in printed
    assert "unreachable=1" not in printed, "it went on to the hosts"
    message: str
    [message] = re.findall(r'"msg": "(Nothing was touched\. .*)"', printed)
    return message.replace('\\"', '"')


def test_everything_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    wrong = {**DNS, "key_nmae": "rollout.example.net", "credentials": f"no {SECRET}"}
    told = refusal(
        tmp_path, "rollout", mta_sts_domains=DOMAINS, mta_sts_dns=wrong, mta_sts_record_ttl="an hour",
        mta_sts_verify_fail_on="always",
    )  # fmt: skip
    assert "'mta_sts_record_ttl' is of type str and we were unable to convert to int" in told
    assert "'credentials' is of type str found in 'mta_sts_dns'" in told
    assert "There is no mta_sts_dns.key_nmae; known are authorities, backend, " in told
    assert "value of mta_sts_verify_fail_on must be one of: broken, error, warning, notice, never, got: always" in told


def test_verify_needs_no_secret(tmp_path: Path) -> None:
    dns = {**DNS, "key_secret": "{{ vault_that_is_not_there }}"}
    told = refusal(tmp_path, "verify", mta_sts_domains=DOMAINS, mta_sts_dns=dns, mta_sts_timeout="soon")
    assert "'mta_sts_timeout'" in told
    assert "vault" not in told


@pytest.mark.parametrize("playbook", ["verify", "mx"])
def test_the_other_playbooks_look_too(tmp_path: Path, playbook: str) -> None:
    told = refusal(tmp_path, playbook, mta_sts_domains=DOMAINS, mta_sts_dns=DNS, mta_sts_timeout="soon")
    assert "'mta_sts_timeout' is of type str and we were unable to convert to float" in told


def test_the_guide_quotes_the_real_refusal(tmp_path: Path) -> None:
    wrong = {**DNS, "key_nmae": "rollout.example.net"}
    told = refusal(tmp_path, "rollout", mta_sts_domains=DOMAINS, mta_sts_dns=wrong)
    guide = (CHECKOUT / "docs/docsite/rst/guide_rollout.rst").read_text()
    assert told in " ".join(guide.split())
