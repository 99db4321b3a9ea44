"""The project's lock: one LiteyukiBot a working directory.

What counts is an OS lock on the file, which goes with the process however that ends, so a
crash leaves nothing stale and the file may stay. The pid in it is only for who is refused.

Invariants. Only the process that took the lock holds it: what it spawns does not get the file,
and a copy made by fork closes its own. Closing there leaves the lock alone, since it belongs to
the open file; unlocking would not, so only its owner does that. The pid is written under the
lock and taken out under it. The file is the user's alone, for who can open it can lock it; and it
is no link, whose target would be written to.
"""

from __future__ import annotations

import errno
import os
import sys
from time import monotonic, sleep

from .. import files, log
from ..errors import AlreadyRunning, LiteyukiError

FILE = ".liteyuki.lock"

_PATIENCE = 0.3
"""Seconds: who holds the lock may be about to write its pid, or about to leave."""
_PAUSE = 0.02

_WINDOWS_BYTE = 1 << 30
"""The byte that is locked on Windows, where nobody else could read a byte that is."""

_held: ProjectLock | None = None
_fork_hook = False


class ProjectLock:
    """The lock on the working directory that `acquire` finds. It owns the open file.

    Called by the thread that runs the bot. `release` ends it, and may be called without `acquire`.
    """

    def __init__(self) -> None:
        self._file: int | None = None

    def acquire(self) -> None:
        """Take the lock; waits for a fraction of a second.

        Where there can be no lock, a warning says so and nothing is held. Raises `AlreadyRunning`,
        and `LiteyukiError` where the file is a symbolic link.
        """
        try:
            self._take()
        except OSError as error:
            log.logger.warning(
                f"{FILE} can't be locked ({error}): a second LiteyukiBot in this directory would "
                "not be noticed"
            )

    def look(self) -> None:
        """Raise `AlreadyRunning` if another process holds the lock now; hold nothing.

        Raises `LiteyukiError` as `acquire` does.
        """
        try:
            self._take()
        except OSError:
            return
        self.release()

    def _take(self) -> None:
        global _held, _fork_hook
        if os.path.islink(FILE):
            raise LiteyukiError(
                f"{os.path.abspath(FILE)} is a symbolic link, and what it points to is not to be "
                "written to: remove it, and see who has made it"
            )
        # Not passed on to children: Python opens files that way.
        file = files.open_private(FILE, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
        try:
            if not _lock_patiently(file):
                pid = _read_pid(file)
                raise AlreadyRunning(
                    f"a LiteyukiBot runs in {os.getcwd()} already, with pid "
                    f"{'unknown' if pid is None else pid}: stop it first, or start this one in "
                    "another directory",
                    pid,
                )
        except BaseException:
            os.close(file)
            raise
        self._file = file
        _held = self
        if not _fork_hook and hasattr(os, "register_at_fork"):
            _fork_hook = True
            os.register_at_fork(after_in_child=_forked)
        _write_pid(file, f"{os.getpid()}\n")

    def release(self) -> None:
        """Give the lock up. Idempotent."""
        global _held
        file, self._file = self._file, None
        if file is None:
            return
        _held = None
        _write_pid(file, "")
        _unlock(file)
        os.close(file)

    def abandon(self) -> None:
        """Close this process's file after a fork: the lock is the parent's."""
        file, self._file = self._file, None
        if file is not None:
            os.close(file)


def _lock_patiently(file: int) -> bool:
    deadline = monotonic() + _PATIENCE
    while not _lock(file):
        if monotonic() > deadline:
            return False
        sleep(_PAUSE)
    return True


def _read_pid(file: int) -> int | None:
    os.lseek(file, 0, os.SEEK_SET)
    text = os.read(file, 32)
    return int(text) if text.strip().isdigit() else None


def _write_pid(file: int, text: str) -> None:
    try:
        os.ftruncate(file, 0)
        os.lseek(file, 0, os.SEEK_SET)
        os.write(file, text.encode())
    except OSError:
        pass  # The disk is full: the lock holds all the same.


def _forked() -> None:
    global _held
    held, _held = _held, None
    if held is not None:
        held.abandon()


if sys.platform == "win32":
    import msvcrt

    def _lock(file: int) -> bool:
        """Try to lock the file. Raises `OSError` where it can't be locked at all."""
        os.lseek(file, _WINDOWS_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EDEADLK):
                return False
            raise
        return True

    def _unlock(file: int) -> None:
        os.lseek(file, _WINDOWS_BYTE, os.SEEK_SET)
        msvcrt.locking(file, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _lock(file: int) -> bool:
        """Try to lock the file. Raises `OSError` where it can't be locked at all."""
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _unlock(file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_UN)
