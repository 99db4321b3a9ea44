"""The screen of `liteyuki top`: a table of processes, the log of the one that is selected, keys.

A narrow terminal has the columns that matter most; what has no room stands below the table, for the
process that is selected.
"""

from __future__ import annotations

from collections import defaultdict, deque
from typing import Any, ClassVar

from rich.cells import cell_len
from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen
from textual.widgets import DataTable, Footer, RichLog, Static

from ..units import in_bytes, in_words
from .commands import columns_of, summary_of
from .live import Live
from .output import style_of, without_controls
from .text import t

_SECONDS = 0.25
_LINES = 300
"""Of each process. To draw one takes about a millisecond."""
_MAIN = "main"
_BY_WEIGHT = (
    "NAME",
    "STATE",
    "ACCOUNTS",
    "CPU",
    "MEM",
    "QUEUE",
    "UPTIME",
    "RESTARTS",
    "LAG",
    "PID",
)


class Confirmation(ModalScreen[bool]):
    """Asks whether something is to be done."""

    CSS = """
    Confirmation { align: center middle; }
    Confirmation Static { width: auto; max-width: 90%; padding: 1 2; border: round $warning; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y,enter", "dismiss(True)", t("yes")),
        Binding("n,escape,q", "dismiss(False)", t("no")),
    ]

    def __init__(self, question: str) -> None:
        super().__init__()
        self._question = question

    def compose(self) -> ComposeResult:
        yield Static(Text(f"{self._question} [y/n]"))


class Top(App[None]):
    """Shows what `live` has, until a key ends it or nothing more comes."""

    CSS = """
    DataTable { height: auto; max-height: 50%; }
    .line { height: auto; color: $text-muted; }
    #notice { height: auto; color: $warning; }
    RichLog { height: 1fr; border-top: solid $primary; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "want('restart')", t("restart")),
        Binding("s", "want('stop')", t("stop")),
        Binding("t", "want('start')", t("start")),
        Binding("q,ctrl+c", "quit", t("quit")),
    ]
    ENABLE_COMMAND_PALETTE = False

    def __init__(self, live: Live) -> None:
        super().__init__()
        self._live = live
        self._selected = ""
        self._lines: defaultdict[str, deque[Text]] = defaultdict(lambda: deque(maxlen=_LINES))
        self._shown: dict[str, Any] | None = None
        self._shape: tuple[str, ...] = ()
        """The names and columns that the table has."""
        self._bot = Static(classes="line")
        self._table = DataTable[Text](cursor_type="row")
        self._rest = Static(classes="line")
        self._notice = Static(id="notice")
        self._pane = RichLog(max_lines=_LINES, wrap=True, min_width=1)

    def compose(self) -> ComposeResult:
        yield from (self._bot, self._table, self._rest, self._notice, self._pane)
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        self._look()
        self.set_interval(_SECONDS, self._look)

    def on_resize(self) -> None:
        self._show()

    # ------------------------------------------------------------- what is shown

    def _look(self) -> None:
        if self._live.error is not None:
            self.exit()
            return
        if self._live.status is not self._shown:
            self._show()
        self._notice.update(Text(without_controls(self._live.notice)))
        self._notice.display = bool(self._live.notice)
        self._take_lines()

    def _show(self) -> None:
        status = self._shown = self._live.status
        known, cells = columns_of(status)
        rows = {_MAIN: dict.fromkeys(known, "-") | _main(status)}
        rows |= {row[0]: dict(zip(known, row, strict=True)) for row in cells}
        heads = _fitting(known, rows, self.size.width)
        self._bot.update(Text(summary_of(status)))
        self._show_table(rows, heads)
        selected = rows[self._selected]
        rest = [f"{t(head)} {selected[head]}" for head in known if head not in heads]
        self._rest.update(Text("  ".join(rest)))
        self._rest.display = bool(rest)

    def _show_table(self, rows: dict[str, dict[str, str]], heads: tuple[str, ...]) -> None:
        table, shape = self._table, (*rows, "", *heads)
        if shape == self._shape:
            for name, row in rows.items():
                for head in heads:
                    cell = _cell(head, row[head])
                    if table.get_cell(name, head) != cell:
                        table.update_cell(name, head, cell, update_width=True)
            return
        self._shape = shape
        selected = self._selected
        table.clear(columns=True)
        for head in heads:
            table.add_column(t(head), key=head)
        for name, row in rows.items():
            table.add_row(*(_cell(head, row[head]) for head in heads), key=name)
        names = list(rows)
        first = names[1] if len(names) > 1 else _MAIN
        self._select(selected if selected in rows else first)
        table.move_cursor(row=names.index(self._selected))

    def _take_lines(self) -> None:
        new: deque[Text] = deque(maxlen=_LINES)
        for line in self._live.take():
            text = Text(without_controls(line["text"]), style_of(line["level"] or ""))
            self._lines[line["process"]].append(text)
            if line["process"] == self._selected:
                new.append(text)
        for each in new:
            self._pane.write(each)

    def _select(self, name: str) -> None:
        if name == self._selected:
            return
        self._selected = name
        self._pane.border_title = name
        self._pane.clear()
        for line in self._lines[name]:
            self._pane.write(line)

    # ------------------------------------------------------------- keys

    def on_data_table_row_highlighted(self, event: DataTable.RowHighlighted) -> None:
        if event.cursor_row == self._table.cursor_row:
            self._follow_cursor()
            self._show()

    def _follow_cursor(self) -> None:
        """Select what the cursor is on. The table says so a little later than it moves."""
        key = self._table.coordinate_to_cell_key(self._table.cursor_coordinate).row_key.value
        assert key is not None
        self._select(key)

    def action_want(self, verb: str) -> None:
        self._follow_cursor()
        name = self._selected
        if name == _MAIN:
            self._live.say(t("this is for the other processes; `liteyuki shutdown` ends main"))
            return

        def answered(yes: bool | None) -> None:
            if yes:
                self._live.want(verb, name)

        question = t("{verb} {name}?").format(verb=t(verb), name=name)
        self.push_screen(Confirmation(question), answered)


def _main(status: dict[str, Any]) -> dict[str, str]:
    return {
        "NAME": _MAIN,
        "STATE": t("running"),
        "PID": str(status["pid"]),
        "UPTIME": in_words(status["uptime"]),
        "MEM": in_bytes(status["memory"]),
    }


def _cell(head: str, text: str) -> Text:
    return Text(without_controls(text), style_of(text) if head == "STATE" else "")


def _fitting(known: list[str], rows: dict[str, dict[str, str]], width: int) -> tuple[str, ...]:
    """Return the columns that have room, in their order; the first two in any case."""
    fitting: set[str] = set()
    for head in (*_BY_WEIGHT, *(head for head in known if head not in _BY_WEIGHT)):
        if head not in known:
            continue
        widest = max(cell_len(t(head)), *(cell_len(row[head]) for row in rows.values()))
        width -= widest + 2
        if width < 0 and len(fitting) > 1:
            break
        fitting.add(head)
    return tuple(head for head in known if head in fitting)
