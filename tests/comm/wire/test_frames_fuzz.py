"""The decoder against anything: frames or one FrameError, no hang, no huge allocation."""

from __future__ import annotations

import tracemalloc
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from liteyuki_core.comm.wire import decoder, frames, words
from liteyuki_core.comm.wire.batch import pack_text, unpack
from liteyuki_core.comm.wire.bundle import handled, unbundle
from liteyuki_core.comm.wire.headers import Headers
from liteyuki_core.errors import FrameError
from tests.wire import Wire, batch, messages_of

LIMIT = 300_000
MOST = 3 * (LIMIT + decoder._SLACK)

# The same examples each time, so that nothing fails by chance; no database, no deadline.
fuzz = settings(
    max_examples=120,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

READERS: dict[int, Any] = {
    frames.DATA: unpack,
    frames.ACK: lambda frame: handled(frame) if frame.flags & 4 else frames.acknowledged(frame),
    frames.MANY: unbundle,
    frames.CONTROL: words.from_child,
}

numbers = st.integers(0, 2**31) | st.integers(0, 5)
values = st.none() | st.integers() | st.text(max_size=50) | st.binary(max_size=200)
long_messages = st.builds(
    lambda kind, size, byte: kind([byte]) * size,
    st.sampled_from([bytes, bytearray]),
    st.sampled_from([frames.CHUNK - 1, frames.CHUNK, LIMIT]),
    st.integers(0, 255),
)
messages = values | st.lists(values, max_size=5) | st.dictionaries(st.text(max_size=5), values)
batches = (
    st.builds(pack_text, numbers, st.lists(st.text(max_size=30), min_size=1, max_size=20))
    | st.builds(batch, st.lists(messages, min_size=1, max_size=10), numbers)
    | st.builds(lambda message, first: batch([message], first), long_messages, numbers)
)
beside = st.none() | st.builds(
    lambda request, once, trace: Headers(request, once=once, traceparent=trace),
    st.integers(0, 2**61),
    st.booleans(),
    st.sampled_from(["", "00-a-b-01"]),
)
sent = st.builds(
    lambda batch, headers, channel: batch.with_headers(headers).frame(channel),
    batches,
    beside,
    st.integers(0, 4),
)
told = st.builds(
    frames.acknowledgement, st.integers(0, 4), st.lists(st.tuples(numbers, numbers), max_size=5)
) | st.builds(lambda channel: words.encode(words.Close(), channel), st.integers(0, 4))
streams = st.lists(sent | told, min_size=1, max_size=8)
steps = st.sampled_from([1000, 70_001, 1 << 20]) | st.integers(500, 300_000)

headers = st.builds(
    lambda kind, flags, channel, length, body: (
        frames.HEADER.pack(frames.MAGIC, kind, flags, channel, length) + body
    ),
    st.integers(0, 8),
    st.sampled_from([0, 1, 2, 16, 18, 128, 130, 255]),
    st.integers(0, 2),
    st.integers(0, 40) | st.sampled_from([frames.CHUNK, frames.CHUNK + 1, 2**32 - 1]),
    st.binary(max_size=40) | st.lists(numbers, max_size=6).map(frames.table),
)
whole = st.builds(
    lambda kind, flags, channel, body: (
        frames.HEADER.pack(frames.MAGIC, kind, flags, channel, len(body)) + body
    ),
    st.integers(1, 6),
    st.sampled_from([0, 0, 2, 18, 128]),
    st.integers(0, 1),
    st.binary(max_size=24) | st.lists(st.integers(0, 9), max_size=4).map(frames.table),
)


def survives(data: bytes, step: int, wire: Wire) -> None:
    """Feed `data`; what is no FrameError, or a huge allocation, is a failure."""
    tracemalloc.start()
    try:
        for frame in wire.feed(data, step):
            READERS[frame.kind](frame)
    except FrameError:
        pass
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < MOST + 6 * len(data)


@fuzz
@given(st.binary(max_size=300) | st.lists(headers | whole, max_size=12).map(b"".join), steps)
def test_any_bytes(data: bytes, step: int) -> None:
    """Bytes out of nowhere, from plain noise to well-formed frames in any order."""
    survives(data, step, Wire(limit=LIMIT))


@fuzz
@given(st.data(), streams, steps, st.booleans())
def test_damaged_streams(data: Any, stream: list[Any], step: int, in_slots: bool) -> None:
    """Bytes changed, left out and cut off anywhere, most often in what steers."""
    wire = Wire(in_slots, LIMIT)
    parts = wire.write(*stream)
    damaged = bytearray(b"".join(parts))
    starts = [sum(map(len, parts[:i])) for i in range(len(parts))]
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.sampled_from(starts))
        at = min(start + data.draw(st.integers(0, 40)), len(damaged) - 1)
        if data.draw(st.booleans()):
            damaged[at] = data.draw(st.integers(0, 255))
        else:
            del damaged[at : at + data.draw(st.integers(1, 20))]
            damaged = damaged or bytearray(1)
    survives(bytes(damaged), step, wire)


@fuzz
@given(streams, steps, st.booleans())
def test_round_trip(stream: list[Any], step: int, in_slots: bool) -> None:
    """Frames of each channel come as they went, in order, however the bytes are cut."""
    wire = Wire(in_slots, LIMIT)
    got = wire.feed(b"".join(wire.write(*stream)), step)
    assert not wire.decoder.lanes
    plain = [Wire(limit=LIMIT).pass_on(frame)[0] for frame in stream]
    for channel in range(5):
        for acknowledging in (True, False):
            came, went = (
                [
                    messages_of(f) if f.kind == frames.DATA else READERS[f.kind](f)
                    for f in some
                    if f.channel == channel and (f.kind == frames.ACK) is acknowledging
                ]
                for some in (got, plain)
            )
            assert came == went
