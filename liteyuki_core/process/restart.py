"""When a child process that has ended is started again: its policy, and its restarts so far.

No clock and no loop: whoever asks says what time it is. `RestartPolicy` is anybody's; the
`Restarts` of a child belong to its course, which alone counts and forgets them, on LiteyukiBot's
loop.
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

    `mode`: "on-failure" after a crash (a non-zero exit code or a signal), "always" also after exit
    code 0, "never". More than `max_restarts` in `window` seconds, and it is given up. Before the
    first of them it waits `backoff` seconds, then twice as long each time, up to `max_backoff`;
    each wait is shortened by chance, to half at most, so that children which fail together do not
    start together. What is longer ago than `window` seconds of good health counts no more.

    Raises `ValueError` or `TypeError` for what can't be.
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
                'for none at all take mode="never"'
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
        """Return whether a child is to be started again after a clean end, or after a crash."""
        return self.mode == "always" or (self.mode == "on-failure" and not clean)


class Restarts:
    """Counts the restarts of one child against its policy. Asking it changes nothing."""

    def __init__(self, policy: RestartPolicy) -> None:
        self.policy = policy
        self._times: deque[float] = deque()

    def recent(self, now: float) -> int:
        """Return how many restarts count against the policy."""
        return len(self._times) - bisect_right(self._times, now - self.policy.window)

    def delay(self, now: float) -> float | None:
        """Return how long to wait before one more restart, or None when it is one too many."""
        policy, recent = self.policy, self.recent(now)
        if recent >= policy.max_restarts:
            return None
        # The exponent stays small: powers of two overflow.
        delay = min(policy.max_backoff, policy.backoff * 2.0 ** min(recent, 32))
        return delay * uniform(0.5, 1.0)

    def count(self, now: float) -> None:
        """Note one more restart, and forget those that count no more."""
        for _ in range(len(self._times) - self.recent(now)):
            self._times.popleft()
        self._times.append(now)

    def reset(self) -> None:
        """Forget what was: somebody has looked after the child."""
        self._times.clear()
