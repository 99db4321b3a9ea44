"""The wire format: messages to batches, batches to frames, frames to bytes and back.

Pure: no sockets, no threads, no locks. A frame is a 12-byte header and a body:

    magic u16 | kind u8 | flags u8 | channel u32 | length u32 | body

Kinds: DATA (a batch of messages of one channel), ACK (ranges of messages whose handling
ended), CONTROL (a JSON object; everything rare), STORE (what is asked of the store, and what it
answers and tells). What is longer than `CHUNK` goes out in
pieces, see `decoder.py`, with the kinds PART, SLOT and FREE.

DATA body: first sequence number u64, message count u32, then a u32 a message, then the
messages. With the TEXT flag the messages are one UTF-8 text and the u32 are lengths in
characters; with SPLIT besides there are no u32, and a NUL stands between two messages.
Without TEXT each is bytes: the u32 is the length, its top bit says the payload is a `bytes`
object as it stands, not a pickle. With the LONG flag there is one message and no u32; it is
a pickle and its buffers, each a segment of its own. With the LINKED flag there is one message,
a table of the keys of channels that it carries and then its pickle. REDELIVERED: it was sent
to a process that died. PROMPT: the receiver says when each message is begun, and when it is
handled, at once.

An ACK with the BEGUN flag names messages whose handling begins instead.

STORE body: length of a JSON object u32, the object, values as they are serialised. Its `kinds` has
a character and its `sizes` a length for each. One with `part` only brings values for the next.
"""

from __future__ import annotations

import io
import json
import pickle
import struct
import sys
from array import array
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, groupby, pairwise
from typing import Any, NamedTuple

from ...errors import FrameError

MAGIC = 0x594C
DATA, ACK, CONTROL, PART, SLOT, FREE, STORE = 1, 2, 3, 4, 5, 6, 7
TEXT, IN_PIECES, REDELIVERED, PROMPT, LONG, LINKED, SPLIT = 1, 2, 4, 8, 16, 32, 64
BEGUN = 1
FLAGS = {
    DATA: TEXT | IN_PIECES | REDELIVERED | PROMPT | LONG | LINKED | SPLIT,
    ACK: BEGUN,
    CONTROL: IN_PIECES,
    PART: 0,
    SLOT: 0,
    FREE: 0,
    STORE: IN_PIECES,
}
"""The flags that a frame of each kind may have."""

HEADER = struct.Struct("<HBBII")
_SEQUENCE = struct.Struct("<QI")
_DATA_HEAD = struct.Struct("<HBBIIQI")
_WORD = struct.Struct("<I")
_RANGE = struct.Struct("<QI")
_KEYS = struct.Struct("<I")
TOP = 1 << 31
LENGTH = TOP - 1

CHUNK = 256 * 1024
"""Longest body of a single frame in bytes; what is longer goes out in pieces. A message that
long travels alone, in segments that are not copied until they are where they are used."""

LONGEST_TEXT = 16 * 1024
"""Longer strings are sent like any other object, so that a TEXT batch stays small."""

STORE_STREAM = (1 << 32) - 1
"""The number in place of a channel's for all STORE frames."""

MAX_CAPACITY = 10_000_000
"""Upper bound of a channel's capacity."""

FIELD_BYTES = 1 << 20
"""Most that a child's control frame, the head of its store frame or a message's table of channels
may have: to look at one is never to take long."""

MAX_MESSAGE_BYTES = 1 << 30
"""Upper bound of the `max_message_bytes` setting: lengths have 31 bits."""

_FLAT = frozenset({str, int, float, bool, type(None), dict, list, tuple, set, frozenset})
"""What most messages are. They are pickled in one go: to ask for buffers costs each a little, so
those inside of these go with the rest."""

_BYTES = pickle.dumps(pickle.PickleBuffer(b""), 5, buffer_callback=lambda _: False)
"""The pickle of a `bytes` object that goes beside it."""

Buffer = bytes | bytearray | memoryview

_to_json = json.JSONEncoder(separators=(",", ":")).encode
_from_json = json.JSONDecoder().decode


class Frame(NamedTuple):
    """One whole frame as it came from the wire."""

    kind: int
    flags: int
    channel: int
    body: bytes
    segments: tuple[Buffer, ...] = ()
    """What follows the body of a LONG frame: `bytes`, and `bytearray` for what may be changed."""


