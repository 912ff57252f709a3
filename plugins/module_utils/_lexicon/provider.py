# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A DNS provider through dns-lexicon: its credentials, a session for each zone, and its errors without secrets.

Private to this collection.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import logging
import traceback
import typing as t

if t.TYPE_CHECKING:
    import dns.name

try:
    import requests.adapters
    import requests.exceptions
    from lexicon._private.discovery import find_providers
    from lexicon.client import Client
    from lexicon.config import ConfigResolver, DictConfigSource, EnvironmentConfigSource

    LEXICON_ERROR: str | None = None
except ImportError:
    LEXICON_ERROR = traceback.format_exc()

from .._record_sets.record_set import InputError, SetError
from .content import Record, record_of
from .redaction import Redaction, secrets_of

TOLD_CHARACTERS = 400
# Statuses of HTTP after which the next call to the zone would fare no better: the key, too many calls, out of order.
HOPELESS_STATUSES = frozenset({401, 403, 429, 503})
# Those of a server that stumbled.
TEMPORARY_STATUSES = frozenset({500, 502, 504})


class ProviderError(SetError):
    """What a provider said."""

    def __init__(self, text: str, cause: Exception) -> None:
        super().__init__(text)
        status = getattr(getattr(cause, "response", None), "status_code", None)
        gone = isinstance(cause, (requests.exceptions.ConnectionError, requests.exceptions.Timeout))
        # It would say the same to every further call for this zone.
        self.is_hopeless = gone or status in HOPELESS_STATUSES
        # It might not say the same again.
        self.is_temporary = status in TEMPORARY_STATUSES


class Provider:
    """One of the providers that dns-lexicon knows, with what gives access to it."""

    def __init__(self, name: str, credentials: t.Mapping[str, t.Any], timeout: float) -> None:
        """Take the credentials, and those that are not among them from the environment. Raises InputError."""
        # What it and the providers' modules log is for those who debug them.
        logging.disable(logging.CRITICAL)
        _bound_requests(timeout)
        self.name = name
        known = sorted(provider for provider in find_providers() if provider != "auto")
        if name not in known:
            raise InputError(f"provider {name!r} is none that dns-lexicon knows; it knows {', '.join(known)}")
        try:
            self._class: t.Any = _absolute(self._client({}).provider_class)
        except Exception as exc:  # whatever its own and the provider's libraries raise
            raise InputError(f"provider {name!r} cannot be used: {exc}") from exc
        parser = argparse.ArgumentParser(add_help=False)
        self._class.configure_parser(parser)
        self._known = {action.dest: action.help or "" for action in parser._actions}
        self.options = {**self._from_environment(), **self._checked(credentials)}
        self.redact = Redaction(secrets_of(self.options.values(), ""))

    def hide(self, public: str) -> frozenset[str]:
        """Return what no output may hold, given what is public anyway, and keep it out of errors from now on."""
        secrets = secrets_of(self.options.values(), public)
        self.redact = Redaction(secrets)
        return secrets

    def check(self) -> None:
        """See that the provider takes the credentials for complete, without asking it. Raises InputError."""
        try:
            self._class(self._client({}).config)
        except Exception as exc:
            raise InputError(f"{self} cannot be used: {self._words(exc)}. {self.needs}") from exc

    def __str__(self) -> str:
        return f"provider {self.name}"

    @property
    def needs(self) -> str:
        """What can be given, for those who gave too little."""
        options = [f"{name} ({text})" if text else name for name, text in self._known.items()]
        given = f"given are {', '.join(self.options)}" if self.options else "none is given"
        return f"Its credentials are {', '.join(options) or 'none'}; {given}"

    @contextlib.contextmanager
    def session(self, zone: dns.name.Name) -> t.Iterator[Session]:
        """Sign in for a zone, and out again. Raises ProviderError."""
        settings: dict[str, t.Any] = {"domain": zone.to_text(omit_final_dot=True)}
        client = self._client(settings)
        client.provider_class = self._class
        with self.told(f"does not open zone {zone}"):
            operations = client.__enter__()
        try:
            yield Session(self, zone, settings, operations)
        finally:
            # What was done is done, whatever the provider says to the farewell.
            with contextlib.suppress(Exception):
                client.__exit__(None, None, None)

    def _client(self, settings: dict[str, t.Any]) -> Client:
        """Return a client that asks nobody which zone it is for.

        From the domain that it is given it would guess the zone, with a list of public suffixes that it fetches from
        the network. For an address there is nothing to guess; the zone comes from the settings, which are asked first.
        """
        config = ConfigResolver().with_dict({"domain": "[::1]", "provider_name": self.name})
        client = Client(config)
        options = getattr(self, "options", {})
        # Some providers ask for their options with hyphens.
        settings[self.name] = {**options, **{key.replace("_", "-"): value for key, value in options.items()}}
        client.config.add_config_source(DictConfigSource(settings), 0)
        return client

    def _checked(self, credentials: t.Mapping[str, t.Any]) -> dict[str, str]:
        given = {str(key).replace("-", "_"): value for key, value in credentials.items()}
        unknown = sorted(set(given) - set(self._known))
        if unknown:
            raise InputError(f"credentials: {self} has no option {unknown[0]!r}; it has {', '.join(self._known)}")
        for key, value in given.items():
            if isinstance(value, (dict, list)):
                raise InputError(f"credentials: {key} must be a text")
        return {key: str(value) for key, value in given.items() if value not in (None, False, "")}

    def _from_environment(self) -> dict[str, str]:
        environment = EnvironmentConfigSource()
        found = {key: environment.resolve(f"lexicon:{self.name}:{key}") for key in self._known}
        return {key: value for key, value in found.items() if value}

    @contextlib.contextmanager
    def told(self, what: str) -> t.Iterator[None]:
        try:
            yield
        except Exception as exc:  # each provider's module raises what it likes
            raise ProviderError(f"{self} {what}: {self._words(exc)}", exc) from exc

    def _words(self, exc: Exception) -> str:
        """Return what went wrong in the provider's own words: bounded, printable, and without secrets."""
        body = getattr(getattr(exc, "response", None), "text", "")
        text = self.redact(f"{type(exc).__name__}: {exc} {body if isinstance(body, str) else ''}")
        return "".join(char if char.isprintable() else " " for char in " ".join(text.split()))[:TOLD_CHARACTERS]


