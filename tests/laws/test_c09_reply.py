"""Law C9 of channels: channels that are sent through channels.

And what is left of those that nobody has any more.

Tests comm/loop/attendant.py.
"""

from __future__ import annotations

import copy
import gc
import pickle
import tracemalloc
from typing import Any

import pytest

from liteyuki_core import ChannelBroken, ChannelClosed, SendError
from liteyuki_core.comm.channel import Channel
from liteyuki_core.comm.context import Context
from liteyuki_core.comm.loop.receiver import of_thread
from tests.conftest import wait_until
from tests.model import Waiting
from tests.pair import Door, Pair


@pytest.fixture(params=["main asks", "child asks"])
def asks(request: pytest.FixtureRequest, pair: Pair) -> Any:
    """Who makes channels, and both ends of one to the other process."""
    ours, theirs = pair.channel(64)
    if request.param == "main asks":
        return pair.main, ours, theirs
    return pair.child, theirs, ours


def made_by(context: Context, capacity: int = 8) -> Channel[Any]:
    """Return a channel without a name."""
    return Channel._of(context.make(None, capacity))


def handled(channel: Channel[Any]) -> None:
    """Acknowledge what was received last, by asking for more."""
    with pytest.raises(TimeoutError):
        channel.receive(0.001)


def forgotten(pair: Pair) -> None:
    """Wait until the hub knows no channel but those that have a name."""
    gc.collect()  # Tracebacks of expected errors hold handles.
    wait_until(
        lambda: len(pair.hub.table.by_key) == len(pair.hub.table.by_name),
        f"{pair.hub.table.by_key.keys()} beside {pair.hub.table.by_name.keys()}",
    )


@pytest.mark.every_transport
def test_a_reply_comes_back(asks: Any, door: Door, pair: Pair) -> None:
    """A channel in a message is used by whoever gets it, in both directions."""
    context, asker, answerer = asks
    reply = made_by(context)
    door.send(asker, {"question": [1, 2], "reply": reply})
    request = door.receive(answerer)
    assert request["question"] == [1, 2]
    assert type(request["reply"]) is Channel
    assert request["reply"].capacity == 8
    door.send(request["reply"], 3)
    assert door.receive(reply) == 3
    door.send(reply, "thanks")
    assert door.receive(request["reply"]) == "thanks"
    reply.close()
    with pytest.raises(ChannelClosed):
        door.receive(request["reply"])
    handled(answerer)
    del request
    forgotten(pair)


def test_callbacks_get_channels_too(asks: Any, door: Door) -> None:
    """A callback answers through the channel that came with the message."""
    context, asker, answerer = asks

    @answerer.on_receive()
    async def answer(message: Any) -> None:
        number, reply = message
        await reply.async_send(number + 1)

    reply = made_by(context)
    for number in range(20):
        door.send(asker, (number, reply))
        assert door.receive(reply) == number + 1


def test_a_channel_goes_from_hand_to_hand(pair: Pair, door: Door) -> None:
    """Whoever is passed it on talks to its maker; two that have it share what it sends."""
    ours, theirs = pair.channel(8)
    other = pair.another("other")
    jobs, took = pair.main.make("jobs", 8), pair.main
    pair.main.register("jobs", jobs)
    reply = made_by(took)
    door.send(ours, reply)
    first = door.receive(theirs)
    wait_until(lambda: "jobs" in other.port.names())
    wait_until(lambda: "jobs" in pair.port.names())
    relay = Channel._of(pair.child.make("relay", 4))
    pair.child.register("relay", relay._open())
    wait_until(lambda: "relay" in other.port.names())
    door.send(relay, first)
    second = door.receive(Channel._of(other.get("relay")))
    door.send(first, "from the first")
    assert door.receive(reply) == "from the first"
    door.send(second, "from the second")
    assert door.receive(reply) == "from the second"
    door.send(ours, reply)
    assert door.receive(theirs)._open() is first._open()


def test_a_channel_comes_home(asks: Any, door: Door) -> None:
    """Its maker gets its own end back."""
    context, asker, answerer = asks
    reply = made_by(context)
    door.send(asker, reply)
    door.send(answerer, door.receive(answerer))
    back = door.receive(asker)
    assert back._open() is reply._open()