class Batch:
    """Messages of one channel in one direction that travel, wait and are acknowledged together.

    `buffers` is what follows the sequence numbers in a DATA frame: whoever forwards a batch
    writes these as they are. A batch is never changed once made; `having` and `part` give others
    of the same messages. `flags` are those of its frame but for IN_PIECES. `kept` says that others
    may have the same memory: then what a message may change is copied when it is made.
    """

    __slots__ = ("buffers", "count", "first", "flags", "kept", "text", "words")

    def __init__(
        self,
        first: int,
        count: int,
        buffers: tuple[Buffer, ...],
        words: Sequence[int],
        text: str | None,
        flags: int,
        kept: bool = True,
    ) -> None:
        self.first = first
        self.count = count
        self.buffers = buffers
        self.words = words
        self.text = text
        self.flags = flags
        self.kept = kept

    @property
    def size(self) -> int:
        """How many bytes its messages have, serialised."""
        buffers = self.buffers
        if self.flags & LONG:
            return len(Long(buffers))
        whole = len(buffers[0]) if len(buffers) == 1 else sum(map(len, buffers))
        return whole - (self.count - 1 if self.flags & SPLIT else 4 * self.count)

    def having(self, first: int, flags: int = 0) -> Batch:
        """Return the same messages numbered from `first` on, with `flags` besides their own."""
        flags |= self.flags
        return Batch(first, self.count, self.buffers, self.words, self.text, flags, self.kept)

    def part(self, start: int, stop: int) -> Batch:
        """Return the messages from the `start`th to before the `stop`th, counted from 0."""
        if stop - start == self.count:
            return self
        if self.flags & SPLIT:
            some = pack_text(self.first + start, self.payloads()[start:stop])
            return some.having(some.first, self.flags)
        words = self.words[start:stop]
        text, content = None, b""
        if self.text is not None:
            at = sum(self.words[:start])
            text = self.text[at : at + sum(words)]
            content = text.encode("utf-8", "surrogatepass")
        else:
            body = self._body()
            at = 4 * self.count + sum([word & LENGTH for word in self.words[:start]])
            content = bytes(body[at : at + sum([word & LENGTH for word in words])])
        buffers = (table(words) + content,)
        return Batch(self.first + start, stop - start, buffers, words, text, self.flags)

    def runs(self, kinds: Sequence[Any]) -> Iterator[tuple[Any, Batch]]:
        """Yield runs of messages of one kind, given a kind for each; None leaves one out."""
        start = 0
        for kind, group in groupby(kinds):
            stop = start + len(list(group))
            if kind is not None:
                yield kind, self.part(start, stop)
            start = stop

    def carried(self) -> list[str]:
        """Return the keys of the channels that a LINKED batch carries. Raises `FrameError`."""
        return _split_linked(self._body()[4:])[0] if self.flags & LINKED else []

    def frame(self, channel: int) -> tuple[Buffer, ...]:
        """Return the DATA frame that carries this batch on `channel`."""
        length = _SEQUENCE.size + sum(map(len, self.buffers))
        head = _DATA_HEAD.pack(MAGIC, DATA, self.flags, channel, length, self.first, self.count)
        return (head, *self.buffers)

    def payloads(self) -> list[Any]:
        """Return the messages, still serialised: give each to `load`."""
        text = self.text
        if text is not None:
            if self.count == 1:
                return [text]
            if self.flags & SPLIT:
                return text.split("\0")
            bounds = accumulate(self.words, initial=0)
            return [text[start:end] for start, end in pairwise(bounds)]
        if self.flags & LONG:
            return [Long(self.buffers, self.kept)]
        out: list[Any] = []
        body = self._body()
        at = 4 * self.count
        if self.flags & LINKED:
            return [Linked(body[at:])]
        if type(body) is memoryview and type(body.obj) is bytes:
            # Slices of a view are views, which are slower to read than bytes.
            at += len(body.obj) - len(body)
            body = body.obj
        if max(self.words) < TOP:
            return [body[start:end] for start, end in pairwise(accumulate(self.words, initial=at))]
        for word in self.words:
            end = at + (word & LENGTH)
            payload = body[at:end]
            out.append(Raw(payload) if word & TOP else payload)
            at = end
        return out

    def _body(self) -> Buffer:
        return b"".join(self.buffers) if len(self.buffers) > 1 else self.buffers[0]


