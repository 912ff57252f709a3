# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The documents of a run: JSON files that a person can read, compare and keep.

They are written atomically, so that a run that dies never leaves half of one. Private to this collection.
"""

from __future__ import annotations

import itertools
import json
import re
import typing as t
from pathlib import Path

from ._plan_document import check_plan
from ._webroot import write_pieces

Document = dict[str, t.Any]

# Of more than so many things each has a line; fewer are indented, for which JSON takes ten times as long.
MANY: t.Final = 100
# The host comes first in the documents of this collection.
BEGINNING: t.Final = 4096
_DECODER: t.Final = json.JSONDecoder()
_BLANKS = re.compile(r"[ \t\r\n]*")
_HOST_FIRST = re.compile(r'\{\s*"host":\s*("(?:[^"\\]|\\.)*")')


class DocumentError(Exception):
    """A document that cannot be read or written; the text names its path."""


def read_document(path: str) -> Document:
    """The document at a path. Raises L(DocumentError)."""
    try:
        document = json.loads(Path(path).read_bytes())
    except OSError as error:
        raise DocumentError(f"{path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise DocumentError(f"{path}: not a JSON document: {error}") from None
    if not isinstance(document, dict):
        raise DocumentError(f"{path}: not a JSON object")
    return document


def read_plan(path: str) -> Document:
    """The plan document at a path, of which every part is there that is carried out. Raises L(DocumentError)."""
    plan = read_document(path)
    try:
        check_plan(plan)
    except ValueError as error:
        raise DocumentError(f"{path}: {error}") from None
    return plan


class Documents(t.Mapping[str, Document]):
    """The documents of a directory by their C(host); none if there is no such directory yet.

    Each is read whenever it is asked for, and not kept. Raises L(DocumentError), also at that time.
    """

    def __init__(self, directory: str) -> None:
        paths = [str(path) for path in sorted(Path(directory).glob("*.json"))]
        self._paths = {_host_of(path): path for path in paths}

    def __getitem__(self, host: str) -> Document:
        return read_document(self._paths[host])

    def path(self, host: str) -> str:
        """Where the document of a host is."""
        return self._paths[host]

    def __iter__(self) -> t.Iterator[str]:
        return iter(self._paths)

    def __len__(self) -> int:
        return len(self._paths)


class ReportDocuments(t.Mapping[str, t.Iterator[tuple[str, t.Any]]]):
    """What senders reported, host by host: its domains, one after the other, each with its days.

    They are read whenever they are asked for. Of very many domains with all their days only one is held at a time.
    Raises L(DocumentError) for what has no host, and in an iterator ValueError for what is no such document.
    """

    def __init__(self, directory: str) -> None:
        self._documents = Documents(directory)

    def __getitem__(self, host: str) -> t.Iterator[tuple[str, t.Any]]:
        return _members(self._documents.path(host), "domains")

    def __iter__(self) -> t.Iterator[str]:
        return iter(self._documents)

    def __len__(self) -> int:
        return len(self._documents)


def _members(path: str, part: str) -> t.Iterator[tuple[str, t.Any]]:
    """The members of one object in a document, as they come. Raises ValueError."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise ValueError(error.strerror) from None
    _brace, at = _one_of("{", text, 0)
    key, at = _key(text, at)
    while key != part:
        _colon, at = _one_of(":", text, at)
        _skipped, at = _value(text, at)
        comma, at = _one_of(",}", text, at)
        if comma == "}":
            raise ValueError(f"it has no {part!r}")
        key, at = _key(text, at)
    _colon, at = _one_of(":", text, at)
    comma, at = _one_of("{", text, at)
    if text.startswith("}", _after_blanks(text, at)):
        return
    while comma != "}":
        key, at = _key(text, at)
        _colon, at = _one_of(":", text, at)
        value, at = _value(text, at)
        yield key, value
        comma, at = _one_of(",}", text, at)


def _key(text: str, at: int) -> tuple[str, int]:
    key, after = _value(text, at)
    if not isinstance(key, str):
        raise ValueError(f"there is no name at character {_after_blanks(text, at)}")
    return key, after


def _value(text: str, at: int) -> tuple[t.Any, int]:
    try:
        found: tuple[t.Any, int] = _DECODER.raw_decode(text, _after_blanks(text, at))
    except RecursionError:
        raise ValueError("is nested too deep") from None
    return found


def _one_of(characters: str, text: str, at: int) -> tuple[str, int]:
    at = _after_blanks(text, at)
    if at == len(text) or text[at] not in characters:
        raise ValueError(f"there is no {' or '.join(characters)} at character {at}")
    return text[at], at + 1


def _after_blanks(text: str, at: int) -> int:
    match = _BLANKS.match(text, at)
    return match.end() if match else at


def _host_of(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            begins = _HOST_FIRST.match(file.read(BEGINNING))
        host = json.loads(begins[1]) if begins else read_document(path).get("host")
    except (OSError, ValueError) as error:
        raise DocumentError(f"{path}: {error}") from None
    if not isinstance(host, str):
        raise DocumentError(f"{path}: 'host' is missing or damaged")
    return host


def write_document(path: str, document: t.Union[t.Mapping[str, t.Any], t.Sequence[t.Any]]) -> None:
    """Puts a document at a path, whose directories are made where they are missing."""
    # Piece by piece: as one text, with its bytes, the document of very many domains would be there three times.
    _write(path, itertools.chain(_lines_of(document), ["\n"]))


def _lines_of(value: t.Any) -> t.Iterator[str]:
    if not isinstance(value, (dict, list)) or not _has_many(value):
        yield json.dumps(value, indent=1, ensure_ascii=False)
        return
    things = value.items() if isinstance(value, dict) else enumerate(value)
    begin, end = "{}" if isinstance(value, dict) else "[]"
    yield begin
    for number, (key, thing) in enumerate(things):
        yield ",\n" if number else "\n"
        if isinstance(value, dict):
            yield f"{json.dumps(key, ensure_ascii=False)}: "
        if len(value) > MANY:
            yield json.dumps(thing, ensure_ascii=False)
        else:
            yield from _lines_of(thing)
    yield f"\n{end}"


def _has_many(value: t.Any) -> bool:
    """Whether there are many things in it, at any depth that matters in a document."""
    if not isinstance(value, (dict, list)):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return len(value) > MANY or any(map(_has_many, inner))


def told(params: t.Mapping[str, t.Any], **document: t.Any) -> Document:
    """What a module returns of a document: all of it or, for O(results), one text, which costs Ansible little."""
    return document if params["results"] is None else {"results_document": json.dumps(document, separators=(",", ":"))}


def write_told(path: str, host: str, text: str) -> None:
    """Puts what L(told) made of a document at a path, with the host that it is of. Raises L(DocumentError)."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DocumentError(f"{path}: what {host} told is no JSON document: {error}") from None
    if not isinstance(document, dict):
        raise DocumentError(f"{path}: what {host} told is no JSON object")
    # No host speaks for another one.
    write_document(path, {"host": host} | document | {"host": host})


def copy_document(path: str, dest: str) -> None:
    """Puts a document at another path, too, as it is."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise DocumentError(f"{path}: {error}") from None
    write_text(dest, text)


def write_text(path: str, text: str) -> None:
    """Puts a text at a path in the same way, for everybody to read."""
    _write(path, [text])


def _write(path: str, pieces: t.Iterable[str]) -> None:
    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        write_pieces(target, (piece.encode("utf-8", "backslashreplace") for piece in pieces), 0o644)
    except OSError as error:
        raise DocumentError(f"{path}: {error.strerror}") from None
