"""The one true store and what it is made of: bytes, cells, deadlines, what can't be asked."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from time import monotonic
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liteyuki_core.comm import frames, value
from liteyuki_core.comm.cells import COUNT, Cells, cell_of
from liteyuki_core.comm.decoder import Decoder
from liteyuki_core.comm.expiry import Expiry
from liteyuki_core.comm.frames import Value
from liteyuki_core.comm.storage import SharedMemory
from liteyuki_core.errors import FrameError, StoreError
from tests.conftest import wait_until
from tests.pair import Pair


@pytest.fixture
def pair() -> Iterator[Pair]:
    """A main process's and a child's side."""
    both = Pair()
    yield both
    both.close()


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
    data = joined(frames.store(fields, values))
    decoder = Decoder(1 << 20)
    arrived = []
    for at in range(0, len(data), 100_000):
        part = data[at : at + 100_000]
        decoder.buffer()[: len(part)] = part
        arrived += decoder.decode(len(part))
    assert {(frame.kind, frame.channel) for frame in arrived} == {
        (frames.STORE, frames.STORE_STREAM)
    }
    *parts, (last, found) = map(frames.stored, arrived)
    assert all(part == {"part": True} for part, _ in parts)
    assert last == fields
    assert [v for _, each in parts for v in each] + found == values


@given(st.binary(max_size=300) | st.binary(max_size=300).map(lambda b: b"\x02\0\0\0{}" + b))
def test_any_bytes_are_a_store_frame_or_an_error(body: bytes) -> None:
    """One clear error, whatever comes."""
    try:
        fields, values = frames.stored(frames.Frame(frames.STORE, 0, frames.STORE_STREAM, body))
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
        {"op": "get", "args": {}},
        {"op": "get", "args": {"key": 1}},
        {"op": "get", "args": []},
        {"op": "set", "args": {"key": "key"}},
        {"op": "incr", "args": {"key": "key"}},
        {"op": "set", "args": {"key": "key", "ttl": "1"}},
        {"op": "change", "args": {"key": "key"}},
    ],
    ids=str,
)
def test_what_cant_be_asked(pair: Pair, fields: dict[str, Any]) -> None:
    """It ends the link it came over, with a line that says what it was, and changes nothing."""
    main = SharedMemory._of(pair.main.access)
    main["other"] = 1
    with pair.child.lock:
        pair.port.ask(1, fields, [])
    pair.port.pump()
    wait_until(lambda: pair.main_ended, "the link is ended")
    assert "store" in str(pair.main_ended[0])
    assert main.get_all() == {"other": 1}


# ------------------------------------------------------------- values


@given(st.integers() | st.floats(allow_nan=False))
def test_numbers_are_kept_as_they_are(number: float) -> None:
    """Of the same type and to the last bit."""
    found = value.load(value.number(number))
    assert type(found) is type(number)
    assert found == number
    assert str(found) == str(number)  # -0.0


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


# ------------------------------------------------------------- cells


def test_readers_see_what_is_written_and_write_nothing() -> None:
    """Through another mapping; a closed one is closed, and can be closed again."""
    cells = Cells()
    reader = cells.reader()
    cells.values[7] += 1
    cells.values[COUNT - 1] = 2**64 - 1
    assert (reader.values[7], reader.values[COUNT - 1], reader.values[0]) == (1, 2**64 - 1, 0)
    with pytest.raises(TypeError):
        reader.values[7] = 2
    for each in (cells, reader):
        each.close()
        each.close()
        with pytest.raises(ValueError, match="released"):
            each.values[7]


@given(st.text(min_size=1, max_size=50))
def test_every_key_has_a_cell(key: str) -> None:
    """The same in every process: it does not hang on hash()."""
    assert 0 <= cell_of(key) < COUNT
    assert cell_of("known") == 3586


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
