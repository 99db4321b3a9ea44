"""Queues whose requests are answered by a pool of processes, over real links.

Tests comm/hub/calls.py, comm/hub/requests.py.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from time import monotonic
from typing import Any

import pytest

from liteyuki_core import ChannelBroken, ChannelTimeout, RemoteError
from liteyuki_core.comm.context import Context
from liteyuki_core.comm.ends import remote
from liteyuki_core.comm.ends.sending import Asked
from liteyuki_core.comm.hub.calls import Calls
from liteyuki_core.comm.hub.requests import Asker
from liteyuki_core.comm.hub.side import Holder
from liteyuki_core.comm.loop.steps import Steps, wait
from liteyuki_core.comm.loop.waiter import SyncWaiter
from liteyuki_core.comm.queue import Queue
from liteyuki_core.comm.wire.batch import Batch, pack, pack_text
from liteyuki_core.comm.wire.headers import Headers
from liteyuki_core.comm.wire.payload import dump
from tests.asking import nothing_is_left, nothing_is_under_way
from tests.conftest import wait_until
from tests.pair import Pair


class Told:
    """A pool that notes what it is told."""

    def __init__(self) -> None:
        self.broken: list[tuple[str | None, Asker, int]] = []
        self.ended: list[str | None] = []

    def broken_off(self, peer: Any, asker: Asker, request: int) -> None:
        """Note it."""
        self.broken.append((peer.process, asker, request))

    def unwanted(self, peer: Any) -> None:
        """Note it."""
        self.ended.append(peer.process)


class Busy:
    """An `on_request` callback that says what it has begun and waits until it is let go."""

    def __init__(self, queue: Queue[Any], concurrency: int = 1) -> None:
        self.begun: list[Any] = []
        self.let_go = threading.Event()
        queue.on_request(concurrency=concurrency)(self.answer)

    def answer(self, data: Any) -> Any:
        """Answer with the data."""
        self.begun.append(data)
        self.let_go.wait(20)
        return data


def queue_of(context: Context) -> Queue[Any]:
    """Return a process's handle on the queue."""
    return Queue._of(context.queue("calls", 64))  # type: ignore[return-value]


def ask(queue: Queue[Any], data: Any, timeout: float = 10, *, kill: bool = False) -> Any:
    """Ask once; with `kill` whoever handles it is to be ended at the timeout."""
    end = queue._open()
    item, length = end.sending.serialise(data)

    def steps() -> Steps[SyncWaiter, Asked]:
        asked = yield from end.asking.until_accepted(SyncWaiter, item, length, 5, True, kill)
        yield from end.asking.until_outcome(SyncWaiter, asked, timeout, monotonic() + timeout)
        return asked

    return end.asking.result(wait(steps()), end.receiving.load)


def answer_instead(pair: Pair, asker: Asker, request: int) -> None:
    """Answer for who has ended, as its pool does."""
    answer = pack_text(0, [remote.refusal("its end")])
    pair.hub.answer_instead("calls", asker, request, answer)


def result_or_end(answer: Future[Any]) -> Any:
    """Return what a request got: an answer, or what the pool has answered instead."""
    try:
        return answer.result(10)
    except RemoteError as error:
        return error.message


@pytest.fixture
def asking() -> Any:
    """Threads that ask."""
    with ThreadPoolExecutor(8) as threads:
        yield threads


@pytest.fixture
def told(pair: Pair) -> Told:
    """The pool of the queue."""
    pool = Told()
    pair.hub.add_pool("calls", 64, pool)
    return pool


def test_who_answers_alone_gets_no_more_than_it_handles(pair: Pair, asking: Any) -> None:
    """The rest goes to whoever joins, while the first is busy."""
    ours = queue_of(pair.main)
    busy = Busy(queue_of(pair.child))
    answers = [asking.submit(ask, ours, number) for number in range(5)]
    wait_until(lambda: len(busy.begun) == 1)
    free = Busy(queue_of(pair.another("u")), 4)
    wait_until(lambda: len(free.begun) == 4, f"{busy.begun}, {free.begun}")
    for each in (busy, free):
        each.let_go.set()
    assert [answer.result(10) for answer in answers] == list(range(5))
    assert len(busy.begun) == 1
    nothing_is_left(ours)
    nothing_is_under_way(pair)


