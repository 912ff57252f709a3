# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The documented examples of the filters, through Ansible itself."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
FILTERS = sorted(path.stem for path in (ROOT / "plugins/filter").glob("*.py"))
PLUGINS = "ansible_collections.postmaster.mta_sts.plugins.filter"


def test_the_documented_examples_give_the_documented_results(tmp_path: Path) -> None:
    plugins = [importlib.import_module(f"{PLUGINS}.{name}") for name in FILTERS]
    tasks = [task for plugin in plugins for task in yaml.safe_load(plugin.EXAMPLES)]
    samples = [yaml.safe_load(plugin.RETURN)["_value"]["sample"] for plugin in plugins]
    results = tmp_path / "results.json"
    expressions = [task["ansible.builtin.debug"]["msg"] for task in tasks]
    for number, task in enumerate(tasks):
        task["register"] = f"result_{number}"
    tasks.append(
        {
            "name": "Write down all results",
            "ansible.builtin.copy": {
                "content": "{{ [" + ", ".join(f"result_{n}.msg" for n in range(len(expressions))) + "] | to_json }}",
                "dest": str(results),
                "mode": "0600",
            },
        }
    )
    configuration = tmp_path / "ansible.cfg"
    configuration.touch()
    playbook = tmp_path / "examples.json"
    playbook.write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]))
    done = subprocess.run(
        [sys.executable, "-m", "ansible", "playbook", "--connection", "local", str(playbook)],
        env={
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".collections"),
            "ANSIBLE_HOME": str(tmp_path),
            "ANSIBLE_CONFIG": str(configuration),
            "ANSIBLE_LOCALHOST_WARNING": "false",
            "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(results.read_text()) == samples
    assert len(samples) == len(FILTERS) > 0