def test_channels_with_a_name_are_sent_too(pair: Pair, door: Door) -> None:
    """Also a process's own: whoever gets it has what get_channel would give."""
    ours, theirs = pair.channel(8)
    other = pair.another("other")
    to_other = Channel._of(pair.main.get("other-active"))
    door.send(ours, {"a": to_other, "b": [to_other, ours]})
    got = door.receive(theirs)
    assert got["a"]._open() is pair.child.get("other-active")
    assert got["b"][1]._open() is theirs._open()
    door.send(got["a"], "hello")
    assert door.receive(Channel._of(other.get("other-active"))) == "hello"


def test_what_was_sent_before_a_channel_was_sent_and_closed(asks: Any, door: Door) -> None:
    """It is received from the channel, then it is closed, whichever went ahead on the link."""
    context, asker, answerer = asks
    for _ in range(20):
        door.send(asker, b"x" * 300_000)
    reply = made_by(context)
    door.send(reply, "first")
    door.send(asker, reply)
    reply.close()
    for _ in range(20):
        door.receive(answerer)
    got = door.receive(answerer)
    assert door.receive(got) == "first"
    with pytest.raises(ChannelClosed):
        door.receive(got)


def test_a_closed_channel_is_not_sent(asks: Any, door: Door) -> None:
    """SendError names the channel it is in; nothing was sent."""
    context, asker, answerer = asks
    reply = made_by(context)
    reply.close()
    with pytest.raises(SendError, match=r"channel-1.*closed"):
        door.send(asker, [reply])
    door.send(asker, "after")
    assert door.receive(answerer) == "after"


def test_a_channel_is_no_value_elsewhere(pair: Pair) -> None:
    """It can't be pickled or copied but by a send."""
    reply = made_by(pair.main)
    for act in (pickle.dumps, copy.deepcopy, copy.copy):
        with pytest.raises(TypeError, match="sent through a channel"):
            act(reply)


# ------------------------------------------------------------- ends


def test_a_maker_that_is_gone(pair: Pair, door: Door) -> None:
    """The other end drains, then learns how; also where the maker is started again."""
    for clean, error in ((False, ChannelBroken), (True, ChannelBroken)):
        ours = Channel._of(pair.main.get("w-active"))
        theirs = Channel._of(pair.child.get("w-active"))
        reply = made_by(pair.child)
        door.send(theirs, reply)
        door.send(reply, "last words")
        got = door.receive(ours)
        wait_until(lambda got=got: got._open().receiving._inbox or got._open().name)
        pair.kill_child(clean=clean)
        assert door.receive(got) == "last words"
        with pytest.raises(error, match="process w was ended"):
            door.receive(got)
        with pytest.raises(error):
            door.send(got, 1)
        handled(ours)
    del got, reply
    forgotten(pair)


def test_a_successor_answers_what_the_dead_one_had_not(pair: Pair, door: Door) -> None:
    """A request that is delivered again brings its reply channel again."""
    ours, theirs = pair.channel(8)
    reply = made_by(pair.main)
    door.send(ours, reply)
    door.receive(theirs)
    pair.kill_child()
    wait_until(lambda: ours.name in pair.port.names())
    again = door.receive(Channel._of(pair.child.get(str(ours.name))))
    door.send(again, "answer")
    assert door.receive(reply) == "answer"


def test_nobody_is_left_to_answer(pair: Pair, door: Door) -> None:
    """Who had the reply channel had acknowledged the request and died: whoever waits learns it."""
    ours, theirs = pair.channel(8)
    reply = made_by(pair.main)
    door.send(ours, reply)
    kept = door.receive(theirs)
    with pytest.raises(TimeoutError):
        door.receive(theirs, 0.01)  # Acknowledges the request.
    wait_until(lambda: ours._open().sending._free == 8)
    pair.kill_child()
    with pytest.raises(ChannelBroken, match="process w"):
        door.receive(reply)
    assert kept._open().name == "(unnamed)"
    # It can still be given to somebody else.
    wait_until(lambda: ours.name in pair.port.names())
    door.send(ours, reply)
    theirs = Channel._of(pair.child.get(str(ours.name)))
    fresh = door.receive(theirs)
    door.send(fresh, "here I am")
    wait_until(lambda: reply._open().gone is None)
    assert door.receive(reply) == "here I am"


def test_a_channel_that_comes_when_main_is_gone(pair: Pair) -> None:
    """It can't be opened any more. That is no error of the message, and the log says none."""
    ours, theirs = pair.channel(8)
    ours.send(made_by(pair.main))
    receiving = theirs._open().receiving
    taken = wait_until(lambda: receiving.take_nowait(of_thread()), "it has come")
    pair.port._link._connection.shutdown(2)
    wait_until(lambda: pair.child_ended, "the child knows that main is gone")
    assert receiving.rebuild(taken[1]) == (False, None)
    assert theirs.stats()["errors"] == 0
    assert not [line for line in pair.log if "can't be rebuilt" in line]


