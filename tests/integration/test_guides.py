# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventories, playbooks and commands in the guides and READMEs go through the real ansible-playbook."""

from __future__ import annotations

import base64
import itertools
import json
import re
import shlex
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible.cli.playbook import PlaybookCLI
from ansible_playbook import COLLECTIONS, PROGRAM, environment, play
from examples.documented import CHECKOUT, blocks, plugins
from examples.inside import Ran, run_in

COMMUNITY = CHECKOUT / ".collections-community"
BLOCKS = blocks()
YAML = {block.where: yaml.safe_load(block.text) for block in BLOCKS if block.language == "yaml"}
TABLES = {block.where: block.text for block in BLOCKS if block.text.startswith("domain,")}
SECRET = re.compile(r"\{\{ (\w+_(?:key|token|name|secret)) \}\}")

PLAYBOOKS = {path.stem: path for path in (CHECKOUT / "playbooks").glob("*.yml")}
ROLES = {path.parents[1].name: path for path in (CHECKOUT / "roles").glob("*/meta/argument_specs.yml")}
GROUPS = {
    "mta_sts_hosts": ["policy_host"],
    "mta_sts_mx_hosts": ["mx_tls", "mx_tlsa"],
    "mta_sts_report_hosts": ["report_inbox"],
    "mta_sts_senders": ["sender"],
}
CHECKED = "Check every entry, and put away what an earlier run left"
SEEN = "See that what is needed is there"

# The run that all shares that is no inventory.
SHARED = "variables"

Variables = dict[str, t.Any]
Play = dict[str, t.Any]


def is_inventory(value: t.Any) -> bool:
    return isinstance(value, dict) and any(isinstance(one, dict) and "hosts" in one for one in value.values())


INVENTORIES = {where: value for where, value in YAML.items() if is_inventory(value)}
VARIABLES = {where: value for where, value in YAML.items() if isinstance(value, dict) and where not in INVENTORIES}
LISTS = {where: value for where, value in YAML.items() if isinstance(value, list)}


def plays_until_checked(playbook: str) -> list[Play]:
    """What a playbook does before anything is touched."""
    plays: list[Play] = yaml.safe_load(PLAYBOOKS[playbook].read_text())
    last = [one["name"] for one in plays].index("Check the inventory before anything is touched")
    return [{**one, "tasks": list(inlined(one["tasks"]))} for one in plays[: last + 1]]


def inlined(tasks: t.Iterable[Play]) -> t.Iterator[Play]:
    """Tasks with those that they import, so that each can be told from the same one for another block."""
    for task in tasks:
        if "ansible.builtin.import_tasks" in task:
            path = CHECKOUT / "playbooks" / task["ansible.builtin.import_tasks"]
            yield from inlined(yaml.safe_load(path.read_text()))
        else:
            yield task


def options_of(role: str) -> set[str]:
    return set(yaml.safe_load(ROLES[role].read_text())["argument_specs"]["main"]["options"])


def roles_of(variables: Variables) -> dict[str, Variables]:
    """The variables that belong to roles, by role."""
    found: dict[str, Variables] = {}
    for name, value in variables.items():
        for role in ROLES:
            # That of 'mx_tls' is not that of 'mx_tlsa'.
            if name.startswith(f"{role}_"):
                found.setdefault(role, {})[name] = value
    return found


def validation(role: str, hosts: str = "localhost", given: Variables | None = None) -> Play:
    """What Ansible does before it runs a role."""
    read = f"{{{{ (lookup('ansible.builtin.file', '{ROLES[role]}') | from_yaml).argument_specs.main.options }}}}"
    task = {"name": f"Validate {role}", "ansible.builtin.validate_argument_spec": {"argument_spec": read}}
    return {"hosts": hosts, "gather_facts": False, "vars": given or {}, "tasks": [task]}


