"""Whether the children are alive: the main process's side. `child/pulse.py` is the child's side.

Every child is asked how it is, in rounds. It is asked again only when it has answered, or once
more when it is found not to answer. The answer is in the child's `Report`, where the loop reads it
in the next round. If the answer is needed at once, or there is no report, it comes over the link.

A child hangs when it does not answer for its `Hang.timeout`, or when a mark on one of its event
loops has been waiting for that long. A blocked loop gets its mark only in the next round, so it is
noticed up to a round late.

Ownership. `Health` owns the timer, which runs while a process is watched.

Threads. LiteyukiBot's loop calls everything but `Watch.arrived`.

Invariants.
- All times are of one clock, `_clock`, which goes only while the main process is awake and asks.
  Each tick adds the time since the tick before, but never more than was planned. At most a round
  is planned, and a round is at most half of the timeout of every child that was asked. If main is
  stopped, asleep or blocked, only so much of that time counts against a child.
- A process is asked when it is spawned, and answers when it connects. However long that takes, it
  does not hang. After that, STARTING makes no difference: a process answers while it imports.
- A process that was asked to stop, or has said that it leaves, is not judged. The supervisor
  decides how long that may take.
- The log gets one line when a child begins to hang, and one when that is over.
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
from ..language import Phrase, say
from .report import Answer, Report

if TYPE_CHECKING:
    from .state import ChildProcess

HangAction = Literal["warn", "restart"]

_ROUND = 2.5
"""Seconds from one round to the next, at most. Each round wakes every process a few times."""

_SHORTEST = 0.1
"""A shorter timeout counts as this one."""

_MOMENT = 0.01
"""A timer may fire early, by less than this."""

_STACK_CHARACTERS = 9000
"""At most so many characters of a stack are logged. An honest child sends fewer."""

_STATES = {
    "T": Phrase("it is stopped by a signal"),
    "t": Phrase("a debugger holds it"),
    "D": Phrase("it waits for a disk or a device"),
    "R": Phrase("it computes: C code may hold the interpreter lock"),
    "S": Phrase("it waits: C code may hold the interpreter lock"),
}
"""The states that Linux gives of a process, in words."""


@dataclass(frozen=True)
class Hang:
    """When a child hangs, and what is done then.

    `timeout` is in seconds. With 0 the child is not watched. `action` "warn" logs a hang. "restart"
    also kills the child, which counts as a crash. Raises `ValueError` or `TypeError` for a value
    that is not allowed.
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
    """The watch on one process of a child, from its start to its end.

    `kill` ends the process in such a way that the end counts as a crash.
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
        """The time of the question that the process has not answered yet."""
        self.waits: float | None = None
        """The time of the question whose mark has not run yet, as the last answer said."""
        self.known = False
        """Whether the process has answered before."""
        self.silent_since: float | None = None
        """Set while the process hangs and does not answer."""
        self.blocked_for: float | None = None
        """Set while the process hangs because a loop of it is blocked."""
        self.urgent = False
        """Whether `Health.look` must see the next answer at once."""
        self.answer: Answer | None = None

    def arrived(self, pulse: words.Pulse) -> bool:
        """Note an answer. Return whether `Health.look` must see it at once.

        On the thread that reads the link. Raises `FrameError` for an impossible answer.
        """
        at, lag, waits, stack = pulse
        answer = Answer(at, lag, waits, stack[:_STACK_CHARACTERS])
        if not answer.can_be:
            raise FrameError(f"control frame {pulse!r:.300} is not known")
        self.answer = answer
        return self.urgent

    @property
    def hangs(self) -> bool:
        """Whether the process was found to hang and that is not over."""
        return self.silent_since is not None or self.blocked_for is not None

    def due(self, now: float) -> list[float]:
        """Return the coming times at which the process may be found to hang."""
        begun = (self.asked, self.waits)
        times = [since + self.timeout for since in begun if since is not None]
        return [time for time in times if time > now]

    def is_suspect(self, now: float) -> bool:
        """Return whether the process hangs, if its mark has still not run."""
        return self.waits is not None and self._is_long(now - self.waits) and not self.hangs

    def ask(self, now: float) -> None:
        """Ask the process how it is."""
        self.asked = now
        self._send(now, self.is_suspect(now))

    def _send(self, at: float, stack: bool) -> None:
        self.urgent = stack or self.hangs
        quietly = self.report is not None and not self.urgent
        self.peer.say(words.AskPulse(at, stack, quietly))

    def take(self, now: float) -> Phrase | None:
        """Read the last answer. Return what is wrong from now on, or None if nothing is."""
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
            return None
        seconds = now - self.asked
        if not self._is_long(seconds):
            return None
        self.silent_since = self.asked
        # The same question again: main would not see the answer to a quiet one at once.
        self._send(self.asked, stack=False)
        silent = Phrase("has not answered for {seconds:.1f} s", seconds=seconds)
        state = _state(self.child.pid)
        return silent if state is None else Phrase("{what}: {why}", what=silent, why=state)

    def _judge_answer(self, answer: Answer, now: float) -> Phrase | None:
        name = self.child.name
        # By both clocks: a process that was stopped may have set the mark only just now.
        blocked = (
            answer.waits is not None
            and self._is_long(answer.at - answer.waits)
            and self._is_long(answer.lag or 0.0)
        )
        if blocked and not self.hangs:
            self.blocked_for = answer.lag or 0.0
            return Phrase(
                "has an event loop that has been blocked for {seconds:.1f} s, in\n{stack}",
                seconds=self.blocked_for,
                stack=answer.stack.rstrip("\n") or Phrase("  (its thread is not known)"),
            )
        if self.blocked_for is not None:
            self.blocked_for = max(self.blocked_for, answer.lag or 0.0)
        if blocked or not self.hangs:
            return None
        if self.silent_since is not None:
            seconds = now - self.silent_since
            log.logger.info(
                say(
                    "process {name} answers again, after {seconds:.1f} s",
                    name=name,
                    seconds=seconds,
                )
            )
        else:
            seconds = self.blocked_for or 0.0
            log.logger.info(
                say(
                    "process {name}: its event loop runs again, after {seconds:.1f} s",
                    name=name,
                    seconds=seconds,
                )
            )
        self.silent_since = self.blocked_for = None
        return None

    def _is_long(self, seconds: float) -> bool:
        return seconds >= self.timeout - _MOMENT


class Health:
    """Watches the children, all with one timer.

    `own_timeout` is for the main process's own loop. With 0 that loop is not watched.
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
        """Watch a process that was just spawned, until `forget`."""
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
        """Stop watching a child, because its process has ended or is about to."""
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
                say(
                    "LiteyukiBot's event loop stood still for {seconds:.1f} s or more: something "
                    "blocked it, or the process was stopped, or the machine was asleep",
                    seconds=late,
                )
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
        """Look whether a process has answered. If it hangs, do what its `Hang.action` says."""
        child = watch.child
        if self._watches.get(child) is not watch:
            return
        if watch.peer.clean:
            self.forget(child)
            return
        wrong = watch.take(self._now())
        if wrong is None:
            return
        if watch.hang.action == "warn":
            log.logger.warning(say("process {name} {what}", name=child.name, what=wrong))
            return
        log.logger.error(say("process {name} is killed: it {wrong}", name=child.name, wrong=wrong))
        self.forget(child)
        watch.kill()


def _state(pid: int | None) -> Phrase | None:
    """Return the system's state of a process in words, or None if it is not known."""
    if sys.platform != "linux":
        return None
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            letter = file.read().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return None
    return _STATES.get(letter)
