"""A program's process together with all that it starts, as the main process handles it.

On POSIX systems a `Guarded` one is the child of a guard (`guard.py`), to which main gives the
signals: the guard knows for certain that the pid is still the program's. On Windows, and where the
bot is a frozen program and there is no interpreter for a guard, a `Direct` one is main's own child,
with the `Group` that children have.

Ownership. A tree owns its process, or its guard, and main's ends of the pipes to it. `close` closes
them, after `wait` has returned.

Threads. To make one waits for the system and is for a worker thread. `wait` is for one thread.
Any thread may call `kill`, also in a signal handler. LiteyukiBot's loop calls the rest.
"""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any, Protocol

from ... import log
from ...errors import ProcessStartError
from ..group import Group
from .spec import Line, Program

_GUARD = os.path.join(os.path.dirname(__file__), "guard.py")


class Tree(Protocol):
    """A program's process and all that it starts."""

    pid: int
    """The program's own process."""
    root: int
    """All that belongs to the program descends from this process."""

    def signal(self, number: int) -> None:
        """Signal the program and what is in its group."""

    def kill(self) -> None:
        """Kill everything at once."""

    def wait(self, on_ended: Callable[[], object]) -> int | None:
        """Wait until the program and all that it has started have ended. Return its exit code.

        Calls `on_ended` as soon as the program itself has ended.
        """

    def write(self, text: str | None) -> None:
        """Write a line to the program's standard input, or close that. Raises `OSError`."""

    def close(self) -> None:
        """Close main's ends of the pipes. Idempotent."""


def started(program: Program, output: int | None) -> Tree:
    """Start a program, which writes to the file `output`, or to the terminal if that is None.

    Raises `ProcessStartError`.
    """
    try:
        if sys.platform == "win32" or getattr(sys, "frozen", False):
            return Direct(program, output)
        return Guarded(program, output)
    except OSError as error:
        raise ProcessStartError(_why(program, error), program.name) from error


def _why(program: Program, error: OSError) -> str:
    """Return in words why a program can't be started."""
    executable = program.argv[0]
    if not os.path.isdir(program.cwd):
        return f"there is no folder {program.cwd!r} any more, which is its cwd"
    if error.errno == errno.ENOENT:
        return f"there is no executable {executable!r}: install it, or give its full path in argv"
    if error.errno == errno.EACCES:
        return f"{executable!r} is not an executable file, or this user may not run it"
    if error.errno == errno.ENOEXEC:
        return (
            f"{executable!r} is no program of this system: for a script, name its interpreter first"
        )
    return f"{executable!r}: {error.strerror or error}"


class _Input:
    """The standard input of a program: the terminal, a pipe for a `Line`, or nothing."""

    def __init__(self, program: Program) -> None:
        self.theirs: int | None = None if program.terminal else subprocess.DEVNULL
        self._encoding = program.encoding
        self._ours = -1
        if isinstance(program.stop, Line):
            self.theirs, self._ours = os.pipe()
            if sys.platform != "win32":  # A line fits into the pipe. If not, nobody waits.
                os.set_blocking(self._ours, False)

    def handed(self) -> None:
        """Close main's copy of the program's end."""
        if self._ours >= 0 and self.theirs is not None and self.theirs >= 0:
            os.close(self.theirs)
            self.theirs = None

    def write(self, text: str | None) -> None:
        if text is None:
            self.close()
        elif self._ours >= 0:
            data = f"{text}\n".encode(self._encoding, "backslashreplace")
            os.write(self._ours, data)

    def close(self) -> None:
        ours, self._ours = self._ours, -1
        if ours >= 0:
            os.close(ours)


