"""A program under a guard, which is its parent: on POSIX systems.

Main signals the program through the guard, which knows for certain that the pid is still the
program's. See `guard.py` for what the two tell each other, and `Tree` for who may call what.

Ownership. A `Guarded` owns the guard, main's ends of the two pipes to it, and the program's input.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable

from ... import log
from ...language import say
from .input import Input
from .spec import Program

_GUARD = os.path.join(os.path.dirname(__file__), "guard.py")


class Guarded:
    """A program under a guard, which main asks for everything."""

    def __init__(self, program: Program, output: int | None) -> None:
        group = "terminal" if program.terminal else "group"
        theirs, self._control = os.pipe()
        status, answers = os.pipe()
        self._status = os.fdopen(status, "rb")
        self._input = Input(program)
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
            log.logger.error(
                say("the guard of pid {pid} was ended; so all is killed", pid=self.pid)
            )
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
