"""Tables and blocks, and what a terminal must not be told."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from liteyuki_core.cli import output

ROWS = [["nonebot", "running", "3"], ["轻雪的工人", "failed", "-"]]
HEADS = ["NAME", "STATE", "RESTARTS"]


def drawn(monkeypatch: pytest.MonkeyPatch, width: int, *, terminal: bool) -> list[str]:
    """Return the lines of a table."""
    console = Console(
        file=io.StringIO(), width=width, force_terminal=terminal, color_system=None, highlight=False
    )
    console.soft_wrap = not terminal
    monkeypatch.setattr(output, "console", console)
    console.print(output.rows(HEADS, ROWS, styled=1, right="2"))
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


@pytest.mark.parametrize("terminal", [True, False])
def test_a_table_where_it_fits(monkeypatch: pytest.MonkeyPatch, terminal: bool) -> None:
    """Its columns stand below each other, Chinese names count double."""
    assert drawn(monkeypatch, 80, terminal=terminal) == [
        "NAME        STATE    RESTARTS",
        "nonebot     running         3",
        "轻雪的工人  failed          -",
    ]


def test_blocks_on_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is cut off, and what is not known is left out."""
    assert drawn(monkeypatch, 24, terminal=True) == [
        "nonebot",
        "  STATE running",
        "  RESTARTS 3",
        "轻雪的工人",
        "  STATE failed",
    ]


def test_a_pipe_gets_whole_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """However narrow it is said to be."""
    assert drawn(monkeypatch, 24, terminal=False)[1] == "nonebot     running         3"


def test_nothing_is_done_to_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line of the log may have anything in it."""
    console = Console(file=io.StringIO(), force_terminal=True, color_system="standard")
    monkeypatch.setattr(output, "console", console)
    output.show("a\x1b]0;title\x07\x1b[2J[bold]b\r\x9b1mc")
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue() == "a]0;title[2J[bold]b1mc\n"
