# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has to happen for a broken rule to be noticed, for each rule that mutants.py breaks.

Each ends well while the rule holds. Where a change of the code has made one fit no more, search.py finds another.
"""

from __future__ import annotations

from machine import Story
from rollout import Trouble
from world import DAY

STORIES: dict[str, Story] = {
    "what senders hold expires at once": (
        ("begin", {"runs": 3}),
        ("edit", {"change": {"state": "absent"}}),
    ),
    "what is not served any more is held by nobody": (
        ("begin", {}),
        ("keep_running", {}),
        ("overtake", {"stop": 1, "change": {"state": "absent"}}),
        ("keep_running", {"wait": 7 * DAY}),
    ),
    "what nobody remembers is held by nobody": (
        ("begin", {}),
        ("overtake", {"stop": 2, "change": {"state": "absent"}}),
        ("break_host", {"what": "rebuilt"}),
    ),
    "a ledger that was lost knew nothing": (
        ("begin", {}),
        ("overtake", {"stop": 2, "change": {"state": "absent"}}),
        ("break_host", {"what": "rebuilt"}),
        ("overtake", {"stop": 1, "change": {"max_age": DAY}}),
    ),
    "a policy host that knows nothing lost nothing": (
        # One run stops when it has recorded a policy that enforces, another comes in between, the first goes on
        # and serves it on a host that is then lost.
        ("begin", {"hosts": 2, "patterns": ("mx2.example.net",), "runs": 1}),
        ("follow_reports", {}),
        ("overtake", {"stop": 1, "change": {"mx": ("mx1.example.net",)}}),
        ("break_host", {"what": "rebuilt"}),
    ),
    "what was only written down was served": (
        ("begin", {"hosts": 2, "starts": ("fresh", "fresh")}),
        ("overtake", {"stop": 3, "change": {"testing_days": 1}}),
    ),
    "what is forgotten was harmless": (
        ("begin", {"starts": ("legacy enforce", "legacy testing"), "patterns": ("mx2.example.net",), "replaces": True}),
        ("overtake", {"stop": 1, "number": 1, "change": {"state": "absent"}}),
    ),
    "policies of others do not count": (("begin", {"starts": ("legacy testing",)}),),
    "what others serve, too, ends with what we serve": (
        ("begin", {"hosts": 1, "starts": ("legacy enforce",)}),
        ("roll_out", {}),
        ("edit", {"change": {"state": "absent"}}),
        ("edit", {"change": {"replace_foreign": True}}),
        ("roll_out", {"wait": DAY}),
        ("roll_out", {"wait": "due"}),
    ),
    "what others serve ends where it is not seen": (
        ("begin", {"hosts": 1, "starts": ("legacy enforce",)}),
        ("roll_out", {}),
        ("edit", {"change": {"mx": ("mx2.example.net",)}}),
        ("edit", {"change": {"replace_foreign": True}}),
        ("roll_out", {"wait": 7 * DAY, "trouble": Trouble(probe="https")}),
    ),
    "patterns are dropped at once": (
        ("begin", {"starts": ("legacy enforce",)}),
        ("overtake", {"stop": 1, "change": {"mx": ("mx2.example.net",)}}),
    ),
    "patterns are dropped when the host is out of DNS": (
        ("begin", {"starts": ("legacy enforce",), "mx_ttl": 3 * DAY}),
        ("overtake", {"stop": 1, "change": {"mx": ("mx2.example.net",)}}),
    ),
    "patterns are those of DNS": (("begin", {"patterns": ("*.example.net",)}),),
    "the TTL of the MX record does not matter": (
        ("begin", {"days": 1, "mx_ttl": 3 * DAY}),
        ("overtake", {"stop": 1, "change": {"mx": ("mx2.example.net",)}}),
    ),
    "new MX hosts may come at once": (
        ("begin", {"starts": ("legacy enforce",), "patterns": ("mx2.example.net", "mx3.example.net")}),
    ),
    "there is no testing period": (("begin", {"days": 1}),),
    "old MX sets are in no cache when it is enforced": (
        ("begin", {"days": 1, "mx_ttl": 3 * DAY}),
        ("edit", {"change": {"mx": ("mx2.example.net", "mx3.example.net")}}),
    ),
    "there is no gate": (("begin", {"wild": True}),),
    "MX hosts that match are ready": (
        ("begin", {"starts": ("legacy testing",), "runs": 1}),
        ("follow_reports", {}),
        # Nobody has reported it yet.
        ("break_mx", {"host": "mx1.example.net", "healthy": False}),
        ("roll_out", {}),
    ),
    "reports are not heard": (
        ("begin", {}),
        ("break_mx", {"host": "mx1.example.net", "healthy": False}),
        ("roll_out", {}),
        ("break_mx", {"host": "mx1.example.net", "healthy": True}),
        ("roll_out", {"wait": DAY}),
    ),
    "the word of one is enough for others": (
        # Two days before the step an MX host is bad, for a moment that no run sees, and one sender has no mail for it.
        ("begin", {"days": 7, "patterns": ("mx1.example.net", "mx2.example.net"), "runs": 2}),
        ("follow_reports", {}),
        ("roll_out", {"wait": 5 * DAY}),
        ("break_mx", {"host": "mx2.example.net", "healthy": False}),
        ("break_mx", {"host": "mx2.example.net", "healthy": True}),
        ("roll_out", {"wait": "due"}),
    ),
    "whatever failed was refused": (("begin", {}),),
    "what fails is taken back to testing": (
        ("begin", {"starts": ("legacy enforce",), "patterns": ("mx2.example.net", "mx3.example.net")}),
    ),
    "what is tried or withdrawn lasts": (
        ("begin", {}),
        ("edit", {"change": {"mode": "testing"}}),
    ),
    "what was interrupted goes on": (
        ("begin", {"hosts": 2, "starts": ("lone record", "legacy enforce")}),
        ("edit", {"change": {"state": "absent"}}),
        ("roll_out", {"trouble": Trouble(probe="mx")}),
        ("roll_out", {"wait": "due"}),
        ("edit", {"change": None}),
        ("overtake", {"stop": 1, "change": {"testing_days": 1}}),
        ("overtake", {"stop": 2, "change": {"state": "absent"}}),
    ),
    "a record goes at once": (
        ("begin", {"runs": 3}),
        ("edit", {"change": {"state": "absent"}}),
    ),
    "nobody is told that a domain leaves": (
        ("begin", {"starts": ("legacy enforce",)}),
        ("edit", {"change": {"state": "absent"}}),
    ),
    "what hosts serve by now does not keep a record": (
        # One run is to remove the record while another one publishes again, and cannot prove it: the first one is at
        # work on a host.
        ("begin", {"hosts": 3, "starts": ("legacy testing",), "runs": 3}),
        ("follow_reports", {}),
        ("edit", {"change": {"state": "absent"}}),
        ("keep_running", {"times": 4, "wait": 7 * DAY}),
        ("roll_out", {"wait": 7 * DAY, "trouble": Trouble(probe="dns")}),
        ("overtake", {"stop": 1, "change": {"state": "present"}}),
    ),
    "files go with the record": (
        ("begin", {"runs": 3}),
        ("edit", {"change": {"state": "absent"}}),
    ),
    "files go when the record is gone": (
        ("begin", {}),
        ("overtake", {"stop": 2, "change": {"state": "absent"}}),
        ("overtake", {"stop": 1, "change": {"state": "absent"}}),
        ("follow_reports", {"wait": "due"}),
        ("overtake", {"stop": 1, "change": {"state": "absent"}}),
    ),
    "orphans are removed": (
        ("begin", {}),
        ("keep_running", {}),
        ("edit", {"change": None}),
    ),
    "one domain stops the others": (("begin", {"starts": ("legacy testing", "fresh")}),),
    "nothing is proved": (
        ("begin", {}),
        ("overtake", {"stop": 2, "change": {"mx": ("mx1.example.net", "mx2.example.net")}}),
    ),
    "a proof of some hosts is a proof": (
        ("begin", {"hosts": 2}),
        ("overtake", {"stop": 2, "change": {"mx": ("mx1.example.net", "mx2.example.net")}}),
    ),
    "silence is an answer": (
        ("begin", {"starts": ("legacy enforce",)}),
        ("overtake", {"stop": 5, "change": {"state": "absent"}}),
        ("break_host", {"what": "rebuilt"}),
        ("roll_out", {"trouble": Trouble(probe="dns")}),
    ),
    "ids are not those of the bytes": (("begin", {}),),
    "records are appended": (("begin", {}),),
    "any record may be replaced": (
        ("begin", {"hosts": 3, "starts": ("legacy enforce",), "patterns": ("mx2.example.net", "mx3.example.net")}),
        ("overtake", {"stop": 1, "change": {"testing_days": 0}}),
        ("follow_reports", {}),
        ("edit", {"change": {"mx": ("mx1.example.net", "mx2.example.net")}}),
        ("overtake", {"stop": 10, "change": {"state": "present"}}),
    ),
    "any revision will do": (
        ("begin", {}),
        ("overtake", {"stop": 1, "change": {"mx": ("mx1.example.net", "*.pool.example.net")}}),
    ),
    "any clock will do": (
        ("begin", {"starts": ("legacy enforce",), "replaces": True}),
        ("edit", {"change": {"state": "absent"}}),
        ("overtake", {"stop": 1, "change": {"replace_foreign": False}}),
        ("roll_out", {"trouble": Trouble(skew=40 * DAY)}),
    ),
    "ledgers that are not read do not matter": (
        # One host is away while another one comes to enforce and is told to withdraw; then it is the other way round.
        ("begin", {"hosts": 2, "days": 1, "runs": 1}),
        ("roll_out", {}),
        ("break_host", {"what": "away"}),
        ("roll_out", {"wait": DAY}),
        ("edit", {"change": {"state": "absent"}}),
        ("roll_out", {}),
        ("break_host", {"what": "well"}),
        ("break_host", {"number": 1, "what": "away"}),
        ("roll_out", {}),
        ("roll_out", {"wait": DAY}),
        ("roll_out", {"wait": DAY}),
    ),
    "files come before the ledger": (("begin", {"runs": 3}),),
    "the ledger is settled before the files": (("begin", {"starts": ("legacy testing",), "runs": 3}),),
}
