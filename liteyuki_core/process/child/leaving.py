"""How a child leaves: the main process or a callback asks it to, or the main process is gone.

The main process asks a child to stop over the link. From then on no message is begun: whoever
asks a channel for the next message gets `ChannelClosed`. Messages in hand are waited for. After
that every `receive` raises `ChannelClosed`. A target that receives itself ends by that error. Any
other target gets a KeyboardInterrupt on the main thread, as by Ctrl+C. A target that receives and
has not ended when the time is nearly over gets one too. Messages that are still in hand then were
not handled: the successor gets them.

When the main process is gone, the child leaves by itself, by force after `_LEAVE_SECONDS`. It
then also ends the processes that it has started.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from time import monotonic
from typing import Any

from ... import log
from ...comm.context import Context
from ...comm.loop import waiter
from ...comm.wire import link
from ...language import say
from ..group import leave_with_group
from .output import WriteEnd

_LEAVE_SECONDS = 4.0
_STOP_SHARE = 0.85
"""The main thread is interrupted when this share of a stop's time has passed."""

_EXIT_SECONDS = 10.0
"""When a callback ends the process, the target may take so long to end."""

INTERRUPTED = 130
"""The exit code of a process that a KeyboardInterrupt ends, as in shells."""

_PAUSE_SECONDS = 0.005
_PATIENCE = 200
"""The interrupt of a busy main thread is put off for at most so many pauses: a second."""

_COMM = f"{__name__.partition('.')[0]}.comm."


