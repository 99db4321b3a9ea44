"""The main process's thread that writes to standard output and the log file.

Nobody else waits for a paused terminal, a slow disk, or a file that is being rotated and
compressed: neither the main process's loop nor the threads that read the output of children.

Ownership. LiteyukiBot makes one `Writer`, and starts and closes it in `run`. The writer's thread
owns the log file and closes it. While it runs, it alone writes the log's lines to standard output.
Any thread may call `own` and `lines`.

What the log file has got in this life is counted in bytes, so that a line can be found in it and in
the files that were rotated away: it is so far from the end of all.

Invariants. A line is in the queue, in the thread's hand, written, or counted as dropped. Lines of
one source are written in the order in which they came. `own` never waits. `lines` waits for
space while lines are being written, but at most `_PATIENCE` seconds while none is (`_stuck`).
Main's lines and the lines of children have separate space, so that one kind never displaces the
other. When there is space again, one line says how many lines were dropped. It stands in their
place.
"""

from __future__ import annotations

import os
import re
import select
import sys
import threading
import traceback
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, BinaryIO, NamedTuple

from . import files, log, record
from .errors import ConfigError
from .language import Phrase
from .names import MAIN, Names
from .ring import Ring

_LINES = 10_000
_CHARACTERS = 16 * 1024 * 1024
"""Main may have so much in the queue, and all children together as much again."""

_PATIENCE = 0.5
"""Seconds that a child waits while standard output or the log file takes nothing."""

_RECENT_LINES = 5_000
_RECENT_CHARACTERS = 2 * 1024 * 1024
"""The last lines that are kept in memory, for those who ask for them."""

_BATCH = 256
_FILE_CHARACTERS = 8192
"""The log file gets at most so much at once. It may exceed the size for its rotation by this."""

_UNDER, _BARE = "under", "bare"
"""Places of lines: under the line to which they belong, as far to the right; and at the left, which
is for pictures: a row that is moved, or does not fit, breaks them."""

_ESCAPE = r"\x1b\[[0-9;]*m"
_ROW = re.compile(rf"(?:[\u2580-\u259f\s]|{_ESCAPE})*")
"""A row of a picture has blocks and spaces only,"""
_COLOURED = r"\x1b\[(?:[0-9;]*;)?(?:7|4[0-7]|10[0-7]|48;[0-9;]+)m\s+"
_BLOCKS = re.compile(rf"(?:[\u2580-\u259f]\s*){{4}}|(?:{_COLOURED}(?:{_ESCAPE})*){{2}}")
"""and more than a few blocks, or spaces that are coloured or inverted."""


_FILE, _TERMINAL = Phrase("the log file"), Phrase("the standard output")


class Line(NamedTuple):
    """A line as it was written, or several that belong together."""

    child: str | None
    """The name of the child that wrote it. None: main's logger."""
    text: str
    place: str = ""
    """Where it stands on standard output. "": after the child's name."""
    filed: str | None = None
    """What the log file gets, where that is not `text`."""
    at: int | None = None
    """Where it begins in what the log file has got in this life, in bytes. None: it has no file."""


def _length(line: Line) -> int:
    return len(line.text) + len(line.filed or "")


