"""Stops and restarts with a message in hand, in every way of receiving.

What a process had in hand when it was asked to stop it finishes, if the deadline allows, and its
successor does not begin it again; what the stop breaks off goes to the successor.

Tests comm/ends/stop.py.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

import pytest

from tests.children import facts
from tests.conftest import a_little
from tests.program import Program, running_program

Environment = dict[str, str]

THREADS = ["receive", "iterate", "receive_in_time", "poll", "select_two", "in_thread"]
THREADS += ["two_threads"]
TASKS = ["async_receive", "async_iterate", "async_receive_in_time", "three_tasks"]
TASKS += ["async_select_two"]
CALLBACKS = ["callback", "sync_callback", "ordered_callback", "ordered_sync_callback"]
CALLBACKS += ["bounded_callback", "filtered_callback"]
PLAIN = [*THREADS, *TASKS, *CALLBACKS]
GROUPS = [THREADS, TASKS, CALLBACKS, ["nonebot"]]
NAMES = ["threads", "tasks", "callbacks", "nonebot"]


def judge(found: list[facts.Fact], *, broken_off: bool = False) -> list[str]:
    """Return what is wrong with a history of flows, of which every stop was a clean one.

    `broken_off`: a stop may have broken off what was in hand; then it must have come again.
    """
    sent, reported = set(), set()
    begun, ended = defaultdict(list), defaultdict(list)
    lives: dict[str, int] = {}
    for fact in found:
        match fact.kind, fact.details:
            case "sent", message:
                sent.add(message)
            case "reported", message:
                reported.add(message)
            case "begin", message:
                begun[message].append(fact.life)
                lives[message[0]] = max(fact.life, lives.get(message[0], 0))
            case "end", message:
                ended[message].append(fact.life)
    wrong = []
    for message in sorted(sent):
        flow, number = message
        what = f"{flow} {number}"
        # The last one of each flow was in hand when the whole bot stopped.
        last = (flow, number + 1) not in sent
        if message not in reported and not last:
            wrong.append(
                f"{what}: lost; begun in lives {begun[message]}, ended in {ended[message]}"
            )
        if broken_off:
            continue
        for life in begun[message]:
            if life not in ended[message]:
                wrong.append(f"{what}: life {life} of {lives[flow]} was broken off in handling it")
        if len(begun[message]) > 1:
            wrong.append(f"{what}: begun again: in lives {begun[message]}")
    return wrong


def play(
    folder: Path,
    environment: Environment,
    ways: list[str],
    *,
    handling: float,
    rounds: list[str],
    asks: bool = False,
    stop_timeout: float = 10.0,
) -> Program:
    """Run children that receive in these ways, through these rounds of restarts and stops."""
    plan = {"ways": ways, "handling": handling, "rounds": rounds, "asks": asks}
    environment |= {
        "IN_HAND": json.dumps(plan),
        "LITEYUKI_STOP_TIMEOUT": str(stop_timeout),
    }
    with running_program(folder, environment, "in_hand_bot") as bot:
        bot.wait(90 + 10 * handling)
    return bot


def well(bot: Program, folder: Path, *, broken_off: bool = False) -> None:
    """Fail with what is wrong, if something is."""
    wrong = judge(facts.read(folder), broken_off=broken_off)
    if not broken_off:
        wrong += [m.string for m in bot.found("has not stopped|Traceback|Error|crash|set aside")]
    wrong += [m.string for m in bot.found("^FAILED|: not reported: |^never: ")]
    if not bot.found("^all is well$") or bot.process.returncode:
        wrong.append(f"it did not end as it should: exit code {bot.process.returncode}")
    if wrong:
        pytest.fail("\n".join([*wrong, "its output:", bot.output]), pytrace=False)


@pytest.mark.parametrize("ways", GROUPS, ids=NAMES)
def test_what_is_in_hand_is_finished(
    tmp_path: Path, environment: Environment, ways: list[str]
) -> None:
    """Each message is handled once, whatever was restarted while it was handled."""
    bot = play(tmp_path, environment, ways, handling=0.15, rounds=["restart", "stop"])
    well(bot, tmp_path)


@pytest.mark.long
def test_a_stop_waits_as_long_as_its_deadline_allows(
    tmp_path: Path, environment: Environment
) -> None:
    """A child has 60 % of the time before it is terminated: 3 s here."""
    ways = ["iterate", "two_threads", "three_tasks", "callback", "ordered_sync_callback", "nonebot"]
    bot = play(tmp_path, environment, ways, handling=1.8, rounds=["restart"], stop_timeout=5)
    well(bot, tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("handling", [0.15, 4.5])
@pytest.mark.parametrize("ways", GROUPS, ids=NAMES)
def test_the_same_in_all_ways_and_many_rounds(
    tmp_path: Path, environment: Environment, ways: list[str], handling: float
) -> None:
    """By default a child has 6 s."""
    rounds = ["restart", "stop", "restart"] * (4 if handling < 1 else 1)
    bot = play(tmp_path, environment, ways, handling=handling, rounds=rounds)
    well(bot, tmp_path)


def test_what_takes_longer_goes_to_the_successor(tmp_path: Path, environment: Environment) -> None:
    """A stop that can't wait so long breaks off the handling, and loses nothing by it."""
    ways = ["iterate", "in_thread", "async_iterate", "callback", "nonebot"]
    bot = play(tmp_path, environment, ways, handling=2.5, rounds=["restart"], stop_timeout=2)
    well(bot, tmp_path, broken_off=True)
    found = [fact.details for fact in facts.read(tmp_path) if fact.kind == "begin"]
    for way in ("iterate", "in_thread", "async_iterate", "callback"):
        begun = [number for name, number in found if name == way]
        assert len(begun) > len(set(begun)), f"{way}: nothing was broken off: {found}"


