# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guides say what the code does: every code, key and variable, and examples that work."""

from __future__ import annotations

import ast
import dataclasses
import datetime as dt
import functools
import importlib
import re
import textwrap
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible_collections.postmaster.mta_sts.plugins.module_utils import _inventory, _metrics
from ansible_collections.postmaster.mta_sts.plugins.module_utils._finding import KINDS
from ansible_collections.postmaster.mta_sts.plugins.module_utils._history import (
    CLOCKS_DIFFER,
    DAY,
    ELSEWHERE_LASTS,
    LONGEST_RUN,
    TOLERANCE,
    History,
    Served,
)
from ansible_collections.postmaster.mta_sts.plugins.module_utils._hold import ANNOUNCE, HOLD_KINDS, NOTHING
from ansible_collections.postmaster.mta_sts.plugins.module_utils._inventory import Desired
from ansible_collections.postmaster.mta_sts.plugins.module_utils._lifecycle import STAGES, Decision, decide
from ansible_collections.postmaster.mta_sts.plugins.module_utils._observed import (
    ADDRESS_MISSING,
    ADDRESS_OURS,
    Observed,
    Proof,
)
from ansible_collections.postmaster.mta_sts.plugins.module_utils._policy import MODES, policy_id, render_policy
from ansible_collections.postmaster.mta_sts.plugins.module_utils._report import Run, make_report, rollout_lines
from ansible_collections.postmaster.mta_sts.plugins.module_utils._screen import FEW

ROOT = Path(__file__).resolve().parents[2]
DOCSITE = ROOT / "docs/docsite"
GUIDES = sorted((DOCSITE / "rst").glob("*.rst"))
ROLLOUT = (DOCSITE / "rst/guide_rollout.rst").read_text()
LIFECYCLE = (DOCSITE / "rst/lifecycle.rst").read_text()
VERIFY = (DOCSITE / "rst/guide_verify.rst").read_text()
QUICK_START = (DOCSITE / "rst/quick_start.rst").read_text()
TROUBLESHOOTING = (DOCSITE / "rst/troubleshooting.rst").read_text()
CERTIFICATES = (DOCSITE / "rst/certificates.rst").read_text()
README = (ROOT / "README.md").read_text()
SPECS = yaml.safe_load((ROOT / "playbooks/files/argument_specs.yml").read_text())["argument_specs"]
VARIABLES = {name: option for spec in SPECS.values() for name, option in spec["options"].items()}
METRICS = {*_metrics.VERIFY, *_metrics.ROLLOUT}
GROUPS = {"mta_sts_hosts", "mta_sts_probes", "mta_sts_report_hosts", "mta_sts_mx_hosts", "mta_sts_senders"}


def rows(text: str, first_column: str) -> dict[str, list[str]]:
    """The rows of the table whose first column has this heading, by what stands there."""
    for table in re.findall(r"(?m)^\.\. list-table::\n((?:(?: {3}.*)?\n)+)", text):
        cells = [
            [" ".join(cell.split()) for cell in re.split(r"(?m)^ {5}- ", row.replace("* -", "  -", 1))[1:]]
            for row in re.split(r"(?m)^(?= {3}\* - )", table)[1:]
        ]
        if cells[0][0] == first_column:
            assert len(cells) > 1
            assert all(len(row) == len(cells[0]) and all(row) for row in cells)
            return {name: row[1:] for row in cells[1:] for name in re.findall(r"``(.+?)``", row[0])}
    raise AssertionError(f"there is no table of {first_column}")


def blocks(text: str, language: str) -> list[str]:
    """The blocks of code in a guide, in a list or not."""
    found = re.findall(rf"(?m)^( *)\.\. code-block:: {language}\n\n((?:\1 {{4}}.*\n|\n)+)", text)
    return [textwrap.dedent(block) for _indent, block in found]


def code_blocks() -> list[tuple[str, t.Any]]:
    """The YAML of the guides, each with the guide it stands in."""
    return [(guide.stem, yaml.safe_load(block)) for guide in GUIDES for block in blocks(guide.read_text(), "yaml")]


