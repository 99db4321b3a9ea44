"""Fork servers: children are forked by a process that has imported what they need.

A child that is spawned imports Python's library and this package first. A fork server,
`child/server.py`, has done that already. There is one for all children, and another one for the
children of each framework, which has imported what that framework needs. Where a server can't be
used, children are spawned.

A child is a copy of the server and yet main's own: the server forks a process that forks the child
and ends, and while that goes on, main adopts orphans (`PR_SET_CHILD_SUBREAPER`). So main waits for
the child, signals it and gets its exit code as if it had spawned it, also when the server is gone.
Somebody else who is orphaned in these few milliseconds is adopted too. When he ends, he stays a
zombie until main ends, unless he is in a child's group, which `group.py` reaps.

Ownership. A `Forking` owns its servers, and `close` ends them. A server owns its process and main's
side of its socket. Any thread may call everything. Threads that start children wait for servers.

Invariants. A child has what it would have if it was spawned at that moment. Files and the signal
mask are passed, and so is what multiprocessing passes. All else that a process inherits is
compared: a server that has inherited something else, for example another environment, is replaced.
So is one that is gone, or that has loaded code which has changed on the disk. A server keeps
nothing from one child to the next, so it is simply killed.
"""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing import (
    context,
    popen_spawn_posix,
    reduction,
    resource_tracker,
    spawn,
    util,
)
from typing import Any

from .. import log
from ..language import say
from .child import server

assert sys.platform == "linux", "elsewhere children are spawned"

_START = (
    "import json, socket, sys; control = socket.socket(fileno={}); "
    "sys.path[:], framework = json.loads(control.recv(1 << 20)); "
    f"from {server.__name__} import serve; serve(control, framework)"
)

_KEPT = (
    *("Umask:", "Uid:", "Gid:", "Groups:", "SigIgn:", "NoNewPrivs:", "Seccomp:"),
    *("CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:", "Cpus_allowed:", "Mems_allowed:"),
)
"""The lines of `/proc/PID/status` about what a process inherits."""

_SET_SUBREAPER, _GET_SUBREAPER = 36, 37
_END_SECONDS = 1.0
_CLOSED = "children can't be started any more"


class _Gone(Exception):
    """The server is gone, or its code has changed."""


class _Unusable(Exception):
    """No child can be forked now."""


class Forking:
    """The fork servers of the main process. None is begun before a child is started."""

    def __init__(self) -> None:
        self._servers: dict[str, _Server] = {}
        self._adoption = _Adoption()
        self._is_closed = False

    def process(self, framework: str, **options: Any) -> context.SpawnProcess:
        """Return a process of multiprocessing, not started yet, with its `options`.

        It is a copy of a server that has imported what the module `framework` lists, if there is
        one. To start it may wait for that server.
        """
        server = self._servers.setdefault(framework, _Server(framework, self._adoption))
        if self._is_closed:
            server.close()
        return _ForkedProcess(server, **options)

    def close(self) -> None:
        """End the servers. Who starts a child gets an `OSError` from now on."""
        self._is_closed = True
        for each in list(self._servers.values()):
            each.close()


