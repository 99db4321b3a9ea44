"""The whole log, page by page: lines of the log file, and of files that were rotated away.

A line's position is where it begins, counted in bytes from the first that the log file has got in
this life; before that it is negative. So it stays the same when the file is rotated or compressed,
or the oldest is deleted: how far it is from the end of all is known. Where there is no log file,
the lines in memory are all there is, and a position is a line's number.

A page costs at most `_LOOK_BYTES` of reading, and the unpacking of a file that was compressed.

Ownership. A `History` owns the last file that it has unpacked, as a temporary file. One thread at a
time calls it, which waits for the disk.
"""

from __future__ import annotations

import bz2
import glob
import gzip
import json
import lzma
import os
import re
import tempfile
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import IO, Any, NamedTuple

from ..errors import LiteyukiError
from ..log import FileConfig
from ..names import MAIN
from ..ring import Entry
from ..writer import Line as Written
from ..writer import Writer
from . import models
from .lines import Reading, may_match

_LOOK_BYTES = 4 << 20
_BLOCK = 64 << 10
_CONTEXT = 16 << 10
"""Lines before those of a block are read too, for the times and levels of lines that have none."""
_LONGEST = 1 << 20
"""A longer line is taken for two."""
_UNPACKED_BYTES = 256 << 20
"""A compressed file that is longer than that is left out, with all that is older."""

_PACKED: dict[str, Any] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open, ".lzma": lzma.open}
_STAMP = r"\.\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d_\d{6}(\.\d+)?"
"""What loguru puts into the name of a file that it rotates away, before its end."""
_TIME = re.compile(r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d(?:\.\d{1,6})?)([+-]\d\d:\d\d)?")
_POSITION = re.compile(r"([0-9a-f]{1,32})(:-?|-)([0-9]{1,18})")


class NoPosition(LiteyukiError, ValueError):
    """The log has no such position: it is misspelled, or of another life of the bot."""


class _File(NamedTuple):
    path: str
    found: os.stat_result

    @property
    def identity(self) -> tuple[int, int, int, int]:
        """Changes when the file is another one, or is written to."""
        found = self.found
        return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size

    @property
    def opens(self) -> Any:
        """What opens it, if it is compressed."""
        return _PACKED.get(os.path.splitext(self.path)[1])


class _Gone(Exception):
    """A file was rotated away or deleted meanwhile: look again."""


class _Log(NamedTuple):
    """The log files at one moment, the oldest first; `end` is the position of their end."""

    files: list[_File]
    end: int


class _Place(NamedTuple):
    """A place in a file of a `_Log`. `number` is the file's."""

    number: int
    offset: int


