"""Requests between two nodes, over a real server: what differs from one main process.

Tests cluster/requests.py, cluster/asked.py and cluster/answering.py.

The laws of requests run over a server too, see `tests/transport`.
"""

from __future__ import annotations

import asyncio
import pickle
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from msgspec.msgpack import Ext

from liteyuki_core.cluster import message
from liteyuki_core.cluster.answering import Answering
from liteyuki_core.cluster.message import Answer, Answers, Ask, Asks
from liteyuki_core.comm.channel import Channel
from liteyuki_core.comm.ends import remote
from liteyuki_core.errors import ChannelBroken, ChannelClosed, RemoteError, SendError
from tests.asking import Ask as Asking
from tests.asking import Asks as AsksInThread
from tests.asking import never_ends, nothing_is_left
from tests.cluster.trouble import attack, lose_words
from tests.conftest import free_port, wait_until
from tests.nats import NatsServer
from tests.nodes import NodesPair, OneNode
from tests.pair import run_async
from tests.program import Program, listing, main_process, running, running_program, write_files

Nodes = tuple[OneNode, OneNode]
SOON = 8.0


def answers(node: OneNode, other: str, name: str) -> int | None:
    """Return how many requests another node answers on a channel of this one, as it says."""
    far = node.node._routes.peer(other).by_name.get((name, True))
    return None if far is None else far.answers


def nothing_is_between(*nodes: OneNode) -> None:
    """Wait until no node remembers a request."""
    parts = [node.node.requests for node in nodes]
    wait_until(
        lambda: not any(each.asked.under_way or each.answering.in_hand for each in parts),
        "nothing is between nodes",
    )


def test_nobody_answers(nats: NatsServer, ask: Asking) -> None:
    """The asker hears so, in both directions, and who it is."""
    pair = NodesPair(nats.url, "t")
    ours, theirs = pair.channel()
    theirs.on_receive()(lambda data: None)
    with pytest.raises(RemoteError, match="main process has no on_request callback"):
        ask(theirs, 1, SOON)
    pair.peer.serves_since = 0.0  # What the word `Ready` of a real child says.
    with pytest.raises(RemoteError, match="node b has no on_request callback on it"):
        ask(ours, 1, SOON)
    with pytest.raises(RemoteError, match="process w has no on_request"):
        ask(Channel._of(pair.main.get("w-active")), 1, SOON)
    assert ours.stats()["dropped"] == 1
    theirs.on_request()(lambda data: data + 1)
    wait_until(lambda: answers(pair.near, "b", "channel-1"))
    assert ask(ours, 1, SOON) == 2
    nothing_is_between(pair.near, pair.far)
    pair.close()


def test_a_callback_that_comes_later_answers_what_waits(nodes: Nodes, ask: Asking) -> None:
    """Whoever has the channel has time to register one."""
    first, second = nodes
    made, got = first.make("jobs"), second.get("jobs")
    for asker, answerer in ((made, got), (got, made)):
        answerer._open()
        asking = AsksInThread(ask, asker, 1)
        wait_until(lambda asker=asker: asker._open().asking._waiting, "it waits")
        answerer.on_request()(lambda data: data + 1)
        assert asking.result() == 2


def test_requests_are_plain_data(nodes: Nodes, ask: Asking) -> None:
    """What is not can't go to another node, nor come from there, and the asker hears why."""
    first, second = nodes
    made, got = first.make("jobs"), second.get("jobs")
    made.on_request(filter_func=lambda data: data == "set")(lambda data: {1, 2})
    made.on_request()(lambda data: data)
    with pytest.raises(SendError, match="can't be sent to another node"):
        ask(got, {1, 2})
    with pytest.raises(RemoteError, match="the answer can't be sent to node b: text, bytes"):
        ask(got, "set")
    assert ask(got, {"picture": b"\0", "of": [1, 2.5, None]}) == {
        "picture": b"\0",
        "of": [1, 2.5, None],
    }
    got.on_request()(lambda data: data)
    assert ask(made, "text") == "text"
    with pytest.raises(RemoteError, match="the request can't cross to node b: text, bytes"):
        ask(made, {1, 2})
    nothing_is_left(made, got)
    nothing_is_between(first, second)


def test_long_requests(nats: NatsServer, ask: Asking) -> None:
    """They and their answers travel in parts, and are whole again."""
    first = OneNode(nats.url, "a", "t", 64 << 20)
    second = OneNode(nats.url, "b", "t", 64 << 20)
    made, got = first.make("jobs"), second.get("jobs")
    made.on_request()(lambda data: data)
    data = bytes(range(256)) * (40 << 10)
    for request in (data, {"picture": data}, "after"):
        assert ask(got, request, 60) == request
    nothing_is_between(first, second)
    first.close()
    second.close()


