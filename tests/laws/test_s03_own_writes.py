"""Law S3 of the store: a process reads its own writes; an unchanged key asks nobody.

Tests comm/store/copies.py, comm/store/access.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from liteyuki_core.comm.storage import SharedMemory
from liteyuki_core.comm.store import cells
from liteyuki_core.comm.store.question import Question, Set
from liteyuki_core.comm.store.value import Value
from liteyuki_core.errors import StoreError
from tests.children.consistency.parties import twin
from tests.pair import Pair, StoreDoor


@pytest.fixture(params=[True, False], ids=["slots", "no slots"])
def slots(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether there are slots beside the version cells."""
    if not request.param:
        monkeypatch.setattr(cells, "HAS_SLOTS", False)
    elif not cells.HAS_SLOTS:
        pytest.skip("slots are not written here")
    return bool(request.param)


@pytest.fixture
def pair(slots: bool, transport: str) -> Iterator[Pair]:
    """A main process's and a child's side, with slots and without."""
    both = Pair()
    yield both
    both.close()


@pytest.fixture
def asked(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the child asks the main process."""
    questions: list[str] = []
    ask = pair.port.ask

    def noted(number: int, asked: Question) -> None:
        questions.append(type(asked).__name__.lower())
        ask(number, asked)

    monkeypatch.setattr(pair.port, "ask", noted)
    return questions


@pytest.mark.every_transport
def test_own_writes_are_read(store: SharedMemory, other: SharedMemory, do: StoreDoor) -> None:
    """Whatever was read before, and whoever else writes."""
    for i in range(50):
        do(store, "set", "key", i)
        assert do(store, "get", "key") == i
        do(other, "set", "key", -i)
        assert do(store, "get", "key") == -i


# ------------------------------------------------------------- a child's copies


@pytest.mark.parametrize("data", [7, "text", [1, 2], None, 0.5, b"x" * 1024, b"x" * 5000])
def test_a_key_that_has_not_changed_asks_nobody(
    pair: Pair, asked: list[str], slots: bool, data: Any
) -> None:
    """Nor does one that is not there, what this process has set, or what is in a slot."""
    main, child = SharedMemory._of(pair.main.access), SharedMemory._of(pair.child.access)
    changed = [] if slots else ["get"]
    first = ["get"] if data == b"x" * 5000 else changed
    main["key"] = data
    for _ in range(100):
        assert child.get("key") == data
        assert child.get("none", "default") == "default"
    assert asked == [*first, "get"]
    main["key"] = 1
    assert [child["key"] for _ in range(100)] == [1] * 100
    child["key"] = 2
    assert [child["key"] for _ in range(100)] == [2] * 100
    assert asked == [*first, "get", *changed, "set"]
    main["none"] = 3
    assert [child["none"] for _ in range(100)] == [3] * 100
    main.delete("none")
    assert ["none" in child for _ in range(100)] == [False] * 100
    assert asked == [*first, "get", *changed, "set", *changed, *changed]


def test_what_just_changed(
    pair: Pair, asked: list[str], slots: bool, do: StoreDoor, side: str
) -> None:
    """Whoever changed it and however: it is read as it is, and with slots nobody is asked."""
    main, child = SharedMemory._of(pair.main.access), SharedMemory._of(pair.child.access)
    changer = main if side == "main" else SharedMemory._of(pair.another("x").access)
    reader = child.namespace("n")

    def check(expected: Any) -> None:
        for _ in range(2):
            assert do(reader, "get", "key", "default") == expected
            assert main.get("n:key", "default") == expected

    for number in range(20):
        changer.set("n:key", number)
        check(number)
        changer.incr("n:key")
        check(number + 1)
        changer.update("n:key", lambda found: [found])
        check([number + 1])
        changer.set("n:key", "text", ttl=1000)
        check("text")
        changer.delete("n:key")
        check("default")
        changer.set("n:key", None)
        check(None)
        changer.clear("n:")
        check("default")
    if slots:
        assert asked == []
    else:
        assert set(asked) == {"get"}


def test_values_of_every_length(pair: Pair, asked: list[str], slots: bool) -> None:
    """From those that fit into a slot to those that don't, in turn, of two keys in one cell."""
    main, child = SharedMemory._of(pair.main.access), SharedMemory._of(pair.child.access)
    key, other = "key", twin("key")
    for size in [1, *range(950, 1300, 7)]:
        for length in (size, 2250 - size):
            main[key] = b"x" * length
            assert child[key] == b"x" * length
            main[other] = length
            assert (child[key], child[other]) == (b"x" * length, length)
    assert len(set(asked)) == 1
    main[key] = b"x" * 1024
    asked.clear()
    assert child[key] == b"x" * 1024
    assert asked == ([] if slots else ["get"])


def test_a_change_that_main_never_finishes(pair: Pair, asked: list[str], slots: bool) -> None:
    """Whoever reads the key does not wait for it, but asks."""
    main, child = SharedMemory._of(pair.main.access), SharedMemory._of(pair.child.access)
    main["key"] = 1
    assert child["key"] == 1
    asked.clear()
    assert pair.store.cells is not None
    with pair.main.lock:
        pair.store.cells.change("key")
    assert [child["key"] for _ in range(10)] == [1] * 10
    assert asked == ["get"]
    main["key"] = 2
    assert child["key"] == 2


def test_a_forged_value_in_a_slot(pair: Pair, asked: list[str], slots: bool) -> None:
    """It is an error for whoever gets it, each time."""
    child = SharedMemory._of(pair.child.access)
    child.get("key")
    with pair.child.lock:
        pair.port.ask(9, Set(Value("i", b"nonsense"), "key", None, None, None))
    pair.port.pump()
    child.keys()
    for _ in range(3):
        with pytest.raises(StoreError, match="key 'key'"):
            child.get("key")


@pytest.mark.every_transport
def test_copies_take_no_more_than_they_may(pair: Pair, asked: list[str]) -> None:
    """The oldest go first; what is longer than all that is fetched each time; all are right."""
    main, child = SharedMemory._of(pair.main.access), SharedMemory._of(pair.child.access)
    for i in range(40):
        main[f"key{i}"] = bytes([i]) * 100_000
    for _ in range(2):
        for i in range(40):
            assert child[f"key{i}"] == bytes([i]) * 100_000
    assert len(asked) == 80
    assert 0 < sum(len(copy[3]) for copy in pair.child.access.copies.found.values()) <= 1 << 20
    asked.clear()
    assert child["key39"] == bytes([39]) * 100_000
    assert asked == []
    main["long"] = b"x" * (1 << 20)
    for _ in range(3):
        assert len(child["long"]) == 1 << 20
    assert asked == ["get"] * 3
    assert child["key39"] == bytes([39]) * 100_000
    assert asked == ["get"] * 3


def test_no_copies_at_all(slots: bool, transport: str) -> None:
    """Every value is fetched."""
    pair = Pair(cache_bytes=0)
    main, child = SharedMemory._of(pair.main.access), SharedMemory._of(pair.child.access)
    for i in range(10):
        main["key"] = i
        assert child["key"] == i
    assert pair.child.access.copies.found == {}
    pair.close()


def test_keys_that_share_a_cell(pair: Pair) -> None:
    """A change of one has the other fetched again; both are right."""
    main, child = SharedMemory._of(pair.main.access), SharedMemory._of(pair.child.access)
    first, second = "key0", twin("key0")
    for i in range(5):
        main[first] = i
        assert (child.get(first), child.get(second)) == (i, i - 1 if i else None)
        main[second] = i
        assert (child.get(first), child.get(second)) == (i, i)
