"""What nodes tell each other: messages of channels on the stream, and words beside it.

Pure. All of it is msgpack. Nothing that comes is believed: what does not have its shape raises
`msgspec.ValidationError` or `FrameError`, and no data of a user's message is rebuilt here.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from msgspec.msgpack import Ext

from ..accounts import AccountState
from ..comm.wire.batch import Batch, pack, pack_text
from ..comm.wire.frames import CHUNK, LONGEST_TEXT
from ..comm.wire.packed import unwrap, wrap
from ..comm.wire.payload import Linked, Long, Raw, dump
from ..errors import FrameError
from ..process.state import ProcessState

DATA, PART, GONE, BACK = 0, 1, 2, 3
"""Kinds of what travels on a channel's subject: messages; a part of them, if they are long; that
the other side has ended; that it is back."""

REQUEST, MESSAGE, END, CALL_BACK = 0, 1, 2, 3
"""Kinds of what a node is asked. All but requests are about a queue of the node that asks, in a
chain: a message that it is given; that the queue is closed; to give back what nobody there wants.
"""

GIVEN_BACK = "GivenBack"
"""The refusal of a message that nobody wants. The body has the processes that have died with it."""

_PACKED, _TEXT = 1, 2

Entry = str | bytes | Ext
"""One message: a text, a `bytes` object, msgpack of anything else, a text that is not UTF-8."""


class Letter(msgspec.Struct, array_like=True, gc=False):
    """What travels on a channel's subject. `body` is msgpack, or a part of it."""

    kind: int
    node: str
    epoch: str
    body: bytes = b""
    part: int = 0
    parts: int = 1


class Gone(msgspec.Struct, array_like=True, gc=False):
    """The body of GONE."""

    broken: bool
    why: str
    for_good: bool
    more: bool
    """Whether messages from before are still to come."""
    lines: list[str] = []
    """The last lines of a process that is lost."""
    handled: list[tuple[int, int]] = []
    """Of the last letters of the other side: the number on the stream, and how many messages were
    handled."""


class Word(msgspec.Struct, array_like=True, gc=False):
    """What nodes tell each other beside the stream.

    `handled` has, for each channel by its name and whether the receiver of this word has it: the
    numbers of letters on the stream and how many messages of each were handled. `held` has names of
    channels, which the sender of the word holds, and whether it receives there. `resync` asks for
    `held`. `gone` has names of channels that its sender does not have: nothing of them is on its
    way.
    """

    node: str
    epoch: str
    handled: list[tuple[str, bool, list[tuple[int, int]]]] = []
    held: dict[str, bool] = {}
    resync: bool = False
    gone: list[str] = []
    left: list[str] = []
    """Names of queues that no process of its sender has any more."""
    serials: dict[str, int] = {}
    """By names in `held`: the `serial` of the entry of the channel that is meant."""
    answers: dict[str, int] = {}
    """By names in `held`: how many requests processes there answer at a time; 0 where it is certain
    that none does. A name that is not here is one where it is not known yet."""


class Ask(msgspec.Struct, array_like=True, gc=False):
    """A request, or a part of one. `body` has it as a letter has its messages."""

    number: int
    """Counts the requests of one life of the node that asks."""
    name: str
    """The channel's."""
    to_home: bool
    """Whether the node that is asked has the channel."""
    body: bytes
    once: bool = False
    kill: bool = False
    traceparent: str = ""
    part: int = 0
    parts: int = 1
    kind: int = REQUEST
    chain: int = 0
    """Which chain of the queue it is in. A later chain replaces an earlier one."""
    after: int = 0
    """The number of what comes before it in its chain; 0 if it is the first."""


class Asks(msgspec.Struct, array_like=True, gc=False):
    """What a node that asks tells another one."""

    node: str
    epoch: str
    asks: list[Ask] = []
    cancelled: list[int] = []
    """Requests whose answers nobody waits for any more."""
    done: list[int] = []
    """Requests whose outcomes have come."""
    still: tuple[int, list[int]] | None = None
    """All requests that are waited for, and a number for the answer to this."""


class Answer(msgspec.Struct, array_like=True, gc=False):
    """What comes of a request, or a part of it.

    `failed` says that the body has a text as `ends/remote.py` makes it. With a `refusal`, the name
    of an error, the body has the reason.
    """

    number: int
    body: bytes
    failed: bool = False
    refusal: str = ""
    part: int = 0
    parts: int = 1


class Answers(msgspec.Struct, array_like=True, gc=False):
    """What a node that is asked tells the one that asks."""

    node: str
    epoch: str
    answers: list[Answer] = []
    missing: tuple[int, list[int]] | None = None
    """The answer to `still`: those requests that have not come."""
    allowed: dict[str, tuple[int, int]] = {}
    """By the name of a queue: its chain, and how many messages of that may be given in all."""


