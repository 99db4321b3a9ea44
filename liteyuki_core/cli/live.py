"""What a running bot says of itself, again and again: its status, and lines of its log.

Ownership. A `Live` owns two threads, from `start` to `close`: one asks for the status and does what
was asked for, one follows the log. Whoever looks never waits for them.
"""

from __future__ import annotations

import threading
from collections import deque
from time import monotonic
from typing import Any

from ..control import Client, ControlError, NoBot
from ..control.client import Following
from .text import t

_PAUSE = 1.0
_NOTICE_SECONDS = 5.0
_LINES = 5000
"""As many as the bot keeps."""
_UNSEEN = 20_000


class Live:
    """The last status of the bot, and what its log has had since somebody took lines of it."""

    def __init__(self, status: dict[str, Any]) -> None:
        self.status = status
        self.notice = ""
        """What came of what was asked for, or why there is nothing new. Gone after a while."""
        self._notice_until = 0.0
        self.error: Exception | None = None
        """Why nothing more will come."""
        self._wanted: deque[tuple[str, str]] = deque()
        self._woken = threading.Event()
        self._ended = False
        self._lines: deque[dict[str, Any]] = deque(maxlen=_UNSEEN)
        self._following: Following | None = None
        self._threads = [
            threading.Thread(target=self._look, name="liteyuki-top-status", daemon=True),
            threading.Thread(target=self._follow, name="liteyuki-top-log", daemon=True),
        ]

    def start(self) -> None:
        """Begin to look."""
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """End both threads, and wait for them, but not for a bot that does not answer."""
        self._ended = True
        self._woken.set()
        if self._following is not None:
            self._following.close()
        for thread in self._threads:
            thread.join(1.0)

    def say(self, notice: str) -> None:
        """Have a notice shown for a while."""
        self.notice, self._notice_until = notice, monotonic() + _NOTICE_SECONDS

    def want(self, verb: str, name: str) -> None:
        """Have a process started, stopped or restarted."""
        self._wanted.append((verb, name))
        self._woken.set()

    def take(self) -> list[dict[str, Any]]:
        """Return the lines that have come meanwhile."""
        taken = []
        while self._lines:
            taken.append(self._lines.popleft())
        return taken

    # ------------------------------------------------------------- the threads

    def _look(self) -> None:
        client = Client()
        while not self._ended:
            try:
                while self._wanted:
                    verb, name = self._wanted.popleft()
                    found = client.ask("POST", f"/processes/{name}/{verb}")
                    self.say(t("{name} is {state}").format(name=name, state=t(found["state"])))
                self.status = client.ask("GET", "/status")
            except NoBot as error:
                self.error = error
                return
            except ControlError as error:
                self.say(str(error))
            self._woken.wait(_PAUSE)
            if monotonic() > self._notice_until:
                self.notice = ""
            self._woken.clear()

    def _follow(self) -> None:
        while not self._ended and self.error is None:
            try:
                self._following = Client().follow("/log/follow", query={"lines": _LINES})
                if self._ended:  # It was closed before there was anything to close.
                    self._following.close()
                for sent in self._following:
                    if sent.kind == "line":
                        self._lines.append(sent.data)
            except (NoBot, ControlError):
                pass  # The other thread says so.
            return