# ------------------------------------------------------------- nothing is left behind


def _counts(pair: Pair) -> tuple[int, ...]:
    ends = (len(pair.main.ends), len(pair.child.ends))
    keys = (len(pair.main._by_key), len(pair.child._by_key), len(pair.hub.table.by_key))
    return (
        *ends,
        *keys,
        len(pair.hub.table.by_name),
        len(pair.peer.ends),
        len(pair.composed.local.ends),
    )


@pytest.mark.parametrize("count", [200, pytest.param(5000, marks=pytest.mark.long)])
@pytest.mark.parametrize(
    ("asks", "how"), [("main asks", "closed"), ("child asks", "dropped")], indirect=["asks"]
)
def test_anonymous_channels_leave_nothing_behind(
    pair: Pair, how: str, asks: Any, count: int
) -> None:
    """Thousands made, sent, answered through and closed or dropped: all is as it was before."""
    context, asker, answerer = asks

    def ask(times: int) -> None:
        for number in range(times):
            reply = made_by(context, 1)
            asker.send((number, reply))
            got, answer = answerer.receive(10)
            answer.send(got)
            assert reply.receive(10) == number
            if how == "closed":
                reply.close()
                answer.close()
        handled(answerer)

    def held(times: int) -> int:
        ask(times)
        wait_until(lambda: _counts(pair) == before)
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    ask(100)
    forgotten(pair)
    before = (1, 1, 1, 1, 3, 3, 1, 1)
    wait_until(lambda: _counts(pair) == before, "both ends of the one channel are left")
    gc.collect()
    tracemalloc.start()
    try:
        bytes_held = [held(1000)]
        for _ in range(3):  # A table that was once fuller stays larger; a leak goes on.
            bytes_held.append(held(count))
            if bytes_held[-1] - bytes_held[-2] < 20_000 + count * 10:
                return
    finally:
        tracemalloc.stop()
    pytest.fail(f"{bytes_held}: bytes, each after {count} more channels")


def test_channels_that_were_never_sent_leave_nothing_behind(pair: Pair) -> None:
    """Made and dropped, also with messages in them that nobody has got."""
    before = _counts(pair)
    for context in (pair.main, pair.child):
        for _ in range(50):
            made_by(context).send("nobody gets this")
    wait_until(lambda: _counts(pair) == before, "all are forgotten")


def test_a_channel_with_callbacks_lives_without_a_handle(pair: Pair, door: Door) -> None:
    """Callbacks go on when the handle they were registered with is gone."""
    ours, theirs = pair.channel(8)
    got: list[Any] = []
    reply = made_by(pair.main)
    reply.on_receive()(lambda data: got.append(data))
    door.send(ours, reply)
    del reply
    gc.collect()
    answer = door.receive(theirs)
    door.send(answer, "still here")
    wait_until(lambda: got == ["still here"])
    answer.close()


# ------------------------------------------------------------- let go of


def sent_and_got(pair: Pair, asks: Any, door: Door) -> tuple[Channel[Any], list[Channel[Any]]]:
    """Return a channel without a name and, in a list, what the other process got of it."""
    context, asker, answerer = asks
    reply = made_by(context)
    door.send(asker, reply)
    got = [door.receive(answerer)]
    handled(answerer)
    return reply, got


def test_a_maker_hears_that_nobody_has_its_channel(asks: Any, door: Door, pair: Pair) -> None:
    """What was answered before is received; then it is closed, for a receive and for a send."""
    reply, got = sent_and_got(pair, asks, door)
    door.send(got[0], "first")
    door.send(got[0], "second")
    got.clear()
    assert door.drain(reply) == ["first", "second"]
    with pytest.raises(ChannelClosed, match="no process that it was sent to has it"):
        door.send(reply, "anybody?")


def test_who_waits_hears_it(asks: Any, door: Door, pair: Pair) -> None:
    """Also where nothing was answered, and the message that brought it was dropped unread."""
    context, asker, answerer = asks
    reply, got = sent_and_got(pair, asks, door)
    waiting = Waiting.in_thread(lambda: door.receive(reply, 20))
    got.clear()
    wait_until(waiting.future.done)
    assert waiting.outcome() is ChannelClosed
    reply = made_by(context)
    waiting = Waiting.in_thread(lambda: door.receive(reply, 20))
    door.send(asker, reply)
    answerer.close()
    wait_until(waiting.future.done)
    assert waiting.outcome() is ChannelClosed


