"""Starts a program, and ends all that it has started when it ends or when the main process dies.

Not on Windows, where a job does that. This file is run as a process of its own, one for each
program, and imports nothing of this package. The system tells nobody but a process's parent of its
end, and ends nothing when a parent dies. So the guard is the program's parent. It waits for one of
three things, and costs no wake-up until then:

- a byte on `control`: the number of a signal, which it passes on;
- the end of `control`: the main process has ended, in whatever way;
- the end of the program.

On Linux the guard also adopts what has left the program's process group and has lost its parent
(PR_SET_CHILD_SUBREAPER). So a process that was detached on purpose is ended too. If somebody kills
the guard itself, Linux kills the program (PR_SET_PDEATHSIG), and the main process kills the group.

The job comes on `control` first: its length in four bytes, then texts with NUL between them: the
folder, the number of arguments, the arguments, and the environment as KEY=VALUE. On `status` the
guard answers with lines: `pid N` or `error N`, an errno; `ended` when the program has ended;
`exit N`, its exit code, when all that it has started has ended too.

Tested in tests/process/program/test_guard.py.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time

TYPE_CHECKING = False  # To import typing would take a third of the guard's start.
if TYPE_CHECKING:
    from typing import Any

assert sys.platform != "win32"

_GRACE_SECONDS = 1.0
"""What a program leaves behind has this time to end before it is killed."""
_ALONE_SECONDS = 2.0
"""So has a whole program when the main process has died."""
_KILL_SECONDS = 10.0
"""What has not ended so long after it was killed can't be ended."""
_LOOK_SECONDS = 0.02

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36

_IGNORED = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGTTOU", "SIGTTIN")
"""Signals for the program, which may be sent to all processes of a terminal or a service."""


