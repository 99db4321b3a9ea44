"""The last entries of what goes on: numbers, bounds, what is forgotten."""

from __future__ import annotations

from liteyuki_core.ring import Ring


def items(ring: Ring[str], number: int, most: int | None = None) -> tuple[list[str], int]:
    """Return the entries after a number, and how many are forgotten."""
    entries, lost = ring.after(number, most)
    return [entry.item for entry in entries], lost


def test_entries_are_numbered_and_kept_in_order() -> None:
    """From 1 on, and those after any number can be had."""
    ring: Ring[str] = Ring(10, 100)
    ring.add(["a", "b"], len)
    ring.add(["c"], len)
    assert [entry.number for entry in ring.after(0)[0]] == [1, 2, 3]
    assert ring.last == 3
    assert items(ring, 0) == (["a", "b", "c"], 0)
    assert items(ring, 2) == (["c"], 0)
    assert items(ring, 3) == items(ring, 99) == ([], 0)
    assert items(ring, 0, 2) == (["a", "b"], 0)


def test_the_oldest_are_forgotten_and_counted() -> None:
    """By number and by size; a reader learns how many it has missed."""
    ring: Ring[str] = Ring(3, 10)
    ring.add("abcde", len)
    assert items(ring, 0) == (["c", "d", "e"], 2)
    assert items(ring, 1) == (["c", "d", "e"], 1)
    assert items(ring, 2) == (["c", "d", "e"], 0)
    ring.add(["123456789"], len)
    assert items(ring, 5) == (["123456789"], 0)
    assert items(ring, 2) == (["e", "123456789"], 2)


def test_one_that_is_too_large_is_kept_alone() -> None:
    """The newest entry is always there."""
    ring: Ring[str] = Ring(3, 10)
    ring.add(["a", "x" * 100], len)
    assert items(ring, 0) == (["x" * 100], 1)


def test_who_listens_is_called() -> None:
    """Once for all that were added together, until it listens no more."""
    ring: Ring[str] = Ring(3, 10)
    calls: list[int] = []

    def call() -> None:
        calls.append(ring.last)

    ring.listen(call)
    ring.add("ab", len)
    ring.add("c", len)
    ring.unlisten(call)
    ring.add("d", len)
    assert calls == [2, 3]
