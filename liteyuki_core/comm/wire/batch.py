"""Messages of one channel that travel together: a batch, and its DATA frame.

Pure: no sockets, no threads, no locks. Any thread may call it. Invariant: a batch is never changed
once it is made.

DATA body: first sequence number u64, message count u32, then a u32 for each message, then the
messages. The u32 is the length of the message in bytes; its top bit says that the payload is a
`bytes` object as it stands and not a pickle. Flags:

- TEXT: the messages are one UTF-8 text, and the u32 are lengths in characters.
- SPLIT, with TEXT: there are no u32. A NUL stands between two messages.
- LONG: there is one message and no u32. It is a pickle and its buffers, each in its own segment.
- LINKED: there is one message. It is a table of the keys of the channels that it carries, and then
  its pickle.
- HEADERS: a header block comes behind the message count, see `headers.py`.
- REDELIVERED: these messages were given to a process that died.
- PROMPT: the receiver says at once when it begins a message, and at once when it has handled it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from itertools import accumulate, groupby, pairwise
from typing import Any

from ...errors import FrameError
from .frames import (
    CHUNK,
    DATA,
    HEADERS,
    IN_PIECES,
    LENGTH,
    LINKED,
    LONG,
    MAGIC,
    SPLIT,
    TEXT,
    TOP,
    U32,
    Buffer,
    Frame,
    numbers_of,
    table,
)
from .headers import Headers, split
from .payload import Linked, Long, Raw, split_linked

_SEQUENCE = struct.Struct("<QI")
_DATA_HEAD = struct.Struct("<HBBIIQI")


class Batch:
    """Messages of one channel in one direction that travel, wait and are acknowledged together.

    `buffers` is what follows the first sequence number, the count and the headers in a DATA frame.
    The hub forwards these buffers as they are. `having` and `part` return new batches of the same
    messages. `flags` are the flags of the frame without IN_PIECES and HEADERS. `kept` says that
    others may have the same memory: then changeable buffers are copied when a message is rebuilt.
    """

    __slots__ = ("buffers", "count", "first", "flags", "headers", "kept", "lengths", "text")

    def __init__(
        self,
        first: int,
        count: int,
        buffers: tuple[Buffer, ...],
        lengths: Sequence[int],
        text: str | None,
        flags: int,
        kept: bool = True,
        headers: Headers | None = None,
    ) -> None:
        self.first = first
        self.count = count
        self.buffers = buffers
        self.lengths = lengths
        self.text = text
        self.flags = flags
        self.kept = kept
        self.headers = headers

    @property
    def size(self) -> int:
        """How many bytes the serialised messages have."""
        buffers = self.buffers
        if self.flags & LONG:
            return len(Long(buffers))
        whole = len(buffers[0]) if len(buffers) == 1 else sum(map(len, buffers))
        return whole - (self.count - 1 if self.flags & SPLIT else 4 * self.count)

    def having(self, first: int, flags: int = 0) -> Batch:
        """Return the same messages numbered from `first` on, with `flags` added."""
        flags |= self.flags
        return Batch(
            first, self.count, self.buffers, self.lengths, self.text, flags, self.kept, self.headers
        )

    def with_headers(self, headers: Headers | None) -> Batch:
        """Return the same messages with other headers, or without any."""
        batch = self.having(self.first)
        batch.headers = headers
        return batch

    def part(self, start: int, stop: int) -> Batch:
        """Return the messages from the `start`th to before the `stop`th, counted from 0."""
        if stop - start == self.count:
            return self
        headers = None if self.headers is None else self.headers.part(start, stop)
        if self.flags & SPLIT:
            some = pack_text(self.first + start, self.payloads()[start:stop])
            return some.having(some.first, self.flags).with_headers(headers)
        lengths = self.lengths[start:stop]
        text, content = None, b""
        if self.text is not None:
            at = sum(self.lengths[:start])
            text = self.text[at : at + sum(lengths)]
            content = text.encode("utf-8", "surrogatepass")
        else:
            body = self._body()
            at = 4 * self.count + sum([length & LENGTH for length in self.lengths[:start]])
            content = bytes(body[at : at + sum([length & LENGTH for length in lengths])])
        buffers = (table(lengths) + content,)
        first, count = self.first + start, stop - start
        return Batch(first, count, buffers, lengths, text, self.flags, headers=headers)

    def runs(self, kinds: Sequence[Any]) -> Iterator[tuple[Any, Batch]]:
        """Yield runs of neighbouring messages of the same kind.

        `kinds` has one kind for each message; messages of kind None are left out.
        """
        start = 0
        for kind, group in groupby(kinds):
            stop = start + len(list(group))
            if kind is not None:
                yield kind, self.part(start, stop)
            start = stop

    def carried(self) -> list[str]:
        """Return the keys of the channels that a LINKED batch carries. Raises `FrameError`."""
        return split_linked(self._body()[4:])[0] if self.flags & LINKED else []

    def frame(self, channel: int) -> tuple[Buffer, ...]:
        """Return the DATA frame that carries this batch on `channel`."""
        length = _SEQUENCE.size + sum(map(len, self.buffers))
        if self.headers is None:
            head = _DATA_HEAD.pack(MAGIC, DATA, self.flags, channel, length, self.first, self.count)
            return (head, *self.buffers)
        block = self.headers.block()
        length += len(block)
        flags = self.flags | HEADERS
        head = _DATA_HEAD.pack(MAGIC, DATA, flags, channel, length, self.first, self.count)
        return (head + block, *self.buffers)

    def payloads(self) -> list[Any]:
        """Return the messages, still serialised. `load` rebuilds one."""
        text = self.text
        if text is not None:
            if self.count == 1:
                return [text]
            if self.flags & SPLIT:
                return text.split("\0")
            bounds = accumulate(self.lengths, initial=0)
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
        if max(self.lengths) < TOP:
            return [
                body[start:end] for start, end in pairwise(accumulate(self.lengths, initial=at))
            ]
        for length in self.lengths:
            end = at + (length & LENGTH)
            payload = body[at:end]
            out.append(Raw(payload) if length & TOP else payload)
            at = end
        return out

    def _body(self) -> Buffer:
        return b"".join(self.buffers) if len(self.buffers) > 1 else self.buffers[0]


def pack_text(first: int, messages: list[str]) -> Batch:
    """Make a batch of strings, each at most `LONGEST_TEXT` characters."""
    count = len(messages)
    text = messages[0] if count == 1 else "\0".join(messages)
    if count == 1 or text.count("\0") == count - 1:
        body = text.encode("utf-8", "surrogatepass")
        return Batch(first, count, (body,), (), text, TEXT | SPLIT)
    lengths = list(map(len, messages))
    text = "".join(messages)
    body = table(lengths) + text.encode("utf-8", "surrogatepass")
    return Batch(first, count, (body,), lengths, text, TEXT)


def pack(first: int, payloads: list[Any], lengths: list[int]) -> Batch:
    """Make a batch of payloads and their lengths from `dump`; a `Long` must be the only one."""
    count = len(payloads)
    if not lengths[0]:
        return Batch(first, 1, payloads[0].segments, (), None, LONG)
    head = table(lengths)
    if count == 1 and len(payloads[0]) > CHUNK // 4:
        return Batch(first, count, (head, payloads[0]), lengths, None, 0)
    return Batch(first, count, (b"".join((head, *payloads)),), lengths, None, 0)


def pack_linked(first: int, payload: Linked) -> Batch:
    """Make a batch of one message that carries channels."""
    lengths = [len(payload)]
    return Batch(first, 1, (table(lengths), payload.data), lengths, None, LINKED)


def unpack(frame: Frame, kept: bool = True) -> Batch:
    """Return the batch of a DATA frame. Raises `FrameError` if it is not whole."""
    body = frame.body
    if len(body) < _SEQUENCE.size:
        raise FrameError(f"data frame of {len(body)} bytes is shorter than its head")
    first, count = _SEQUENCE.unpack_from(body)
    flags, at, headers = frame.flags, _SEQUENCE.size, None
    if flags & HEADERS:
        headers, at = split(body, at, count)
        flags &= ~HEADERS
    rest = len(body) - at
    if flags & LONG:
        if count != 1 or rest or not frame.segments or flags & (TEXT | LINKED | SPLIT):
            raise FrameError("a long message's frame is not whole")
        return Batch(first, 1, frame.segments, (), None, flags, kept, headers)
    if flags & SPLIT:
        texts = body[at:]
        joined = _text_of(texts, flags, count)
        return Batch(first, count, (texts,), (), joined, flags, kept, headers)
    if not 0 < count <= rest // 4:
        raise FrameError(f"data frame says {count} messages in {rest} bytes")
    content: Buffer = body[at:] if rest < 4096 else memoryview(body)[at:]
    lengths: Sequence[int]
    lengths = numbers_of(content[: 4 * count]) if count > 1 else U32.unpack_from(content)
    text: str | None = None
    if flags & TEXT:
        text = _decode(memoryview(content)[4 * count :])
        whole = sum(lengths) == len(text)
    else:
        sizes = lengths if max(lengths) < TOP else [length & LENGTH for length in lengths]
        whole = sum(sizes) == rest - 4 * count
    if not whole:
        raise FrameError("data frame's message lengths do not add up")
    if flags & LINKED and (count != 1 or text is not None):
        raise FrameError("data frame with channels has more than one message")
    return Batch(first, count, (content,), lengths, text, flags, kept, headers)


def _text_of(content: Buffer, flags: int, count: int) -> str:
    text = _decode(content)
    if not flags & TEXT or flags & LINKED or count < 1:
        raise FrameError("a frame of texts with a NUL between them has other flags, or no text")
    if count > 1 and text.count("\0") != count - 1:
        raise FrameError(f"data frame says {count} texts and has {text.count(chr(0)) + 1}")
    return text


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
