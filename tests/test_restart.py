"""When a child is started again: the policy's numbers."""

from __future__ import annotations

from typing import Any

import pytest

from liteyuki_core.process import RestartPolicy
from liteyuki_core.process.restart import Restarts


@pytest.mark.parametrize(
    ("bad", "error", "words"),
    [
        ({"mode": "sometimes"}, ValueError, "'on-failure', 'always', 'never'"),
        ({"max_restarts": 0}, ValueError, 'mode="never"'),
        ({"max_restarts": 1.5}, TypeError, "max_restarts"),
        ({"max_restarts": True}, TypeError, "max_restarts"),
        ({"window": 0}, ValueError, "window"),
        ({"window": "60"}, TypeError, "window"),
        ({"backoff": -1}, ValueError, "backoff"),
        ({"max_backoff": float("inf")}, ValueError, "max_backoff"),
        ({"backoff": float("nan")}, ValueError, "backoff"),
    ],
)
def test_bad_numbers(bad: dict[str, Any], error: type[Exception], words: str) -> None:
    """They are refused where the policy is made, naming the field."""
    with pytest.raises(error, match=words):
        RestartPolicy(**bad)


@pytest.mark.parametrize(
    ("mode", "after_clean", "after_crash"),
    [("on-failure", False, True), ("always", True, True), ("never", False, False)],
)
def test_modes(mode: Any, after_clean: bool, after_crash: bool) -> None:
    """What each starts again."""
    policy = RestartPolicy(mode=mode)
    assert (policy.wants(True), policy.wants(False)) == (after_clean, after_crash)


def test_backoff() -> None:
    """It doubles up to its maximum, and is given up after so many in the window."""
    budget = Restarts(RestartPolicy(max_restarts=5, window=60, backoff=0.5, max_backoff=3))
    assert [budget.delay(now) for now in range(6)] == [0.5, 1.0, 2.0, 3.0, 3.0, None]
    assert budget.recent == 5


def test_what_is_long_ago_counts_no_more() -> None:
    """A child that ran well for the length of the window begins anew."""
    budget = Restarts(RestartPolicy(max_restarts=2, window=10, backoff=1))
    assert [budget.delay(now) for now in (0, 5, 9, 10, 15)] == [1.0, 2.0, None, 2.0, 2.0]
    assert budget.delay(100) == 1.0


def test_many_restarts_overflow_nothing() -> None:
    """The delay stays at its maximum however many there are."""
    budget = Restarts(RestartPolicy(max_restarts=5000, backoff=0.1, max_backoff=1))
    delays = [budget.delay(0) for _ in range(5000)]
    assert delays[-1] == 1