def inside(value: t.Any) -> t.Iterator[dict[str, t.Any]]:
    """All dictionaries in a value, at any depth."""
    if isinstance(value, dict):
        yield value
    for child in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from inside(child)


@functools.cache
def playbooks() -> str:
    """The text of the playbooks and what they read, but for what is made into documentation."""
    paths = [path for path in (ROOT / "playbooks").rglob("*.yml") if path.parent.name != "files"]
    assert len(paths) > 5
    return "".join(path.read_text() for path in paths)


def used_in_playbooks() -> set[str]:
    """The public variables and groups in the playbooks; what follows a dot is a module, unless it is a group."""
    return set(re.findall(r"(?:(?<![\w.])|(?<=groups\.))mta_sts_\w+", playbooks()))


def test_every_hold_is_in_the_guide_and_fails_the_runs_that_it_says() -> None:
    table = rows(LIFECYCLE, "hold")
    assert list(table) == list(HOLD_KINDS)
    for code, kind in HOLD_KINDS.items():
        assert table[code][0] == ("succeeds" if kind.waits or kind.effect == NOTHING else "fails"), code
    pending = [code for code, kind in HOLD_KINDS.items() if kind.effect == ANNOUNCE]
    assert pending == list(HOLD_KINDS)[: len(pending)]
    assert f"holds from ``{pending[0]}`` to ``{pending[-1]}`` the domain is ``pending``" in LIFECYCLE


@pytest.mark.parametrize("guide", [ROLLOUT, LIFECYCLE])
def test_every_stage_is_in_the_guides(guide: str) -> None:
    assert set(rows(guide, "stage")) == {*STAGES.values(), "pending", "withdrawing", "absent"}


