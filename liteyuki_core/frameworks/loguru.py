"""NoneBot's log in a child: no record is made of a line that is not shown.

NoneBot's handler takes lines of all levels, and its filter drops those under `LOG_LEVEL`. By then
each has cost a record with the time, the thread and the caller; these are a twentieth of what a
message costs. Here the handler has the level that its filter lets through, whenever that is set.

This reaches into loguru. Where that has another shape, nothing is changed. Nor does it see a level
that is set for some records alone, by `bind` or `contextualize`: such lines are shown from the
level on that holds for all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Filter = Callable[[Any], bool]


def follow_level(logger: Any, filter: Filter, setting: str, default: str) -> None:
    """Have the handlers with this filter take no lines that it drops.

    `setting` is the name under `extra` by which the filter finds the level, `default` the level
    without it. It may be set anew by `logger.configure` at any time.
    """
    core: Any = getattr(logger, "_core", None)
    configure = logger.configure
    if not _is_as_expected(core):
        return

    def look() -> None:
        level = core.extra.get(setting, default)
        try:
            number = logger.level(level).no if isinstance(level, str) else int(level)
        except (ValueError, TypeError):
            return  # The filter raises it too.
        with core.lock:
            for handler in core.handlers.values():
                if handler._filter is filter:
                    handler._levelno = number
            core.min_level = min(
                (each._levelno for each in core.handlers.values()), default=float("inf")
            )

    def configured(*args: Any, **options: Any) -> Any:
        found = configure(*args, **options)
        look()
        return found

    logger.configure = configured
    look()


def _is_as_expected(core: Any) -> bool:
    handlers: Any = getattr(core, "handlers", None)
    return (
        isinstance(handlers, dict)
        and isinstance(getattr(core, "extra", None), dict)
        and hasattr(core, "lock")
        and hasattr(core, "min_level")
        and all(
            hasattr(each, "_levelno") and hasattr(each, "_filter") for each in handlers.values()
        )
    )
