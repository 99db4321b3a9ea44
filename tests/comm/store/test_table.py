"""The one true store and what it is made of: bytes, deadlines, what can't be asked.

Tests comm/store/value.py, comm/store/expiry.py, comm/store/patterns.py, comm/store/truth.py,
comm/store/queues.py.
"""

from __future__ import annotations

import os
import pickle
import threading
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liteyuki_core.comm.storage import SharedMemory
from liteyuki_core.comm.store import question, value
from liteyuki_core.comm.store.expiry import Expiry
from liteyuki_core.comm.store.value import Value
from liteyuki_core.comm.wire import frames
from liteyuki_core.comm.wire.decoder import Decoder
from liteyuki_core.errors import FrameError, StoreError
from tests.conftest import wait_until
from tests.pair import Pair

ONE = Value("i", b"0x1")

# ------------------------------------------------------------- frames


def joined(packed: list[tuple[frames.Buffer, ...]]) -> bytes:
    return b"".join(bytes(buffer) for frame in packed for buffer in frame)


@given(
    st.dictionaries(st.text(), st.none() | st.integers() | st.text(), max_size=3),
    st.lists(st.tuples(st.sampled_from("tbifp"), st.binary(max_size=200_000))),
)
def test_frames_come_back_as_they_were(
    fields: dict[str, Any], some: list[tuple[str, bytes]]
) -> None:
    """Fields and values, in one frame or in several."""
    fields = {k: v for k, v in fields.items() if k not in ("kinds", "sizes", "part")}
    values = [Value(*each) for each in some]
    data = joined(value.store(fields, values))
    decoder = Decoder(1 << 20)
    arrived = []
    for at in range(0, len(data), 100_000):
        part = data[at : at + 100_000]
        decoder.buffer()[: len(part)] = part
        arrived += decoder.decode(len(part))
    assert {(frame.kind, frame.channel) for frame in arrived} == {
        (frames.STORE, frames.STORE_STREAM)
    }
    *parts, (last, found) = map(value.stored, arrived)
    assert all(part == {"part": True} for part, _ in parts)
    assert last == fields
    assert [v for _, each in parts for v in each] + found == values


@given(st.binary(max_size=300) | st.binary(max_size=300).map(lambda b: b"\x02\0\0\0{}" + b))
def test_any_bytes_are_a_store_frame_or_an_error(body: bytes) -> None:
    """One clear error, whatever comes."""
    try:
        fields, values = value.stored(frames.Frame(frames.STORE, 0, frames.STORE_STREAM, body))
    except FrameError:
        return
    assert isinstance(fields, dict)
    assert all(isinstance(found, Value) for found in values)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"op": "get"},
        {"op": "nothing", "args": {}},
        {"op": 1, "args": {}},
        {"op": "count", "args": {}},
        {"op": "count", "args": {"prefix": 1}},
        {"op": "count", "args": []},
        {"op": "publish", "args": {"topic": "t"}},
        {"op": "get", "args": {"key": "key"}},
        {"op": "change", "args": {"key": "key"}},
        {"op": "lock", "args": {"key": "k" * 1025, "wait": True}},
        {"op": "lock", "args": {"key": 1, "wait": True}},
        {"op": "watch", "args": {"pattern": 1}},
        {"op": "subscribe", "args": {"topic": None}},
        {"op": "scan", "args": {"prefix": 1, "content": True}},
    ],
    ids=lambda fields: str(fields)[:60],
)
def test_what_cant_be_asked(pair: Pair, fields: dict[str, Any]) -> None:
    """It ends the link it came over, with a line that says what it was, and changes nothing."""
    main = SharedMemory._of(pair.main.access)
    main["other"] = 1
    in_json(pair, fields, [])
    wait_until(lambda: pair.main_ended, "the link is ended")
    assert "store" in str(pair.main_ended[0])
    assert main.get_all() == {"other": 1}


def in_json(pair: Pair, fields: dict[str, Any], values: list[Value]) -> None:
    """Have the child ask this as no question of ours is asked."""
    for frame in value.store({**fields, "request": 1}, values):
        pair.port._link.queue(frames.STORE_STREAM, frame)
    pair.port.pump()


