"""Questions about one key, and answers, as structs: what was written is read, nothing else is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liteyuki_core.comm.storage import SharedMemory
from liteyuki_core.comm.store import packed
from liteyuki_core.comm.store.packed import Found
from liteyuki_core.comm.store.question import Delete, Get, Incr, OfKey, Set
from liteyuki_core.comm.store.value import KEY_BYTES, Value
from liteyuki_core.comm.wire import frames
from liteyuki_core.errors import FrameError
from tests.conftest import wait_until
from tests.pair import Pair
from tests.wire import ODD_QUESTIONS, Wire, question_body

keys = st.text(st.characters(), min_size=1, max_size=KEY_BYTES // 4)
values = st.builds(Value, st.sampled_from("tbifp"), st.binary(max_size=300))
persists = st.none() | st.booleans()
questions = (
    st.builds(Get, keys, st.booleans())
    | st.builds(Delete, keys)
    | st.builds(Incr, values, keys, persists)
    | st.builds(
        Set,
        values,
        keys,
        st.none() | st.floats(min_value=0, exclude_min=True, allow_infinity=False),
        persists,
        st.none() | st.integers(0, (1 << 63) - 1),
    )
)
versions = st.integers(0, (1 << 64) - 1)
answers = st.builds(
    Found,
    st.booleans(),
    st.none() | values,
    versions,
    st.none() | versions,
    st.none() | st.floats(allow_nan=False),
)
requests = st.integers(0, (1 << 62) - 1)


@given(requests, questions)
def test_a_question_is_read_as_it_was_asked(request: int, asked: OfKey) -> None:
    """With its request and its value; of the same class."""
    (frame,) = Wire().pass_on(packed.question(request, asked))
    assert (frame.kind, frame.flags) == (frames.STORE, frames.PACKED)
    read = packed.asked(frame.body)
    assert read == (request, asked)
    assert type(read[1]) is type(asked)


@given(requests, answers)
def test_an_answer_is_read_as_it_was_given(request: int, found: Found) -> None:
    """To the last bit."""
    (frame,) = Wire().pass_on(packed.answer(request, found))
    assert (frame.kind, frame.flags) == (frames.STORE, frames.PACKED)
    assert packed.answered(frame.body) == (request, found)


@pytest.mark.parametrize("in_slots", [False, True])
def test_a_long_value(in_slots: bool) -> None:
    """It comes in pieces, as any long frame."""
    wire = Wire(in_slots)
    long = Value("b", bytes(range(256)) * 4000)
    asked = Set(long, "k", None, None, None)
    found = Found(True, long, 1, None, None)
    written = wire.write(packed.question(1, asked), packed.answer(1, found))
    first, second = wire.feed(b"".join(written))
    assert packed.asked(first.body) == (1, asked)
    assert packed.answered(second.body) == (1, found)


def test_what_is_no_question_is_odd_in_one_place() -> None:
    """The tests below would be worth nothing if more than that were wrong."""
    assert packed.asked(question_body()) == (1, Get("k"))
    v = Value("b", b"v")
    asked = packed.asked(question_body(2, kind="b", ttl=0.5, persist=2, version=7, value=b"v"))
    assert asked == (1, Set(v, "k", 0.5, True, 7))
    assert packed.asked(question_body(3)) == (1, Delete("k"))
    number = question_body(4, kind="i", persist=1, value=b"0x1")
    assert packed.asked(number) == (1, Incr(Value("i", b"0x1"), "k", False))


@pytest.mark.parametrize("body", ODD_QUESTIONS.values(), ids=ODD_QUESTIONS)
def test_what_is_no_question(pair: Pair, body: bytes) -> None:
    """It ends the link it came over, with one line, and changes nothing."""
    main = SharedMemory._of(pair.main.access)
    main["other"] = 1
    head = (frames.MAGIC, frames.STORE, frames.PACKED, frames.STORE_STREAM, len(body))
    pair.port._link.queue(frames.STORE_STREAM, (frames.HEADER.pack(*head) + body,))
    pair.port.pump()
    wait_until(lambda: pair.main_ended, "the link is ended")
    assert "the store " in str(pair.main_ended[0])
    assert len(str(pair.main_ended[0])) < 500
    assert main.get_all() == {"other": 1}


@given(st.binary(max_size=80) | st.binary(max_size=28).map(lambda b: b"\2b\0\1\0" + b))
def test_any_bytes_are_a_question_or_an_error(body: bytes) -> None:
    """One clear error, whatever comes."""
    try:
        request, asked = packed.asked(body)
    except FrameError:
        return
    assert b"".join(packed.question(request, asked))[frames.HEADER.size :] == body


@given(st.binary(max_size=80))
def test_any_bytes_are_an_answer_or_an_error(body: bytes) -> None:
    """Here too."""
    try:
        _, found = packed.answered(body)
    except FrameError:
        return
    assert isinstance(found, Found)