class NodeEntry(msgspec.Struct):
    """The entry of a node: it is written again and again while the node runs."""

    node: str
    epoch: str
    left: bool = False
    """Whether it has stopped in good order."""


_Text = Annotated[str, Meta(max_length=1024)]
_Time = Annotated[datetime, Meta(tz=True)]


class ProcessEntry(msgspec.Struct):
    """A process of a node. `started_at` is in UTC."""

    name: _Text
    state: ProcessState
    pid: int | None
    restarts: int
    started_at: _Time | None


class AccountEntry(msgspec.Struct):
    """An account of a process of a node. `since` is in UTC."""

    adapter: _Text
    id: _Text
    process: _Text
    state: AccountState
    since: _Time
    nickname: _Text


class AboutEntry(msgspec.Struct):
    """What a node tells of itself: it is written when it has changed."""

    node: str
    epoch: str
    processes: list[ProcessEntry] = []
    accounts: list[AccountEntry] = []
    sends_alerts: bool = False


class ChannelEntry(msgspec.Struct):
    """The entry of a channel."""

    name: str
    node: str
    epoch: str
    capacity: int
    queue: bool = False
    serial: int = 0
    """Tells it from others of that name in the same life of the node."""


_encoder = msgspec.msgpack.Encoder()
_letters = msgspec.msgpack.Decoder(Letter)
_entries = msgspec.msgpack.Decoder(list[Any])
_gone = msgspec.msgpack.Decoder(Gone)
_names = msgspec.msgpack.Decoder(list[_Text])
_words = msgspec.msgpack.Decoder(Word)
_asks = msgspec.msgpack.Decoder(Asks)
_answers = msgspec.msgpack.Decoder(Answers)
_nodes = msgspec.json.Decoder(NodeEntry)
_abouts = msgspec.json.Decoder(AboutEntry)
_channels = msgspec.json.Decoder(ChannelEntry)

encode = _encoder.encode
read_letter = _letters.decode
read_gone = _gone.decode
read_names = _names.decode
read_word = _words.decode
read_asks = _asks.decode
read_answers = _answers.decode
read_node = _nodes.decode
read_about = _abouts.decode
read_channel = _channels.decode
entry = msgspec.json.encode


def entries_of(batch: Batch) -> Iterator[Entry | None]:
    """Yield the messages of a batch as they cross; None for one that can't cross."""
    for payload in batch.payloads():
        if isinstance(payload, str):
            yield payload if _is_clean(payload) else Ext(_TEXT, _raw(payload))
        elif isinstance(payload, Raw):
            yield bytes(payload.data)
        elif isinstance(payload, Long) and payload.is_bytes:
            yield bytes(payload.segments[1])
        else:
            packed = None if isinstance(payload, Linked) else unwrap(payload)
            yield None if packed is None else Ext(_PACKED, bytes(packed))


def batches_of(body: bytes) -> Iterator[Batch]:
    """Yield the messages of a letter's body as batches. Raises `FrameError` if it has another."""
    texts: list[str] = []
    payloads: list[Any] = []
    lengths: list[int] = []
    size = 0
    for each in _entries.decode(body):
        if isinstance(each, Ext) and each.code == _TEXT:
            each = str(bytes(each.data), "utf-8", "surrogatepass")
        if isinstance(each, str) and len(each) <= LONGEST_TEXT:
            if payloads:
                yield pack(0, payloads, lengths)
                payloads, lengths, size = [], [], 0
            texts.append(each)
            continue
        if texts:
            yield pack_text(0, texts)
            texts = []
        payload, length = _payload(each)
        if not length or size + len(payload) > CHUNK:
            if payloads:
                yield pack(0, payloads, lengths)
                payloads, lengths, size = [], [], 0
            if not length:
                yield pack(0, [payload], [0])
                continue
        payloads.append(payload)
        lengths.append(length)
        size += len(payload)
    if texts:
        yield pack_text(0, texts)
    if payloads:
        yield pack(0, payloads, lengths)


def only_batch_of(body: bytes) -> Batch:
    """Return the one message of a request's or an answer's body. Raises what `batches_of` does."""
    batches = list(batches_of(body))
    if len(batches) != 1 or batches[0].count != 1:
        raise FrameError("a body with more or less than one message")
    return batches[0]


def _payload(each: object) -> tuple[Any, int]:
    if isinstance(each, str | bytes):
        return dump(each)
    if isinstance(each, Ext) and each.code == _PACKED:
        payload = wrap(bytes(each.data))
        return payload, len(payload) if isinstance(payload, bytes) else 0
    raise FrameError(f"a message of type {type(each).__name__}")


def _is_clean(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
