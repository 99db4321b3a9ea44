"""Headers: what travels beside the messages of a batch without being part of them.

Pure: no sockets, no threads, no locks. Any thread may call it. A header block is ASCII text: items
`name=value`, or `name` alone, with a `;` between two of them. All messages of a batch have the same
headers, except that requests and answers are numbered:

- `request`: the messages are requests. The value is the number of the first, as its asker counts
  its requests on this end; the others follow it.
- `answer`: the messages are answers. The value has the number of the request for each: between a
  process that answers and main as main numbers them, between main and the asker as the asker does.
- `once`: the requests are not tried again once their handling has begun.
- `kill`: whoever has asked may want the process ended that handles the request. With `once` alone.
- `failed`: the answers are errors, each as text, see `ends/remote.py`.
- `held`: main passes on the answers only when the word `Answered` names them.
- `far`: another node of the cluster asks. Main says so of what comes from there; a child that says
  it of its own requests may only do less.
- `traceparent`: the trace that the requests belong to, as W3C Trace Context writes it.
"""

from __future__ import annotations

from typing import NamedTuple

from ...errors import FrameError
from .frames import U32, Buffer

_MOST_BYTES = 64 * 1024
"""Longest header block in bytes: the numbers of all answers that fit into a batch are shorter."""

MOST_NUMBER = 1 << 62
"""The numbers of requests are below this."""

TRACEPARENT_LENGTH = 64
"""The most characters of a `traceparent`."""


class Headers(NamedTuple):
    """The headers of a batch. Either `request` or `answer` is given."""

    request: int | None = None
    answer: tuple[int, ...] = ()
    once: bool = False
    failed: bool = False
    held: bool = False
    traceparent: str = ""
    kill: bool = False
    far: bool = False

    def part(self, start: int, stop: int) -> Headers:
        """Return the headers of the messages from the `start`th to before the `stop`th."""
        if self.request is not None:
            return self._replace(request=self.request + start)
        return self._replace(answer=self.answer[start:stop])

    def block(self) -> bytes:
        """Return the length of the header block as a u32, and the block."""
        if self[2:] == _PLAIN and len(self.answer) < 2:
            # Most are a lone request or a lone answer without anything else.
            number = self.request
            text = f"answer={self.answer[0]}" if number is None else f"request={number}"
            return U32.pack(len(text)) + text.encode("ascii")
        items = []
        if self.request is not None:
            items.append(f"request={self.request}")
        else:
            items.append(f"answer={','.join(map(str, self.answer))}")
        if self.once:
            items.append("once")
        if self.kill:
            items.append("kill")
        if self.far:
            items.append("far")
        if self.failed:
            items.append("failed")
        if self.held:
            items.append("held")
        if self.traceparent:
            items.append(f"traceparent={self.traceparent}")
        block = ";".join(items).encode("ascii")
        return U32.pack(len(block)) + block


_PLAIN = Headers()[2:]


def split(body: Buffer, at: int, count: int) -> tuple[Headers, int]:
    """Return the headers of a batch of `count` messages, and where its header block ends.

    The block's length is at `at`. Raises `FrameError`.
    """
    start = at + U32.size
    if len(body) < start:
        raise FrameError("a frame with headers has no header block")
    (length,) = U32.unpack_from(body, at)
    stop = start + length
    if length > _MOST_BYTES or len(body) < stop:
        raise FrameError(f"a header block of {length} bytes in a frame of {len(body)}")
    try:
        return _read(str(body[start:stop], "ascii"), count), stop
    except ValueError as error:
        raise FrameError("a header block is malformed") from error


def _read(block: str, count: int) -> Headers:
    name, _, value = block.partition("=")
    if len(value) < 19 and value.isdecimal():
        # Most are a lone number. With 18 digits it is below `MOST_NUMBER`.
        if name == "request":
            return Headers(int(value))
        if name == "answer" and count == 1:
            return Headers(None, (int(value),))
    first, *rest = block.split(";")
    name, _, value = first.partition("=")
    request: int | None = None
    answer: tuple[int, ...] = ()
    if name == "request":
        request = _number(value)
        _number(str(request + count))
    elif name == "answer":
        answer = tuple(map(_number, value.split(",")))
    if request is None and (not answer or len(answer) != count):
        raise ValueError(first)
    if not rest:
        return Headers(request, answer)
    given = dict(item.partition("=")[::2] for item in rest)
    traceparent = given.pop("traceparent", "")
    flags = {name: True for name, value in given.items() if not value}
    if len(flags) != len(given) or len(traceparent) > TRACEPARENT_LENGTH:
        raise ValueError(block)
    try:
        return Headers(request, answer, traceparent=traceparent, **flags)
    except TypeError:
        raise ValueError(block) from None


def _number(text: str) -> int:
    if not text.isdecimal() or len(text) > 20 or int(text) >= MOST_NUMBER:
        raise ValueError(text)
    return int(text)