def ask(pair: Pair, number: int, asked: question.Question) -> None:
    """Have the child ask this, and do not wait for the answer."""
    with pair.child.lock:
        pair.port.ask(number, asked)
    pair.port.pump()


class Runs:
    """Makes a folder where it is rebuilt."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self._path),)


def hostile(path: Path) -> Value:
    """Return a value that makes a folder where it is rebuilt."""
    return Value("p", pickle.dumps(Runs(path)))


NO_NUMBERS = [
    Value("t", b"1"),
    Value("b", b"1"),
    Value("i", b"1"),
    Value("i", b"0x1_0"),
    Value("i", b" 0x1"),
    Value("i", b""),
    Value("f", b"0x1"),
    Value("f", b"0x1.0p+9999"),
    Value("f", b"infinity"),
    Value("x", b"0x1"),
]


@pytest.mark.parametrize("number", NO_NUMBERS, ids=str)
def test_numbers_that_no_child_of_ours_sends(pair: Pair, number: Value) -> None:
    """Such a one's link ends, and nothing is changed."""
    main = SharedMemory._of(pair.main.access)
    main["key"] = 1
    ask(pair, 1, question.Incr(number, "key", None))
    wait_until(lambda: pair.main_ended, "the link is ended")
    assert "the store " in str(pair.main_ended[0])
    assert main.get_all() == {"key": 1}


@pytest.mark.parametrize("values", [[], [Value("?", b"1")], [Value("\ud800", b"1")], [ONE, ONE]])
def test_values_that_no_child_of_ours_sends(pair: Pair, values: list[Value]) -> None:
    """As above, where something is published."""
    in_json(pair, {"op": "publish", "args": {"topic": "t"}}, values)
    wait_until(lambda: pair.main_ended, "the link is ended")
    assert "the store " in str(pair.main_ended[0])


def test_the_main_process_rebuilds_no_number_of_a_child(pair: Pair, tmp_path: Path) -> None:
    """What is added is read as a number or not at all; a pickle's code never runs."""
    main = SharedMemory._of(pair.main.access)
    main["key"] = 1
    ask(pair, 1, question.Incr(hostile(tmp_path / "ran"), "key", None))
    wait_until(lambda: pair.main_ended, "the link is ended")
    assert not (tmp_path / "ran").exists()
    assert main["key"] == 1


MADE_UP = [
    ("i", b"nonsense"),
    ("i", b"0x1__0"),
    ("i", b""),
    ("i", b"0x" + b"f" * 1_000_000),
    ("f", b"0x1.0p+9999"),
    ("f", b"\xff"),
]


@pytest.mark.parametrize(("kind", "data"), MADE_UP, ids=lambda part: str(part)[:20])
def test_a_number_that_a_child_made_up(pair: Pair, kind: str, data: bytes) -> None:
    """Whoever adds to it is told, in main and in other children; their links and main go on."""
    ask(pair, 0, question.Set(Value(kind, data), "key", None, None, None))
    wait_until(lambda: "key" in pair.store.entries, "it is set")
    for context in (pair.main, pair.child, pair.another("other")):
        with pytest.raises(StoreError, match="'key'"):
            SharedMemory._of(context.access).incr("key")
        if len(data) < 100:
            for _ in range(2):
                with pytest.raises(StoreError, match=r"'key': its value can't be rebuilt"):
                    SharedMemory._of(context.access).get("key")
    assert not pair.main_ended


def test_numbers_too_long_to_be_added(pair: Pair) -> None:
    """It is said, whichever is; they can be set and read as all others."""
    for context in (pair.main, pair.child):
        store = SharedMemory._of(context.access)
        store["long"], store["short"] = 1 << 100_000, 1
        for key, by in (("long", 1), ("short", 1 << 100_000), ("new", 1 << 100_000)):
            with pytest.raises(StoreError, match=rf"'{key}'.* bits"):
                store.incr(key, by)
        assert store["long"] == 1 << 100_000
        assert store.incr("short", 1 << 10_000) == 1 + (1 << 10_000)
    assert not pair.main_ended