class Session:
    """One zone at the provider. Its calls are made one after the other."""

    def __init__(self, provider: Provider, zone: dns.name.Name, settings: dict[str, t.Any], operations: t.Any) -> None:
        self._provider, self.zone, self._settings, self._operations = provider, zone, settings, operations

    def records(self, rtype: str) -> list[Record]:
        """All records of a type that the zone has."""
        with self._provider.told(f"does not list the {rtype} records of zone {self.zone}"):
            told = self._operations.list_records(rtype)
            found = [record_of(one, self.zone) for one in told]
        return [one for one in found if one is not None and one.type == rtype]

    def create(self, name: dns.name.Name, rtype: str, content: str, ttl: int) -> None:
        with self._provider.told(f"does not add a {rtype} record to {name}"):
            self._settings["ttl"] = ttl
            self._operations.create_record(rtype, name.to_text(omit_final_dot=True), content)

    def update(self, record: Record, content: str, ttl: int) -> None:
        """Put other content into the place of a record."""
        if not record.is_identified:
            self.delete(record)
            self.create(record.name, record.type, content, ttl)
            return
        with self._provider.told(f"does not change a {record.type} record of {record.name}"):
            self._settings["ttl"] = ttl
            name = record.name.to_text(omit_final_dot=True)
            self._operations.update_record(record.identifier, record.type, name, content)

    def delete(self, record: Record) -> None:
        with self._provider.told(f"does not delete a {record.type} record of {record.name}"):
            name = record.name.to_text(omit_final_dot=True)
            if record.is_identified:
                self._operations.delete_record(record.identifier, record.type, name, record.content)
            else:
                self._operations.delete_record(None, record.type, name, record.content)


def _absolute(provider_class: t.Any) -> t.Any:
    """Return the provider's class with names that end with a dot taken as they are, not as names within the zone."""

    class Absolute(provider_class):  # type: ignore[misc]
        def _fqdn_name(self, record_name: str) -> str:
            return record_name if record_name.endswith(".") else str(super()._fqdn_name(record_name))

        def _full_name(self, record_name: str) -> str:
            return record_name[:-1] if record_name.endswith(".") else str(super()._full_name(record_name))

    return Absolute


def _bound_requests(timeout: float) -> None:
    """Bound the time of every request: the providers' modules wait for ever."""
    send = requests.adapters.HTTPAdapter.send

    @functools.wraps(send)
    def send_in_time(*arguments: t.Any, **options: t.Any) -> requests.Response:
        return send(*arguments, **{**options, "timeout": options.get("timeout") or timeout})

    requests.adapters.HTTPAdapter.send = send_in_time  # type: ignore[method-assign]
