"""The one true store as others see it: who asks it, what it has, what it does.

`table.py` is the one of a main process. In a cluster the nodes share another one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from .cells import Cells
from .packed import Found
from .question import Question
from .value import Value

Fields = dict[str, Any]

PAGE = 1000
"""Most keys in one part of an answer."""


class Asker(Protocol):
    """A process that asks the store. Called under the lock."""

    def answer(self, request: int, fields: Fields | Found, values: list[Value]) -> None:
        """Pass on an answer. If its fields have `more`, another part follows."""

    def tell(self, fields: Fields, values: list[Value]) -> None:
        """Pass on what happened in the store."""


class Entry:
    """The value of a key, and what the store knows of it."""

    __slots__ = ("deadline", "kept", "value", "version")

    def __init__(self, value: Value, version: int, deadline: float | None, kept: bool) -> None:
        self.value = value
        self.version = version
        self.deadline = deadline
        """When the key expires, by `time.monotonic`; None: never."""
        self.kept = kept
        """Whether the key outlives the main process."""


class Truth(Protocol):
    """The one true store. Called under the context's lock, except where it says otherwise."""

    cells: Cells | None
    entries: dict[str, Entry]
    """What the main process may read without asking, without the lock."""
    keeps: bool
    """Whether keys may outlive the main process."""

    def ask(self, asker: Asker, request: int, asked: Question) -> None:
        """Take a question. Raises `FrameError` if it can't be asked."""

    def drop(self, asker: Asker) -> None:
        """Remove an asker that is gone, with its locks, watches and subscriptions."""

    def look(self, prefix: str) -> list[tuple[str, Entry]]:
        """Return the keys that begin with `prefix`, sorted, with their entries. From any thread."""

    def close(self, timeout: float) -> None:
        """End within `timeout` seconds. Not under the lock."""

    def abandon(self) -> None:
        """Let go of the files in a forked copy of the process."""


def paged(
    keys: list[str], entries: Mapping[str, Entry], content: bool
) -> Iterator[tuple[Fields, list[Value]]]:
    """Yield the parts of the answer to a question which keys there are."""
    pages = [keys[at : at + PAGE] for at in range(0, len(keys), PAGE)] or [[]]
    for number, page in enumerate(pages, 1):
        found = [entries[key].value for key in page] if content else []
        yield {"keys": page, "more": number < len(pages)}, found
