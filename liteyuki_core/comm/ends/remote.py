"""What a request's handler has raised, as the text that its answer is.

Pure. The text is JSON, so that the asker rebuilds nothing that the handler's process has chosen.
"""

from __future__ import annotations

import json
from traceback import format_exception
from types import TracebackType

from ...errors import RemoteError

_MOST_TEXT = 4000
_MOST_TRACEBACK = 12_000
"""So many characters of a text and of a traceback are passed on, its last ones."""

_PACKAGE = __name__.partition(".")[0]
_OWN = (f"{_PACKAGE}.comm.", f"{_PACKAGE}.process.child.")


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
        type_name, message, traceback = map(str, json.loads(text))
    except (ValueError, TypeError):
        type_name, message, traceback = "", "the answer can't be read", ""
    said = f"{type_name}: {message}" if type_name else message
    return RemoteError(f"channel {channel}: {said}", channel, type_name, message, traceback)


def _text(type_name: str, message: str, traceback: str) -> str:
    return json.dumps([type_name, message[-_MOST_TEXT:], traceback[-_MOST_TRACEBACK:]])


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
