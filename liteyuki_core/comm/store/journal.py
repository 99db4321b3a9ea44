"""The store's SQLite file: what is to outlive the main process.

Written behind, in batches: whatever has gathered while one transaction was written goes into
the next, and of a key only its newest change. WAL mode without its shared memory, since nobody
else uses the file: what is committed survives any end of the process, and no end tears a value.

Somebody may delete or move the file while it is used, and what is written then is gone. So each
commit is followed by a look whether it is still there, before it counts. Where it is not, all is
written anew, from what the store has in memory.

Ownership. The journal owns its thread, and that thread alone owns the connection: it opens,
uses and closes it. The lock guards what is noted; nothing is called and nothing waited for
while it is held, so it may be taken under any other.

Invariants. A change is in `_noted` or `_writing` from `write` until it is committed or a newer
one of its key is noted; where a key is in both, `_noted` has the newer. Only the thread changes
`_writing`. So what is committed holds every change up to the ticket that was the last one when
the batch was taken, and a batch that failed goes on with what was noted since. What is written anew
was asked for after its ticket was taken, so it holds every change up to that.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, NamedTuple
from zlib import crc32

from ... import files, log
from ...errors import StoreError

if TYPE_CHECKING:
    from sqlite3 import Connection

MAX_BYTES = 999_000_000
"""Longest value: SQLite's own limit, and some room for the key."""

_RETRY = 3.0
"""Seconds between two tries to write what could not be written."""

_AGAIN = (
    f"what was set is kept in memory and tried again every {_RETRY:g} s: see that its disk has room"
)

_BUSY = 2.0
"""Seconds to wait for a process that is just letting go of the file."""

_TABLE = (
    "CREATE TABLE records (key BLOB PRIMARY KEY, kind BLOB, data BLOB, expires_at REAL, "
    "checksum INTEGER) WITHOUT ROWID"
)
"""Without a row id there is one tree: no index that could disagree with what it points to."""

_FILES = ("", "-wal", "-shm", "-journal")
"""What SQLite adds to the name for the files that belong together."""


_LOCKED = 0x40000002, 510
"""Where SQLite locks a file, and how many bytes (https://www.sqlite.org/fileformat.html)."""


class Record(NamedTuple):
    """What is kept of one key; `expires_at` is when it expires by `time.time()`, None never."""

    key: str
    kind: str
    data: bytes
    expires_at: float | None