class Guard:
    """One program, and the processes that it has started.

    With `own_group` False it stays in the main process's process group, which is the terminal's.
    """

    def __init__(self, control: int, status: int, own_group: bool) -> None:
        for file in (control, status):
            os.set_inheritable(file, False)  # They are no business of the program.
        self._control = control
        self._status = status
        self._own_group = own_group
        self._prctl = _prctl()
        self._adopts = self._prctl(_PR_SET_CHILD_SUBREAPER, 1)
        self._pid = 0
        self._code: int | None = None
        self._main_lives = True
        self._kills = False
        """Whether main has asked to kill, so that nobody gets any more time."""
        self._before = {name: _ignore(name) for name in _IGNORED}
        self._woken, wake = os.pipe()
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def run(self) -> None:
        """Start the program and stay until all is over."""
        error = self._start(_job(self._control))
        if error:
            self._say(f"error {error}")
            return
        self._say(f"pid {self._pid}")
        _let_go()
        while self._code is None and self._main_lives:
            found, _, _ = select.select([self._control, self._woken], [], [])
            if self._woken in found:
                os.read(self._woken, 512)
                self._reap()
            if self._control in found:
                self._obey()
        self._end(_GRACE_SECONDS if self._main_lives else _ALONE_SECONDS)
        self._say(f"exit {self._code}")

    def _say(self, line: str) -> None:
        try:
            os.write(self._status, f"{line}\n".encode())
        except OSError:
            pass  # The main process has died.

    # ------------------------------------------------------------- the start

    def _start(self, job: list[bytes]) -> int:
        """Start the program. Return the errno if it can't be started, or 0."""
        folder, count, *rest = job
        argv, variables = rest[: int(count)], rest[int(count) :]
        environment = dict(variable.split(b"=", 1) for variable in variables)
        failed, fail = os.pipe()
        parent = os.getpid()
        self._pid = os.fork()
        if not self._pid:
            try:
                self._become(parent, folder, argv, environment)
            except OSError as error:
                os.write(fail, str(error.errno).encode())
            finally:
                os._exit(127)
        os.close(fail)
        number = os.read(failed, 20)
        os.close(failed)
        if number:
            os.waitpid(self._pid, 0)
        return int(number or 0)

    def _become(
        self, parent: int, folder: bytes, argv: list[bytes], environment: dict[bytes, bytes]
    ) -> None:
        """Become the program. On the other side of the fork."""
        if self._own_group:
            os.setpgid(0, 0)
        self._prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            return
        for name in ("SIGPIPE", "SIGXFSZ", *_IGNORED):
            # Python ignores the first two. SIGHUP stays ignored for a bot that nohup has started.
            if name != "SIGHUP" or self._before[name] is not signal.SIG_IGN:
                signal.signal(getattr(signal, name), signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.chdir(folder)
        os.execvpe(argv[0], argv, environment)

    # ------------------------------------------------------------- while it runs

    def _obey(self) -> None:
        """Pass on the signals that the main process has asked for, or note that it has died."""
        numbers = os.read(self._control, 64)
        self._main_lives = bool(numbers)
        self._kills |= signal.SIGKILL in numbers
        for number in numbers:
            self._signal(number, everybody=number == signal.SIGKILL)

    def _signal(self, number: int, *, everybody: bool) -> None:
        """Signal the program's group. With `everybody` also those that have left the group."""
        try:
            if self._own_group:
                os.killpg(self._pid, number)
            elif self._code is None:
                os.kill(self._pid, number)
        except (ProcessLookupError, PermissionError):
            pass
        if everybody and self._adopts:
            for pid in _descendants(os.getpid()):
                try:
                    if os.getpgid(pid) != self._pid:
                        os.kill(pid, number)
                except (ProcessLookupError, PermissionError):
                    pass

    def _reap(self) -> bool:
        """Reap who has ended. Return whether anybody of the program is left."""
        try:
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    return True
                if pid == self._pid:
                    self._code = os.waitstatus_to_exitcode(status)
                    self._say("ended")
        except ChildProcessError:
            pass
        if self._adopts or not self._own_group:
            return False  # Who had no parent any more was the guard's child too.
        try:
            os.killpg(self._pid, 0)
        except (ProcessLookupError, PermissionError):  # macOS: a group of zombies.
            return False
        return True

    # ------------------------------------------------------------- the end

    def _end(self, grace: float) -> None:
        """End everybody who is left: ask, then kill."""
        begun = time.monotonic()
        is_asked = False
        while self._reap():
            seconds = time.monotonic() - begun
            if seconds > grace + _KILL_SECONDS:
                return
            if seconds > grace or self._kills:
                self._signal(signal.SIGKILL, everybody=True)
            elif not is_asked:
                self._signal(signal.SIGTERM, everybody=True)
                is_asked = True
            heard = [self._control] if self._main_lives else []
            found, _, _ = select.select(heard, [], [], _LOOK_SECONDS)
            if found:
                self._obey()


def _job(control: int) -> list[bytes]:
    """Read what is to be done."""
    size = int.from_bytes(_exactly(control, 4), "big")
    return _exactly(control, size).split(b"\0")


def _exactly(file: int, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = os.read(file, size - len(data))
        if not more:
            sys.exit()  # The main process has died.
        data += more
    return data


def _prctl() -> Any:
    """Return Linux's prctl, which says whether it has worked. Elsewhere it never has."""
    if sys.platform == "linux":
        try:
            import ctypes

            prctl = ctypes.CDLL(None).prctl
            return lambda option, value: prctl(option, value, 0, 0, 0) == 0
        except (ImportError, OSError, AttributeError):
            pass  # This Python has been built without it.
    return lambda option, value: False


def _ignore(name: str) -> Any:
    return signal.signal(getattr(signal, name), signal.SIG_IGN)


def _let_go() -> None:
    """Let the program alone have the standard streams: who reads them is to see their end."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nothing, standard)
    os.close(nothing)


def _descendants(pid: int) -> list[int]:
    """Return the processes that one has started, and that those have. On Linux."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    parent = int(file.read().rpartition(b")")[2].split()[1])
            except (OSError, IndexError, ValueError):
                continue
            children.setdefault(parent, []).append(int(name))
    found: list[int] = []
    ahead = [pid]
    while ahead:
        some = children.get(ahead.pop(), [])
        found += some
        ahead += some
    return found


if __name__ == "__main__":
    Guard(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "group").run()
