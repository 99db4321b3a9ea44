"""The hooks of a LiteyukiBot, and how each is called: guarded, a sync one in a worker thread."""

from __future__ import annotations

import asyncio
import inspect
from collections import defaultdict
from collections.abc import Callable
from enum import Enum
from functools import partial
from typing import Any, Literal

from . import log
from .comm.loop.worker import Threads

Kind = Literal[
    "on_before_start",
    "on_after_start",
    "on_after_shutdown",
    "on_before_process_shutdown",
    "on_before_process_restart",
    "on_after_restart",
    "on_process_state",
]


class Hooks:
    """What has been registered. `add` from any thread, the rest on LiteyukiBot's loop.

    What a hook raises is logged with its name and goes no further.
    """

    def __init__(self, threads: Threads) -> None:
        self._threads = threads
        self._hooks: defaultdict[Kind, list[Callable[..., Any]]] = defaultdict(list)
        self._states: asyncio.Queue[tuple[str, Enum]] = asyncio.Queue()

    def add(self, kind: Kind, hook: Callable[..., Any]) -> None:
        """Register a hook."""
        self._hooks[kind].append(hook)

    def of(self, kind: Kind) -> list[Callable[..., Any]]:
        """Return the hooks of a kind, in the order in which they were added."""
        return list(self._hooks[kind])

    async def call(self, hook: Callable[..., Any], kind: Kind, *args: Any) -> None:
        """Call one hook and wait for its end. A sync one goes on when this is cancelled."""
        try:
            if inspect.iscoroutinefunction(hook):
                await hook(*args)
                return
            running = asyncio.ensure_future(self._threads.run(partial(hook, *args)))
            try:
                result = await asyncio.shield(running)
            except asyncio.CancelledError:
                # What the thread raises is still to be heard of.
                running.add_done_callback(lambda ended: _report(ended.exception(), hook, kind))
                raise
            if inspect.isawaitable(result):
                await result
        except Exception as error:
            _report(error, hook, kind)

    async def call_all(self, kind: Kind, *args: Any) -> None:
        """Call all hooks of a kind, one after another."""
        for hook in self.of(kind):
            await self.call(hook, kind, *args)

    async def call_in_time(self, calls: dict[str, list[Kind]], timeout: float) -> None:
        """Call hooks of these kinds for several processes beside each other.

        Leaves those that do not end within `timeout` seconds.
        """

        async def call(process: str, kinds: list[Kind]) -> None:
            while kinds:
                await self.call_all(kinds[0], process)
                del kinds[0]

        tasks = {asyncio.ensure_future(call(*some)): some for some in calls.items()}
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=max(0.0, timeout))
        for task in late:
            task.cancel()
            process, kinds = tasks[task]
            log.logger.error(
                f"{' and '.join(kinds)} hooks of process {process} did not end in time and are left"
            )

    def state(self, name: str, state: Enum) -> None:
        """Have the hooks for states called, in order, by `tell_states`."""
        if self._hooks["on_process_state"]:
            self._states.put_nowait((name, state))

    async def tell_states(self) -> None:
        """Call the hooks for states, for ever."""
        while True:
            name, state = await self._states.get()
            await self.call_all("on_process_state", name, state)
            self._states.task_done()

    async def states_told(self, timeout: float) -> None:
        """Wait until the hooks for states have been called, at most `timeout` seconds."""
        try:
            await asyncio.wait_for(self._states.join(), timeout)
        except asyncio.TimeoutError:
            log.logger.error("on_process_state hooks did not end in time and are left")


def name_of(hook: Callable[..., Any]) -> str:
    """Return what a hook is called in the log."""
    return getattr(hook, "__qualname__", None) or repr(hook)


def _report(error: BaseException | None, hook: Callable[..., Any], kind: Kind) -> None:
    if error is not None:
        log.logger.opt(exception=error).error(f"{kind} hook {name_of(hook)} raised {error!r}")
