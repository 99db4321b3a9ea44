"""Where the lines of the log are: in its file, and in files that were rotated away.

A line's position is where it begins, counted in bytes from the first that the log file has got in
this life; before that it is negative. So it stays the same when the file is rotated or compressed,
or the oldest is deleted: how far it is from the end of all is known.

Ownership. A `LogFiles` owns the last file that it has unpacked, as a temporary file. One thread at
a time calls it, which waits for the disk.
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

from ..names import MAIN
from ..writer import Writer

BLOCK = 64 << 10
_LONGEST = 1 << 20
"""A longer line is taken for two."""
_UNPACKED_BYTES = 256 << 20
"""A compressed file that is longer than that is left out, with all that is older."""

_PACKED: dict[str, Any] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open, ".lzma": lzma.open}
_STAMP = r"\.\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d_\d{6}(\.\d+)?"
"""What loguru puts into the name of a file that it rotates away, before its end."""
_TIME = re.compile(r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d(?:\.\d{1,6})?)([+-]\d\d:\d\d)?")


class File(NamedTuple):
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


class Gone(Exception):
    """A file was rotated away or deleted meanwhile: look again."""


class Log(NamedTuple):
    """The log files at one moment, the oldest first; `end` is the position of their end."""

    files: list[File]
    end: int


class Place(NamedTuple):
    """A place in a file of a `Log`. `number` is the file's."""

    number: int
    offset: int


class LogFiles:
    """The files of the log at `path`, which `writer` writes."""

    def __init__(self, writer: Writer, path: str) -> None:
        self._writer = writer
        self._path = path
        self._unpacked: tuple[tuple[int, int, int, int], IO[bytes]] | None = None
        self._lengths: dict[tuple[int, int, int, int], int] = {}

    def close(self) -> None:
        """Forget what was unpacked. Idempotent."""
        if self._unpacked is not None:
            self._unpacked[1].close()
            self._unpacked = None

    # ------------------------------------------------------------- files

    def look(self) -> Log:
        """Return the log files as they are now, in the order in which they were written."""
        with self._writer.file_lock:
            end = self._writer.filed
            found = []
            for path in self._paths():
                try:
                    found.append(File(path, os.stat(path)))
                except OSError:
                    continue  # It was deleted meanwhile.
        found.sort(key=lambda file: (file.found.st_mtime_ns, file.path == self._path, file.path))
        return Log(found, end)

    def _paths(self) -> set[str]:
        """Return the paths of the log file and of those that loguru has rotated away."""
        root, end = os.path.splitext(self._path)
        parts = [re.split(r"\{[^}]*\}", each) for each in (root, end)]
        wild = "*".join(map(glob.escape, parts[0]))
        name = (
            f"{'.*'.join(map(re.escape, parts[0]))}({_STAMP})?{'.*'.join(map(re.escape, parts[1]))}"
            f"({'|'.join(map(re.escape, _PACKED))})?"
        )
        return {path for path in glob.glob(f"{wild}*") if re.fullmatch(name, path)}

    def length(self, file: File) -> int:
        """Return how many bytes a file has, unpacked. Raises `Gone`."""
        if file.opens is None:
            return file.found.st_size
        if file.identity not in self._lengths:
            with self.open(file) as opened:
                self._lengths[file.identity] = opened.seek(0, os.SEEK_END)
        return self._lengths[file.identity]

    def open(self, file: File) -> Any:
        """Return a file to read from, which a `with` closes if it is to be. Raises `Gone`."""
        try:
            opened = open(file.path, "rb")  # noqa: SIM115
        except OSError:
            raise Gone from None
        now = os.fstat(opened.fileno())
        if (now.st_dev, now.st_ino) != (file.found.st_dev, file.found.st_ino):
            opened.close()
            raise Gone
        if file.opens is None:
            return opened
        with opened:
            return self._unpack(file, opened)

    def _unpack(self, file: File, opened: IO[bytes]) -> Any:
        if self._unpacked is None or self._unpacked[0] != file.identity:
            self.close()
            found = tempfile.TemporaryFile()  # noqa: SIM115
            try:
                with file.opens(opened) as packed:
                    while block := packed.read(BLOCK):
                        if found.tell() + len(block) > _UNPACKED_BYTES:
                            raise EOFError("it is too long")
                        found.write(block)
            except (OSError, EOFError, lzma.LZMAError):
                # A part of it is of no use: what is before it would not be found by its position.
                found.truncate(0)
            self._unpacked = file.identity, found
        return _Kept(self._unpacked[1])

    # ------------------------------------------------------------- places

    def place(self, log: Log, position: int) -> Place:
        """Return the place of a position, or the nearest that there is."""
        left = max(0, log.end - position)
        for number in range(len(log.files) - 1, -1, -1):
            length = self.length(log.files[number])
            if left <= length:
                return Place(number, length - left)
            left -= length
        return Place(0, 0)

    def position_of(self, log: Log, place: Place) -> int:
        """Return the position of a place. Raises `Gone`."""
        if not log.files:
            return log.end
        after = sum(self.length(file) for file in log.files[place.number + 1 :])
        return log.end - after - (self.length(log.files[place.number]) - place.offset)

    def place_at(self, log: Log, at: datetime) -> Place:
        """Return the place behind the last line that was written at a time, or before."""
        when = seconds(at)
        for number in range(len(log.files) - 1, -1, -1):
            with self.open(log.files[number]) as opened:
                length = self.length(log.files[number])
                first = self._first_time(opened, 0, length)
                if first is None or first > when:
                    continue
                low, high = 0, length
                # At `low` the time has come, behind `high` it has not.
                while high - low > BLOCK:
                    middle = (low + high) // 2
                    found = self._first_time(opened, middle, high)
                    if found is None or found > when:
                        high = middle
                    else:
                        low = middle
                return Place(number, self._behind(opened, low, min(length, high + BLOCK), when))
        return Place(0, 0)

    def _first_time(self, opened: IO[bytes], start: int, end: int) -> float | None:
        """Return the time of the first line behind `start` that has one."""
        for offset, text in lines(opened, start, min(end, start + BLOCK)):
            if start and offset == start:
                continue  # It may have begun before.
            time = time_of(named(text, MAIN)[1])
            if time is not None:
                return time
        return None

    def _behind(self, opened: IO[bytes], start: int, end: int, when: float) -> int:
        """Return where the first line later than `when` begins."""
        for offset, text in lines(opened, start, end):
            time = time_of(named(text, MAIN)[1])
            if time is not None and int(time) > when and not (start and offset == start):
                return offset
        return end


