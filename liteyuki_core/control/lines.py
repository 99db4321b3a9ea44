"""Lines of the log as they are shown: who wrote them, of which level they are, without secrets.

The log's writer keeps lines as they are written, so that this costs nothing while nobody asks.
A line that has no level of its own, of a traceback for example, is of the level of the line before
it of the same process.

Ownership. A `Reading` is one client's way through the lines, for one thread.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from datetime import datetime, timezone
from typing import Any, get_args

from ..log import LEVELS, plain
from ..ring import Entry
from ..writer import Line as Written
from .models import Level, Line, Matching
from .plain import clean

_LEVELS: tuple[Level, ...] = get_args(Level)
_RANK = {level: rank for rank, level in enumerate(_LEVELS)}
_NAMES = {name: level for level in _LEVELS for name in (level, LEVELS[level][0])}

_LEVEL = re.compile(rf"\[[^\[\]]{{0,4}}?({'|'.join(_NAMES)})\s*\]")
_BEGINS = 60
"""A level stands so near to the beginning of a line: the time alone is before it."""

_SECRET = re.compile(
    r"""(?ix)
    ( (?: access[_-]?token | token | secret | password | passwd | api[_-]?key )
      ["']? \s* [=:] \s* ["']?
    | authorization ["']? \s* [=:] \s* ["']? (?: (?: bearer | basic | token ) \s+ )?
    | \b (?: bearer | basic ) \s+ (?= \S{8} )
    | [a-z][a-z0-9+.-]{1,20}:// [^\s:@/]{0,100} : (?= [^\s@/]{1,200} @ )
    | /ticket/
    )
    [^\s"'&,;@]+
    """
)
MASK = "***"


def masked(text: str) -> str:
    """Return a text without the tokens and passwords that can be told from the rest of it."""
    return _SECRET.sub(rf"\1{MASK}", text)


class Reading:
    """Makes shown lines of written ones, and leaves out those that do not match.

    Every line must be given to it, in order, for the levels of lines that have none.
    """

    def __init__(self, life: str, wanted: Matching) -> None:
        self._life = life
        self._processes = {name.lower() for name in wanted.process}
        self._rank = _RANK[wanted.level] if wanted.level else None
        self._text = wanted.text.lower()
        self._account = _of_account(wanted.account) if wanted.account else None
        self._levels: dict[str, Level] = {}

    def read(self, entries: Iterable[Entry[Written]]) -> list[Line]:
        """Return the lines that match."""
        return [line for line in map(self._line, entries) if line is not None]

    def _line(self, entry: Entry[Written]) -> Line | None:
        child, text = entry.item.child, entry.item.text
        process, level, text = child or "main", None, plain(text).rstrip("\n")
        if text.startswith("{"):
            level, text = _of_json(text)
        else:
            found = _LEVEL.search(text, 0, _BEGINS)
            level = _NAMES[found[1]] if found else None
        if level is not None:
            self._levels[process] = level
        rank = _RANK[level or self._levels.get(process, "INFO")]
        if (
            (self._rank is not None and rank < self._rank)
            or (self._processes and process.lower() not in self._processes)
            or (self._text and self._text not in text.lower())
            or (self._account is not None and not self._account.search(text))
        ):
            return None
        key, at = f"{self._life}-{entry.number}", entry.item.at
        return Line(
            id=key,
            position=key if at is None else f"{self._life}:{at}",
            time=datetime.fromtimestamp(entry.time, timezone.utc),
            process=process,
            level=level,
            text=masked(clean(text)),
        )


def may_match(text: str, wanted: Matching) -> bool:
    """Return whether any line of a text can match. It is quick, and says False only if none can."""
    if wanted.level and _RANK[wanted.level] > _RANK["INFO"]:
        levels = _LEVELS[_RANK[wanted.level] :]
        if not any(name in text for name, level in _NAMES.items() if level in levels):
            return False
    # JSON has other characters for quotes and the like.
    plainly = wanted.text.isprintable() and not {'"', "\\"} & set(wanted.text)
    if wanted.account and wanted.account not in text and wanted.account.isalnum():
        return False
    if not wanted.process and not (wanted.text and plainly):
        return True
    lower = text.lower()
    return (not wanted.process or any(name.lower() in lower for name in wanted.process)) and (
        not (wanted.text and plainly) or wanted.text.lower() in lower
    )


def as_text(line: Line) -> str:
    """Return a line as a file has it: each with the name of its process before it."""
    return "".join(f"{line.process} | {each}\n" for each in line.text.split("\n"))


def _of_account(id: str) -> re.Pattern[str]:
    """Return what finds an id where it is not a part of a longer one."""
    return re.compile(rf"(?<![0-9A-Za-z]){re.escape(id)}(?![0-9A-Za-z])")


def _of_json(text: str) -> tuple[Level | None, str]:
    """Return the level and the message of a line that is a JSON object of the log."""
    try:
        found: Any = json.loads(text)
        level, message = found["level"], found["message"]
    except (ValueError, RecursionError, KeyError, TypeError):
        return None, text
    if not isinstance(message, str):
        return None, text
    if isinstance(found.get("exception"), str):
        message += "\n" + found["exception"]
    return (level if level in _RANK else None), message