class Raw:
    """Marks a payload that is a `bytes` object as it stands."""

    __slots__ = ("data",)

    def __init__(self, data: Buffer) -> None:
        self.data = data


class Long:
    """A message of over `CHUNK` bytes: its pickle and the buffers that go with it."""

    __slots__ = ("kept", "segments")

    def __init__(self, segments: tuple[Buffer, ...], kept: bool = True) -> None:
        self.segments = segments
        self.kept = kept

    def __len__(self) -> int:
        head, *buffers = self.segments
        return sum(map(len, buffers)) + (0 if head == _BYTES else len(head))

    def rebuild(self) -> Any:
        """Rebuild the message. May raise anything."""
        head, *buffers = self.segments
        if self.kept:
            buffers = [bytearray(b) if type(b) is bytearray else b for b in buffers]
        return pickle.loads(head, buffers=buffers)


class Linked:
    """A message that carries channels: their keys and a pickle that refers to them."""

    __slots__ = ("data",)

    def __init__(self, data: Buffer) -> None:
        self.data = data

    def __len__(self) -> int:
        return len(self.data)

    def carried(self) -> list[str]:
        """Return the keys of the channels."""
        return _split_linked(self.data)[0]


def _split_linked(data: Buffer) -> tuple[list[str], Buffer]:
    try:
        (size,) = _KEYS.unpack_from(data)
        if size > FIELD_BYTES:
            raise ValueError(f"it is said to have {size} bytes, {FIELD_BYTES} are allowed")
        keys = bytes(data[_KEYS.size : _KEYS.size + size])
        if len(keys) != size:
            raise ValueError("the table of keys is cut short")
        return keys.decode("ascii").split(","), data[_KEYS.size + size :]
    except (struct.error, ValueError) as error:
        raise FrameError(f"a message with channels has no table of them: {error}") from error


class _LinkPickler(pickle.Pickler):
    def __init__(self, file: io.BytesIO, link: Callable[[Any], tuple[str, Any] | None]) -> None:
        super().__init__(file, 5)
        self.keys: list[str] = []
        self._link = link

    def persistent_id(self, obj: Any) -> Any:
        found = self._link(obj)
        if found is None:
            return None
        self.keys.append(found[0])
        return found


class _LinkUnpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, find: Callable[[str, Any], Any]) -> None:
        super().__init__(file)
        self._find = find

    def persistent_load(self, pid: Any) -> Any:
        return self._find(*pid)


def dump_linked(data: object, link: Callable[[Any], tuple[str, Any] | None]) -> Linked:
    """Serialise a message with channels in it: `link` returns a key and more for each of those.

    Raises whatever pickling raises.
    """
    file = io.BytesIO()
    pickler = _LinkPickler(file, link)
    pickler.dump(data)
    keys = ",".join(pickler.keys).encode("ascii")
    if len(keys) > FIELD_BYTES:
        raise ValueError(f"it carries {len(pickler.keys)} channels, which are too many")
    return Linked(_KEYS.pack(len(keys)) + keys + file.getvalue())


def load_linked(payload: Linked, find: Callable[[str, Any], Any]) -> Any:
    """Rebuild such a message: `find` makes a channel of what `link` gave. May raise anything."""
    return _LinkUnpickler(io.BytesIO(_split_linked(payload.data)[1]), find).load()


def table(words: Sequence[int]) -> bytes:
    """Return numbers as u32."""
    numbers = array("I", words)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tobytes()


def words_of(body: Buffer) -> list[int]:
    """Return the numbers of such a table."""
    numbers = array("I")
    numbers.frombytes(body)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tolist()


def dump(data: Any) -> tuple[bytes | Long, int]:
    """Serialise one message; return the payload and its length word, 0 for a `Long`.

    Raises whatever pickling raises.
    """
    kind = type(data)
    if kind in _FLAT:
        payload = pickle.dumps(data, 5)
        if len(payload) < CHUNK:
            return payload, len(payload)
        return Long((payload,)), 0
    if kind is bytes:
        if len(data) < CHUNK:
            return data, len(data) | TOP
        return Long((_BYTES, data)), 0
    if kind is bytearray:
        data = pickle.PickleBuffer(data)
    buffers: list[Buffer] = []

    def goes_with_the_rest(buffer: pickle.PickleBuffer) -> bool:
        with buffer.raw() as view:
            if len(view) < CHUNK:
                return True
            whole: Any = view.obj
            if not view.readonly:
                buffers.append(bytearray(view))
            elif type(whole) is bytes and len(whole) == len(view):
                buffers.append(whole)  # Nobody can change it, so it need not be copied.
            else:
                buffers.append(bytes(view))
        return False

    payload = pickle.dumps(data, 5, buffer_callback=goes_with_the_rest)
    if buffers or len(payload) >= CHUNK:
        return Long((payload, *buffers)), 0
    return payload, len(payload)


