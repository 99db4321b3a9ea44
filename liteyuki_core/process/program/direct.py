"""A program that is main's own child: on Windows, and in a bot that is a frozen program.

It has the `Group` that children have, which is a job on Windows. See `Tree` for who may call what.

Ownership. A `Direct` owns the process, its group and its input.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from ..group import Group
from .input import Input
from .spec import Program


class Direct:
    """A program that is main's own child."""

    def __init__(self, program: Program, output: int | None) -> None:
        argv, environment = list(program.argv), program.environment()
        options: dict[str, Any] = {}
        if sys.platform == "win32":
            import shutil

            if os.path.dirname(argv[0]):  # Elsewhere the system looks in the program's folder.
                argv[0] = os.path.join(program.cwd, argv[0])
            # So scripts are found too, such as npx.cmd.
            argv[0] = shutil.which(argv[0], path=environment.get("PATH")) or argv[0]
            if not program.terminal:
                options["creationflags"] = subprocess.CREATE_NEW_PROCESS_GROUP
        self._input = Input(program)
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
