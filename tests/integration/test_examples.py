# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every example of a module or filter is run as it is printed: for real, after a look ahead if it changes something."""

from __future__ import annotations

import functools
import importlib
import re
import sys
import typing as t

import pytest
import yaml
from examples.documented import CHECKOUT, Task, examples, plugins, text_of
from examples.inside import Ran, run_in
from examples.story import STORY, Told

INVENTORY = {
    "all": {"vars": {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}},
    "mta_sts_hosts": {"hosts": {"web1.example.net": {}}},
    "mta_sts_probes": {"hosts": {"probe1.example.net": {}, "probe2.example.net": {}}},
}
WITH_FILTERS = "updates"
MODULES, FILTERS = examples("modules"), examples("filter")
HERE = {key: told for key, told in STORY.items() if not told.elsewhere}

Key = tuple[str, str]


def title(key: Key, check: bool = False) -> str:
    return f"{'check ' if check else ''}{key[0]}: {key[1]}"


def twice(key: Key, told: Told) -> dict[str, t.Any]:
    """A play with one example, which may be run more than once."""
    tasks: list[Task] = []
    if told.changed:
        tasks.append({**MODULES[key], "name": title(key, check=True), "check_mode": True})
    if not told.only_checked:
        tasks.append({**MODULES[key], "name": title(key)})
    return {"hosts": told.hosts, "gather_facts": False, "ignore_errors": True, "tasks": tasks}


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> t.Callable[[str], Ran]:
    """Runs all examples of a world, once."""

    @functools.cache
    def run(world: str) -> Ran:
        plays = [twice(key, told) for key, told in HERE.items() if told.world == world]
        if world == WITH_FILTERS:
            shown = [{**task, "name": title(key)} for key, task in FILTERS.items()]
            plays.append({"hosts": "localhost", "gather_facts": False, "ignore_errors": True, "tasks": shown})
        place = tmp_path_factory.mktemp("world")
        (place / "inventory.yml").write_text(yaml.safe_dump(INVENTORY))
        (place / "play.yml").write_text(yaml.safe_dump(plays, sort_keys=False))
        [done] = run_in(world, place, ["play.yml", "-i", "inventory.yml"])
        return done

    return run


def test_every_module_has_examples_and_all_are_run() -> None:
    assert set(MODULES) == set(STORY)
    assert {plugin for plugin, _name in MODULES} == set(plugins("modules"))


def has(result: t.Any, part: t.Any) -> bool:
    """Whether a result has what is named, at any depth."""
    if isinstance(part, dict):
        return isinstance(result, dict) and all(key in result and has(result[key], one) for key, one in part.items())
    return bool(result == part)


@pytest.mark.parametrize("key", HERE, ids=map(title, HERE))
def test_an_example_of_a_module(ran: t.Callable[[str], Ran], key: Key) -> None:
    told = STORY[key]
    assert told.changed or told.returned or told.fails, "it does nothing"
    _status, printed, results = ran(told.world)
    looked, done = results.get(title(key, check=True), []), results.get(title(key), [])
    assert bool(looked) == told.changed, printed
    assert bool(done) != bool(told.only_checked), printed
    for result in looked + done:
        assert bool(result.get("failed")) == bool(told.fails), result
        assert told.fails in result.get("msg", ""), result
        assert bool(result.get("changed")) == told.changed, result
    for result in done or looked:
        assert has(result, told.returned), result


def test_what_is_not_run_here_is_run_by_a_scenario_of_molecule() -> None:
    reasons = [told.only_checked + told.elsewhere for told in STORY.values() if told.only_checked or told.elsewhere]
    named = [re.findall(r"scenario (\w+)", reason) for reason in reasons]
    assert named
    for (scenario,) in named:
        assert (CHECKOUT / f"molecule/{scenario}/molecule.yml").is_file()


def promised(plugin: str) -> list[str]:
    """The values in the comments of a filter's examples."""
    texts = re.findall(r"(?m)^ *# => (.*\n(?: *#    .*\n)*)", text_of(plugins("filter")[plugin]))
    return ["\n".join(re.sub(r"^ *#    ", "", line) for line in text.splitlines()) for text in texts]


def sample(plugin: str) -> str:
    """The value that the documentation shows for what a filter returns."""
    module = importlib.import_module(f"ansible_collections.postmaster.mta_sts.plugins.filter.{plugin}")
    return str(yaml.safe_load(module.RETURN)["_value"]["sample"])


@pytest.mark.parametrize("plugin", plugins("filter"))
def test_the_examples_of_a_filter_give_what_they_say(ran: t.Callable[[str], Ran], plugin: str) -> None:
    _status, printed, results = ran(WITH_FILTERS)
    shown = [results[title(key)] for key in FILTERS if key[0] == plugin]
    assert shown, printed
    assert ["\n".join(result["msg"].splitlines()) for (result,) in shown] == promised(plugin)
    assert sample(plugin) in [result["msg"] for (result,) in shown]
