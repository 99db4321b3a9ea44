"""The store's SQLite file: what is to outlive the main process.

Written behind, in batches: whatever has gathered while one transaction was written goes into
the next, and of a key only its newest change. WAL mode without its shared memory, since nobody
else uses the file: what is committed survives any end of the process, and no end tears a value.

Ownership. The journal owns its thread, and that thread alone owns the connection: it opens,
uses and closes it. The lock guards what is noted; nothing is called and nothing waited for
while it is held, so it may be taken under any other.

Invariants. A change is in `_noted` or `_writing` from `write` until it is committed or a newer
one of its key is noted; where a key is in both, `_noted` has the newer. Only the thread changes
`_writing`. So what is committed holds every change up to the ticket that was the last one when
the batch was taken, and a batch that failed goes on with what was noted since.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, NamedTuple
from zlib import crc32

from .. import log
from ..errors import StoreError

if TYPE_CHECKING:
    from sqlite3 import Connection

MAX_BYTES = 999_000_000
"""Longest value: SQLite's own limit, and some room for the key."""

_RETRY = 3.0
"""Seconds between two tries to write what could not be written."""

_BUSY = 2.0
"""Seconds to wait for a process that is just letting go of the file."""

_TABLE = (
    "CREATE TABLE records (key BLOB PRIMARY KEY, kind BLOB, data BLOB, expires_at REAL, "
    "checksum INTEGER) WITHOUT ROWID"
)
"""Without a row id there is one tree: no index that could disagree with what it points to."""

_FILES = ("", "-wal", "-shm", "-journal")
"""What SQLite adds to the name for the files that belong together."""


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
    and after the next `write`, and reported again each time.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        on_written: Callable[[int, StoreError | None], None],
    ) -> None:
        self._path = os.path.realpath(path)
        self._on_written = on_written
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
        try:
            connection, records, expired = _open(self._path)
        except Exception as error:
            self._opened.put(error)
            return
        self._noted.update(dict.fromkeys(expired))  # Still alone: `open` has not returned.
        self._opened.put(records)
        del records, expired
        try:
            while (ticket := self._take()) is not None:
                self._write(connection, ticket)
        finally:
            connection.close()

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
            return self._last if self._writing else None

    def _write(self, connection: Connection, ticket: int) -> None:
        failed, error = None, None
        try:
            _commit(connection, self._writing)
        except Exception as raised:  # Whatever it is: what was noted is not to be lost.
            failed = str(raised) or repr(raised)
            error = StoreError(
                f"the store's file {self._path} can't be written: {failed}; what was set is kept "
                f"in memory and tried again every {_RETRY:g} s: see that its disk has room"
            )
        with self._changed:
            if failed is None:
                self._writing = {}
            before, self._failed = self._failed, failed
        if error is not None and before is None:
            log.logger.error(str(error))
        elif error is None and before is not None:
            log.logger.info(f"the store's file {self._path} is written again; nothing was lost")
        if ticket:
            self._on_written(ticket, error)


def _open(path: str) -> tuple[Connection, list[Record], list[str]]:
    import sqlite3

    try:
        if os.path.exists(path) and not os.path.isfile(path):
            raise OSError("it is a folder or a device")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        try:
            return _load(path)
        except sqlite3.DatabaseError as error:
            # Its subclasses are about the use of a file, not about what is in it.
            if type(error) is not sqlite3.DatabaseError:
                raise
            log.logger.error(
                f"the store's file {path} is damaged ({error}): it is now {_move_aside(path)}, and "
                "the store begins anew without what it held"
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


def _move_aside(path: str) -> str:
    aside = first = f"{path}.damaged-{time.strftime('%Y%m%d-%H%M%S')}"
    number = 1
    while any(os.path.lexists(aside + end) for end in _FILES):
        number += 1
        aside = f"{first}-{number}"
    for end in _FILES:
        try:
            os.rename(path + end, aside + end)
        except FileNotFoundError:
            pass
    return aside


def _commit(connection: Connection, changes: dict[str, Record | None]) -> None:
    connection.rollback()  # What is left of a try that failed.
    connection.execute("BEGIN IMMEDIATE")
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