class _Server:
    """One fork server: the process that is it now, or none. It starts one child at a time."""

    def __init__(self, framework: str, adoption: _Adoption) -> None:
        self._framework = framework
        self._adoption = adoption
        self._lock = threading.Lock()
        self._control: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._inherited: Any = None
        self._unusable = ""
        self._is_closed = False
        _forget_after_fork(self)

    def fork(self, files: list[int]) -> int:
        """Return the pid of a new child that is given `files`.

        Waits until the server has imported what children need. Raises `OSError`, and `_Unusable`
        if the child is to be spawned instead.
        """
        if self._unusable:
            raise _Unusable(self._unusable)
        for _ in range(2):
            with self._lock, suppress(_Gone):
                return self._fork(files)
        raise _Unusable("the fork server ends again and again")

    def give_up(self, why: str) -> None:
        """Have every `fork` raise `_Unusable` from now on, and log why."""
        with self._lock:
            first, self._unusable = not self._unusable, why
            self._end()
        if first:
            log.logger.warning(
                say("children are spawned, not forked, so they start slower: {why}", why=why)
            )

    def close(self) -> None:
        """End the server's process. Wakes who waits for it. Idempotent."""
        self._is_closed = True
        process = self._process
        if process is not None:
            process.kill()
        if self._lock.acquire(timeout=_END_SECONDS):
            try:
                self._end()
            finally:
                self._lock.release()

    def forget(self) -> None:
        """Close this process's copy of the socket, after a fork of main."""
        if self._control is not None:
            self._control.close()

    def _fork(self, files: list[int]) -> int:
        if self._is_closed:
            raise OSError(_CLOSED)
        inherited = _inherited()
        if (
            self._inherited != inherited
            or self._process is None
            or self._process.poll() is not None
        ):
            self._end()
            try:
                self._begin()
            except BaseException:
                self._end()
                raise
            self._inherited = inherited
        assert self._control is not None
        standard = list(_standard_files())
        request = {"mask": list(signal.pthread_sigmask(signal.SIG_BLOCK, ())), "standard": standard}
        given = [*files, *reversed(standard)]
        with self._adoption.while_forking():
            try:
                data = json.dumps([len(given), request]).encode()
                socket.send_fds(self._control, [data], given)
                answer = int(self._control.recv(32) or 0)
            except ConnectionError:
                answer = 0
        if not answer:
            self._end()
            raise _Gone
        if answer < 0:
            raise OSError(-answer, os.strerror(-answer))
        try:
            os.waitid(os.P_PID, answer, os.WEXITED | os.WNOWAIT | os.WNOHANG)
        except ChildProcessError:
            os.kill(answer, signal.SIGKILL)
            raise _Unusable("this system has not made a forked child main's own") from None
        return answer

    def _begin(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._control = ours
            command = [
                spawn.get_executable(),
                *subprocess._args_from_interpreter_flags(),  # type: ignore[attr-defined]
                "-c",
                _START.format(theirs.fileno()),
            ]
            # Main decides when it ends, not the terminal. Children are given another mask.
            ours.send(json.dumps([sys.path, self._framework]).encode())
            with _blocked(signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                self._process = subprocess.Popen(
                    command, pass_fds=[theirs.fileno()], restore_signals=False
                )
        if self._is_closed:  # `close` has not seen the process.
            raise OSError(_CLOSED)
        try:
            answer = ours.recv(1 << 16)
        except ConnectionError:
            answer = b""
        if answer == b"null":
            return
        if self._is_closed:
            raise OSError(_CLOSED)
        if not answer:
            raise _Gone
        raise _Unusable(f"the fork server says {json.loads(answer)}")

    def _end(self) -> None:
        control, self._control = self._control, None
        process, self._process = self._process, None
        self._inherited = None
        if control is not None:
            control.close()
        if process is not None:
            process.kill()
            with suppress(subprocess.TimeoutExpired):
                process.wait(_END_SECONDS)


class _Adoption:
    """Makes this process adopt orphans while children are forked."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0
        self._was_on = True

    @contextmanager
    def while_forking(self) -> Iterator[None]:
        """Adopt orphans in the `with` block. Raises `_Unusable` where that can't be."""
        self._add(1)
        try:
            yield
        finally:
            self._add(-1)

    def _add(self, change: int) -> None:
        from ctypes import CDLL, byref, c_int, c_ulong

        def control(option: int, value: Any) -> None:
            if CDLL(None).prctl(option, value, c_ulong(), c_ulong(), c_ulong()):
                raise _Unusable("this system does not let processes adopt orphans")

        with self._lock:
            if not self._count:
                was_on = c_int()
                control(_GET_SUBREAPER, byref(was_on))
                self._was_on = bool(was_on)
            before, after = self._count, self._count + change
            if not self._was_on and (not before or not after):
                control(_SET_SUBREAPER, c_ulong(bool(after)))
            self._count = after


def _inherited() -> Any:
    """Return what a new process inherits from this thread, and is not passed to it."""
    return (
        dict(os.environ),
        list(sys.path),
        spawn.get_executable(),
        [line for line in _read("status").splitlines() if line.startswith(_KEPT)],
        *map(_read, ("limits", "cgroup", "oom_score_adj")),
        os.getpriority(os.PRIO_PROCESS, 0),
        os.sched_getscheduler(0),
    )


def _read(name: str) -> str:
    try:
        with open(f"/proc/thread-self/{name}", encoding="utf-8", errors="replace") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def _standard_files() -> Iterator[int]:
    for number in range(3):
        with suppress(OSError):
            if os.get_inheritable(number):
                yield number


@contextmanager
def _blocked(*signals: int) -> Iterator[None]:
    """Block signals for this thread, and for what it starts in the `with` block."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_all: weakref.WeakSet[_Server] = weakref.WeakSet()
_fork_hook = False


def _forget_after_fork(server: _Server) -> None:
    """Have a copy of this process, made by fork, not keep the server running."""
    global _fork_hook
    _all.add(server)
    if not _fork_hook:
        _fork_hook = True
        os.register_at_fork(after_in_child=_forked)


def _forked() -> None:
    for each in _all:
        each.forget()


class _ForkedProcess(context.SpawnProcess):
    """A process that a server forks. In the child it is multiprocessing's own class."""

    def __init__(self, server: _Server, **options: Any) -> None:
        super().__init__(**options)
        self._server = server

    @staticmethod
    def _Popen(process: Any) -> Any:
        try:
            return _ForkedPopen(process)
        except _Unusable as error:
            process._server.give_up(str(error))
            return popen_spawn_posix.Popen(process)

    def __reduce__(self) -> Any:
        state = {name: value for name, value in vars(self).items() if name != "_server"}
        return object.__new__, (context.SpawnProcess,), state


class _ForkedPopen(popen_spawn_posix.Popen):
    """How multiprocessing starts such a process and waits for it."""

    DupFd = server.Passed  # type: ignore[assignment]
    _fds: list[int]

    def duplicate_for_child(self, fd: int) -> int:
        self._fds.append(fd)
        return len(self._fds) - 1

    def _launch(self, process: Any) -> None:
        # As multiprocessing's own, but for who starts the process.
        data = io.BytesIO()
        context.set_spawning_popen(self)
        try:
            reduction.dump(spawn.get_preparation_data(process.name), data)
            reduction.dump(process, data)
        finally:
            context.set_spawning_popen(None)
        tracker = resource_tracker.getfd()
        with ExitStack() as theirs, ExitStack() as ours:
            alive_reader, alive = _pipe(ours, theirs)
            told, teller = _pipe(theirs, ours)
            files = [told, alive, tracker, *self._fds]
            self.pid = process._server.fork(files)
            self.sentinel = alive_reader
            kept = ours.pop_all()
            self.finalizer = util.Finalize(self, kept.close)
            with open(teller, "wb", closefd=False) as file:
                file.write(data.getbuffer())


def _pipe(reader: ExitStack, writer: ExitStack) -> tuple[int, int]:
    read, write = os.pipe()
    reader.callback(os.close, read)
    writer.callback(os.close, write)
    return read, write
