"""A new process in place of the main process, for `LiteyukiBot.restart`.

Ownership. A `Replacement` owns the command and the folder of the new process. Any thread may call
`want` and `forget`, a signal's handler too, so these take no lock. The thread that runs the bot
calls `replace` when everything that this process started has ended.

Tested in tests/test_bot.py and tests/process/test_reload.py.
"""

from __future__ import annotations

import os
import subprocess
import sys


class Replacement:
    """Whether a new process is wanted, and how it is started."""

    def __init__(self) -> None:
        self._folder = os.getcwd()
        self._command: list[str] | None = None

    def want(self) -> None:
        """Have `replace` run the command that started this process once more."""
        self._command = [sys.executable, *sys.orig_argv[1:]]

    @property
    def wanted(self) -> bool:
        """Whether `replace` will replace this process."""
        return self._command is not None

    def forget(self) -> None:
        """Have `replace` do nothing."""
        self._command = None

    def replace(self) -> None:
        """Replace this process, if that is wanted. Then this call does not return."""
        if self._command is None:
            return
        sys.stdout.flush()
        sys.stderr.flush()
        os.chdir(self._folder)
        if sys.platform == "win32":
            # On Windows, exec ends this process, and a console waits for no other.
            sys.exit(subprocess.call(self._command))
        os.execv(self._command[0], self._command)