@a_little(1, 5)
@pytest.mark.parametrize("way", ["callback", "sync_callback", "nonebot"])
def test_what_a_callback_waits_for_goes_on_during_a_stop(
    tmp_path: Path, environment: Environment, way: str, times: int
) -> None:
    """An answer that is on its way still comes: restarts break off nothing."""
    rounds = ["restart"] if way == "nonebot" else ["restart", "stop"] * times
    bot = play(tmp_path, environment, [way], handling=0.2, rounds=rounds, asks=True)
    well(bot, tmp_path)


@pytest.mark.parametrize(
    "rounds", [["restart"], pytest.param(["restart", "stop"], marks=pytest.mark.long)], ids=len
)
def test_what_a_receiver_waits_for_in_a_stop(
    tmp_path: Path, environment: Environment, rounds: list[str]
) -> None:
    """A handling that waits for an answer may be broken off by a stop; then it comes again."""
    ways = ["iterate", "in_thread", "async_iterate", "three_tasks"]
    bot = play(tmp_path, environment, ways, handling=0.2, rounds=rounds, asks=True)
    well(bot, tmp_path, broken_off=True)


def test_the_judge_finds_what_is_wrong() -> None:
    """Histories made up: one that is right, and one for each thing that can be wrong."""

    def history(*lines: str) -> list[facts.Fact]:
        found = []
        for time, line in enumerate(lines):
            process, life, kind, number = line.split()
            found.append(facts.Fact(time, process, int(life), kind, ("flow", int(number))))
        return found

    right = ["main 1 sent 0", "a 1 begin 0", "a 1 end 0", "main 1 reported 0"]
    last = ["main 1 sent 1", "a 2 begin 1", "a 2 end 1"]
    assert judge(history(*right, *last)) == []
    assert judge(history(*right, "a 2 begin 0", "a 2 end 0", *last)) == [
        "flow 0: begun again: in lives [1, 2]"
    ]
    assert judge(history(*right[:2], right[3], *last)) == [
        "flow 0: life 1 of 2 was broken off in handling it"
    ]
    assert judge(history(*right[:3], *last)) == ["flow 0: lost; begun in lives [1], ended in [1]"]
    again = [*right[:2], "a 2 begin 0", "a 2 end 0", right[3], *last]
    assert judge(history(*again), broken_off=True) == []
    assert judge(history(*right[:2], *last), broken_off=True) == [
        "flow 0: lost; begun in lives [1], ended in []"
    ]
