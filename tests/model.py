"""What the laws of channels allow: a model of one channel that `test_properties` compares with.

It keeps sets of message numbers, a direction at a time. What the processes do at their own pace
(an acknowledgement under way, a callback that is about to end) it knows from both sides only:
`lower` is surely acknowledged, `upper` perhaps; when everything is quiet the two are made equal.
"""

from __future__ import annotations

import asyncio
from asyncio import AbstractEventLoop
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from threading import Thread
from typing import Any

from liteyuki_core import ChannelBroken, ChannelClosed
from liteyuki_core.comm.channel import Channel
from liteyuki_core.comm.ends.end import End
from liteyuki_core.comm.hub.route import Route
from liteyuki_core.comm.hub.side import Side
from liteyuki_core.comm.wire.batch import Batch
from liteyuki_core.comm.wire.payload import Linked, load, load_linked


class Flow:
    """One direction of a channel: messages 0, 1, 2... and what has become of each."""

    def __init__(self) -> None:
        self.count = 0
        self.limbo: int | None = None
        """The message of a send that has not come back, unless its receiver got it already."""
        self.start = 0
        """The first message of the sender that lives now."""
        self.given: set[int] = set()
        """What the receiver got, in whatever life of it."""
        self.lower: set[int] = set()
        self.upper: set[int] = set()
        self.confirmed: set[int] = set()
        """What is acknowledged and was seen to be: it does not come again."""
        self.excused: set[int] = set()
        """What need not arrive, because the receiver had closed or the sender died sending it."""
        self.dropped: set[int] = set()
        """What its sender may be told to be dropped."""
        self.unsure: set[int] = set()
        """Of that, what was set aside, or is not known to have left its sender before that died."""
        self.crashes: Counter[int] = Counter()
        """In how many crashes a message was being handled."""
        self.begun: set[int] = set()
        """What the receiver had got when it was about to die."""
        self.row: dict[int, int] = {}
        """In how many of those in a row."""
        self.life: set[int] = set()
        """What the receiver that lives now got."""
        self.last = -1
        self.held: int | None = None
        """What `receive` gave last."""

    def begin(self) -> int:
        """Number a message that is about to be sent."""
        assert self.limbo is None
        self.limbo = self.count
        self.count += 1
        return self.limbo

    def finish(self, accepted: bool) -> None:
        """Learn whether the message was accepted."""
        number, self.limbo = self.limbo, None
        if not accepted:
            assert number is not None, f"{self.count - 1} was refused, and yet received"
            self.count -= 1

    def sent(self) -> set[int]:
        """Return what the sender that lives now had accepted."""
        return set(range(self.start, self.count)) - {self.limbo}

    def most(self) -> int:
        """Return how many of those may be unacknowledged."""
        return len(self.sent() - self.confirmed)

    def least(self) -> int:
        """Return how many of those surely are."""
        return len(self.sent() - self.upper)

    def owed(self) -> set[int]:
        """Return what must still come to the receiver."""
        numbers = set(range(self.count)) - {self.limbo}
        return numbers - self.upper - self.excused - self.life

    def possible(self) -> set[int]:
        """Return what may still come to the receiver."""
        return set(range(self.count)) - self.confirmed - self.life

    def give(self, number: int, *, ordered: bool = True) -> None:
        """Learn that the receiver got a message."""
        assert 0 <= number < self.count, f"{number} was never sent"
        if number == self.limbo:
            self.limbo = None  # It was accepted, though its sender may be slow to say so.
        assert number not in self.life, f"{number} came twice"
        # A callback that is about to start when its channel is closed does so.
        again = number in self.confirmed - self.excused
        assert not again, f"{number} came again, after it was acknowledged"
        if ordered:
            assert number > self.last, f"{number} came after {self.last}"
            skipped = {n for n in self.owed() if n < number}
            assert not skipped, f"{number} came before {sorted(skipped)}"
            self.last = number
        self.given.add(number)
        self.life.add(number)

    def ask(self, *, surely: bool = True) -> None:
        """Learn that `receive` was called: what it gave before is acknowledged."""
        if self.held is None:
            return
        self.upper.add(self.held)
        if surely:
            self.lower.add(self.held)
            self.held = None

    def excuse(self) -> None:
        """Learn that the receiver has closed: nothing more need arrive."""
        every = set(range(self.count))
        self.dropped |= every - self.upper
        self.excused |= every - self.given - self.upper
        self.upper |= every

    def receiver_died(self, custody: set[int]) -> None:
        """Learn what it left unacknowledged: that comes again."""
        self.settle(custody)
        self.upper = set(self.confirmed)
        self.held = None

    def perhaps_set_aside(self, custody: set[int], limit: int) -> set[int]:
        """Return what may be set aside by the crash that has just been, although it was handled.

        Its acknowledgement had perhaps not come yet, so this crash counts too. At the first crash
        nobody knows which of its messages a process was handling.
        """
        doubtful = self.upper - self.confirmed - custody
        return {number for number in doubtful if self.crashes[number] + 1 >= limit - 1}

    def new_receiver(self) -> None:
        """Learn that somebody else receives from now on."""
        self.life = set()
        self.last = -1
        self.held = None

    def settle(self, custody: set[int]) -> None:
        """Learn what is unacknowledged, now that nothing moves."""
        self.confirmed = set(range(self.count)) - custody - {self.limbo}
        self.lower = set(self.confirmed)
        # What a select may have asked for or not may still be acknowledged.
        self.upper = self.confirmed | (self.upper & custody)
        if self.held is not None and self.held in self.confirmed:
            self.held = None