def load(payload: Any) -> Any:
    """Rebuild a message from what `Batch.payloads` gave. May raise anything."""
    kind = type(payload)
    if kind is bytes:
        return pickle.loads(payload)
    if kind is str:
        return payload
    if kind is Raw:
        return bytes(payload.data)
    return payload.rebuild()


def pack_text(first: int, messages: list[str]) -> Batch:
    """Make a batch of strings, each at most `LONGEST_TEXT` characters."""
    count = len(messages)
    text = messages[0] if count == 1 else "\0".join(messages)
    if count == 1 or text.count("\0") == count - 1:
        body = text.encode("utf-8", "surrogatepass")
        return Batch(first, count, (body,), (), text, TEXT | SPLIT)
    words = list(map(len, messages))
    text = "".join(messages)
    body = table(words) + text.encode("utf-8", "surrogatepass")
    return Batch(first, count, (body,), words, text, TEXT)


def pack(first: int, payloads: list[Any], words: list[int]) -> Batch:
    """Make a batch of payloads and length words that came from `dump`; a `Long` is alone."""
    count = len(payloads)
    if not words[0]:
        return Batch(first, 1, payloads[0].segments, (), None, LONG)
    head = table(words)
    if count == 1 and len(payloads[0]) > CHUNK // 4:
        return Batch(first, count, (head, payloads[0]), words, None, 0)
    return Batch(first, count, (b"".join((head, *payloads)),), words, None, 0)


def pack_linked(first: int, payload: Linked) -> Batch:
    """Make a batch of one message that carries channels."""
    words = [len(payload)]
    return Batch(first, 1, (table(words), payload.data), words, None, LINKED)


def unpack(frame: Frame, kept: bool = True) -> Batch:
    """Return the batch of a DATA frame, checked to be whole.

    Raises `FrameError`.
    """
    body = frame.body
    if len(body) < _SEQUENCE.size:
        raise FrameError(f"data frame of {len(body)} bytes is shorter than its head")
    first, count = _SEQUENCE.unpack_from(body)
    rest = len(body) - _SEQUENCE.size
    flags = frame.flags
    if flags & LONG:
        if count != 1 or rest or not frame.segments or flags & (TEXT | LINKED | SPLIT):
            raise FrameError("a long message's frame is not whole")
        return Batch(first, 1, frame.segments, (), None, flags, kept)
    if flags & SPLIT:
        return _unpack_split(frame, first, count, kept)
    if not 0 < count <= rest // 4:
        raise FrameError(f"data frame says {count} messages in {rest} bytes")
    content: Buffer = body[_SEQUENCE.size :] if rest < 4096 else memoryview(body)[_SEQUENCE.size :]
    words: Sequence[int]
    words = words_of(content[: 4 * count]) if count > 1 else _WORD.unpack_from(content)
    text = None
    if flags & TEXT:
        text = _decode(memoryview(content)[4 * count :])
        whole = sum(words) == len(text)
    else:
        lengths = words if max(words) < TOP else [word & LENGTH for word in words]
        whole = sum(lengths) == rest - 4 * count
    if not whole:
        raise FrameError("data frame's message lengths do not add up")
    if flags & LINKED and (count != 1 or text is not None):
        raise FrameError("data frame with channels has more than one message")
    return Batch(first, count, (content,), words, text, flags, kept)


def _unpack_split(frame: Frame, first: int, count: int, kept: bool) -> Batch:
    content = frame.body[_SEQUENCE.size :]
    text = _decode(content)
    if not frame.flags & TEXT or frame.flags & LINKED or count < 1:
        raise FrameError("a frame of texts with a NUL between them has other flags, or no text")
    if count > 1 and text.count("\0") != count - 1:
        raise FrameError(f"data frame says {count} texts and has {text.count(chr(0)) + 1}")
    return Batch(first, count, (content,), (), text, frame.flags, kept)


def _decode(content: Buffer) -> str:
    try:
        return str(content, "utf-8", "surrogatepass")
    except UnicodeDecodeError as error:
        raise FrameError("text frame is not UTF-8") from error


