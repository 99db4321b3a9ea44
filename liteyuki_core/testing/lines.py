"""The log of a bot under test: each line that the main process and its children write.

Ownership. `Lines` stands before the writer of one bot, and passes on all. Threads of the bot add
lines, the test reads them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from .. import log, record
from ..names import MAIN
from ..writer import Writer
from .waiting import NOTHING, SECONDS, Waits

_TAIL = 20
"""So many of the last lines are shown with a failure."""


class LogLine(NamedTuple):
    """A line of the log."""

    process: str
    """The name of the child that wrote it, or "main"."""
    text: str


class Lines:
    """The log's lines so far. From the test's thread."""

    def __init__(self, writer: Writer, waits: Waits, start: Callable[[], object]) -> None:
        self._all: list[LogLine] = []
        self._waits = waits
        self._start = start
        # The writer keeps its last lines only, and none from before the bot runs.
        own, lines = writer.own, writer.lines

        def of_main(text: str) -> str | None:
            self._add(MAIN, text)
            return own(text)

        def of_child(child: str, texts: list[str], **options: Any) -> None:
            for text in texts:
                self._add(child, text)
            lines(child, texts, **options)

        log.divert(of_main)
        writer.lines = of_child  # type: ignore[method-assign]

    def _add(self, process: str, text: str) -> None:
        self._all += [LogLine(process, line) for line in record.readable(text).splitlines()]

    @property
    def lines(self) -> list[LogLine]:
        """All lines so far, in the order in which they were written."""
        return list(self._all)

    def should_contain(
        self, text: str, process: str | None = None, timeout: float = SECONDS
    ) -> Any:
        """Wait until a line has this text in it, and return the line's text.

        With `process` only the lines of that child count, or those of "main". In an async test
        await it. Raises `AssertionError`, which shows the last lines, after `timeout` seconds.
        """
        __tracebackhide__ = True
        self._start()
        seen = 0

        def look() -> Any:
            nonlocal seen
            for line in self._all[seen:]:
                seen += 1
                if text in line.text and process in (None, line.process):
                    return line.text
            return NOTHING

        def late() -> Any:
            whose = "the log" if process is None else f"the log of {process}"
            raise AssertionError(
                f"{whose} should contain {text!r}, and did not within {timeout:g} s\n"
                f"{self.tail(process)}"
            )

        return self._waits.until("should_contain", look, timeout, late)

    def tail(self, process: str | None = None) -> str:
        """Return the last lines as text, of one process or of all."""
        lines = [line for line in self._all if process in (None, line.process)][-_TAIL:]
        if not lines:
            return "the log has no lines" + ("" if process is None else f" of {process}")
        width = max(len(line.process) for line in lines)
        shown = "\n".join(f"  {line.process:{width}} | {line.text}" for line in lines)
        return f"the log's last lines:\n{shown}"
