"""A fork server: it imports what children need, and then forks children instead of becoming one.

It is begun by `process/forking.py` in the main process, as a child would be spawned: a fresh
interpreter that inherits what the main process has then. Nothing of the user's is imported.

A child is a copy of the server, made by two forks. The copy that the first one makes only makes
the second one and ends. That orphan is adopted by the main process: it is the main process's own
child, as if spawned, and owes the server nothing.

Invariants. When the server forks, it has one thread, and no open files but its socket, which no
copy keeps. It keeps nothing between two questions, so it may be killed at any time. It sleeps
until it is asked, and ends when the main process closes the socket or dies.

Tested in tests/process/test_forking.py.
"""

from __future__ import annotations

import errno
import json
import os
import select
import signal
import socket
import sys
import time
from importlib import import_module
from multiprocessing import resource_tracker, spawn
from typing import Any, NoReturn

assert sys.platform == "linux", "elsewhere children are spawned"

_REQUEST_BYTES = 4096
_MOST = 64
"""At least as many files as a child is given."""

PRELOADED = "PRELOADED"
"""The name under which a framework's module lists the modules that its children need."""

_MODULES = ("loguru._logger", "runpy", f"{__name__.rpartition('.')[0]}.entry")
"""What every child needs."""

_files: list[int] = []
"""In a child: the files that it was given."""


class Passed:
    """A file that is passed to a child, as its place in the list of files."""

    def __init__(self, place: int) -> None:
        self._place = place

    def detach(self) -> int:
        """Return the file. In the child."""
        return _files[self._place]


def serve(control: socket.socket, framework: str) -> NoReturn:
    """Import what children need, then fork a child for each question that comes over `control`.

    Tell main when that is imported, or what is wrong. Ends when main is gone. In a child, runs
    the child as multiprocessing would, and ends with it.
    """
    try:
        _load(framework)
        files = _files_of_modules()
        loaded = _states(files)
    except BaseException as error:
        control.send(json.dumps(repr(error)).encode())
        raise
    _let_go()
    # Main may ignore ends of children, and so may the children, but this process waits for them.
    on_child = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    control.send(b"null")
    while True:
        request, given, _, _ = socket.recv_fds(
            control, _REQUEST_BYTES, _MOST, socket.MSG_CMSG_CLOEXEC
        )
        if not request:
            os._exit(0)
        if loaded != _states(files):
            control.send(b"0")  # Code has changed, and a child must have the new one.
            os._exit(0)
        count, told = json.loads(request)
        answer = _fork() if len(given) == count else -errno.EMFILE
        if answer is None:
            control.close()
            signal.signal(signal.SIGCHLD, on_child)
            sys.exit(_become_child(given, **told))
        for file in given:
            os.close(file)
        control.send(str(answer).encode())


def _load(framework: str) -> None:
    for name in _MODULES:
        import_module(name)
    if framework:
        for name in getattr(import_module(framework), PRELOADED, ()):
            try:
                import_module(name)
            except ImportError:
                pass  # It is optional, or the child says what it misses.
    # Its import adds a handler for standard error. In a child that is another one.
    sys.modules.pop("loguru").logger.remove()
    threads = len(os.listdir("/proc/self/task"))
    if threads != 1:
        raise RuntimeError(f"{threads} threads run after the imports, so it can't be forked")


def _files_of_modules() -> list[str]:
    spaces = [getattr(module, "__dict__", {}) for module in list(sys.modules.values())]
    return [os.path.abspath(file) for space in spaces if (file := space.get("__file__"))]


def _states(files: list[str]) -> list[tuple[int, ...] | None]:
    """Return what tells whether files have changed."""
    found: list[tuple[int, ...] | None] = []
    for file in files:
        try:
            state = os.stat(file)
        except OSError:
            found.append(None)
        else:
            found.append((state.st_mtime_ns, state.st_size, state.st_ino))
    return found


def _let_go() -> None:
    """Hold nothing of main's: neither its folder nor its standard files."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.chdir("/")
    null = os.open(os.devnull, os.O_RDWR)
    for standard in range(3):
        os.dup2(null, standard)
    os.close(null)


def _fork() -> int | None:
    """Return the pid of a new child, minus an error's number, or in the child None."""
    ours, theirs = os.pipe()
    try:
        between = os.fork()
        if not between:
            _fork_and_end(theirs)
            return None
        os.waitpid(between, 0)
        return int(os.read(ours, 32))
    except OSError as error:
        return -(error.errno or 1)
    finally:
        os.close(ours)
        os.close(theirs)


def _fork_and_end(file: int) -> None:
    """Fork, and end after writing what `_fork` returns. Return in the new process alone."""
    pid = -1
    try:
        pid = os.fork()
    except OSError as error:
        pid = -(error.errno or 1)
    finally:
        if pid:
            os.write(file, str(pid).encode())
            os._exit(0)


def _become_child(files: list[int], mask: list[int], standard: list[int]) -> int | None:
    """Run the child that main tells this process over the first file. Return its exit code."""
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    for number in standard:
        file = files.pop()
        os.dup2(file, number)
        os.close(file)
    told, _alive, tracker, *_files[:] = files
    poll = select.poll()
    poll.register(told, select.POLLIN)
    if not poll.poll()[0][1] & select.POLLIN:
        os._exit(1)  # Main has given up the start meanwhile, or is gone.
    time.tzset()  # The system's time zone may be another by now.
    tracking: Any = resource_tracker
    tracking._resource_tracker._fd = tracker
    running: Any = spawn
    code: int | None = running._main(told, os.dup(told))
    return code
