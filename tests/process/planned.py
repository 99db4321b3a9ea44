"""Runs a topology of real processes by its plan, and says what was wrong."""

from __future__ import annotations

import json
from pathlib import Path

from tests.children import facts
from tests.program import Environment, Program, running_program
from tests.topologies import Plan, judge

_BAD = (
    r"\[CRITICAL\]|has not stopped|can't be|set aside|FrameError|a pump failed|callback .* raised"
    r"|ignored its cancellation|did not end in time|never retrieved|^FAILED"
)


def run(folder: Path, environment: Environment, plan: Plan) -> tuple[list[str], Program]:
    """Run a plan; return what was wrong, each with a word first, and the program that has ended."""
    folder.mkdir()
    (folder / "plan.json").write_text(json.dumps(plan), encoding="utf-8")
    more = {"LITEYUKI_LOG_LANG": "en", "LITEYUKI_MAX_REDELIVERIES": "1000"}
    with running_program(folder, environment, "topology_bot", **more) as bot:
        bot.wait(240)
    wrong = judge(plan, facts.read(folder))
    wrong += [f"log: {match.string}" for match in bot.found(_BAD)]
    planned = any(fault["kind"] == "raise" for fault in plan["faults"])
    if not planned:
        wrong += [f"log: {match.string}" for match in bot.found("Traceback")]
    stops = next((i for i, line in enumerate(bot.lines) if "LiteyukiBot stops" in line), 0)
    codes = [match.string for match in bot.found(r"exited with code [^0]|was killed by")]
    wrong += [f"exit: {line}" for line in codes if line in bot.lines[stops:]]
    if bot.process.returncode:
        wrong.append(f"exit: main's code is {bot.process.returncode}")
    return wrong, bot
