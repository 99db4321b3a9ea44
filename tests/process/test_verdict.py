"""What follows from the end of a child's process: every case, and every field of the verdict."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from liteyuki_core.errors import ChannelBroken, ChannelClosed
from liteyuki_core.language import Phrase
from liteyuki_core.process.ending import Ending
from liteyuki_core.process.restart import Mode, RestartPolicy, Restarts
from liteyuki_core.process.state import ProcessState
from liteyuki_core.process.verdict import ProcessEnd, Verdict, judge

STARTING, RUNNING = ProcessState.STARTING, ProcessState.RUNNING
NOW = 1000.0
LIMIT = "2 times in 60 s"
MEND = "fix it, then call restart_process('x') or restart the bot"


@pytest.fixture(autouse=True)
def no_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    """Delays are as long as they can be."""
    monkeypatch.setattr("liteyuki_core.process.restart.uniform", lambda _, longest: longest)


def budget(used: int, mode: Mode = "on-failure", **policy: Any) -> Restarts:
    """Return a budget of two restarts, of which some were used a second ago."""
    made = Restarts(RestartPolicy(mode=mode, max_restarts=2, **policy))
    for _ in range(used):
        made.count(NOW - 1)
    return made


class Way(NamedTuple):
    """How a process ended: what is known of it, and that in words."""

    facts: dict[str, Any]
    words: str
    note: str = ""
    """What the line of the log adds to the words."""


ABOVE = "; its own lines above say why"
WAYS = {
    Ending.ASKED: Way({"code": 5, "state": ProcessState.STOPPING}, "exited with code 5"),
    Ending.CLEAN: Way({"code": 0}, "exited with code 0"),
    Ending.NOT_READY: Way({"code": 3}, "exited with code 3", ABOVE),
    Ending.CRASH: Way({"code": 7, "forced": True}, "exited with code 7", ABOVE),
    Ending.SIGNAL: Way({"code": -9}, "was ended by signal 9 (SIGKILL)"),
}

READY: dict[str, dict[str, Any]] = {
    "never": {"state": STARTING, "has_been_ready": False},
    "once": {"state": STARTING, "has_been_ready": True},
    "now": {"state": RUNNING, "has_been_ready": True},
}
"""When it was ready: in no life of it, in an earlier one, in the one that has ended."""


def expected(follows: str, way: Way) -> Verdict:
    """Return the verdict that a word of the table stands for."""
    told = f"process x {way.words}"
    line = told + way.note
    gone = f"{told} and is not started again"
    stopped = Verdict(
        Phrase(way.words),
        ProcessState.STOPPED,
        None,
        False,
        ChannelClosed,
        gone,
        Phrase(line),
        "INFO",
    )
    failed = Verdict(
        Phrase(way.words),
        ProcessState.FAILED,
        None,
        False,
        ChannelBroken,
        gone,
        Phrase(line),
        "ERROR",
    )
    again = Verdict(
        Phrase(way.words),
        ProcessState.BACKOFF,
        1.0,
        True,
        ChannelBroken,
        told,
        Phrase(line),
        "ERROR",
    )
    restart = f"{line}; it is started again in 1 s (restart 2 of at most {LIMIT})"
    given_up = f"{line}; it was started again {LIMIT} and is given up: {MEND}"
    unstarted = f"{line}; it could not start and is not started again: {MEND}"
    later = f"{line}; it could not start and is tried again in 30 s"
    return {
        "stopped": stopped,
        "stopped, given up": stopped._replace(line=Phrase(given_up)),
        "failed": failed,
        "failed, unstarted": failed._replace(line=Phrase(unstarted)),
        "failed, given up": failed._replace(line=Phrase(given_up), level="CRITICAL"),
        "again": again._replace(line=Phrase(restart)),
        "again, quietly": again._replace(line=Phrase(restart), level="INFO"),
        "later": again._replace(delay=30.0, counts=False, line=Phrase(later)),
    }[follows]


TABLE: list[tuple[Ending, Mode, str, str, str]] = [
    # how it ended, the policy, ready; what follows with restarts left, and with none left
    (Ending.ASKED, "on-failure", "never", "stopped", "stopped"),
    (Ending.ASKED, "on-failure", "once", "stopped", "stopped"),
    (Ending.ASKED, "on-failure", "now", "stopped", "stopped"),
    (Ending.ASKED, "always", "never", "stopped", "stopped"),
    (Ending.ASKED, "always", "once", "stopped", "stopped"),
    (Ending.ASKED, "always", "now", "stopped", "stopped"),
    (Ending.ASKED, "never", "never", "stopped", "stopped"),
    (Ending.ASKED, "never", "once", "stopped", "stopped"),
    (Ending.ASKED, "never", "now", "stopped", "stopped"),
    (Ending.CLEAN, "on-failure", "never", "stopped", "stopped"),
    (Ending.CLEAN, "on-failure", "once", "stopped", "stopped"),
    (Ending.CLEAN, "on-failure", "now", "stopped", "stopped"),
    (Ending.CLEAN, "always", "never", "again, quietly", "stopped, given up"),
    (Ending.CLEAN, "always", "once", "again, quietly", "stopped, given up"),
    (Ending.CLEAN, "always", "now", "again, quietly", "stopped, given up"),
    (Ending.CLEAN, "never", "never", "stopped", "stopped"),
    (Ending.CLEAN, "never", "once", "stopped", "stopped"),
    (Ending.CLEAN, "never", "now", "stopped", "stopped"),
    (Ending.NOT_READY, "on-failure", "never", "failed, unstarted", "failed, unstarted"),
    (Ending.NOT_READY, "on-failure", "once", "later", "later"),
    (Ending.NOT_READY, "on-failure", "now", "failed, unstarted", "failed, unstarted"),
    (Ending.NOT_READY, "always", "never", "failed, unstarted", "failed, unstarted"),
    (Ending.NOT_READY, "always", "once", "later", "later"),
    (Ending.NOT_READY, "always", "now", "failed, unstarted", "failed, unstarted"),
    (Ending.NOT_READY, "never", "never", "failed", "failed"),
    (Ending.NOT_READY, "never", "once", "failed", "failed"),
    (Ending.NOT_READY, "never", "now", "failed", "failed"),
    (Ending.CRASH, "on-failure", "never", "again", "failed, given up"),
    (Ending.CRASH, "on-failure", "once", "again", "failed, given up"),
    (Ending.CRASH, "on-failure", "now", "again", "failed, given up"),
    (Ending.CRASH, "always", "never", "again", "failed, given up"),
    (Ending.CRASH, "always", "once", "again", "failed, given up"),
    (Ending.CRASH, "always", "now", "again", "failed, given up"),
    (Ending.CRASH, "never", "never", "failed", "failed"),
    (Ending.CRASH, "never", "once", "failed", "failed"),
    (Ending.CRASH, "never", "now", "failed", "failed"),
    (Ending.SIGNAL, "on-failure", "never", "again", "failed, given up"),
    (Ending.SIGNAL, "on-failure", "once", "again", "failed, given up"),
    (Ending.SIGNAL, "on-failure", "now", "again", "failed, given up"),
    (Ending.SIGNAL, "always", "never", "again", "failed, given up"),
    (Ending.SIGNAL, "always", "once", "again", "failed, given up"),
    (Ending.SIGNAL, "always", "now", "again", "failed, given up"),
    (Ending.SIGNAL, "never", "never", "failed", "failed"),
    (Ending.SIGNAL, "never", "once", "failed", "failed"),
    (Ending.SIGNAL, "never", "now", "failed", "failed"),
]


def end(way: Way, ready: str = "never", **more: Any) -> ProcessEnd:
    """Return an end of process x."""
    known: dict[str, Any] = {"name": "x", "may_start": True, **READY[ready], **way.facts, **more}
    return ProcessEnd(**known)


def name_of(value: object) -> str | None:
    """Return what a case is called."""
    return value.value if isinstance(value, Ending) else None


@pytest.mark.parametrize(("ending", "mode", "ready", "left", "spent"), TABLE, ids=name_of)
def test_every_case(ending: Ending, mode: Mode, ready: str, left: str, spent: str) -> None:
    """It follows from how it ended, the policy, when it was ready, and the restarts so far."""
    way = WAYS[ending]
    assert judge(end(way, ready), budget(1, mode), NOW) == expected(left, way)
    assert judge(end(way, ready), budget(2, mode), NOW) == expected(spent, way)


def test_the_table_is_whole() -> None:
    """No case is missing, and none stands there twice."""
    cases = {(ending, mode, ready) for ending, mode, ready, _, _ in TABLE}
    assert len(cases) == len(TABLE) == len(Ending) * 3 * len(READY)


@pytest.mark.parametrize("mode", ["on-failure", "always", "never"])
@pytest.mark.parametrize("ready", READY)
@pytest.mark.parametrize("ending", Ending, ids=name_of)
def test_somebody_wants_it_started_again(ending: Ending, ready: str, mode: Mode) -> None:
    """Then it is, at once, however it ended, and that counts for nothing."""
    words = WAYS[ending].words
    told = f"process x {words}"
    line = f"{told}; it is started again"
    follows = Verdict(
        Phrase(words), STARTING, 0.0, False, ChannelClosed, told, Phrase(line), "INFO"
    )
    assert judge(end(WAYS[ending], ready, again=True), budget(2, mode), NOW) == follows


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("mode", ["on-failure", "always", "never"])
@pytest.mark.parametrize("ready", READY)
@pytest.mark.parametrize("ending", Ending, ids=name_of)
def test_nothing_is_started_any_more(ending: Ending, ready: str, mode: Mode, again: bool) -> None:
    """Whatever the policy says, and whatever was asked for."""
    way = WAYS[ending]
    follows = expected("stopped" if ending in (Ending.ASKED, Ending.CLEAN) else "failed", way)
    last = end(way, ready, again=again, may_start=False)
    assert judge(last, budget(0, mode), NOW) == follows


@pytest.mark.parametrize(
    ("mode", "ready", "follows"),
    [
        ("on-failure", "never", "failed, unstarted"),
        ("on-failure", "once", "later"),
        ("always", "never", "failed, unstarted"),
        ("always", "once", "later"),
        ("never", "never", "failed"),
        ("never", "once", "failed"),
    ],
)
@pytest.mark.parametrize("used", [1, 2])
def test_it_can_not_be_spawned(mode: Mode, ready: str, follows: str, used: int) -> None:
    """The line and the outcome say why; that it has no lines of its own goes without saying."""
    failed = Way({"is_spawned": False, "failure": "OSError()"}, "can't be started", ": OSError()")
    wanted = expected(follows, failed)._replace(outcome=Phrase("can't be started: OSError()"))
    assert judge(end(failed, ready), budget(used, mode), NOW) == wanted


@pytest.mark.parametrize(
    ("facts", "follows"),
    [
        ({"code": 1}, "later"),
        ({"code": None}, "later"),
        ({"code": -9}, "later"),
        ({"code": -9, "forced": True}, "again"),
        ({"code": None, "clean": True}, "stopped"),
    ],
)
def test_it_has_said_what_is_wrong(facts: dict[str, Any], follows: str) -> None:
    """The line and the outcome say so too, in place of where to look for the reason."""
    words = judge(end(Way(facts, "")), budget(1), NOW).outcome.english
    way = Way(facts, words, ": no port")
    wanted = expected(follows, way)._replace(outcome=Phrase(f"{words}: no port"))
    assert judge(end(way, "once", failure="no port"), budget(1), NOW) == wanted


@pytest.mark.parametrize(
    ("called", "follows"), [(False, "failed, unstarted"), (True, "again")], ids=["not", "called"]
)
def test_code_3_of_one_that_was_ready(called: bool, follows: str) -> None:
    """It could not start, unless it has said itself that it is ready."""
    way = WAYS[Ending.NOT_READY]
    assert judge(end(way, "now", called=called), budget(1), NOW) == expected(follows, way)


def test_judging_changes_nothing() -> None:
    """Asked twice it says the same; the course counts what it does."""
    restarts = budget(1)
    crash = end(WAYS[Ending.CRASH], "now")
    first = judge(crash, restarts, NOW)
    assert first == judge(crash, restarts, NOW)
    assert restarts.recent(NOW) == 1
    assert first.counts
    restarts.count(NOW)
    assert judge(crash, restarts, NOW).state is ProcessState.FAILED
    assert judge(crash, restarts, NOW + 59.5).delay == 1.0
    assert judge(crash, restarts, NOW + 60).delay == 0.5


def test_no_wait_at_all() -> None:
    """It is in BACKOFF for no time: started at once, and not taken for given up."""
    follows = judge(end(WAYS[Ending.CRASH], "now"), budget(0, backoff=0), NOW)
    assert (follows.delay, follows.state, follows.counts) == (0.0, ProcessState.BACKOFF, True)
    assert (
        "it is started again in 0 s (restart 1 of at most 2 times in 60 s)" in follows.line.english
    )


@pytest.mark.parametrize("again", [False, True])
def test_it_can_not_be_spawned_and_is_to_stop(again: bool) -> None:
    """It is not tried again, unless somebody wants it started again."""
    facts: Any = {
        "is_spawned": False,
        "failure": "OSError()",
        "state": ProcessState.STOPPING,
    }
    way = Way(facts, "was stopped before it was started")
    told = "process x was stopped before it was started"
    line = f"{told}; it is started again"
    wanted = Verdict(
        Phrase(way.words), STARTING, 0.0, False, ChannelClosed, told, Phrase(line), "INFO"
    )
    found = judge(
        ProcessEnd("x", has_been_ready=False, may_start=True, again=again, **facts), budget(0), NOW
    )
    assert found == (wanted if again else expected("stopped", way))
