"""Acknowledgements that are put off: what is gathered, and when all of it is due."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liteyuki_core.comm.loop.acknowledgements import AFTER, MOST, QUICK_MOST, Acknowledgements


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 5)), max_size=40))
def test_nothing_is_lost_or_doubled(added: list[tuple[int, int]]) -> None:
    """What is taken are the messages that were added, in that order, and then nothing is there."""
    gathered = Acknowledgements(10_000)
    for first, count in added:
        gathered.add(first, count)
    numbers = [number for first, count in added for number in range(first, first + count)]
    assert gathered.count == len(numbers)
    ranges = gathered.take()
    assert [number for first, count in ranges for number in range(first, first + count)] == numbers
    assert gathered.count == 0
    assert gathered.take() == []


def test_consecutive_messages_are_one_range() -> None:
    """They are, as long as they were not taken meanwhile."""
    gathered = Acknowledgements(100)
    for number in range(5):
        gathered.add(number)
    assert gathered.take() == [(0, 5)]
    gathered.add(5)
    assert gathered.take() == [(5, 1)]


@pytest.mark.parametrize(
    ("count", "seconds", "due"),
    [
        (0, 1.0, False),
        (1, 0.0, False),
        (1, AFTER, True),
        (MOST, 0.0, False),
        (MOST - 1, AFTER / 2, False),
        (MOST, AFTER / 2, True),
        (QUICK_MOST, 0.0, True),
    ],
)
def test_due(count: int, seconds: float, due: bool) -> None:
    """Many, or some that took long, are due; few that were quick wait for others."""
    assert Acknowledgements(QUICK_MOST).add(0, count, seconds) is due


def test_due_where_there_is_little_room() -> None:
    """At `most`, whatever time they took."""
    gathered = Acknowledgements(2)
    assert gathered.add(0) is False
    assert gathered.add(1) is True
