"""The hooks of a LiteyukiBot, and how they are called.

An async hook runs on LiteyukiBot's loop, a sync hook in a worker thread. What a hook raises is
logged with the hook's name and goes no further.
"""

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
from .language import listed, say
from .ring import Ring

_RECENT_STATES = 1_000

Kind = Literal[
    "on_before_start",
    "on_after_start",
    "on_after_shutdown",
    "on_before_process_shutdown",
    "on_before_process_restart",
    "on_after_restart",
    "on_process_state",
    "on_account",
    "on_node",
]

_TOLD: tuple[Kind, ...] = ("on_process_state", "on_account", "on_node")
"""The hooks that are told of changes, each kind one after another."""

_MOST_UNTOLD = 1_000
"""Most changes of accounts that wait for slow hooks: how many there are is up to the children."""


class Hooks:
    """The registered hooks. Any thread calls `add`; all else is called on LiteyukiBot's loop."""

    def __init__(self, threads: Threads) -> None:
        self._threads = threads
        self._hooks: defaultdict[Kind, list[Callable[..., Any]]] = defaultdict(list)
        self._untold: dict[Kind, asyncio.Queue[tuple[Any, ...]]] = {
            kind: asyncio.Queue() for kind in _TOLD
        }
        self._is_slow = False
        """Whether the last change of an account was left out."""
        self.observe_state: Callable[[str, Any], object] | None = None
        """Is called at once with each change of a child's state, before any hook. Never waits."""
        self.recent: Ring[tuple[str, Enum]] = Ring(_RECENT_STATES, _RECENT_STATES)
        """The last changes of state: name and state. Any thread may read it."""

    def add(self, kind: Kind, hook: Callable[..., Any]) -> None:
        """Register a hook."""
        self._hooks[kind].append(hook)

    def of(self, kind: Kind) -> list[Callable[..., Any]]:
        """Return the hooks of a kind, in the order in which they were added."""
        return list(self._hooks[kind])

    @property
    def are_there(self) -> bool:
        """Whether any hook was added."""
        return any(self._hooks.values())

    async def call(self, hook: Callable[..., Any], kind: Kind, *args: Any) -> None:
        """Call one hook and wait until it ends. A sync hook goes on when this call is cancelled."""
        try:
            if inspect.iscoroutinefunction(hook):
                await hook(*args)
                return
            running = asyncio.ensure_future(self._threads.run(partial(hook, *args)))
            try:
                result = await asyncio.shield(running)
            except asyncio.CancelledError:
                # What the hook raises later in its thread is still logged.
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
        """Call hooks for several children, for all of them at the same time.

        `calls` has, by a child's name, the kinds to call one after another. After `timeout`
        seconds nobody waits any more: async hooks are cancelled, sync ones go on.
        """

        async def call(child: str, kinds: list[Kind]) -> None:
            while kinds:
                await self.call_all(kinds[0], child)
                del kinds[0]

        tasks = {asyncio.ensure_future(call(*some)): some for some in calls.items()}
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=max(0.0, timeout))
        for task in late:
            task.cancel()
            child, kinds = tasks[task]
            log.logger.error(
                say(
                    "{kinds} hooks of process {name} did not end in time and are not waited for "
                    "any more",
                    kinds=listed(kinds),
                    name=child,
                )
            )

    def state(self, name: str, state: Enum) -> None:
        """Queue a change of state. `tell` calls the hooks for it."""
        if self.observe_state is not None:
            self.observe_state(name, state)
        self.recent.add([(name, state)], lambda _: 1)
        self._tell("on_process_state", name, state)

    def account(self, account: object) -> None:
        """Queue a change of an account, likewise."""
        is_slow = self._untold["on_account"].qsize() >= _MOST_UNTOLD
        if not is_slow:
            self._tell("on_account", account)
        elif not self._is_slow:
            log.logger.warning(
                say(
                    "on_account hooks are too slow: {count} changes of accounts wait for them, and "
                    "they are not told of those that come now",
                    count=_MOST_UNTOLD,
                )
            )
        self._is_slow = is_slow

    def node(self, member: object) -> None:
        """Queue that a node of the cluster has come or gone, likewise."""
        self._tell("on_node", member)

    def _tell(self, kind: Kind, *args: Any) -> None:
        if self._hooks[kind]:
            self._untold[kind].put_nowait(args)

    async def tell(self) -> None:
        """Call the hooks for queued changes, in order, until cancelled."""
        await asyncio.gather(*map(self._tell_all, _TOLD))

    async def _tell_all(self, kind: Kind) -> None:
        untold = self._untold[kind]
        while True:
            await self.call_all(kind, *await untold.get())
            untold.task_done()

    async def told(self, timeout: float) -> None:
        """Wait until the hooks for all queued changes have ended, at most `timeout` seconds."""
        waits = {asyncio.ensure_future(some.join()): kind for kind, some in self._untold.items()}
        _, late = await asyncio.wait(waits, timeout=timeout)
        for wait in late:
            wait.cancel()
            log.logger.error(
                say(
                    "{kind} hooks did not end in time and are not waited for any more",
                    kind=waits[wait],
                )
            )


def name_of(hook: Callable[..., Any]) -> str:
    """Return the name that a hook has in the log."""
    return getattr(hook, "__qualname__", None) or repr(hook)


def _report(error: BaseException | None, hook: Callable[..., Any], kind: Kind) -> None:
    if error is not None:
        log.logger.opt(exception=error).error(
            say("{kind} hook {name} raised {error!r}", kind=kind, name=name_of(hook), error=error)
        )
