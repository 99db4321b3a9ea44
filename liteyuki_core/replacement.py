"""A new process in place of the main process, which `LiteyukiBot.restart` asks for.

Ownership. A `Replacement` owns the command and the folder of the new process. `want` is called
from any thread, `forget` also in a signal handler, so they take no lock; `replace` when all that
this process has started was ended.

Tested in tests/test_bot.py and tests/process/test_reload.py.
"""

from __future__ import annotations

import os
import subprocess
import sys


class Replacement:
    """Whether there is to be a new process, and how it is started."""

    def __init__(self) -> None:
        self._folder = os.getcwd()
        self._command: list[str] | None = None

    def want(self) -> None:
        """Have `replace` start the command that started this process."""
        self._command = [sys.executable, *sys.orig_argv[1:]]

    def forget(self) -> None:
        """Have `replace` start nothing."""
        self._command = None

    def replace(self) -> None:
        """Replace this process, if that is wanted; it does not come back then."""
        if self._command is None:
            return
        sys.stdout.flush()
        sys.stderr.flush()
        os.chdir(self._folder)
        if sys.platform == "win32":
            # An exec there starts a new process and ends this one, which a console waits for.
            sys.exit(subprocess.call(self._command))
        os.execv(self._command[0], self._command)
