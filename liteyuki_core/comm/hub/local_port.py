"""The way between the main process's own context and the hub: by direct calls.

The context calls the methods of `ContextPort`, the hub calls those of `Peer`, the store those of
`Asker`. These protocols say which methods are called under the lock. The port owns nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ...errors import ChannelError, NotConnected
from ..context import Context
from ..ends.port import ContextPort
from ..store.packed import Found
from ..store.question import Question
from ..store.truth import Fields, Truth
from ..store.value import Value
from ..wire import words
from ..wire.batch import Batch
from ..wire.words import Ranges
from .hub import Hub
from .route import Route


class LocalPort(ContextPort):
    """The main process's own context as a peer of the hub, and the hub as the context's port.

    `shut` closes the links to the children. `abandon` lets go of the links in a forked copy.
    """

    process: str | None = None
    prefix = "0."
    eager = False
    serves_since = 0.0

    def __init__(
        self,
        hub: Hub,
        store: Truth,
        context: Context,
        *,
        shut: Callable[[float], None],
        abandon: Callable[[], None],
    ) -> None:
        self._hub = hub
        self._store = store
        self._shut = shut
        self._abandon = abandon
        self.context = context
        self.ends: dict[int, tuple[Route, int]] = {}
        self.holds: Counter[str] = Counter()

    def data(self, number: int, batch: Batch) -> None:
        self._hub.data(self, number, batch)

    def acknowledge(self, number: int, ranges: Ranges, requests: bool = False) -> None:
        self._hub.acknowledge(self, number, ranges, requests)

    def give_answers(self, number: int, batch: Batch) -> None:
        self._hub.answer(self, number, batch)

    def ready_to_answer(self, number: int, window: int) -> None:
        self._hub.answers(self, number, window)

    def cancel(self, number: int, request: int, kill: bool) -> None:
        self._hub.cancel(self, number, request, kill)

    def begin(self, number: int, first: int, requests: bool) -> None:
        pass  # If the main process dies, nobody counts its crashes.

    def ready(self, number: int, window: int, asks: bool) -> None:
        self._hub.receives(self, number, window, asks)

    def ask_for(self, number: int, period: int, count: int) -> None:
        self._hub.ask_for(self, number, period, count)

    def give_back(self, number: int, period: int, ranges: Ranges, requests: bool) -> None:
        self._hub.give_back(self, number, period, ranges, requests)

    def close(self, number: int) -> None:
        self._hub.close(self, number)

    def leave(self, number: int) -> None:
        self._hub.leave(self, number)

    def hold(self, key: str) -> None:
        self._hub.hold(self, key)

    def pump(self) -> None:
        self._hub.pump()

    flush = pump

    def names(self) -> Mapping[str, tuple[int, str]]:
        return self._hub.table.names()

    def find(self, name: str) -> tuple[int, str] | None:
        return self._hub.table.find(name)

    def open(self, number: int, key: str | None, capacity: int) -> None:
        self._hub.open(self, number, key, capacity)

    def register(self, number: int, name: str) -> None:
        with self._hub.lock:
            self._hub.register(self, number, name)
        self._hub.pump()

    def shut(self, timeout: float) -> dict[int, int]:
        self._shut(timeout)
        return {}

    def abandon(self) -> None:
        self._abandon()

    def deliver(self, number: int, batch: Batch) -> None:
        end = self.context.ends[number]
        (end.receiving if batch.headers is None else end.answering).on_data(batch)

    def acknowledged(self, number: int, count: int) -> None:
        end = self.context.ends.get(number)
        if end is not None:
            end.sending.on_acknowledged(count)

    def dropped(self, number: int, count: int) -> None:
        end = self.context.ends.get(number)
        if end is not None:
            end.sending.on_dropped(count)

    def says_late(self, number: int) -> bool:
        return True

    def gone(
        self,
        number: int,
        kind: type[ChannelError] | None,
        why: str,
        last: bool,
        holds: int,
        lines: tuple[str, ...] = (),
    ) -> None:
        end = self.context.ends.get(number)
        if end is not None:
            end.on_gone(kind, why, last, holds, lines)

    def shared(self, number: int, period: int, requests: bool) -> None:
        end = self.context.ends.get(number)
        if end is not None:
            (end.answering if requests else end.receiving).on_shared(period)

    def answered(self, number: int, batch: Batch) -> None:
        end = self.context.ends.get(number)
        if end is not None:
            end.asking.on_answer(batch)

    def refused(
        self, number: int, requests: Sequence[int], kind: type[ChannelError], why: str
    ) -> None:
        end = self.context.ends.get(number)
        if end is not None:
            end.asking.on_refused(requests, kind, why)

    def cancelled(self, number: int, requests: Sequence[int]) -> None:
        end = self.context.ends.get(number)
        if end is not None:
            end.answering.on_cancelled(requests)

    def ask(self, number: int, asked: Question) -> None:
        self._store.ask(self, number, asked)

    def word(self, word: words.FromChild) -> None:
        raise NotConnected(
            "this is the main process; a child process says this of itself, and here "
            "bot.restart_process(name) and bot.processes do the same"
        )

    def loop_waits(self) -> None:
        pass  # The answers of the store do not come over a link here.

    def will_wait(self) -> None:
        pass

    def answer(self, request: int, fields: Fields | Found, values: list[Value]) -> None:
        self.context.access.answered(request, fields, values)

    def tell(self, fields: dict[str, Any], values: list[Value]) -> None:
        self.context.access.told(fields, values)