class Waiting:
    """A call that waits in a thread, or as a task of a loop."""

    def __init__(self, future: Future[Any], *, in_own_thread: bool = False) -> None:
        self.future = future
        self.in_own_thread = in_own_thread

    @classmethod
    def in_thread(cls, call: Callable[[], Any]) -> Waiting:
        """Call it in a thread of its own."""
        future: Future[Any] = Future()

        def run() -> None:
            try:
                future.set_result(call())
            except Exception as error:
                # Its traceback would keep the handles it met alive.
                future.set_exception(error.with_traceback(None))

        Thread(target=run, name="waits", daemon=True).start()
        return cls(future, in_own_thread=True)

    def outcome(self) -> Any:
        """Return what it returned, or the class of what it raised."""
        error = self.future.exception(0)
        return self.future.result(0) if error is None else type(error)


class Recorder:
    """Callbacks of one end: what they were given and what they have done, in order."""

    def __init__(self, ordered: bool, kind: str) -> None:
        self.ordered = ordered
        self.kind = kind
        self.started: list[Any] = []
        self.ended: list[int] = []
        self.seen = 0
        self.gate: Future[None] = Future()
        if kind in ("sync", "async"):
            self.gate.set_result(None)

    @property
    def in_order(self) -> bool:
        """Whether what is recorded has the order in which callbacks started."""
        return self.ordered or self.kind != "sync"

    def holds(self, number: int) -> bool:
        """Return whether the callback for a message is not to end yet."""
        return not self.gate.done() and (self.kind == "held" or number % 2 == 1)

    def when_released(self, loop: AbstractEventLoop, waiting: asyncio.Future[None]) -> None:
        """Have a callback that is held go on then."""

        def go_on() -> None:
            if not waiting.done():
                waiting.set_result(None)

        def released(_: Future[None]) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(go_on)

        self.gate.add_done_callback(released)

    def release(self) -> None:
        """Let callbacks end that were held."""
        if not self.gate.done():
            self.gate.set_result(None)


class Half:
    """One side of a channel: who holds it, and how."""

    def __init__(self, conduit: Conduit, i: int, who: str) -> None:
        self.conduit = conduit
        self.i = i
        self.who = who
        self.handles: list[Channel[Any]] = []
        self.end: End | None = None
        self.state = "absent"
        """held; absent: nobody has it, somebody may; closed; lost with its process."""
        self.recorder: Recorder | None = None
        self.before: Recorder | None = None
        """The callback that it had in the process that died."""
        self.written_off = False
        """Whether its process was lost for good, even if it is back by now."""
        self.receives: bool | None = False
        """Whether `receive` was used on it; None where a select may have asked it or not."""
        self.receiving: Waiting | None = None
        self.sending: Waiting | None = None
        self.dropped_handle = False
        """Whether it was let go of."""
        self.shaky: set[type[Exception]] = set()
        """Errors of the other side's past that this one may not have seen the end of."""

    @property
    def let_go(self) -> bool:
        """Whether the other side may hear of a close: nobody has it, or is about to get it."""
        sent_in_vain = bool(self.conduit.carried) and not self.conduit.is_on_its_way
        return self.dropped_handle or (self.state == "absent" and sent_in_vain)

    @property
    def other(self) -> Half:
        """The other side."""
        return self.conduit.halves[1 - self.i]

    @property
    def out(self) -> Flow:
        """What is sent from here."""
        return self.conduit.flows[self.i]

    @property
    def into(self) -> Flow:
        """What comes here."""
        return self.conduit.flows[1 - self.i]

    def hold(self, handle: Channel[Any]) -> None:
        """Learn that its process has a handle, perhaps one more."""
        end = handle._open()
        if self.state == "held":
            assert end is self.end, "a process has two ends of one channel"
            self.handles.append(handle)
            return
        self.handles = [handle]
        self.end = end
        self.other.shaky |= self.errors() or {ChannelBroken}
        self.state = "held"
        self.written_off = False
        self.receives, self.recorder = False, None
        self.into.new_receiver()
        self.out.start = self.out.count

    def leave(self, state: str) -> None:
        """Learn that its process has it no more."""
        self.state = state
        if state == "closed":
            self.into.excuse()
            if self.recorder is not None:
                # Callbacks may have ended whose acknowledgements wait for company.
                self.into.dropped |= set(range(self.into.count)) - self.into.confirmed

    def errors(self) -> set[type[Exception]]:
        """Return what the other side gets for this one's state."""
        kinds: dict[str, set[type[Exception]]]
        kinds = {"closed": {ChannelClosed}, "lost": {ChannelBroken}}
        return kinds.get(self.state, set())