def test_callbacks_get_what_came_before_it(asks: Any, door: Door, pair: Pair) -> None:
    """And the end knows that it is closed."""
    reply, got = sent_and_got(pair, asks, door)
    seen: list[Any] = []
    reply.on_receive()(lambda data: seen.append(data))
    for number in range(10):
        door.send(got[0], number)
    got.clear()
    wait_until(lambda: sorted(seen) == list(range(10)))
    wait_until(lambda: reply._open().gone is not None)
    with pytest.raises(ChannelClosed):
        door.send(reply, 1)
    reply.close()


def test_it_can_be_sent_again(asks: Any, door: Door, pair: Pair) -> None:
    """Then it is as it was: who waits hears of no close that is older than that."""
    _, asker, answerer = asks
    reply, got = sent_and_got(pair, asks, door)
    for number in range(30):
        got.clear()
        door.send(asker, reply)
        got.append(door.receive(answerer))
        door.send(got[0], number)
        assert door.receive(reply) == number
    handled(answerer)


def test_it_is_brought_again_before_its_last_answers_have_left(asks: Any, door: Door) -> None:
    """Also who is still writing those to its link can answer again."""
    context, asker, answerer = asks
    reply = made_by(context, 64)
    for _ in range(3):
        door.send(asker, reply)
    for number in range(3):
        got = door.receive(answerer)
        end = got._open()
        for _ in range(20):
            door.send(got, (number, b"x" * 900_000), 10)
        del got
        wait_until(lambda end=end: end.closed)
    assert [door.receive(reply)[0] for _ in range(60)] == [0] * 20 + [1] * 20 + [2] * 20


def test_who_closed_it_may_be_brought_it_again(asks: Any, door: Door, pair: Pair) -> None:
    """By a message that was sent before the close: it is as if it had come later."""
    context, asker, answerer = asks
    reply = made_by(context)
    door.send(asker, reply)
    door.send(asker, reply)
    # A close that the hub hears of before the second message is not told to who sent that.
    wait_until(
        lambda: [each.holds for each in pair.hub.table.by_key.values() if not each.name] == [2]
    )
    door.receive(answerer).close()
    with pytest.raises(ChannelClosed):
        door.receive(reply)
    again = door.receive(answerer)
    door.send(again, "answer")
    wait_until(lambda: reply._open().gone is None)
    assert door.receive(reply) == "answer"
    again.close()
    with pytest.raises(ChannelClosed):
        door.receive(reply)


def test_who_closes_it_takes_it_from_nobody(pair: Pair, door: Door) -> None:
    """Another process that it was sent to can still answer."""
    ours, theirs = pair.channel(8)
    other = pair.another("other")
    to_other = Channel._of(pair.main.get("other-active"))
    reply = made_by(pair.main)
    door.send(ours, reply)
    door.send(to_other, reply)
    door.receive(theirs).close()
    with pytest.raises(ChannelClosed):
        door.receive(reply)
    door.send(door.receive(Channel._of(other.get("other-active"))), "answer")
    wait_until(lambda: reply._open().gone is None)
    assert door.receive(reply) == "answer"


@pytest.mark.parametrize(("clean", "error"), [(True, ChannelClosed), (False, ChannelBroken)])
def test_the_process_that_had_it_has_ended(
    pair: Pair, door: Door, clean: bool, error: type[Exception]
) -> None:
    """Closed where it ended as it should, broken where it crashed."""
    ours, theirs = pair.channel(8)
    reply = made_by(pair.main)
    door.send(ours, reply)
    kept = door.receive(theirs)
    handled(theirs)
    wait_until(lambda: ours._open().sending._free == 8)
    door.send(kept, "last words")
    wait_until(lambda: _waits(pair, reply))
    pair.peer.clean = clean
    pair.port._link._connection.shutdown(2)
    wait_until(lambda: pair.peer not in pair.hub.table.peers)
    pair.hub.process_ended("w", error, "process w has ended")
    assert door.receive(reply) == "last words"
    with pytest.raises(error):
        door.receive(reply)


def _waits(pair: Pair, channel: Channel[Any]) -> int:
    route = pair.hub.table.by_key[channel._open().key]
    return route.sides[0].under_way
