"""Matchers: a rule, and the handlers of the events that it takes."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from liteyuki_core.hooks import name_of
from liteyuki_core.language import say

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
                name = f"{getattr(handler, '__module__', '')}.{name_of(handler)}"
                logger.opt(exception=error).error(
                    say("handler {name} raised {error!r}", name=name, error=error)
                )
