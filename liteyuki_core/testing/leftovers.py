"""What a bot under test has left behind: processes, threads, file descriptors.

All are compared with those that there were before it. What ends by itself has a moment to do so.
"""

from __future__ import annotations

import os
import sys
import threading
from time import monotonic, sleep

import psutil

from ..gateway.thread import new_loop

_SECONDS = 5.0
_PAUSE = 0.01

_OTHERS = ("asyncio_", "AnyIO worker", "pytest", "ThreadPoolExecutor", "execnet")
"""The names of threads that a test's own loop or pytest starts and keeps begin so."""


class Leftovers:
    """What there is now. `check` says later what there is more."""

    def __init__(self) -> None:
        if sys.platform != "win32":
            from multiprocessing import resource_tracker

            # The first child starts it, and it stays for as long as this process.
            resource_tracker.ensure_running()
            new_loop().close()  # The first of uvloop's opens a pipe, which stays too.
        self._processes = _processes()
        self._threads = set(threading.enumerate())
        self._descriptors = _descriptors()

    def check(self) -> None:
        """Wait a moment for what ends by itself. Raises `AssertionError` if anything is left."""
        deadline = monotonic() + _SECONDS
        while True:
            left = self._left()
            if not left:
                return
            if monotonic() > deadline:
                raise AssertionError(f"the test has left behind: {'; '.join(left)}")
            sleep(_PAUSE)

    def _left(self) -> list[str]:
        found = [
            f"process {pid} ({_command(process)})"
            for pid, process in _processes().items()
            if pid not in self._processes
        ]
        found += [
            f"thread {thread.name}"
            for thread in threading.enumerate()
            if thread not in self._threads and not thread.name.startswith(_OTHERS)
        ]
        descriptors = _descriptors()
        if len(descriptors) > len(self._descriptors):
            new = sorted(descriptors - self._descriptors)
            found.append(
                f"{len(descriptors) - len(self._descriptors)} file descriptors, among "
                f"{', '.join(map(_opened, new))}"
            )
        return found


def _processes() -> dict[int, psutil.Process]:
    """Return the processes that this one has started, and those that they have, that live."""
    found = {}
    for process in psutil.Process().children(recursive=True):
        try:
            if process.status() != psutil.STATUS_ZOMBIE:
                found[process.pid] = process
        except psutil.NoSuchProcess:
            pass
    return found


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline()) or process.name()
    except psutil.Error:
        return "unknown"


def _descriptors() -> set[int]:
    """Return the open file descriptors. Windows has none that could be listed."""
    if sys.platform == "win32":
        return set()
    return {int(name) for name in os.listdir("/dev/fd")}


def _opened(descriptor: int) -> str:
    try:
        return f"{descriptor} ({os.readlink(f'/proc/self/fd/{descriptor}')})"
    except OSError:
        return str(descriptor)
