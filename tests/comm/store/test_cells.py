"""Version cells and slots: who sees what of them, whatever happens to who writes or reads them."""

from __future__ import annotations

import itertools
import mmap
import multiprocessing
import os
import sys
import threading
from collections.abc import Iterator
from time import monotonic

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liteyuki_core.comm.store import cells as module
from liteyuki_core.comm.store.cells import COUNT, HAS_SLOTS, SIZE, SLOT_BYTES, Cells, cell_of
from liteyuki_core.comm.store.copies import ASK, Copies
from liteyuki_core.comm.store.value import Value
from tests.children import slots
from tests.children.consistency.parties import twin
from tests.conftest import DEADLINE, wait_until

NEEDS_SLOTS = pytest.mark.skipif(not HAS_SLOTS, reason="slots are not written here")

HALF = Value("b", b"x" * 600)


@pytest.fixture
def cells() -> Iterator[Cells]:
    """What the main process has."""
    made = Cells()
    yield made
    made.close()


@pytest.fixture
def reader(cells: Cells) -> Iterator[Cells]:
    """What a child has."""
    made = cells.reader()
    yield made
    made.close()


def put(cells: Cells, key: str, value: Value | None, deadline: float | None = None) -> None:
    cells.write(cells.change(key), deadline, value)


# ------------------------------------------------------------- cells


def test_readers_see_what_is_written_and_write_nothing() -> None:
    """Through another mapping; a closed one is closed, and can be closed again."""
    cells = Cells()
    reader = cells.reader()
    at = cell_of("known")
    seen = set()
    for _ in range(3):
        for number in (cells.change("known")[1], cells.change("known")[1]):
            seen.add(number)
        put(cells, "known", HALF)
        seen.add(cells.number("known"))
        assert cells.number("known") == reader.values[at] == max(seen)
    assert len(seen) == 9
    assert sum(reader.values) == max(seen)
    cells.values[at] = 2**64 - 1
    assert (reader.values[at], cells.number("known")) == (2**64 - 1, max(seen))
    cells.change("known")
    assert reader.values[at] == cells.number("known") > max(seen)
    with pytest.raises(TypeError):
        reader.values[at] = 2
    with pytest.raises(TypeError):
        reader._mapped[SIZE - 1] = 0
    for each in (cells, reader):
        each.close()
        each.close()
        with pytest.raises(ValueError, match="released"):
            each.values[7]
        with pytest.raises(ValueError, match=r"released|closed"):
            each.read("known")


@pytest.mark.skipif(sys.platform == "win32", reason="there is no descriptor")
def test_what_readers_are_given_can_only_be_read(cells: Cells) -> None:
    """Whoever has the descriptor can't cut the memory short, nor write it in any way."""
    put(cells, "known", HALF)
    ways = [os.dup(cells._handle)]
    if sys.platform == "linux":
        ways += [os.open(f"/proc/self/fd/{cells._handle}", os.O_RDWR)]
    for way in ways:
        for size in (0, SIZE - 1, 2 * SIZE):
            with pytest.raises((OSError, ValueError)):
                os.ftruncate(way, size)
        with pytest.raises(OSError, match=r"permitted|Bad file"):
            os.write(way, b"1")
        with pytest.raises(PermissionError):
            mmap.mmap(way, SIZE)
        os.close(way)
    number = cells.number("known")
    put(cells, "known", HALF)
    assert cells.values[cell_of("known")] > number


@given(st.text(min_size=1, max_size=50))
def test_every_key_has_a_cell(key: str) -> None:
    """The same in every process: it does not hang on hash()."""
    assert 0 <= cell_of(key) < COUNT
    assert cell_of("known") == 3586


# ------------------------------------------------------------- slots


