"""What comes over a child's link: good frames before a bad one, and bounds on what it may ask.

Tests comm/hub/main.py, comm/hub/notes.py.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from liteyuki_core.comm.channel import Channel
from liteyuki_core.comm.hub import link_peer
from liteyuki_core.comm.store import listener, packed, value
from liteyuki_core.comm.store.question import Get, Publish, Set
from liteyuki_core.comm.store.value import Value
from liteyuki_core.comm.wire import decoder, frames, words
from liteyuki_core.comm.wire.batch import pack_text
from liteyuki_core.comm.wire.bundle import Bundle, Handled
from liteyuki_core.comm.wire.endpoint import connection_pair
from liteyuki_core.comm.wire.headers import Headers
from liteyuki_core.comm.wire.pieces import freed
from liteyuki_core.errors import ChannelClosed, FrameError, RemoteError
from tests.conftest import wait_until
from tests.pair import Pair, run_async


def raw(*parts: tuple[Any, ...]) -> bytes:
    """Return frames as they are on the wire."""
    return b"".join(b"".join(part) for part in parts)


NONSENSE = {
    "no frame": b"nonsense" * 4,
    "no op": frames.HEADER.pack(frames.MAGIC, frames.CONTROL, 0, 0, 2) + b"{}",
    "no such flags": frames.HEADER.pack(frames.MAGIC, frames.FREE, 1, 0, 0),
    "a store frame": frames.HEADER.pack(frames.MAGIC, frames.STORE, 0, 0, 3) + b"abc",
    "a slot twice": raw(freed([0])),
}


@pytest.mark.parametrize("bad", NONSENSE.values(), ids=NONSENSE.keys())
@pytest.mark.parametrize("door", ["thread", "task"])
def test_what_came_before_an_error_arrives(pair: Pair, door: str, bad: bytes) -> None:
    """Whoever waits in `receive` is woken for a message that was read together with the error."""
    ours, theirs = pair.channel()
    number = theirs._open().number
    wait_until(lambda: number in pair.peer.ends, "the hub knows the child's end")
    got: list[Any] = []

    def receive() -> None:
        got.append(ours.receive(10) if door == "thread" else run_async(ours.async_receive(10)))

    waiting = threading.Thread(target=receive)
    waiting.start()
    wait_until(lambda: ours._open().receiving.receivers, "it waits")
    good = raw(pack_text(0, ["good"]).frame(number))
    pair.port._link._connection.sendall(good + bad)
    waiting.join(5)
    woken = not waiting.is_alive()
    wait_until(lambda: pair.main_ended, "the link has ended")
    waiting.join(10)
    assert woken
    assert got == ["good"]


@pytest.mark.parametrize("door", ["thread", "task"])
def test_what_came_to_a_child_before_an_error_arrives(pair: Pair, door: str) -> None:
    """The same, of what one read brings, the other way round."""
    ours, theirs = pair.channel()
    number = theirs._open().number
    wait_until(lambda: number in pair.peer.ends, "the hub knows the child's end")
    got: list[Any] = []

    def receive() -> None:
        got.append(theirs.receive(10) if door == "thread" else run_async(theirs.async_receive(10)))

    waiting = threading.Thread(target=receive)
    waiting.start()
    wait_until(lambda: theirs._open().receiving.receivers, "it waits")
    arrived = decoder.Decoder(1 << 20)
    frame = raw(pack_text(0, ["good"]).frame(number))
    arrived.buffer()[: len(frame)] = frame
    with pytest.raises(FrameError):
        pair.port._on_frames([*arrived.decode(len(frame)), frames.Frame(frames.STORE, 0, 0, b"")])
    waiting.join(5)
    woken = not waiting.is_alive()
    ours.close()
    waiting.join(10)
    assert woken
    assert got == ["good"]


def test_a_bug_of_ours_is_seen_and_ends_that_link_only(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With where it was raised."""

    def broken(*args: Any) -> None:
        raise ZeroDivisionError("a bug of ours")

    other = pair.another("v")
    monkeypatch.setattr(pair.hub, "receives", broken)
    pair.port.ready(1, 1, False)
    pair.port.pump()
    wait_until(lambda: pair.main_ended, "the link has ended")
    (why,) = pair.main_ended
    assert why is not None
    assert "ZeroDivisionError('a bug of ours') was raised while its frames were handled" in why
    assert "in broken" in why
    assert not other.ended