@pytest.mark.parametrize("asker", ["main", "u"])
def test_the_pool_answers_for_who_has_ended(
    pair: Pair, told: Told, asking: Any, asker: str
) -> None:
    """Only what it had begun. The asker waits until the pool says why."""
    ours = queue_of(pair.main if asker == "main" else pair.another("u"))
    busy = Busy(queue_of(pair.child))
    answers = [asking.submit(ask, ours, number) for number in range(2)]
    wait_until(lambda: len(busy.begun) == 1)
    pair.kill_child()
    ((process, who, request),) = wait_until(lambda: told.broken)
    assert process == "w"
    next_one = Busy(queue_of(pair.child))
    next_one.let_go.set()
    wait_until(lambda: len(next_one.begun) == 1)
    assert not any(answer.done() and answer.result() == busy.begun[0] for answer in answers)
    for _ in range(2):  # A second answer goes nowhere.
        answer_instead(pair, who, request)
    results = [result_or_end(answer) for answer in answers]
    assert sorted(map(str, results)) == sorted(map(str, ["its end", *next_one.begun]))
    busy.let_go.set()
    nothing_is_left(ours)
    nothing_is_under_way(pair)


def test_nobody_waits_for_what_was_broken_off(pair: Pair, told: Told, asking: Any) -> None:
    """The asker's time is over before the pool answers: nothing is left of the request."""
    ours = queue_of(pair.main)
    busy = Busy(queue_of(pair.child))
    answer = asking.submit(ask, ours, "x", 1.0)
    wait_until(lambda: busy.begun)
    pair.kill_child()
    ((_, who, request),) = wait_until(lambda: told.broken)
    with pytest.raises(ChannelTimeout):
        answer.result(10)
    nothing_is_left(ours)
    assert not pair.hub.table.by_name["calls"].requests(0)._broken_off
    answer_instead(pair, who, request)
    busy.let_go.set()
    nothing_is_left(ours)
    nothing_is_under_way(pair)


def test_who_still_handles_it_is_to_be_ended(pair: Pair, told: Told, asking: Any) -> None:
    """At the asker's time-out, and it is given nothing else. What only waits ends nobody."""
    ours = queue_of(pair.main)
    busy = Busy(queue_of(pair.child))
    first = asking.submit(ask, ours, "first", 1.0, kill=True)
    wait_until(lambda: busy.begun == ["first"])
    waiting = asking.submit(ask, ours, "waiting", 0.2, kill=True)
    with pytest.raises(ChannelTimeout):
        waiting.result(10)
    assert told.ended == []
    later = asking.submit(ask, ours, "later", 20)
    with pytest.raises(ChannelTimeout):
        first.result(10)
    wait_until(lambda: told.ended == ["w"])
    busy.let_go.set()
    free = Busy(queue_of(pair.another("u")))
    free.let_go.set()
    assert later.result(10) == "later"
    assert free.begun == ["later"]
    assert busy.begun == ["first"]
    nothing_is_under_way(pair)


def test_whoever_is_ended_answers_with_its_end(pair: Pair, told: Told, asking: Any) -> None:
    """It handles two requests: the end of the one is wanted, the other is broken off by that."""
    ours = queue_of(pair.main)
    busy = Busy(queue_of(pair.child), 2)
    other = asking.submit(ask, ours, "other", 20)
    with pytest.raises(ChannelTimeout):
        ask(ours, "late", 0.5, kill=True)
    wait_until(lambda: told.ended == ["w"])
    pair.kill_child()
    ((_, who, request),) = wait_until(lambda: told.broken)
    answer_instead(pair, who, request)
    assert result_or_end(other) == "its end"
    busy.let_go.set()
    nothing_is_left(ours)
    nothing_is_under_way(pair)


def test_a_pool_without_processes_refuses(pair: Pair, told: Told, asking: Any) -> None:
    """What waits and what comes, until it has some again."""
    ours, theirs = queue_of(pair.main), queue_of(pair.another("u"))
    waiting = asking.submit(ask, ours, "x")
    wait_until(lambda: pair.hub.table.by_name["calls"].requests(0).waiting)
    pair.hub.refuse_queue("calls", "none of its processes runs")
    with pytest.raises(ChannelBroken, match="calls: none of its processes runs"):
        waiting.result(10)
    for queue in (ours, theirs):
        with pytest.raises(ChannelBroken, match="none of its processes runs"):
            ask(queue, "y")
    pair.hub.refuse_queue("calls", None)
    busy = Busy(queue_of(pair.child))
    busy.let_go.set()
    assert ask(theirs, "z") == "z"
    nothing_is_left(ours, theirs)
    nothing_is_under_way(pair)


