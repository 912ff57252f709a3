# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sends a message twice a second until nobody listens any more, for ten minutes at most."""

import subprocess
import time

for number in range(1200):
    command = ["sendmail", "-f", f"sender-{number}@out1.lab.test", "all@signed.example"]
    subprocess.run(command, input=f"Subject: number {number}\n\nOne of many.\n".encode(), check=True)
    # Ends it once the connection is gone.
    print(number, flush=True)
    time.sleep(0.5)
