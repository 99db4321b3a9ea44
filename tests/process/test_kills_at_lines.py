"""SIGKILL at chosen lines of the message path, as they are executed: the successor loses nothing.

A first run counts which lines a child executes while it receives, answers, sends, makes
channels, asks the store and takes long messages; then lives of it end at some of those. `--long`
takes 150 of them, `LITEYUKI_TEST_SEED` others.
"""

from __future__ import annotations

import json
import os
import random
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.children import facts
from tests.children.lines import CHILD, COUNTS
from tests.process.planned import run
from tests.topologies import History, Plan

Environment = dict[str, str]
Place = list[Any]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="it sends signals as Unix has them")

SEED = int(os.environ.get("LITEYUKI_TEST_SEED", "2026").partition("-")[0])
MANY = 100_000

_TRACING = """
from tests.children import lines

lines.trace_threads()
"""


def sender(process: str, channel: str, way: str, **more: object) -> dict[str, object]:
    """Return one of the plan."""
    about = {"process": process, "channel": channel, "way": way, "count": MANY, "pause": 0.003}
    return {**about, "size": 0, "asks": False, **more}


def receiver(process: str, channel: str, way: str, **more: object) -> dict[str, object]:
    """Return one of the plan."""
    return {"process": process, "channels": [channel], "way": way, "handling": 0, **more}


def plan(kills: list[Place]) -> Plan:
    """Return the topology: one child with all that it can do on the way of a message."""
    return {
        "seed": SEED,
        "seconds": 1,
        "answer_seconds": 120,  # The next life may be killed before it has answered, and so on.
        "children": {CHILD: "receive"},
        "channels": {
            "w-active": {"owner": CHILD, "made": False},
            "w-passive": {"owner": CHILD, "made": False},
            "made": {"owner": CHILD, "made": True, "capacity": 16},
            "jobs": {"owner": "main", "made": True, "capacity": 8},
        },
        "senders": [
            sender("main", "w-active", "async"),
            sender("main", "w-passive", "thread", asks=True),
            sender("main", "made", "async", size=200_000, pause=0.02),
            sender("main", "jobs", "shift"),
            sender(CHILD, "w-active", "thread"),
            sender(CHILD, "made", "async", size=200_000, pause=0.02),
            sender(CHILD, "jobs", "burst"),
        ],
        "receivers": [
            receiver(CHILD, "w-active", "receive", stores=True),
            receiver(CHILD, "w-passive", "ordered", stores=True),
            receiver(CHILD, "made", "sync_ordered"),
            receiver(CHILD, "jobs", "async_iterate"),
            receiver("main", "w-active", "ordered"),
            receiver("main", "made", "async_iterate"),
            receiver("main", "jobs", "receive"),
        ],
        "faults": [],
        "kills": kills,
    }


def executed(folder: Path, environment: Environment) -> list[Place]:
    """Return the lines that the child executes, and how often each."""
    wrong, bot = run_traced(folder, environment, plan([[]]))
    assert not wrong, "\n".join([*wrong, bot.output])
    counts: list[Place] = json.loads((folder / COUNTS).read_text(encoding="utf-8"))
    assert len(counts) > 200, counts
    return counts


def run_traced(folder: Path, environment: Environment, plan: Plan) -> Any:
    """Run a plan in a project whose children trace their threads."""
    site = folder.with_name("site")
    site.mkdir(exist_ok=True)
    (site / "sitecustomize.py").write_text(_TRACING, encoding="utf-8")
    path = os.pathsep.join([str(site), environment.get("PYTHONPATH", "")])
    # A fork server runs `sitecustomize` once for all its children, and is not to be traced.
    spawned = {"LITEYUKI_START_METHOD": "spawn", "PYTHONPATH": path}
    return run(folder, {**environment, **spawned}, plan)


def chosen(counts: list[Place], count: int) -> list[Place]:
    """Return lines to be killed at, and in which execution, from all files alike."""
    chance = random.Random(SEED)
    files: dict[str, list[Place]] = {}
    for place in counts:
        files.setdefault(place[0], []).append(place)
    places = []
    for _ in range(count):
        file, line, times = chance.choice(files[chance.choice(sorted(files))])
        places.append(
            [file, line, chance.choice((1, 2, chance.randint(1, 30))) if times > 30 else 1]
        )
    return places


@pytest.mark.parametrize("count", [6, pytest.param(150, marks=pytest.mark.long)])
def test_kills_at_lines(tmp_path: Path, environment: Environment, count: int) -> None:
    """Nothing is lost or out of order; what comes again was not acknowledged."""
    places = chosen(executed(tmp_path / "counted", environment), count)
    for batch in range(0, count, 40):
        kills = places[batch : batch + 40]
        folder = tmp_path / f"killed-{batch}"
        wrong, bot = run_traced(folder, environment, plan(kills))
        found = facts.read(folder)
        again = sum(len(begun) - 1 for begun in History(plan(kills), found).begun.values())
        hit = [fact.details for fact in found if fact.kind == "killed at"]
        told = f"{len(hit)} of {len(kills)} lines were hit, {again} messages came again: {kills}"
        if wrong:
            pytest.fail("\n".join([told, *wrong[:40], bot.output]), pytrace=False)
        assert len(hit) >= len(kills) // 2, told
        # Capacities are the most that can be unacknowledged: 1024 twice, 16 and 8.
        assert again <= len(kills) * 2072, told
