"""What a running main process writes: standard output and the log file, in a thread of its own.

So nobody waits for a terminal that is paused, a disk that is slow, or a file that is being
rotated and compressed: neither the main process's loop nor the threads that read children's output.

Ownership. LiteyukiBot makes one `Writer`, starts and closes it in `run`. Its thread owns the log
file, and standard output as far as the log goes. `own` and `lines` may be called by any thread.

Invariants. A line is in the queue, in the thread's hand, written, or counted as dropped. Lines of
one source are written in the order in which they came. `own` never waits. `lines` waits for
room while lines are being written, but only `_PATIENCE` seconds while none is (`_stuck`).
Main's lines and those of children have room of their own, so that neither drops the other's.
One line says how many were dropped, where they would stand, once there is room again.
"""

from __future__ import annotations

import os
import select
import sys
import threading
import traceback
import zlib
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, BinaryIO, NamedTuple

from . import files, log
from .errors import ConfigError

_LINES = 10_000
_CHARACTERS = 16 * 1024 * 1024
"""How much may be queued for main, and as much for all children together."""

_PATIENCE = 0.5
"""Seconds that a child may be held up by a standard output or a log file that takes nothing."""

_BATCH = 256
_FILE_CHARACTERS = 8192
"""What is given to the log file at once: a file may be longer than its rotation says by this."""

_COLOURS = tuple(
    f"\x1b[{code}m"
    for code in ("36", "35", "34", "32", "38;5;130", "38;5;67", "38;5;132", "38;5;64")
)
"""What can be read on a dark and on a light background, and does not look like an error."""


class _Line(NamedTuple):
    process: str | None
    """None: a line of main's logger, ready as it is."""
    text: str


