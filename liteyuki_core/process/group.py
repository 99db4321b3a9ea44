"""A child process together with whatever it has started itself.

On POSIX systems a child leads a process group of its own, on Windows it is put into a job. What
is left of either when the child has ended is ended too. Not reached is what has left
the group on purpose, by starting a session of its own.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .. import log

if TYPE_CHECKING:
    from multiprocessing.context import SpawnProcess

_TERMINATE_SECONDS = 1.0
"""How long what a child leaves behind has to end before it is killed."""

_LOOK_SECONDS = 0.02

_NOTE_SECONDS = 0.1
"""multiprocessing may have reaped it just now, in another thread, and be about to note that."""

_UNKNOWN = 255
"""Stands for an exit code that nobody knows. Nobody sees it."""


class Group:
    """One child's group. Owns the Windows job; `wait` is for one thread, `kill` for any."""

    def __init__(self, child: SpawnProcess) -> None:
        assert child.pid is not None
        self._child: Any = child
        self._pid = child.pid
        self._job: _Job | None = None
        self._over = False
        if sys.platform == "win32":
            try:
                self._job = _Job(int(child.sentinel))
            except OSError as error:
                log.logger.warning(
                    f"{child.name}: no job can be made, so what it starts may outlive it: {error}"
                )

    def wait(self, on_ended: Callable[[], object]) -> int | None:
        """Wait for the child's end, then end what it has left. Reaps the child.

        Where the system can tell, `on_ended` is called before its number is free for others.
        Returns its exit code, or None if somebody else has reaped it and has that.
        """
        if self._job is not None:
            self._child.join()
            on_ended()
            self._job.end()
            return self._exit_code()
        if sys.platform != "win32" and hasattr(os, "waitid"):
            # Not reaped yet: its number can't be another group's when that is signalled.
            try:
                os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOWAIT)
            except ChildProcessError:
                pass  # Reaped by somebody else.
            on_ended()
            self._signal(signal.SIGTERM)
            self._child.join()
        else:
            self._child.join()
            on_ended()
            self._signal(signal.SIGTERM)
        code = self._exit_code()
        deadline = time.monotonic() + _TERMINATE_SECONDS
        while self._signal(0):
            if time.monotonic() > deadline:
                self.kill()
                break
            time.sleep(_LOOK_SECONDS)
        self._over = True
        return code

    def _exit_code(self) -> int | None:
        """Return the exit code of the child, which has ended."""
        deadline = time.monotonic() + _NOTE_SECONDS
        while (code := self._child.exitcode) is None and time.monotonic() < deadline:
            time.sleep(_LOOK_SECONDS)
        if code is None:
            # As multiprocessing sees it, it runs: it would be signalled, and could not be closed.
            self._child._popen.returncode = _UNKNOWN
        known: int | None = code
        return known

    def kill(self) -> None:
        """Kill the child and all of its group at once. Takes no lock: also for signal handlers."""
        try:
            self._child.kill()
        except (ValueError, OSError):
            pass  # It has ended.
        if sys.platform != "win32" and not self._over:
            self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> bool:
        return _signal(self._pid, number)


def leave_with_group() -> None:
    """End this process by force, and with it whatever it has started. Only in a child."""
    if sys.platform != "win32" and os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(1)  # On Windows its job ends the rest.


def _signal(group: int, number: int) -> bool:
    """Signal a process group; return whether it has anybody in it."""
    if sys.platform == "win32":
        return False
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    except PermissionError:
        # macOS says this of a group of zombies; elsewhere it is not ours any more.
        return False
    return True


class _Job:
    """A Windows job: what is in it ends when its last handle is closed, also by a crash of ours."""

    _EXTENDED_LIMITS = 9
    _KILL_ON_CLOSE = 0x2000

    def __init__(self, process: int) -> None:
        import ctypes

        class Limits(ctypes.Structure):
            # JOBOBJECT_EXTENDED_LIMIT_INFORMATION; only the flags are set.
            _fields_ = (
                ("times", ctypes.c_int64 * 2),
                ("flags", ctypes.c_uint32),
                ("working_set", ctypes.c_size_t * 2),
                ("active", ctypes.c_uint32),
                ("affinity", ctypes.c_size_t),
                ("classes", ctypes.c_uint32 * 2),
                ("counters", ctypes.c_uint64 * 6),
                ("memory", ctypes.c_size_t * 4),
            )

        windows: Any = ctypes
        kernel = self._kernel = windows.WinDLL("kernel32", use_last_error=True)
        kernel.CreateJobObjectW.restype = ctypes.c_void_p
        self._handle = ctypes.c_void_p(kernel.CreateJobObjectW(None, None))
        limits = Limits(flags=self._KILL_ON_CLOSE)
        if not kernel.SetInformationJobObject(
            self._handle, self._EXTENDED_LIMITS, ctypes.byref(limits), ctypes.sizeof(limits)
        ) or not kernel.AssignProcessToJobObject(self._handle, ctypes.c_void_p(process)):
            error = windows.WinError(windows.get_last_error())
            self.end()
            raise error

    def end(self) -> None:
        self._kernel.CloseHandle(self._handle)