def test_the_server_is_away(nodes: Nodes, nats: NatsServer) -> None:
    """What was asked before and meanwhile is answered when it is back, and begun once."""
    first, second = nodes
    made, got = first.make("jobs"), second.get("jobs")
    begun: list[int] = []
    let_go = threading.Event()

    @made.on_request()
    async def answer(number: int) -> int:
        begun.append(number)
        while not let_go.is_set():
            await asyncio.sleep(0.005)
        return -number

    async def asks() -> list[int]:
        before = [asyncio.create_task(got.async_request(n, 60)) for n in range(20)]
        while len(begun) < 20:
            await asyncio.sleep(0.005)
        nats.kill()
        meanwhile = [asyncio.create_task(got.async_request(n, 60)) for n in range(20, 40)]
        await asyncio.sleep(0)
        let_go.set()
        nats.start()
        return await asyncio.gather(*before, *meanwhile)

    assert run_async(asks()) == [-number for number in range(40)]
    assert sorted(begun) == list(range(40))
    nothing_is_between(first, second)


@pytest.mark.parametrize("count", [1000, pytest.param(20_000, marks=pytest.mark.long)])
def test_words_that_are_lost(nodes: Nodes, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """Each is answered, with its own answer, and begun once; a third is cancelled at any moment.
    Then no table knows one any more.
    """
    first, second = nodes
    made, got = first.make("jobs", 4096), second.get("jobs")
    begun: list[int] = []

    @made.on_request()
    async def answer(number: int) -> int:
        begun.append(number)
        if number % 2:
            await asyncio.sleep(0.001 * (number % 4))
        return -number

    lose_words(nodes, monkeypatch, 0.2, seed=1)

    async def asks(number: int) -> None:
        if number % 3:
            assert await got.async_request(number, 60) == -number
            return
        task = asyncio.create_task(got.async_request(number))
        for _ in range(number % 17):
            await asyncio.sleep(0)
        if number % 5 == 0:
            await asyncio.sleep(0.001)
        task.cancel()
        await asyncio.wait([task])

    async def many() -> None:
        for start in range(0, count, 500):
            await asyncio.gather(*map(asks, range(start, start + 500)))

    run_async(many())
    assert len(begun) == len(set(begun))
    assert {number for number in range(count) if number % 3} <= set(begun)
    monkeypatch.undo()
    nothing_is_left(made, got)
    nothing_is_between(first, second)


def test_an_asker_whose_node_is_gone(nodes: Nodes, ask: Asking) -> None:
    """What it has asked is cancelled."""
    first, second = nodes
    made, got = first.make("jobs"), second.get("jobs")
    begun: list[Any] = []
    cancelled: list[Any] = []

    @made.on_request()
    async def waits(data: Any) -> None:
        begun.append(data)
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append(data)
            raise

    AsksInThread(ask, got, "x")
    wait_until(lambda: begun)
    second.vanish()
    wait_until(lambda: cancelled == ["x"], "it is cancelled", 15)
    nothing_is_between(first)


@pytest.mark.parametrize("once", [False, True])
def test_who_answers_is_gone(nats: NatsServer, ask: Asking, once: bool) -> None:
    """The asker gets `ChannelBroken`, and so does who asks later; unless another node answers."""
    nodes = [OneNode(nats.url, name, "t") for name in "abc"]
    first, second, third = nodes
    made, got = first.make("jobs"), second.get("jobs")
    back = second.make("back")
    other = first.get("back")
    begun: list[Any] = []
    never_ends(back, begun)
    never_ends(got, begun)
    asking = [AsksInThread(ask, channel, "x", once=once) for channel in (made, other)]
    wait_until(lambda: begun == ["x", "x"])
    more = third.get("jobs")
    more.on_request()(lambda data: f"c answers {data}")
    wait_until(lambda: answers(first, "c", "jobs"))
    second.vanish()
    outcome, error = [each.result() for each in asking]
    assert isinstance(error, ChannelBroken)
    assert "node b of the cluster, which was to answer, is gone" in str(error)
    if once:
        assert isinstance(outcome, ChannelBroken)
        assert "because of once=True" in str(outcome)
    else:
        assert outcome == "c answers x"
    with pytest.raises(ChannelBroken, match="node b of the cluster"):
        ask(other, "late", SOON)
    assert ask(made, "late", SOON) == "c answers late"
    nothing_is_between(first, third)
    for node in nodes:
        node.close()


def test_a_node_that_comes_back_in_time(nodes: Nodes, nats: NatsServer, ask: Asking) -> None:
    """Its next life answers what its last one has not, unless that was to be tried once."""
    first, second = nodes
    made, got = first.make("jobs"), second.get("jobs")
    begun: list[Any] = []
    never_ends(made, begun)
    asking = AsksInThread(ask, got, 1), AsksInThread(ask, got, 2, once=True)
    wait_until(lambda: len(begun) == 2)
    first.vanish()
    again = OneNode(nats.url, "a", "t")
    again.make("jobs").on_request()(lambda data: data * 10)
    assert asking[0].result() == 10
    error = asking[1].result()
    assert isinstance(error, ChannelBroken)
    assert "once=True" in str(error)
    again.close()


def test_a_node_that_is_back_and_not_ready(
    nodes: Nodes, nats: NatsServer, ask: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A channel of its last life may be about to come: what is asked on it waits for that."""
    _, second = nodes
    first = OneNode(nats.url, "c", "t")
    first.make("jobs")
    got = second.get("jobs")
    first.close()
    heard: list[Ask] = []
    hear = Answering.hear

    def listen(self: Answering, word: Asks) -> None:
        heard.extend(word.asks)
        hear(self, word)

    monkeypatch.setattr(Answering, "hear", listen)
    again = OneNode(nats.url, "c", "t")
    wait_until(lambda: second.node.members()["c"].runs, "b knows that it is back")
    asking = AsksInThread(ask, got, 1)
    wait_until(lambda: heard, "it was asked")
    again.make("jobs").on_request()(lambda data: data * 10)
    assert asking.result() == 10
    nothing_is_between(again, second)
    again.close()


def test_a_channel_that_is_no_more(nodes: Nodes, ask: Asking) -> None:
    """Who asks on it gets `ChannelClosed`, as who waits for an answer does."""
    first, second = nodes
    made, got = first.make("jobs"), second.get("jobs")
    begun: list[Any] = []
    never_ends(made, begun)
    asking = AsksInThread(ask, got, 1)
    wait_until(lambda: begun)
    made.close()
    assert isinstance(asking.result(), ChannelClosed)
    with pytest.raises(ChannelClosed):
        ask(got, 2)
    nothing_is_between(first, second)


def _asks(number: int = 1, name: str = "jobs", body: Any = None, **more: Any) -> Ask:
    return Ask(number, name, more.pop("to_home", True), message.encode(body or ["x"]), **more)


def hostile(node: OneNode) -> list[bytes]:
    """Return words that this node would not say."""
    name, epoch = node.name, node.node.epoch
    words: list[Any] = [
        [1, 2],
        Asks(name, "not hex!", [_asks()]),
        Asks(name, "ab", [_asks()]),
        Asks("../..", epoch, [_asks()]),
        Asks("nobody", epoch, [_asks()]),
        Asks(name, epoch, [_asks(-1), _asks(1 << 62)]),
        Asks(name, epoch, [Ask(1, "jobs", True, b"\xc1"), Ask(2, "jobs", True, b"")]),
        Asks(name, epoch, [_asks(3, body=["x", "y"]), _asks(4, body={"x": 1})]),
        Asks(name, epoch, [_asks(5, "none"), _asks(6, to_home=False)]),
        Asks(name, epoch, [_asks(7, traceparent="x;once\n"), _asks(8, traceparent="x" * 65)]),
        Asks(name, epoch, [_asks(9, part=3, parts=9), _asks(10, part=1, parts=-9)]),
        Asks(name, epoch, [], [11, -11], [11, 1 << 60], (1, [77])),
        Answers(name, epoch, [Answer(5, b"\xc1")], (1 << 60, [5, 6])),
        Answers(name, epoch, [Answer(6, b"", refusal="SystemExit")]),
    ]
    return [b"", b"\xc1", *map(message.encode, words)]


def test_what_comes_from_strangers(nodes: Nodes, nats: NatsServer, ask: Asking) -> None:
    """Is not believed, and nothing of it stays."""
    first, second = nodes
    made, got = first.make("jobs"), second.get("jobs")
    begun: list[Any] = []
    made.on_request()(lambda data: begun.append(data) or data)
    assert ask(got, "before") == "before"

    attack(nats, first, hostile(second))
    assert ask(got, "fine") == "fine"
    assert begun == ["before", "fine"]
    nothing_is_between(first, second)


def test_no_more_than_so_many_are_taken(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch, ask: Asking
) -> None:
    """Of one node at a time. The others are asked again."""
    monkeypatch.setattr("liteyuki_core.cluster.answering._MOST", 3)
    first, second = nodes
    made, got = first.make("jobs"), second.get("jobs")
    most = 0

    @made.on_request()
    async def answer(data: int) -> int:
        nonlocal most
        answering: Answering = first.node.requests.answering
        most = max(most, answering.in_hand)
        await asyncio.sleep(0.01)
        return data

    asking = [AsksInThread(ask, got, number) for number in range(8)]
    assert [each.result() for each in asking] == list(range(8))
    assert most <= 3
    nothing_is_between(first, second)


def test_an_answer_that_is_none(nodes: Nodes, ask: Asking) -> None:
    """What another node sends in its place is an error at the asker."""
    first, second = nodes
    made, got = first.make("jobs"), second.get("jobs")
    begun: list[Any] = []
    never_ends(made, begun)
    for body, failed, refusal, kind in (
        (b"\xc1", False, "", RemoteError),
        (message.encode(["a", "b"]), False, "", RemoteError),
        (message.encode([5]), True, "", RemoteError),
        (message.encode([remote.refusal("so")]), True, "", RemoteError),
        (message.encode(["{}"]), True, "", RemoteError),
        (message.encode(["[" * 9000]), True, "", RemoteError),
        (message.encode([pickle.dumps(pytest.fail)]), True, "", RemoteError),
        (message.encode([Ext(1, pickle.dumps(pytest.fail))]), False, "", RemoteError),
        (b"\xff", False, "KeyboardInterrupt", ChannelBroken),
    ):
        asking = AsksInThread(ask, got, "x")
        wait_until(lambda: begun)
        begun.clear()
        mine = second.node.requests.asked
        (number,) = mine._nodes["a"].under_way
        word = Answers("a", "ab", [Answer(number, body, failed, refusal)])
        second.node.soon(mine.hear, word)
        assert isinstance(asking.result(), kind)
    nothing_is_between(first, second)


DOUBLES = """
import asyncio
import os

from nonebot import get_driver

from liteyuki_core.comm import get_channel, passive_channel


@passive_channel.on_request()
async def double(number):
    await asyncio.sleep(0.02)
    return [await get_channel("adds").async_request(2 * number), os.getpid()]


@get_driver().on_startup
def started():
    print(f"pid {os.getpid()}", flush=True)
"""


def test_between_main_processes(
    tmp_path: Path, environment: dict[str, str], nats: NatsServer
) -> None:
    """A NoneBot on one node is asked by another one, and asks that one in turn. It is killed, and
    then its main process: meanwhile each request is answered, or its asker hears why not.
    """
    environment |= {
        "LITEYUKI_NATS_URL": nats.url,
        "LITEYUKI_LOG_LEVEL": "WARNING",
        "PORT": str(free_port()),
    }
    (tmp_path / "asks").mkdir()
    write_files(
        tmp_path / "answers",
        {"bot.py": main_process(), "doubles.py": DOUBLES, "pyproject.toml": listing("doubles")},
    )
    with ExitStack() as stack:

        def start() -> tuple[Program, int]:
            answers = stack.enter_context(
                running(tmp_path / "answers", environment, LITEYUKI_NODE="answers")
            )
            line = answers.wait_for_line(r"pid (\d+)", timeout=60)
            return answers, int(line[1])

        answers, pid = start()
        nats.wait_for_channel("nonebot-passive")
        asks = stack.enter_context(
            running_program(
                tmp_path / "asks", environment, "clustered:asking", LITEYUKI_NODE="asks"
            )
        )
        asks.wait_for_line(rf"^> \d+ {pid}$", 50, timeout=60)
        (child,) = [each for each in answers.children() if each.pid == pid]
        child.kill()
        answers.wait_for_line(r"pid (\d+)", 2, timeout=60)
        second = int(answers.found(r"pid (\d+)")[1][1])
        asks.wait_for_line(rf"^> \d+ {second}$", 50, timeout=60)
        assert not asks.found("Error|Broken"), asks.output
        answers.process.kill()
        answers.wait()
        asks.wait_for_line("^> ChannelBroken$", 20, timeout=60)
        _, third = start()
        asks.wait_for_line(rf"^> \d+ {third}$", 50, timeout=60)
        assert asks.stop() == 0
        assert not asks.found("Traceback"), asks.output
