"""Which event loop the callbacks of a process run on.

One `Dispatcher` a process, owned by its site. In the main process callbacks run on LiteyukiBot's
loop, in a NoneBot child on NoneBot's, elsewhere on a loop that the dispatcher runs in a thread. One
`Runner` for each channel end feeds the callbacks of that end there.

Ownership. The dispatcher owns the runners, the worker threads, and its loop if it has started one.
`close` ends that loop and the threads. Its own lock comes after the site's.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError
from concurrent.futures import TimeoutError as FutureTimeout
from time import monotonic

from ... import log
from ...language import Phrase, say
from .acknowledgements import AFTER
from .callbacks import EXITS, Acknowledging, Callbacks, is_clean
from .runner import Runner
from .source import Source
from .taker import Taker
from .wakes import Wakes
from .worker import Threads


class Dispatcher:
    """Knows which loop a process's callbacks run on, and wakes runners there.

    `bind` and `unbind` are called on that loop's thread. Until a loop is bound, no message is
    taken. `ready` may be called from any thread, under the source's lock.
    """

    def __init__(self, wakes: Wakes, *, own_loop: bool) -> None:
        self._wakes = wakes
        self._own_loop = own_loop
        self.may_be_wrong = own_loop
        """Whether NoneBot may run in this process with a loop of its own."""
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.bound: tuple[asyncio.AbstractEventLoop, int] | None = None
        """The loop that callbacks run on and its thread, if one is bound."""
        self._put_off: list[Acknowledging] = []
        """Runners that have put off acknowledgements. One timer is for all of them, so that all
        these leave together. Only the loop's thread uses it."""
        self._runners: dict[Runner | Taker, None] = {}
        self._started_loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._closed = False
        self.threads = Threads()
        self._spared: str | None = None
        """While callbacks are held: how the names of channels begin whose callbacks are not."""
        self.on_exit: Callable[[BaseException], None] | None = None
        """Ends the process. Called on the loop with a SystemExit or KeyboardInterrupt. If it is
        None, that error is raised further and ends the loop."""
        self.ending = False
        """Whether the loop is about to end: what has come is handled, no pump waits for more."""
        self._finishing = False
        self.pausing = False
        """Whether no message is begun any more. Those that were begun are handled to their end."""
        self.stopping = False
        """Whether callbacks are broken off."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop that callbacks run on."""
        if self._loop is None:
            raise RuntimeError("no loop is bound")
        return self._loop

    def use_other_loop(self) -> None:
        """Start no loop here, because the caller will bind one."""
        self._own_loop = self.may_be_wrong = False

    def check_loop(self, source: Source) -> None:
        """Warn once if NoneBot runs in this process and callbacks do not run on its loop.

        The callbacks are those of `source`. Called on the loop's thread again and again while
        `may_be_wrong`, because NoneBot may be initialised later than callbacks are registered.
        """
        nonebot = sys.modules.get("nonebot")
        if nonebot is None:
            return
        try:
            driver = nonebot.get_driver()
        except Exception:
            return  # NoneBot is not initialised, or the module is another of that name.
        self.may_be_wrong = False
        name = getattr(getattr(driver, "config", None), "driver", "~fastapi")
        log.logger.warning(
            say(
                "{who}: its callbacks run on a loop of their own and not on NoneBot's; an `await "
                "bot.call_api(...)` there may never return; set DRIVER={driver}"
                "+liteyuki_core.frameworks.nonebot, or load the plugin "
                "nonebot_plugin_liteyuki_comm before they are registered",
                who=source.title,
                driver=name,
            )
        )

    def attach(self, source: Source, kind: type[Callbacks] = Callbacks) -> Runner:
        """Return a new runner for `source`, whose callbacks are of the class `kind`.

        Starts a loop if one is needed.
        """
        runner = Runner(source, self, kind)
        self.join(runner)
        return runner

    def join(self, runner: Runner | Taker) -> None:
        """Have `runner` paused and waited for at a stop. Starts a loop if one is needed."""
        with self._lock:
            self._runners[runner] = None
            if self._own_loop and self._started_loop is None and not self._closed:
                self._started_loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=self._run_loop,
                    args=(self._started_loop,),
                    name="liteyuki-callbacks",
                    daemon=True,
                )
                self._thread.start()

    def detach(self, runner: Runner) -> None:
        """Drop a runner whose end is closed. Callbacks that run go on.

        From any thread, under the source's lock.
        """
        runner.detached = True
        self.ready(runner)
        with self._lock:
            self._runners.pop(runner, None)

    def ready(self, runner: Runner) -> None:
        """Have `runner` look for messages on the loop's thread, if a loop is bound."""
        loop = self._loop
        if loop is not None and (self._spared is None or self._may_begin(runner)):
            self._wakes.wake(loop, runner.step)

    def _may_begin(self, runner: Runner | Taker) -> bool:
        """Return whether a runner may take messages while callbacks are held."""
        spared = self._spared
        return spared is None or isinstance(runner, Taker) or runner.name.startswith(spared)

    def hold(self, spared: str) -> None:
        """Begin no message until `release`, but on channels whose names begin with `spared`.

        From any thread, before a loop is bound.
        """
        self._spared = spared

    def release(self) -> None:
        """Undo `hold`. On the loop."""
        self._spared = None
        for runner in list(self._runners):
            runner.step()

    def call_back(self, runner: Runner) -> None:
        """Have `runner` give back messages that no callback was given. Under the source's lock."""
        runner.call_back()
        self.ready(runner)

    def bind(self, loop: asyncio.AbstractEventLoop) -> None:
        """Run callbacks on `loop` from now on. It is the running loop of this thread."""
        if self._started_loop not in (None, loop):
            log.logger.warning(
                say(
                    "callbacks were registered before this process's event loop was known, so they "
                    "run on a loop of their own; register them when the event loop runs"
                )
            )
            return
        with self._lock:
            self._loop = loop
            self.may_be_wrong &= loop is self._started_loop
            self.bound = (loop, threading.get_ident())
            self.ending = self.stopping = False
            self.pausing = self._finishing
            for runner in self._runners:
                if self._may_begin(runner):
                    loop.call_soon(runner.step)

    def acknowledge_soon(self, runner: Acknowledging) -> None:
        """Have a runner pass on its acknowledgements within `AFTER` seconds. On the loop."""
        self._put_off.append(runner)
        if len(self._put_off) == 1:
            self.loop.call_later(AFTER, self._acknowledge, self._put_off)

    def _acknowledge(self, put_off: list[Acknowledging]) -> None:
        if put_off is not self._put_off:
            return  # Another loop was bound meanwhile.
        self._put_off = []
        told = [runner for runner in put_off if runner.pass_on()]
        if told:
            told[0].pump()

    def exit(self, who: Phrase, error: BaseException) -> None:
        """End the process. `who` names the callback that raised SystemExit or KeyboardInterrupt.

        On the loop.
        """
        level = "INFO" if is_clean(error) else "ERROR"
        log.logger.log(
            level, say("{who} raised {error!r}: this process ends", who=who, error=error)
        )
        if self.on_exit is None:
            raise error
        self.on_exit(error)

    def stop_taking(self) -> None:
        """Take no more messages. Callbacks that run go on. On the loop."""
        self.pausing = True
        for runner in list(self._runners):
            runner.pause()

    async def drain(self, timeout: float, *, begun: bool = False) -> None:
        """Wait until all messages are handled, at most `timeout` seconds.

        With `begun` no message is begun any more, and only those that were begun are waited for.
        """
        if begun:
            self.stop_taking()
        else:
            self.ending = True
        deadline = monotonic() + timeout
        while (remaining := deadline - monotonic()) > 0:
            busy = [runner for runner in list(self._runners) if runner.busy()]
            if not busy:
                return
            pumps = set().union(*(runner.pumps() for runner in busy))
            if pumps:
                await asyncio.wait(pumps, timeout=remaining, return_when=asyncio.FIRST_COMPLETED)
            else:
                await asyncio.sleep(0.001)

    def finish(self, timeout: float) -> bool:
        """Begin no message any more. Wait for those that were begun, at most `timeout` seconds.

        Callbacks that have not ended by then are broken off. Returns whether all have ended. Not
        on the loop's thread.
        """
        with self._lock:  # A loop that is bound from now on begins no message either.
            loop = self._loop
            self.pausing = self._finishing = True
        if loop is None:
            return True
        drain = self.drain(timeout, begun=True)
        try:
            asyncio.run_coroutine_threadsafe(drain, loop).result(timeout)
        except RuntimeError:
            drain.close()  # The loop is closed.
        except (TimeoutError, asyncio.TimeoutError, FutureTimeout, CancelledError):
            self.stopping = True  # The loop may be blocked.
            return False
        return not self._break_off()

    async def async_finish(self, timeout: float) -> None:
        """Do the same on the loop. Returns nothing."""
        await self.drain(timeout, begun=True)
        self._break_off()

    def _break_off(self) -> bool:
        """Break off callbacks that still run. Return whether there are any."""
        busy = any(runner.busy() for runner in list(self._runners))
        if busy:  # If not, the loop may have been unbound meanwhile: `unbind` breaks off all.
            self.stopping = True
        return busy

    def unbind(self) -> None:
        """Run no more callbacks. Cancel those that run: their messages stay unacknowledged."""
        with self._lock:
            self._loop = self.bound = None
            self.stopping = True
            self._put_off = []
            runners = list(self._runners)
        for runner in runners:
            runner.cancel()

    def close(self, timeout: float, *, begun: bool = False) -> None:
        """End the loop if it was started here, and the worker threads. Idempotent.

        The loop has `timeout` seconds to handle its messages; with `begun` only those begun.
        """
        self._closed = True
        thread, loop = self._thread, self._started_loop
        if thread is not None and loop is not None and thread.is_alive():
            drain = self.drain(timeout, begun=begun)
            draining = asyncio.run_coroutine_threadsafe(drain, loop)
            draining.add_done_callback(lambda _: loop.call_soon_threadsafe(loop.stop))
            if thread is not threading.current_thread():
                thread.join(timeout + 1.0)
        self.threads.close()

    def _run_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.call_soon(self.bind, loop)
        try:
            while True:
                try:
                    loop.run_forever()
                    break
                except EXITS as error:
                    self.exit(Phrase("a task that a callback has started"), error)
        finally:
            self.unbind()
            tasks = asyncio.all_tasks(loop)
            for task in tasks:
                task.cancel()
            if tasks:
                loop.run_until_complete(asyncio.wait(tasks, timeout=1.0))
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()
