"""Callbacks onto an event loop.

One `Dispatcher` a process says which loop callbacks run on: LiteyukiBot's in the main
process, NoneBot's in a NoneBot child, elsewhere one that it runs itself in a thread. One
`Runner` a channel end feeds that end's callbacks there.
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
from .callbacks import EXITS, is_clean
from .runner import Runner
from .source import Source
from .wakes import Wakes
from .worker import Threads


class Dispatcher:
    """Says which loop a process's callbacks run on and wakes runners there.

    `bind` and `unbind` are called on that loop's thread. Until a loop is bound, messages are
    kept where they are. `ready` may be called from any thread, under the source's lock.
    """

    def __init__(self, wakes: Wakes, *, own_loop: bool) -> None:
        self._wakes = wakes
        self._own_loop = own_loop
        self.may_be_wrong = own_loop
        """Whether this process may have another loop that its callbacks had better run on."""
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.bound: tuple[asyncio.AbstractEventLoop, int] | None = None
        """The loop that callbacks run on, if it runs, and its thread."""
        self._runners: dict[Runner, None] = {}
        self._started_loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._closed = False
        self.threads = Threads()
        self.on_exit: Callable[[BaseException], None] | None = None
        """Ends the process as a SystemExit or the like says, on the loop. None: the loop ends."""
        self.ending = False
        """Whether what is left is handled and nothing waits for more."""
        self._finishing = False
        self.pausing = False
        """Whether what was begun is handled to its end, and nothing else is begun."""
        self.stopping = False
        """Whether callbacks are broken off."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop that callbacks run on."""
        if self._loop is None:
            raise RuntimeError("no loop is bound")
        return self._loop

    def use_other_loop(self) -> None:
        """Say that a loop will be bound, so that none is started here."""
        self._own_loop = self.may_be_wrong = False

    def check_loop(self, source: Source) -> None:
        """Warn once where NoneBot runs in this process and callbacks do not run on its loop.

        `source` is whose callbacks they are. Called on the loop's thread for each batch, as long as
        there `may_be_wrong`: NoneBot may come later than they.
        """
        nonebot = sys.modules.get("nonebot")
        if nonebot is None:
            return
        try:
            driver = nonebot.get_driver()
        except Exception:
            return  # It is not initialised, or something else of that name.
        self.may_be_wrong = False
        name = getattr(getattr(driver, "config", None), "driver", "~fastapi")
        log.logger.warning(
            f"{source.title}: its callbacks run on a loop of their own and not on NoneBot's, where "
            "what they await of NoneBot, as in `await bot.call_api(...)`, may never come; set "
            f"DRIVER={name}+liteyuki_core.frameworks.nonebot, or load the plugin "
            "nonebot_plugin_liteyuki_comm before they are registered"
        )

    def attach(self, source: Source) -> Runner:
        """Return a new runner for `source`."""
        runner = Runner(source, self)
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
        return runner

    def detach(self, runner: Runner) -> None:
        """Forget a runner whose end is closed; callbacks that run go on.

        Called under the source's lock, from any thread.
        """
        runner.detached = True
        self.ready(runner)
        with self._lock:
            self._runners.pop(runner, None)

    def ready(self, runner: Runner) -> None:
        """Have `runner` look for messages on the loop's thread, where one is bound."""
        loop = self._loop
        if loop is not None:
            self._wakes.wake(loop, runner.step)

    def call_back(self, runner: Runner) -> None:
        """Have `runner` give back what no callback was given; under the source's lock."""
        runner.call_back()
        self.ready(runner)

    def bind(self, loop: asyncio.AbstractEventLoop) -> None:
        """Run callbacks on `loop` from now on, which is the running one."""
        if self._started_loop not in (None, loop):
            log.logger.warning(
                "callbacks were registered before this process's event loop was known, and stay on "
                "a loop of their own; register them later"
            )
            return
        with self._lock:
            self._loop = loop
            self.may_be_wrong &= loop is self._started_loop
            self.bound = (loop, threading.get_ident())
            self.ending = self.stopping = False
            self.pausing = self._finishing
            for runner in self._runners:
                loop.call_soon(runner.step)

    def exit(self, who: str, error: BaseException) -> None:
        """Have the process end: `who` has raised a SystemExit or KeyboardInterrupt. On the loop."""
        level = "INFO" if is_clean(error) else "ERROR"
        log.logger.log(level, f"{who} raised {error!r}: this process ends")
        if self.on_exit is None:
            raise error
        self.on_exit(error)

    def stop_taking(self) -> None:
        """Take no more messages; callbacks that run go on. On the loop."""
        self.pausing = True
        for runner in list(self._runners):
            runner.pause()

    async def drain(self, timeout: float, *, begun: bool = False) -> None:
        """Wait until no messages are handled or about to be, at most `timeout` seconds.

        With `begun` nothing is begun any more, and what was begun is waited for.
        """
        if begun:
            self.stop_taking()
        else:
            self.ending = True
        deadline = monotonic() + timeout
        while (left := deadline - monotonic()) > 0:
            busy = [runner for runner in list(self._runners) if runner.busy()]
            if not busy:
                return
            pumps = set().union(*(runner.pumps() for runner in busy))
            if pumps:
                await asyncio.wait(pumps, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            else:
                await asyncio.sleep(0.001)

    def finish(self, timeout: float) -> bool:
        """Begin nothing more and wait for what was begun, at most `timeout` seconds.

        What has not ended then is broken off; returns whether all has. From another thread than the
        loop's.
        """
        with self._lock:  # One that is bound from now on begins nothing.
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
        """Do the same on the loop."""
        await self.drain(timeout, begun=True)
        self._break_off()

    def _break_off(self) -> bool:
        """Have callbacks that still run broken off; return whether there are any."""
        busy = any(runner.pumps() for runner in list(self._runners))
        if busy:  # Else this may have been unbound meanwhile, which has broken off all.
            self.stopping = True
        return busy

    def unbind(self) -> None:
        """Run no more callbacks; those that run are cancelled and stay unacknowledged."""
        with self._lock:
            self._loop = self.bound = None
            self.stopping = True
            runners = list(self._runners)
        for runner in runners:
            runner.cancel()

    def close(self, timeout: float, *, begun: bool = False) -> None:
        """End the loop that was started here, if any, and the worker threads. Idempotent.

        Callbacks that run there, or with `begun` those that run already, have `timeout` seconds.
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
                    self.exit("a task that a callback has started", error)
        finally:
            self.unbind()
            tasks = asyncio.all_tasks(loop)
            for task in tasks:
                task.cancel()
            if tasks:
                loop.run_until_complete(asyncio.wait(tasks, timeout=1.0))
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()
