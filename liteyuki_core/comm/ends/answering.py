"""The requests that come for one end, and their answers.

The end owns it, from its first `on_request` on. A runner takes the requests, see `loop/answers.py`,
and gives back what each callback has returned or raised. Any thread calls it; a method that is
called under the site's lock says so.

Invariants, under the lock:

- a request that a runner has taken ends in one of three ways: with an answer, with `drop` because
  nobody waits for the answer, or not at all, because the process ends; then it comes again
- an answer leaves after all that was sent from this process before it was given
- a number is in `_here` from the moment its request comes until the request ends in one of these
  ways or is given back, and in `_cancelled` only while it is in `_here`
"""

from __future__ import annotations

from asyncio import _get_running_loop
from collections.abc import Callable, Sequence
from typing import Any

from ... import log
from ...errors import LiteyukiError
from ...language import say
from ..loop.answers import Answers, Request
from ..loop.callbacks import SYNC_CALLBACKS, Registration
from ..loop.site import Site
from ..loop.taker import Taker
from ..wire import frames
from ..wire.batch import Batch, pack, pack_text
from ..wire.headers import Headers
from ..wire.payload import Linked, Long
from . import remote
from .inbox import Inbox
from .port import Port
from .sending import BATCH_BYTES, BATCH_MESSAGES
from .state import State
from .turns import Turns


