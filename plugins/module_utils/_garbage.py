# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Fewer looks for garbage, where very many things are kept: each look at all of them finds next to none.

Pure: the standard library only, no I/O. Private to this collection.
"""

from __future__ import annotations

import contextlib
import gc
import typing as t


@contextlib.contextmanager
def few_collections() -> t.Iterator[None]:
    """Collects garbage less often, as long as the context lasts; with 10,000 domains it is a fifth of all work."""
    before = gc.get_threshold()
    gc.set_threshold(50_000, 20, 20)
    try:
        yield
    finally:
        gc.set_threshold(*before)