class Ended:
    """A child's raw connection to a hub, and why its link was ended."""

    def __init__(self, pair: Pair) -> None:
        self.pair = pair
        ours, self.theirs = connection_pair()
        self.whys: list[str | None] = []
        self.words: list[words.OfProcess] = []
        self.peer = pair.composed.connect("raw", ours, self.whys.append, self.words.append)

    def send(self, *parts: tuple[Any, ...]) -> None:
        self.theirs.connection.sendall(raw(*parts))

    def why(self) -> str:
        """Wait for the end of the link and return why."""
        (why,) = wait_until(lambda: self.whys, "the link has ended")
        assert why is not None
        return str(why)

    def close(self) -> None:
        self.theirs.close()
        wait_until(lambda: self.whys, "the link has ended")


@pytest.fixture
def child(pair: Pair) -> Iterator[Ended]:
    """A child's raw connection."""
    pair.hub.add_process("raw")
    ended = Ended(pair)
    yield ended
    ended.close()


def opened(number: int, key: str | None = None, capacity: int = 4) -> tuple[Any, ...]:
    """Return the frame that opens a channel."""
    return words.encode(words.Open(key, capacity), number)


def data(number: int, count: int, first: int = 0) -> tuple[Any, ...]:
    """Return a frame of `count` short messages."""
    return pack_text(first, ["x"] * count).frame(number)


def request(number: int, count: int = 1) -> tuple[Any, ...]:
    """Return a frame of `count` requests on channel number 1."""
    return pack_text(0, ["x"] * count).with_headers(Headers(number)).frame(1)


def answers(*numbers: int, held: bool = False) -> tuple[Any, ...]:
    """Return a frame of answers to these requests on channel number 1."""
    batch = pack_text(0, ["answer"] * len(numbers))
    return batch.with_headers(Headers(answer=numbers, held=held)).frame(1)


def bundled(*numbers: int) -> tuple[Any, ...]:
    """Return a frame of many channels with a message on each."""
    bundle = Bundle()
    for number in (*numbers, 0):
        bundle.add(number, pack_text(0, ["x"]), 1)
    return bundle.frame()


def wide(*ranges: tuple[int, int, int]) -> tuple[Any, ...]:
    """Return the acknowledgement of ranges of channels."""
    handled = Handled()
    for channel, first, count in (*ranges, (0, 0, 0)):
        handled.add(channel, [(first, count)])
    return handled.frame()


def test_credits(child: Ended) -> None:
    """As many messages as the channel has room for, and again as many as were handled."""
    key = f"{child.peer.prefix}1"
    child.send(opened(1), words.encode(words.Register("made", 1), 1))
    wait_until(lambda: "made" in child.pair.main.port.names(), "the channel")
    receiving = child.pair.main.get("made")
    assert receiving.key == key
    ours = Channel._of(receiving)
    for first in range(0, 40, 4):
        child.send(data(1, 4, first))
        for _ in range(4):
            assert ours.receive(10) == "x"
        with pytest.raises(TimeoutError):
            ours.receive(0)
        wait_until(lambda: child.peer._sent[1].room == 4, "all were acknowledged")
    child.send(data(1, 3), data(1, 2))
    assert "2 messages on channel number 1, where there is room for 1 of 4" in child.why()


def test_what_comes_with_others_for_an_end_that_waits(child: Ended) -> None:
    """A child has opened a channel again before its older end is closed: nothing overtakes."""
    main = child.pair.main
    active = Channel._of(main.get("raw-active"))
    reply: Channel[Any] = Channel._of(main.make(None, 4))
    child.send(opened(1, active._open().key), words.encode(words.Receives(4, False), 1))
    active.send(reply)
    key = reply._open().key
    wait_until(lambda: child.peer.prefix in child.pair.hub.table._brought.get(key, ()), "it has it")
    bundle = Bundle()
    bundle.add(1, pack_text(0, ["on the other"]), 12)
    bundle.add(3, pack_text(0, ["second"]), 6)
    child.send(opened(2, key), opened(3, key), bundle.frame())
    assert active.receive(10) == "on the other"
    child.send(pack_text(0, ["first"]).frame(2), words.encode(words.Leave(), 2))
    assert [reply.receive(10), reply.receive(10)] == ["first", "second"]


def test_an_answer_that_is_held_and_never_passed_on(child: Ended) -> None:
    """The request is acknowledged in its place: the asker hears that, and nothing is kept."""
    ours = Channel._of(child.pair.main.get("raw-active"))
    child.send(opened(1, ours._open().key), words.encode(words.Answers(4), 1))
    errors: list[Exception] = []

    def asks() -> None:
        try:
            ours.request("x", 20)
        except RemoteError as error:
            errors.append(error)

    asking = threading.Thread(target=asks)
    asking.start()
    requests = child.pair.hub.table.by_name["raw-active"].requests(1)
    wait_until(lambda: requests.sent, "it was given the request")
    handled = frames.acknowledgement(1, [(0, 1)], frames.OF_REQUESTS)
    child.send(answers(0, held=True), handled)
    asking.join(10)
    assert ["ended without an answer" in str(error) for error in errors] == [True]
    assert [requests.sent, requests._answers, requests._asked] == [{}, {}, {}]


