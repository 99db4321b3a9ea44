"""One process of a child, together with the processes that it has started.

On POSIX systems a child leads a process group of its own, on Windows it is put into a job. When
the child has ended, the processes it started are ended too. This does not reach a process that
has left the group on purpose, by starting a session of its own.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .. import log
from ..language import say

if TYPE_CHECKING:
    from multiprocessing.context import SpawnProcess

_TERMINATE_SECONDS = 1.0
"""After this time, the processes that a child leaves behind are killed."""

_LOOK_SECONDS = 0.02

_NOTE_SECONDS = 0.1
"""multiprocessing may just have reaped it in another thread. It notes the exit code soon."""

_UNKNOWN = 255
"""Given to multiprocessing in place of an exit code that nobody knows. It is shown nowhere."""


class Group:
    """The group of one process. Owns the Windows job. `wait` is for one thread, `kill` for any."""

    def __init__(self, process: SpawnProcess) -> None:
        assert process.pid is not None
        self._process: Any = process
        self._pid = process.pid
        self._job: _Job | None = None
        self._over = False
        if sys.platform == "win32":
            try:
                self._job = _Job(int(process.sentinel))
            except OSError as error:
                log.logger.warning(
                    say(
                        "{name}: no Windows job can be made for it, so processes that it starts "
                        "may outlive it: {error}",
                        name=process.name,
                        error=error,
                    )
                )

    def wait(self, on_ended: Callable[[], object]) -> int | None:
        """Wait until the process has ended, reap it, and end the processes that it started.

        Calls `on_ended` when it has ended; where the system can tell, before its pid may be that
        of another process. Returns the exit code, or None if other code has reaped the process.
        """
        if self._job is not None:
            self._process.join()
            on_ended()
            self._job.end()
            return self._exit_code()
        if sys.platform != "win32" and hasattr(os, "waitid"):
            # It is not reaped yet, so its pid can't be another group's when the group is signalled.
            try:
                os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOWAIT)
            except ChildProcessError:
                pass  # Other code of this program has reaped it.
            on_ended()
            self._signal(signal.SIGTERM)
            self._process.join()
        else:
            self._process.join()
            on_ended()
            self._signal(signal.SIGTERM)
        code = self._exit_code()
        deadline = time.monotonic() + _TERMINATE_SECONDS
        while self._signal(0):
            self._reap_adopted()
            if time.monotonic() > deadline:
                self.kill()
                break
            time.sleep(_LOOK_SECONDS)
        self._over = True
        return code

    def _reap_adopted(self) -> None:
        """Reap those of the group whose parent has ended while main adopted orphans."""
        if sys.platform == "win32":
            return
        try:
            while os.waitpid(-self._pid, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            pass

    def _exit_code(self) -> int | None:
        """Return the exit code of the process, which has ended."""
        deadline = time.monotonic() + _NOTE_SECONDS
        while (code := self._process.exitcode) is None and time.monotonic() < deadline:
            time.sleep(_LOOK_SECONDS)
        if code is None:
            # Else multiprocessing would believe that it runs, signal it, and refuse to close it.
            self._process._popen.returncode = _UNKNOWN
        known: int | None = code
        return known

    def kill(self) -> None:
        """Kill the process and its group at once. Takes no lock, so signal handlers may call it."""
        try:
            self._process.kill()
        except (ValueError, OSError):
            pass  # It has ended.
        if sys.platform != "win32" and not self._over:
            self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> bool:
        return _signal(self._pid, number)


def leave_with_group() -> None:
    """End this process and the processes it has started, by force. Only in a child."""
    if sys.platform != "win32" and os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(1)  # On Windows the job ends the other processes.


def _signal(group: int, number: int) -> bool:
    """Signal a process group; return whether there is any process in it."""
    if sys.platform == "win32":
        return False
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    except PermissionError:
        # macOS raises this for a group of zombies. Elsewhere the group is another user's by now.
        return False
    return True


class _Job:
    """A Windows job: its processes end when its last handle is closed, also when main crashes."""

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
