"""Tells systemd how the bot is, where a service has asked for that: `Type=notify`, `WatchdogSec=`.

Ownership. A `Systemd` owns its socket and its timer, until `close`. It runs on LiteyukiBot's loop,
so a loop that is blocked says nothing, and systemd starts the service anew. It never waits. It is
imported only where NOTIFY_SOCKET is set.

What is told is described in sd_notify(3): lines of NAME=VALUE, some of them in one datagram.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import time
from collections.abc import Mapping
from enum import Enum

from . import log
from .language import say
from .process.state import ChildProcess, ProcessState
from .ring import Ring

_MOST_NAMES = 5
_AGAIN_SECONDS = 0.5


class Systemd:
    """Tells the service's socket of `children` and of the bot, from now on.

    `states` has an entry for each change of a child's state. `stopping` and `close` are called
    once.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        children: Mapping[str, ChildProcess],
        states: Ring[tuple[str, Enum]],
    ) -> None:
        self._loop = loop
        self._children = children
        self._states = states
        self._socket = _connected(os.environ["NOTIFY_SOCKET"])
        self._started = False
        self._ready = False
        self._stops = False
        self._looks = False
        """Whether it is about to look at the children."""
        self._said = ""
        self._pause = _watchdog_seconds() / 2
        self._timer: asyncio.TimerHandle | None = None
        if self._socket is None:
            return
        states.listen(self._changed)
        if self._pause:
            self._live()

    def started(self) -> None:
        """Have it say that the service is ready as soon as all children run."""
        self._started = True
        self._changed()

    def stopping(self, comes_again: bool) -> None:
        """Say that the bot stops, or that it only begins anew, with the same pid."""
        self._states.unlisten(self._changed)
        self._stops = True
        if comes_again:
            now = time.monotonic_ns() // 1000  # On Linux it is the clock that systemd wants.
            self._tell("RELOADING=1", f"MONOTONIC_USEC={now}", "STATUS=begins anew")
        else:
            self._tell("STOPPING=1", "STATUS=stops")

    def close(self) -> None:
        """Say nothing any more."""
        if self._timer is not None:
            self._timer.cancel()
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    # ------------------------------------------------------------- what is told

    def _changed(self) -> None:
        if not self._looks:
            self._looks = True  # Many change at once, and not all of them have their state yet.
            self._loop.call_soon(self._look)

    def _look(self) -> None:
        self._looks = False
        if self._stops:
            return
        lines = []
        children = list(self._children.values())
        others = [child for child in children if child.state is not ProcessState.RUNNING]
        over = all(child.state is ProcessState.STOPPED for child in others)
        if self._started and over and not self._ready:
            lines.append("READY=1")
        status = f"{len(children) - len(others)} of {len(children)} processes run"
        names = [f"{child.name} {child.state.value}" for child in others[:_MOST_NAMES]]
        names += ["..."] if len(others) > _MOST_NAMES else []
        if names:
            status += f" ({', '.join(names)})"
        if status != self._said:
            lines.append(f"STATUS={status}")
        if not lines:
            return
        if self._tell(*lines):
            self._said = status
            self._ready = self._ready or "READY=1" in lines
        else:
            self._loop.call_later(_AGAIN_SECONDS, self._changed)

    def _live(self) -> None:
        self._tell("WATCHDOG=1")
        self._timer = self._loop.call_later(self._pause, self._live)

    def _tell(self, *lines: str) -> bool:
        """Tell it, and return False if it must be told again: systemd has not read the last."""
        if self._socket is None:
            return True
        try:
            self._socket.send("\n".join(lines).encode())
        except BlockingIOError:
            return False
        except OSError as error:
            _warn(str(error))
            self._socket.close()
            self._socket = None
        return True


def _connected(address: str) -> socket.socket | None:
    """Return a socket that sends to an address, or None, with a line in the log."""
    if sys.platform == "win32":
        return None
    found = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    found.setblocking(False)
    try:
        if not address.startswith(("/", "@")):
            raise OSError("it is neither a path nor an abstract name")
        found.connect("\0" + address[1:] if address.startswith("@") else address)
    except OSError as error:
        found.close()
        _warn(str(error))
        return None
    return found


def _warn(why: str) -> None:
    log.logger.warning(say("systemd is not told how the bot is: NOTIFY_SOCKET: {why}", why=why))


def _watchdog_seconds() -> float:
    """Return how often systemd wants to hear of this process, in seconds; 0 if it does not."""
    of = os.environ.get("WATCHDOG_PID", "")
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    if (of and of != str(os.getpid())) or not microseconds.isdecimal():
        return 0.0
    return int(microseconds) / 1e6
