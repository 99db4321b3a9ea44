"""The store's SQLite file: the keys that outlive the main process.

Changes are noted at once and written later, in batches. All changes that are noted while one
transaction is written go into the next transaction, and of each key only its newest change. The
file is in WAL mode without WAL's shared memory, because no other process uses the file. So a
committed change survives any end of the process, and no end leaves half a value.

A user may delete or move the file while it is in use. What is written after that is lost. So after
each commit, before it counts, the thread looks whether the file is still there. If it is not, the
thread writes the whole file anew from what the store has in memory.

Ownership. The journal owns its thread; `close` ends it. Only that thread uses the connection: it
opens, uses and closes it.

Threads. Any thread may call `open`, `write` and `close`. The journal's lock guards what is noted.
While it is held, nothing is called and nothing is waited for. So it may be taken under any other
lock.

Invariants.
- A change is in `_noted` or in `_writing` from `write` until it is committed or a newer change of
  its key is noted. If a key is in both, `_noted` has the newer change.
- Only the journal's thread changes `_writing`.
- So a commit has every change up to the ticket that was the last one when its batch was taken. A
  batch that failed is tried again together with the changes that were noted since.
- When the file is written anew, the thread asks for the kept records after it takes the ticket. So
  the new file has every change up to that ticket.
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
from ...language import Phrase, say

if TYPE_CHECKING:
    from sqlite3 import Connection

MAX_BYTES = 999_000_000
"""Longest value in bytes: SQLite's limit, less some bytes for the key."""

_RETRY = 3.0
"""Seconds from a failed write to the next try."""

_AGAIN = Phrase(
    "what was set is kept in memory and tried again every {seconds:g} s: see that its disk has "
    "room",
    seconds=_RETRY,
)

_BUSY = 2.0
"""Seconds to wait for a process that is closing the file at this moment."""

_TABLE = (
    "CREATE TABLE records (key BLOB PRIMARY KEY, kind BLOB, data BLOB, expires_at REAL, "
    "checksum INTEGER) WITHOUT ROWID"
)
"""Without a row id SQLite keeps one tree, and no index that could disagree with the rows."""

_FILES = ("", "-wal", "-shm", "-journal")
"""The endings that SQLite adds to the name for the files that belong together."""


_LOCKED = 0x40000002, 510
"""The offset and the number of the bytes of a file that SQLite locks
(https://www.sqlite.org/fileformat.html)."""


class Record(NamedTuple):
    """One key as the file has it. `expires_at` is by `time.time()`; None: it never expires."""

    key: str
    kind: str
    data: bytes
    expires_at: float | None


