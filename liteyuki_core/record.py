"""Lines of the log as JSON, and how a child's logger hands them to the main process.

Where standard output and the log file have different formats, a record has both: the JSON object,
`_ALSO`, and the line for people as a JSON string. No JSON has that character, so it is found
without reading the object.

Pure, but for the clock that gives a printed line its time.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from loguru import Message

MARK = "\x1e"
"""The first character of each record that a child's logger writes, as in RFC 7464."""

_ALSO = "\x1f"

CUT = "\x1d\x1d"
"""Stands in a sink's format after the exception for the JSON, before the line for people."""

_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")


def plain(text: str) -> str:
    """Return a text without escape sequences of a terminal, such as colours."""
    return _ESCAPES.sub("", text) if "\x1b" in text else text


def of_message(message: Message, process: str | None, **more: Any) -> str:
    """Return a logged message as a record, with a newline.

    The format of its sink must be "{exception}", which may be followed by `CUT` and a line.
    """
    import json

    exception, cut, line = message.partition(CUT)
    record = message.record
    fields: dict[str, Any] = {
        "time": record["time"].isoformat(),
        "level": record["level"].name,
        "process": process or "main",
        **more,
        "message": record["message"],
    }
    if exception:
        fields["exception"] = plain(exception).rstrip("\n")
    text = ("" if process is None else MARK) + json.dumps(fields, ensure_ascii=False)
    if cut:
        text += _ALSO + json.dumps(line.removesuffix("\n"), ensure_ascii=False)
    return text + "\n"


def of_line(process: str, text: str) -> tuple[str, str]:
    """Return what a child has written in a line: as JSON, and as people read it.

    What its logger wrote is a record. In that one a line for people may be missing.
    """
    import json
    from datetime import datetime

    if text.startswith(MARK + "{"):
        found, _, line = text[1:].partition(_ALSO)
        try:
            json.loads(found)
            shown = json.loads(line) if line else found
        except (ValueError, RecursionError):
            pass  # Another thread or program has written into the line.
        else:
            if isinstance(shown, str):
                return found, shown
    fields = {
        "time": datetime.now().astimezone().isoformat(),
        "level": None,
        "process": process,
        "message": plain(text),
    }
    return json.dumps(fields, ensure_ascii=False), text


def of_main(text: str) -> tuple[str, str]:
    """Return a record of the main process as JSON and as people read it, without newlines."""
    import json

    found, _, line = text.removesuffix("\n").partition(_ALSO)
    return found, json.loads(line) if line else found


def readable(text: str) -> str:
    """Return a line of a child as it is shown to people: of a record its line, if it has one."""
    return plain(of_line("", text)[1] if text.startswith(MARK) else text)
