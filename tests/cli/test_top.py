"""`liteyuki top`: on a terminal, and by textual's pilot against a bot that runs.

Tests cli/top.py, cli/live.py, cli/screen.py.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import DataTable, RichLog, Static

from liteyuki_core.cli.live import Live
from liteyuki_core.cli.screen import Confirmation, Top
from liteyuki_core.cli.text import t
from liteyuki_core.control import Client, NoBot
from tests.cli.conftest import Liteyuki
from tests.conftest import DEADLINE
from tests.control.conftest import CHILDREN
from tests.program import Program, python, unix
from tests.terminal import Terminal


@asynccontextmanager
async def shown(width: int = 100) -> AsyncIterator[tuple[Top, Pilot[None]]]:
    """The screen, and what presses its keys."""
    live = Live(Client().ask("GET", "/status"))
    live.start()
    try:
        app = Top(live)
        async with app.run_test(size=(width, 24)) as pilot:
            yield app, pilot
    finally:
        live.close()


def table(app: Top) -> DataTable[Any]:
    """Return the table of processes."""
    return app.screen_stack[0].query_one(DataTable)


def column(app: Top, number: int) -> list[str]:
    """Return the cells of a column."""
    return [str(table(app).get_row_at(row)[number]) for row in range(table(app).row_count)]


def log(app: Top) -> str:
    """Return what is in the log's pane."""
    return "\n".join(line.text for line in app.screen_stack[0].query_one(RichLog).lines)


async def until(pilot: Pilot[None], condition: Callable[[], object]) -> None:
    """Wait until something is shown."""
    deadline = monotonic() + DEADLINE
    while not condition():
        assert monotonic() < deadline, condition
        await pilot.pause(0.02)


async def test_the_table_and_the_log(bot: Program) -> None:
    """Main and each process; the log is that of the row with the cursor."""
    async with shown() as (app, pilot):
        assert column(app, 0) == ["main", *CHILDREN]
        assert column(app, 1) == [t("running")] * (1 + len(CHILDREN))
        await pilot.press("down")
        await until(pilot, lambda: "ready " in log(app))
        assert "process echo" not in log(app)
        await pilot.press("up", "up")
        await until(pilot, lambda: "process echo is ready" in log(app))
        Client().ask("POST", "/channels/echo-active/send", body={"data": "轻雪"})
        await until(pilot, lambda: "echoed 轻雪" in log(app))


async def test_a_key_asks_first(bot: Program) -> None:
    """No changes nothing; yes does it to the process that the cursor is on."""
    async with shown() as (app, pilot):
        before = column(app, 2)
        await pilot.press("down", "r")
        assert isinstance(app.screen, Confirmation)
        question = t("{verb} {name}?").format(verb=t("restart"), name="waits")
        assert question in str(app.screen.query_one(Static).render())
        await pilot.press("n")
        assert not isinstance(app.screen, Confirmation)
        await pilot.press("s", "y")
        await until(pilot, lambda: column(app, 1)[2] == t("stopped"))
        await pilot.press("t", "y")
        await until(pilot, lambda: column(app, 1)[2] == t("running"))
        assert [now != then for now, then in zip(column(app, 2), before, strict=True)] == [
            *(False, False, True, False, False, False),
        ]
        assert bot.found("process waits is to stop")


async def test_main_is_not_restarted(bot: Program) -> None:
    """A line says so, and nothing is asked."""
    async with shown() as (app, pilot):
        await pilot.press("up", "r")
        await until(pilot, lambda: "liteyuki shutdown" in str(app.query_one("#notice").render()))
        assert not isinstance(app.screen, Confirmation)


@pytest.mark.parametrize(
    ("width", "heads"),
    [
        (100, ["NAME", "STATE", "PID", "UPTIME", "RESTARTS", "CPU", "MEM", "LAG", "QUEUE"]),
        (40, ["NAME", "STATE", "CPU", "MEM"]),
        (10, ["NAME", "STATE"]),
    ],
)
async def test_a_narrow_terminal(bot: Program, width: int, heads: list[str]) -> None:
    """It has the columns that matter most; the others stand below, of the selected process."""
    async with shown(width) as (app, _):
        labels = [str(each.label) for each in table(app).columns.values()]
        assert labels[: len(heads)] == [t(head) for head in heads]
        if width > 40:
            return
        below = " ".join(str(each.render()) for each in app.query(Static))
        assert "PID " in below
        assert f"{t('LAG')} " in below