class Answering(Inbox):
    """Takes in requests for one end, and passes on their answers.

    `serialise` is that of the end's sending half, `load` that of its receiving half.
    """

    of_requests = True

    def __init__(
        self,
        state: State,
        site: Site,
        port: Port,
        turns: Turns,
        serialise: Callable[[Any], tuple[Any, int]],
        load: Callable[[Any], Any],
    ) -> None:
        super().__init__(state, site, port)
        self._turns = turns
        self._serialise = serialise
        self._load = load
        self._window = 0
        self._here: dict[int, Request | None] = {}
        """By number: the requests that have come and are not answered; None until one begins."""
        self._cancelled: set[int] = set()
        """Which of these nobody waits for any more."""
        self._given: list[tuple[int, Any, int, bool]] = []
        """Answers that wait for the end of a turn: number, item and length, whether failed."""
        self._in_turn = False
        self._taker: Taker | None = None
        """Stands for the thread that takes requests, if one does, in place of a runner."""
        self._pauses = False
        """Whether that thread begins no request any more."""

    # ------------------------------------------------------------- from the hub, under the lock

    def on_data(self, batch: Batch) -> None:
        """Take in requests. Never rebuilds one."""
        if self._state.closed:
            return
        self._inbox.append(batch)
        self._here.update(dict.fromkeys(range(batch.first, batch.first + batch.count)))
        self._arrived += batch.count
        self.bytes += batch.size
        if batch.flags & frames.REDELIVERED:
            self.redelivered += batch.count
        if self._taker is not None:
            if self._pauses:
                self._give_back(self._taker)
            else:
                self._taker.ready()
        elif self._runner is not None and self.idle:
            self.idle = False
            self._site.dispatcher.ready(self._runner)

    def on_shared(self, period: int) -> None:
        """Note whether other processes answer too. Give back the requests nobody here has begun."""
        self._period = period
        if not period or self._state.closed:
            return
        if self._taker is not None:
            self._give_back(self._taker)
            return
        count = self._unread()
        self._arrived -= count
        self._pass_back(self._take_off(count), more=self._runner is not None)
        if self._runner is not None:
            self._site.dispatcher.call_back(self._runner)

    def on_cancelled(self, numbers: Sequence[int]) -> None:
        """Learn that nobody waits for the answers to these requests any more."""
        bound = self._site.dispatcher.bound
        for number in numbers:
            if number not in self._here:
                continue  # Its answer has crossed this on its way.
            self._cancelled.add(number)
            request = self._here[number]
            if request is not None and bound is not None:
                self._site.wakes.wake(bound[0], request.cancel)

    # ------------------------------------------------------------- for the runner

    def _messages_of(self, batch: Batch) -> list[Any]:
        headers = batch.headers
        trace, far = ("", False) if headers is None else (headers.traceparent, headers.far)
        messages = enumerate(batch.payloads(), batch.first)
        return [Request(number, each, trace, far) for number, each in messages]

    def load(self, request: Request) -> Request:
        """Rebuild a request's data, or note why that fails. Raises nothing."""
        try:
            data = request.data
            request.data = data if type(data) is str else self._load(data)
        except Exception as error:
            request.wrong = f"the request can't be rebuilt: {type(error).__name__}: {error}"
        return request

    def not_rebuilt(self, error: Exception) -> None:
        """Do nothing: `load` raises nothing."""

    def acknowledge(self, ranges: list[tuple[int, int]]) -> bool:
        """Do nothing: an answer acknowledges its request, and `drop` does."""
        return False

    def pump(self) -> None:
        """Have what was passed on written. Never waits."""
        self._port.pump()

    def begins(self, request: Request) -> bool:
        """Note that a callback is chosen for a request; return False if nobody waits for it."""
        with self.lock:
            if request.number in self._cancelled:
                return False
            self._here[request.number] = request
        return True

    def is_cancelled(self, request: Request) -> bool:
        """Return whether nobody waits for the answer any more."""
        return request.number in self._cancelled

    def forget(self, request: Request) -> None:
        """Note that a request was broken off. It is not answered."""
        with self.lock:
            self._ends(request.number)

    def drop(self, request: Request) -> None:
        """End a request that nobody waits for, without an answer."""
        with self.lock:
            self._ends(request.number)
            if not self._state.closed:
                self._turns.pass_on()
                self._port.acknowledge(self._number, [(request.number, 1)], True)
        self._port.pump()

    def answer(self, request: Request, data: Any) -> None:
        """Answer a request with what its callback has returned."""
        try:
            item, length = self._serialise(data)
            if isinstance(item, Linked):
                raise TypeError(
                    "an answer can't carry a channel; make it a part of the request instead"
                )
        except (LiteyukiError, TypeError) as error:
            self.failed()
            self.refuse(request, f"the answer can't be sent: {error}")
            return
        self._give(request, item, length)

    def raised(self, request: Request, error: BaseException) -> None:
        """Answer a request with what its callback has raised."""
        if self.is_cancelled(request):
            log.logger.opt(exception=error).warning(
                say(
                    "{channel}: a request that nobody waits for any more has failed: {error!r}",
                    channel=self.title,
                    error=error,
                )
            )
        self._give(request, remote.to_text(error), -1, failed=True)

    def refuse(self, request: Request, why: str) -> None:
        """Answer a request with the reason why there is no answer."""
        self._give(request, remote.refusal(why), -1, failed=True)

    def _give(self, request: Request, item: Any, length: int, *, failed: bool = False) -> None:
        number = request.number
        with self.lock:
            cancelled = self._ends(number)
            if self._state.closed:
                return
            if cancelled:
                self._turns.pass_on()
                self._port.acknowledge(self._number, [(number, 1)], True)
            else:
                self._given.append((number, item, length, failed))
                self._gather()
        self._port.pump()

    def _ends(self, number: int) -> bool:
        """Forget a request; return whether it was cancelled. Under the lock."""
        self._here.pop(number, None)
        cancelled = number in self._cancelled
        self._cancelled.discard(number)
        return cancelled

    def _pass_back(self, ranges: list[tuple[int, int]], *, more: bool = False) -> None:
        for first, count in ranges:
            for number in range(first, first + count):
                self._ends(number)
        super()._pass_back(ranges, more=more)

    def _gather(self) -> None:
        """Have the first answer of a loop's turn leave at once, the others after the turn."""
        if self._in_turn:
            return
        loop = _get_running_loop()
        if loop is None or loop.is_closed():
            self.pass_on()
            return
        self._in_turn = True
        if self._turns.begin_answers(loop, self):
            self.pass_on()

    # ------------------------------------------------------------- of a turn, under the lock

    def lock_out(self) -> None:
        """Do nothing: every answer takes the lock."""

    def end_turn(self) -> int:
        """Pass on what a loop's turn has gathered. Returns 0: no answer is dropped."""
        self._in_turn = False
        self.pass_on()
        return 0

    def pass_on(self) -> None:
        """Pass on the answers. The caller pumps the port."""
        given, self._given = self._given, []
        if not given or self._state.closed or self._state.lost:
            return
        self._turns.pass_on()  # What the callbacks have sent leaves before their answers.
        if len(given) == 1:
            ((number, item, length, failed),) = given
            batch = pack_text(0, [item]) if length == -1 else pack(0, [item], [length])
            batch.headers = Headers(None, (number,), False, failed)
            self._port.give_answers(self._number, batch)
            return
        at = 0
        while at < len(given):
            stop = _like_the_first(given, at)
            some = given[at:stop]
            items = [item for _, item, _, _ in some]
            if some[0][2] == -1:
                batch = pack_text(0, items)
            else:
                batch = pack(0, items, [length for _, _, length, _ in some])
            numbers = tuple([number for number, *_ in some])
            batch.headers = Headers(answer=numbers, failed=some[0][3])
            self._port.give_answers(self._number, batch)
            at = stop

    # ------------------------------------------------------------- how it is answered

    def register(self, registration: Registration, *, undecided: bool = False) -> None:
        """Add a callback; if it is `undecided`, when `decide` is called, which is soon."""
        with self.lock:
            self._state.check_own()
            if self._runner is None:
                self._runner = self._site.dispatcher.attach(self, Answers)
                self._ahead = self._runner.backlog
            most = self.capacity if registration.is_async else SYNC_CALLBACKS
            window = registration.concurrency or most
            if not self._window or window < self._window:
                self._window = window
                self._port.ready_to_answer(self._number, window)
            self._add(registration, undecided)
        self._port.pump()

    def take_in_thread(self, concurrency: int) -> Taker:
        """Have one thread take the requests, in place of callbacks. Not beside callbacks."""
        dispatcher = self._site.dispatcher
        with self.lock:
            self._state.check_own()
            assert self._runner is None
            taker = self._taker = Taker(
                self,
                dispatcher,
                self.lock,
                self._site.wakes,
                concurrency,
                self._pause,
                self._port.pump,
            )
            self._ahead = taker.backlog
            dispatcher.join(taker)
            self._port.ready_to_answer(self._number, concurrency)
        self._port.pump()
        return taker

    def _pause(self) -> None:
        """Say that no request is begun here any more, and which ones were; give back the rest."""
        self._pauses = True
        if not self._state.closed and self._taker is not None:
            self._port.ready_to_answer(self._number, 0)
            for number, request in self._here.items():
                if request is not None:
                    self._port.begin(self._number, number, True)
            self._give_back(self._taker)

    def _give_back(self, taker: Taker) -> None:
        ranges = [taker.take_off()] if taker.backlog() else []
        count = self._unread()
        ranges += self._take_off(count)
        self._arrived -= sum(count for _, count in ranges)
        self._pass_back(ranges)


def _like_the_first(given: list[tuple[int, Any, int, bool]], at: int) -> int:
    """Return up to where answers from `at` on travel in one batch."""
    _, item, length, failed = given[at]
    size = 0
    for stop in range(at, min(len(given), at + BATCH_MESSAGES)):
        _, item, each, fails = given[stop]
        if isinstance(item, Long):
            return max(stop, at + 1)
        size += len(item)
        if (each == -1) is not (length == -1) or fails is not failed:
            return stop
        if size > BATCH_BYTES and stop > at:
            return stop
    return min(len(given), at + BATCH_MESSAGES)