def test_a_line_about_what_cant_be_asked_is_short(pair: Pair) -> None:
    """However much a child has asked."""
    in_json(pair, {"op": "x" * 500_000, "args": {"y": "z" * 500_000}}, [])
    wait_until(lambda: pair.main_ended, "the link is ended")
    assert len(str(pair.main_ended[0])) < 1000


def test_the_store_rebuilds_nothing_to_pass_it_on(pair: Pair, tmp_path: Path) -> None:
    """Set, read, watched, published, deleted by others, a value of a child stays bytes in main."""
    other = pair.another("other").access
    store = SharedMemory._of(other)

    @store.on_subscriber_receive("topic")
    def subscriber(data: object) -> None: ...

    @store.watch("key")
    def watch(change: object) -> None: ...

    loads: list[str] = []
    real = value.load

    def load(found: Value) -> Any:
        loads.append(threading.current_thread().name)
        return None if found.kind == "p" else real(found)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(value, "load", load)
        ask(pair, 0, question.Set(hostile(tmp_path / "ran"), "key", None, None, None))
        ask(pair, 0, question.Publish(hostile(tmp_path / "ran"), "topic"))
        ask(pair, 0, question.Delete("key"))
        wait_until(lambda: len(loads) == 3, "others are told")
        assert pair.main.access._listeners == []
    assert not (tmp_path / "ran").exists()


# ------------------------------------------------------------- values


@given(st.integers() | st.floats(allow_nan=False))
def test_numbers_are_kept_as_they_are(number: float) -> None:
    """Of the same type and to the last bit."""
    found = value.load(value.number(number))
    assert type(found) is type(number)
    assert found == number
    assert str(found) == str(number)  # -0.0
    read = value.read_number(value.number(number))
    assert (type(read), str(read)) == (type(number), str(number))


@given(st.sampled_from("if"), st.binary(max_size=40) | st.text("-+0x1f.pina_ ").map(str.encode))
def test_any_bytes_are_a_number_or_an_error(kind: str, data: bytes) -> None:
    """What is read is what would have been written so."""
    try:
        number = value.read_number(Value(kind, data))
    except (ValueError, OverflowError):
        return
    assert type(number) is (int if kind == "i" else float)


@given(st.text(alphabet=st.characters(), max_size=50))
def test_texts_are_kept_as_they_are(text: str) -> None:
    """With lone surrogates too."""
    assert value.load(value.dump(text, "key", 1000)) == text


class Hostile:
    """Says that it can't be pickled, and can't say why."""

    def __reduce__(self) -> Any:
        raise RuntimeError


def test_what_raises_while_it_is_serialised() -> None:
    """The error names the key, the type and what is wrong."""
    with pytest.raises(StoreError, match=r"key 'k': Hostile can't be stored"):
        value.dump(Hostile(), "k", 1000)


# ------------------------------------------------------------- deadlines


def test_expiry_calls_at_the_earliest_deadline() -> None:
    """Then at what that returns; between them nothing wakes it."""
    called: list[float] = []
    following: list[float | None] = [None]

    def expire() -> float | None:
        called.append(monotonic())
        return following.pop() if following else None

    expiry = Expiry(expire)
    assert expiry._thread is None
    begun = monotonic()
    following.append(begun + 0.2)
    expiry.at(begun + 100)
    expiry.at(begun + 0.1)
    expiry.at(begun + 50)
    wait_until(lambda: len(called) == 2, "it is called twice")
    assert called[0] >= begun + 0.1
    assert called[1] >= begun + 0.2
    expiry.close()
    expiry.close()
    expiry.at(monotonic())
    assert len(called) == 2
    assert "liteyuki-expiry" not in {thread.name for thread in threading.enumerate()}


def test_a_time_to_live_outlives_the_child_that_set_it(pair: Pair) -> None:
    """Its successor sees the key, and it expires for it when it was to."""
    child = SharedMemory._of(pair.child.access)
    begun = monotonic()
    child.set("key", 1, ttl=1.5)
    pair.kill_child()
    child = SharedMemory._of(pair.child.access)
    while (found := child.get("key")) is not None:
        assert found == 1
    assert monotonic() - begun >= 1.5