def messages_in(head: Buffer) -> int:
    """Return how many messages a frame has, given its first buffer as `Batch.frame` made it."""
    if len(head) < _DATA_HEAD.size:
        return 0
    _, kind, flags, *_, count = _DATA_HEAD.unpack_from(head)
    if kind != DATA:
        return 0
    return 1 if flags & IN_PIECES else int(count)


def acknowledgement(
    channel: int, ranges: list[tuple[int, int]], flags: int = 0
) -> tuple[Buffer, ...]:
    """Return the ACK frame for `(first, count)` ranges of `channel`; with BEGUN, their begin."""
    body = b"".join([_RANGE.pack(first, count) for first, count in ranges])
    return (HEADER.pack(MAGIC, ACK, flags, channel, len(body)) + body,)


def acknowledged(frame: Frame) -> list[tuple[int, int]]:
    """Return the ranges of an ACK frame. Raises `FrameError`."""
    if len(frame.body) % _RANGE.size:
        raise FrameError(f"acknowledgement of {len(frame.body)} bytes")
    return list(_RANGE.iter_unpack(frame.body))


def control(channel: int, **fields: Any) -> tuple[Buffer, ...]:
    """Return a CONTROL frame; `fields` must be what JSON can carry."""
    body = _to_json(fields).encode()
    return (HEADER.pack(MAGIC, CONTROL, 0, channel, len(body)), body)


def fields(frame: Frame, limit: int | None = None) -> dict[str, Any]:
    """Return the fields of a CONTROL frame. Raises `FrameError`, also for over `limit` bytes."""
    if limit is not None and len(frame.body) > limit:
        raise FrameError(f"a control frame of {len(frame.body)} bytes; {limit} are allowed")
    try:
        value = _from_json(str(frame.body, "ascii"))
    except (ValueError, RecursionError) as error:
        raise FrameError("control frame is not JSON") from error
    if not isinstance(value, dict) or not isinstance(value.get("op"), str):
        raise FrameError("control frame has no op")
    return value


class Value(NamedTuple):
    """A serialised value of the store: what it is, in a character, and its bytes."""

    kind: str
    data: bytes


def store(fields: dict[str, Any], values: Sequence[Value]) -> list[tuple[Buffer, ...]]:
    """Return the STORE frames for `fields`, which JSON can carry, and values.

    No frame has more than one value where that makes it long: it could be over the limit.
    """
    out = []
    some: list[Value] = []
    size = 0
    for value in values:
        if some and size + len(value.data) > CHUNK:
            out.append(_store_frame({"part": True}, some))
            some, size = [], 0
        some.append(value)
        size += len(value.data)
    out.append(_store_frame(fields, some))
    return out


def _store_frame(fields: dict[str, Any], values: list[Value]) -> tuple[Buffer, ...]:
    kinds, sizes = "".join(value.kind for value in values), [len(value.data) for value in values]
    head = _to_json({**fields, "kinds": kinds, "sizes": sizes}).encode()
    length = _WORD.size + len(head) + sum(sizes)
    start = HEADER.pack(MAGIC, STORE, 0, STORE_STREAM, length) + _WORD.pack(len(head)) + head
    return (start, *[value.data for value in values])


def stored(frame: Frame, limit: int | None = None) -> tuple[dict[str, Any], list[Value]]:
    """Return the fields and values of a STORE frame. Raises `FrameError`.

    Also for fields of over `limit` bytes.
    """
    body = frame.body
    try:
        (size,) = _WORD.unpack_from(body)
        if limit is not None and size > limit:
            raise ValueError(f"its head is said to have {size} bytes, {limit} are allowed")
        at = _WORD.size + size
        fields = _from_json(str(body[_WORD.size : at], "ascii"))
        kinds, sizes = fields.pop("kinds"), fields.pop("sizes")
        values = []
        for kind, length in zip(kinds, sizes, strict=True):
            if type(length) is not int or length < 0:
                raise ValueError(f"a value of {length!r} bytes")
            values.append(Value(kind, body[at : at + length]))
            at += length
        if at != len(body) or not all(len(v.data) == n for v, n in zip(values, sizes, strict=True)):
            raise ValueError("lengths do not add up")
    except (struct.error, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise FrameError(f"a store frame of {len(body)} bytes is not whole: {error}") from error
    return fields, values