class Guarded:
    """A program under a guard, which main asks for everything."""

    def __init__(self, program: Program, output: int | None) -> None:
        group = "terminal" if program.terminal else "group"
        theirs, self._control = os.pipe()
        status, answers = os.pipe()
        self._status = os.fdopen(status, "rb")
        self._input = _Input(program)
        try:
            self._guard = subprocess.Popen(
                [sys.executable, "-I", "-S", _GUARD, str(theirs), str(answers), group],
                stdin=self._input.theirs,
                stdout=output,
                stderr=output,
                pass_fds=(theirs, answers),
                start_new_session=not program.terminal,
            )
        except BaseException:
            self.close()
            raise
        finally:
            os.close(theirs)
            os.close(answers)
            self._input.handed()
        self.root = self._guard.pid
        try:
            self._tell(program)
            word, number = self._answer()
            if word != "pid":
                raise OSError(number, os.strerror(number) if number else "its guard has ended")
        except BaseException:
            self.close()  # Then the guard ends, and with it what it has started.
            self._guard.wait()
            raise
        self.pid = number
        if sys.platform != "win32":
            os.set_blocking(self._control, False)  # A signal handler may write to it.
            self._signal = os.kill if program.terminal else os.killpg

    def _tell(self, program: Program) -> None:
        fields = [program.cwd, str(len(program.argv)), *program.argv]
        fields += [f"{key}={value}" for key, value in program.environment().items()]
        job = b"\0".join(map(os.fsencode, fields))
        data = len(job).to_bytes(4, "big") + job
        while data:
            data = data[os.write(self._control, data) :]

    def _answer(self) -> tuple[str, int]:
        """Return the next word of the guard with its number; "" if it has ended."""
        word, _, number = self._status.readline().decode().strip().partition(" ")
        return word, int(number or 0)

    def signal(self, number: int) -> None:
        """See `Tree`."""
        control = self._control
        if control >= 0:
            try:
                os.write(control, bytes((number,)))
            except OSError:
                pass  # The guard has ended.

    def kill(self) -> None:
        """See `Tree`."""
        self.signal(9)  # On Windows there is no name for it.

    def wait(self, on_ended: Callable[[], object]) -> int | None:
        """See `Tree`."""
        code = None
        word, number = self._answer()
        while word:
            if word == "ended":
                on_ended()
            elif word == "exit":
                code = number
            word, number = self._answer()
        self._guard.wait()
        if code is None:
            log.logger.error(f"the guard of pid {self.pid} was ended; so all is killed")
            if sys.platform != "win32":
                try:
                    self._signal(self.pid, signal.SIGKILL)
                except (ProcessLookupError, PermissionError):
                    pass  # Nobody is left.
            on_ended()
        return code

    def write(self, text: str | None) -> None:
        """See `Tree`."""
        self._input.write(text)

    def close(self) -> None:
        """See `Tree`."""
        control, self._control = self._control, -1
        if control >= 0:
            os.close(control)
            self._status.close()
            self._input.close()


class Direct:
    """A program that is main's own child."""

    def __init__(self, program: Program, output: int | None) -> None:
        argv, environment = list(program.argv), program.environment()
        options: dict[str, Any] = {}
        if sys.platform == "win32":
            import shutil

            # So scripts are found too, such as npx.cmd.
            argv[0] = shutil.which(argv[0], path=environment.get("PATH")) or argv[0]
            if not program.terminal:
                options["creationflags"] = subprocess.CREATE_NEW_PROCESS_GROUP
        self._input = _Input(program)
        try:
            popen = subprocess.Popen(
                argv,
                cwd=program.cwd,
                env=environment,
                stdin=self._input.theirs,
                stdout=output,
                stderr=output,
                start_new_session=sys.platform != "win32" and not program.terminal,
                **options,
            )
        except BaseException:
            self._input.close()
            raise
        finally:
            self._input.handed()
        self.pid = self.root = popen.pid
        self._has_terminal = program.terminal
        self._process = _Process(program.name, popen)
        group: Any = Group
        self._group: Group = group(self._process)

    def signal(self, number: int) -> None:
        """See `Tree`."""
        if self._process.exitcode is not None:
            return
        try:
            if sys.platform == "win32":
                # It reaches programs with a console, and these can end in order.
                os.kill(self.pid, signal.CTRL_BREAK_EVENT)
            else:
                # With the terminal it has no group of its own.
                (os.kill if self._has_terminal else os.killpg)(self.pid, number)
        except OSError:
            pass  # It has ended.

    def kill(self) -> None:
        """See `Tree`."""
        self._group.kill()

    def wait(self, on_ended: Callable[[], object]) -> int | None:
        """See `Tree`."""
        return self._group.wait(on_ended)

    def write(self, text: str | None) -> None:
        """See `Tree`."""
        self._input.write(text)

    def close(self) -> None:
        """See `Tree`."""
        self._input.close()


class _Process:
    """A process of `subprocess`, as `Group` knows those of multiprocessing."""

    def __init__(self, name: str, popen: subprocess.Popen[bytes]) -> None:
        self.name = name
        self.pid = popen.pid
        self._popen = popen

    @property
    def sentinel(self) -> int:
        """The system's handle of the process. On Windows."""
        return int(self._popen._handle)  # type: ignore[attr-defined]

    @property
    def exitcode(self) -> int | None:
        """The exit code of a process that was waited for."""
        return self._popen.returncode

    def join(self) -> None:
        """Wait for its end and reap it."""
        self._popen.wait()

    def kill(self) -> None:
        """Kill it."""
        self._popen.kill()
