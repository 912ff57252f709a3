# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs on a policy host: how long nginx tests its configuration, and loads it, and its largest process."""

import json
import subprocess
import time
from pathlib import Path


def seconds(command: str) -> float:
    begin = time.perf_counter()
    subprocess.run(command.split(), check=True, capture_output=True)
    return time.perf_counter() - begin


def workers(master: str) -> set[str]:
    return set(Path(f"/proc/{master}/task/{master}/children").read_text().split())


def resident(process: str) -> int:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) // 1024


def main() -> None:
    test = min(seconds("nginx -t -q") for _time in range(3))
    master = Path("/run/nginx.pid").read_text().strip()
    before = workers(master)
    begin = time.perf_counter()
    subprocess.run(["nginx", "-s", "reload"], check=True)
    # The old ones end at once, since nobody is connected.
    while workers(master) & before or not workers(master):
        if time.perf_counter() - begin > 60:
            raise SystemExit("nginx still has its old workers after a minute")
        time.sleep(0.002)
    reload = time.perf_counter() - begin
    held = max(map(resident, (master, *workers(master))))
    print(json.dumps({"test_seconds": round(test, 3), "reload_seconds": round(reload, 3), "process_mib": held}))


main()
