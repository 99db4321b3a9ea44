"""The store as several processes see it at once: whatever one of them saw, some order explains.

The parties are main and its children, in each of them threads and tasks, so both doors. What they
do they write to files, a line before each call and one after it, so that what a killed process
did is known too; `tests/linear.py` judges.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from math import inf
from pathlib import Path

from tests.conftest import a_little
from tests.linear import Operation, check
from tests.program import running_program, went_well

Environment = dict[str, str]


def histories(folder: Path) -> Iterator[Operation]:
    """Yield what each caller wrote down; what has no end was under way when its process died."""
    for path in sorted((folder / "history").iterdir()):
        open_calls: dict[str, Operation] = {}
        for line in path.read_text().splitlines():
            kind, at, key, *rest = json.loads(line)
            if kind == "begin":
                what, arguments = rest
                call = Operation(path.name, at, inf, key, what, tuple(arguments))
                open_calls[key] = call
            else:
                (result,) = rest
                yield open_calls.pop(key)._replace(end=at, result=result)
        yield from open_calls.values()


def test_histories(tmp_path: Path, environment: Environment) -> None:
    """What 18 callers in 5 processes did at random with a few keys, some order explains."""
    with running_program(tmp_path, environment, "consistency.histories:undisturbed") as bot:
        went_well(bot)
    history = list(histories(tmp_path))
    assert len({call.process for call in history}) == 18
    assert len(history) >= 18 * 250
    assert all(call.end < inf for call in history)
    check(history)


@a_little(6, 16)
def test_histories_with_kills(tmp_path: Path, environment: Environment, times: int) -> None:
    """The same while children are killed in the middle of what they do."""
    more = {"LITEYUKI_MAX_REDELIVERIES": "1000"}
    program = "consistency.histories:with_kills"
    with running_program(tmp_path, environment, program, str(times), **more) as bot:
        went_well(bot)
    history = list(histories(tmp_path))
    assert any(call.end == inf for call in history), "nothing was under way in any kill"
    check(history)


@a_little(20, 50)
def test_no_update_is_lost(tmp_path: Path, environment: Environment, times: int) -> None:
    """Whatever adds, adds: incr, compare_and_set and update, by both doors, of all at once."""
    with running_program(tmp_path, environment, "consistency.updates", str(times)) as bot:
        went_well(bot)


@a_little(6, 16)
def test_a_lock_whose_holders_are_killed(
    tmp_path: Path, environment: Environment, times: int
) -> None:
    """Never two are inside, and it is got again, whoever dies holding it or waiting for it.

    Each stay is two lines in one file. Where the second is missing its process is dead, and no
    line of that process follows. What is counted inside, without care, is counted right.
    """
    with running_program(tmp_path, environment, "consistency.locks", str(times)) as bot:
        bot.wait(120)
        # First who was inside: a program that found no way on says less.
        lines = [line.split() for line in (tmp_path / "log").read_text().splitlines()]
        within: tuple[str, str] | None = None
        dead = set()
        for number, (word, pid, stay) in enumerate(lines, 1):
            if word == "enter":
                if within is not None:
                    dead.add(within[0])
                within = (pid, stay)
            assert pid not in dead, f"line {number}: {pid} was inside when another came in"
            assert within == (pid, stay), f"line {number}: {word} of {pid}, but {within} is inside"
            if word == "leave":
                within = None
        went_well(bot)
        assert len(dead) >= times
        # Who died between counting and its second line had counted.
        left = sum(word == "leave" for word, _, _ in lines)
        (counted,) = bot.found(r"^counted (\d+)$")
        assert left <= int(counted[1]) <= left + len(dead)


def test_what_was_set_before_a_send(tmp_path: Path, environment: Environment) -> None:
    """Whoever got a message sees what was set before it was sent: from main, to main, between two.

    In a stream the sender has gone on meanwhile; in a game of give and take it has not.
    """
    with running_program(tmp_path, environment, "consistency.order") as bot:
        went_well(bot)


@a_little(50, 150)
def test_a_process_reads_its_own_writes(
    tmp_path: Path, environment: Environment, times: int
) -> None:
    """In the thread or task that wrote, in another that was told, through either door."""
    with running_program(tmp_path, environment, "consistency.own_writes", str(times)) as bot:
        went_well(bot)


def test_reads_never_go_back(tmp_path: Path, environment: Environment) -> None:
    """A key that only grows only grows for all who read it, also from one thread to the next."""
    with running_program(tmp_path, environment, "consistency.growth") as bot:
        went_well(bot)


def test_values_that_change_while_they_are_read(tmp_path: Path, environment: Environment) -> None:
    """None is torn, another key's, or older than what was seen, whatever its kind and length."""
    with running_program(tmp_path, environment, "consistency.changing") as bot:
        went_well(bot)