def seconds(at: datetime) -> float:
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


def lines(opened: IO[bytes], start: int, stop: int) -> Iterator[tuple[int, str]]:
    """Return the lines between two places, each with where it begins."""
    opened.seek(start)
    offset = start
    lines = opened.read(max(0, stop - start)).split(b"\n")
    if not lines[-1]:
        lines.pop()
    for line in lines:
        yield offset, line.decode("utf-8", "replace").removesuffix("\r")
        offset += len(line) + 1


def line_before(opened: IO[bytes], start: int, stop: int) -> int:
    """Return where the first line behind `start` begins, or, if there is none, one before."""
    while start:
        opened.seek(start - 1)
        at = opened.read(stop - start + 1).find(b"\n")
        if 0 <= at < stop - start:
            return start + at
        if stop - start >= _LONGEST:
            return start
        start = max(0, start - BLOCK)
    return 0


def line_after(opened: IO[bytes], stop: int, length: int) -> int:
    """Return where the line ends that has the byte before `stop`."""
    opened.seek(stop - 1)
    at = opened.read(min(_LONGEST, length - stop + 1)).find(b"\n")
    return stop + at if at >= 0 else min(length, stop + _LONGEST)


def named(text: str, before: str) -> tuple[str, str]:
    """Return who has written a line of the log file, and what. `before` wrote the one before."""
    if text.startswith("{"):
        try:
            return str(json.loads(text)["process"]), text
        except (ValueError, RecursionError, KeyError, TypeError):
            return before, text
    name, bar, rest = text.partition(" | ")
    return (name.rstrip(), rest) if bar else (before, text)


def time_of(text: str) -> float | None:
    """Return the time that a line has at its beginning, in seconds since 1970."""
    found = _TIME.search(text, 0, 100) if text.startswith("{") else _TIME.match(text)
    if found is None:
        return None
    try:
        return datetime.fromisoformat(f"{found[1]}T{found[2]}{found[3] or ''}").timestamp()
    except (ValueError, OverflowError, OSError):
        return None
