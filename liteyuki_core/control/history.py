"""The whole log, page by page: lines of the log file, and of files that were rotated away.

A line is known by its position, see `log_files.py`. Where there is no log file, the lines in memory
are all there is, and a position is a line's number. A page has an end, from which the next newer
page goes on, and at last the stream: no line is left out between them, or there twice.

A page costs at most `_LOOK_BYTES` of reading, and the unpacking of a file that was compressed.

Ownership. A `History` owns its `LogFiles`. One thread at a time calls it, which waits for the disk.
"""

from __future__ import annotations

import os
import re
from typing import IO

from ..errors import LiteyukiError
from ..log import FileConfig
from ..names import MAIN
from ..ring import Entry
from ..writer import Line as Written
from ..writer import Writer
from . import log_files, models
from .lines import Reading, may_match
from .log_files import File, Gone, Log, LogFiles, Place

_LOOK_BYTES = 4 << 20
_CONTEXT = 16 << 10
"""Lines before those of a block are read too, for the times and levels of lines that have none."""
_POSITION = re.compile(r"([0-9a-f]{1,32})(:-?|-)([0-9]{1,18})")


class NoPosition(LiteyukiError, ValueError):
    """The log has no such position: it is misspelled, or of another life of the bot."""


class History:
    """Looks into the log. `config` is of its file, if it has one."""

    def __init__(self, writer: Writer, config: FileConfig | None, life: str) -> None:
        self._writer = writer
        self._life = life
        self._files = None if config is None else LogFiles(writer, os.path.abspath(config.path))

    def page(self, asked: models.History) -> models.LogPage:
        """Return lines as they are asked for. Raises `NoPosition` and `OSError`."""
        if sum(each is not None for each in (asked.before, asked.after, asked.at)) > 1:
            raise NoPosition("say only one of before, after and at")
        files = self._files
        if files is None:
            return self._in_memory(asked)
        for _ in range(5):
            try:
                log = files.look()
                if asked.after is not None:
                    return self._forwards(files, log, asked, self._position(asked.after))
                return self._backwards(files, log, asked, self._end_of(files, log, asked))
            except Gone:
                continue
        raise LiteyukiError("the log files change too quickly: ask again")

    @property
    def beginning(self) -> str:
        """A position before all lines."""
        return f"{self._life}-0" if self._files is None else f"{self._life}:-{10**17}"

    def number_at(self, position: str) -> int:
        """Return the number of the last line in memory that is not after a position, or 0.

        0 is also what a position has that is older than all of them: who goes on from there is
        told that lines are forgotten. Raises `NoPosition`. It does not wait for the disk.
        """
        at = self._position(position)
        entries, _ = self._writer.recent.after(0)
        if self._files is None:
            return min(max(0, at), self._writer.recent.last)
        for entry in reversed(entries):
            if entry.item.at is not None and entry.item.at <= at:
                return entry.number
        return 0

    def close(self) -> None:
        """Forget what was unpacked. Idempotent."""
        if self._files is not None:
            self._files.close()

    # ------------------------------------------------------------- positions

    def _position(self, text: str) -> int:
        found = _POSITION.fullmatch(text)
        if found is None or found[1] != self._life:
            raise NoPosition(f"{text} is no position in the log of this bot as it runs now")
        number = int(found[3])
        if found[2] == "-" and self._files is not None:
            return self._of_line(number)
        return -number if found[2] == ":-" else number

    def _of_line(self, number: int) -> int:
        """Return the position of a line by its number, which `Last-Event-ID` has."""
        entries, _ = self._writer.recent.after(number - 1, 1)
        if not entries or entries[0].number != number or entries[0].item.at is None:
            raise NoPosition(f"line {number} is not in memory any more: use its position")
        return entries[0].item.at

    def _end_of(self, files: LogFiles, log: Log, asked: models.History) -> int:
        """Return the position up to which lines are asked for."""
        if asked.before is not None:
            return min(log.end, self._position(asked.before))
        if asked.at is not None:
            return files.position_of(log, files.place_at(log, asked.at))
        return log.end

    # ------------------------------------------------------------- pages

    def _backwards(
        self, files: LogFiles, log: Log, asked: models.History, end: int
    ) -> models.LogPage:
        last = self._shown(end - 1)
        if not log.files or not asked.lines:
            next = self._shown(end)
            return models.LogPage(lines=[], more=bool(log.files), next=next, end=last)
        number, stop = files.place(log, end)
        found: list[models.Line] = []
        looked = 0
        while looked < _LOOK_BYTES:
            if stop == 0:
                if number == 0:
                    return models.LogPage(lines=found, more=False, next=None, end=last)
                number -= 1
                stop = files.length(log.files[number])
                continue
            with files.open(log.files[number]) as opened:
                start = log_files.line_before(opened, max(0, stop - log_files.BLOCK), stop)
                base = files.position_of(log, Place(number, 0))
                lines = self._read(opened, asked, log.files[number], base, start, stop)
            looked += stop - start
            stop = start
            found = lines + found
            if len(found) > asked.lines:
                found = found[-asked.lines :]
                next = found[0].position
                return models.LogPage(lines=found, more=True, next=next, end=last)
        next = self._shown(files.position_of(log, Place(number, stop)))
        return models.LogPage(lines=found, more=True, next=next, end=last)

    def _forwards(
        self, files: LogFiles, log: Log, asked: models.History, after: int
    ) -> models.LogPage:
        last = self._shown(log.end - 1)
        if not log.files:
            return models.LogPage(lines=[], more=False, next=last, end=last)
        number, start = files.place(log, after)
        found: list[models.Line] = []
        looked = 0
        while looked < _LOOK_BYTES:
            length = files.length(log.files[number])
            if start >= length:
                if number == len(log.files) - 1:
                    return models.LogPage(lines=found, more=False, next=last, end=last)
                number, start = number + 1, 0
                continue
            with files.open(log.files[number]) as opened:
                stop = log_files.line_after(opened, min(length, start + log_files.BLOCK), length)
                base = files.position_of(log, Place(number, 0))
                lines = self._read(opened, asked, log.files[number], base, start, stop)
            looked += stop - start
            start = stop
            found += [line for line in lines if line.position != self._shown(after)]
            if len(found) > asked.lines:
                found = found[: asked.lines]
                next = found[-1].position if found else self._shown(after)
                return models.LogPage(lines=found, more=True, next=next, end=next)
        next = self._shown(files.position_of(log, Place(number, start)) - 1)
        return models.LogPage(lines=found, more=True, next=next, end=next)

    def _shown(self, position: int) -> str:
        return f"{self._life}:{position}"

    def _read(
        self,
        opened: IO[bytes],
        asked: models.Matching,
        file: File,
        base: int,
        start: int,
        stop: int,
    ) -> list[models.Line]:
        """Return the matching lines of a part of a file, whose first byte is at `base`."""
        context = log_files.line_before(opened, max(0, start - _CONTEXT), start)
        opened.seek(context)
        if not may_match(opened.read(stop - context).decode("utf-8", "replace"), asked):
            return []
        reading = Reading(self._life, asked)
        time: float | None = None
        process = MAIN
        kept: list[tuple[int, str, str, float | None]] = []
        for offset, text in log_files.lines(opened, context, stop):
            process, shown = log_files.named(text, process)
            own = log_files.time_of(shown)
            time = time if own is None else own
            kept.append((offset, process, shown, time))
        first = next((each[3] for each in kept if each[3] is not None), file.found.st_mtime)
        entries = (
            Entry(0, first if time is None else time, Written(process, shown, at=base + offset))
            for offset, process, shown, time in kept
        )
        found = []
        for line in reading.read(entries):
            if int(line.position.rpartition(":")[2]) >= base + start:
                line.id = line.position
                found.append(line)
        return found

    # ------------------------------------------------------------- without a file

    def _in_memory(self, asked: models.History) -> models.LogPage:
        entries, _ = self._writer.recent.after(0)
        after = 0 if asked.after is None else self._position(asked.after)
        before = None if asked.before is None else self._position(asked.before)
        until = None if asked.at is None else log_files.seconds(asked.at) + 1
        numbers = [
            entry.number
            for entry in entries
            if entry.number > after
            and (before is None or entry.number < before)
            and (until is None or entry.time < until)
        ]
        wanted = {f"{self._life}-{number}" for number in numbers}
        found = [line for line in Reading(self._life, asked).read(entries) if line.id in wanted]
        more = len(found) > asked.lines
        first = entries[0].number if entries else 1
        end = f"{self._life}-{numbers[-1] if numbers else max(after, first - 1)}"
        if asked.after is not None:
            found = found[: asked.lines]
            last = (found[-1].position if found else asked.after) if more else end
            return models.LogPage(lines=found, more=more, next=last, end=last)
        found = found[len(found) - min(len(found), asked.lines) :]
        next = found[0].position if more and found else asked.before
        return models.LogPage(lines=found, more=more, next=next if more else None, end=end)
