"""Matchers: a rule, and the handlers of the events that it takes."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from ..log import logger
from .rule import Rule

EventHandler = Callable[[Any], Any]


class Matcher:
    """A rule with handlers. A higher priority comes first."""

    def __init__(self, rule: Rule, priority: int, block: bool) -> None:
        self.rule = rule
        self.priority = priority
        self.block = block
        self.handlers: list[EventHandler] = []

    def __str__(self) -> str:
        return f"Matcher(priority={self.priority}, block={self.block})"

    def handle(self, handler: EventHandler | None = None) -> Any:
        """Decorate a handler, sync or async: `@matcher.handle()`, or bare as in 6.3.8."""
        if handler is not None:
            self.handlers.append(handler)
            return handler
        return self.handle

    async def run(self, event: Any) -> None:
        """Call the handlers, one after another, if the rule takes the event.

        The log has what a handler raises.
        """
        if not await self.rule(event):
            return
        for handler in self.handlers:
            try:
                result = handler(event)
                if inspect.isawaitable(result):
                    await result
            except Exception as error:
                name = getattr(handler, "__qualname__", repr(handler))
                module = getattr(handler, "__module__", "")
                logger.opt(exception=error).error(f"handler {module}.{name} raised {error!r}")
