"""The control words: all that main and a child tell each other beside messages and the store.

A word is a small class with typed fields. `encode` makes the CONTROL frame of a word. `from_child`
and `from_main` read such frames. The body of the frame is a JSON object: the word's name as `op`,
then its fields. If a word is about an end of a channel, its frame has the number of that end. Any
other word has a frame with the number 0.

Pure: no sockets, no threads, no locks. Any thread may call it.

Invariants.
- Each word has one direction and is not known in the other.
- Nothing that a child says is believed: a value of another type, or out of its field's range, is a
  `FrameError`. `link_peer.py` and the supervisor check whether the child may say the word at that
  moment.
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
"""The numbers of a child's requests are below this."""

FAR = "@"
"""Begins the key of a channel that another node of the cluster has."""

QUEUE = "queue:"
"""The key of a queue is this and its name. So whoever knows the name can open it, or make it."""

FAR_QUEUE = FAR + QUEUE
"""With this before its name, whoever is told of a queue learns that another node has it."""

_MOST_SECONDS = 1e12

MOST_ACCOUNTS = 50
"""Most accounts in one word."""
MOST_CHARACTERS = 200
"""Most characters of an account's adapter, id or nickname. All are printable."""
ACCOUNT_STATES = ("online", "offline", "disconnected")

Account = tuple[str, str, str, str]
"""An account: its adapter, its id, its state and its nickname."""

Ranges = list[tuple[int, int]]
"""Messages: the number of the first and how many."""

# ------------------------------------------------------------------ fields


class _Field(NamedTuple):
    """How a field's value is read from JSON, or refused with a `ValueError`, and written."""

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
            raise FrameError("the ranges of messages that are given back are malformed")
    return [(first, count) for first, count in given if first >= 0 and count > 0]


def _read_numbers(given: Any) -> list[int]:
    if type(given) is not list:
        raise ValueError
    return [_REQUEST.read(each) for each in given]


def _read_accounts(given: Any) -> list[Account]:
    if type(given) is not list or len(given) > MOST_ACCOUNTS:
        raise ValueError
    return [_read_account(*each) for each in given]


def _read_account(adapter: Any, id: Any, state: Any, nickname: Any) -> Account:
    for text in (adapter, id, nickname):
        # Anything else could do something to the terminal that it is shown on.
        if type(text) is not str or len(text) > MOST_CHARACTERS or not text.isprintable():
            raise ValueError
    if state not in ACCOUNT_STATES:
        raise ValueError
    return adapter, id, state, nickname


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
_NUMBERS = _Field(_read_numbers)
_CHANNELS = _Field(_read_channels)
_ACCOUNTS = _Field(_read_accounts)


class _Form(NamedTuple):
    """How a word is written: a template of its JSON, and its fields in order."""

    kind: Callable[..., Any]
    template: str
    fields: tuple[tuple[str, _Field], ...]
    writes: tuple[Callable[[Any], str], ...]


_FORMS: dict[type, _Form] = {}
FROM_CHILD: dict[str, _Form] = {}
"""The words that a child says, by name."""
FROM_MAIN: dict[str, _Form] = {}
"""The words that main says, by name."""

W = TypeVar("W", bound=type[tuple[Any, ...]])


def _said(direction: dict[str, _Form], op: str, **fields: _Field) -> Callable[[W], W]:
    """Decorate the class of a word: its direction, its name, and how its fields are read."""

    def add(kind: W) -> W:
        places = "".join([f',"{name}":%s' for name in fields])
        writes = tuple([field.write for field in fields.values()])
        form = _Form(kind, f'{{"op":"{op}"{places}}}', tuple(fields.items()), writes)
        _FORMS[kind] = direction[op] = form
        return kind

    return add


# ------------------------------------------------------------------ from a child, about its ends


@_said(FROM_CHILD, "open", key=_or_none(_TEXT), capacity=_CAPACITY)
class Open(NamedTuple):
    """The child has an end of channel `key`, or of a new channel, and numbers it as the frame."""

    key: str | None
    capacity: int


@_said(FROM_CHILD, "receives", window=_CAPACITY, asks=_BOOL)
class Receives(NamedTuple):
    """This end receives: with `receive` if `asks`, else with callbacks.

    The callbacks handle `window` messages at a time.
    """

    window: int
    asks: bool


@_said(FROM_CHILD, "answers", window=_whole(0, MAX_CAPACITY))
class Answers(NamedTuple):
    """This end answers requests: it handles `window` requests at a time; 0: it begins no other."""

    window: int


