"""How a child leaves: asked to by the main process, by a callback, or because that one is gone.

The main process asks a child to stop over the link. From then on no message is begun, whoever
serves a channel gets `ChannelClosed` in place of the next, and what is in hand is waited for. Then
every `receive` raises that. A target that receives itself ends by it; any other, and one that has
not ended when the time is nearly over, gets a KeyboardInterrupt on its main thread, as by Ctrl+C.
What is still in hand then was not handled: a successor gets it.

When the main process is gone, the child leaves by itself, by force after `_LEAVE_SECONDS`; what it
has started itself it then ends with itself.
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
from ..group import leave_with_group
from .output import WriteEnd

_LEAVE_SECONDS = 4.0
_STOP_SHARE = 0.85
"""Of the time that a stop has, how much may pass before the main thread is interrupted."""

_EXIT_SECONDS = 10.0
"""How long the target has to end when a callback ends the process."""

INTERRUPTED = 130
"""Exit code of a process that a KeyboardInterrupt ends, as shells have it."""

_PAUSE_SECONDS = 0.005
_PATIENCE = 200
"""How many such pauses a main thread that is busy has: a second."""

_COMM = f"{__name__.partition('.')[0]}.comm."


class Leaving:
    """How this process is asked to end, by the main process on the thread that reads the link, or
    by a callback on its loop's.

    Invariant: the main thread is interrupted only between `begin` and `end`, while the target is
    imported or runs, and not in the middle of what this package does for it: an exception there
    would leave a frame half written, or a thread made and never started. Whoever is asked to leave
    earlier is told so by `begin`.
    """

    def __init__(self, name: str, output: WriteEnd) -> None:
        self.name = name
        self.output = output
        self.context: Context
        self.asked = False
        self.broke_off = False
        """Whether a stop could not wait for all that was in hand."""
        self._stop_at = 0.0
        self.exit: BaseException | None = None
        """What a callback has raised to end this process."""
        self._lost = False
        self._lock = threading.Lock()
        self._in_target = False

    @property
    def orphaned(self) -> bool:
        # Who waits in `receive` is woken before `lost` is called.
        return self._lost or self.context.ended

    @property
    def left(self) -> float:
        """How many seconds there are until the process is ended by force."""
        return max(0.0, self._stop_at - monotonic())

    def stop(self, seconds: float) -> None:
        if self.asked:
            return
        self._stop_at = monotonic() + seconds
        self.context.stop_at = monotonic() + seconds * _STOP_SHARE
        self.asked = True
        self.context.begin_stop(f"process {self.name} is stopping")
        threading.Thread(target=self._stop, name="liteyuki-leave", daemon=True).start()

    def _stop(self) -> None:
        at = self.context.stop_at
        assert at is not None
        self.broke_off = not self.context.settle(at - monotonic())
        if self.context.received_by_target():
            self._after(max(0.0, at - monotonic()), self._interrupt)
        else:
            self._interrupt()

    def leave(self, error: BaseException) -> None:
        """End this process as a SystemExit or KeyboardInterrupt of a callback says."""
        if isinstance(error, KeyboardInterrupt) and (self.asked or self.orphaned):
            raise error  # It is how a stop interrupts the main thread, which runs this loop.
        if self.exit is not None:
            return
        self.exit = error
        self.context.begin_stop(f"process {self.name} is ending")
        self.context.dispatcher.stop_taking()
        self._after(_EXIT_SECONDS, self._end_by_force)
        if self.context.received_by_target():
            self.context.stop_receiving(f"process {self.name} is ending")
            self._after(_LEAVE_SECONDS / 2, self._interrupt)
        else:
            self._after(0.0, self._interrupt)  # This may be the main thread.

    def code(self, otherwise: Any) -> Any:
        """Return what to exit with: what a callback has said, if one has."""
        if self.exit is None:
            return otherwise
        return self.exit.code if isinstance(self.exit, SystemExit) else INTERRUPTED

    def lost(self, why: str | None) -> None:
        self._lost = True
        self.output.give_back()
        self._after(_LEAVE_SECONDS, leave_with_group)
        if self.context.received_by_target():
            self._after(_LEAVE_SECONDS / 2, self._interrupt)
        else:
            self._interrupt()
        reason = f": {why}" if why else ""
        log.logger.error(f"process {self.name}: the main process is gone{reason}; leaving")

    def begin(self) -> None:
        """Let the main thread be interrupted. Raises `KeyboardInterrupt` if it is to leave already.

        On the main thread.
        """
        with self._lock:
            leaves = self.asked or self.orphaned or self.exit is not None
            self._in_target = not leaves
        if leaves:
            raise KeyboardInterrupt

    def end(self) -> None:
        """Interrupt the main thread no more. On that thread."""
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

    def _end_by_force(self) -> None:
        code = self.code(None)
        log.logger.error(
            f"process {self.name}: its main thread has not ended within {_EXIT_SECONDS:g} s; ended "
            "by force"
        )
        os._exit(0 if code is None else code & 0xFF if isinstance(code, int) else 1)

    def _after(self, seconds: float, act: Callable[[], object]) -> None:
        timer = threading.Timer(seconds, act)
        timer.name = "liteyuki-leave"
        timer.daemon = True
        timer.start()


def _is_busy(thread: int) -> bool:
    """Return whether a thread is doing something for the target that can't be left half done.

    A callback or a function of the user's, called from there, is not; nor is waiting.
    """
    frame = sys._current_frames().get(thread)
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if module.partition(".")[0] not in sys.stdlib_module_names:
            return bool(module.startswith(_COMM)) and module != waiter.__name__
        frame = frame.f_back
    return False
