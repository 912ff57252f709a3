# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How Sphinx makes the site out of what antsibull-docs made; see .ci/site."""

from __future__ import annotations

import re
import typing as t

from docutils import nodes

if t.TYPE_CHECKING:
    from sphinx.addnodes import pending_xref
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

project = "postmaster.mta_sts"
copyright = "The postmaster.mta_sts authors"
html_title = "postmaster.mta_sts"

extensions = ["sphinx_antsibull_ext"]
default_role = "any"
highlight_language = "YAML+Jinja"
smartquotes = False
# A reference to nothing is an error.
nitpicky = True

html_theme = "furo"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_copy_source = False
html_use_index = False

# What Ansible's own documentation has of what is referred to. Its index is not asked for, so that no network is needed.
ANSIBLE: t.Final = "https://docs.ansible.com/ansible/latest/"
PLACES: t.Final = {
    "action_plugins": "plugins/action.html",
    "ansible_configuration_settings": "reference_appendices/config.html",
    "common_return_values": "reference_appendices/common_return_values.html",
}


def refer_to_ansible(
    _app: Sphinx, _env: BuildEnvironment, reference: pending_xref, content: nodes.Node
) -> t.Optional[nodes.Node]:
    target = reference["reftarget"]
    module = re.match(r"ansible_collections\.ansible\.builtin\.(\w+?_module)(__|$)", target)
    place = f"collections/ansible/builtin/{module[1]}.html" if module else PLACES.get(target)
    return None if place is None else nodes.reference("", "", content, refuri=ANSIBLE + place, internal=False)


def setup(app: Sphinx) -> None:
    app.connect("missing-reference", refer_to_ansible)
