"""Law R3 of requests: at least once while somebody waits.

A request whose callback's process has died goes to the successor. One that was being handled in
crash upon crash is set aside; with `once=True` none is tried again that was begun.

Tests comm/hub/requests.py, comm/hub/letters.py.
"""

from __future__ import annotations

import threading
from typing import Any

import pytest

from liteyuki_core import ChannelBroken, ChannelClosed, ChannelTimeout, RemoteError
from liteyuki_core.comm.channel import Channel
from tests.asking import Ask, Asks, never_ends, nothing_is_under_way
from tests.conftest import wait_until
from tests.pair import Pair


def of_child(pair: Pair, name: str = "channel-1") -> Channel[Any]:
    """Return the child's end, once it knows the name."""
    wait_until(lambda: name in pair.child.port.names(), name)
    return Channel._of(pair.child.get(name))


@pytest.mark.every_transport
def test_the_successor_answers(pair: Pair, ask: Ask) -> None:
    """What was being handled and what waited behind it, in order."""
    ours, theirs = pair.channel()
    begun: list[Any] = []
    never_ends(theirs, begun, concurrency=2)
    asking = []
    for number in range(5):
        asking.append(Asks(ask, ours, number))
        wait_until(lambda n=number: pair.hub.table.by_name["channel-1"].requests(1).count == n + 1)
    wait_until(lambda: begun == [0, 1])
    pair.kill_child()
    got: list[int] = []

    @of_child(pair).on_request(concurrency=1)
    async def answer(data: int) -> int:
        got.append(data)
        return 10 * data

    assert [each.result() for each in asking] == [0, 10, 20, 30, 40]
    assert got == [0, 1, 2, 3, 4]
    nothing_is_under_way(pair)


def test_what_a_stop_breaks_off_goes_to_the_successor(pair: Pair, ask: Ask) -> None:
    """It was not handled, and it was no crash."""
    ours, theirs = pair.channel()
    begun: list[Any] = []
    never_ends(theirs, begun)
    asking = Asks(ask, ours, 7)
    for _ in range(4):
        wait_until(lambda: begun)
        begun.clear()
        pair.restart_child()
        never_ends(of_child(pair), begun)
    wait_until(lambda: begun)
    pair.restart_child()
    of_child(pair).on_request()(lambda data: data + 1)
    assert asking.result() == 8


def test_a_request_that_crashes_whoever_handles_it(pair: Pair, ask: Ask) -> None:
    """Is set aside after three crashes. Its asker hears that; others are answered."""
    ours, theirs = pair.channel()
    begun: list[Any] = []
    never_ends(theirs, begun)
    poison = Asks(ask, ours, "poison")
    for _ in range(3):
        wait_until(lambda: begun)
        begun.clear()
        pair.kill_child()
        never_ends(of_child(pair), begun)
    error = poison.result()
    assert isinstance(error, ChannelBroken)
    assert "3 crashes of process w in a row" in str(error)
    assert "bot.dead_letters()" in str(error)
    (letter,) = pair.hub.dead_letters()
    assert letter.load() == "poison"
    pair.logged("channel-1", "is set aside")
    assert ours.stats()["dropped"] == 1
    pair.restart_child()
    got: list[Any] = []
    of_child(pair).on_request()(got.append)
    assert ask(ours, "fine") is None
    letter.put_back()
    wait_until(lambda: got == ["fine", "poison"])
    nothing_is_under_way(pair)


@pytest.mark.parametrize("crash", [True, False], ids=["crash", "restart"])
def test_once(pair: Pair, ask: Ask, crash: bool) -> None:
    """What had begun is not tried again, and its asker hears why. The rest is."""
    ours, theirs = pair.channel()
    begun: list[Any] = []
    never_ends(theirs, begun, concurrency=1)
    first = Asks(ask, ours, 1, once=True)
    wait_until(lambda: begun == [1])
    second = Asks(ask, ours, 2, once=True)
    wait_until(lambda: pair.hub.table.by_name["channel-1"].requests(1).count == 2)
    if crash:
        pair.kill_child()
    else:
        pair.restart_child()
    error = first.result()
    assert isinstance(error, ChannelBroken)
    assert "process w ended while it handled the request" in str(error)
    assert "once=True" in str(error)
    got: list[Any] = []
    of_child(pair).on_request()(lambda data: got.append(data) or data)
    assert second.result() == 2
    assert ask(ours, 3, once=True) == 3
    assert got == [2, 3]
    nothing_is_under_way(pair)


def test_a_cancelled_request_does_not_come_again(pair: Pair) -> None:
    """Nor does it count as a crash of anybody's."""
    ours, theirs = pair.channel()
    begun: list[Any] = []
    let_go = threading.Event()

    @theirs.on_request()
    def waits(data: Any) -> None:
        begun.append(data)
        let_go.wait(20)

    while not begun:
        with pytest.raises(TimeoutError):
            ours.request("given up", 0.1)
    pair.kill_child()
    let_go.set()
    got: list[Any] = []
    of_child(pair).on_request()(got.append)
    ours.request("next", 10)
    assert got == ["next"]
    assert ours.stats()["dropped"] >= 1
    nothing_is_under_way(pair)


def test_a_process_that_exits_in_a_callback(pair: Pair, ask: Ask) -> None:
    """With code 0 the request counts as handled, and the asker hears how it ended."""
    ours, theirs = pair.channel()
    exits: list[BaseException] = []
    pair.child.dispatcher.on_exit = exits.append

    @theirs.on_request()
    async def leaves(code: int) -> None:
        raise SystemExit(code)

    with pytest.raises(RemoteError, match="SystemExit: 0"):
        ask(ours, 0)
    wait_until(lambda: exits)
    nothing_is_under_way(pair)


def test_several_answer(pair: Pair, ask: Ask) -> None:
    """Each request goes to one that has a free callback; what a dead one had goes to others."""
    other = pair.another("v")
    ours, theirs = pair.channel()
    wait_until(lambda: "channel-1" in other.port.names())
    more = Channel._of(other.get("channel-1"))
    begun: list[Any] = []
    never_ends(theirs, begun, concurrency=1)
    first = Asks(ask, ours, 1)
    wait_until(lambda: begun == [1])
    got: list[Any] = []
    more.on_request(concurrency=1)(lambda data: got.append(data) or -data)
    assert [ask(ours, number) for number in (2, 3, 4)] == [-2, -3, -4]
    pair.lose_child()
    assert first.result() == -1
    assert got == [2, 3, 4, 1]
    more.close()
    error = Asks(ask, ours, 5).result()
    assert isinstance(error, ChannelClosed)
    nothing_is_under_way(pair)


@pytest.mark.one_hub
def test_a_channel_in_a_request_that_was_given_up(pair: Pair) -> None:
    """Its handler dies with it. Nothing holds the channel any more, so it is forgotten."""
    ours, theirs = pair.channel()
    let_go = threading.Event()
    begun = threading.Event()

    @theirs.on_request()
    def answer(reply: Any) -> None:
        begun.set()
        let_go.wait(20)

    reply = Channel._of(pair.main.make(None, 8))
    key = reply._open().key
    with pytest.raises(ChannelTimeout):
        ours.request(reply, 0.5)
    assert begun.is_set()
    pair.kill_child()
    route = pair.hub.table.by_key[key]
    assert route.links == 0
    let_go.set()
    del reply
    wait_until(lambda: key not in pair.hub.table.by_key)
