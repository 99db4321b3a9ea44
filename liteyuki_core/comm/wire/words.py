"""The control words: all that main and a child tell each other beside messages and the store.

A word is a small class with typed fields. `encode` makes the CONTROL frame of one; `from_child`
and `from_main` read such frames. The body of the frame is a JSON object: the word's name as `op`,
then its fields. A word about an end of a channel travels in a frame with the number of that end,
any other in one with the number 0.

Pure: no sockets, no threads, no locks; any thread may call it. Invariants: each word has one
direction, and is not known in the other. What a child says is not believed: a value of another
type, or out of its field's range, is a `FrameError`. Whether a child may say it at this moment
depends on what it has, which `link_peer.py` and the supervisor know.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

from ...errors import FrameError
from .frames import (
    CONTROL,
    FIELD_BYTES,
    HEADER,
    MAGIC,
    MAX_CAPACITY,
    Buffer,
    Frame,
    from_json,
    to_json,
)

MOST_REQUESTS = 1 << 62
"""Requests that a child may number."""

_MOST_SECONDS = 1e12

Ranges = list[tuple[int, int]]
"""Messages: the number of the first and how many."""

# ------------------------------------------------------------------ fields


class _Field(NamedTuple):
    """How a field's value is read from what JSON brings, or is a `ValueError`, and written."""

    read: Callable[[Any], Any]
    write: Callable[[Any], str] = to_json


def _exactly(kind: type) -> Callable[[Any], Any]:
    def read(given: Any) -> Any:
        if type(given) is not kind:
            raise ValueError
        return given

    return read


def _whole(lowest: int, highest: int) -> _Field:
    def read(given: Any) -> int:
        if type(given) is not int or not lowest <= given <= highest:
            raise ValueError
        return given

    return _Field(read, int.__repr__)


def _or_none(field: _Field) -> _Field:
    return _Field(
        lambda given: None if given is None else field.read(given),
        lambda value: "null" if value is None else field.write(value),
    )


def _read_time(given: Any) -> float:
    if type(given) not in (int, float) or not -_MOST_SECONDS < given < _MOST_SECONDS:
        raise ValueError
    return given  # type: ignore[no-any-return]


def _read_texts(given: Any) -> list[str]:
    if type(given) is not list or not all(type(each) is str for each in given):
        raise ValueError
    return given


def _read_ranges(given: Any) -> Ranges:
    if type(given) is not list:
        raise ValueError
    for each in given:
        if type(each) is not list or [type(number) for number in each] != [int, int]:
            raise FrameError("messages are given back in no ranges")
    return [(first, count) for first, count in given if first >= 0 and count > 0]


def _write_ranges(ranges: Ranges) -> str:
    return f"[{','.join([f'[{first},{count}]' for first, count in ranges])}]"


def _read_channels(given: Any) -> dict[str, tuple[int, str]]:
    return {name: (capacity, key) for name, (capacity, key) in given.items()}


_INT = _Field(_exactly(int), int.__repr__)
_BOOL = _Field(_exactly(bool), lambda value: "true" if value else "false")
_TEXT = _Field(_exactly(str))
_TEXTS = _Field(_read_texts)
_TIME = _Field(_read_time)
_CAPACITY = _whole(1, MAX_CAPACITY)
_MESSAGES = _whole(-MAX_CAPACITY, MAX_CAPACITY)
_REQUEST = _whole(0, MOST_REQUESTS - 1)
_RANGES = _Field(_read_ranges, _write_ranges)
_CHANNELS = _Field(_read_channels)


class _Form(NamedTuple):
    """How a word is written: a template of its JSON, and its fields in order."""

    kind: Callable[..., Any]
    template: str
    fields: tuple[tuple[str, _Field], ...]
    writes: tuple[Callable[[Any], str], ...]


_FORMS: dict[type, _Form] = {}
FROM_CHILD: dict[str, _Form] = {}
"""The words that a child says, by their names; `FROM_MAIN` has those that main says."""
FROM_MAIN: dict[str, _Form] = {}

