"""The wire format: messages to batches, batches to frames, frames to bytes and back.

Pure: no sockets, no threads, no locks. A frame is a 12-byte header and a body:

    magic u16 | kind u8 | flags u8 | channel u32 | length u32 | body

Kinds: DATA (a batch of messages of one channel), ACK (ranges of messages whose handling
ended), CONTROL (a JSON object; everything rare), PART (a piece of a frame too long to go
out in one piece; the last piece comes in the frame itself, flagged CONTINUED).

DATA body: first sequence number u64, message count u32, then a u32 a message, then the
messages. With the TEXT flag the messages are one UTF-8 text and the u32 are lengths in
characters. Without it each is bytes: the u32 is the length, its top bit says the payload
is a `bytes` object as it stands, not a pickle. With the LINKED flag there is one message, a
table of the keys of channels that it carries and then its pickle. REDELIVERED: it was sent to
a process that died. PROMPT: the receiver says when each message is begun, and when it is
handled, at once.

An ACK with the BEGUN flag names messages whose handling begins instead.
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

from ..errors import FrameError

MAGIC = 0x594C
DATA, ACK, CONTROL, PART = 1, 2, 3, 4
TEXT, CONTINUED, REDELIVERED, PROMPT, LINKED = 1, 2, 4, 8, 16
BEGUN = 1
_FLAGS = {
    DATA: TEXT | CONTINUED | REDELIVERED | PROMPT | LINKED,
    ACK: BEGUN,
    CONTROL: CONTINUED,
    PART: 0,
}

HEADER = struct.Struct("<HBBII")
_SEQUENCE = struct.Struct("<QI")
_DATA_HEAD = struct.Struct("<HBBIIQI")
_WORD = struct.Struct("<I")
_RANGE = struct.Struct("<QI")
_KEYS = struct.Struct("<I")
_RAW = 1 << 31
_LENGTH = _RAW - 1

CHUNK = 256 * 1024
"""Longest body of a single frame in bytes; what is longer goes out in pieces."""

LONGEST_TEXT = 16 * 1024
"""Longer strings are sent like any other object, so that a TEXT batch stays small."""

MAX_MESSAGE_BYTES = 1 << 30
"""Upper bound of the `max_message_bytes` setting: lengths have 31 bits."""

_OVERHEAD = _SEQUENCE.size + 4

Buffer = bytes | memoryview


class Frame(NamedTuple):
    """One whole frame as it came from the wire."""

    kind: int
    flags: int
    channel: int
    body: bytes | bytearray


class Batch:
    """Messages of one channel in one direction that travel, wait and are acknowledged together.

    `buffers` is what follows the sequence numbers in a DATA frame: whoever forwards a batch
    writes these as they are. `flags` are those of REDELIVERED, PROMPT and LINKED that hold. A
    batch is never changed once made; `having` and `part` give others of the same messages.
    """

    __slots__ = ("buffers", "count", "first", "flags", "text", "words")

    def __init__(
        self,
        first: int,
        count: int,
        buffers: tuple[Buffer, ...],
        words: Sequence[int],
        text: str | None,
        flags: int = 0,
    ) -> None:
        self.first = first
        self.count = count
        self.buffers = buffers
        self.words = words
        self.text = text
        self.flags = flags

    @property
    def size(self) -> int:
        """How many bytes its messages have, serialised."""
        buffers = self.buffers
        whole = len(buffers[0]) if len(buffers) == 1 else sum(map(len, buffers))
        return whole - 4 * self.count

    def having(self, first: int, flags: int = 0) -> Batch:
        """Return the same messages numbered from `first` on, with `flags` besides their own."""
        return Batch(first, self.count, self.buffers, self.words, self.text, self.flags | flags)

    def part(self, start: int, stop: int) -> Batch:
        """Return the messages from the `start`th to before the `stop`th, counted from 0."""
        if stop - start == self.count:
            return self
        words = self.words[start:stop]
        text, content = None, b""
        if self.text is not None:
            at = sum(self.words[:start])
            text = self.text[at : at + sum(words)]
            content = text.encode("utf-8", "surrogatepass")
        else:
            body = self._body()
            at = 4 * self.count + sum([word & _LENGTH for word in self.words[:start]])
            content = bytes(body[at : at + sum([word & _LENGTH for word in words])])
        buffers = (_table(words) + content,)
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
        flags = self.flags if self.text is None else self.flags | TEXT
        head = _DATA_HEAD.pack(MAGIC, DATA, flags, channel, length, self.first, self.count)
        return (head, *self.buffers)

    def payloads(self) -> list[Any]:
        """Return the messages, still serialised: give each to `load`."""
        text = self.text
        if text is not None:
            if self.count == 1:
                return [text]
            bounds = accumulate(self.words, initial=0)
            return [text[start:end] for start, end in pairwise(bounds)]
        out: list[Any] = []
        body = self._body()
        at = 4 * self.count
        if self.flags & LINKED:
            return [Linked(body[at:])]
        for word in self.words:
            end = at + (word & _LENGTH)
            payload = body[at:end]
            out.append(Raw(payload) if word & _RAW else payload)
            at = end
        return out

    def _body(self) -> Buffer:
        return b"".join(self.buffers) if len(self.buffers) > 1 else self.buffers[0]


class Raw:
    """Marks a payload that is a `bytes` object as it stands."""

    __slots__ = ("data",)

    def __init__(self, data: Buffer) -> None:
        self.data = data


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
        table = bytes(data[_KEYS.size : _KEYS.size + size])
        if len(table) != size:
            raise ValueError("the table of keys is cut short")
        return table.decode("ascii").split(","), data[_KEYS.size + size :]
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
    table = ",".join(pickler.keys).encode("ascii")
    return Linked(_KEYS.pack(len(table)) + table + file.getvalue())


def load_linked(payload: Linked, find: Callable[[str, Any], Any]) -> Any:
    """Rebuild such a message: `find` makes a channel of what `link` gave. May raise anything."""
    return _LinkUnpickler(io.BytesIO(_split_linked(payload.data)[1]), find).load()


def _table(words: Sequence[int]) -> bytes:
    numbers = array("I", words)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tobytes()


def _words(table: Buffer) -> Sequence[int]:
    numbers = array("I")
    numbers.frombytes(table)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tolist()


def dump(data: object) -> tuple[bytes, int]:
    """Serialise one message; return the payload and its length word.

    Raises whatever pickling raises.
    """
    if type(data) is bytes:
        return data, len(data) | _RAW
    payload = pickle.dumps(data, 5)
    return payload, len(payload)


def load(payload: Any) -> Any:
    """Rebuild a message from what `Batch.payloads` gave. May raise anything."""
    kind = type(payload)
    if kind is str:
        return payload
    if kind is Raw:
        return bytes(payload.data)
    return pickle.loads(payload)


def pack_text(first: int, messages: list[str]) -> Batch:
    """Make a batch of strings, each at most `LONGEST_TEXT` characters."""
    count = len(messages)
    if count == 1:
        text = messages[0]
        length = len(text)
        body = _WORD.pack(length) + text.encode("utf-8", "surrogatepass")
        return Batch(first, 1, (body,), (length,), text)
    words = list(map(len, messages))
    text = "".join(messages)
    body = _table(words) + text.encode("utf-8", "surrogatepass")
    return Batch(first, count, (body,), words, text)


def pack(first: int, payloads: list[bytes], words: list[int]) -> Batch:
    """Make a batch of payloads and length words that came from `dump`."""
    count = len(payloads)
    table = _table(words)
    if count == 1 and len(payloads[0]) > CHUNK // 4:
        return Batch(first, count, (table, payloads[0]), words, None)
    return Batch(first, count, (b"".join((table, *payloads)),), words, None)


def pack_linked(first: int, payload: Linked) -> Batch:
    """Make a batch of one message that carries channels."""
    words = [len(payload)]
    return Batch(first, 1, (_table(words), payload.data), words, None, LINKED)


def unpack(frame: Frame) -> Batch:
    """Return the batch of a DATA frame, checked to be whole.

    Raises `FrameError`.
    """
    body = frame.body
    if len(body) < _SEQUENCE.size:
        raise FrameError(f"data frame of {len(body)} bytes is shorter than its head")
    first, count = _SEQUENCE.unpack_from(body)
    rest = len(body) - _SEQUENCE.size
    if not 0 < count <= rest // 4:
        raise FrameError(f"data frame says {count} messages in {rest} bytes")
    # What is long is not copied again until the message itself is made.
    content: Buffer
    if isinstance(body, bytes):
        content = body[_SEQUENCE.size :]
    else:
        content = memoryview(body)[_SEQUENCE.size :]
    words = _words(content[: 4 * count]) if count > 1 else _WORD.unpack_from(content)
    text = None
    if frame.flags & TEXT:
        try:
            text = str(memoryview(content)[4 * count :], "utf-8", "surrogatepass")
        except UnicodeDecodeError as error:
            raise FrameError("text frame is not UTF-8") from error
        whole = sum(words) == len(text)
    else:
        whole = sum([word & _LENGTH for word in words]) == rest - 4 * count
    if not whole:
        raise FrameError("data frame's message lengths do not add up")
    flags = frame.flags & (REDELIVERED | PROMPT | LINKED)
    if flags & LINKED and (count != 1 or text is not None):
        raise FrameError("data frame with channels has more than one message")
    return Batch(first, count, (content,), words, text, flags)


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
    body = json.dumps(fields, separators=(",", ":")).encode()
    return (HEADER.pack(MAGIC, CONTROL, 0, channel, len(body)), body)


def fields(frame: Frame) -> dict[str, Any]:
    """Return the fields of a CONTROL frame. Raises `FrameError`."""
    try:
        value = json.loads(frame.body)
    except (ValueError, RecursionError) as error:
        raise FrameError("control frame is not JSON") from error
    if not isinstance(value, dict) or not isinstance(value.get("op"), str):
        raise FrameError("control frame has no op")
    return value


def pieces(buffers: tuple[Buffer, ...]) -> Iterator[tuple[Buffer, ...]]:
    """Split a frame into PART frames and its last piece, no body longer than `CHUNK`."""
    head = buffers[0]
    magic, kind, flags, channel, length = HEADER.unpack_from(head)
    body = [memoryview(head)[HEADER.size :], *[memoryview(buffer) for buffer in buffers[1:]]]
    left = length
    while left > CHUNK:
        yield HEADER.pack(magic, PART, 0, channel, CHUNK), *_take(body, CHUNK)
        left -= CHUNK
    yield HEADER.pack(magic, kind, flags | CONTINUED, channel, left), *_take(body, left)


def _take(body: list[memoryview], size: int) -> list[memoryview]:
    out = []
    while size:
        view = body[0]
        if len(view) <= size:
            out.append(body.pop(0))
            size -= len(view)
        else:
            out.append(view[:size])
            body[0] = view[size:]
            size = 0
    return out


class Decoder:
    """Turns a stream of bytes into frames; never allocates more than has arrived.

    Read into `buffer()`, then tell `decode` how many bytes came.
    """

    def __init__(self, max_message_bytes: int) -> None:
        self._limit = max_message_bytes + _OVERHEAD + HEADER.size
        self._buffer = bytearray(4 * CHUNK)
        self._view = memoryview(self._buffer)
        self._end = 0
        self._parts: dict[int, bytearray] = {}

    def buffer(self) -> memoryview:
        """Return where the next bytes go; never empty."""
        return self._view[self._end :]

    def decode(self, size: int) -> list[Frame]:
        """Return the frames that the last `size` bytes completed.

        Raises `FrameError`; the stream can't be read on after that.
        """
        end = self._end + size
        view = self._view
        at = 0
        frames: list[Frame] = []
        while end - at >= HEADER.size:
            magic, kind, flags, channel, length = HEADER.unpack_from(view, at)
            allowed = _FLAGS.get(kind)
            if magic != MAGIC or allowed is None or flags & ~allowed or length > CHUNK:
                raise FrameError(f"bytes {bytes(view[at : at + HEADER.size]).hex()} are no frame")
            stop = at + HEADER.size + length
            if stop > end:
                break
            piece = view[at + HEADER.size : stop]
            at = stop
            if kind == PART:
                self._add_part(channel, piece)
            elif flags & CONTINUED:
                self._add_part(channel, piece)
                frames.append(Frame(kind, flags, channel, self._parts.pop(channel)))
            else:
                frames.append(Frame(kind, flags, channel, bytes(piece)))
        if 0 < at < end:
            view[: end - at] = view[at:end]
        self._end = end - at
        return frames

    def _add_part(self, channel: int, piece: memoryview) -> None:
        whole = self._parts.setdefault(channel, bytearray())
        whole += piece
        if len(whole) > self._limit:
            raise FrameError(f"a message of over {self._limit} bytes on channel {channel}")