def test_every_waiting_time_is_that_of_the_code() -> None:
    text = " ".join(LIFECYCLE.split())
    days = {name: period // DAY for name, period in {"day": DAY, "elsewhere": ELSEWHERE_LASTS}.items()}
    minutes, hours = TOLERANCE // dt.timedelta(minutes=1), LONGEST_RUN // dt.timedelta(hours=1)
    differ = CLOCKS_DIFFER // dt.timedelta(minutes=1)
    told = [
        f"Its ``max_age`` and {minutes} minutes",
        f"with a ``max_age`` of {_inventory.DEFAULT_MAX_AGE // 86400} days;",
        f"The same, from {days['elsewhere']} day after it was last seen there",
        f"Its TTL, and at least {days['day']} day and at most 7,",
        f"``testing_days``, {Desired.testing_days} unless you say otherwise",
        f"``mode: testing``, kept for at most {_inventory.SHORT_MAX_AGE // 86400} day",
        f"kept for ``max_age``, {_inventory.DEFAULT_MAX_AGE // 86400} days by default",
        f"more than {differ} minutes from now in the future",
        f"more than {differ} minutes ahead of the controller's or {hours} hour behind",
    ]
    assert [words for words in told if words not in text] == []


@dataclasses.dataclass
class World:
    """One domain as the rollouts of a worked example meet it: what is served and announced, and the ledger."""

    served: list[Served] = dataclasses.field(default_factory=list)
    conditions: t.Mapping[str, dt.datetime] = dataclasses.field(default_factory=dict)
    record: str | None = None
    address: str = ADDRESS_OURS

    def run(self, at: dt.datetime, desired: Desired, mx: tuple[str, ...]) -> Decision:
        open_now = [served for served in self.served if served.until is None]
        observed = Observed(
            address=self.address,
            addresses=("198.51.100.1",),
            records=(f"v=STSv1; id={self.record}",) if self.record else (),
            record_id=self.record,
            policy=open_now[0].policy if open_now and self.record else None,
            mx=mx,
            mx_ttl=3600,
        )
        history = History(tuple(self.served), self.conditions)
        decision = decide(desired, history, observed, at)
        if decision.policy is not None:
            proof = Proof(policy_id(render_policy(decision.policy)), 1)
            decision = decide(desired, history, dataclasses.replace(observed, proof=proof), at)
        if decision.remove or (decision.serve and all(one.policy != decision.policy for one in open_now)):
            self.served = [one if one.until else dataclasses.replace(one, until=at) for one in self.served]
            if decision.serve and decision.policy is not None:
                self.served.append(Served("web1", decision.policy, at))
        if decision.record == "announce" and decision.policy is not None:
            self.record = policy_id(render_policy(decision.policy))
        elif decision.record == "remove":
            self.record = None
        if decision.remove:
            self.address = ADDRESS_MISSING
        self.conditions = self.conditions if decision.conditions is None else decision.conditions
        return decision


def worked_example(title: str) -> dict[dt.datetime, str]:
    """What happens in each run of a table with this title."""
    table = LIFECYCLE.partition(f".. list-table:: {title}")[2].partition("\n\n   * -")[2].partition("\n\n")[0]
    parts = re.split(r"(?m)^(?: {3}\*)?\s+- (\d{4}-\d\d-\d\d \d\d:\d\d)$", table)
    return {
        dt.datetime.fromisoformat(f"{time}+00:00"): " ".join(text.split())
        for time, text in zip(parts[1::2], parts[2::2], strict=True)
    }


MX1, MX2 = ("mx1.example.net",), ("mx2.example.net",)
FIRST = Desired("example.com", MX1, "enforce")
LEAVING = Desired("example.com", (), "enforce", state="absent")
# Of each run: what the inventory says, what DNS has, and the stage afterwards.
EXAMPLES: dict[str, list[tuple[Desired, tuple[str, ...], str]]] = {
    "A domain with the defaults": [(FIRST, MX1, "testing"), (FIRST, MX1, "testing"), (FIRST, MX1, "enforcing")],
    "mx1.example.net is replaced": [
        (dataclasses.replace(FIRST, mx=MX1 + MX2), MX1, "enforcing"),
        (dataclasses.replace(FIRST, mx=MX1 + MX2), MX1 + MX2, "enforcing"),
        (dataclasses.replace(FIRST, mx=MX2), MX2, "enforcing"),
        (dataclasses.replace(FIRST, mx=MX2), MX2, "enforcing"),
    ],
    "A domain that enforces": [(LEAVING, MX1, stage) for stage in ["withdrawing"] * 4 + ["absent"]],
}


@pytest.mark.parametrize("title", EXAMPLES)
def test_the_worked_examples_go_as_they_say(title: str) -> None:
    told = worked_example(title)
    assert len(told) == len(EXAMPLES[title]) > 2
    world = World()
    if title != "A domain with the defaults":
        # It has been enforcing for long.
        world.run(dt.datetime(2026, 1, 10, tzinfo=dt.timezone.utc), dataclasses.replace(FIRST, testing_days=0), MX1)
    for (at, text), (desired, mx, stage) in zip(told.items(), EXAMPLES[title]):
        decision = world.run(at, desired, mx)
        assert decision.stage == stage, text
        assert {code for code in HOLD_KINDS if f"``{code}``" in text} == {hold.code for hold in decision.holds}, text
        untils = [f"{hold.until:%Y-%m-%d %H:%M}" for hold in decision.holds if hold.until]
        assert re.findall(r"until (\S+ \S+) UTC", text) == untils, text
    assert world.served[-1].policy.mx == (MX2 if title.startswith("mx1") else MX1)


def test_the_summary_in_the_guide_is_the_real_one() -> None:
    def entry(domain: str, stage: str, *holds: tuple[str, str, str | None], **more: t.Any) -> dict[str, t.Any]:
        values = {"mode": "testing", "mx": ["mx"], "max_age": 86400, "id": "3f2a9c01", "remove": False, **more}
        held = [{"code": code, "message": message, "until": until} for code, message, until in holds]
        named = {"domain": domain, "record_name": f"_mta-sts.{domain}"}
        return {**named, "stage": stage, "record": "announce", "holds": held, **values}

    elsewhere = "mta-sts.broken.example leads to 192.0.2.7, which is no policy host"
    entries = [
        entry("example.com", "enforcing", mode="enforce", max_age=2592000, mx=["mx1", "mx2"]),
        entry("example.org", "testing", ("testing-period", "testing period of 7 days", "2026-11-30T09:12:00+00:00")),
        entry("example.net", "testing", ("mx-unready", "mx2.example.net:25: self-signed certificate", None)),
        entry(
            "old.example",
            "withdrawing",
            ("withdrawal-policies", "senders may hold older policies", "2026-12-23T10:10:00+00:00"),
            mode="none",
        ),
        entry("broken.example", "pending", ("address-elsewhere", elsewhere, None)),
    ]
    entries[2]["mx"] = ["mx1", "mx2"]
    results = [
        {
            "item": domain,
            "name": f"_mta-sts.{domain}",
            "type": "TXT",
            "status": status,
            "before": before,
            "after": after,
        }
        for domain, status, before, after in (
            ("example.com", "changed", None, {"values": ["new"]}),
            ("example.org", "ok", None, None),
            ("example.net", "ok", None, None),
            ("old.example", "changed", None, {"values": ["new"]}),
        )
    ]
    plan = {"policy_hosts": {"web1": [], "web2": []}, "domains": entries, "orphans": [], "troubles": []}
    observed = {"domains": {"broken.example": {"record_id": "0badcafe", "findings": []}}}
    started = dt.datetime(2026, 11, 23, 10, tzinfo=dt.timezone.utc)
    report = make_report(Run(plan, observed, [{"results": results}]), started, started + dt.timedelta(seconds=41))
    lines = rollout_lines(report, "./mta-sts-run/report.html")
    assert textwrap.indent("\n".join(lines), "    ") in ROLLOUT
    assert f"With more than {FEW} domains" in ROLLOUT


def test_every_picture_is_shown_with_its_text_and_has_a_source() -> None:
    shown = {
        name: alt
        for guide in GUIDES
        for name, alt in re.findall(r"(?m)^\.\. figure:: (\S+)\n {3}:alt: (.+)", guide.read_text())
    }
    assert set(shown) == {path.name for path in (DOCSITE / "rst").glob("*.svg")}
    assert {Path(name).stem for name in shown} == {path.stem for path in (DOCSITE / "rst").glob("*.dot")}
    assert shown


def test_the_picture_shows_the_stages() -> None:
    drawn = set(re.findall(r">([^<>]+)</text>", (DOCSITE / "rst/lifecycle.svg").read_text()))
    assert {*STAGES.values(), "withdrawing", "absent"} - drawn == {"none"}


@pytest.mark.parametrize("guide", ["guide_verify", "troubleshooting", "certificates", "coming_from", "security"])
def test_every_code_in_the_guides_is_that_of_a_finding_or_a_hold(guide: str) -> None:
    told = set(re.findall(r"``([a-z]+(?:-[a-z0-9]+)+)``", (DOCSITE / f"rst/{guide}.rst").read_text()))
    told -= {"http-01", "allow-update", "ansible-playbook", "mta-sts", "mta-sts-run"}
    assert told or guide == "security"
    assert told <= KINDS.keys() | HOLD_KINDS.keys()


def test_every_key_of_an_entry_is_documented() -> None:
    fields = _inventory.Desired.__dataclass_fields__
    options = SPECS["all_hosts"]["options"]["mta_sts_domains"]["options"]
    assert set(options) == set(fields)
    # What has no default is told in words: what already enforces stays so, and who leaves needs no MX hosts.
    assert {name for name, option in options.items() if "default" not in option} == {"domain", "mx", "mode"}
    for name, option in options.items():
        if "default" in option:
            default = fields[name].default
            assert option["default"] == (list(default) if isinstance(default, tuple) else default), name
    choices = {name: option["choices"] for name, option in options.items() if "choices" in option}
    assert choices == {
        "mode": list(MODES),
        "state": list(_inventory.STATES),
        "tlsrpt_others": list(_inventory.TLSRPT_OTHERS),
    }
    assert [name for name, option in options.items() if option.get("required")] == ["domain"]


def test_every_variable_is_documented_and_every_documented_one_is_used() -> None:
    inventory = (DOCSITE / "rst/inventory.rst").read_text()
    groups = set(re.findall(r"(?m)^``(\w+)``$", inventory.partition("\nVariables of all hosts\n")[0]))
    assert groups == GROUPS
    assert VARIABLES.keys() | groups == used_in_playbooks()
    assert set(re.findall(r"(?m)^``(mta_sts_\w+)``$", inventory)) == used_in_playbooks()


def test_every_variable_that_a_guide_names_is_one() -> None:
    modules = {path.stem for path in (ROOT / "plugins/modules").glob("*.py")}
    for guide in GUIDES:
        named = set(re.findall(r"(?<![\w.])mta_sts_\w+", guide.read_text()))
        # That of the findings is made from their table.
        assert named or guide.stem == "findings"
        assert named <= used_in_playbooks() | modules | METRICS, guide.name


def test_every_metric_is_in_the_guide() -> None:
    assert set(rows(VERIFY, "metric")) == METRICS
    assert f"at most {_metrics.NAMED} in each metric" in VERIFY


def test_every_key_of_the_dns_settings_is_documented() -> None:
    options = VARIABLES["mta_sts_dns"]["options"]
    assert set(options) == set(re.findall(r"mta_sts_dns\.(\w+)", playbooks()))
    role = yaml.safe_load((ROOT / "roles/dns_records/meta/argument_specs.yml").read_text())
    of_role = role["argument_specs"]["main"]["options"]
    for name, option in options.items():
        # By default it is beside the run, which a role knows nothing of.
        told = {key: value for key, value in option.items() if key not in {"description", "no_log"}}
        if name != "directory":
            wanted = {key: of_role[f"dns_records_{name}"].get(key) for key in told}
            assert told == wanted, name
    assert [name for name, option in options.items() if option.get("no_log")] == ["key_secret", "credentials"]


def test_defaults_are_those_of_the_playbooks() -> None:
    literal = re.findall(r"\b(mta_sts_[\w.]+) \| default\(('\w*'|\d+|true|false|\[\]|\{\})\)", playbooks())
    assert len({name for name, _default in literal}) > 20
    of_a_key = {f"mta_sts_dns.{name}": option for name, option in VARIABLES["mta_sts_dns"]["options"].items()}
    # What is wanted of them cannot be left out.
    needed = {"mta_sts_domains", "mta_sts_domains_file", *GROUPS}
    for name, option in {**VARIABLES, **of_a_key}.items():
        defaults = [yaml.safe_load(default) for other, default in literal if other == name]
        if "default" in option and name not in needed:
            # The playbook mx takes the controller for no host.
            assert option["default"] in defaults or not defaults, name


def test_every_example_inventory_is_accepted() -> None:
    inventories = [found for _guide, block in code_blocks() for found in inside(block) if "mta_sts_domains" in found]
    assert len(inventories) >= 2
    for inventory in inventories:
        entries = inventory["mta_sts_domains"]
        desired = _inventory.read_domains(entries, inventory.get("mta_sts_defaults", {}))
        assert len(desired) == len(entries) > 0


def test_the_refusal_in_the_guide_is_the_real_one() -> None:
    entries: list[t.Any] = [
        {"domain": "example.com", "mx": ["mx1.example.net"]},
        {"domain": "example.org", "mx": ["mx1.example.net"], "maxage": 1},
        {"domain": "example.net", "mx": ["192.0.2.1"], "max_age": -1},
    ]
    with pytest.raises(_inventory.InventoryError) as refused:
        _inventory.read_domains(entries, {})
    assert textwrap.indent(str(refused.value), "    ") in ROLLOUT


def test_examples_use_options_that_there_are() -> None:
    seen = set()
    for _guide, block in code_blocks():
        for found in inside(block):
            for key, arguments in found.items():
                module = ROOT / "plugins/modules" / f"{str(key).removeprefix('postmaster.mta_sts.')}.py"
                if str(key).startswith("postmaster.mta_sts.") and isinstance(arguments, dict):
                    seen.add(module.stem)
                    assert set(arguments) <= documented_options(module), key
    assert len(seen) >= 4


def documented_options(module: Path) -> set[str]:
    """Those of the module itself, and of the fragments that it extends."""
    text = module.read_text().partition('DOCUMENTATION = r"""')[2].partition('"""')[0]
    documented = yaml.safe_load(text)
    options = set(documented["options"])
    for fragment in documented["extends_documentation_fragment"]:
        file, _dot, part = fragment.removeprefix("postmaster.mta_sts.").partition(".")
        name = f"ansible_collections.postmaster.mta_sts.plugins.doc_fragments.{file}"
        fragments = importlib.import_module(name).ModuleDocFragment
        options |= set(yaml.safe_load(getattr(fragments, part.upper() or "DOCUMENTATION"))["options"])
    return options


def test_role_variables_in_the_guides_are_declared() -> None:
    declared = {
        name for path in (ROOT / "roles").glob("*/defaults/main.yml") for name in yaml.safe_load(path.read_text())
    }
    roles = {path.name for path in (ROOT / "roles").iterdir()}
    of_a_role = re.compile(r"(?<![\w.])(?:policy_host|dns_records|mx_tlsa?|report_inbox|sender)_\w+")
    named = {name for guide in GUIDES for name in of_a_role.findall(guide.read_text()) if name != "policy_hosts"}
    assert len(named) > 5
    # What the role hands to tasks of the user's.
    handed = {"dns_records_wanted"}
    assert named <= declared | roles | handed | tags_of_roles()


def tags_of_roles() -> set[str]:
    texts = (path.read_text() for path in (ROOT / "roles").glob("*/tasks/*.yml"))
    return {tag for text in texts for tag in re.findall(r"(?m)^ +tags: \[(\w+)\]$", text) if tag != "always"}


def test_every_tag_of_a_role_is_in_the_guide() -> None:
    guide = (DOCSITE / "rst/guide_own_playbooks.rst").read_text()
    rows = re.findall(r"(?m)^   \* - ((?:``\w+``(?:, )?)+)$", guide.partition("The roles have these tags:")[2])
    assert {tag for row in rows for tag in re.findall(r"\w+", row)} == tags_of_roles()


def test_every_guide_is_listed_and_labelled() -> None:
    sections = yaml.safe_load((DOCSITE / "extra-docs.yml").read_text())["sections"]
    assert sorted(name for section in sections for name in section["toctree"]) == [guide.stem for guide in GUIDES]
    for guide in GUIDES:
        labels = re.findall(r"(?m)^\.\. _([^:]+):$", guide.read_text())
        assert labels == [f"ansible_collections.postmaster.mta_sts.docsite.{guide.stem}"]


def test_every_schema_is_in_the_guide() -> None:
    text = (DOCSITE / "rst/guide_own_playbooks.rst").read_text()
    named = set(re.findall(r"docs/schemas/([\w-]+\.json)", text))
    assert named == {path.name for path in (ROOT / "docs/schemas").glob("*.json")}
    assert named


# --- what the quick start and the troubleshooting say ---------------------------------------------------------


def commands(text: str) -> list[str]:
    """The lines of the shell in a guide."""
    lines = [
        line.partition("# ")[0].strip() for block in blocks(text, "(?:shell|console)") for line in block.splitlines()
    ]
    return [line for line in lines if line]


def test_the_quick_start_shows_what_a_first_run_says() -> None:
    (inventory, _vault) = [block for guide, block in code_blocks() if guide == "quick_start"]
    [desired] = _inventory.read_domains(inventory["all"]["vars"]["mta_sts_domains"], {})
    world = World()
    decision = world.run(dt.datetime(2026, 3, 2, 10, tzinfo=dt.timezone.utc), desired, desired.mx)
    assert (decision.stage, decision.holds) == ("testing", ())
    assert decision.policy is not None
    identifier = policy_id(render_policy(decision.policy))
    entry = {"domain": desired.domain, "record_name": desired.record_name, "stage": decision.stage, "holds": [],
             "mode": decision.policy.mode, "mx": list(decision.policy.mx), "max_age": decision.policy.max_age,
             "id": identifier, "record": decision.record, "remove": False}  # fmt: skip
    result = {"item": desired.domain, "name": desired.record_name, "type": "TXT", "status": "changed", "before": None,
              "after": {"values": ["new"]}}  # fmt: skip
    plan = {"policy_hosts": {"web1": []}, "domains": [entry], "orphans": [], "troubles": []}
    started = dt.datetime(2026, 3, 2, 10, tzinfo=dt.timezone.utc)
    run = Run(plan, {"domains": {}}, [{"results": [result]}])
    report = make_report(run, started, started + dt.timedelta(seconds=38))
    lines = rollout_lines(report, "./mta-sts-run/report.html")
    assert textwrap.indent("\n".join(lines), "    ") in QUICK_START


def test_the_quick_start_of_the_readme_is_the_same() -> None:
    [inventory] = re.findall(r"(?s)```yaml\n(mta_sts_hosts:.*?)```", README)
    assert yaml.safe_load(inventory) == next(block for guide, block in code_blocks() if guide == "quick_start")
    shared = [line for line in commands(QUICK_START) if line.startswith(("ansible", "pip"))]
    assert len(shared) > 5
    assert [line for line in shared if f"    {line}" not in README] == []


@functools.cache
def texts_of_the_code() -> str:
    """All that the code can say: what is literal in its texts, one on each line, and YAML with its lines joined."""
    texts = []
    for path in (ROOT / "plugins").rglob("*.py"):
        constants = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)]
        texts += [node.value for node in constants if isinstance(node.value, str)]
    for folder in ("roles", "playbooks"):
        texts += [" ".join(path.read_text().split()) for path in (ROOT / folder).rglob("*.yml")]
    return "\n".join(texts)


