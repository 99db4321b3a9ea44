"""What follows from the end of a child's process. The child's course asks, and acts on the answer.

Pure: `judge` reads only its arguments and changes nothing, not even the budget. There is no clock
and no loop here, so any thread may call it.

Invariants: a child is started again after a `delay`, or it has ended for good. A stop or restart
that somebody has asked for goes before the policy. Only restarts that the policy limits count.
"""

from __future__ import annotations

from typing import NamedTuple

from ..errors import ChannelBroken, ChannelClosed, ChannelError
from ..language import Phrase
from .ending import Ending, classify, describe
from .restart import Restarts
from .state import ProcessState


class ProcessEnd(NamedTuple):
    """What is known of a child whose process has ended, or could not be spawned."""

    name: str
    state: ProcessState
    """The child's state until now."""
    has_been_ready: bool
    """Whether any process of the child was ever ready."""
    may_start: bool
    """Whether children may still be started."""
    again: bool = False
    """Whether somebody has asked to start the child again after this end."""
    is_spawned: bool = True
    """Whether there was a process. The other fields are about that process."""
    code: int | None = None
    """Its exit code, None if the code is not known."""
    called: bool = False
    """Whether it has called `ready()`."""
    clean: bool = False
    """Whether it has said that it ends as it should."""
    forced: bool = False
    """Whether main has ended it because its link had ended. The exit code does not count then."""
    late: bool = False
    """Whether main has ended it because it was not ready in time."""
    failure: str | None = None
    """The error that it has reported, or why it could not be spawned."""


class Verdict(NamedTuple):
    """What follows from an end."""

    outcome: Phrase
    """The end in words, for `ChildProcess.outcome`."""
    state: ProcessState
    """The state that the child enters now."""
    delay: float | None
    """Seconds until the child is started again. None: it has ended for good."""
    counts: bool
    """Whether that restart counts against the policy."""
    error: type[ChannelError]
    """Whoever waits for the child on a channel gets this error, with `reason` as its text."""
    reason: str
    line: Phrase
    """The line for the log. `level` is its level."""
    level: str


def judge(end: ProcessEnd, budget: Restarts, now: float) -> Verdict:
    """Decide what follows from an end. `budget` has the child's policy and its restarts so far."""
    ending, outcome = _ending(end)
    told = f"process {end.name} {outcome.english}"
    line = Phrase("process {name} {what}", name=end.name, what=outcome)
    if end.again and end.may_start:
        line = _then(line, Phrase("it is started again"))
        return Verdict(
            outcome, ProcessState.STARTING, 0.0, False, ChannelClosed, told, line, "INFO"
        )
    if ending is Ending.ASKED:
        return _for_good(ending, outcome, told, line)
    if end.failure:
        line = Phrase("{what}: {why}", what=line, why=end.failure)
        outcome = Phrase("{what}: {why}", what=outcome, why=end.failure)
    elif ending in (Ending.CRASH, Ending.NOT_READY):
        line = _then(line, Phrase("its own lines above say why"))
    policy = budget.policy
    if not (end.may_start and policy.wants(ending is Ending.CLEAN)):
        return _for_good(ending, outcome, told, line)

    if ending is Ending.NOT_READY:
        if end.state is ProcessState.RUNNING or not end.has_been_ready:
            line = _then(
                line,
                Phrase(
                    "it could not start and is not started again: fix it, then call "
                    "restart_process({name!r}) or restart the bot",
                    name=end.name,
                ),
            )
            return _for_good(ending, outcome, told, line)
        # It could start before, so what it lacks may come back. It is tried after long pauses.
        delay = policy.max_backoff
        line = _then(
            line, Phrase("it could not start and is tried again in {delay:g} s", delay=delay)
        )
        return _backoff(ending, outcome, told, line, delay, counts=False)

    limit, window = policy.max_restarts, policy.window
    wait = budget.delay(now)
    if wait is None:
        line = _then(
            line,
            Phrase(
                "it was started again {limit} times in {window:g} s and is given up: fix it, then "
                "call restart_process({name!r}) or restart the bot",
                limit=limit,
                window=window,
                name=end.name,
            ),
        )
        return _for_good(ending, outcome, told, line, level="CRITICAL")
    line = _then(
        line,
        Phrase(
            "it is started again in {wait:.2g} s (restart {number} of at most {limit} times in "
            "{window:g} s)",
            wait=wait,
            number=budget.recent(now) + 1,
            limit=limit,
            window=window,
        ),
    )
    return _backoff(ending, outcome, told, line, wait, counts=True)


def _then(line: Phrase, more: Phrase) -> Phrase:
    """Return a line that says two things, each of them whole."""
    return Phrase("{first}; {second}", first=line, second=more)


def _ending(end: ProcessEnd) -> tuple[Ending, Phrase]:
    """Return the class of an end, and the end in words."""
    if not end.is_spawned:
        if end.state is ProcessState.STOPPING:
            return Ending.ASKED, Phrase("was stopped before it was started")
        return Ending.NOT_READY, Phrase("can't be started")
    ending = classify(
        end.code,
        asked=end.state is ProcessState.STOPPING,
        ready=end.state is ProcessState.RUNNING,
        called=end.called,
        clean=end.clean,
        failure=end.failure,
        forced=end.forced,
        late=end.late,
    )
    return ending, describe(end.code)


def _backoff(
    ending: Ending, outcome: Phrase, told: str, line: Phrase, delay: float, *, counts: bool
) -> Verdict:
    level = "INFO" if ending is Ending.CLEAN else "ERROR"
    return Verdict(outcome, ProcessState.BACKOFF, delay, counts, ChannelBroken, told, line, level)


def _for_good(
    ending: Ending, outcome: Phrase, told: str, line: Phrase, *, level: str = "ERROR"
) -> Verdict:
    reason = f"{told} and is not started again"
    if ending in (Ending.ASKED, Ending.CLEAN):
        return Verdict(
            outcome, ProcessState.STOPPED, None, False, ChannelClosed, reason, line, "INFO"
        )
    return Verdict(outcome, ProcessState.FAILED, None, False, ChannelBroken, reason, line, level)