def secrets() -> Variables:
    """What the guides keep in vaults."""
    value = base64.b64encode(b"a secret of the guides, as it were").decode()
    return dict.fromkeys(SECRET.findall("".join(block.text for block in BLOCKS)), value)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With the base of all that is no whole inventory: the first one of the README, and its domains apart."""
    place = tmp_path_factory.mktemp("guides")
    # What the playbooks find beside them.
    for directory in (CHECKOUT / "playbooks").glob("*/"):
        (place / directory.name).symlink_to(directory)
    base = json.loads(json.dumps(next(value for where, value in INVENTORIES.items() if where.startswith("README"))))
    (place / "domains.json").write_text(json.dumps(base["all"]["vars"].pop("mta_sts_domains")))
    (place / "base.yml").write_text(yaml.safe_dump(base))
    (place / "secrets.json").write_text(json.dumps(secrets()))
    names = {name for value in INVENTORIES.values() for group in value.values() for name in group.get("hosts", ())}
    (place / "names.json").write_text(json.dumps(sorted(names)))
    (place / "domains.csv").write_text(next(iter(TABLES.values())))
    return place


def with_domains(variables: Variables, place: Path) -> Variables:
    """With those of the base, unless there are some."""
    if {"mta_sts_domains", "mta_sts_domains_file"} & set(variables):
        return variables
    return {**variables, "mta_sts_domains": json.loads((place / "domains.json").read_text())}


Way = tuple[list[str], list[Play]]


def way_of_inventory(place: Path, name: str, inventory: Variables) -> Way:
    """How it is given to ansible-playbook, and the plays that it goes through."""
    plays: list[Play] = []
    for group, playbook in {"mta_sts_hosts": "rollout", "mta_sts_mx_hosts": "mx"}.items():
        if group in inventory:
            plays += plays_until_checked(playbook)
    plays += [validation(role, group) for group in inventory for role in GROUPS.get(group, ())]
    (place / f"{name}.yml").write_text(yaml.safe_dump(inventory))
    own = inventory.get("all", {}).get("vars", {})
    more = {key: value for key, value in with_domains(own, place).items() if key not in own}
    (place / f"{name}.json").write_text(json.dumps(more))
    base = [] if "mta_sts_dns" in own else ["-i", "base.yml"]
    return [*base, "-i", f"{name}.yml", "--extra-vars", f"@{name}.json"], plays


def plays_of_variables(where: str, variables: Variables) -> list[Play]:
    plays = plays_until_checked("rollout")
    plays += [validation(role, given=own) for role, own in roles_of(variables).items()]
    return [marked(where, {**one, "vars": variables}) for one in plays]


def marked(where: str, one: Play) -> Play:
    """A play whose tasks tell where it is from, and stop no other."""
    return {
        **one,
        "ignore_errors": True,
        "tasks": [{**task, "name": f"{where} {task['name']}"} for task in one["tasks"]],
    }


def uses_of_roles() -> list[tuple[str, str, Variables]]:
    """Where a role is used, and with which variables."""
    return [
        (where, used["role"].rpartition(".")[2], used.get("vars", {}))
        for where, plays in LISTS.items()
        for one in plays
        for used in one.get("roles", ())
    ]


def ways(place: Path) -> dict[str, Way]:
    """For each inventory; variables and roles share one."""
    found = {
        where: way_of_inventory(place, f"inventory{number}", inventory)
        for number, (where, inventory) in enumerate(INVENTORIES.items())
    }
    plays = [marked(where, validation(role, given=variables)) for where, role, variables in uses_of_roles()]
    for where, variables in VARIABLES.items():
        plays += plays_of_variables(where, with_domains(variables, place))
    for number, (where, table) in enumerate(TABLES.items()):
        path = place / f"table{number}.csv"
        path.write_text(table)
        plays += plays_of_variables(where, {"mta_sts_domains_file": str(path)})
    return {**found, SHARED: (["-i", "base.yml"], plays)}


@pytest.fixture(scope="module")
def ran(place: Path) -> dict[str, Ran]:
    """Each inventory, checked."""
    commands, found = [], ways(place)
    for number, (arguments, plays) in enumerate(found.values()):
        (place / f"check{number}.yml").write_text(yaml.safe_dump(plays, sort_keys=False))
        commands.append([f"check{number}.yml", *arguments, "--extra-vars", "@secrets.json"])
    return dict(zip(found, run_in("names", place, *commands), strict=True))


@pytest.mark.parametrize("where", INVENTORIES)
def test_an_inventory_is_taken(ran: dict[str, Ran], where: str) -> None:
    status, printed, results = ran[where]
    assert status == 0, printed
    inventory = INVENTORIES[where]
    if "mta_sts_hosts" in inventory:
        [checked] = results[CHECKED]
        assert sum(checked["stages"].values()) > 0
    if "mta_sts_mx_hosts" in inventory:
        assert SEEN in results
    for group in inventory:
        for role in GROUPS.get(group, ()):
            assert len(results[f"Validate {role}"]) == len(inventory[group]["hosts"])


@pytest.mark.parametrize(
    "where", [*VARIABLES, *TABLES, *dict.fromkeys(where for where, _role, _given in uses_of_roles())]
)
def test_variables_are_taken(ran: dict[str, Ran], where: str) -> None:
    _status, printed, results = ran[SHARED]
    mine = {name.partition(" ")[2]: told for name, told in results.items() if name.startswith(f"{where} ")}
    assert mine, printed
    assert [one["msg"] for told in mine.values() for one in told if one.get("failed")] == []
    if where not in LISTS:
        [checked] = mine[CHECKED]
        assert sum(checked["stages"].values()) > 0


def test_every_variable_of_a_role_is_one() -> None:
    given = [(where, variables) for where, _role, variables in uses_of_roles()]
    found = [(where, own) for where, variables in [*given, *VARIABLES.items()] for own in roles_of(variables).items()]
    assert len(found) > 5
    for where, (role, own) in found:
        assert set(own) <= options_of(role), where


def written(place: Path, wheres: t.Iterable[str]) -> list[str]:
    """The names of playbooks with what stands there; tasks are those of one play."""
    names = []
    for number, where in enumerate(wheres):
        value = LISTS[where]
        if not any({"hosts", "ansible.builtin.import_playbook"} & set(one) for one in value):
            value = [{"hosts": "localhost", "gather_facts": False, "tasks": value}]
        names.append(f"playbook{number}.yml")
        (place / names[-1]).write_text(f"# {where}\n" + yaml.safe_dump(value, sort_keys=False))
    return names


def modules_of(value: t.Any) -> set[str]:
    """The modules of tasks and plays, and what else has a name with dots."""
    found: set[str] = set()
    for one in value:
        found |= {key for key in one if "." in key} | modules_of(one.get("tasks", ())) | ({"roles"} & set(one))
    return found


def test_every_playbook_can_be_read(place: Path) -> None:
    names = written(place, LISTS)
    assert len(names) > 5
    both = f"{COLLECTIONS}:{COMMUNITY}"
    status, printed = play(place, "--syntax-check", "-i", "base.yml", *names, ANSIBLE_COLLECTIONS_PATH=both)
    assert status == 0, printed
    assert len(re.findall(r"(?m)^playbook: ", printed)) == len(names)


def options_in(value: t.Any) -> dict[str, set[str]]:
    """The options that tasks give to modules, by module."""
    found: dict[str, set[str]] = {}
    for one in value:
        for key, given in one.items():
            if "." in key and isinstance(given, dict):
                found.setdefault(key, set()).update(given)
        for module, options in options_in(one.get("tasks", ())).items():
            found.setdefault(module, set()).update(options)
    return found


def test_every_option_of_a_module_of_others_is_one(place: Path) -> None:
    """Those that are not run here, as they would need a server of AWX."""
    given = {
        name: options for name, options in options_in(itertools.chain(*LISTS.values())).items() if is_foreign(name)
    }
    assert given
    done = subprocess.run(
        [PROGRAM.with_name("ansible-doc"), "--json", *given],
        cwd=place,
        env={**environment(place), "ANSIBLE_COLLECTIONS_PATH": str(COMMUNITY)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    documented = json.loads(done.stdout)
    for name, options in given.items():
        assert options <= set(documented[name]["doc"]["options"]), name


def is_foreign(module: str) -> bool:
    return not module.startswith(("ansible.builtin.", "postmaster.mta_sts."))


# What needs no whole machine.
ANYWHERE = {
    "ansible.builtin.assert",
    "ansible.builtin.debug",
    *(f"postmaster.mta_sts.{name}" for name in plugins("modules")),
}


def test_playbooks_run(tmp_path: Path) -> None:
    """One after the other, as the one about a plan's records needs the plan of the one before."""
    chosen = [where for where, value in LISTS.items() if modules_of(value) <= ANYWHERE]
    assert len(chosen) > 3
    here = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable, "ansible_become": False}
    domains = [{"domain": "new.example", "mx": ["mx1.example.net"]}]
    shared = {**here, "mta_sts_domains": domains, "run_dir": "/var/tmp/mta-sts"}
    hosts: Variables = {"web1.example.net": {}, "mx1.example.net": {}}
    (tmp_path / "inventory.yml").write_text(yaml.safe_dump({"all": {"hosts": hosts, "vars": shared}}))
    [(status, printed, results)] = run_in("updates", tmp_path, [*written(tmp_path, chosen), "-i", "inventory.yml"])
    assert status == 0, printed
    tasks = [task["name"] for where in chosen for one in LISTS[where] for task in one.get("tasks", [one])]
    assert set(tasks) == set(results) - {"Gathering Facts"}, printed
    # The one that is whole brings a policy all the way.
    [announced] = results["Announce"]
    assert announced["counts"]["changed"] == 1