def test_other_workers_that_come_back_answer(pair: Pair, told: Told, asking: Any) -> None:
    """One is gone for good while another is about to be started: what waits is kept for it."""
    ours = queue_of(pair.main)
    busy, last = Busy(queue_of(pair.child)), Busy(queue_of(pair.another("u")))
    for each in (busy, last):
        each.let_go.set()
    assert ask(ours, 1) == 1
    pair.lose("u")
    pair.lose_child()
    waiting = asking.submit(ask, ours, "x", 20)
    wait_until(lambda: pair.hub.table.by_name["calls"].requests(0).waiting)
    pair.hub.process_ended("w", ChannelBroken, "process w is given up")
    again = Busy(queue_of(pair.another("u")))
    again.let_go.set()
    assert waiting.result(10) == "x"
    nothing_is_under_way(pair)


class Worker:
    """A peer that notes what it is given."""

    serves_since = 0.0

    def __init__(self, process: str) -> None:
        self.process = process
        self.got: list[int] = []

    def deliver(self, number: int, batch: Batch) -> None:
        """Note it."""
        self.got += range(batch.first, batch.first + batch.count)

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments: None


class Many:
    """The calls of a pool with two workers, and no links: calls are known by their numbers."""

    def __init__(self) -> None:
        self.told = Told()
        self.calls = Calls(self.told, lambda calls: None)
        self.asker = Worker("asker")
        self.asked = 0
        self.workers = {name: Worker(name) for name in ("a", "b", "@node")}

    def joins(self, name: str) -> None:
        """Let a worker run one call at a time."""
        peer: Any = self.workers[name]
        self.calls.holders[peer] = Holder(peer, 1, False)
        self.calls.receives(self.calls.holders[peer], 1, False)

    def asks(self, count: int = 1) -> None:
        """Ask so many times at once."""
        payload, length = dump(None)
        batch = pack(0, [payload] * count, [length] * count)
        batch.headers = Headers(self.asked, once=True)
        self.asked += count
        asker: Any = self.asker
        self.calls.add(batch, asker, 1)

    def answers(self, name: str, *numbers: int) -> None:
        """Have a worker answer."""
        payload, length = dump(None)
        batch = pack(0, [payload] * len(numbers), [length] * len(numbers))
        batch.headers = Headers(answer=numbers)
        peer: Any = self.workers[name]
        assert self.calls.answer(self.calls.holders[peer], batch)

    def leaves(self, name: str, *, crash: bool, begun: tuple[int, ...] = ()) -> None:
        """End a worker; in good order, it has said which calls it had begun."""
        peer: Any = self.workers[name]
        holder = self.calls.holders[peer]
        self.calls.receives(holder, 0, False)
        assert self.calls.begin(holder, [(number, 1) for number in begun])
        assert self.calls.drop_holder(peer, crash, 3) == []
        self.calls.push()


def test_what_a_crashed_worker_ran_is_what_it_was_given_first() -> None:
    """That may have a higher number than what came back from another worker."""
    many = Many()
    many.joins("a")
    many.asks()
    many.answers("a", 0)
    many.asks(3)
    assert many.workers["a"].got == [0, 1, 2], "it is quick, so it has one in advance"
    many.joins("b")
    assert many.workers["b"].got == [3]
    many.answers("b", 3)
    many.asks()
    assert many.workers["b"].got == [3, 4]
    many.leaves("a", crash=True)
    assert many.workers["b"].got == [3, 4, 2], "what has come back is in advance"
    assert [(name, request) for name, _, request in many.told.broken] == [("a", 1)]
    many.leaves("b", crash=True)
    assert [(name, request) for name, _, request in many.told.broken] == [("a", 1), ("b", 4)]
    many.joins("a")
    assert many.workers["a"].got == [0, 1, 2, 2]


def test_another_node_is_no_worker() -> None:
    """It may call and has the queue for that, but whatever it says, it is given no call."""
    many = Many()
    many.joins("@node")
    many.asks(2)
    many.joins("a")
    assert many.workers["a"].got == [0]
    many.answers("a", 0)
    many.leaves("@node", crash=True)
    assert many.workers["@node"].got == many.told.broken == []
    assert many.workers["a"].got == [0, 1]


