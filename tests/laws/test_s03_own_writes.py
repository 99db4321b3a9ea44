"""Law S3 of the store: a process reads its own writes; an unchanged key asks nobody.

Tests comm/store/copies.py, comm/store/access.py.
"""

from __future__ import annotations

from typing import Any

import pytest

from liteyuki_core.comm.storage import SharedMemory
from tests.pair import Pair, StoreDoor


@pytest.fixture
def asked(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the child asks the main process."""
    questions: list[str] = []
    ask = pair.port.ask

    def noted(number: int, fields: dict[str, Any], values: list[Any]) -> None:
        questions.append(fields["op"])
        ask(number, fields, values)

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


@pytest.mark.parametrize("data", [7, "text", [1, 2], None])
def test_a_key_that_has_not_changed_asks_nobody(pair: Pair, asked: list[str], data: Any) -> None:
    """Nor does one that is not there, nor what this process has set itself."""
    main, child = SharedMemory._of(pair.main.access), SharedMemory._of(pair.child.access)
    main["key"] = data
    for _ in range(100):
        assert child.get("key") == data
        assert child.get("none", "default") == "default"
    assert asked == ["get", "get"]
    main["key"] = 1
    assert [child["key"] for _ in range(100)] == [1] * 100
    assert asked == ["get"] * 3
    child["key"] = 2
    assert [child["key"] for _ in range(100)] == [2] * 100
    main["none"] = 3
    assert [child["none"] for _ in range(100)] == [3] * 100
    assert asked == ["get"] * 3 + ["set", "get"]
    main.delete("none")
    assert "none" not in child


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


def test_no_copies_at_all(transport: str) -> None:
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
    from liteyuki_core.comm.store.cells import cell_of

    main, child = SharedMemory._of(pair.main.access), SharedMemory._of(pair.child.access)
    first = "key0"
    second = next(f"key{i}" for i in range(1, 10**6) if cell_of(f"key{i}") == cell_of(first))
    for i in range(5):
        main[first] = i
        assert (child.get(first), child.get(second)) == (i, i - 1 if i else None)
        main[second] = i
        assert (child.get(first), child.get(second)) == (i, i)
