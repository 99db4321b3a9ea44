"""Headers: to bytes and back, parts of batches, and nothing of another shape."""

from __future__ import annotations

from typing import Any

import pytest

from liteyuki_core.comm.wire import frames
from liteyuki_core.comm.wire.batch import Batch, pack_text, unpack
from liteyuki_core.comm.wire.headers import Headers, split
from liteyuki_core.comm.wire.payload import load
from liteyuki_core.errors import FrameError
from tests.wire import Wire, batch

HEADERS = [
    Headers(0),
    Headers(5, once=True),
    Headers(6, once=True, kill=True),
    Headers((1 << 62) - 3, traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
    Headers(7, far=True),
    Headers(8, once=True, kill=True, far=True, traceparent="00-1-2-01"),
    Headers(answer=(3, 1)),
    Headers(answer=((1 << 62) - 1, 0), failed=True, held=True),
]
BATCHES = {
    "texts": pack_text(7, ["a", "b"]),
    "texts with a NUL": pack_text(7, ["a\0", "b"]),
    "others": batch([1, {"a": b"b"}], 7),
}


def loaded(messages: Batch) -> list[Any]:
    """Return the messages, rebuilt."""
    return [load(payload) for payload in messages.payloads()]


@pytest.mark.parametrize("headers", HEADERS)
@pytest.mark.parametrize("messages", BATCHES.values(), ids=BATCHES.keys())
def test_there_and_back(headers: Headers, messages: Batch) -> None:
    """Beside the messages, which stay what they are, also in parts and with other numbers."""
    sent = messages.with_headers(headers)
    (frame,) = Wire().feed(b"".join(sent.frame(3)), 1 << 20)
    got = unpack(frame)
    assert (got.headers, got.first, got.count) == (headers, 7, 2)
    assert loaded(got) == loaded(messages)
    later = got.having(70, frames.PROMPT)
    for i in (0, 1):
        part = later.part(i, i + 1)
        assert part.first == 70 + i
        assert part.headers == headers.part(i, i + 1)
        assert loaded(part) == loaded(messages)[i : i + 1]
    assert messages.headers is None
    assert unpack(Wire().feed(b"".join(messages.frame(3)), 1 << 20)[0]).headers is None


def test_of_a_long_message() -> None:
    """It goes in pieces, and its headers with it."""
    sent = batch([b"x" * 600_000], 1).with_headers(Headers(4))
    assert sent.flags & frames.LONG
    wire = Wire()
    (frame,) = wire.feed(b"".join(wire.write(sent.frame(1))), 70_000)
    assert unpack(frame).headers == Headers(4)


@pytest.mark.parametrize(
    "block",
    [
        b"",
        b"once",
        b"request",
        b"request=",
        b"request=-1",
        b"request=1.0",
        b"request= 1",
        b"request=4611686018427387904",
        b"request=4611686018427387903",
        "request=٣".encode(),
        b"answer=1",
        b"answer=1,2,3",
        b"answer=1,",
        b"request=1;other",
        b"request=1;other=1",
        b"request=1;once=1",
        b"request=1;answer=1,2",
        b"request=1;request=2",
        b"request=1;once;;",
        b"request=1;traceparent=" + b"0" * 65,
        b"\xff\xfe",
    ],
)
def test_what_is_no_header_block(block: bytes) -> None:
    """Is a `FrameError`."""
    body = frames.U32.pack(len(block)) + block
    with pytest.raises(FrameError):
        split(body, 0, 2)


@pytest.mark.parametrize("body", [b"", b"\0\0", b"\5\0\0\0once", b"\0\0\2\0" + b"x" * 131_072])
def test_a_block_that_is_cut_short_or_too_long(body: Any) -> None:
    """Likewise."""
    with pytest.raises(FrameError):
        split(body, 0, 1)