@pytest.mark.parametrize("wrong", [answers(0, 0), answers(0, 1), answers(1)], ids=str)
@pytest.mark.parametrize("held", [False, True])
def test_answers_of_which_one_is_wrong(child: Ended, wrong: Any, held: bool) -> None:
    """None of them is passed on. The request waits for a successor, which answers it."""
    ours = Channel._of(child.pair.main.get("raw-active"))
    key = ours._open().key
    child.send(opened(1, key), words.encode(words.Answers(4), 1))
    got: list[Any] = []
    asking = threading.Thread(target=lambda: got.append(ours.request("x", 20)))
    asking.start()
    requests = child.pair.hub.table.by_name["raw-active"].requests(1)
    wait_until(lambda: requests.sent, "it was given the request")
    if held:
        child.send(answers(0, held=True))
    child.send(wrong)
    assert "to what it was not asked" in child.why()
    child.pair.hub.process_ended("raw", ChannelClosed, "process raw ended", for_good=False)
    successor = Ended(child.pair)
    successor.send(opened(1, key), words.encode(words.Answers(4), 1))
    wait_until(lambda: requests.sent, "the successor was given it")
    assert got == []
    successor.send(answers(0, held=True), words.encode(words.Answered([0]), 1))
    asking.join(10)
    assert got == ["answer"]
    assert [requests.sent, requests._answers, requests._asked] == [{}, {}, {}]
    successor.close()


@pytest.mark.parametrize(
    ("parts", "why"),
    [
        ([data(9, 1)], "which it does not have"),
        ([frames.acknowledgement(9, [(0, 1)])], "never opened"),
        ([opened(1), frames.acknowledgement(1, [(0, 1)])], "was not given"),
        ([opened(1), frames.acknowledgement(1, [(0, 2**32 - 1)], frames.BEGUN)], "was not given"),
        ([wide((9, 0, 1))], "never opened"),
        ([opened(1), wide((1, 0, 1))], "was not given"),
        ([bundled(9)], "which it does not have"),
        ([opened(1), bundled(1, 1, 1, 1, 1)], "there is room for 0 of 4"),
        ([opened(2), opened(2)], "numbers must rise"),
        ([opened(2), opened(1)], "numbers must rise"),
        ([opened(0)], "numbers must rise"),
        ([opened(2**32 - 1)], "numbers must rise"),
        ([opened(1), words.encode(words.Register("\n", 1), 1)], "a name must have"),
        ([opened(1), pack_text(0, ["x"]).having(0, frames.PROMPT).frame(1)], "flags"),
        ([opened(1, "queue:\n")], "a queue is made: a name must have"),
        ([opened(1, "queue:")], "a queue is made: a name must have"),
        (
            [opened(1, "queue:a"), words.encode(words.Register("b", 1), 1)],
            "a queue is registered, which has its name from its start",
        ),
        ([opened(1), request(5), request(5)], "request 5 comes after 5"),
        ([opened(1), request(5, 2), request(6)], "request 6 comes after 6"),
        ([request(5)], "which it does not have"),
        ([opened(1), request(0, 5)], "5 messages on channel number 1, where there is room for 4"),
        ([answers(0)], "answers on channel number 1, never opened"),
        ([opened(1), answers(0)], "to what it was not asked"),
        ([opened(1), request(0), answers(0)], "to what it was not asked"),
        ([opened(1), words.encode(words.Answered([0]), 1)], "that it was not given"),
        ([opened(1), frames.acknowledgement(1, [(0, 1)], frames.OF_REQUESTS)], "was not given"),
        ([opened(1), words.encode(words.GiveBack(1, [(0, 1)], True), 1)], "was not given"),
    ],
    ids=[
        "messages on no channel",
        "acknowledgement on no channel",
        "acknowledgement of nothing",
        "begin of four billion",
        "acknowledgement on no channel, among others",
        "acknowledgement of nothing, among others",
        "messages on no channel, among others",
        "too many messages, among others",
        "a number twice",
        "a lower number",
        "number 0",
        "the number of the store",
        "a name that is none",
        "flags of the main process",
        "a queue whose name is none",
        "a queue without a name",
        "a queue with another name",
        "a request's number twice",
        "a request's number in the one before",
        "a request on no channel",
        "more requests than there is room",
        "answers on no channel",
        "answers to nothing",
        "answers to its own request",
        "a release of nothing",
        "acknowledgement of no request",
        "giving back no request",
    ],
)
def test_what_a_child_can_not_say(child: Ended, parts: list[Any], why: str) -> None:
    """It ends the link and nothing else."""
    child.send(*parts)
    assert why in child.why()
    ours, theirs = child.pair.channel()
    theirs.send("still there")
    assert ours.receive(10) == "still there"


