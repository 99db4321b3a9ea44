"""PID 1 of a container: runs the main process as its child, reaps orphans, and passes signals on.

In a container the first process gets every orphan, and must reap it, or it stays a zombie. The main
process can't: to take whatever has ended would also take exit codes that other code of it waits
for. So where it is PID 1, it replaces itself by this file, which runs the same command again. This
process imports nothing of this package, and sleeps until there is a signal.

Only on Linux. Tested in tests/process/test_pid_one.py.
"""

from __future__ import annotations

import os
import signal
import sys

assert sys.platform == "linux"

_PASSED_ON = (
    *(signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM),
    *(signal.SIGUSR1, signal.SIGUSR2),
)
_SI_KERNEL = 0x80
"""Who has sent a signal, if it was the system: for a terminal, which sends it to both processes."""


def stand_behind() -> None:
    """Replace this process by one that runs the same command as its child. Does not return.

    It does in a frozen program, which can't run this file.
    """
    if getattr(sys, "frozen", False):
        return
    sys.stdout.flush()
    sys.stderr.flush()
    command = [sys.executable, *sys.orig_argv[1:]]
    os.execv(sys.executable, [sys.executable, "-I", "-S", __file__, *command])


def run(command: list[str]) -> int:
    """Run a command, and return its exit code when it has ended."""
    signals = {signal.SIGCHLD, *_PASSED_ON}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    main = os.posix_spawn(command[0], command, os.environ, setsigmask=before)
    while True:
        found = signal.sigwaitinfo(signals)
        if found.si_signo == signal.SIGCHLD:
            code = _reap(main)
            if code is not None:
                return code if code >= 0 else 128 - code
        elif found.si_code != _SI_KERNEL:
            os.kill(main, found.si_signo)


def _reap(main: int) -> int | None:
    """Reap all that have ended, and return the exit code of `main`, if that is one of them."""
    code = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return code
        if not pid:
            return code
        if pid == main:
            code = os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