def test_a_system_without_slots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is ever found, and cells change all the same."""
    monkeypatch.setattr(module, "HAS_SLOTS", False)
    cells = Cells()
    reader = cells.reader()
    numbers = set()
    for _ in range(3):
        put(cells, "known", HALF)
        numbers.add(reader.values[cell_of("known")])
        assert reader.read("known") is None
    assert len(numbers) == 3
    cells.close()
    reader.close()


@NEEDS_SLOTS
@given(
    st.text(min_size=1, max_size=300),
    st.none() | st.tuples(st.sampled_from("tbifp"), st.binary(max_size=1500)),
    st.none() | st.floats(0, 1e300),
)
def test_what_is_written_is_read(
    key: str, value: tuple[str, bytes] | None, deadline: float | None
) -> None:
    """As it is, to the last byte that fits; what does not fit is not there."""
    cells = Cells()
    reader = cells.reader()
    put(cells, key, HALF)
    put(cells, key, None if value is None else Value(*value), deadline)
    found = reader.read(key)
    name = key.encode("utf-8", "surrogatepass")
    size = module._HEAD.size + len(name) + (0 if value is None else len(value[1]))
    expected = None
    if size <= SLOT_BYTES:
        expected = (cell_of(key), cells.number(key), deadline, value)
    assert found == expected
    assert reader.values[cell_of(key)] == cells.number(key)
    cells.close()
    reader.close()


@NEEDS_SLOTS
def test_a_slot_has_one_key(cells: Cells, reader: Cells) -> None:
    """The one that was changed last; a key never changed has none, nor has an empty one."""
    key, other = "known", twin("known")
    assert (reader.read(key), reader.read("")) == (None, None)
    for first, second in ((key, other), (other, key)):
        put(cells, first, HALF)
        assert reader.read(first) == (cell_of(key), cells.number(key), None, HALF)
        assert reader.read(second) is None
        assert reader.read(first[:-1]) is None
        put(cells, second, None)
        assert reader.read(second) == (cell_of(key), cells.number(key), None, None)
        assert reader.read(first) is None


@NEEDS_SLOTS
def test_a_change_that_is_never_finished(cells: Cells, reader: Cells) -> None:
    """As if its process were killed then: nothing is found, and nobody waits."""
    put(cells, "known", HALF)
    at, _, _ = cells.change("known")
    assert reader.read("known") is None
    start = SIZE - COUNT * SLOT_BYTES + at * SLOT_BYTES
    cells._mapped[start : start + 100] = b"\xff" * 100
    assert reader.read("known") is None
    # Such an exception may come between any two lines of the main process's main thread.
    put(cells, "known", HALF)
    assert reader.read("known") == (at, cells.number("known"), None, HALF)
    cells._numbers[at] = cells.number("known") + 1
    found = reader.read("known")
    assert found is not None
    assert found[1] != cells.number("known")
    put(cells, "known", None)
    assert reader.read("known") == (at, cells.number("known"), None, None)


@NEEDS_SLOTS
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is memory from the beginning")
def test_memory_is_allocated_where_it_is_used(cells: Cells, reader: Cells) -> None:
    """Not by who looks for what is not there, nor for values that are too long."""

    def used() -> int:
        return os.fstat(cells._handle).st_blocks * 512

    for number in range(2000):
        assert reader.read(f"key{number}") is None
    assert used() <= SIZE - COUNT * SLOT_BYTES
    for number in range(2000):
        put(cells, f"key{number}", Value("b", bytes(SLOT_BYTES)))
        assert reader.read(f"key{number}") is None
    assert used() <= SIZE - COUNT * SLOT_BYTES
    before = used()
    put(cells, "known", HALF)
    assert reader.read("known") is not None
    assert 0 < used() - before <= 2 * mmap.PAGESIZE


@NEEDS_SLOTS
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is memory from the beginning")
def test_memory_that_can_not_be_allocated(cells: Cells, reader: Cells) -> None:
    """Then there is nothing in the slot; what had memory keeps it, and later it is tried again."""
    other = "other"
    put(cells, other, HALF)
    assert cells._file is not None
    file = os.dup(cells._file)
    os.dup2(cells._handle, cells._file)  # One that nothing can be allocated with.
    put(cells, "known", HALF)
    put(cells, other, None)
    assert reader.read("known") is None
    assert reader.read(other) == (cell_of(other), cells.number(other), None, None)
    os.dup2(file, cells._file)
    os.close(file)
    put(cells, "known", HALF)
    assert reader.read("known") == (cell_of("known"), cells.number("known"), None, HALF)


@NEEDS_SLOTS
def test_slots_that_are_read_while_they_are_written(cells: Cells) -> None:
    """In another process no value is torn, another key's, or older than one seen before."""
    keys = ("known", twin("known"))
    spawn = multiprocessing.get_context("spawn")
    began = spawn.Event()
    reader = spawn.Process(target=slots.read, args=(cells, keys, began.set))
    reader.start()
    numbers = itertools.count(1)

    def write() -> None:
        for number in itertools.islice(numbers, 1000):
            key = keys[number // 20 % 2]
            put(cells, key, slots.value(key, number), number if number % 3 else None)
            if not number % 17:
                put(cells, key, Value("b", bytes(SLOT_BYTES)))
            if not number % 19:
                put(cells, key, None)

    wait_until(lambda: write() or began.is_set() or reader.exitcode is not None)
    for _ in range(300):
        write()
    put(cells, keys[0], slots.value(keys[0], 0))
    reader.join(DEADLINE)
    assert reader.exitcode == 0


# ------------------------------------------------------------- slots and copies


@NEEDS_SLOTS
def test_what_has_expired_is_asked_for(cells: Cells) -> None:
    """Before its time it is found, also again; after it, it is not."""
    copies = Copies(cells.reader(), 1 << 20)
    put(cells, "known", HALF, monotonic() + 100)
    assert copies.read("known", None) == HALF.data
    assert copies.found["known"][2] == cells.number("known")
    put(cells, "known", HALF, monotonic())
    assert copies.read("known", None) is ASK
    put(cells, "known", None)
    assert copies.read("known", "default") == "default"
    copies.close()


@NEEDS_SLOTS
def test_copies_that_are_closed_while_they_read(cells: Cells) -> None:
    """Whoever reads them then is told to ask."""
    put(cells, "known", HALF)
    for _ in range(20):
        copies = Copies(cells.reader(), 1 << 20)
        began = threading.Event()
        seen: list[object] = []

        def read(
            copies: Copies = copies, began: threading.Event = began, seen: list[object] = seen
        ) -> None:
            found: object = HALF.data
            while found == HALF.data:
                found = copies.read("known", None)
                began.set()
            seen.append(found)

        readers = [threading.Thread(target=read) for _ in range(2)]
        for each in readers:
            each.start()
        began.wait()
        copies.close()
        for each in readers:
            each.join()
        assert seen == [ASK, ASK]
