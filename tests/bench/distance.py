# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A network namespace from which the lab is some milliseconds away, as the servers of the world are.

Not every kernel has netem, so that packets are carried by this program: from a tun device in the namespace to one
outside of it, and back, each of them a while later. Linux, as root.
"""

from __future__ import annotations

import fcntl
import os
import select
import struct
import subprocess
import sys
import time
import typing as t
from collections import deque
from contextlib import contextmanager

NAMESPACE = "mta-sts-bench"
INSIDE, OUTSIDE = "10.204.0.2", "10.204.0.1"
# From linux/if_tun.h.
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
PACKET = 1 << 16


@contextmanager
def distant(milliseconds: float) -> t.Iterator[list[str]]:
    """Yields the beginning of a command that runs where the way to the lab and back takes so many milliseconds."""
    # One that a killed run left behind.
    subprocess.run(["ip", "netns", "delete", NAMESPACE], check=False, capture_output=True)
    _ip("netns", "add", NAMESPACE)
    try:
        command = [sys.executable, __file__, str(milliseconds / 2000)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as carrier:
            assert carrier.stdout
            assert carrier.stdin
            if not carrier.stdout.readline():
                raise RuntimeError("packets are not carried, as was said above")
            yield ["ip", "netns", "exec", NAMESPACE]
            carrier.stdin.close()
    finally:
        _ip("netns", "delete", NAMESPACE)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


def _tun(name: str) -> int:
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
    return device


def _carry(delay: float) -> None:
    """Until standard input ends."""
    outside, inside = _tun("bench-out"), _tun("bench-in")
    _ip("link", "set", "bench-in", "netns", NAMESPACE)
    _ip("address", "add", f"{OUTSIDE}/30", "dev", "bench-out")
    _ip("link", "set", "bench-out", "up", "txqueuelen", "10000")
    _ip("-n", NAMESPACE, "link", "set", "lo", "up")
    _ip("-n", NAMESPACE, "address", "add", f"{INSIDE}/30", "dev", "bench-in")
    _ip("-n", NAMESPACE, "link", "set", "bench-in", "up", "txqueuelen", "10000")
    _ip("-n", NAMESPACE, "route", "add", "default", "via", OUTSIDE)
    print("ready", flush=True)
    other = {outside: inside, inside: outside}
    # All wait equally long, so that the first in is the first out.
    waiting: deque[tuple[float, int, bytes]] = deque()
    while True:
        timeout = max(0.0, waiting[0][0] - time.monotonic()) if waiting else None
        readable = select.select([0, outside, inside], [], [], timeout)[0]
        if 0 in readable:
            return
        due = time.monotonic() + delay
        for device in readable:
            waiting.extend((due, other[device], packet) for packet in _packets(device))
        while waiting and waiting[0][0] <= time.monotonic():
            _due, device, packet = waiting.popleft()
            os.write(device, packet)


def _packets(device: int) -> t.Iterator[bytes]:
    try:
        for _turn in range(100):
            yield os.read(device, PACKET)
    except BlockingIOError:
        return


if __name__ == "__main__":
    _carry(float(sys.argv[1]))