class Conduit:
    """A channel: its two sides, its two directions."""

    def __init__(self, name: str | None, capacity: int, maker: str, getter: str) -> None:
        self.name = name
        self.capacity = capacity
        self.halves = (Half(self, 0, maker), Half(self, 1, getter))
        self.flows = (Flow(), Flow())
        self.age = 0
        """How many were made before it."""
        self.route: Route | None = None
        self.carried: list[tuple[Half, int]] = []
        """The messages that it was sent in, and to whom."""

    def forgotten(self) -> None:
        """Learn that the hub knows it no more: nobody can get it."""
        for half in self.halves:
            if half.state == "held":  # It came to the hub after the other side's close.
                assert half.other.state == "closed"
                assert not half.into.owed(), f"{self} is forgotten before it is drained"
            if half.state == "absent" and self.name is not None and not half.written_off:
                assert not half.into.owed(), f"{self} is forgotten before its successor gets it"
            if half.state == "absent":
                for by, number in self.carried:
                    owed = by.state == "held" and number in by.into.owed()
                    assert not owed, f"{self} is forgotten, but under way"
            half.into.excuse()

    @property
    def is_on_its_way(self) -> bool:
        """Whether a message that it was sent in may still bring it to somebody."""
        return any(by.state == "held" and n in by.into.owed() for by, n in self.carried)

    def __repr__(self) -> str:
        return f"{self.name or 'unnamed'}:{'-'.join(half.who for half in self.halves)}"


def number_in(data: Any) -> int:
    """Return the number of a message, whatever it looks like."""
    if isinstance(data, dict):
        data = data["number"]
    elif isinstance(data, tuple):
        data = data[0]
    return int(data)


def custody(side: Side) -> list[int]:
    """Return the numbers of the messages that the hub keeps for a side, under its lock."""
    found = []
    for entry in (*side.waiting, *side.sent.values()):
        done = entry.acknowledged()
        for sequence, payload in enumerate(entry.batch.payloads(), entry.batch.first):
            if sequence not in done:
                if isinstance(payload, Linked):
                    data = load_linked(payload, lambda key, _: key)
                else:
                    data = load(payload)
                found.append(number_in(data))
    return found


def check_side(side: Side, capacity: int) -> None:
    """Check what `side.py` says of a side, under the hub's lock."""
    for entries in (list(side.waiting), list(side.sent.values())):
        _in_order([entry.batch for entry in entries])
    for start, entry in side.sent.items():
        assert start == entry.batch.first
        assert entry.holder is not None
        assert side.holders.get(entry.holder.peer) is entry.holder
    for entry in (*side.waiting, *side.sent.values()):
        assert 0 < entry.remaining == entry.batch.count - len(entry.acknowledged())
    for holder in side.holders.values():
        mine = [entry.remaining for entry in side.sent.values() if entry.holder is holder]
        assert holder.outstanding == sum(mine)
    senders: dict[Any, int] = {}
    for entry in (*side.waiting, *side.sent.values()):
        senders[entry.source, entry.number] = senders.get((entry.source, entry.number), 0) + (
            entry.remaining
        )
    assert all(count <= capacity for count in senders.values()), "more than the capacity"


def _in_order(batches: Iterable[Batch]) -> None:
    stop = -1
    for batch in batches:
        assert batch.first >= stop
        stop = batch.first + batch.count