@pytest.mark.parametrize("width", [100, 40])
async def test_accounts(bot: Program, width: int) -> None:
    """How many are online stands beside the state, also on a narrow terminal."""
    status = Client().ask("GET", "/status")
    status["accounts"] = [
        {"process": "waits", "id": str(number), "state": state}
        for number, state in enumerate(("online", "offline", "disconnected"))
    ]
    app = Top(Live(status))  # What it shows does not change: its threads are not started.
    async with app.run_test(size=(width, 24)):
        labels = [str(each.label) for each in table(app).columns.values()]
        accounts = column(app, labels.index(t("ACCOUNTS")))
        assert accounts == ["-", *("1/3" if name == "waits" else "-" for name in CHILDREN)]


async def test_it_ends_with_the_bot(bot: Program) -> None:
    """And knows why."""
    live = Live(Client().ask("GET", "/status"))
    live.start()
    try:
        app = Top(live)
        async with app.run_test() as pilot:
            assert bot.stop() == 0
            await until(pilot, lambda: isinstance(live.error, NoBot) and not app.is_running)
    finally:
        live.close()


# ------------------------------------------------------------- as a process


def in_terminal(here: Path, environment: dict[str, str], columns: int = 80) -> Terminal:
    """Run it."""
    command = [sys.executable, "-m", "liteyuki_core.cli", "top"]
    return Terminal(command, here, {**environment, "LITEYUKI_LOG_LANG": "en"}, columns)


@unix
@pytest.mark.parametrize("columns", [80, 40])
def test_on_a_terminal(bot: Program, here: Path, environment: dict[str, str], columns: int) -> None:
    """It shows the processes, restarts one, and leaves the terminal as it was."""
    terminal = in_terminal(here, environment, columns)
    try:
        terminal.wait_for("mortal +running")
        terminal.press("r")
        terminal.wait_for(r"restart echo\? \[y/n\]")
        terminal.press("y")
        bot.wait_for_line("process echo is ready", count=2)
        terminal.press("q")
        assert terminal.wait() == 0
        assert "\x1b[?1049l" in terminal.raw
        assert "Traceback" not in terminal.text
    finally:
        terminal.close()


@unix
def test_the_bot_ends(bot: Program, here: Path, environment: dict[str, str]) -> None:
    """The exit code is that of every command where no bot runs."""
    terminal = in_terminal(here, environment)
    try:
        terminal.wait_for("mortal +running")
        assert bot.stop() == 0
        assert terminal.wait() == 4
        assert terminal.text.endswith("no bot runs here; liteyuki run starts one\n")
    finally:
        terminal.close()


@unix
def test_a_terminal_where_no_bot_runs(here: Path, environment: dict[str, str]) -> None:
    """The screen is not taken at all."""
    terminal = in_terminal(here, environment)
    try:
        assert terminal.wait(3 * DEADLINE) == 4
        assert terminal.raw == "no bot runs here; liteyuki run starts one\r\n"
    finally:
        terminal.close()


def test_without_a_terminal(liteyuki: Liteyuki) -> None:
    """It names what does the same there."""
    assert "`liteyuki status` shows the same once" in liteyuki("top", code=1)


def test_without_textual(here: Path, environment: dict[str, str]) -> None:
    """It names the extra that brings it."""
    result = python(
        """
        import io, sys
        from liteyuki_core.cli import top
        from liteyuki_core.cli.group import liteyuki
        sys.modules["textual"] = None
        class Terminal(io.StringIO):
            def isatty(self):
                return True
        sys.stdin = sys.stdout = Terminal()
        liteyuki(["top"])
        """,
        here,
        environment,
        LITEYUKI_LOG_LANG="en",
    )
    assert result.returncode == 1
    assert 'pip install "nonebot-plugin-liteyuki-comm[top]"' in result.stdout