class Writer:
    """Writes the lines of main's logger and of children. See the top of this file."""

    def __init__(self, config: log.LogConfig, file: log.FileConfig | None) -> None:
        self._config = config
        self._file_config = file
        self._file: Any = None
        self._console = _Console()
        self.file_lock = threading.Lock()
        """Who holds it finds the log file as `filed` says. Meanwhile the writer waits."""
        self.filed = 0
        """How many bytes the log file has got in this life."""
        self.recent: Ring[Line] = Ring(_RECENT_LINES, _RECENT_CHARACTERS)
        """The last lines, as they are written."""
        self._failed: set[Phrase] = set()
        """Where writing has failed. The log says so once for each."""
        self._names = Names(bool(config.colour))
        self._above: str | None = None
        """Whose line was written last to standard output."""
        self._pid = 0
        self._thread: threading.Thread | None = None
        # Reentrant: an object that is collected while the lock is held may log on the same thread.
        self._lock = threading.RLock()
        self._filled = threading.Condition(self._lock)
        self._emptied = threading.Condition(self._lock)
        self._queue: deque[Line | Counter[str]] = deque()
        self._queued = {"main": [0, 0], "children": [0, 0]}
        """How many lines and how many characters each has in the queue."""
        self._dropped: dict[str, Counter[str]] = {"main": Counter(), "children": Counter()}
        self._stuck = False
        self._closing = False
        self._said: list[Line] = []
        """Lines that the thread writes next, also those that it has logged itself."""

        log.divert(self.own)  # So that lines before `start` have main's name too.

    def add_process(self, name: str) -> None:
        """Learn the name of a child."""
        self._names.add(name)

    def start(self) -> None:
        """Open the log file and start the thread. Raises `ConfigError`."""
        if self._file_config is not None:
            self._file = _open(self._file_config)
        self._console.open()
        self._pid = os.getpid()
        self._thread = threading.Thread(target=self._run, name="liteyuki-log", daemon=True)
        self._thread.start()

    def close(self, timeout: float) -> None:
        """Write the queued lines, for at most `timeout` seconds; then log as before `start`.

        If that time is too short, the thread goes on and still takes lines.
        """
        thread = self._thread
        if thread is None:
            return
        with self._lock:
            self._closing = True
            self._filled.notify()
        thread.join(timeout)

    # ------------------------------------------------------------- any thread

    def own(self, text: str) -> str | None:
        """Queue a line of main's logger, or drop it. If no thread takes lines, return it as shown.

        There is no thread before `start` and after `close`, and in a fork of the main process.
        """
        line = Line(None, text.removesuffix("\n"))
        if self._config.both:
            found, shown = record.of_main(text)
            first, second = (found, shown) if self._config.json else (shown, found)
            line = Line(None, first, filed=second)
        if os.getpid() != self._pid:  # In a fork, another thread may have had the lock.
            return self._for_console(line)
        if threading.current_thread() is self._thread:
            self._said.append(line)
            return None
        with self._lock:
            if self._thread is None:
                return self._for_console(line)
            self._put(line)
        return None

    def lines(self, child: str, texts: list[str], *, together: bool = False) -> None:
        """Queue lines as a child has written them. Wait for space; drop a line that gets none.

        With `together` they belong together: the child's name stands before the first only, and a
        picture such as a QR code stands alone, as wide as it is.
        """
        lines = _arranged(child, texts) if together else [Line(child, text) for text in texts]
        if self._config.records:
            lines = [self._recorded(line) for line in lines]
        with self._lock:
            if self._thread is not None:
                for line in lines:
                    if not self._has_space("children") and not self._stuck:
                        there = self._emptied.wait_for(
                            lambda: self._has_space("children"), _PATIENCE
                        )
                        self._stuck = not there
                    self._put(line)
                return
        # A process that a child started has outlived the child and the bot.
        self._write(lines)

    def _recorded(self, line: Line) -> Line:
        """Return a child's line as JSON, for standard output or for the file, or for both."""
        found, shown = record.of_line(str(line.child), line.text)
        if not self._config.both:
            return line._replace(text=found)
        if self._config.json:
            return line._replace(text=found, filed=shown)
        return line._replace(text=shown, filed=found)

    def _has_space(self, whose: str) -> bool:
        lines, characters = self._queued[whose]
        return lines < _LINES and characters < _CHARACTERS

    def _put(self, line: Line) -> None:
        whose = "main" if line.child is None else "children"
        if not self._has_space(whose):
            self._dropped[whose][line.child or "main"] += 1
            return
        if not self._queue:
            self._filled.notify()
        if self._dropped[whose]:
            self._queue.append(self._dropped[whose])
            self._dropped[whose] = Counter()
        self._queue.append(line)
        self._queued[whose][0] += 1
        self._queued[whose][1] += _length(line)

    # ------------------------------------------------------------- the thread

    def _run(self) -> None:
        while batch := self._take():
            for item in batch:
                if isinstance(item, Counter):
                    self._say_dropped(item)
                else:
                    self._said.append(item)
            while self._said:
                lines, self._said = self._said, []
                self._write(lines)
        if self._file is not None:
            try:
                self._file.remove()
            except OSError as error:
                self._failed_to_write(_FILE, error)

    def _take(self) -> list[Line | Counter[str]]:
        """Wait for lines to write and return them; return none when closed and all is written."""
        with self._lock:
            while not self._queue and not self._closing:
                self._filled.wait()
            batch = [self._queue.popleft() for _ in range(min(_BATCH, len(self._queue)))]
            for whose, dropped in self._dropped.items():
                if dropped and not self._queue:
                    batch.append(dropped)
                    self._dropped[whose] = Counter()
            for item in batch:
                if isinstance(item, Line):
                    queued = self._queued["main" if item.child is None else "children"]
                    queued[0] -= 1
                    queued[1] -= _length(item)
            self._stuck = False
            self._emptied.notify_all()
            if not batch:
                self._thread = None
            return batch

    def _say_dropped(self, dropped: Counter[str]) -> None:
        self._say(
            "WARNING",
            Phrase(
                "{count} lines were dropped, because standard output or the log file did not take "
                "them in time ({whose})",
                count=dropped.total(),
                whose=", ".join(f"{name} {count}" for name, count in dropped.items()),
            ),
        )

    def _say(self, level: str, text: Phrase) -> None:
        try:
            log.logger.log(level, text)
        except Exception:  # A handler that a user has added has failed. The thread goes on.
            traceback.print_exc()

    def _write(self, lines: list[Line]) -> None:
        texts = [] if self._file is None else list(map(self._for_file, lines))
        if texts:
            try:
                with self.file_lock:
                    # Before a slow disk has them; who sees them there finds them in the file.
                    self.recent.add(_placed(lines, texts, self.filed), _length)
                    for text in _joined(texts):
                        self._file.opt(raw=True).info(text)
                        self.filed += _bytes(text)
            except Exception as error:  # Rotating and compressing may raise anything.
                self._failed_to_write(_FILE, error)
        else:
            self.recent.add(lines, _length)
        try:
            self._console.write("".join(map(self._for_console, lines)))
        except (OSError, ValueError) as error:
            self._failed_to_write(_TERMINAL, error)

    def _failed_to_write(self, what: Phrase, error: Exception) -> None:
        if what not in self._failed:
            self._failed.add(what)
            self._say(
                "ERROR",
                Phrase(
                    "{what} can't be written, lines are missing there: {error!r}; this is logged "
                    "once, and writing is tried again for each line",
                    what=what,
                    error=error,
                ),
            )

    def _for_console(self, line: Line) -> str:
        above, self._above = self._above, line.child
        if self._config.json:
            return f"{line.text}\n"
        prefix = self._names.before(line.child or MAIN)
        if line.place:
            if line.child != above:  # Another one's line has come between them.
                prefix += "\n" if line.place == _BARE else ""
            else:
                prefix = "" if line.place == _BARE else self._names.under(str(line.child))
        return _named(prefix, line.text)

    def _for_file(self, line: Line) -> str:
        text = log.plain(line.text if line.filed is None else line.filed)
        if self._config.file_json:
            return f"{text}\n"
        return _named(self._names.plain(line.child or MAIN), text)


