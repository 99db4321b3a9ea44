"""What a slow reader has not taken yet: bounded, and what is lost is counted."""

from __future__ import annotations

from liteyuki_core.unread import Unread


def test_all_is_taken_once_and_in_order() -> None:
    """In portions, of which each has something if there is anything."""
    unread: Unread[str] = Unread(100, 1000)
    for item in "abcd":
        unread.add(item, 3, 1)
    assert unread.take(7) == (["a", "b"], 0)
    assert unread.take(1) == (["c"], 0)
    assert unread.take(7) == (["d"], 0)
    assert unread.take(7) == ([], 0)


def test_the_oldest_are_lost_by_their_count() -> None:
    """By what they count, and by their bytes; how many is told once."""
    unread: Unread[int] = Unread(10, 1000)
    for number in range(5):
        unread.add(number, 4, 1)
    assert unread.take(100) == ([3, 4], 12)
    for number in range(5):
        unread.add(number, 1, 400)
    assert unread.take(100) == ([3, 4], 3)
    assert unread.take(100) == ([], 0)


def test_one_that_is_too_large_is_there_alone() -> None:
    """Whoever takes it sees that there was something."""
    unread: Unread[str] = Unread(10, 1000)
    unread.add("small", 1, 1)
    unread.add("large", 50, 5000)
    assert unread.take(1) == (["large"], 1)