class Journal:
    """Keeps keys in one SQLite file, so that they outlive the main process.

    Call `open`, then `write` as often as needed, then `close`. `on_written(ticket, error)` is
    called on the journal's thread, with no lock held. If `error` is None, every change up to that
    ticket is committed. Otherwise the changes up to it that are not committed have failed for now:
    they are kept, tried again every few seconds and after the next `write`, and reported again each
    time. `kept()` returns all records that must be in the file, with every change noted before the
    call. It is called on the same thread, with no lock held, when the file is lost.
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
        self._deadline: float | None = None  # Set by `close`: when to give up.
        self._thread: threading.Thread | None = None
        self._opened: SimpleQueue[list[Record] | Exception] = SimpleQueue()

    def open(self) -> list[Record]:
        """Open the file and return its records. If there is no file, make one.

        Waits until the whole file is read, and a moment for a process that is closing the file.
        Records that have expired are not returned, and are deleted. A damaged file is moved aside
        and a fresh file is begun; an ERROR line says where the damaged one is. Call it once, from
        any thread. Raises `StoreError` if another process uses the file or if it can't be used.
        """
        self._thread = threading.Thread(target=self._run, name="liteyuki-journal", daemon=True)
        self._thread.start()
        opened = self._opened.get()
        if isinstance(opened, Exception):
            self._thread.join()
            raise opened
        return opened

    def write(self, key: str, record: Record | None) -> int:
        """Note the new state of a key, None if it is not kept; return the ticket of this change.

        Each ticket is one more than the last. Never waits. From any thread, under any lock. Raises
        `StoreError` for a value over `MAX_BYTES`, and after `close` was called.
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
        """Write what remains, close the file and end the thread; return whether all was written.

        Waits up to `timeout` seconds. A write that fails is tried again until then. The log says
        how many keys were not written. Idempotent; from any thread but the journal's.
        """
        thread = self._thread
        with self._changed:
            self._deadline = time.monotonic() + timeout
            self._changed.notify()
        if thread is None:
            return True
        thread.join(timeout)
        with self._changed:
            unwritten = len(self._noted.keys() | self._writing.keys())
            why = self._failed or Phrase("it took over {seconds:g} s", seconds=timeout)
        done = not unwritten and not thread.is_alive()
        if not done:
            log.logger.error(
                say(
                    "the store's file {path} is left with {count} keys not written: {why}",
                    path=self._path,
                    count=unwritten,
                    why=why,
                )
            )
        return done

    def abandon(self) -> None:
        """Forget everything but the connection. Only in a forked copy of the process.

        The thread does not exist here. The connection must not be closed, because then the copy
        would write to the file. It is never closed: the thread's stack frames refer to it and are
        never unwound.
        """
        self._changed = threading.Condition(threading.Lock())
        self._thread = None
        self._noted, self._writing = {}, {}
        self._deadline = 0.0

    def _run(self) -> None:
        # Only the stack frames of this thread refer to the file. `abandon` says why.
        file = _File(self._path)
        try:
            records, expired = file.open()
        except Exception as error:
            self._opened.put(error)
            return
        self._noted.update(dict.fromkeys(expired))  # No lock: `open` has not returned yet.
        self._opened.put(records)
        del records, expired
        try:
            while True:
                ticket = self._take()
                if ticket is None:
                    if not _is_missing(file) or self._is_late():
                        break
                    ticket = self._last  # The file is gone: write it anew before the end.
                self._write(file, ticket)
        finally:
            file.close()

    def _is_late(self) -> bool:
        with self._changed:
            closing = self._deadline
            return self._failed is not None and closing is not None and time.monotonic() >= closing

    def _take(self) -> int | None:
        """Wait for changes, take them as the batch, return its ticket; None: it is time to end."""
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
            except Exception as raised:  # Whatever was raised, the noted changes must not be lost.
                failed = str(raised) or repr(raised)
                if file.lost:
                    text = Phrase(
                        "{why}; all that is kept is in memory and is written anew", why=failed
                    )
                else:
                    text = Phrase(
                        "the store's file {path} can't be written: {why}; {again}",
                        path=self._path,
                        why=failed,
                        again=_AGAIN,
                    )
                self._settle(ticket, failed, text, lost=file.lost)
            else:
                text = Phrase(
                    "the store's file {path} is written again; nothing was lost", path=self._path
                )
                self._settle(ticket, None, text)
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
            text = Phrase(
                "the store's file {path} can't be written anew: {why}; {again}",
                path=self._path,
                why=failed,
                again=_AGAIN,
            )
            self._settle(ticket, failed, text, lost=True)
            return
        text = Phrase(
            "the store's file {path} is written anew with {count} keys",
            path=self._path,
            count=len(records),
        )
        if aside:
            found = Phrase("what was in its place is now {aside}", aside=aside)
            text = Phrase("{first}; {second}", first=text, second=found)
        self._settle(ticket, None, text)

    def _settle(self, ticket: int, failed: str | None, text: Phrase, *, lost: bool = False) -> None:
        """Note how a try to write went, and report it. `text` is the line for the log.

        The log has one line for the first failure. While tries go on to fail it has no other,
        except that if the file is lost it has one for each new reason. It has one for the success.
        """
        with self._changed:
            if failed is None:
                self._writing = {}
            before, self._failed = self._failed, failed
        if failed is not None and (before is None or (lost and before != failed)):
            log.logger.error(text)
        elif failed is None and before is not None:
            log.logger.info(text)
        if ticket:
            self._on_written(ticket, None if failed is None else StoreError(text.english))


