"""The model of channels in `tests/model.py`: what its sets of numbers say."""

from __future__ import annotations

import pytest

from tests.model import Flow


def test_what_was_received_was_accepted() -> None:
    """A message may be handled before its send comes back. Then it does not come again."""
    flow = Flow()
    number = flow.begin()
    flow.give(number)
    flow.upper.add(number)
    flow.lower.add(number)
    flow.receiver_died(set())
    flow.new_receiver()
    flow.finish(True)
    assert not flow.owed()
    assert flow.begin() == number + 1


def test_what_was_received_is_not_refused() -> None:
    """A send that fails although its message came is a broken law."""
    flow = Flow()
    flow.give(flow.begin())
    with pytest.raises(AssertionError, match="and yet received"):
        flow.finish(False)


def test_what_was_refused_is_owed_to_nobody() -> None:
    """The next message takes its number."""
    flow = Flow()
    number = flow.begin()
    flow.finish(False)
    assert not flow.owed()
    assert flow.begin() == number


def test_what_was_handled_may_still_be_set_aside() -> None:
    """If its receiver crashed before the acknowledgement came, that crash counts like others."""
    flow = Flow()
    for _ in range(3):
        flow.begin()
        flow.finish(True)
    for number in (0, 1):
        flow.give(number)
        flow.upper.add(number)
    flow.confirmed.add(0)
    assert flow.perhaps_set_aside({2}, 2) == {1}
    assert not flow.perhaps_set_aside({1, 2}, 2)
    assert not flow.perhaps_set_aside({2}, 4)
    flow.crashes[1] += 2
    assert flow.perhaps_set_aside({2}, 4) == {1}
