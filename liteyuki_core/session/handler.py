"""One handler of messages: what it takes, and how it is called."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from ..comm.loop.callbacks import is_async
from ..comm.loop.worker import Threads
from ..language import Phrase
from ..plugin import plugin_of
from .event import MessageEvent
from .finding import Command, Find, Found
from .rule import Rule


@dataclass(frozen=True, eq=False)
class Handler:
    """A function that gets messages, and which messages those are. LiteyukiBot's loop uses it."""

    function: Callable[..., Any]
    find: Find
    rules: list[Rule]
    to_me: bool
    priority: int
    block: bool
    commands: tuple[Command, ...]
    """The commands that it is registered for."""

    @property
    def title(self) -> Phrase:
        """What the handler is called in the log, with the plugin that it is of."""
        name = getattr(self.function, "__qualname__", None) or repr(self.function)
        plugin = plugin_of(self.function)
        if plugin is None:
            return Phrase("handler {name}", name=name)
        return Phrase("plugin {plugin}: handler {name}", plugin=plugin.name, name=name)

    async def takes(self, event: MessageEvent) -> Found | None:
        """Return what it has found in an event, or None if the event is not for it.

        Raises what its rules raise.
        """
        found = self.find(event)
        if found is None or (self.to_me and not event.to_me):
            return None
        if self.rules:
            event = replace(event, **found)
            for rule in self.rules:
                if not await rule(event):
                    return None
        return found

    async def call(self, event: MessageEvent, threads: Threads) -> None:
        """Call the function and wait until it ends. Raises what it raises."""
        if is_async(self.function):
            await self.function(event)
            return
        result = await threads.run(partial(self.function, event))
        if inspect.isawaitable(result):
            await result