def test_who_leaves_in_good_order_has_said_what_it_has_begun() -> None:
    """What it was given meanwhile was not begun: nobody fails by that."""
    many = Many()
    many.joins("a")
    many.asks()
    many.answers("a", 0)
    many.asks(2)
    assert many.workers["a"].got == [0, 1, 2]
    many.leaves("a", crash=False)
    assert many.told.broken == []
    many.joins("b")
    assert many.workers["b"].got == [1]
    many.leaves("b", crash=False, begun=(1,))
    assert [(name, request) for name, _, request in many.told.broken] == [("b", 1)]
    many.joins("b")
    assert many.workers["b"].got == [1, 2]


def quick(pair: Pair, queue: Queue[Any]) -> None:
    """Ask on until whoever answers is given more than it handles, in advance."""
    holder = next(h for h in calls_of(pair).holders.values() if h.ready)

    def is_ahead() -> bool:
        for number in range(50):
            ask(queue, number)
        return calls_of(pair)._paces[holder.peer].ahead >= 5

    wait_until(is_ahead)


def calls_of(pair: Pair) -> Any:
    """Return the requests to the queue."""
    return pair.hub.table.by_name["calls"].requests(0)


def given(pair: Pair) -> int:
    """Return how many requests are with whoever answers."""
    return sum(holder.outstanding for holder in calls_of(pair).holders.values())


def test_what_a_quick_one_has_in_advance_is_called_back(
    pair: Pair, told: Told, asking: Any
) -> None:
    """When it is slow, for others; in order."""
    ours = queue_of(pair.main)
    busy = Busy(queue_of(pair.child))
    busy.let_go.set()
    ask(ours, 0)
    quick(pair, ours)
    busy.let_go.clear()
    busy.begun.clear()
    answers = []
    for number in range(5):
        answers.append(asking.submit(ask, ours, number))
        wait_until(lambda number=number: calls_of(pair).under_way == number + 1)
    wait_until(lambda: given(pair) == 1, "the others are called back")
    assert busy.begun == [0]
    free = Busy(queue_of(pair.another("u")))
    free.let_go.set()
    assert [answer.result(10) for answer in answers[1:]] == [1, 2, 3, 4]
    assert free.begun == [1, 2, 3, 4]
    busy.let_go.set()
    assert answers[0].result(10) == 0
    nothing_is_under_way(pair)


def test_a_crash_fails_only_what_had_begun(
    pair: Pair, told: Told, asking: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it was given in advance goes to others."""
    monkeypatch.setattr("liteyuki_core.comm.hub.calls.LATE", 60)  # It keeps that until it dies.
    ours = queue_of(pair.main)
    busy = Busy(queue_of(pair.child))
    busy.let_go.set()
    ask(ours, 0)
    quick(pair, ours)
    busy.let_go.clear()
    busy.begun.clear()
    answers = [asking.submit(ask, ours, number) for number in range(5)]
    wait_until(lambda: given(pair) > 1 and busy.begun)
    first = busy.begun[0]
    pair.kill_child()
    ((_, who, request),) = wait_until(lambda: told.broken)
    free = Busy(queue_of(pair.child))
    free.let_go.set()
    others = [answer for number, answer in enumerate(answers) if number != first]
    assert sorted(answer.result(10) for answer in others) == sorted({*range(5)} - {first})
    answer_instead(pair, who, request)
    assert result_or_end(answers[first]) == "its end"
    assert len(told.broken) == 1
    busy.let_go.set()
    nothing_is_under_way(pair)


def test_nothing_is_in_advance_beside_what_may_end_it(pair: Pair, told: Told, asking: Any) -> None:
    """Else the end of one would break off the next."""
    ours = queue_of(pair.main)
    busy = Busy(queue_of(pair.child))
    busy.let_go.set()
    ask(ours, 0)
    quick(pair, ours)
    busy.let_go.clear()
    busy.begun.clear()
    late = asking.submit(ask, ours, "late", 0.5, kill=True)
    wait_until(lambda: busy.begun == ["late"])
    others = [asking.submit(ask, ours, number) for number in range(4)]
    wait_until(lambda: calls_of(pair).under_way == 5)
    assert given(pair) == 1
    with pytest.raises(ChannelTimeout):
        late.result(10)
    wait_until(lambda: told.ended == ["w"])
    pair.kill_child()
    free = Busy(queue_of(pair.child))
    free.let_go.set()
    assert [answer.result(10) for answer in others] == [0, 1, 2, 3]
    assert told.broken == []
    busy.let_go.set()
    nothing_is_under_way(pair)
