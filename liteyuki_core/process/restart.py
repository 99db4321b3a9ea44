"""When a child process that has ended is started again: its policy, and its restarts so far.

There is no clock and no loop here: the caller says what time it is. Users make a `RestartPolicy`,
on any thread. The `Restarts` of a child belong to its course. Only the course counts and forgets
restarts, on LiteyukiBot's loop.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from dataclasses import dataclass
from math import isfinite
from random import uniform
from typing import Literal, get_args

Mode = Literal["on-failure", "always", "never"]


@dataclass(frozen=True)
class RestartPolicy:
    """When a child that ends by itself is started again, how often and how soon.

    With `mode` "on-failure" the child is started again after a crash (a non-zero exit code or a
    signal), with "always" also after exit code 0, with "never" not at all. If it would need more
    than `max_restarts` restarts in `window` seconds, it is given up. Restarts that are longer ago
    do not count. The first restart waits `backoff` seconds, each further one twice as long as the
    one before, up to `max_backoff`. Each wait is shortened at random, at most to half, so that
    children that fail together do not start together.

    Raises `ValueError` or `TypeError` for a value that is not allowed.
    """

    mode: Mode = "on-failure"
    max_restarts: int = 5
    window: float = 60.0
    backoff: float = 0.5
    max_backoff: float = 30.0

    def __post_init__(self) -> None:
        if self.mode not in get_args(Mode):
            modes = ", ".join(map(repr, get_args(Mode)))
            raise ValueError(f"mode must be one of {modes}, not {self.mode!r}")
        if isinstance(self.max_restarts, bool) or not isinstance(self.max_restarts, int):
            kind = type(self.max_restarts).__name__
            raise TypeError(f"max_restarts must be an int, not {kind}")
        if self.max_restarts < 1:
            raise ValueError(
                f"max_restarts must be at least 1, not {self.max_restarts}; "
                'for no restarts at all use mode="never"'
            )
        for name in ("window", "backoff", "max_backoff"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise TypeError(f"{name} must be a number, not {type(value).__name__}")
            if not isfinite(value) or value < 0 or (name == "window" and not value):
                raise ValueError(f"{name} must be a number of seconds, not {value}")
        if self.backoff > self.max_backoff:
            raise ValueError(
                f"backoff must not be above max_backoff, as {self.backoff} is above "
                f"{self.max_backoff}"
            )

    def wants(self, clean: bool) -> bool:
        """Return whether a child is started again after a clean end, or else after a crash."""
        return self.mode == "always" or (self.mode == "on-failure" and not clean)


class Restarts:
    """Counts the restarts of one child against its policy. `recent` and `delay` change nothing."""

    def __init__(self, policy: RestartPolicy) -> None:
        self.policy = policy
        self._times: deque[float] = deque()

    def recent(self, now: float) -> int:
        """Return how many restarts count against the policy at this time."""
        return len(self._times) - bisect_right(self._times, now - self.policy.window)

    def delay(self, now: float) -> float | None:
        """Return the seconds to wait before one more restart, or None if it is one too many."""
        policy, recent = self.policy, self.recent(now)
        if recent >= policy.max_restarts:
            return None
        # The exponent has a limit, because large powers overflow.
        delay = min(policy.max_backoff, policy.backoff * 2.0 ** min(recent, 32))
        return delay * uniform(0.5, 1.0)

    def count(self, now: float) -> None:
        """Note one more restart, and forget the restarts that do not count any more."""
        for _ in range(len(self._times) - self.recent(now)):
            self._times.popleft()
        self._times.append(now)

    def reset(self) -> None:
        """Forget all restarts, because somebody has asked for a start."""
        self._times.clear()
