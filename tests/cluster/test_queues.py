"""Queues between nodes, over a real server: what differs from one main process.

Tests cluster/queues.py, cluster/across.py, and how cluster/routes.py makes stand-ins.

The laws of queues run over a server too, see `tests/transport`.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from liteyuki_core.cluster import message
from liteyuki_core.cluster.message import Answer, Answers, Ask, Asks
from liteyuki_core.comm.queue import Queue
from liteyuki_core.errors import (
    ChannelBroken,
    ChannelClosed,
    ChannelEmpty,
    ChannelExists,
    ChannelTimeout,
    SendError,
)
from tests.cluster.counting import SLOW, environment_of, numbers
from tests.cluster.trouble import attack, lose_words, lose_words_on_channels
from tests.conftest import a_little, wait_until
from tests.nats import NatsServer
from tests.nodes import NodesPair, OneNode
from tests.pair import in_thread
from tests.program import running_program

Nodes = tuple[OneNode, OneNode]


@pytest.fixture
def three(nats: NatsServer) -> Iterator[list[OneNode]]:
    """Three nodes that share a cluster."""
    nodes = [OneNode(nats.url, name, "t") for name in "abc"]
    yield nodes
    for node in nodes:
        node.close()


def home_of(nodes: list[OneNode] | Nodes, name: str = "jobs") -> OneNode:
    """Return the one node that has a queue, once the others have stand-ins."""

    def found() -> OneNode | None:
        keys = [(node.main.hub.table.find(name) or (0, "@"))[1] for node in nodes]
        others = [key for key in keys if key.startswith("@")]
        return None if len(others) + 1 != len(keys) else nodes[keys.index(f"queue:{name}")]

    return wait_until(found, "one node has the queue")


def nothing_more(queue: Queue[Any]) -> None:
    """Check that nothing comes. What came last is handled then."""
    with pytest.raises(ChannelTimeout):
        queue.receive(0.2)


def nothing_is_between(*nodes: OneNode) -> None:
    """Wait until no node remembers a message of a queue."""
    parts = [node.node.requests for node in nodes]
    wait_until(
        lambda: (
            not any(asked.under_way for each in parts for asked in each.asked._nodes.values())
            and not any(each.answering.in_hand or each.taking._in_hand for each in parts)
        ),
        "nothing is between nodes",
    )


def take(queue: Queue[Any], into: list[Any]) -> threading.Thread:
    """Have a thread receive all that comes until the queue is closed."""

    def receive() -> None:
        for data in queue:
            into.append(data)

    return in_thread(receive)


def never_ends(queue: Queue[Any], begun: list[Any]) -> None:
    """Have a callback take what comes, and never be ready with it."""

    @queue.on_receive()
    async def takes(data: Any) -> None:
        begun.append(data)
        await asyncio.Event().wait()


@pytest.mark.parametrize("round_", range(3))
def test_nodes_that_make_it_at_the_same_time_have_one(three: list[OneNode], round_: int) -> None:
    """What each has sent before they know of each other is received once, in its order."""
    barrier = threading.Barrier(3)
    queues: dict[str, Queue[Any]] = {}

    def make(node: OneNode) -> None:
        barrier.wait()
        queue = queues[node.name] = node.queue()
        for number in range(200):
            queue.send([node.name, number])

    for thread in [in_thread(make, node) for node in three]:
        thread.join(20)
    home_of(three)
    came = [queues["abc"[round_]].receive(20) for _ in range(600)]
    for name in "abc":
        assert [number for of, number in came if of == name] == list(range(200))
    nothing_more(queues["abc"[round_]])
    nothing_is_between(*three)


def test_what_was_in_hand_when_they_became_one(nodes: Nodes, nats: NatsServer) -> None:
    """A process goes on with what it had; others get what waited, and requests too."""
    first, second = nodes
    nats.pause()
    mine, theirs = first.queue(), second.queue()
    for queue in (mine, theirs):
        for number in range(3):
            queue.send(number)
    assert (mine.receive(5), theirs.receive(5)) == (0, 0)
    let_go = threading.Event()
    asked: list[Any] = []

    @theirs.on_request(concurrency=1)
    def answer(data: Any) -> str:
        asked.append(data)
        let_go.wait(20)
        return f"answer to {data}"

    answers: list[Any] = []
    threads = [in_thread(lambda n=n: answers.append(theirs.request(n, 30))) for n in range(2)]
    wait_until(lambda: asked, "one is in hand")
    nats.go_on()
    other = first if home_of(nodes) is second else second
    got = [(first if other is second else second).queue().receive(10) for _ in range(4)]
    assert sorted(got) == [1, 1, 2, 2]
    let_go.set()
    for thread in threads:
        thread.join(20)
    assert sorted(answers) == ["answer to 0", "answer to 1"]


def test_a_busy_receiver_keeps_nothing_from_other_nodes(three: list[OneNode]) -> None:
    """What comes while it handles a long job goes to one that asks, wherever."""
    first, second, third = three
    made = first.queue()
    for node in (second, third):
        node.knows()
    let_go = threading.Event()
    begun: list[Any] = []

    @second.queue().on_receive(concurrency=1)
    def busy(data: int) -> None:
        begun.append(data)
        let_go.wait(30)

    made.send(0)
    wait_until(lambda: begun == [0])
    free = third.queue()
    for number in range(1, 30):
        (made, second.queue(), free)[number % 3].send(number)
        assert free.receive(10) == number
    assert begun == [0]
    nothing_more(free)
    let_go.set()
    nothing_is_between(*three)


def test_what_nobody_asks_for_any_more_goes_to_another_node(three: list[OneNode]) -> None:
    """Receivers of every node give up all the time; no message stays where nobody takes it."""
    first, second, third = three
    made = first.queue()
    for node in (second, third):
        node.knows()
    came: list[int] = []
    done = threading.Event()

    def impatient(node: OneNode, seconds: float) -> None:
        queue = node.queue()
        while not done.is_set():
            try:
                came.append(queue.receive(seconds))
            except ChannelTimeout:
                done.wait(seconds)

    threads = [
        in_thread(impatient, node, seconds)
        for node, seconds in zip(three, (0.003, 0.001, 0.002), strict=True)
    ]
    for number in range(400):
        made.send(number)
        done.wait(0.0005)
    wait_until(lambda: len(came) >= 400, "all have come", 30)
    done.set()
    for thread in threads:
        thread.join(10)
    assert sorted(came) == list(range(400))
    nothing_is_between(*three)


def test_whoever_only_looks_finds_it(nodes: Nodes) -> None:
    """With `receive_nowait`, sooner or later. If it does not look again, others get it."""
    first, second = nodes
    made = first.queue()
    second.knows()
    queue = second.queue()

    def look() -> Any:
        with suppress(ChannelEmpty):
            return queue.receive_nowait()

    assert look() is None
    made.send("x")
    assert wait_until(look, "it is found") == "x"
    assert look() is None
    made.send("y")
    assert made.receive(20) == "y"


def test_a_node_that_is_gone(three: list[OneNode]) -> None:
    """What it was given and had not handled goes to others, in order."""
    first, second, third = three
    made = first.queue()
    for node in (second, third):
        node.knows()
    begun: list[Any] = []
    never_ends(second.queue(), begun)
    for number in range(20):
        third.queue().send(number)
    wait_until(lambda: begun == list(range(20)), "it has all")
    second.vanish()
    got = third.queue()
    assert [got.receive(20) for _ in range(20)] == list(range(20))
    made.send("more")
    assert got.receive(10) == "more"


def test_a_node_that_stops(nodes: Nodes, nats: NatsServer) -> None:
    """What it had and has not handled goes to others at once, and no stop counts as a crash."""
    first, second = nodes
    made = first.queue()
    second.knows()
    made.send("x")
    for _ in range(4):
        begun: list[Any] = []
        never_ends(second.queue(), begun)
        wait_until(lambda begun=begun: begun == ["x"], "it is in hand")
        second.close()
        second.__init__(nats.url, "b", "t")  # type: ignore[misc]
        second.knows()
    assert made.receive(10) == "x"
    assert first.main.hub.statistics()["jobs"]["redelivered"] == 0


def test_a_home_that_stays_away_is_given_up(nats: NatsServer) -> None:
    """After LITEYUKI_NODE_GRACE its queue is broken for others, until it is back."""
    home, other = OneNode(nats.url, "a", "t"), OneNode(nats.url, "b", "t", grace=0.1)
    home.queue()
    other.knows()
    queue = other.queue()
    home.close()
    with pytest.raises(ChannelBroken, match="node 'a' of the cluster"):
        queue.receive(30)
    with pytest.raises(ChannelBroken, match="node 'a' of the cluster"):
        queue.send("to nobody")
    again = OneNode(nats.url, "a", "t")
    again.queue().send("again")

    def received() -> Any:
        with suppress(ChannelBroken):
            return queue.receive(10)

    assert wait_until(received, "it goes on") == "again"
    other.close()
    again.close()


def test_the_home_is_away(nodes: Nodes, nats: NatsServer) -> None:
    """What others send waits for its next life, and comes once."""
    first, second = nodes
    first.queue()
    second.knows()
    queue = second.queue()
    queue.send(-1)
    assert queue.receive(10) == -1
    nothing_more(queue)
    first.close()
    for number in range(100):
        queue.send(number)
    again = OneNode(nats.url, "a", "t")
    again.queue()
    assert [queue.receive(20) for _ in range(100)] == list(range(100))
    nothing_more(queue)
    wait_until(lambda: queue.stats()["acknowledged"] == 101, "all are handled")
    nothing_is_between(again, second)
    again.close()
    first.__init__(nats.url, "a", "t")  # type: ignore[misc]


def test_another_node_has_it_after_that(nats: NatsServer) -> None:
    """Who makes it next has it, if the home does not run; nobody who holds it notices."""
    first, second = OneNode(nats.url, "a", "t"), OneNode(nats.url, "b", "t")
    first.queue()
    second.knows()
    queue = second.queue()
    first.close()
    for number in range(10):
        queue.send(number)
    third = OneNode(nats.url, "c", "t")
    made = third.queue()
    assert made.receive(20) == 0
    assert [queue.receive(20) for _ in range(9)] == list(range(1, 10))
    made.on_request()(lambda data: f"c answers {data}")
    assert queue.request("b", 20) == "c answers b"
    back = OneNode(nats.url, "a", "t")
    back.knows()
    back.queue().send("from a")
    assert queue.receive(10) == "from a"
    assert home_of([third, second, back]) is third
    for node in (second, third, back):
        node.close()


def test_what_it_sent_in_an_earlier_life_comes_to_it(nats: NatsServer) -> None:
    """A node sends to another one's queue, both end, and it comes back first and makes it."""
    first, second = OneNode(nats.url, "a", "t"), OneNode(nats.url, "b", "t")
    first.queue()
    second.knows()
    first.close()
    second.queue().send("before")
    wait_until(lambda: not second.node.busy, "it is on the stream")
    second.close()
    again = OneNode(nats.url, "b", "t")
    assert again.queue().receive(20) == "before"
    again.close()


