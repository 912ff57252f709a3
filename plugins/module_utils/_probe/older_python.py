# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What asyncio lacks in Python 3.10, with which ansible-core 2.17 may still run. This file goes with it.

Standard library only. Private to this collection.
"""

from __future__ import annotations

import asyncio
import ssl
import sys
import typing as t

if sys.version_info >= (3, 11):
    timeout = asyncio.timeout
else:

    class timeout:
        """Cancels what its context does once so many seconds have passed, and raises TimeoutError instead."""

        def __init__(self, seconds: float) -> None:
            self._seconds = seconds
            self._expired = False

        async def __aenter__(self) -> None:
            self._task = t.cast("asyncio.Task[t.Any]", asyncio.current_task())
            self._timer = asyncio.get_running_loop().call_later(self._seconds, self._expire)

        def _expire(self) -> None:
            self._expired = True
            self._task.cancel()

        async def __aexit__(self, kind: t.Optional[type[BaseException]], *_error: object) -> None:
            self._timer.cancel()
            if self._expired and kind is asyncio.CancelledError:
                raise TimeoutError


async def start_tls(writer: asyncio.StreamWriter, context: ssl.SSLContext, name: str) -> None:
    """Has all that follows on a connection go over TLS. Raises what the writer's own C(start_tls) does."""
    if sys.version_info >= (3, 11):
        await writer.start_tls(context, server_hostname=name)
    else:
        await writer.drain()
        loop, protocol = asyncio.get_running_loop(), writer.transport.get_protocol()
        writer._transport = await loop.start_tls(writer.transport, protocol, context, server_hostname=name)
        protocol._over_ssl = True