W = TypeVar("W", bound=type[tuple[Any, ...]])


def _said(direction: dict[str, _Form], op: str, **fields: _Field) -> Callable[[W], W]:
    """Decorate the class of a word: who says it, its name, and how its fields are read."""

    def add(kind: W) -> W:
        places = "".join([f',"{name}":%s' for name in fields])
        writes = tuple([field.write for field in fields.values()])
        form = _Form(kind, f'{{"op":"{op}"{places}}}', tuple(fields.items()), writes)
        _FORMS[kind] = direction[op] = form
        return kind

    return add


# ------------------------------------------------------------------ a child says of its ends


@_said(FROM_CHILD, "open", key=_or_none(_TEXT), capacity=_CAPACITY)
class Open(NamedTuple):
    """It holds an end of channel `key`, or of a new one; the frame's number is what it calls it."""

    key: str | None
    capacity: int


@_said(FROM_CHILD, "receives", window=_CAPACITY, asks=_BOOL)
class Receives(NamedTuple):
    """This end receives: with callbacks for `window` messages at a time, or by asking."""

    window: int
    asks: bool


@_said(FROM_CHILD, "ask_for", period=_INT, messages=_MESSAGES)
class AskFor(NamedTuple):
    """This end, which shares its side, asks for so many messages more, or for fewer."""

    period: int
    messages: int


@_said(FROM_CHILD, "give_back", period=_INT, ranges=_RANGES)
class GiveBack(NamedTuple):
    """Nobody has taken these messages, at the start of a period."""

    period: int
    ranges: Ranges


@_said(FROM_CHILD, "close")
class Close(NamedTuple):
    """This end is closed on purpose."""


@_said(FROM_CHILD, "leave")
class Leave(NamedTuple):
    """Nobody has a handle on this end any more."""


@_said(FROM_CHILD, "hold", key=_TEXT)
class Hold(NamedTuple):
    """A message with channel `key` in it is about to be sent."""

    key: str


@_said(FROM_CHILD, "register", name=_TEXT, request=_REQUEST)
class Register(NamedTuple):
    """The channel of this end is to have a name; `Registered` is the answer."""

    name: str
    request: int


# ------------------------------------------------------------------ a child says of its process


@_said(FROM_CHILD, "clean")
class Clean(NamedTuple):
    """It leaves as it was asked to, or because its target has ended: this is no crash."""


@_said(FROM_CHILD, "ready", called=_BOOL)
class Ready(NamedTuple):
    """It is ready: because it has `called` `ready()`, or because its target begins."""

    called: bool


@_said(FROM_CHILD, "failed", why=_TEXT)
class Failed(NamedTuple):
    """It can't start, and why."""

    why: str


@_said(FROM_CHILD, "restart", name=_or_none(_TEXT))
class Restart(NamedTuple):
    """The process `name`, or with None its own, is to be restarted."""

    name: str | None


@_said(FROM_CHILD, "listen", host=_TEXT, port=_INT, backlog=_INT)
class Listen(NamedTuple):
    """It is to be given sockets that listen on an address. They come over a way of their own."""

    host: str
    port: int
    backlog: int


@_said(FROM_CHILD, "pulse", at=_TIME, lag=_or_none(_TIME), waits=_or_none(_TIME), stack=_TEXT)
class Pulse(NamedTuple):
    """The answer to `AskPulse`; see `Pulse.answer` in `pulse.py`."""

    at: float
    lag: float | None
    waits: float | None
    stack: str


@_said(FROM_CHILD, "loaded", request=_INT, loaded=_TEXTS, near=_TEXTS)
class Loaded(NamedTuple):
    """The answer to `AskLoaded`: which of the files it has loaded, and which others are near."""

    request: int
    loaded: list[str]
    near: list[str]


# ------------------------------------------------------------------ main says of channels


@_said(FROM_MAIN, "names", add=_CHANNELS, remove=_TEXTS, prefix=_TEXT)
class Names(NamedTuple):
    """Names that have come, with their channels' capacities and keys, and names that are gone.

    The first one also says that the child is connected. `prefix` starts the keys of the channels
    that the child makes.
    """

    add: Mapping[str, tuple[int, str]]
    remove: list[str]
    prefix: str


