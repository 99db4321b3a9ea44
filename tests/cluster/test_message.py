"""What nodes tell each other, as bytes.

Tests cluster/message.py and comm/wire/packed.py.
"""

from __future__ import annotations

import pickle
from typing import Any

import msgspec
import pytest
from msgspec.msgpack import Ext

from liteyuki_core.cluster import message
from liteyuki_core.comm.wire import packed
from liteyuki_core.comm.wire.batch import Batch, pack, pack_text
from liteyuki_core.comm.wire.payload import Long, dump, load
from liteyuki_core.errors import FrameError

LONG = "x" * 300_000


def batch_of(data: Any) -> Batch:
    """Return one message as an end would send it to another node."""
    if isinstance(data, str):
        return pack_text(0, [data])
    payload: Any = dump(data)[0] if isinstance(data, bytes) else packed.dump(data)
    if isinstance(payload, Long):
        return pack(0, [payload], [0])
    return pack(0, [payload], [dump(data)[1] if isinstance(data, bytes) else len(payload)])


@pytest.mark.parametrize(
    "data",
    ["text", "", "\ud800", b"bytes", b"", LONG.encode(), {"a": [1, None, b"x"]}, [LONG], 0, None],
    ids=lambda data: repr(data)[:20],
)
def test_a_message_crosses(data: Any) -> None:
    """It comes out as it went in, whatever its kind."""
    body = message.encode(list(message.entries_of(batch_of(data))))
    (batch,) = message.batches_of(body)
    assert [load(payload) for payload in batch.payloads()] == [data]


def test_many_messages_cross_in_order() -> None:
    """Of all kinds in one letter."""
    sent = ["a", "b", b"c", {"d": 1}, LONG.encode(), [LONG], "e", LONG, 5]
    entries = [each for data in sent for each in message.entries_of(batch_of(data))]
    batches = list(message.batches_of(message.encode(entries)))
    assert [load(each) for batch in batches for each in batch.payloads()] == sent


def test_a_pickle_does_not_cross() -> None:
    """Whatever it holds: it might run code where it is rebuilt."""
    for data in ({1, 2}, print, {"a": object}):
        payload = pickle.dumps(data, 5)
        assert list(message.entries_of(pack(0, [payload], [len(payload)]))) == [None]


@pytest.mark.parametrize("data", [b"junk", b"", packed._SHORT, packed._SHORT + b"\xff" * 9])
def test_what_only_looks_like_it_does_not_cross(data: bytes) -> None:
    """The frame around the msgpack has to be whole."""
    assert packed.unwrap(data) is None


@pytest.mark.parametrize("entries", [[1], [Ext(9, b"")], [["a"]], "text", 3])
def test_what_is_no_body(entries: Any) -> None:
    """It is refused, and nothing of it is rebuilt."""
    with pytest.raises((FrameError, msgspec.MsgspecError)):
        list(message.batches_of(msgspec.msgpack.encode(entries)))


SAME: Any = [1]


@pytest.mark.parametrize(
    ("data", "elsewhere"),
    [
        (["a", [1, (2, 3)], {"k": ()}], ["a", [1, [2, 3]], {"k": []}]),
        ((), []),
        ([bytearray(b"x")], [b"x"]),
        ([(LONG, LONG.encode())], [[LONG, LONG.encode()]]),
        ([b"x" * 300_000, (1,)], [b"x" * 300_000, [1]]),
        ([SAME, SAME], [[1], [1]]),
        (["a", [1, 2.0], {1: None, b"k": True}], ["a", [1, 2.0], {1: None, b"k": True}]),
        ([LONG], [LONG]),
    ],
    ids=lambda data: repr(data)[:20],
)
def test_what_keeps_its_types_at_home(data: Any, elsewhere: Any) -> None:
    """Processes of the same node get just what was sent, those of others plain data."""
    payload: Any = packed.dump_whole(data)
    is_long = isinstance(payload, Long)
    (back,) = map(load, pack(0, [payload], [0 if is_long else len(payload)]).payloads())
    assert back == data
    assert repr(back) == repr(data)
    if data and data[0] is SAME:
        assert back[0] is back[1]
    batch = pack(0, [payload], [0 if is_long else len(payload)])
    body = message.encode(list(message.entries_of(batch)))
    (batch,) = message.batches_of(body)
    assert [load(each) for each in batch.payloads()] == [elsewhere]
    if repr(data) == repr(elsewhere) and SAME not in data:
        assert bytes(packed.unwrap(payload) or b"") == packed.encode(data)
        assert len(payload) == len(packed.dump(data)), "it is there once"


def test_what_is_not_plain_keeps_its_types_by_pickle_alone() -> None:
    """A circle, or what a class made."""
    circle: list[Any] = []
    circle.append(circle)
    for data in (circle, {1, 2}, [print], 1 << 70):
        with pytest.raises(packed.NotPlain):
            packed.dump_whole(data)


def test_what_a_stranger_sends_runs_nothing() -> None:
    """Bytes of others are data, also if they are a pickle."""
    evil = pickle.dumps(pytest.fail)
    (batch,) = message.batches_of(msgspec.msgpack.encode([evil]))
    assert [load(payload) for payload in batch.payloads()] == [evil]
    (batch,) = message.batches_of(msgspec.msgpack.encode([Ext(1, evil)]))
    with pytest.raises(msgspec.MsgspecError):
        load(batch.payloads()[0])
