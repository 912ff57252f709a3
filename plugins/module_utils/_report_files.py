# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where TLSRPT reports lie: in files of their own, and in mail that brought them (RFC 8460 5.3).

What a file is, is seen by what is in it, and its name is believed nothing. However large or deep something is, only
so much of it is read. Standard library only. Private to this collection.
"""

from __future__ import annotations

import email
import email.message
import os
import typing as t
from pathlib import Path

from ._tlsrpt import SIZE_LIMIT, Report, ReportError, parse_report

# A report in BASE64, and its mail around it.
MAIL_LIMIT: t.Final = 2 * SIZE_LIMIT
LINE_LIMIT: t.Final = 1 << 20
# So deep directories are looked into, and so many parts of a mail.
DEPTH_LIMIT: t.Final = 8
PARTS_LIMIT: t.Final = 100

# RFC 8460 6.4 and 6.5; then what mail programs make of it.
TYPES: t.Final = frozenset({"application/tlsrpt+gzip", "application/tlsrpt+json"})
OTHER_TYPES: t.Final = frozenset({
    "application/gzip", "application/x-gzip", "application/json", "application/octet-stream", "text/json"
})  # fmt: skip
SUFFIXES: t.Final = (".json", ".json.gz", ".gz")

_BEGINNING = 64

# Why a mail shall not count; empty if it shall.
Distrust = t.Callable[[bytes], str]


class Found(t.NamedTuple):
    """What may be a report, by where it was found; in its place, why there is none."""

    source: str
    data: bytes = b""
    trouble: str = ""


def read_reports(
    path: str, distrust: t.Optional[Distrust] = None
) -> t.Iterator[tuple[str, t.Union[Report, ReportError]]]:
    """All reports that a path stands for, each with where it was found. Raises OSError where there is nothing.

    Mail is distrusted where a function says why.
    """
    for file in files_of(path):
        for found in read_file(file, distrust):
            try:
                if found.trouble:
                    raise ReportError(found.trouble)
                yield found.source, parse_report(found.data)
            except ReportError as error:
                yield found.source, error


def files_of(path: str) -> t.Iterator[str]:
    """The files that a path stands for: a file itself, the mail of a Maildir, or all below a directory.

    Hidden ones are left out, and links to directories not followed. Raises OSError where there is nothing.
    """
    if not Path(path).is_dir():
        with open(path, "rb"):
            yield path
            return
    yield from _files_below(path, DEPTH_LIMIT)


def _files_below(path: str, depth: int) -> t.Iterator[str]:
    with os.scandir(path) as entries:
        below = sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda entry: entry.name)
    names = {entry.name for entry in below}
    # What is not delivered yet, and what a server keeps for itself beside the mail, is none of ours.
    maildir = {"cur", "new", "tmp"} <= names
    for entry in below:
        if entry.is_dir(follow_symlinks=False):
            if depth and not (maildir and entry.name == "tmp"):
                yield from _files_below(entry.path, depth - 1)
        elif entry.is_file() and not maildir:
            yield entry.path


def read_file(path: str, distrust: t.Optional[Distrust] = None) -> t.Iterator[Found]:
    """All that may be a report in one file: it itself, what a mail brought, or what each mail of an mbox did."""
    try:
        with open(path, "rb") as file:
            beginning = file.read(_BEGINNING)
            file.seek(0)
            if beginning.startswith(b"From "):
                yield from _of_mbox(path, file, distrust)
                return
            data = file.read(MAIL_LIMIT + 1)
    except OSError as error:
        yield Found(path, trouble=str(error.strerror))
        return
    if beginning.startswith(b"\x1f\x8b") or beginning.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"{", b"[")):
        yield Found(path, data)
    else:
        yield from _of_mail(path, data, distrust)


def _of_mbox(path: str, file: t.BinaryIO, distrust: t.Optional[Distrust]) -> t.Iterator[Found]:
    for number, message in enumerate(_messages(file), 1):
        yield from _of_mail(f"{path} (mail {number})", message, distrust)


def _messages(file: t.BinaryIO) -> t.Iterator[bytes]:
    """The mail of an mbox. Of one that is too large as much as tells that it is."""
    message, blank = bytearray(), True
    while line := file.readline(LINE_LIMIT):
        if blank and line.startswith(b"From "):
            if message:
                yield bytes(message)
            message.clear()
        elif len(message) <= MAIL_LIMIT:
            message += line
        blank = line in (b"\n", b"\r\n")
    if message:
        yield bytes(message)


def _of_mail(source: str, data: bytes, distrust: t.Optional[Distrust]) -> t.Iterator[Found]:
    if len(data) > MAIL_LIMIT:
        yield Found(source, trouble=f"is larger than {MAIL_LIMIT >> 20} MiB")
        return
    try:
        attached = list(_attached(email.message_from_bytes(data)))
    except ReportError as error:
        yield Found(source, trouble=str(error))
        return
    except (RecursionError, ValueError, LookupError, AttributeError, TypeError) as error:
        # What the library makes of all the garbage that there may be is not to be listed.
        yield Found(source, trouble=f"is no mail that can be read: {type(error).__name__}")
        return
    if not attached:
        yield Found(source, trouble="is neither a report nor a mail that brings one")
        return
    trouble = distrust(data) if distrust else ""
    if trouble:
        yield Found(source, trouble=trouble)
        return
    for number, report in enumerate(attached, 1):
        yield Found(source if len(attached) == 1 else f"{source} (attachment {number})", report)


def _attached(message: email.message.Message) -> t.Iterator[bytes]:
    """The reports of a mail: by their type or, where none has it, by what else they may be called."""
    parts = []
    for part in message.walk():
        parts.append(part)
        if len(parts) > PARTS_LIMIT:
            raise ReportError(f"has more than {PARTS_LIMIT} parts")
    whole = [part for part in parts if not part.is_multipart()]
    typed = [part for part in whole if part.get_content_type() in TYPES]
    for part in typed or [part for part in whole if _may_be_one(part)]:
        data = part.get_payload(decode=True)
        if isinstance(data, bytes):
            yield data


def _may_be_one(part: email.message.Message) -> bool:
    name = Path(part.get_filename() or "").name.lower()
    return part.get_content_type() in OTHER_TYPES and (name.endswith(SUFFIXES) or not name)
