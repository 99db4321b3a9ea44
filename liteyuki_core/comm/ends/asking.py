"""The requests that one end has sent and that are not answered yet.

The end owns it, from its first request on. Any thread calls it; a method that is called under the
site's lock says so.

Invariants, under the lock:

- a request is in `_waiting`, by its number, from the moment it is accepted until its outcome comes
  or its asker gives up; then the hub is told, once
- the hub knows the outcome of every request: an answer, or why there is none. So nothing here looks
  at whether the other side is there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any

from ...errors import ChannelError, ChannelTimeout
from ..loop.answers import traceparent
from ..loop.site import Site
from ..loop.steps import Steps, W
from ..wire.batch import Batch
from . import remote
from .port import Port
from .sending import Asked, Kind, Sending
from .state import State


class Asking:
    """The requests of one end that are not answered yet."""

    def __init__(self, state: State, site: Site, port: Port, sending: Sending) -> None:
        self._state = state
        self._number = state.number
        self._site = site
        self._lock = site.lock
        self._port = port
        self._sending = sending
        self._waiting: dict[int, Asked] = {}

    # ------------------------------------------------------------- asking

    def until_answered(
        self,
        new_waiter: Callable[[], W],
        item: Any,
        length: int,
        timeout: float | None,
        once: bool,
    ) -> Steps[W, Asked]:
        """Send a serialised request and wait for its outcome. The lock is not held meanwhile.

        Raises what `Sending.offer` does, and `ChannelTimeout`. If the wait is broken off, or its
        time is over, the request is taken back.
        """
        deadline = None if timeout is None else monotonic() + timeout
        asked = Asked(Kind(once, traceparent.get(), False), self._accepted)
        yield from self._sending.until_accepted(new_waiter, item, length, timeout, request=asked)
        yield from self.until_outcome(new_waiter, asked, timeout, deadline)
        return asked

    def until_accepted(
        self,
        new_waiter: Callable[[], W],
        item: Any,
        length: int,
        timeout: float | None,
        once: bool,
        kill: bool = False,
    ) -> Steps[W, Asked]:
        """Send a serialised request; return it once it is accepted. As `Sending.until_accepted`.

        The caller then either waits with `until_outcome` or calls `give_up`.
        """
        asked = Asked(Kind(once, traceparent.get(), kill), self._accepted)
        yield from self._sending.until_accepted(new_waiter, item, length, timeout, request=asked)
        return asked

    def until_outcome(
        self,
        new_waiter: Callable[[], W],
        asked: Asked,
        timeout: float | None,
        deadline: float | None,
    ) -> Steps[W, None]:
        """Wait for the outcome of an accepted request. The lock is not held meanwhile.

        Raises `ChannelTimeout` at the `deadline`, `timeout` seconds after the asking began. If the
        wait is broken off, or its time is over, the request is taken back.
        """
        try:
            while True:
                with self._lock:
                    if asked.outcome is not None:
                        return
                    waiter = asked.waiter = new_waiter()
                woken = yield waiter, None if deadline is None else deadline - monotonic()
                if not woken and asked.outcome is None:
                    raise ChannelTimeout(
                        f"channel {self._state.name}: the request was not answered within "
                        f"{timeout:g} s",
                        self._state.name,
                    )
        finally:
            if asked.outcome is None:
                self.give_up(asked)

    def result(self, asked: Asked, load: Callable[[Any], Any]) -> Any:
        """Return the answer, rebuilt by `load`. Raises the error that came instead."""
        outcome = asked.outcome
        if isinstance(outcome, ChannelError):
            raise outcome
        name = self._state.name
        if asked.failed:
            raise remote.from_text(outcome if isinstance(outcome, str) else "", name)
        if type(outcome) is str:
            return outcome
        try:
            return load(outcome)
        except Exception as error:
            why = f"the answer can't be rebuilt here: {type(error).__name__}: {error}"
            raise remote.from_text(remote.refusal(why), name) from error

    def _accepted(self, asked: Asked, number: int) -> None:
        asked.number = number
        self._waiting[number] = asked

    def give_up(self, asked: Asked) -> None:
        """Take back a request, unless its outcome has come. Never waits."""
        with self._lock:
            if self._waiting.pop(asked.number, None) is None or self._state.closed:
                return
            self._sending.pass_on()  # The hub must know the request before it is taken back.
            self._port.cancel(self._number, asked.number, asked.kind.kill)
        self._port.pump()

    # ------------------------------------------------------------- from the hub, under the lock

    def on_answer(self, batch: Batch) -> None:
        """Take in answers. Never rebuilds one."""
        headers = batch.headers
        assert headers is not None
        self._sending.on_acknowledged(batch.count)
        for number, payload in zip(headers.answer, batch.payloads(), strict=True):
            asked = self._waiting.pop(number, None)
            if asked is not None:
                asked.failed = headers.failed
                self._end(asked, payload)

    def on_refused(self, numbers: Sequence[int], kind: type[ChannelError], why: str) -> None:
        """Learn that these requests will not be answered."""
        for number in numbers:
            asked = self._waiting.pop(number, None)
            if asked is not None:
                self._end(asked, kind(f"channel {self._state.name}: {why}", self._state.name))

    def fail(self, kind: type[ChannelError], why: str) -> None:
        """End the wait for every answer, because this end or the way to the hub is gone."""
        waiting, self._waiting = self._waiting, {}
        for asked in waiting.values():
            self._end(asked, kind(f"channel {self._state.name}: {why}", self._state.name))

    def _end(self, asked: Asked, outcome: Any) -> None:
        asked.outcome = outcome
        if asked.waiter is not None:
            asked.waiter.wake(self._site.wakes)