@_said(FROM_MAIN, "dropped", messages=_INT)
class Dropped(NamedTuple):
    """So many messages that were sent from this end will not be handled."""

    messages: int


@_said(FROM_MAIN, "shared", period=_INT)
class Shared(NamedTuple):
    """Others receive on this side too, from now on in this period; with 0, nobody else."""

    period: int


@_said(FROM_MAIN, "gone", broken=_BOOL, why=_TEXT, last=_BOOL, holds=_INT)
class Gone(NamedTuple):
    """The other side has closed, or is `broken`; `last` and `holds` are those of `Peer.gone`."""

    broken: bool
    why: str
    last: bool
    holds: int


@_said(FROM_MAIN, "returned")
class Returned(NamedTuple):
    """The other side was gone and is there again."""


@_said(FROM_MAIN, "registered", request=_INT, key=_or_none(_TEXT), error=_or_none(_TEXTS))
class Registered(NamedTuple):
    """The answer to `Register`: the channel's key from now on, or the arguments of the error."""

    request: int
    key: str | None
    error: list[str] | None


# ------------------------------------------------------------------ main says to a process


@_said(FROM_MAIN, "stop", seconds=_TIME)
class Stop(NamedTuple):
    """It is to leave, and has so many seconds for it."""

    seconds: float


@_said(FROM_MAIN, "ask_pulse", at=_TIME, stack=_BOOL, quietly=_BOOL)
class AskPulse(NamedTuple):
    """Is it alive and do its loops turn? See `Pulse.answer` in `pulse.py`."""

    at: float
    stack: bool
    quietly: bool


@_said(FROM_MAIN, "ask_loaded", request=_INT, paths=_TEXTS)
class AskLoaded(NamedTuple):
    """Which of these files has it loaded? `Loaded` is the answer."""

    request: int
    paths: list[str]


OfProcess = Ready | Failed | Restart | Listen | Pulse | Loaded
"""What a child says of its process to the supervisor."""

FromChild = (
    Open | Receives | AskFor | GiveBack | Close | Leave | Hold | Register | Clean | OfProcess
)

ToProcess = Stop | AskPulse | AskLoaded
"""What main says to a child's process."""

FromMain = Names | Dropped | Shared | Gone | Returned | Registered | ToProcess

# ------------------------------------------------------------------ to bytes and back


def encode(word: FromChild | FromMain, number: int = 0) -> tuple[Buffer, ...]:
    """Return the CONTROL frame of a word; `number` is that of the end it is about."""
    _, template, _, writes = _FORMS[type(word)]
    values = [write(value) for write, value in zip(writes, word, strict=True)]
    body = (template % tuple(values)).encode()
    return (HEADER.pack(MAGIC, CONTROL, 0, number, len(body)), body)


def from_child(frame: Frame) -> FromChild:
    """Return the word that a child has said in a CONTROL frame. Raises `FrameError`."""
    size = len(frame.body)
    if size > FIELD_BYTES:
        raise FrameError(f"a control frame of {size} bytes; {FIELD_BYTES} are allowed")
    return _decode(frame, FROM_CHILD)  # type: ignore[no-any-return]


def from_main(frame: Frame) -> FromMain:
    """Return the word that the main process has said in a CONTROL frame. Raises `FrameError`."""
    return _decode(frame, FROM_MAIN)  # type: ignore[no-any-return]


def _decode(frame: Frame, forms: dict[str, _Form]) -> Any:
    try:
        given = from_json(str(frame.body, "ascii"))
    except (ValueError, RecursionError) as error:
        raise FrameError("control frame is not JSON") from error
    if type(given) is not dict or type(given.get("op")) is not str:
        raise FrameError("control frame has no op")
    try:
        form = forms[given["op"]]
        return form.kind(*[field.read(given[name]) for name, field in form.fields])
    except FrameError:
        raise
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise FrameError(f"control frame {given!r:.400} is not known") from error
