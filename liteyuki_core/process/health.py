"""Whether the children are alive: the main process's side. `pulse.py` is a child's.

In rounds every child is asked how it is, and asked again only when it has answered, or once more
when it is found not to. What it says stands in its `Report`, for the loop to look at in the next
round; where something depends on it, or there is no report, it comes over the link. A child hangs
when it does not answer for its `Hang.timeout`, or when a mark on one of its event loops has been
waiting for that long.
As a mark is there only from the next round on, that is told up to a round late.

Invariants.
- All times are of one clock, `_clock`, that goes only while the main process is awake and asks:
  each tick adds what has passed since the one before, but never more than was planned, which is
  a round at most, and that is at most half of the timeout of every child that was asked. No more
  of the time that main was stopped, asleep or blocked in one go is held against a child.
- A process is asked as it is spawned and answers as it connects. However long that takes, it does
  not hang; from then on STARTING makes no difference, for imports do not keep it from answering.
- A process that was asked to stop, or says that it leaves, is not judged: how long that may take
  is the supervisor's matter.
- One line in the log when it begins to hang, one when that is over.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite
from time import monotonic
from typing import TYPE_CHECKING, Literal, get_args

from .. import log
from ..comm.hub.link_peer import LinkPeer
from ..comm.wire import words
from ..errors import FrameError
from .report import Answer, Report

if TYPE_CHECKING:
    from .state import ChildProcess

HangAction = Literal["warn", "restart"]

_ROUND = 2.5
"""Seconds from one round to the next at most: each wakes every process a few times."""

_SHORTEST = 0.1
"""Shorter timeouts count as this one."""

_MOMENT = 0.01
"""Timers may come early by less than this."""

_STACK_CHARACTERS = 9000
"""As much of a stack is said in the log; a child of ours sends less."""

_STATES = {
    "T": "it is stopped by a signal",
    "t": "a debugger holds it",
    "D": "it waits for a disk or a device",
    "R": "it computes: C code may hold the interpreter lock",
    "S": "it waits: C code may hold the interpreter lock",
}
"""What Linux says of a process, in words."""


@dataclass(frozen=True)
class Hang:
    """When a child hangs and what is done then.

    `timeout` in seconds, 0: it is not watched. `action`: "warn" logs it, "restart" also kills the
    child, which counts as a crash. Raises `ValueError` or `TypeError` for what can't be.
    """

    timeout: float
    action: HangAction

    def __post_init__(self) -> None:
        timeout = self.timeout
        if isinstance(timeout, bool) or not isinstance(timeout, int | float):
            raise TypeError(f"hang_timeout must be a number, not {type(timeout).__name__}")
        if not isfinite(timeout) or timeout < 0:
            raise ValueError(f"hang_timeout must be seconds, or 0 for off, not {timeout}")
        if self.action not in get_args(HangAction):
            actions = " or ".join(map(repr, get_args(HangAction)))
            raise ValueError(f"hang_action must be {actions}, not {self.action!r}")


class Watch:
    """One process of a child as it is watched, from its start to its end.

    `arrived` is called on the thread that reads the link, the rest on LiteyukiBot's loop. `kill`
    ends the process so that this counts as a crash.
    """

    def __init__(
        self,
        child: ChildProcess,
        peer: LinkPeer,
        hang: Hang,
        kill: Callable[[], None],
        report: Report | None,
    ) -> None:
        self.child = child
        self.peer = peer
        self.hang = hang
        self.kill = kill
        self.report = report
        self.timeout = max(hang.timeout, _SHORTEST)
        self.asked: float | None = None
        """When it was asked what it has not answered yet."""
        self.waits: float | None = None
        """When the mark was asked for that has not run, as the last answer said."""
        self.known = False
        self.silent_since: float | None = None
        """Set while it hangs and does not answer; `blocked_for`, while a loop of it does."""
        self.blocked_for: float | None = None
        self.urgent = False
        """Whether the loop is to learn of the next answer at once."""
        self.answer: Answer | None = None

    def arrived(self, pulse: words.Pulse) -> bool:
        """Note an answer; return whether `Health.look` is to see it at once.

        Raises `FrameError` for what is none.
        """
        at, lag, waits, stack = pulse
        answer = Answer(at, lag, waits, stack[:_STACK_CHARACTERS])
        if not answer.can_be:
            raise FrameError(f"control frame {pulse!r:.300} is not known")
        self.answer = answer
        return self.urgent

    @property
    def hangs(self) -> bool:
        """Whether it was found to hang and that is not over."""
        return self.silent_since is not None or self.blocked_for is not None

    def due(self, now: float) -> list[float]:
        """Return when it may be found to hang, as far as that is still to come."""
        begun = (self.asked, self.waits)
        times = [since + self.timeout for since in begun if since is not None]
        return [time for time in times if time > now]

    def is_suspect(self, now: float) -> bool:
        """Return whether it is found to hang if a mark that waited waits still."""
        return self.waits is not None and self._is_long(now - self.waits) and not self.hangs

    def ask(self, now: float) -> None:
        """Ask it how it is."""
        self.asked = now
        self._send(now, self.is_suspect(now))

    def _send(self, at: float, stack: bool) -> None:
        self.urgent = stack or self.hangs
        quietly = self.report is not None and not self.urgent
        self.peer.say(words.AskPulse(at, stack, quietly))

    def take(self, now: float) -> str:
        """Look at what it has answered; return what is wrong from now on, if anything is."""
        answer, self.answer = self.answer, None
        if answer is None and self.report is not None:
            answer = self.report.read()
        if answer is not None and answer.at == self.asked:
            self.child.loop_lag = answer.lag
            self.asked = None
            self.known = True
            self.waits = answer.waits
            return self._judge_answer(answer, now)
        if self.asked is None or not self.known or self.hangs:
            return ""
        seconds = now - self.asked
        if not self._is_long(seconds):
            return ""
        self.silent_since = self.asked
        # The same once more: what it was asked quietly it answers where nobody sees that at once.
        self._send(self.asked, stack=False)
        return f"has not answered for {seconds:.1f} s{_state(self.child.pid)}"

    def _judge_answer(self, answer: Answer, now: float) -> str:
        name = self.child.name
        # By main's clock and by the child's: one that was stopped may have put the mark only now.
        blocked = (
            answer.waits is not None
            and self._is_long(answer.at - answer.waits)
            and self._is_long(answer.lag or 0.0)
        )
        if blocked and not self.hangs:
            self.blocked_for = answer.lag or 0.0
            stack = answer.stack or "  (its thread is not known)"
            return (
                f"has an event loop that has been blocked for {self.blocked_for:.1f} s, in\n{stack}"
            )
        if self.blocked_for is not None:
            self.blocked_for = max(self.blocked_for, answer.lag or 0.0)
        if blocked or not self.hangs:
            return ""
        if self.silent_since is not None:
            seconds = now - self.silent_since
            log.logger.info(f"process {name} answers again, after {seconds:.1f} s")
        else:
            seconds = self.blocked_for or 0.0
            log.logger.info(f"process {name}: its event loop runs again, after {seconds:.1f} s")
        self.silent_since = self.blocked_for = None
        return ""

    def _is_long(self, seconds: float) -> bool:
        return seconds >= self.timeout - _MOMENT


class Health:
    """Watches the children, all with one timer. On LiteyukiBot's loop.

    It owns the timer, which runs while there is somebody to watch. `own_timeout` is for the main
    process's own loop, 0 for none.
    """

    def __init__(self, own_timeout: float) -> None:
        self._own_timeout = own_timeout
        self._watches: dict[ChildProcess, Watch] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._clock = 0.0
        self._ticked = 0.0
        self._planned = 0.0
        self._next_round = 0.0

    def add(self, watch: Watch) -> None:
        """Watch a process that has just been started, until `forget`."""
        watch.child.loop_lag = None
        if not watch.hang.timeout:
            return
        self._watches[watch.child] = watch
        if self._timer is None:
            self._ticked = monotonic()
            self._planned = 0.0
            self._next_round = self._clock + self._round()
            self._plan()
        watch.ask(self._now())

    def forget(self, child: ChildProcess) -> None:
        """Watch a child no more: its process has ended, or is about to."""
        child.loop_lag = None
        self._watches.pop(child, None)
        if not self._watches and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _round(self) -> float:
        return min([_ROUND, *(watch.timeout / 2 for watch in self._watches.values())])

    def _now(self) -> float:
        return self._clock + min(monotonic() - self._ticked, self._planned)

    def _plan(self) -> None:
        due = [time for watch in self._watches.values() for time in watch.due(self._clock)]
        at = min([self._next_round, *due])
        self._planned = max(at - self._clock, _MOMENT)
        self._timer = asyncio.get_running_loop().call_later(self._planned, self._tick)

    def _tick(self) -> None:
        now = monotonic()
        late = now - self._ticked - self._planned
        self._clock = self._now()
        self._ticked = now
        self._timer = None
        if self._own_timeout and late > self._own_timeout:
            log.logger.warning(
                f"LiteyukiBot's event loop stood still for {late:.1f} s or more: something blocked "
                "it, or the process was stopped, or the machine was asleep"
            )
        is_round = self._clock >= self._next_round - _MOMENT
        for watch in list(self._watches.values()):
            self.look(watch)
        for watch in self._watches.values():
            if watch.asked is None and (is_round or watch.is_suspect(self._clock)):
                watch.ask(self._clock)
        if self._watches:
            if is_round:
                self._next_round = self._clock + self._round()
            self._plan()

    def look(self, watch: Watch) -> None:
        """Look at what a process has answered, or has not, and do what is to be done then."""
        child = watch.child
        if self._watches.get(child) is not watch:
            return
        if watch.peer.clean:
            self.forget(child)
            return
        wrong = watch.take(self._now())
        if not wrong:
            return
        if watch.hang.action == "warn":
            log.logger.warning(f"process {child.name} {wrong}")
            return
        what, _, stack = wrong.partition("\n")
        log.logger.error(f"process {child.name} is killed: it {what}\n{stack}".rstrip("\n"))
        self.forget(child)
        watch.kill()


def _state(pid: int | None) -> str:
    """Return what the system says of a process, where it can be asked."""
    if sys.platform != "linux":
        return ""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            letter = file.read().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return ""
    return f": {_STATES[letter]}" if letter in _STATES else ""