@pytest.mark.parametrize("count", [600, pytest.param(20_000, marks=pytest.mark.long)])
def test_words_that_are_lost(
    three: list[OneNode], monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """Each message is handled once, and what one node is given comes in order."""
    first, second, third = three
    made = first.queue(capacity=4096)
    for node in (second, third):
        node.knows()
    lose_words(three, monkeypatch, 0.1, seed=1)
    came: list[list[int]] = [[], [], []]
    for node, into in zip(three, came, strict=True):
        node.queue().on_receive(concurrency=8)(into.append)
    for number in range(count):
        made.send(number)
    wait_until(lambda: sum(map(len, came)) >= count, "all have come", 120)
    monkeypatch.undo()
    assert sorted(number for each in came for number in each) == list(range(count))
    nothing_is_between(*three)


def test_one_receiver_far_away_gets_all_in_order(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though words are lost on the way."""
    first, second = nodes
    made = first.queue()
    second.knows()
    lose_words(nodes, monkeypatch, 0.1, seed=2)
    came: list[int] = []

    @second.queue().on_receive()
    async def note(number: int) -> None:
        came.append(number)

    for number in range(500):
        made.send(number)
    wait_until(lambda: len(came) >= 500, "all have come", 60)
    assert came == list(range(500))


def test_the_server_is_away(nodes: Nodes, nats: NatsServer) -> None:
    """Nothing is lost, and nothing comes twice."""
    first, second = nodes
    made = first.queue(capacity=10_000)
    second.knows()
    queue = second.queue(capacity=10_000)
    came: list[list[int]] = [[], []]
    threads = [take(each, into) for each, into in zip((made, queue), came, strict=True)]

    def send() -> None:
        for number in range(1000):
            queue.send(number)
            made.send(1000 + number)

    sender = in_thread(send)
    wait_until(lambda: sum(map(len, came)) > 200, "some have come")
    nats.kill()
    nats.start()
    sender.join(60)
    wait_until(lambda: sum(map(len, came)) >= 2000, "all have come", 60)
    assert sorted(came[0] + came[1]) == list(range(2000))
    nothing_is_between(first, second)
    made.close()
    for thread in threads:
        thread.join(10)


def test_closing_it_on_another_node(three: list[OneNode]) -> None:
    """Closes it everywhere, after what was sent before. Then there may be a new one."""
    first, second, third = three
    made = first.queue()
    for node in (second, third):
        node.knows()
    closer, waiting = second.queue(), third.queue()
    for number in range(5):
        closer.send(number)
    closer.close()
    assert list(waiting) == list(range(5))
    for queue in (made, closer, waiting):
        with pytest.raises(ChannelClosed):
            queue.receive(10)
        with pytest.raises(ChannelClosed):
            queue.send(1)
    for node in three:
        wait_until(lambda node=node: "jobs" not in node.context.port.names(), "the name is free")
    nothing_is_between(*three)
    third.queue().send("new")
    first.knows()
    assert first.queue().receive(10) == "new"


def test_who_closes_it_has_left_before_that_is_known(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node that has left keeps nothing, though what it has sent comes later."""
    home = nodes[0].queue()
    nodes[1].knows()
    far = nodes[1].queue()
    far.send(1)
    hub = nodes[0].main.hub
    wait_until(lambda: hub.statistics()["jobs"]["backlog"] == 1, "it is there")
    publish, there = nodes[1].node.publish, nodes[0].node._routes.peer("b").by_name

    async def is_late(*args: Any) -> int:
        while ("jobs", True) in there:
            await asyncio.sleep(0.01)
        return await publish(*args)

    monkeypatch.setattr(nodes[1].node, "publish", is_late)
    assert ("jobs", True) in there
    far.close()
    wait_until(lambda: hub.table.by_name["jobs"].over, "it is closed")
    home.close()
    wait_until(lambda: hub.table.find("jobs") is None, "the name is free")


def test_what_was_handled_is_known_at_its_end(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said with the end, whatever was lost of what was said before."""
    home = nodes[0].queue()
    nodes[1].knows()
    far = nodes[1].queue()
    lose_words_on_channels(nodes[0], monkeypatch)
    for number in range(5):
        far.send(number)
    assert [home.receive(10) for _ in range(5)] == list(range(5))
    home.close()
    with pytest.raises(ChannelClosed):
        far.receive(10)
    wait_until(lambda: far.stats()["acknowledged"] == 5, f"all are handled: {far.stats()}")
    assert far.stats()["dropped"] == 0


def test_a_name_that_is_given_up_at_once(nodes: Nodes) -> None:
    """Nothing of it stays, however quick that is; and what comes next of that name is new."""
    first, second = nodes
    for number in range(20):
        first.queue().close()
        made = first.queue()
        made.send(number)
        assert made.receive(10) == number
        made.close()
    last = first.queue()
    entries, serial = second.node._book.channels, first.main.hub.table.serial_of("jobs")
    wait_until(lambda: "jobs" in entries and entries["jobs"].serial == serial, "b knows this one")
    second.knows()
    second.queue().send("to the last one")
    assert last.receive(10) == "to the last one"
    last.close()
    for node in nodes:
        wait_until(lambda node=node: "jobs" not in node.node._book.channels, "it is in no book")


def test_names_that_two_nodes_take_and_give_up_at_once(nodes: Nodes) -> None:
    """A node that was not the first to tell of it does not tell of what it has no more."""
    names = [f"jobs-{number}" for number in range(40)]
    books = [node.node._book.channels for node in nodes]
    for name in names:
        both = [node.queue(name) for node in nodes]
        wait_until(lambda name=name: any(name in each for each in books), "it is told")
        for queue in both:
            queue.close()
    for node in nodes:
        names_of, channels = node.context.port.names, node.node._book.channels
        wait_until(lambda names_of=names_of: not {*names} & {*names_of()}, "all are given up")
        wait_until(lambda channels=channels: not {*names} & {*channels}, "none is in the book")


def test_names(nodes: Nodes) -> None:
    """One name for a queue or a channel, over all nodes."""
    first, second = nodes
    first.queue("q")
    first.make("c")
    for name in ("q", "c"):
        second.knows(name)
    with pytest.raises(ChannelExists):
        second.queue("c")
    with pytest.raises(ChannelExists, match="node a of the cluster has"):
        second.make("q")
    assert second.queue("q", None).capacity == 1024


class NoWorkers:
    """A pool that runs nothing."""

    def broken_off(self, peer: Any, asker: Any, request: int) -> None:
        raise AssertionError("nothing was run")

    def unwanted(self, peer: Any) -> None:
        raise AssertionError("nothing was run")


def test_two_nodes_that_add_workers_at_the_same_time(nats: NatsServer) -> None:
    """Each keeps its own, and the log of one of them says so."""
    pair = NodesPair(nats.url, "t")
    nats.pause()
    for hub in pair.hubs():
        hub.add_pool("w-calls", 64, NoWorkers())
    nats.go_on()
    pair.logged("ERROR", "channel w-calls exists on node", "too")
    assert [hub.table.find("w-calls") for hub in pair.hubs()] == [(64, "queue:w-calls")] * 2
    pair.close()


def test_messages_are_plain_data(nodes: Nodes) -> None:
    """What is none is refused where it is sent, or said where it was to cross."""
    first, second = nodes
    made = first.queue()
    second.knows()
    queue = second.queue()
    with pytest.raises(SendError, match="can't be sent to another node"):
        queue.send(object())
    made.send({1, 2})
    made.send("fine")
    assert queue.receive(10) == "fine"
    made.send({3})
    assert made.receive(10) == {3}


def test_long_messages(nats: NatsServer) -> None:
    """Of 10 MB, in both directions."""
    limit = 16 << 20
    nodes = [OneNode(nats.url, name, "t", max_message_bytes=limit) for name in "ab"]
    first, second = nodes
    made = first.queue()
    second.knows()
    queue = second.queue()
    data = [b"x" * (10 << 20), "y"]
    for sender, receiver in ((made, queue), (queue, made)):
        for each in data:
            sender.send(each)
        assert [receiver.receive(20) for _ in data] == data
    for node in nodes:
        node.close()


def hostile(node: OneNode) -> list[bytes]:
    """Return words about queues that this node would not say."""
    name, epoch = node.name, node.node.epoch

    def ask(number: int, kind: int, body: bytes = b"", **more: Any) -> Ask:
        return Ask(number, more.pop("name", "jobs"), False, body, kind=kind, **more)

    words: list[Any] = [
        Asks(name, epoch, [ask(1 << 40, message.MESSAGE, message.encode(["x"]), chain=1 << 40)]),
        Asks(name, epoch, [ask((1 << 40) + 1, 77, chain=(1 << 40) + 1)]),
        Asks(name, epoch, [ask((1 << 40) + 2, message.END, b"\xc1", chain=(1 << 40) + 2)]),
        Asks(name, epoch, [ask((1 << 40) + 3, message.CALL_BACK, chain=1 << 41, name="none")]),
        Asks(name, epoch, [ask((1 << 40) + 4, message.MESSAGE, b"\xc1", chain=1 << 42)]),
        Answers(name, epoch, [Answer(7, b"\xc1", refusal=message.GIVEN_BACK)]),
        Answers(name, epoch, allowed={"jobs": (9, 1 << 60), "none": (0, 5), "calls": (0, -7)}),
    ]
    return [*map(message.encode, words)]


def test_what_comes_from_strangers(nodes: Nodes, nats: NatsServer) -> None:
    """Breaks nothing: the queue goes on."""
    first, second = nodes
    made = first.queue()
    second.knows()
    queue = second.queue()
    made.send("before")
    assert queue.receive(10) == "before"

    attack(nats, first, hostile(second))
    for sender, receiver in ((made, queue), (queue, made)):
        sender.send("fine")
        assert receiver.receive(10) == "fine"


@a_little(2, 20)
def test_main_processes_are_killed(
    tmp_path: Path, environment: dict[str, str], nats: NatsServer, times: int
) -> None:
    """A node that takes jobs, again and again: each job is done, what it had by another node."""
    environment = environment_of(environment, nats)
    came: list[int] = []
    folders = {name: tmp_path / name for name in "abc"}
    for folder in folders.values():
        folder.mkdir()

    def running(node: str, *args: str) -> Any:
        return running_program(folders[node], environment, *args, LITEYUKI_NODE=node)

    with ExitStack() as stack:
        home = stack.enter_context(running("a", "clustered:giving"))
        nats.wait_for_channel("jobs")
        steady = stack.enter_context(running("c", "clustered:taking"))
        for _ in range(times):
            with running("b", "clustered:taking") as taker:
                taker.wait_until(lambda: len(numbers(taker)) > 20, "some have come", SLOW)
                taker.process.kill()
                taker.wait()
                came += numbers(taker)
        (folders["a"] / "enough").touch()
        sent = int(home.wait_for_line(r"^> all (\d+)$", timeout=SLOW)[1])
        came += numbers(steady)
        assert steady.stop() == 0
        assert home.stop() == 0
    assert set(came) == set(range(sent))
