"""What commands show: texts, tables that become blocks on a narrow terminal, JSON, exit codes.

Colours are for terminals alone, and not where NO_COLOR is set.
"""

from __future__ import annotations

import json
import re
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

import click
from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from ..control import ControlError, NoBot
from ..errors import LiteyukiError
from .text import t

FAILED, WRONG, DOWN, NO_BOT = 1, 2, 3, 4
_CODES = {
    **{"ProcessStartError": DOWN, "NodeGone": DOWN, "NodeTimeout": DOWN, "ClusterError": DOWN},
    "ConfigError": WRONG,
}
"""The exit codes of errors, by their names in the API; FAILED of all others."""

_PROGRESS_AFTER = 1.0
_WIDEST = 10_000

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""They could do something to the terminal: move its cursor, change its title."""

STYLES = {
    **{"running": "green", "stopped": "dim", "failed": "bold red", "backoff": "red"},
    **{"starting": "yellow", "stopping": "yellow", "gone": "bold red"},
    **{"online": "green", "offline": "red", "disconnected": "yellow"},
    **{"WARNING": "yellow", "ERROR": "red", "CRITICAL": "bold red"},
}


def without_controls(text: str) -> str:
    """Return a text without what could do something to the terminal."""
    return _CONTROLS.sub("", text)


console = Console(highlight=False, markup=False, emoji=False)
console.soft_wrap = not console.is_terminal


def show_json(data: Any) -> None:
    """Write a JSON document."""
    click.echo(json.dumps(data, ensure_ascii=False, indent=2))


def show(text: str, style: str = "") -> None:
    """Write a text as it is, without what could do something to the terminal."""
    # The terminal itself breaks long lines: what is copied from it has no breaks then.
    console.print(Text(without_controls(text), style), soft_wrap=True)


def warn(text: str) -> None:
    """Write a text to standard error."""
    click.echo(without_controls(text), err=True)


def fail(text: str, code: int = FAILED) -> NoReturn:
    """Say what has failed, and end with an exit code."""
    warn(text)
    sys.exit(code)


@contextmanager
def errors_are_said() -> Iterator[None]:
    """Within the block, say what goes wrong, and end with its exit code."""
    try:
        yield
    except NoBot:
        fail(t("no bot runs here; liteyuki run starts one"), NO_BOT)
    except ControlError as error:
        fail(str(error), _CODES.get(error.kind, FAILED))
    except LiteyukiError as error:
        fail(str(error))


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """Within the block, show on a terminal that something is waited for, after a second."""
    errors = Console(stderr=True, highlight=False, markup=False)
    if not errors.is_terminal:
        yield
        return
    status = errors.status(what)
    timer = threading.Timer(_PROGRESS_AFTER, status.start)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        status.stop()


Rows = Sequence[Sequence[str]]


def rows(heads: Sequence[str], found: Rows, styled: int | None = None, right: str = "") -> Any:
    """Return a table, or blocks where the terminal is too narrow for it.

    The column `styled` has a colour by what it says. `right` has the numbers of the columns that
    are written to the right.
    """
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for number, head in enumerate(heads):
        table.add_column(head, no_wrap=True, justify="right" if str(number) in right else "left")
    for row in found:
        table.add_row(*(_cell(number, cell, styled) for number, cell in enumerate(row)))
    if not console.is_terminal:
        return _Wide(table)
    if _width(table) <= console.width:
        return table
    return Group(*(_block(heads, row, styled) for row in found))


def _width(table: Table) -> int:
    """Return how wide a table is where it has all the space that it wants."""
    wide = console.options.update(width=_WIDEST, max_width=_WIDEST)
    return Measurement.get(console, wide, table).maximum


class _Wide:
    """A table of its own width: who reads a pipe or a file wants lines that are whole."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def __rich_console__(self, console: Console, options: Any) -> Iterator[RenderableType]:
        wide = options.update(width=_width(self._table), max_width=_WIDEST)
        for line in console.render_lines(self._table, wide, pad=False):
            yield Text("".join(part.text for part in line).rstrip())


def _cell(number: int, cell: str, styled: int | None) -> Text:
    return Text(without_controls(cell), style_of(cell) if number == styled else "")


def style_of(cell: str) -> str:
    """Return the style of a state or of a level of the log."""
    return STYLES.get(cell, STYLES.get(_STATES.get(cell, ""), ""))


_STATES = {t(state): state for state in STYLES if state.islower()}


def _block(heads: Sequence[str], row: Sequence[str], styled: int | None) -> RenderableType:
    """Return a row as lines: its first cell, and below it what is known of the others."""
    lines = [Text(without_controls(row[0]), "bold")]
    rest = Text()
    for number, (head, cell) in enumerate(zip(heads[1:], row[1:], strict=True), 1):
        if cell in ("", "-"):
            continue
        pair = Text(f"  {head} ", "dim").append_text(_cell(number, cell, styled))
        if rest and cell_len(rest.plain) + cell_len(pair.plain) > console.width:
            lines.append(rest)
            rest = Text()
        rest.append_text(pair)
    return Group(*lines, rest)
