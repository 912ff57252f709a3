# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Keeps what gives access to a provider out of every text. Private to this collection."""

from __future__ import annotations

import base64
import itertools
import json
import typing as t
import urllib.parse

MASK = "********"
# What is shorter is no secret that deserves the name, and is part of many a word.
SHORTEST = 4
# An environment may have bytes that are no text, which Python writes as surrogates.
KEEP = "surrogatepass"


def secrets_of(values: t.Iterable[str], public: str) -> frozenset[str]:
    """Those values that no output may hold: not what is part of the public text, which would be garbled without need.

    Who is called acme at the provider of acme.example has no secret there.
    """
    return frozenset(value for value in values if len(value) >= SHORTEST and value not in public)


class Redaction:
    """Takes secrets out of texts, however they are written there."""

    def __init__(self, secrets: t.Collection[str]) -> None:
        self.secrets = frozenset(secrets)
        forms = {form for secret in secrets for form in _forms(secret)}
        # HTTP's basic authentication (RFC 7617 2).
        forms |= {_base64(f"{user}:{password}") for user, password in itertools.permutations(secrets, 2)}
        self.forms = sorted(forms, key=lambda form: (-len(form), form))

    def __call__(self, text: str) -> str:
        for form in self.forms:
            text = text.replace(form, MASK)
        return text


def _forms(secret: str) -> t.Iterator[str]:
    yield secret
    yield urllib.parse.quote(secret, errors=KEEP)
    yield urllib.parse.quote(secret, safe="", errors=KEEP)
    yield urllib.parse.quote_plus(secret, errors=KEEP)
    yield json.dumps(secret)[1:-1]
    yield repr(secret)[1:-1]
    yield _base64(secret)


def _base64(text: str) -> str:
    # The end says how long the text is, and may be left out or be followed by more.
    return base64.b64encode(text.encode(errors=KEEP)).decode().rstrip("=")
