"""Rules: which events a matcher takes."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from liteyuki_core.bot import get_bot

RuleHandlerFunc = Callable[[Any], Any]


class Rule:
    """A function, sync or async, that says whether an event is taken. Without one all are."""

    def __init__(self, handler: RuleHandlerFunc | None = None) -> None:
        self.handler = handler

    def __or__(self, other: Rule) -> Rule:
        async def either(event: Any) -> bool:
            return await self(event) or await other(event)

        return Rule(either)

    def __and__(self, other: Rule) -> Rule:
        async def both(event: Any) -> bool:
            return await self(event) and await other(event)

        return Rule(both)

    async def __call__(self, event: Any) -> bool:
        """Return whether an event is taken."""
        if self.handler is None:
            return True
        taken = self.handler(event)
        return bool(await taken if inspect.isawaitable(taken) else taken)


empty_rule = Rule()
"""Takes all events."""


@Rule
def is_su_rule(event: Any) -> bool:
    """Take the events of superusers, whom the configuration lists as `liteyuki.superusers`."""
    listed = getattr(get_bot(), "config", {}).get("liteyuki.superusers", [])
    return str(getattr(event, "user_id", "")) in {str(each) for each in listed}