class Leaving:
    """Ends this process when it is asked to.

    The main process asks on the thread that reads the link, a callback on the thread of its loop.

    Invariant: the main thread is interrupted only between `begin` and `end`, while the target is
    imported or runs, and not in the middle of this package's work for the target: an exception
    there would leave a frame half written, or a thread made and never started. If the process was
    asked to leave before `begin`, `begin` raises.

    Python drops an exception that is raised in a finaliser. If that meets the interrupt, the main
    thread is interrupted once more.
    """

    def __init__(self, name: str, output: WriteEnd) -> None:
        self.name = name
        self.output = output
        self.context: Context
        self.asked = False
        self.broke_off = False
        """Whether messages in hand, or the target, were broken off."""
        self._stop_at = 0.0
        self.exit: BaseException | None = None
        """What a callback has raised to end this process."""
        self._lost = False
        self._lock = threading.Lock()
        self._in_target = False
        self._dropped = sys.unraisablehook
        """What Python would call with an exception that it drops."""

    @property
    def orphaned(self) -> bool:
        # A thread that waits in `receive` is woken before `lost` is called.
        return self._lost or self.context.ended

    @property
    def _leaves(self) -> bool:
        return self.asked or self.orphaned or self.exit is not None

    @property
    def remaining(self) -> float:
        """The seconds that remain until the process is ended by force."""
        return max(0.0, self._stop_at - monotonic())

    def stop(self, seconds: float) -> None:
        """End this process within `seconds`, because the main process has asked for it.

        Only the first call counts. Called on the thread that reads the link.
        """
        if self.asked:
            return
        self._stop_at = monotonic() + seconds
        self.context.stop.at = monotonic() + seconds * _STOP_SHARE
        self.asked = True
        self.context.stop.begin(f"process {self.name} is stopping")
        threading.Thread(target=self._stop, name="liteyuki-leave", daemon=True).start()

    def _stop(self) -> None:
        at = self.context.stop.at
        assert at is not None
        self.broke_off = not self.context.stop.settle(at - monotonic())
        if self.context.stop.received_by_target():
            self._after(max(0.0, at - monotonic()), self._interrupt)
        else:
            self._interrupt()

    def leave(self, error: BaseException) -> None:
        """End this process, because a callback has raised a SystemExit or KeyboardInterrupt."""
        if isinstance(error, KeyboardInterrupt) and (self.asked or self.orphaned):
            raise error  # A stop has interrupted the main thread, which runs this loop.
        if self.exit is not None:
            return
        self.exit = error
        self.context.stop.begin(f"process {self.name} is ending")
        self.context.dispatcher.stop_taking()
        self._after(_EXIT_SECONDS, self._end_by_force)
        if self.context.stop.received_by_target():
            self.context.stop.end_receiving(f"process {self.name} is ending")
            self._after(_LEAVE_SECONDS / 2, self._interrupt)
        else:
            self._after(0.0, self._interrupt)  # On another thread: this may be the main one.

    def code(self, otherwise: Any) -> Any:
        """Return the exit code that a callback has asked for, or else `otherwise`."""
        if self.exit is None:
            return otherwise
        return self.exit.code if isinstance(self.exit, SystemExit) else INTERRUPTED

    def lost(self, why: str | None) -> None:
        """End this process, because the main process is gone. `why` is the link's error, if any.

        Called on the thread that reads the link.
        """
        self._lost = True
        self.output.give_back()
        self._after(_LEAVE_SECONDS, leave_with_group)
        if self.context.stop.received_by_target():
            self._after(_LEAVE_SECONDS / 2, self._interrupt)
        else:
            self._interrupt()
        log.logger.error(
            say("process {name}: the main process is gone: {why}; leaving", name=self.name, why=why)
            if why
            else say("process {name}: the main process is gone; leaving", name=self.name)
        )

    def begin(self) -> None:
        """Allow the main thread to be interrupted. On that thread.

        Raises `KeyboardInterrupt` if the process is to leave already.
        """
        self._dropped, sys.unraisablehook = sys.unraisablehook, self._on_dropped
        with self._lock:
            leaves = self._leaves
            self._in_target = not leaves
        if leaves:
            raise KeyboardInterrupt

    def end(self) -> None:
        """Do not interrupt the main thread any more. On that thread."""
        with self._lock:
            self._in_target = False

    def _interrupt(self, patience: int = _PATIENCE) -> None:
        ident = threading.main_thread().ident
        with self._lock:
            if not self._in_target or ident is None:
                return
            if patience and _is_busy(ident):
                self._after(_PAUSE_SECONDS, lambda: self._interrupt(patience - 1))
                return
            self.broke_off = True
            if sys.platform == "win32":
                import _thread

                _thread.interrupt_main()
            else:
                signal.pthread_kill(ident, signal.SIGINT)

    def _on_dropped(self, dropped: sys.UnraisableHookArgs) -> None:
        if self._leaves and issubclass(dropped.exc_type, KeyboardInterrupt):
            self._after(0.0, self._interrupt)  # When this thread has left the finaliser.
        else:
            self._dropped(dropped)

    def _end_by_force(self) -> None:
        code = self.code(None)
        log.logger.error(
            say(
                "process {name}: its main thread has not ended within {seconds:g} s; ended by "
                "force",
                name=self.name,
                seconds=_EXIT_SECONDS,
            )
        )
        os._exit(0 if code is None else code & 0xFF if isinstance(code, int) else 1)

    def _after(self, seconds: float, act: Callable[[], object]) -> None:
        timer = threading.Timer(seconds, act)
        timer.name = "liteyuki-leave"
        timer.daemon = True
        timer.start()


def _is_busy(thread: int) -> bool:
    """Return whether a thread runs code of `comm`, or of this file, that must not be broken off.

    A user's callback or function that `comm` has called may be broken off, and so may waiting. But
    a link calls nothing of the user's: whatever a thread calls that reads or writes is part of it.
    """
    frame = sys._current_frames().get(thread)
    busy = None
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if module == link.__name__:
            return True
        if busy is None and module.partition(".")[0] not in sys.stdlib_module_names:
            busy = module == __name__ or (module.startswith(_COMM) and module != waiter.__name__)
        frame = frame.f_back
    return bool(busy)