@_said(FROM_CHILD, "answered", requests=_NUMBERS)
class Answered(NamedTuple):
    """Whatever the handling of these requests has sent has left before this word.

    So their answers, which came before it, may go to the askers.
    """

    requests: list[int]


@_said(FROM_CHILD, "cancel", request=_REQUEST, kill=_BOOL)
class Cancel(NamedTuple):
    """Nobody waits for the answer to this request of this end any more.

    `kill`: if a process of a pool handles it, that is to be ended.
    """

    request: int
    kill: bool


@_said(FROM_CHILD, "ask_for", period=_INT, messages=_MESSAGES)
class AskFor(NamedTuple):
    """This end, whose side is shared, asks for `messages` more or, if negative, for fewer."""

    period: int
    messages: int


@_said(FROM_CHILD, "give_back", period=_INT, ranges=_RANGES, requests=_BOOL)
class GiveBack(NamedTuple):
    """At the start of the period `period`, no receiver had taken these messages, or requests."""

    period: int
    ranges: Ranges
    requests: bool


@_said(FROM_CHILD, "close")
class Close(NamedTuple):
    """This end is closed on purpose."""


@_said(FROM_CHILD, "leave")
class Leave(NamedTuple):
    """The last handle of this end is gone."""


@_said(FROM_CHILD, "hold", key=_TEXT)
class Hold(NamedTuple):
    """A message that carries channel `key` is about to be sent."""

    key: str


@_said(FROM_CHILD, "register", name=_TEXT, request=_REQUEST)
class Register(NamedTuple):
    """The channel of this end should get a name. `Registered` is the answer."""

    name: str
    request: int


# ------------------------------------------------------------------ from a child, about its process


@_said(FROM_CHILD, "clean")
class Clean(NamedTuple):
    """The process leaves because it was asked to or its target has ended. This is no crash."""


@_said(FROM_CHILD, "ready", called=_BOOL, lacks=_TEXTS)
class Ready(NamedTuple):
    """The process is ready: it has `called` `ready()`, or else its target begins.

    `lacks` names what it should have loaded and could not.
    """

    called: bool
    lacks: list[str]


@_said(FROM_CHILD, "failed", why=_TEXT)
class Failed(NamedTuple):
    """The process can't start."""

    why: str


@_said(FROM_CHILD, "waits_for_turn", lacks=_TEXTS)
class WaitsForTurn(NamedTuple):
    """The process has loaded what it is to run, all but what it `lacks`.

    It replaces another one, and goes on when main has said that its turn has come.
    """

    lacks: list[str]


@_said(FROM_CHILD, "takes_turn")
class TakesTurn(NamedTuple):
    """The process begins: what it has sent before counts from now on."""


@_said(FROM_CHILD, "restart", name=_or_none(_TEXT))
class Restart(NamedTuple):
    """Main should restart the child `name`; None is the child that says this."""

    name: str | None


@_said(FROM_CHILD, "ask_stop", name=_or_none(_TEXT))
class AskStop(NamedTuple):
    """Main should stop the child `name`; None is the child that says this."""

    name: str | None


@_said(FROM_CHILD, "listen", host=_TEXT, port=_INT, backlog=_INT)
class Listen(NamedTuple):
    """The child needs sockets that listen on an address. They come over another connection."""

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


@_said(FROM_CHILD, "imported", modules=_TEXTS)
class Imported(NamedTuple):
    """The answer to `AskImported`: modules that the process has imported and that do not change."""

    modules: list[str]


@_said(FROM_CHILD, "loaded", request=_INT, loaded=_TEXTS, near=_TEXTS)
class Loaded(NamedTuple):
    """The answer to `AskLoaded`: the files that the process has loaded, and others near them."""

    request: int
    loaded: list[str]
    near: list[str]


@_said(FROM_CHILD, "accounts", accounts=_ACCOUNTS)
class Accounts(NamedTuple):
    """These accounts of bots in the process have changed; this is how they are now."""

    accounts: list[Account]


# ------------------------------------------------------------------ from main, about channels


@_said(FROM_MAIN, "names", add=_CHANNELS, remove=_TEXTS, prefix=_TEXT)
class Names(NamedTuple):
    """Names that were added, with the channel's capacity and key, and names that were removed.

    The first such word also says that the child is connected. `prefix` begins the keys of the
    channels that the child makes.
    """

    add: Mapping[str, tuple[int, str]]
    remove: list[str]
    prefix: str


