# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The examples of the modules and filters, and the code in the guides and READMEs, as they are printed."""

from __future__ import annotations

import ast
import re
import textwrap
import typing as t
from pathlib import Path

import yaml

CHECKOUT = Path(__file__).parents[3]

Task = dict[str, t.Any]


def plugins(kind: str) -> dict[str, Path]:
    """The modules or filters, by name."""
    found = {path.stem: path for path in sorted((CHECKOUT / "plugins" / kind).glob("*.py"))}
    assert found
    return found


def text_of(path: Path) -> str:
    """What a plugin prints as its examples; nothing if it has none."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["EXAMPLES"]:
            text = ast.literal_eval(node.value)
            assert isinstance(text, str)
            return text
    return ""


def examples(kind: str) -> dict[tuple[str, str], Task]:
    """The tasks in the examples of all modules or filters, by plugin and name."""
    return {
        (plugin, task["name"]): task
        for plugin, path in plugins(kind).items()
        for task in yaml.safe_load(text_of(path)) or ()
    }


class Block(t.NamedTuple):
    """A block of code, and where it stands."""

    where: str
    language: str
    text: str


_RST = re.compile(r"(?m)^( *)\.\. code-block:: (\w+)\n\n((?:\1 {4}.*\n|\n)+)")
_MARKDOWN = re.compile(r"(?m)^()```(\w+)\n((?:.*\n)*?)```$")


def blocks() -> list[Block]:
    """All code in the guides, and that in the READMEs whose language is told."""
    found = []
    for pattern, begin, paths in (
        (_RST, ".. code-block:: ", CHECKOUT.glob("docs/docsite/rst/*.rst")),
        (_MARKDOWN, "```", [CHECKOUT / "README.md", *CHECKOUT.glob("roles/*/README.md")]),
    ):
        for path in sorted(paths):
            text = path.read_text()
            here = [
                Block(f"{path.relative_to(CHECKOUT)}:{text.count(chr(10), 0, match.start()) + 1}", match[2], match[3])
                for match in pattern.finditer(text)
            ]
            assert len(here) == len(re.findall(rf"(?m)^ *{re.escape(begin)}\w", text)), path
            found += [block._replace(text=textwrap.dedent(block.text)) for block in here]
    return found