def _named(name: str, text: str) -> str:
    """Return a line with a name before it, or before each of several: those of a traceback."""
    return name + text.replace("\n", f"\n{name}") + "\n"


def _arranged(child: str, texts: list[str]) -> list[Line]:
    """Return lines that belong together, each with its place."""
    rows = [_ROW.fullmatch(text) is not None for text in texts]
    has_picture = any(row and _BLOCKS.search(text) for row, text in zip(rows, texts, strict=True))
    places = [_BARE if row and has_picture else _UNDER for row in rows]
    if places and places[0] == _UNDER:
        places[0] = ""
    return [Line(child, *some) for some in zip(texts, places, strict=True)]


def _placed(lines: list[Line], texts: list[str], at: int) -> Iterator[Line]:
    """Return lines with where each begins, if the first begins at `at`."""
    for line, text in zip(lines, texts, strict=True):
        yield line._replace(at=at)
        at += _bytes(text)


def _bytes(text: str) -> int:
    """Return how many bytes a text takes in the log file."""
    size = len(text) if text.isascii() else len(text.encode("utf-8", "backslashreplace"))
    return size + text.count("\n") * (len(os.linesep) - 1)


def _joined(texts: Iterable[str]) -> Iterator[str]:
    """Join whole lines up to `_FILE_CHARACTERS`, because each call of loguru takes time."""
    parts: list[str] = []
    length = 0
    for text in texts:
        if parts and length + len(text) > _FILE_CHARACTERS:
            yield "".join(parts)
            parts, length = [], 0
        parts.append(text)
        length += len(text)
    if parts:
        yield "".join(parts)


