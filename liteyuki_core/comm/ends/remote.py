"""What a request's handler has raised, or how a worker has ended, as the text that its answer is.

Pure. The text is JSON, so that the asker rebuilds nothing that the handler's process has chosen.
It is short enough to be a text of a batch.
"""

from __future__ import annotations

import json
from traceback import format_exception
from types import TracebackType
from typing import NamedTuple

from ...errors import RemoteError

_UNREADABLE = (ValueError, TypeError, LookupError, RecursionError)
"""What JSON of another shape raises."""

_MOST_NAME = 300
_MOST_TEXT = 4000
_MOST_TRACEBACK = 12_000
_MOST_LINES = 15_000
"""So many characters of JSON are passed on of a name, a text, a traceback and a worker's lines: the
last ones."""

_PACKAGE = __name__.partition(".")[0]
_OWN = (f"{_PACKAGE}.comm.", f"{_PACKAGE}.process.child.")


class Died(NamedTuple):
    """How a worker has ended that ran a call; `how` says it in words."""

    process: str
    exitcode: int | None
    how: str
    lines: tuple[str, ...]


def to_text(error: BaseException) -> str:
    """Return the answer that says that `error` was raised."""
    tb = error.__traceback__
    while tb is not None and tb.tb_frame.f_globals.get("__name__", "").startswith(_OWN):
        tb = tb.tb_next
    return _text(type(error).__qualname__, _text_of(error), _shown(error, tb))


def refusal(why: str) -> str:
    """Return the answer that says why there is none."""
    return _text("", why, "")


def from_text(text: str, channel: str) -> RemoteError:
    """Return the error to raise at the asker."""
    try:
        type_name, message, traceback = map(str, json.loads(text)[:3])
    except _UNREADABLE:
        type_name, message, traceback = "", "the answer can't be read", ""
    said = f"{type_name}: {message}" if type_name else message
    return RemoteError(f"channel {channel}: {said}", channel, type_name, message, traceback)


def death(died: Died) -> str:
    """Return the answer that says how the worker has ended."""
    lines = list(died.lines)
    while len(_json(lines)) > _MOST_LINES:
        del lines[0]
    process, exitcode, how, _ = died
    return _json(["", f"process {process} {how}", "", [process, exitcode, how, lines]])


def death_in(text: object) -> Died | None:
    """Return how the worker has ended, if that is what the answer says."""
    try:
        process, exitcode, how, lines = json.loads(text)[3]  # type: ignore[arg-type]
    except _UNREADABLE:
        return None
    if not isinstance(lines, list) or not isinstance(exitcode, int | None):
        return None
    whole = all(isinstance(each, str) for each in (process, how, *lines))
    return Died(process, exitcode, how, tuple(lines)) if whole else None


def _text(type_name: str, message: str, traceback: str) -> str:
    parts = (type_name, _MOST_NAME), (message, _MOST_TEXT), (traceback, _MOST_TRACEBACK)
    return _json([_end_of(text, most) for text, most in parts])


def _json(data: object) -> str:
    return json.dumps(data, ensure_ascii=False)


def _end_of(text: str, most: int) -> str:
    """Return the end of a text, nearly as much as has at most so many characters as JSON."""
    text = text[-most:]
    while len(_json(text)) > most:
        text = text[len(text) // 8 :]
    return text


def _text_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as wrong:
        return f"(its text can't be shown: {wrong!r})"


def _shown(error: BaseException, tb: TracebackType | None) -> str:
    try:
        return "".join(format_exception(type(error), error, tb))
    except Exception:
        return ""