def commands() -> list[tuple[str, list[str]]]:
    """The commands of Ansible in the guides and the README, with where they stand."""
    found = []
    for path in [CHECKOUT / "README.md", *sorted(CHECKOUT.glob("docs/docsite/rst/*.rst"))]:
        text = re.sub(r" \\\n +", " ", path.read_text())
        for line in re.findall(r"(?m)(?:^ {4,}|``)[^`\n]*?(ansible-(?:playbook|doc) [^`\n]+)", text):
            found.append((path.name, shlex.split(line, comments=True)))
    assert len(found) > 10
    return found


def known_variables() -> set[str]:
    text = "".join(path.read_text() for path in (CHECKOUT / "playbooks").rglob("*.yml"))
    return set(re.findall(r"\bmta_sts_\w+", text)).union(*map(options_of, ROLES))


@pytest.mark.parametrize(
    ("where", "command"), commands(), ids=lambda value: value if isinstance(value, str) else shlex.join(value)
)
def test_a_command_is_one(where: str, command: list[str]) -> None:
    named = [word.removeprefix("postmaster.mta_sts.") for word in command if word.startswith("postmaster.mta_sts.")]
    assert named or command[-1] == "postmaster.mta_sts", where
    if command[0] == "ansible-doc":
        kinds = {"role": ROLES, "filter": plugins("filter"), "module": plugins("modules")}
        kind = command[command.index("-t") + 1] if "-t" in command else "module"
        assert set(named) <= set(kinds[kind])
        return
    cli = PlaybookCLI(command)
    cli.init_parser()
    assert cli.parser
    given = cli.parser.parse_args(command[1:])
    assert given.args == [f"postmaster.mta_sts.{name}" for name in named]
    assert set(named) <= set(PLAYBOOKS)
    assert {text.partition("=")[0] for text in given.extra_vars} <= known_variables()


def test_every_example_of_the_documentation_is_used_by_a_test() -> None:
    examples = [path for path in (CHECKOUT / "docs/examples").rglob("*") if path.is_file()]
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    assert examples
    assert [
        path for path in examples if f"docs/examples/{path.relative_to(CHECKOUT / 'docs/examples')}" not in tests
    ] == []
