"""Runs another program on a terminal, which is closed when there is a file `close`.

`python -m tests.children terminal NAME`. The file `seen` has what the terminal has shown.
"""

from __future__ import annotations

import os
import pty
import sys
import time
from pathlib import Path

assert sys.platform != "win32", "terminals as Unix has them"


def main() -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [sys.executable, "-m", "tests.children", *sys.argv[1:]])
    seen = b""
    while b"ready" not in seen or seen.count(b"started (pid") < 2:
        seen += os.read(terminal, 1000)
        Path("seen").write_bytes(seen)
    print("ready", flush=True)
    while not os.path.exists("close"):
        time.sleep(0.01)
    os.close(terminal)
    print("ended with", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