class _File:
    """The SQLite file, for the journal's thread, and whether it is still where it was opened."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._connection: Connection | None = None
        self._seen: list[_Seen | None] = []
        self.lost = False
        """Whether the whole file must be written anew."""

    def open(self) -> tuple[list[Record], list[str]]:
        """Open the file; return its records and the keys that have expired. Raises `StoreError`."""
        self._connection, records, expired = _open(self._path)
        self._seen = _look(self._path)
        return records, expired

    def commit(self, changes: dict[str, Record | None]) -> None:
        """Write changes. Raises what SQLite raises, and `StoreError` if the file is lost."""
        assert self._connection is not None
        try:
            _commit(self._connection, changes)
        finally:
            missing = self.missing()
            if missing:
                self.lost = True
                raise StoreError(missing)

    def missing(self) -> str:
        """Return what has happened to the file since it was opened; an empty text for nothing.

        Raises `OSError` if that can't be found out.
        """
        if sys.platform == "win32":
            return ""  # On Windows nobody can delete or move a file that is in use.
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
        """Write the file anew; return the new name of what stood in its place, or an empty text.

        Raises what SQLite raises, `OSError` or `StoreError`.
        """
        aside = ""
        if self._connection is None or self.missing():
            aside = self._clear()
            self.close()  # Only now: it would delete another file that has the name of its own.
            try:
                self.open()
            finally:
                self._seen = _look(self._path)  # Files of a try that failed are this process's too.
        assert self._connection is not None
        _commit(self._connection, records, anew=True)
        missing = self.missing()
        if missing:
            raise StoreError(missing)
        self.lost = False
        return aside

    def _clear(self) -> str:
        """Remove or move aside the files that a fresh file would be read with, or written over."""
        ours, others = [], []
        for end, before, found in zip(_FILES, self._seen, _look(self._path), strict=False):
            if found is not None and before is not None and found[:2] == before[:2]:
                ours.append(end)
            elif found is not None and found.size:
                others.append(end)
        if "" in others and _is_in_use(self._path):
            raise StoreError("another process uses the one that is there: stop that one")
        if not os.path.exists(self._path) or not os.path.getsize(self._path) or "" in others:
            # Everything in these files is also in memory. Kept, they would be useless or harmful.
            for end in ours:
                os.remove(self._path + end)
        if not others:
            return ""
        return _move_aside(self._path, _FILES if "" in others else others) + others[0]

    def close(self) -> None:
        """Close the connection. Idempotent."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _is_missing(file: _File) -> bool:
    try:
        return bool(file.missing())
    except OSError:
        return True


class _Seen(NamedTuple):
    """By what one file is told from another, and its size."""

    device: int
    inode: int
    size: int


def _look(path: str) -> list[_Seen | None]:
    """Return what stands at the path of the file and at that of its WAL; None: nothing does.

    Raises `OSError` if that can't be found out.
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
    """Return whether another process has a file open as a SQLite file. Does not open it as one."""
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
            # SQLite would silently delete the WAL beside it.
            aside = _move_aside(path, ["-wal"])
            log.logger.error(
                say(
                    "the store's file {path} is {what}, but {path}-wal beside it holds changes: "
                    "that is now {aside}-wal, and the store begins anew; to have back what it "
                    "held, stop the bot and put both back",
                    path=path,
                    what=Phrase("missing") if file is None else Phrase("empty"),
                    aside=aside,
                )
            )
        try:
            return _load(path)
        except sqlite3.DatabaseError as error:
            # The subclasses of this error are about the use of a file, not about its content.
            if type(error) is not sqlite3.DatabaseError:
                raise
            aside = _move_aside(path, _FILES)
            log.logger.error(
                say(
                    "the store's file {path} is damaged ({error}): it is now {aside}, and the "
                    "store begins anew without what it held",
                    path=path,
                    error=error,
                    aside=aside,
                )
            )
        return _load(path)
    except (OSError, sqlite3.Error) as error:
        if isinstance(error, sqlite3.Error) and "locked" in str(error):
            why = "it is in use by another process: stop that one"
        else:
            why = (
                f"{error}: check that this is the store's file, and that it and its folder may be "
                "written to"
            )
        raise StoreError(
            f"the store's file {path} can't be used: {why}, or set LITEYUKI_STORE_PATH anew"
        ) from error


def _load(path: str) -> tuple[Connection, list[Record], list[str]]:
    import sqlite3

    # Make the file before SQLite does. SQLite would make it, and the files beside it, readable for
    # everybody whom the umask allows.
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
        # This deletes nothing and needs no room on the disk. It fails if the file is read-only.
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
    """Rename the files with these endings, all to one new name; return that name without ending."""
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
    connection.rollback()  # A try that failed may have left a transaction.
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
    """Return a number that tells whether a row is as it was written.

    In a damaged file the values may have any types.
    """
    head = repr((key, kind, type(data), expires_at)).encode()
    return crc32(data if isinstance(data, bytes) else b"", crc32(head))
