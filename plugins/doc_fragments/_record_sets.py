# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the modules for record sets have in common: the sets, and what became of them.

Private to this collection: other collections must not use it.
"""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  timeout:
    description: Seconds to wait for a connection and for each answer.
    type: int
    default: 10
  wait:
    description:
      - For how many seconds at most to wait until the authoritative servers answer what was changed. They are asked
        over TCP, and each that answers has to say it.
    type: int
    default: 60
  record_sets:
    description:
      - The record sets and what they shall be.
      - All of them are validated before anything is sent. Each name and type may be given once.
      - Exactly one of O(record_sets) and O(document) is required.
    type: list
    elements: dict
    suboptions:
      name:
        description: The absolute name of the set, in A-labels. The dot at the end may be left out.
        type: str
        required: true
      type:
        description:
          - The type of the set, for example V(TXT), V(CNAME) or V(TLSA).
          - Types that the server makes itself, such as V(SOA) and V(RRSIG), are refused.
        type: str
        required: true
      ttl:
        description: The TTL of the set, in seconds.
        type: int
        default: 300
      values:
        description:
          - The values of the set, in any order. An empty list says that the set shall not be there.
          - The values of V(TXT) sets are plain text, without quotes. What is longer than 255 bytes is
            stored as several strings.
          - The values of other types are written as in a zone file. Names in them are absolute, with or
            without the dot at the end.
          - What a wildcard answers for a name does not count as a set of that name.
        type: list
        elements: str
        required: true
      seen:
        description:
          - Whether DNS was just seen to have exactly this set, by a caller who looked. It counts as in place then, and
            a back end that would have to ask for it does not.
        type: bool
        default: false
      expected:
        description:
          - The values that the set may have now, in the form of O(record_sets[].values). An empty list says that
            there is no such set.
          - If the set has neither these values, whatever its TTL, nor is as wanted already, somebody has changed it
            since it was decided what it shall be. It fails then, and is left as it is.
          - What a wildcard answers for the name may be given as well as an empty list.
          - If not given, the set may be anything.
        type: list
        elements: str
      zone:
        description: The zone in which the set lies. If not given, the server is asked.
        type: str
      item:
        description:
          - What the set belongs to, for example a mail domain. It is repeated in results and error messages.
        type: str
  document:
    description:
      - Path of a JSON file on the controller. It holds an object with the key C(record_sets),
        in which each key is the name of a section, and each value a list of the form of O(record_sets).
      - Meant for thousands of sets, with O(results).
      - Needs O(section).
    type: path
  section:
    description: Which list of O(document) to use.
    type: str
  results:
    description:
      - Path of a JSON file on the controller, into which RV(counts) and RV(results) are written instead of the latter
        being returned. An older file is replaced at once. It is written in check mode, too.
    type: path
  continue_on_error:
    description:
      - Whether the task succeeds although some sets could not be brought to their wanted state. The results
        tell them.
      - With V(false) the task fails in the end, after all others were applied, and still returns what it did.
      - Errors that concern all sets, such as a server that cannot be reached or does not accept a key,
        always fail the task.
    type: bool
    default: false
"""

    AUTHORITIES = r"""
options:
  authorities:
    description:
      - The authoritative servers that are asked whether they answer what is wanted, each as an address or a name, with
        a port if it is not 53, as in V(ns1.example.net), V(192.0.2.53:5353) or V([2001:db8::53]:53).
      - Without any, those that DNS names for each set's zone.
    type: list
    elements: str
    default: []
  resolvers:
    description: The resolvers that are asked for these servers, as addresses. Without any, those of the system.
    type: list
    elements: str
    default: []
"""