def _open(config: log.FileConfig) -> Any:
    """Return a logger whose only handler is the log file."""
    logger = log.new_logger()
    path = os.path.abspath(config.path)
    retention = int(config.retention) if config.retention.isdecimal() else config.retention
    options: dict[str, Any] = {}
    for key, value in (
        ("rotation", config.rotation),
        ("retention", retention),
        ("compression", config.compression),
    ):
        options[key] = value
        try:
            logger.add(path, delay=True, **options)
        except (ValueError, TypeError) as error:
            raise ConfigError(f"LITEYUKI_LOG_{key.upper()}={value}: {error}") from error
        logger.remove()
    if config.compression is not None:
        options["compression"] = _compression(config.compression)
    try:
        # The path may contain a {time} for loguru to fill in: only the folders before it are made.
        files.make_folders(os.path.dirname(path.partition("{")[0]))
        logger.add(
            path,
            format="{message}",
            colorize=False,
            catch=False,
            encoding="utf-8",
            errors="backslashreplace",
            opener=files.open_private,
            **options,
        )
    except (OSError, LookupError, ValueError) as error:
        raise ConfigError(
            f"LITEYUKI_LOG_FILE={config.path}: the log file can't be opened: {error!r}"
        ) from error
    return logger


def _compression(name: str) -> Callable[[str], None] | str:
    """Return a function that compresses an old log file as loguru does, but for this user alone.

    The mode of a file that loguru compresses itself is what the umask leaves, from its first byte
    on. Returns the name if only loguru may know that format.
    """
    end = name.strip().lstrip(".")
    if end not in ("gz", "bz2", "xz", "lzma", "tar", "tar.gz", "tar.bz2", "tar.xz", "zip"):
        return name  # A later loguru may know it.

    def compress(path: str) -> None:
        target, number = f"{path}.{end}", 1
        while os.path.lexists(target):
            number += 1
            target = f"{path}.{number}.{end}"
        with open(target, "wb", opener=files.open_private) as out:
            _compress(path, end, out)
        os.remove(path)

    return compress


def _compress(path: str, end: str, out: BinaryIO) -> None:
    name = os.path.basename(path)
    if end == "zip":
        import zipfile

        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.write(path, name)
        return
    if end.startswith("tar"):
        import tarfile

        open_tar: Any = tarfile.open
        with open_tar(fileobj=out, mode=f"w:{end[4:]}") as archive:
            archive.add(path, name)
        return
    import shutil

    with open(path, "rb") as plain, _packed(end, out) as packed:
        shutil.copyfileobj(plain, packed)


def _packed(end: str, out: BinaryIO) -> Any:
    if end == "gz":
        import gzip

        return gzip.open(out, "wb")
    if end == "bz2":
        import bz2

        return bz2.open(out, "wb")
    import lzma

    return lzma.open(out, "wb", format=lzma.FORMAT_XZ if end == "xz" else lzma.FORMAT_ALONE)


class _Console:
    """Standard output, for the writer's thread alone.

    Where possible, it is written to past Python's buffer: a thread that hangs in a write then
    holds no lock that the interpreter needs at its end.
    """

    def __init__(self) -> None:
        self._stream: Any = None
        self._file: int | None = None

    def open(self) -> None:
        self._stream = sys.stdout
        if sys.platform == "win32":
            return  # The console of Windows takes no bytes.
        try:
            self._file = self._stream.fileno()
            # The program's own prints then stand among the log's lines in the right order. And no
            # line of the log stands in the middle of a print, which else is more than one write.
            self._stream.reconfigure(line_buffering=True, write_through=False)
        except (AttributeError, OSError, ValueError):
            pass  # Somebody has replaced standard output.

    def write(self, text: str) -> None:
        """Write the whole text, however long that takes. Raises `OSError` or `ValueError`."""
        stream = self._stream
        if stream is None:  # A Windows program without a console.
            return
        encoding = getattr(stream, "encoding", None) or "utf-8"
        errors = getattr(stream, "errors", None) or "strict"
        data = text.encode(encoding, "backslashreplace" if errors == "strict" else errors)
        if self._file is None:
            stream.write(data.decode(encoding, "replace"))
            stream.flush()
            return
        while data:
            try:
                data = data[os.write(self._file, data) :]
            except BlockingIOError:
                select.select([], [self._file], [])