def test_many_ends(child: Ended, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that are closed don't count; what they have left behind is bounded too."""
    monkeypatch.setattr(link_peer, "MOST_ENDS", 100)
    for number in range(1, 500):
        child.send(opened(number), words.encode(words.Close(), number))
    for number in range(500, 600):
        child.send(opened(number))
    wait_until(lambda: len(child.peer.ends) == 100, "all are open")
    child.send(opened(600))
    assert "it has 100 ends of channels and opens more" in child.why()


def test_what_is_left_behind(child: Ended, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who closes and opens a channel again can't have ever more messages under way on it."""
    monkeypatch.setattr(link_peer, "_MOST_BEHIND", 10)
    ours = child.pair.main.make("shared", 4)
    child.pair.main.register("shared", ours)
    for number in range(1, 4):
        child.send(opened(number, ours.key), data(number, 4), words.encode(words.Leave(), number))
    assert "12 messages of channels that it has closed are yet to be handled" in child.why()


def test_a_key_that_was_guessed(child: Ended) -> None:
    """Opens nothing: a channel without a name is there for whoever was sent it."""
    secret = Channel._of(child.pair.main.make(None, 4))
    key = secret._open().key
    child.send(words.encode(words.Hold(key)), opened(1, key))
    wait_until(lambda: 1 in child.peer._sent, "it was tried")
    assert not child.peer.ends
    assert not child.peer.holds
    # One that is sent it can.
    ours, theirs = child.pair.channel()
    ours.send(secret)
    got = theirs.receive(10)
    got.send("hello")
    assert secret.receive(10) == "hello"


def test_many_questions_without_reading(child: Ended) -> None:
    """Who does not read the answers is read no more, and keeps nobody else from anything."""
    memory = child.pair.store
    child.send(packed.question(1, Set(Value("b", bytes(100_000)), "k", None, None, None)))
    wait_until(lambda: "k" in memory.entries, "it is set")
    ask = raw(packed.question(2, Get("k")))
    child.theirs.connection.settimeout(0.5)
    with pytest.raises(TimeoutError):
        child.theirs.connection.sendall(ask * 100_000)
    assert child.peer.link.outbox.asked < 9 << 20
    ours, theirs = child.pair.channel()
    theirs.send("still there")
    assert ours.receive(10) == "still there"
    # As soon as it reads, it goes on.
    child.theirs.connection.settimeout(10)
    read = 0
    while read < 1000 * 100_000:
        read += len(child.theirs.connection.recv(1 << 20))
    assert not child.whys


def test_what_is_told_and_not_read(child: Ended, monkeypatch: pytest.MonkeyPatch) -> None:
    """A child that watches and never reads is ended at a bound; before that nothing happens."""
    monkeypatch.setattr(link_peer, "_TOLD_BYTES", 4 << 20)
    child.send(*value.store({"op": "watch", "args": {"pattern": "*"}, "request": 1}, []))
    wait_until(lambda: child.pair.store._patterns, "it watches")
    access = child.pair.main.access

    def change(i: int) -> None:
        value = Value("b", bytes(10_000))
        access.ask(Set(value, f"k{i}", None, None, None)).wait(10)

    for i in range(300):
        change(i)
    assert not child.whys
    for i in range(300):
        change(i)
    assert "it has not read over 4 MB of names, changes and publications" in child.why()


def test_a_callback_that_is_slower_than_what_is_published(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waits for it is bounded; what is dropped is said once, and later ones come again."""
    monkeypatch.setattr(listener, "_MOST_BYTES", 1 << 20)
    waits = listener.Listener(pair.main.site, "subscribe", "topic", 0)
    pair.main.access.listen(waits).wait(10)
    value = Value("b", bytes(10_000))
    for _ in range(300):
        pair.child.access.ask(Publish(value, "topic")).wait(10)
    assert len(waits._inbox) * 10_000 <= 1 << 20
    assert "topic 'topic'" in pair.logged("ERROR", "is dropped")
    assert len([line for line in pair.log if "is dropped" in line]) == 1
    while waits._inbox:
        assert run_async(waits.next()) == bytes(10_000)
    pair.child.access.ask(Publish(value, "topic")).wait(10)
    assert len(waits._inbox) == 1


def test_a_child_can_not_fill_the_log(child: Ended) -> None:
    """However many channels it closes with messages under way."""
    for number in range(1, 2000, 2):
        key = f"{child.peer.prefix}{number}"
        closed = words.encode(words.Close(), number + 1)
        child.send(opened(number), opened(number + 1, key), data(number, 1), closed)
    wait_until(lambda: child.peer._last_opened == 2000, "all were opened")
    wait_until(lambda: any("are left out" in line for line in child.pair.log), "it is said")
    assert len([line for line in child.pair.log if "not acknowledged" in line]) < 500


def test_long_frames_at_once(child: Ended) -> None:
    """Their number is bounded; who sends honestly never has so many."""
    announced = [
        (
            frames.HEADER.pack(frames.MAGIC, frames.DATA, frames.LONG | frames.IN_PIECES, n, 8),
            frames.table([12, 1 << 20]),
        )
        for n in range(1, 1000)
    ]
    child.send(*announced)
    assert "long frames at once" in child.why()


@pytest.mark.every_transport
def test_long_messages_on_many_channels(pair: Pair) -> None:
    """More than may be under way in pieces at once: they take turns, and short ones pass."""
    channels = [pair.channel() for _ in range(40)]
    whole = bytes(900_000)
    for _, theirs in channels:
        theirs.send(whole)
        theirs.send("short")
    for ours, _ in channels:
        assert ours.receive(10) == whole
        assert ours.receive(10) == "short"
    for ours, _ in channels:
        ours.send(whole)
    for _, theirs in channels:
        assert theirs.receive(10) == whole


def test_a_task_is_not_held_up(child: Ended) -> None:
    """A child that sends nothing but work for main's threads leaves others their turn."""
    for i in range(2000):
        asked = Set(Value("b", b"x"), f"key {i}", None, None, None)
        child.pair.main.access.ask(asked).wait(10)
    ask = raw(*value.store({"op": "count", "args": {"prefix": "key"}, "request": 0}, [])) * 1000
    child.theirs.connection.sendall(ask)
    wait_until(lambda: child.peer._unhandled, "it has had a turn")

    async def turns() -> int:
        count = 0
        while True:
            with child.pair.hub.lock:
                if not child.peer._unhandled:
                    return count
            count += 1
            await asyncio.sleep(0.001)

    assert run_async(turns()) > 3


def opened_by_message(pair: Pair) -> tuple[Channel[Any], Channel[Any]]:
    """Return a channel without a name, and what a child got of it."""
    ours, theirs = pair.channel(8)
    reply = Channel._of(pair.main.make(None, 8))
    ours.send(reply)
    got = theirs.receive(10)
    wait_until(lambda: got._open().number in pair.peer.ends, "the hub knows the child's end")
    return reply, got


def test_an_end_waits_until_an_older_one_is_closed(pair: Pair) -> None:
    """It is opened then, and what has come for it is behind what came for the older one."""
    reply, got = opened_by_message(pair)
    first, key = got._open().number, got._open().key
    second, third = first + 1, first + 2
    pair.port._link._connection.sendall(
        raw(
            words.encode(words.Open(key, 8), second),
            words.encode(words.Open(key, 8), third),
            pack_text(0, ["third"]).frame(third),
            pack_text(0, ["second"]).frame(second),
            words.encode(words.Leave(), second),
            pack_text(0, ["first"]).frame(first),
            words.encode(words.Leave(), first),
        )
    )
    assert [reply.receive(10) for _ in range(3)] == ["first", "second", "third"]
    wait_until(lambda: list(pair.peer.ends)[-1] == third)
    assert not {first, second} & pair.peer.ends.keys()
    assert reply._open().gone is None


def test_little_waits_for_a_close_that_never_comes(pair: Pair) -> None:
    """A child that sends more than it has room for has its link ended."""
    reply, got = opened_by_message(pair)
    number, key = got._open().number, got._open().key
    sent = [pack_text(0, ["x"]).frame(number + 1) for _ in range(8 + link_peer._MOST_WORDS + 1)]
    pair.port._link._connection.sendall(
        raw(words.encode(words.Open(key, 8), number + 1), *sent[:-1])
    )
    reply.send("still there", 10)
    assert not pair.main_ended
    pair.port._link._connection.sendall(raw(sent[-1]))
    wait_until(lambda: pair.main_ended, "the link has ended")
    assert f"over 16 frames on channel number {number + 1}" in str(pair.main_ended[0])