class History:
    """Looks into the log. `config` is of its file, if it has one."""

    def __init__(self, writer: Writer, config: FileConfig | None, life: str) -> None:
        self._writer = writer
        self._life = life
        self._path = None if config is None else os.path.abspath(config.path)
        self._unpacked: tuple[tuple[int, int, int, int], IO[bytes]] | None = None
        self._lengths: dict[tuple[int, int, int, int], int] = {}

    def page(self, asked: models.History) -> models.LogPage:
        """Return lines as they are asked for. Raises `NoPosition` and `OSError`."""
        if sum(each is not None for each in (asked.before, asked.after, asked.at)) > 1:
            raise NoPosition("say only one of before, after and at")
        if self._path is None:
            return self._in_memory(asked)
        for _ in range(5):
            try:
                log = self._look()
                if asked.after is not None:
                    return self._forwards(log, asked, self._position(asked.after))
                return self._backwards(log, asked, self._end_of(log, asked))
            except _Gone:
                continue
        raise LiteyukiError("the log files change too quickly: ask again")

    @property
    def beginning(self) -> str:
        """A position before all lines."""
        return f"{self._life}-0" if self._path is None else f"{self._life}:-{10**17}"

    def number_at(self, position: str) -> int:
        """Return the number of the last line in memory that is not after a position, or 0.

        0 is also what a position has that is older than all of them: who goes on from there is
        told that lines are forgotten. Raises `NoPosition`. It does not wait for the disk.
        """
        at = self._position(position)
        entries, _ = self._writer.recent.after(0)
        if self._path is None:
            return min(max(0, at), self._writer.recent.last)
        for entry in reversed(entries):
            if entry.item.at is not None and entry.item.at <= at:
                return entry.number
        return 0

    def close(self) -> None:
        """Forget what was unpacked. Idempotent."""
        if self._unpacked is not None:
            self._unpacked[1].close()
            self._unpacked = None

    # ------------------------------------------------------------- positions

    def _position(self, text: str) -> int:
        found = _POSITION.fullmatch(text)
        if found is None or found[1] != self._life:
            raise NoPosition(f"{text} is no position in the log of this bot as it runs now")
        number = int(found[3])
        if found[2] == "-" and self._path is not None:
            return self._of_line(number)
        return -number if found[2] == ":-" else number

    def _of_line(self, number: int) -> int:
        """Return the position of a line by its number, which `Last-Event-ID` has."""
        entries, _ = self._writer.recent.after(number - 1, 1)
        if not entries or entries[0].number != number or entries[0].item.at is None:
            raise NoPosition(f"line {number} is not in memory any more: use its position")
        return entries[0].item.at

    def _end_of(self, log: _Log, asked: models.History) -> int:
        """Return the position up to which lines are asked for."""
        if asked.before is not None:
            return min(log.end, self._position(asked.before))
        if asked.at is not None:
            return self._position_of(log, self._place_at(log, asked.at))
        return log.end

    # ------------------------------------------------------------- files

    def _look(self) -> _Log:
        """Return the log files as they are now, in the order in which they were written."""
        assert self._path is not None
        with self._writer.file_lock:
            end = self._writer.filed
            found = []
            for path in self._paths():
                try:
                    found.append(_File(path, os.stat(path)))
                except OSError:
                    continue  # It was deleted meanwhile.
        found.sort(key=lambda file: (file.found.st_mtime_ns, file.path == self._path, file.path))
        return _Log(found, end)

    def _paths(self) -> set[str]:
        """Return the paths of the log file and of those that loguru has rotated away."""
        assert self._path is not None
        root, end = os.path.splitext(self._path)
        parts = [re.split(r"\{[^}]*\}", each) for each in (root, end)]
        wild = "*".join(map(glob.escape, parts[0]))
        name = (
            f"{'.*'.join(map(re.escape, parts[0]))}({_STAMP})?{'.*'.join(map(re.escape, parts[1]))}"
            f"({'|'.join(map(re.escape, _PACKED))})?"
        )
        return {path for path in glob.glob(f"{wild}*") if re.fullmatch(name, path)}

    def _length(self, file: _File) -> int:
        """Return how many bytes a file has, unpacked. Raises `_Gone`."""
        if file.opens is None:
            return file.found.st_size
        if file.identity not in self._lengths:
            with self._open(file) as opened:
                self._lengths[file.identity] = opened.seek(0, os.SEEK_END)
        return self._lengths[file.identity]

    def _open(self, file: _File) -> Any:
        """Return a file to read from, which a `with` closes if it is to be. Raises `_Gone`."""
        try:
            opened = open(file.path, "rb")  # noqa: SIM115
        except OSError:
            raise _Gone from None
        now = os.fstat(opened.fileno())
        if (now.st_dev, now.st_ino) != (file.found.st_dev, file.found.st_ino):
            opened.close()
            raise _Gone
        if file.opens is None:
            return opened
        with opened:
            return self._unpack(file, opened)

    def _unpack(self, file: _File, opened: IO[bytes]) -> Any:
        if self._unpacked is None or self._unpacked[0] != file.identity:
            self.close()
            found = tempfile.TemporaryFile()  # noqa: SIM115
            try:
                with file.opens(opened) as packed:
                    while block := packed.read(_BLOCK):
                        if found.tell() + len(block) > _UNPACKED_BYTES:
                            raise EOFError("it is too long")
                        found.write(block)
            except (OSError, EOFError, lzma.LZMAError):
                # A part of it is of no use: what is before it would not be found by its position.
                found.truncate(0)
            self._unpacked = file.identity, found
        return _Kept(self._unpacked[1])

    # ------------------------------------------------------------- places

    def _place(self, log: _Log, position: int) -> _Place:
        """Return the place of a position, or the nearest that there is."""
        left = max(0, log.end - position)
        for number in range(len(log.files) - 1, -1, -1):
            length = self._length(log.files[number])
            if left <= length:
                return _Place(number, length - left)
            left -= length
        return _Place(0, 0)

    def _position_of(self, log: _Log, place: _Place) -> int:
        if not log.files:
            return log.end
        after = sum(self._length(file) for file in log.files[place.number + 1 :])
        return log.end - after - (self._length(log.files[place.number]) - place.offset)

    def _place_at(self, log: _Log, at: datetime) -> _Place:
        """Return the place behind the last line that was written at a time, or before."""
        when = _seconds(at)
        for number in range(len(log.files) - 1, -1, -1):
            with self._open(log.files[number]) as opened:
                length = self._length(log.files[number])
                first = self._first_time(opened, 0, length)
                if first is None or first > when:
                    continue
                low, high = 0, length
                # At `low` the time has come, behind `high` it has not.
                while high - low > _BLOCK:
                    middle = (low + high) // 2
                    found = self._first_time(opened, middle, high)
                    if found is None or found > when:
                        high = middle
                    else:
                        low = middle
                return _Place(number, self._behind(opened, low, min(length, high + _BLOCK), when))
        return _Place(0, 0)

    def _first_time(self, opened: IO[bytes], start: int, end: int) -> float | None:
        """Return the time of the first line behind `start` that has one."""
        for offset, text in _lines(opened, start, min(end, start + _BLOCK)):
            if start and offset == start:
                continue  # It may have begun before.
            time = _time(_named(text, MAIN)[1])
            if time is not None:
                return time
        return None

    def _behind(self, opened: IO[bytes], start: int, end: int, when: float) -> int:
        """Return where the first line later than `when` begins."""
        for offset, text in _lines(opened, start, end):
            time = _time(_named(text, MAIN)[1])
            if time is not None and int(time) > when and not (start and offset == start):
                return offset
        return end

    # ------------------------------------------------------------- pages

    def _backwards(self, log: _Log, asked: models.History, end: int) -> models.LogPage:
        last = self._shown(end - 1)
        if not log.files or not asked.lines:
            next = self._shown(end)
            return models.LogPage(lines=[], more=bool(log.files), next=next, end=last)
        number, stop = self._place(log, end)
        found: list[models.Line] = []
        looked = 0
        while looked < _LOOK_BYTES:
            if stop == 0:
                if number == 0:
                    return models.LogPage(lines=found, more=False, next=None, end=last)
                number -= 1
                stop = self._length(log.files[number])
                continue
            with self._open(log.files[number]) as opened:
                start = _line_before(opened, max(0, stop - _BLOCK), stop)
                base = self._position_of(log, _Place(number, 0))
                lines = self._read(opened, asked, log.files[number], base, start, stop)
            looked += stop - start
            stop = start
            found = lines + found
            if len(found) > asked.lines:
                found = found[-asked.lines :]
                next = found[0].position
                return models.LogPage(lines=found, more=True, next=next, end=last)
        next = self._shown(self._position_of(log, _Place(number, stop)))
        return models.LogPage(lines=found, more=True, next=next, end=last)

    def _forwards(self, log: _Log, asked: models.History, after: int) -> models.LogPage:
        last = self._shown(log.end - 1)
        if not log.files:
            return models.LogPage(lines=[], more=False, next=last, end=last)
        number, start = self._place(log, after)
        found: list[models.Line] = []
        looked = 0
        while looked < _LOOK_BYTES:
            length = self._length(log.files[number])
            if start >= length:
                if number == len(log.files) - 1:
                    return models.LogPage(lines=found, more=False, next=last, end=last)
                number, start = number + 1, 0
                continue
            with self._open(log.files[number]) as opened:
                stop = _line_after(opened, min(length, start + _BLOCK), length)
                base = self._position_of(log, _Place(number, 0))
                lines = self._read(opened, asked, log.files[number], base, start, stop)
            looked += stop - start
            start = stop
            found += [line for line in lines if line.position != self._shown(after)]
            if len(found) > asked.lines:
                found = found[: asked.lines]
                next = found[-1].position if found else self._shown(after)
                return models.LogPage(lines=found, more=True, next=next, end=next)
        next = self._shown(self._position_of(log, _Place(number, start)) - 1)
        return models.LogPage(lines=found, more=True, next=next, end=next)

    def _shown(self, position: int) -> str:
        return f"{self._life}:{position}"

    def _read(
        self,
        opened: IO[bytes],
        asked: models.Matching,
        file: _File,
        base: int,
        start: int,
        stop: int,
    ) -> list[models.Line]:
        """Return the matching lines of a part of a file, whose first byte is at `base`."""
        context = _line_before(opened, max(0, start - _CONTEXT), start)
        opened.seek(context)
        if not may_match(opened.read(stop - context).decode("utf-8", "replace"), asked):
            return []
        reading = Reading(self._life, asked)
        time: float | None = None
        process = MAIN
        kept: list[tuple[int, str, str, float | None]] = []
        for offset, text in _lines(opened, context, stop):
            process, shown = _named(text, process)
            own = _time(shown)
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
        until = None if asked.at is None else _seconds(asked.at) + 1
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


