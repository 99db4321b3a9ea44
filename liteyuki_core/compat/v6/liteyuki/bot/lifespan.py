"""v6's hooks: those of LiteyukiBot, for functions with and without arguments."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from liteyuki_core.bot import get_bot

Hook = TypeVar("Hook", bound=Callable[..., Any])

LIFESPAN_FUNC = Callable[[], Any]
PROCESS_LIFESPAN_FUNC = Callable[[str], Any]


def fitted(function: Callable[..., Any]) -> Callable[[str], Any]:
    """Return a hook that gets a process's name, for a function that may take none, as in 6.3.9."""
    try:
        inspect.signature(function).bind("name")
    except TypeError:
        pass
    else:
        return function
    if inspect.iscoroutinefunction(function):

        @wraps(function)
        async def hook(name: str) -> Any:
            return await function()

        return _without_signature(hook)

    @wraps(function)
    def sync_hook(name: str) -> Any:
        return function()

    return _without_signature(sync_hook)


def _without_signature(hook: Any) -> Callable[[str], Any]:
    del hook.__wrapped__  # It is called with a name, and what it wraps is not.
    return hook  # type: ignore[no-any-return]


class Lifespan:
    """v6's list of hooks: here they are the bot's."""

    def on_before_start(self, func: Hook) -> Hook:
        """Decorate a hook that runs before children start."""
        return get_bot().on_before_start(func)

    def on_after_start(self, func: Hook) -> Hook:
        """Decorate a hook that runs once children are started."""
        return get_bot().on_after_start(func)

    def on_after_shutdown(self, func: Hook) -> Hook:
        """Decorate a hook that runs when the children have ended."""
        return get_bot().on_after_shutdown(func)

    def on_before_process_shutdown(self, func: Hook) -> Hook:
        """Decorate a hook that runs before a child is stopped."""
        get_bot().on_before_process_shutdown(fitted(func))
        return func

    def on_before_process_restart(self, func: Hook) -> Hook:
        """Decorate a hook that runs before a child is restarted."""
        get_bot().on_before_process_restart(fitted(func))
        return func

    def on_after_restart(self, func: Hook) -> Hook:
        """Decorate a hook that runs when a child runs again."""
        get_bot().on_after_restart(fitted(func))
        return func

    def on_after_nonebot_init(self, func: Hook) -> Hook:
        """Decorate a hook that nobody calls, as in v6."""
        return func
