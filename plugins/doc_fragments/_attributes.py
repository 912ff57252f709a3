# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The attributes of the modules: what each means. A module says itself how far it supports them.

Private to this collection: other collections must not use it.
"""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Says in check mode what it would change, and changes nothing.
  diff_mode:
    description: Shows in diff mode what it changes, or would change in check mode.
  idempotent:
    description: A second run with the same options changes nothing, unless something else did in between.
"""

    ACTIONGROUP_MTA_STS = r"""
options: {}
attributes:
  action_group:
    description: Takes the defaults that C(module_defaults) sets for C(group/postmaster.mta_sts.mta_sts).
    support: full
    membership:
      - postmaster.mta_sts.mta_sts
"""

    INFO_MODULE = r"""
options: {}
attributes:
  check_mode:
    support: full
    details:
      - It only reads.
  diff_mode:
    support: N/A
    details:
      - It only reads.
  idempotent:
    support: full
    details:
      - It only reads.
"""
