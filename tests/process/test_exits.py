"""`sys.exit()` and KeyboardInterrupt in callbacks: they end the process, wherever it is then."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.program import Environment, running_program, unix, went_well

KINDS = "async", "sync", "several", "filter", "watch", "topic", "task"

SEVEN = [(kind, "sleep", "SystemExit(7)", 7) for kind in KINDS]
PLACES = [("async", place, "SystemExit(7)", 7) for place in ("receive", "for", "loop")]
CODES = [
    ("async", "sleep", "SystemExit()", 0),
    ("sync", "receive", "SystemExit(0)", 0),
    ("filter", "loop", "SystemExit(False)", 0),
    ("sync", "sleep", "SystemExit('why it ends')", 1),
    ("sync", "sleep", "KeyboardInterrupt()", 130),
    ("async", "loop", "KeyboardInterrupt()", 130),
    ("topic", "receive", "KeyboardInterrupt()", 130),
]


@unix
@pytest.mark.parametrize("cases", [SEVEN, PLACES + CODES[:3], CODES[3:]], ids=str)
def test_a_callback_ends_its_process(
    tmp_path: Path, environment: Environment, cases: list[tuple[str, str, str, int]]
) -> None:
    """With the code that it says, and one line that names it."""
    with running_program(
        tmp_path, environment, "exits:children", json.dumps([case[:3] for case in cases])
    ) as bot:
        went_well(bot)
        assert bot.found(f"^codes {[code for *_, code in cases]}$".replace("[", r"\[")), bot.output
        for i, (kind, _, error, code) in enumerate(cases):
            line = error.replace("(", r"\(").replace(")", r"\)")
            lines = bot.found(f"raised {line}: this process ends$", of=f"w{i}")
            assert len(lines) == 1, bot.output
            what = "filter" if kind == "filter" else "callback"
            by = "a task that a callback has started" if kind == "task" else f": {what} register"
            assert by in lines[0].string
            assert ("ERROR" in lines[0].string) is bool(code)
        if cases is CODES:
            assert bot.found("^why it ends$", of=r"w\d")
        assert not bot.found("Traceback|ended by force|never retrieved"), bot.output


def test_a_stop_while_the_target_is_imported(tmp_path: Path, environment: Environment) -> None:
    """It ends there, and nobody calls that an error of its import."""
    with running_program(tmp_path, environment, "exits:imports_slowly") as bot:
        bot.wait_for_line("^is being imported$")
        assert bot.stop() == 0
        assert bot.found("process slow exited with code 0"), bot.output
        assert not bot.found("Traceback|can't be imported|ended by force"), bot.output


@unix
@pytest.mark.parametrize("ordered", [True, False])
def test_what_it_was_about_to_handle_goes_to_the_successor(
    tmp_path: Path, environment: Environment, ordered: bool
) -> None:
    """Handled is what came before, and the message itself if the code is 0; what waits is kept."""
    with running_program(
        tmp_path, environment, "exits:successors", *(["ordered"] if ordered else [])
    ) as bot:
        went_well(bot)
        assert len(bot.found("exited with code 7")) == 2


@unix
def test_a_main_thread_that_does_not_end(tmp_path: Path, environment: Environment) -> None:
    """It is ended by force, with the code, after a while."""
    with running_program(tmp_path, environment, "exits:by_force") as bot:
        went_well(bot)
        assert bot.found("process w: its main thread has not ended within 0.5 s; ended by force")


@unix
@pytest.mark.parametrize(
    ("error", "code"), [("SystemExit(7)", 7), ("SystemExit()", 0), ("KeyboardInterrupt()", 130)]
)
@pytest.mark.parametrize("door", ["async", "sync"])
def test_a_callback_ends_the_main_process(
    tmp_path: Path, environment: Environment, error: str, code: int, door: str
) -> None:
    """Children are stopped in order, hooks run, and `run` passes on what was raised."""
    with running_program(tmp_path, environment, "exits:of_main", error, door) as bot:
        assert bot.wait(60) == code
        assert bot.found("channel w-active: callback .*on_message raised .*: this process ends$")
        assert bot.found(r"^exit codes \[0\]"), bot.output
        assert bot.found("^run ended"), bot.output
        assert bot.found("LiteyukiBot has stopped$")
        assert not bot.found("a pump failed|never retrieved|has not stopped"), bot.output
