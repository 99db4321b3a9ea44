"""When a child is started again: the policy's numbers."""

from __future__ import annotations

from typing import Any

import pytest

from liteyuki_core.process import RestartPolicy
from liteyuki_core.process.restart import Restarts


def restart(budget: Restarts, now: float) -> float | None:
    """Count one more restart, where it is allowed; return how long it has to wait."""
    delay = budget.delay(now)
    if delay is not None:
        budget.count(now)
    return delay


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
        ({"backoff": 60.0}, ValueError, "backoff must not be above max_backoff"),
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
    """It doubles up to its maximum, shortened by chance, and is given up after so many."""
    policy = RestartPolicy(max_restarts=5, window=60, backoff=0.5, max_backoff=3)
    drawn = []
    for _ in range(200):
        budget = Restarts(policy)
        *delays, given_up = [restart(budget, now) for now in range(6)]
        assert given_up is None
        assert budget.recent(5) == 5
        drawn.append(delays)
    for delays, longest in zip(zip(*drawn, strict=True), [0.5, 1, 2, 3, 3], strict=True):
        assert longest / 2 <= min(delays) < 0.6 * longest
        assert 0.9 * longest < max(delays) <= longest


def test_what_is_long_ago_counts_no_more() -> None:
    """A child that ran well for the length of the window begins anew."""
    budget = Restarts(RestartPolicy(max_restarts=2, window=10, backoff=1))
    delays = [restart(budget, now) for now in (0, 5, 9, 10, 15)]
    assert delays[2] is None
    assert all(0.5 <= delay <= 1 for delay in (delays[0], restart(budget, 100)))
    assert all(1 <= delays[i] <= 2 for i in (1, 3, 4))


def test_asking_counts_nothing() -> None:
    """How long a restart would have to wait may be asked as often as one likes."""
    budget = Restarts(RestartPolicy(max_restarts=1, window=10))
    assert None not in [budget.delay(now) for now in (0, 1, 2)]
    budget.count(2)
    assert [budget.recent(now) for now in (2, 11.9, 12, 2)] == [1, 1, 0, 1]
    assert budget.delay(11.9) is None
    assert budget.delay(12) is not None


def test_a_reset_forgets() -> None:
    """Who looks after a child by hand gives it a fresh start."""
    budget = Restarts(RestartPolicy(max_restarts=1))
    assert restart(budget, 0) is not None
    assert budget.delay(1) is None
    budget.reset()
    assert budget.delay(2) is not None


def test_many_restarts_overflow_nothing() -> None:
    """The delay stays at its maximum however many there are."""
    budget = Restarts(RestartPolicy(max_restarts=5000, backoff=0.1, max_backoff=1))
    delays = [restart(budget, 0) for _ in range(5000)]
    assert 0.5 <= delays[-1] <= 1
