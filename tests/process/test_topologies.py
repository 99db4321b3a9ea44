"""Random topologies of real processes under faults, judged by the laws of channels.

`--long` runs eighty seeds, `LITEYUKI_TEST_SEED=7` or `=100-200` others. A failure is made
smaller and printed as a plan: `LITEYUKI_TOPOLOGY_PLAN=plan.json` runs such a file again. Plans that
have failed once are kept beside this file, in topologies/.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from time import monotonic

import pytest

from tests import topologies
from tests.children.facts import Fact
from tests.process.planned import run
from tests.topologies import Plan, judge, make_plan

Environment = dict[str, str]

KEPT = Path(__file__).parent / "topologies"
SHORT = ("main_keeps_what_it_looked_for", "sent_to_one_that_was_stopped")
"""Two of them that do not take long."""

SHRINK_SECONDS = 90.0

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="it sends signals as Unix has them")


def seeds() -> list[object]:
    """Return the seeds to run, most of them for --long alone."""
    asked = os.environ.get("LITEYUKI_TEST_SEED")
    if asked:
        first, _, last = asked.partition("-")
        return list(range(int(first), int(last or first) + 1))
    long = [pytest.param(seed, marks=pytest.mark.long) for seed in range(4, 80)]
    return [*range(4), *long]


def plans() -> list[object]:
    """Return the files with plans that have failed once, and the one that is asked for.

    Most of the former are for --long alone.
    """
    asked = os.environ.get("LITEYUKI_TOPOLOGY_PLAN")
    kept = sorted(KEPT.glob("*.json"))
    long = [pytest.param(path, marks=pytest.mark.long) for path in kept if path.stem not in SHORT]
    short = [path for path in kept if path.stem in SHORT]
    return [*short, *long, *([Path(asked)] if asked else [])]


def kinds(wrong: list[str]) -> set[str]:
    """Return in which ways a run was wrong."""
    return {line.partition(":")[0] for line in wrong}


def shrink(
    folder: Path, environment: Environment, plan: Plan, wrong: list[str]
) -> tuple[Plan, list[str]]:
    """Return the smallest plan found soon that is wrong in one of the same ways."""
    deadline = monotonic() + SHRINK_SECONDS
    wanted, number = kinds(wrong), 0
    if wanted & {"lost", "broken off"}:
        plan = {**plan, "patience": 3.0}  # Time enough to see that.
    smaller = topologies.smaller(plan)
    while monotonic() < deadline:
        less = next(smaller, None)
        if less is None:
            break
        for _ in range(2):
            number += 1
            found, _ = run(folder / f"smaller-{number}", environment, less)
            if kinds(found) & wanted:
                plan, wrong = less, found
                smaller = topologies.smaller(plan)
                break
    return plan, wrong


def check(folder: Path, environment: Environment, plan: Plan, *, kept: bool = False) -> None:
    """Run a plan and fail with all that helps to find out what was wrong.

    One that is `kept` is small already.
    """
    wrong, bot = run(folder / "run", environment, plan)
    if not wrong:
        return
    least, still = (plan, wrong) if kept else shrink(folder, environment, plan, wrong)
    pytest.fail(
        "\n".join(
            [
                f"seed {plan['seed']}: {len(wrong)} are wrong:",
                *wrong[:40],
                "its log:",
                bot.output,
                "the smallest plan, for LITEYUKI_TOPOLOGY_PLAN:",
                json.dumps(least),
                "in which:",
                *still[:20],
            ]
        ),
        pytrace=False,
    )


@pytest.mark.parametrize("seed", seeds())
def test_a_seed(tmp_path: Path, environment: Environment, seed: int) -> None:
    """Whatever happens to whom: nothing lost, doubled, out of order or waiting for ever."""
    check(tmp_path, environment, make_plan(seed))


@pytest.mark.parametrize("path", plans(), ids=lambda path: path.stem)
def test_a_plan(tmp_path: Path, environment: Environment, path: Path) -> None:
    """What has failed once."""
    plan = json.loads(path.read_text(encoding="utf-8"))
    check(tmp_path, environment, plan, kept=path.parent == KEPT)


PLAN: Plan = {
    "seed": 0,
    "seconds": 1,
    "children": {"a": "wait", "b": "wait"},
    "channels": {"jobs": {"owner": "main", "made": True, "capacity": 8}},
    "senders": [
        {"process": "main", "channel": "jobs", "way": "thread", "count": 3},
        {"process": "a", "channel": "jobs", "way": "thread", "count": 1},
    ],
    "receivers": [
        {"process": "a", "channels": ["jobs"], "way": "iterate"},
        {"process": "main", "channels": ["jobs"], "way": "iterate"},
    ],
    "faults": [],
}


def history(*lines: str) -> list[Fact]:
    """Return facts from lines like `a 1 begin 0 main 1 0 2`; `main` has said of its own."""
    found = []
    for time, line in enumerate(lines):
        process, life, kind, *rest = line.split()
        details: list[object] = [int(word) if word.isdigit() else word for word in rest]
        if kind in ("begin", "end"):
            details = [details[0], details[1:]]
        found.append(Fact(float(time), process, int(life), kind, tuple(details)))
    return found


START = ["main 1 start 1", "a 1 start 11", "main 1 sent 0 0", "a 1 begin 0 main 1 0 0"]
HANDLED = [*START, "a 1 end 0 main 1 0 0"]
DONE = ["main 1 done 0", "a 1 done 1", "a 2 done 1"]
SECOND = ["main 1 sent 0 1", "a 1 begin 0 main 1 0 1", "a 1 end 0 main 1 0 1"]
CAME_BACK = [[f"main 1 {kind} 1 a 1 1 {n}" for kind in ("begin", "end")] for n in range(2)]
AGAIN = ["a 2 start 12", "a 2 begin 0 main 1 0 0", "a 2 end 0 main 1 0 0"]


@pytest.mark.parametrize(
    "lines",
    [
        HANDLED,
        [*START, "main 1 kill 11", *AGAIN],
        [*HANDLED, "main 1 kill 11", *AGAIN],
        [*START, "a 1 exit sys_exit", *AGAIN],
        [*HANDLED, "a 1 sent 1 0", "a 1 sent 1 1", *CAME_BACK[0], "main 1 kill 11", *AGAIN[:1]],
        [*HANDLED, "main 1 closing jobs", "a 1 sent 1 0"],
    ],
)
def test_the_judge_finds_nothing_wrong(lines: list[str]) -> None:
    """A kill has what was in hand come again, and may take with it what was sent last."""
    assert judge(PLAN, history(*lines, *DONE)) == []


@pytest.mark.parametrize(
    ("lines", "what"),
    [
        ([*HANDLED, "main 1 sent 0 1"], "lost: jobs: 1 of main 1"),
        ([*START, "main 1 kill 11", "a 2 start 12"], "lost: jobs: 0 of main 1"),
        ([*HANDLED, "main 1 sent 0 1", "main 1 closing jobs"], "lost: jobs: 1 of main 1"),
        ([*HANDLED, "a 1 sent 1 0", "main 1 stop 11", "a 2 start 12"], "lost: jobs: 0 of a 1"),
        (
            [*HANDLED, "a 1 sent 1 0", "a 1 sent 1 1", *CAME_BACK[1], "main 1 kill 11", *AGAIN[:1]],
            "lost: jobs: 0 of a 1",
        ),
        ([*HANDLED, *AGAIN], "doubled: jobs: 0 of main 1"),
        ([*HANDLED, "main 1 stop 11", *AGAIN], "doubled: jobs: 0 of main 1"),
        ([*START, "main 1 stop 11", *AGAIN], "broken off: jobs: 0 of main 1"),
        (["main 1 restart 11", *START, *AGAIN], "broken off: jobs: 0 of main 1"),
        (
            [*START[:3], *SECOND, *HANDLED[3:]],
            "order: jobs: a 1 got 1 before 0",
        ),
        ([*HANDLED, "main 1 begin 1 main 1 0 0"], "own: jobs: 0 of main 1"),
        ([*HANDLED, "main 1 closing_all", "main 1 over 1"], "hangs: receiver 0 of a"),
        ([*HANDLED, "a 1 answer 1 0 timeout"], "hangs: jobs: 0 of a 1"),
    ],
)
def test_the_judge_finds(lines: list[str], what: str) -> None:
    """One history for each thing that can be wrong."""
    wrong = judge(PLAN, history(*lines, *DONE))
    assert [line for line in wrong if line.startswith(what)], wrong


def test_plans_are_what_they_are() -> None:
    """A seed gives the same plan each time; smaller ones are plans and come to an end."""
    for seed in range(200):
        plan = make_plan(seed)
        assert plan == make_plan(seed) == json.loads(json.dumps(plan))
    steps = 0
    while (less := next(topologies.smaller(plan), None)) is not None:
        assert len(json.dumps(less)) <= len(json.dumps(plan))
        plan, steps = less, steps + 1
    assert steps < 500
    assert not plan["senders"]