@_said(FROM_MAIN, "dropped", messages=_INT)
class Dropped(NamedTuple):
    """`messages` messages that were sent from this end will not be handled."""

    messages: int


@_said(FROM_MAIN, "shared", period=_INT, requests=_BOOL)
class Shared(NamedTuple):
    """This end's side is shared, and this period begins; 0: it is not shared. See `side.py`.

    Requests have periods of their own.
    """

    period: int
    requests: bool


@_said(FROM_MAIN, "refused", requests=_NUMBERS, kind=_TEXT, why=_TEXT)
class Refused(NamedTuple):
    """These requests of this end will not be answered. `kind` is the name of the error."""

    requests: list[int]
    kind: str
    why: str


@_said(FROM_MAIN, "cancelled", requests=_NUMBERS)
class Cancelled(NamedTuple):
    """Nobody waits for answers to these requests any more, which this end was given."""

    requests: list[int]


@_said(FROM_MAIN, "gone", broken=_BOOL, why=_TEXT, last=_BOOL, holds=_INT, lines=_TEXTS)
class Gone(NamedTuple):
    """The other side has closed or is `broken`. `Peer.gone` says what the other fields are."""

    broken: bool
    why: str
    last: bool
    holds: int
    lines: list[str]


@_said(FROM_MAIN, "returned")
class Returned(NamedTuple):
    """The other side was gone and is back."""


@_said(FROM_MAIN, "registered", request=_INT, key=_or_none(_TEXT), error=_or_none(_TEXTS))
class Registered(NamedTuple):
    """The answer to `Register`: the channel's key from now on, or the error's arguments."""

    request: int
    key: str | None
    error: list[str] | None


# ------------------------------------------------------------------ from main, to a process


@_said(FROM_MAIN, "stop", seconds=_TIME)
class Stop(NamedTuple):
    """The process must leave within `seconds`."""

    seconds: float


@_said(FROM_MAIN, "your_turn")
class YourTurn(NamedTuple):
    """The process's predecessor is gone, and it may begin."""


@_said(FROM_MAIN, "ask_pulse", at=_TIME, stack=_BOOL, quietly=_BOOL)
class AskPulse(NamedTuple):
    """Does the process answer, and do its loops turn? See `Pulse.answer` in `pulse.py`."""

    at: float
    stack: bool
    quietly: bool


@_said(FROM_MAIN, "ask_imported")
class AskImported(NamedTuple):
    """Which modules could a spare process import before its turn? `Imported` is the answer."""


@_said(FROM_MAIN, "ask_loaded", request=_INT, paths=_TEXTS)
class AskLoaded(NamedTuple):
    """Which of these files has the process loaded? `Loaded` is the answer."""

    request: int
    paths: list[str]


OfProcess = (
    Ready
    | Failed
    | WaitsForTurn
    | TakesTurn
    | Restart
    | AskStop
    | Listen
    | Pulse
    | Loaded
    | Imported
    | Accounts
)
"""What a child says about its process to the supervisor."""

FromChild = (
    Open
    | Receives
    | Answers
    | Answered
    | Cancel
    | AskFor
    | GiveBack
    | Close
    | Leave
    | Hold
    | Register
    | Clean
    | OfProcess
)

ToProcess = Stop | YourTurn | AskPulse | AskLoaded | AskImported
"""What main says to a child's process."""

FromMain = Names | Dropped | Shared | Refused | Cancelled | Gone | Returned | Registered | ToProcess

# ------------------------------------------------------------------ to bytes and back


def encode(word: FromChild | FromMain, number: int = 0) -> tuple[Buffer, ...]:
    """Return the CONTROL frame of a word. `number` is the number of the end it is about, or 0."""
    _, template, _, writes = _FORMS[type(word)]
    values = [write(value) for write, value in zip(writes, word, strict=True)]
    body = (template % tuple(values)).encode()
    return (HEADER.pack(MAGIC, CONTROL, 0, number, len(body)), body)


def from_child(frame: Frame) -> FromChild:
    """Return the word that a child has sent in a CONTROL frame. Raises `FrameError`."""
    size = len(frame.body)
    if size > FIELD_BYTES:
        raise FrameError(f"a control frame of {size} bytes; {FIELD_BYTES} are allowed")
    return _decode(frame, FROM_CHILD)  # type: ignore[no-any-return]


def from_main(frame: Frame) -> FromMain:
    """Return the word that the main process has sent in a CONTROL frame. Raises `FrameError`."""
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
