"""A program in a pseudo-terminal of a given size: what it shows there, and keys for it."""

from __future__ import annotations

import os
import re
import struct
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

from tests.conftest import DEADLINE, wait_until

_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # to move, to colour
    r"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"  # titles
    r"|\x1b[()].|\x1b[=>78PX_^]?"  # modes
)


class Terminal:
    """A program that has a pseudo-terminal as its standard streams.

    Owns the process, the terminal and the thread that reads it; `close` ends all three.
    """

    def __init__(
        self,
        command: list[str],
        folder: Path,
        environment: Mapping[str, str],
        columns: int = 80,
        lines: int = 24,
    ) -> None:
        assert sys.platform != "win32"
        import fcntl
        import pty
        import termios

        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        inherited = {k: v for k, v in environment.items() if k not in ("COLUMNS", "LINES")}
        self.process = subprocess.Popen(
            command,
            cwd=folder,
            env={**inherited, "TERM": "xterm-256color"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        self._written = b""
        self._reader = threading.Thread(target=self._read, name="terminal-output", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        try:
            while data := os.read(self._ours, 65536):
                self._written += data
        except OSError:
            pass  # How a terminal says that nobody writes any more.

    @property
    def raw(self) -> str:
        """All that it has written, with what moves the cursor and gives colours."""
        return self._written.decode(errors="replace")

    @property
    def text(self) -> str:
        """The same without."""
        return _ESCAPES.sub("", self.raw).replace("\r\n", "\n")

    def press(self, keys: str) -> None:
        """Send it keys."""
        os.write(self._ours, keys.encode())

    def wait_for(self, pattern: str, after: int = 0) -> re.Match[str]:
        """Wait until it has written something, not counting the first `after` characters."""
        found: re.Match[str] = wait_until(
            lambda: re.search(pattern, self.text[after:], re.MULTILINE),
            f"{pattern!r} in the terminal",
        )
        return found

    def wait(self, timeout: float = DEADLINE) -> int:
        """Wait for its end, and return its exit code."""
        code = self.process.wait(timeout)
        self._reader.join(DEADLINE)
        return code

    def close(self) -> None:
        """End it, if it runs."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(DEADLINE)
        self._reader.join(DEADLINE)
        os.close(self._ours)
