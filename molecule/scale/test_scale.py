# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""P9: the number of tasks does not depend on the number of domains."""

from __future__ import annotations

import typing as t

from ansible_collections.postmaster.mta_sts.plugins.module_utils._policy import policy_id

if t.TYPE_CHECKING:
    from conftest import Lab

COUNT = 200
BODY = b"version: STSv1\r\nmode: testing\r\nmx: mx1.lab.test\r\nmax_age: 86400\r\n"


def test_as_many_tasks_for_two_hundred_domains_as_for_one(lab: Lab) -> None:
    one = lab.rollout()
    assert one.status == 0, one.output
    domains = [{"domain": f"d{number}.scale.example", "mx": ["mx1.lab.test"]} for number in range(1, COUNT + 1)]
    many = lab.rollout(mta_sts_domains=domains)
    assert many.status == 0, many.output
    assert many.tasks == one.tasks > 20
    report = lab.report()
    assert len(report) == COUNT
    assert {domain["stage"] for domain in report.values()} == {"testing"}
    zone = lab.zone("scale.example")
    assert zone.count(f"v=STSv1; id={policy_id(BODY)}") == COUNT
    for number in (1, 100, COUNT):
        assert lab.curl("web1", f"d{number}.scale.example", "--insecure") == BODY
    again = lab.rollout(mta_sts_domains=domains)
    assert again.changed == {"localhost": 0, "web1": 0, "web2": 0}