class Journal:
    """Keeps in one SQLite file what is to outlive the main process.

    `open`, then `write` as often as needed, then `close`. `on_written(ticket, error)` is called on
    the journal's thread, no lock held. Without an error everything up to that ticket is committed.
    With one, what of it is not committed failed for now; it is kept, tried again every few seconds
    and after the next `write`, and reported again each time. `kept()` returns what is to be in the
    file, with all that was noted before the call; it is called so too, where the file is lost.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        on_written: Callable[[int, StoreError | None], None],
        kept: Callable[[], list[Record]],
    ) -> None:
        self._path = os.path.realpath(path)
        self._on_written = on_written
        self._kept = kept
        self._changed = threading.Condition(threading.Lock())
        self._noted: dict[str, Record | None] = {}
        self._writing: dict[str, Record | None] = {}
        self._last = 0
        self._failed: str | None = None
        self._deadline: float | None = None  # Set once it is to close: when to give up.
        self._thread: threading.Thread | None = None
        self._opened: SimpleQueue[list[Record] | Exception] = SimpleQueue()

    def open(self) -> list[Record]:
        """Open the file, which is made where there is none, and return what it holds.

        Waits until all of it is read, and a moment for a process that is just letting go of it.
        What has expired is left out and deleted. A damaged file is moved aside, an ERROR line says
        where to, and a fresh one begun. Once; from any thread. Raises `StoreError` where the file
        is in use by another process or can't be used.
        """
        self._thread = threading.Thread(target=self._run, name="liteyuki-journal", daemon=True)
        self._thread.start()
        opened = self._opened.get()
        if isinstance(opened, Exception):
            self._thread.join()
            raise opened
        return opened

    def write(self, key: str, record: Record | None) -> int:
        """Note the newest state of a key, None for none, and return the ticket of this change.

        Tickets grow by one with each call. Never waits; from any thread, under any lock. Raises
        `StoreError` for a value over `MAX_BYTES`, and once `close` was called.
        """
        if record is not None and len(record.data) > MAX_BYTES:
            raise StoreError(f"key {key!r}: SQLite keeps no value over {MAX_BYTES} bytes")
        with self._changed:
            if self._deadline is not None:
                raise StoreError(f"key {key!r}: not kept, the store's file {self._path} is closed")
            self._last += 1
            self._noted[key] = record
            self._changed.notify()
            return self._last

    def close(self, timeout: float) -> bool:
        """Write what is left, close the file and end the thread; return whether all was written.

        Waits up to `timeout` seconds; what fails is tried again as long. What is left then is said
        in the log. Idempotent; from any thread but the journal's.
        """
        thread = self._thread
        with self._changed:
            self._deadline = time.monotonic() + timeout
            self._changed.notify()
        if thread is None:
            return True
        thread.join(timeout)
        with self._changed:
            left = len(self._noted.keys() | self._writing.keys())
            why = self._failed or f"it took over {timeout:g} s"
        done = not left and not thread.is_alive()
        if not done:
            log.logger.error(
                f"the store's file {self._path} is left with {left} keys not written: {why}"
            )
        return done

    def abandon(self) -> None:
        """Let go of everything but the file. Only in a forked copy of the process.

        The thread does not exist here, and the connection must not be closed, or the copy would
        write to the file. It never is: the thread's frames refer to it and are never unwound.
        """
        self._changed = threading.Condition(threading.Lock())
        self._thread = None
        self._noted, self._writing = {}, {}
        self._deadline = 0.0

    def _run(self) -> None:
        # In this thread's frames only, which a fork leaves alone; see `abandon`.
        file = _File(self._path)
        try:
            records, expired = file.open()
        except Exception as error:
            self._opened.put(error)
            return
        self._noted.update(dict.fromkeys(expired))  # Still alone: `open` has not returned.
        self._opened.put(records)
        del records, expired
        try:
            while True:
                ticket = self._take()
                if ticket is None:
                    if not _is_missing(file) or self._is_late():
                        break
                    ticket = self._last  # It is to close, and would leave nothing.
                self._write(file, ticket)
        finally:
            file.close()

    def _is_late(self) -> bool:
        with self._changed:
            closing = self._deadline
            return self._failed is not None and closing is not None and time.monotonic() >= closing

    def _take(self) -> int | None:
        """Wait for changes, take them as the batch, return its ticket; None where it is to end."""
        with self._changed:
            closing = self._deadline
            if self._failed is None:
                self._changed.wait_for(lambda: self._noted or self._deadline is not None)
            elif not self._noted:
                pause = _RETRY if closing is None else min(_RETRY, closing - time.monotonic())
                self._changed.wait_for(lambda: self._noted or self._deadline != closing, pause)
            late = self._deadline is not None and time.monotonic() >= self._deadline
            if late and self._failed is not None:
                return None
            self._writing.update(self._noted)
            self._noted = {}
            return self._last if self._writing or self._failed is not None else None

    def _write(self, file: _File, ticket: int) -> None:
        if not file.lost:
            try:
                file.commit(self._writing)
            except Exception as raised:  # Whatever it is: what was noted is not to be lost.
                failed = str(raised) or repr(raised)
                if file.lost:
                    text = f"{failed}; all that is kept is in memory and is written anew"
                else:
                    text = f"the store's file {self._path} can't be written: {failed}; {_AGAIN}"
                self._settle(ticket, failed, text, lost=file.lost)
            else:
                self._settle(ticket, None, "is written again; nothing was lost")
                return
        if file.lost:
            self._write_anew(file)

    def _write_anew(self, file: _File) -> None:
        with self._changed:
            ticket = self._last
            self._writing.update(self._noted)
            self._noted = {}
        records = {record.key: record for record in self._kept()}
        with self._changed:
            self._writing = dict(records)
        try:
            aside = file.begin_anew(records)
        except Exception as raised:
            failed = str(raised) or repr(raised)
            text = f"the store's file {self._path} can't be written anew: {failed}; {_AGAIN}"
            self._settle(ticket, failed, text, lost=True)
            return
        found = f"; what was in its place is now {aside}" if aside else ""
        self._settle(ticket, None, f"is written anew with {len(records)} keys{found}")

    def _settle(self, ticket: int, failed: str | None, text: str, *, lost: bool = False) -> None:
        """Take note of how a try went, and tell it; `text` is what the log says of it.

        Once only, until it goes well or the file is lost, and then once for each reason.
        """
        with self._changed:
            if failed is None:
                self._writing = {}
            before, self._failed = self._failed, failed
        if failed is not None and (before is None or (lost and before != failed)):
            log.logger.error(text)
        elif failed is None and before is not None:
            log.logger.info(f"the store's file {self._path} {text}")
        if ticket:
            self._on_written(ticket, None if failed is None else StoreError(text))


class _File:
    """The SQLite file as the journal's thread has it, and whether it is where it was opened."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._connection: Connection | None = None
        self._seen: list[_Seen | None] = []
        self.lost = False
        """Whether all is to be written anew."""

    def open(self) -> tuple[list[Record], list[str]]:
        """Open it; return what it holds and which keys have expired. Raises `StoreError`."""
        self._connection, records, expired = _open(self._path)
        self._seen = _look(self._path)
        return records, expired

    def commit(self, changes: dict[str, Record | None]) -> None:
        """Write changes. Raises what SQLite raises, and `StoreError` where it is `lost`."""
        assert self._connection is not None
        try:
            _commit(self._connection, changes)
        finally:
            missing = self.missing()
            if missing:
                self.lost = True
                raise StoreError(missing)

    def missing(self) -> str:
        """Return what has happened to the file since it was opened, if anything has.

        Raises `OSError` where that can't be seen.
        """
        if sys.platform == "win32":
            return ""  # Nobody can delete or move a file there that is in use.
        now = _look(self._path)
        for end, before, found in zip(_FILES, self._seen, now, strict=False):
            name = f"the store's file {self._path}{end}"
            if found is None and before is not None:
                return f"{name} was deleted or moved away while it was in use"
            if found is not None and before is not None and found[:2] != before[:2]:
                return f"{name} was replaced by another one while it was in use"
            if found is not None and not end and not found.size:
                return f"{name} was emptied while it was in use"
        self._seen = now
        return ""

    def begin_anew(self, records: dict[str, Record]) -> str:
        """Write the file anew; return where to what stood in its place was moved, if anything did.

        Raises what SQLite raises, `OSError` or `StoreError`.
        """
        aside = ""
        if self._connection is None or self.missing():
            aside = self._clear()
            self.close()  # After that: it would delete a file that has the name of its own.
            try:
                self.open()
            finally:
                self._seen = _look(self._path)  # What a try that failed has left is this one's too.
        assert self._connection is not None
        _commit(self._connection, records, anew=True)
        missing = self.missing()
        if missing:
            raise StoreError(missing)
        self.lost = False
        return aside

    def _clear(self) -> str:
        """Take out of the way what would be read together with a fresh file, or written over."""
        ours, others = [], []
        for end, before, found in zip(_FILES, self._seen, _look(self._path), strict=False):
            if found is not None and before is not None and found[:2] == before[:2]:
                ours.append(end)
            elif found is not None and found.size:
                others.append(end)
        if "" in others and _is_in_use(self._path):
            raise StoreError("another process uses the one that is there: stop that one")
        if not os.path.exists(self._path) or not os.path.getsize(self._path) or "" in others:
            # All of it is in memory; and what is left would be of no use, or do harm.
            for end in ours:
                os.remove(self._path + end)
        if not others:
            return ""
        return _move_aside(self._path, _FILES if "" in others else others) + others[0]

    def close(self) -> None:
        """Let go of it. Idempotent."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _is_missing(file: _File) -> bool:
    try:
        return bool(file.missing())
    except OSError:
        return True


class _Seen(NamedTuple):
    """What tells one file from another."""

    device: int
    inode: int
    size: int


def _look(path: str) -> list[_Seen | None]:
    """Return what is there of the file and of what SQLite has not written into it yet.

    Raises `OSError` where that can't be seen.
    """
    seen: list[_Seen | None] = []
    for end in ("", "-wal"):
        try:
            found = os.stat(path + end)
        except (FileNotFoundError, NotADirectoryError):
            seen.append(None)
        else:
            seen.append(_Seen(found.st_dev, found.st_ino, found.st_size))
    return seen


def _is_in_use(path: str) -> bool:
    """Return whether another process has a file open as its SQLite file, without opening it so."""
    if sys.platform == "win32":
        return False
    import fcntl

    start, length = _LOCKED
    try:
        with open(path, "rb") as file:
            fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB, length, start)
    except OSError:
        return True
    return False


def _open(path: str) -> tuple[Connection, list[Record], list[str]]:
    import sqlite3

    try:
        if os.path.exists(path) and not os.path.isfile(path):
            raise OSError("it is a folder or a device")
        files.make_folders(os.path.dirname(path))
        file, beside = _look(path)
        if beside is not None and beside.size and (file is None or not file.size):
            # SQLite would delete the one beside it without a word.
            aside = _move_aside(path, ["-wal"])
            log.logger.error(
                f"the store's file {path} is {'missing' if file is None else 'empty'}, but "
                f"{path}-wal beside it holds changes: that is now {aside}-wal, and the store "
                "begins anew; to have back what it held, stop the bot and put both back"
            )
        try:
            return _load(path)
        except sqlite3.DatabaseError as error:
            # Its subclasses are about the use of a file, not about what is in it.
            if type(error) is not sqlite3.DatabaseError:
                raise
            aside = _move_aside(path, _FILES)
            log.logger.error(
                f"the store's file {path} is damaged ({error}): it is now {aside}, and the store "
                "begins anew without what it held"
            )
        return _load(path)
    except (OSError, sqlite3.Error) as error:
        if isinstance(error, sqlite3.Error) and "locked" in str(error):
            why = "it is in use by another process: stop that one"
        else:
            why = f"{error}: see that it is the store's, and it and its folder may be written to"
        raise StoreError(
            f"the store's file {path} can't be used: {why}, or set LITEYUKI_STORE_PATH anew"
        ) from error


def _load(path: str) -> tuple[Connection, list[Record], list[str]]:
    import sqlite3

    # Before SQLite makes it, and with it those beside it, for whoever the umask allows.
    if not os.path.exists(path):
        os.close(files.open_private(path, os.O_RDWR))
    for end in _FILES:
        files.tighten(path + end)
    connection = sqlite3.connect(path, timeout=_BUSY, isolation_level=None)
    try:
        connection.text_factory = bytes
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if found != b"ok":
            raise sqlite3.DatabaseError(found.decode(errors="replace").splitlines()[-1])
        tables = connection.execute("SELECT sql FROM sqlite_master").fetchall()
        if not tables:
            connection.execute(_TABLE)
        elif tables != [(_TABLE.encode(),)]:
            raise sqlite3.DatabaseError("it holds other tables than the store's")
        # Deletes nothing and needs no room, but fails where nothing may be written.
        connection.execute("DELETE FROM records WHERE key = 0")
        records, expired, now = [], [], time.time()
        for key, kind, data, expires_at, checksum in connection.execute("SELECT * FROM records"):
            if checksum != _checksum(key, kind, data, expires_at):
                raise sqlite3.DatabaseError(f"what it holds of key {key!r} is not what was written")
            name = key.decode("utf-8", "surrogatepass")
            if expires_at is None or expires_at > now:
                records.append(Record(name, kind.decode(), data, expires_at))
            else:
                expired.append(name)
        return connection, records, expired
    except BaseException:
        connection.close()
        raise


def _move_aside(path: str, ends: Sequence[str]) -> str:
    """Rename the files with these ends to what belongs together; return its name without one."""
    aside = first = f"{path}.damaged-{time.strftime('%Y%m%d-%H%M%S')}"
    number = 1
    while any(os.path.lexists(aside + end) for end in _FILES):
        number += 1
        aside = f"{first}-{number}"
    for end in ends:
        try:
            os.rename(path + end, aside + end)
        except FileNotFoundError:
            pass
    return aside


def _commit(
    connection: Connection, changes: Mapping[str, Record | None], *, anew: bool = False
) -> None:
    connection.rollback()  # What is left of a try that failed.
    connection.execute("BEGIN IMMEDIATE")
    if anew:
        connection.execute("DELETE FROM records")
    for name, record in changes.items():
        key = name.encode("utf-8", "surrogatepass")
        if record is None:
            connection.execute("DELETE FROM records WHERE key = ?", (key,))
        else:
            kind, data, at = record.kind.encode(), record.data, record.expires_at
            at = None if at is None or at != at else float(at)  # SQLite has no NaN.
            row = key, kind, data, at, _checksum(key, kind, data, at)
            connection.execute("INSERT OR REPLACE INTO records VALUES (?, ?, ?, ?, ?)", row)
    connection.execute("COMMIT")


def _checksum(key: Any, kind: Any, data: Any, expires_at: Any) -> int:
    """Return what tells whether a row is as it was written; damage may give it any types."""
    head = repr((key, kind, type(data), expires_at)).encode()
    return crc32(data if isinstance(data, bytes) else b"", crc32(head))