def _seconds(at: datetime) -> float:
    """Return a time in seconds since 1970. Where it does not say another zone, it is in UTC."""
    return (at if at.tzinfo else at.replace(tzinfo=timezone.utc)).timestamp()


class _Kept:
    """A file that a `with` does not close."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def __enter__(self) -> IO[bytes]:
        return self._file

    def __exit__(self, *error: object) -> None:
        pass


# ------------------------------------------------------------- lines of a file


def _lines(opened: IO[bytes], start: int, stop: int) -> Iterator[tuple[int, str]]:
    """Return the lines between two places, each with where it begins."""
    opened.seek(start)
    offset = start
    lines = opened.read(max(0, stop - start)).split(b"\n")
    if not lines[-1]:
        lines.pop()
    for line in lines:
        yield offset, line.decode("utf-8", "replace").removesuffix("\r")
        offset += len(line) + 1


def _line_before(opened: IO[bytes], start: int, stop: int) -> int:
    """Return where the first line behind `start` begins, or, if there is none, one before."""
    while start:
        opened.seek(start - 1)
        at = opened.read(stop - start + 1).find(b"\n")
        if 0 <= at < stop - start:
            return start + at
        if stop - start >= _LONGEST:
            return start
        start = max(0, start - _BLOCK)
    return 0


def _line_after(opened: IO[bytes], stop: int, length: int) -> int:
    """Return where the line ends that has the byte before `stop`."""
    opened.seek(stop - 1)
    at = opened.read(min(_LONGEST, length - stop + 1)).find(b"\n")
    return stop + at if at >= 0 else min(length, stop + _LONGEST)


def _named(text: str, before: str) -> tuple[str, str]:
    """Return who has written a line of the log file, and what. `before` wrote the one before."""
    if text.startswith("{"):
        try:
            return str(json.loads(text)["process"]), text
        except (ValueError, RecursionError, KeyError, TypeError):
            return before, text
    name, bar, rest = text.partition(" | ")
    return (name.rstrip(), rest) if bar else (before, text)


def _time(text: str) -> float | None:
    """Return the time that a line has at its beginning, in seconds since 1970."""
    found = _TIME.search(text, 0, 100) if text.startswith("{") else _TIME.match(text)
    if found is None:
        return None
    try:
        return datetime.fromisoformat(f"{found[1]}T{found[2]}{found[3] or ''}").timestamp()
    except (ValueError, OverflowError, OSError):
        return None
