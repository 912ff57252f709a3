# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What all probes of one event loop share. Private to this collection."""

from __future__ import annotations

import asyncio
import datetime as dt
from dataclasses import dataclass

from .connect import Reach
from .dns import Lookup
from .tls import Contexts


@dataclass(frozen=True)
class Means:
    """How to look things up and to connect, and when that is."""

    lookup: Lookup
    contexts: Contexts
    reach: Reach
    # For all connections but those of DNS.
    turns: asyncio.Semaphore
    now: dt.datetime
