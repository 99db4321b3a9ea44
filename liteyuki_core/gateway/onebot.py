"""OneBot v11 and v12 on one WebSocket: which frame is what, and whose answer an answer is. Pure.

A connection outlives the processes that use it, and several may use it at a time. So each call gets
an `echo` that is used once on this connection, and its answer goes to its caller with the caller's
own. When a process has ended, its calls are forgotten, and their answers reach nobody. What is no
OneBot frame is passed on as it is.

Most frames are told apart without rebuilding them. In the text of a JSON object a name stands
between plain quotation marks, which no string has inside; and what stands before the last brace is
a field of the object itself.

Sources: 11.onebot.dev, communication/ws-reverse and event; 12.onebot.dev, connect/communication,
connect/data-protocol and interface/meta/events.
"""

from __future__ import annotations

import json
import re
from enum import Enum
from importlib import import_module
from typing import Any, NamedTuple

Frame = str | bytes

_ECHO = '"echo"'
_LAST = re.compile(r'"echo": ?("[0-9]{1,20}")\}$')
_LAST_CHARACTERS = 40
"""Where an `echo` is looked for that is the last field of an object, and how that looks."""

_EVENT, _META = {11: '"post_type"', 12: '"detail_type"'}, {11: '"meta_event"', 12: '"meta"'}
"""What stands in every event, what stands in every meta event, by version."""

_CONVERSATION = ("group_id", "channel_id", "guild_id", "user_id")
"""What tells the conversation of an event, in both versions: the first of these that it has."""

_MOST_CALLS = 10_000
"""So many calls may be unanswered. Of more, the oldest ones are forgotten."""


class Kind(Enum):
    """What is to be done with a frame of the client's."""

    EVENT = "an event: kept until it was handled"
    ANSWER = "the answer to a call: for its caller"
    STATE = "what every process must know of the client"
    OTHER = "for one process that is there now, if any"
    NOBODY = "the answer to a call of a process that has ended"


class Sorted(NamedTuple):
    """A frame of the client's, and whom it is for."""

    kind: Kind
    frame: Frame
    """As a process gets it."""
    caller: object = None
    """Whoever has made the call that it answers."""


class _Call(NamedTuple):
    caller: object
    echo: Any


class OneBot:
    """What is known of one connection, through all lives of the child."""

    def __init__(self, version: int) -> None:
        """`version` is 11 or 12."""
        self._version = version
        self._type = "post_type" if version == 11 else "type"
        self._calls: dict[str, _Call] = {}
        """Calls that are not answered, by our `echo`."""
        self._count = 0
        self._connect: Frame | None = None
        self._status: Frame | None = None

    @property
    def is_introduced(self) -> bool:
        """Whether the client has said what must come before its events."""
        return self._version == 11 or self._connect is not None

    @property
    def introduction(self) -> list[Frame]:
        """What a new process must be told first: v12's last `connect` and `status_update`."""
        return [frame for frame in (self._connect, self._status) if frame is not None]

    @property
    def has_calls(self) -> bool:
        """Whether a call is not answered whose caller is still there."""
        return bool(self._calls)

    def forget_calls(self, caller: object) -> None:
        """Note that the process has ended that has made a caller's calls until now."""
        self._calls = {ours: call for ours, call in self._calls.items() if call.caller != caller}

    def take(self, frame: Frame) -> Sorted:
        """Return what a frame of the client's is, and the frame as a process gets it."""
        if isinstance(frame, str):
            if _ECHO not in frame:
                if _EVENT[self._version] in frame and _META[self._version] not in frame:
                    return Sorted(Kind.EVENT, frame)
            elif f'"{self._type}"' not in frame and (last := _last_echo(frame)):
                call = self._calls.pop(last[1][1:-1], None)
                if call is None:
                    return Sorted(Kind.NOBODY, frame)
                answer = f"{frame[: last.start(1)]}{json.dumps(call.echo)}}}"
                return Sorted(Kind.ANSWER, answer, call.caller)
        told = self._read(frame)
        if not isinstance(told, dict):
            return Sorted(Kind.OTHER, frame)
        if self._type in told:
            return Sorted(self._kind_of(told, frame), frame)
        if "echo" not in told:
            return Sorted(Kind.OTHER, frame)
        echo = told["echo"]
        call = self._calls.pop(echo, None) if isinstance(echo, str) else None
        if call is None:
            return Sorted(Kind.NOBODY, frame)
        told["echo"] = call.echo
        return Sorted(Kind.ANSWER, self._write(told, frame), call.caller)

    def _kind_of(self, event: dict[Any, Any], frame: Frame) -> Kind:
        kind, detail = event[self._type], event.get("detail_type")
        if kind == "meta_event" and self._version == 11:
            return Kind.OTHER
        if kind == "meta" and self._version == 12:
            if detail == "connect":
                self._connect, self._status = frame, None
                return Kind.STATE
            if detail == "status_update":
                self._status = frame
                return Kind.STATE
            return Kind.OTHER
        return Kind.EVENT

    def conversation(self, event: Frame) -> str:
        """Return what all events of a conversation have in common, "" for one that is of none."""
        told = self._read(event)
        if isinstance(told, dict):
            for name in _CONVERSATION:
                if told.get(name):
                    return f"{name} {told[name]}"
        return ""

    def call(self, frame: Frame, caller: object) -> Frame:
        """Return a frame of a process's as the client gets it."""
        if isinstance(frame, str) and (last := _last_echo(frame)):
            echo = self._call(last[1][1:-1], caller)
            return f'{frame[: last.start(1)]}"{echo}"}}'
        told = self._read(frame)
        if not isinstance(told, dict) or "echo" not in told:
            return frame
        told["echo"] = self._call(told["echo"], caller)
        return self._write(told, frame)

    def _call(self, echo: Any, caller: object) -> str:
        """Note a call by the caller's `echo`. Return ours."""
        self._count += 1
        ours = str(self._count)
        if len(self._calls) >= _MOST_CALLS:
            del self._calls[next(iter(self._calls))]
        self._calls[ours] = _Call(caller, echo)
        return ours

    def _read(self, frame: Frame) -> Any:
        """Return the data of a frame, None if it is not of this protocol."""
        try:
            if isinstance(frame, str) or self._version == 11:
                return json.loads(frame)
            return import_module("msgpack").unpackb(frame)
        except Exception:  # What msgpack raises has no one root, and it may not be installed.
            return None

    def _write(self, told: dict[Any, Any], like: Frame) -> Frame:
        """Return data as a frame of the same format as `like`."""
        if isinstance(like, bytes) and self._version == 12:
            packed: bytes = import_module("msgpack").packb(told)
            return packed
        text = json.dumps(told)
        return text if isinstance(like, str) else text.encode()


def _last_echo(frame: str) -> re.Match[str] | None:
    """Return the `echo` with its value if it is the last field and a number as text."""
    at = frame.rfind(_ECHO, max(0, len(frame) - _LAST_CHARACTERS))
    return None if at < 1 or frame[at - 1] == "\\" else _LAST.match(frame, at)


_VERSIONS = {"OneBot V11": 11, "OneBot V12": 12}


def of_adapter(name: str | None) -> OneBot | None:
    """Return what knows a new connection of this adapter's, None for an adapter that is not known.

    The name is the one that NoneBot's adapter gives itself.
    """
    version = _VERSIONS.get(name or "")
    return None if version is None else OneBot(version)
