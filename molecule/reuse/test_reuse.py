# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a stranger makes of the collection: installed from its tarball, with the oldest Ansible, and used as documented.

Each test goes on where the one before it ended.
"""

from __future__ import annotations

import json
import re
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible_collections.postmaster.mta_sts.plugins.module_utils._policy import policy_id
from stranger import Run, Stranger, blocks_of

if t.TYPE_CHECKING:
    from conftest import Lab

ROOT = Path(__file__).resolve().parents[2]
NAME = "postmaster.mta_sts"
ROLLOUT = f"ansible-playbook -i inventory.yml {NAME}.rollout"
PAGE = blocks_of((ROOT / "docs/docsite/rst/quick_start.rst").read_text())

ORG_POLICY = b"version: STSv1\r\nmode: testing\r\nmx: mx1.lab.test\r\nmax_age: 86400\r\n"


@pytest.fixture(scope="module")
def stranger(lab: Lab) -> Stranger:
    """Somebody with an empty environment, and an inventory of hosts that happen to be those of the lab."""
    someone = Stranger(Path(lab.facts["lab_state_dir"]) / "stranger", [lab.facts["lab_tsig_secret"]])
    inventory = json.loads((Path(lab.facts["lab_state_dir"]) / "inventory/hosts.yml").read_text())
    known = {**inventory["mta_sts_hosts"]["hosts"], **inventory["lab"]["children"]["lab_sender"]["hosts"]}
    someone.write("hosts.yml", json.dumps({"all": {"hosts": known}}))
    someone.write("host_vars/web1.lab.test.yml", json.dumps(known["web1"]))
    # What is not the same in the lab as in the world.
    variables = {
        **lab.facts,
        "mta_sts_resolvers": [lab.facts["lab_ns_address"]],
        "mta_sts_ca_file": lab.facts["lab_ca_file"],
        "policy_host_acme_directory": lab.facts["lab_acme_directory"],
    }
    someone.write("group_vars/all/lab.yml", json.dumps(variables))
    # Half the time, and nothing else.
    someone.write("ansible.cfg", "[connection]\npipelining = True\n")
    for playbook in ("roles.yml", "announce.yml"):
        someone.write(playbook, (Path(__file__).parent / playbook).read_text())
    return someone


def adapted(lab: Lab, text: str) -> str:
    """A text of the guide, with the names, addresses and the key of the lab."""
    names = {
        "ns1.example.net": lab.facts["lab_ns_address"],
        "example.net": lab.facts["lab_domain"],
        "cGxlYXNlIHB1dCB5b3VyIG93biBrZXkgaGVyZSE=": lab.facts["lab_tsig_secret"],
    }
    for ours, theirs in names.items():
        text = text.replace(ours, theirs)
    return text


def readable(run: Run) -> list[str]:
    """The lines of an output, once it is seen that somebody can read them."""
    lines = run.output.splitlines()
    assert r"\n" not in run.output
    assert [line for line in lines if len(line) > 400] == []
    return lines


def test_the_quick_start_runs_word_for_word(lab: Lab, stranger: Stranger) -> None:
    assert {block.language for block in PAGE} <= {"shell", "yaml", "text"}
    ran = []
    for block in PAGE:
        if block.language == "yaml":
            stranger.write(block.file, adapted(lab, block.text))
            stranger.directory_now = stranger.work
        for command in adapted(lab, block.text).splitlines() if block.language == "shell" else ():
            before = lab.zone("example.com")
            ran.append(stranger.run(command))
            if "--check" in command:
                assert lab.zone("example.com") == before
                assert not lab.host("web1").package("nginx").is_installed
            if command.startswith("ansible-playbook"):
                readable(ran[-1])
    assert len(ran) >= 6
    body = lab.curl("web1", "example.com")
    assert lab.dig("_mta-sts.example.com") == [f'"v=STSv1; id={policy_id(body)}"']


@pytest.mark.parametrize("kind", ["module", "filter", "role"])
def test_all_of_it_is_documented(stranger: Stranger, kind: str) -> None:
    folder = ROOT / ("roles" if kind == "role" else f"plugins/{kind}s" if kind == "module" else f"plugins/{kind}")
    there = {f"{NAME}.{path.stem}" for path in folder.glob("[!_]*") if path.suffix in ("", ".py")}
    listed = stranger.json(f"ansible-doc --type {kind} --list --json {NAME}")
    assert set(listed) == there
    assert len(there) >= 5
    documents = stranger.json(f"ansible-doc --type {kind} --json {' '.join(sorted(there))}")
    assert set(documents) == there
    for name, document in documents.items():
        if kind == "role":
            assert document["entry_points"]["main"]["short_description"], name
        else:
            assert yaml.safe_load(document["examples"]), name
            assert document["doc"]["collection"] == NAME


def test_what_is_used_is_what_was_installed(stranger: Stranger) -> None:
    found = stranger.json(f"ansible-galaxy collection list --format json {NAME}")
    assert list(found) == [str(stranger.directory / "home/.ansible/collections/ansible_collections")]
    core = stranger.json("python3 -c 'import ansible.release, json; print(json.dumps(ansible.release.__version__))'")
    assert f"ansible-core=={core.rpartition('.')[0]}.*" in (stranger.directory / "constraints.txt").read_text()


def test_each_role_works_alone(lab: Lab, stranger: Stranger) -> None:
    """Looked ahead before anything was done, then done, and not done again."""
    zones = [lab.zone(zone) for zone in ("example.org", "lab.test")]
    ahead = stranger.run("ansible-playbook -i hosts.yml roles.yml --check --diff")
    assert "+mta-sts.example.org. 5 IN A " in ahead.output
    assert "+mode: testing" in ahead.output
    # Of the long programs that roles bring nobody wants to read the source.
    assert "/receive_reports.py\n" in ahead.output
    assert "+class " not in ahead.output
    assert [lab.zone(zone) for zone in ("example.org", "lab.test")] == zones
    for host, paths in {"web2": ["/var/lib/mta-sts", "/var/lib/mta-sts-reports"], "out1": ["/var/lib/mx-tls"]}.items():
        assert [path for path in paths if lab.host(host).file(path).exists] == []
    done = stranger.run("ansible-playbook -i hosts.yml roles.yml --diff", ANSIBLE_CALLBACK_RESULT_FORMAT="yaml")
    assert all(count > 0 for count in done.counts("changed").values())
    readable(done)
    assert lab.curl("web2", "example.org") == ORG_POLICY
    # Roles announce nothing.
    assert lab.dig("_mta-sts.example.org") == []
    assert len(lab.dig("_25._tcp.out1.lab.test", "TLSA")) == 1
    assert lab.host("out1").check_output("postconf -h smtp_tls_security_level") == "dane"
    again = stranger.run("ansible-playbook -i hosts.yml roles.yml")
    assert again.counts("changed") == dict.fromkeys(["localhost", "web2", "out1"], 0)


def test_defaults_of_the_action_group_reach_modules(lab: Lab, stranger: Stranger) -> None:
    stranger.run("ansible-playbook -i hosts.yml announce.yml")
    assert lab.dig("_mta-sts.example.org") == [f'"v=STSv1; id={policy_id(ORG_POLICY)}"']


def test_the_examples_that_need_systemd(lab: Lab, stranger: Stranger) -> None:
    """The others are run by tests/integration/test_examples.py."""
    module, host = f"{NAME}.host_services", lab.host("out1")
    tasks = yaml.safe_load(stranger.json(f"ansible-doc --type module --json {module}")[module]["examples"])
    unit = "[Service]\nExecStart=sleep infinity\n[Install]\nWantedBy=multi-user.target\n"
    for name in ("proxy", "old-proxy"):
        host.check_output("printf %%s %s >/etc/systemd/system/%s.service", unit, name)
    host.check_output("touch /etc/proxy.conf /etc/postfix/main.cf; systemctl enable --now old-proxy.service")
    stranger.write("services.yml", yaml.safe_dump([{"hosts": "out1", "gather_facts": False, "tasks": tasks}]))
    for changed in (len(tasks), 0):
        done = stranger.run("ansible-playbook -i hosts.yml services.yml")
        assert done.counts("changed") == {"out1": changed}
        for name in ("proxy.service", "certbot.timer"):
            assert host.service(name).is_running, name
            assert host.service(name).is_enabled, name
        assert not host.file("/etc/systemd/system/old-proxy.service").exists
        assert not host.service("old-proxy.service").is_running


@pytest.mark.parametrize("arguments", ["--limit web1.lab.test", "--tags announce", "--tags policy_host_policies"])
def test_a_rollout_in_part_is_refused(lab: Lab, stranger: Stranger, arguments: str) -> None:
    before = lab.zone("example.com")
    refused = stranger.run(f"{ROLLOUT} {arguments}", status=2)
    errors = [line for line in readable(refused) if "Run the rollout without --limit, --tags" in line]
    assert len(errors) >= 1
    assert lab.zone("example.com") == before


def test_what_was_left_out_is_not_announced(lab: Lab, stranger: Stranger) -> None:
    """With the steps skipped that serve a policy, nobody proves it."""
    skipped = "policy_host_policies,policy_host_certificates"
    domains = [{"domain": "example.com", "mx": ["mx1.lab.test"]}, {"domain": "example.net", "mx": ["mx1.lab.test"]}]
    stranger.write("variables.json", json.dumps({"mta_sts_domains": domains}))
    run = stranger.run(f"{ROLLOUT} --skip-tags {skipped} -e @variables.json", status=2)
    assert re.search("(?m)^  example.net +pending ", run.output), run.output
    assert lab.dig("_mta-sts.example.net") == []


def test_one_host_of_several(lab: Lab, stranger: Stranger) -> None:
    """What is done host by host can be done for one."""
    inventory = {"mta_sts_mx_hosts": {"hosts": {"out1": {}, "unknown": {"ansible_host": "192.0.2.1"}}}}
    stranger.write("mx.yml", json.dumps(inventory))
    variables = {
        "mta_sts_dns": {
            "server": lab.facts["lab_ns_address"],
            "key_name": lab.facts["lab_tsig_key_name"],
            "key_secret": lab.facts["lab_tsig_secret"],
        },
        "mta_sts_resolvers": [lab.addresses["out1"]],
        "mx_tlsa_ttl": 5,
        "mx_tls_acme_directory": lab.facts["lab_acme_directory"],
    }
    stranger.write("mx-variables.json", json.dumps(variables))
    command = f"ansible-playbook -i hosts.yml -i mx.yml {NAME}.mx -e @mx-variables.json --limit"
    run = stranger.run(f"{command} out1")
    assert run.counts("changed") == {"out1": 0}
    assert "out1.lab.test: steady" in run.output