class Writer:
    """Writes the lines of main's logger and of children. See the top of this file."""

    def __init__(self, config: log.LogConfig, file: log.FileConfig | None) -> None:
        self._config = config
        self._file_config = file
        self._file: Any = None
        self._console = _Console()
        self._failed: set[str] = set()
        """What could not be written to; it is said once of each."""
        self._prefixes: dict[str, str] = {}
        self._pid = 0
        self._thread: threading.Thread | None = None
        # An object that is collected while the lock is held may log on the same thread.
        self._lock = threading.RLock()
        self._filled = threading.Condition(self._lock)
        self._emptied = threading.Condition(self._lock)
        self._queue: deque[_Line | Counter[str]] = deque()
        self._queued = {"main": [0, 0], "children": [0, 0]}
        """Lines and characters."""
        self._dropped: dict[str, Counter[str]] = {"main": Counter(), "children": Counter()}
        self._stuck = False
        self._closing = False
        self._said: list[_Line] = []
        """What the thread itself has logged and is about to write."""

    def add_process(self, name: str) -> None:
        """Take in the name of a child; where there are several, their lines begin with it."""
        prefix = f"{name} | "
        if self._config.colour:
            first = zlib.crc32(name.encode("utf-8", "replace")) % len(_COLOURS)
            ways = _COLOURS[first:] + _COLOURS[:first]
            free = [way for way in ways if way not in "".join(self._prefixes.values())]
            prefix = f"{(free or ways)[0]}{prefix}\x1b[0m"
        self._prefixes = {**self._prefixes, name: prefix}

    def start(self) -> None:
        """Open the log file and begin to write. Raises `ConfigError`."""
        if self._file_config is not None:
            self._file = _open(self._file_config)
        self._console.open()
        self._pid = os.getpid()
        self._thread = threading.Thread(target=self._run, name="liteyuki-log", daemon=True)
        self._thread.start()
        log.divert(self.own)

    def close(self, timeout: float) -> None:
        """Write what is queued, for at most `timeout` seconds; the log is then as before `start`.

        What can't be written in that time stays with the thread.
        """
        thread = self._thread
        if thread is None:
            return
        with self._lock:
            self._closing = True
            self._filled.notify()
        thread.join(timeout)
        if not thread.is_alive():
            log.divert(None)

    # ------------------------------------------------------------- who has lines

    def own(self, text: str) -> bool:
        """Queue a line of main's logger, or drop it; return False if nothing takes lines."""
        if os.getpid() != self._pid:
            return False  # A fork of the main process, without the thread.
        if threading.current_thread() is self._thread:
            self._said.append(_Line(None, text))
            return True
        with self._lock:
            if self._thread is None:
                return False
            self._put(_Line(None, text))
        return True

    def lines(self, process: str, texts: list[str]) -> None:
        """Queue lines of a child as it has written them; wait for room, or drop them."""
        lines = [_Line(process, text) for text in texts]
        if self._config.json:
            lines = [_Line(process, log.line_as_json(process, text)) for text in texts]
        with self._lock:
            if self._thread is not None:
                for line in lines:
                    if not self._has_room("children") and not self._stuck:
                        there = self._emptied.wait_for(
                            lambda: self._has_room("children"), _PATIENCE
                        )
                        self._stuck = not there
                    self._put(line)
                return
        # Something that a child started has outlived it, and the bot.
        self._write(lines)

    def _has_room(self, whose: str) -> bool:
        lines, characters = self._queued[whose]
        return lines < _LINES and characters < _CHARACTERS

    def _put(self, line: _Line) -> None:
        whose = "main" if line.process is None else "children"
        if not self._has_room(whose):
            self._dropped[whose][line.process or "main"] += 1
            return
        if not self._queue:
            self._filled.notify()
        if self._dropped[whose]:
            self._queue.append(self._dropped[whose])
            self._dropped[whose] = Counter()
        self._queue.append(line)
        self._queued[whose][0] += 1
        self._queued[whose][1] += len(line.text)

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
                self._failed_to_write("log file", error)

    def _take(self) -> list[_Line | Counter[str]]:
        """Wait for something to write; return nothing when closed and all is written."""
        with self._lock:
            while not self._queue and not self._closing:
                self._filled.wait()
            batch = [self._queue.popleft() for _ in range(min(_BATCH, len(self._queue)))]
            for whose, dropped in self._dropped.items():
                if dropped and not self._queue:
                    batch.append(dropped)
                    self._dropped[whose] = Counter()
            for item in batch:
                if isinstance(item, _Line):
                    queued = self._queued["main" if item.process is None else "children"]
                    queued[0] -= 1
                    queued[1] -= len(item.text)
            self._stuck = False
            self._emptied.notify_all()
            if not batch:
                self._thread = None
            return batch

    def _say_dropped(self, dropped: Counter[str]) -> None:
        whose = ", ".join(f"{name} {count}" for name, count in dropped.items())
        self._say(
            "WARNING",
            f"{dropped.total()} lines were dropped, because standard output or the log file did "
            f"not take them in time ({whose})",
        )

    def _say(self, level: str, text: str) -> None:
        try:
            log.logger.log(level, text)
        except Exception:  # Of a handler that somebody has added: the thread goes on.
            traceback.print_exc()

    def _write(self, lines: list[_Line]) -> None:
        if self._file is not None:
            try:
                for text in _joined(map(self._for_file, lines)):
                    self._file.opt(raw=True).info(text)
            except Exception as error:  # Whatever rotating and compressing raises.
                self._failed_to_write("log file", error)
        try:
            self._console.write("".join(map(self._for_console, lines)))
        except (OSError, ValueError) as error:
            self._failed_to_write("standard output", error)

    def _failed_to_write(self, what: str, error: Exception) -> None:
        if what not in self._failed:
            self._failed.add(what)
            self._say(
                "ERROR",
                f"the {what} can't be written, lines are missing there: {error!r}; this is said "
                "once, and each further line is tried",
            )

    def _for_console(self, line: _Line) -> str:
        if line.process is None or self._config.json:
            return line.text
        prefix = self._prefixes.get(line.process, "") if len(self._prefixes) > 1 else ""
        return f"{prefix}{line.text}\n"

    def _for_file(self, line: _Line) -> str:
        if line.process is None or self._config.json:
            return log.plain(line.text)
        return f"{line.process} | {log.plain(line.text)}\n"


def _joined(texts: Iterable[str]) -> Iterator[str]:
    """Join whole lines, because each call of loguru costs, up to `_FILE_CHARACTERS`."""
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
        # What a time in the path makes of it is known to loguru alone.
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
    """Return what compresses an old log file as loguru would, to a file that is the user's alone.

    loguru's own has whatever mode the umask leaves, and has it while it is written.
    """
    end = name.strip().lstrip(".")
    if end not in ("gz", "bz2", "xz", "lzma", "tar", "tar.gz", "tar.bz2", "tar.xz", "zip"):
        return name  # One that a later loguru knows.

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
    """Standard output. Past Python's buffer where that can be: a thread that the system holds up
    in a write then holds no lock that the interpreter needs at its end."""

    def __init__(self) -> None:
        self._stream: Any = None
        self._file: int | None = None

    def open(self) -> None:
        self._stream = sys.stdout
        if sys.platform == "win32":
            return  # Its console takes no bytes.
        try:
            self._file = self._stream.fileno()
            # What the program prints itself comes out in its place among the log's lines, and no
            # line of the log in the middle of it: a print is more than one write otherwise.
            self._stream.reconfigure(line_buffering=True, write_through=False)
        except (AttributeError, OSError, ValueError):
            pass  # Somebody has put something else into its place.

    def write(self, text: str) -> None:
        """Write all of it, however long that takes. Raises `OSError` or `ValueError`."""
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
