"""What a test expects: a value, or a predicate. And how it is shown beside what came instead."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from reprlib import Repr
from typing import Any

from .waiting import NOTHING

_MOST = 20
"""So many of the last things that came are shown."""

_repr = Repr()
_repr.maxstring = _repr.maxother = 300
_repr.maxdict = _repr.maxlist = _repr.maxtuple = 20
_repr.maxlevel = 4


class Expected:
    """A value that is to come, or a function that returns true for it."""

    def __init__(self, value_or_predicate: Any) -> None:
        self._wanted = value_or_predicate
        self._raised: dict[str, None] = {}
        """What the predicate, or the comparison, has raised."""

    def matches(self, found: Any) -> bool:
        """Return whether this is it. A comparison or a predicate that raises has not found it."""
        try:
            return bool(self._wanted(found) if callable(self._wanted) else self._wanted == found)
        except Exception as error:
            self._raised[f"{type(error).__name__}: {error} (for {shown_one(found)})"] = None
            return False

    def take_from(self, left: list[Any]) -> Any:
        """Remove the first match from a list that others append to, and return it; or NOTHING."""
        for at, found in enumerate(list(left)):
            if self.matches(found):
                del left[at]
                return found
        return NOTHING

    def compared_with(self, came: Sequence[Any]) -> str:
        """Return lines of text: what was expected, and what came instead."""
        lines = [f"  expected: {self}", f"  came instead: {shown(came)}"]
        lines += [f"  to look at it raised {raised}" for raised in list(self._raised)[-3:]]
        return "\n".join(lines)

    def __str__(self) -> str:
        if not callable(self._wanted):
            return shown_one(self._wanted)
        code = getattr(self._wanted, "__code__", None)
        where = "" if code is None else f" ({code.co_filename}:{code.co_firstlineno})"
        return f"what {getattr(self._wanted, '__name__', self._wanted)}{where} is true for"


def shown_one(value: Any) -> str:
    """Return a value as text, shortened."""
    with suppress(Exception):
        return _repr.repr(value)
    return f"a {type(value).__name__} that has no repr"


def shown(values: Sequence[Any]) -> str:
    """Return what has come as text."""
    if not values:
        return "nothing"
    some = values[-_MOST:]
    before = f"... {len(values) - len(some)} before these ... " if len(some) < len(values) else ""
    return before + ", ".join(map(shown_one, some))
