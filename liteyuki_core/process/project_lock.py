"""The project's lock: one LiteyukiBot a working directory.

The lock is an OS lock on a file. The system releases it when the process ends, however it ends.
So a crash leaves no stale lock, and the file may stay. The pid in the file is only for the error
of a LiteyukiBot that does not get the lock.

Invariants. Only the process that took the lock holds it: processes that it spawns do not get the
file, and a copy made by fork closes its own descriptor. Closing it there leaves the lock alone,
because the lock belongs to the open file. Unlocking would release it, so only the owner unlocks.
The pid is written and removed under the lock. The file is the user's alone, because whoever can
open it can lock it. The file is no symbolic link, because a link's target would be written to.
"""

from __future__ import annotations

import errno
import os
import sys
from time import monotonic, sleep

from .. import files, log
from ..errors import AlreadyRunning, LiteyukiError
from ..language import say

FILE = ".liteyuki.lock"

_PATIENCE = 0.3
"""Seconds to wait for the lock: its holder may be about to write its pid, or about to end."""
_PAUSE = 0.02

_WINDOWS_BYTE = 1 << 30
"""The byte that is locked on Windows. Nobody else can read a locked byte there."""

_held: ProjectLock | None = None
_fork_hook = False


class ProjectLock:
    """The lock on the directory that is the working directory at `acquire`. It owns the open file.

    The thread that runs the bot calls it. `release` may be called without `acquire`.
    """

    def __init__(self) -> None:
        self._file: int | None = None

    def acquire(self) -> None:
        """Take the lock. Waits for a fraction of a second.

        If the file can't be locked, this logs a warning and holds nothing. Raises
        `AlreadyRunning`, and `LiteyukiError` if the file is a symbolic link.
        """
        try:
            self._take()
        except OSError as error:
            log.logger.warning(
                say(
                    "{file} can't be locked ({error}): a second LiteyukiBot in this directory "
                    "would not be noticed",
                    file=FILE,
                    error=error,
                )
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
        # Python opens files so that children do not inherit them.
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
        """Release the lock. Idempotent."""
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


def is_locked() -> bool:
    """Return whether another process holds the lock on the working directory. Creates no file."""
    if not os.path.lexists(FILE):
        return False
    try:
        ProjectLock().look()
    except AlreadyRunning:
        return True
    except LiteyukiError:
        return False  # It is a symbolic link, which no bot locks.
    return False


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
        pass  # The disk may be full. The lock is held nevertheless.


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