@pytest.mark.parametrize("guide", [TROUBLESHOOTING, CERTIFICATES])
def test_every_message_that_is_quoted_is_one_of_the_code(guide: str) -> None:
    """What a message has of a run is left out with dots in a quotation, and filled in in an example."""
    quoted = [" ".join(text.split()) for text in re.findall(r"(?s)``(.+?)``", guide) if " " in text]
    messages = [text for text in quoted if not re.match(r"(curl|dig|certbot [a-z]|systemctl|--check|[a-z_]+:) ", text)]
    parts = [part.strip() for text in messages for part in text.split("...")]
    assert len(parts) > 10 or guide is CERTIFICATES
    assert [part for part in parts if part not in texts_of_the_code()] == []


def test_every_ad_hoc_command_names_a_module_and_every_playbook_is_one() -> None:
    modules = {path.stem for path in (ROOT / "plugins/modules").glob("*.py")}
    names = {path.stem for path in (ROOT / "playbooks").glob("*.yml")}
    lines = [line for guide in GUIDES for line in commands(guide.read_text())]
    called = {name for line in lines for name in re.findall(r"-m postmaster\.mta_sts\.(\w+)", line)}
    played = {name for line in lines for name in re.findall(r"ansible-playbook .*?postmaster\.mta_sts\.(\w+)", line)}
    assert called
    assert called <= modules
    assert {"rollout", "verify"} <= played <= names
    set_on_the_line = {name for line in lines for name in re.findall(r"-e (mta_sts_\w+)=", line)}
    assert set_on_the_line <= VARIABLES.keys()
