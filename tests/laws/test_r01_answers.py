"""Law R1 of requests: the answer is what the callback returns.

And whatever keeps a request from being answered is an error of its own at the asker, at once.

Tests comm/ends/asking.py, comm/ends/answering.py, comm/ends/inbox.py, comm/ends/remote.py,
comm/loop/answers.py, comm/hub/requests.py.
"""

from __future__ import annotations

import asyncio
import pickle
import threading
import traceback
from contextvars import ContextVar
from typing import Any

import pytest

from liteyuki_core import ChannelTypeError, RemoteError, SendError, WouldBlockLoop
from liteyuki_core.comm.channel import Channel
from liteyuki_core.comm.ends import remote
from liteyuki_core.comm.loop.answers import traceparent
from liteyuki_core.errors import MessageTooLarge
from tests.asking import Ask
from tests.conftest import wait_until
from tests.pair import Pair, Unbuildable, in_thread, run_async


def _shown(data: Any) -> str:
    return f"{type(data).__name__} {len(data) if hasattr(data, '__len__') else data}"


@pytest.mark.every_transport
@pytest.mark.parametrize(
    "data",
    [
        "text",
        "",
        "\0",
        "x" * 20_000,
        5,
        None,
        b"bytes",
        b"",
        {"a": [1, [2, None]]},
        b"x" * 700_000,
        ["long"] * 100_000,
    ],
    ids=_shown,
)
def test_the_answer_is_what_the_callback_returns(ends: Any, ask: Ask, data: Any) -> None:
    """Any value, short or long, in both directions; a request is a value too."""
    _echo(ends, ask, data)


@pytest.mark.one_hub
@pytest.mark.every_transport
@pytest.mark.parametrize(
    "data", [{"a": [1, (2, None)]}, bytearray(b"b" * 300_000), {1, 2}], ids=_shown
)
def test_the_answer_has_its_type(ends: Any, ask: Ask, data: Any) -> None:
    """As long as it stays on one machine."""
    _echo(ends, ask, data)


def _echo(ends: Any, ask: Ask, data: Any) -> None:
    asker, answerer = ends
    got = []

    @answerer.on_request()
    async def answer(request: Any) -> Any:
        got.append(request)
        return request

    assert ask(asker, data) == data
    assert got == [data]
    assert type(got[0]) is type(data)


def test_a_sync_callback_answers_from_a_thread(ends: Any, ask: Ask) -> None:
    """So it may wait, and the loop of the callbacks goes on."""
    asker, answerer = ends
    names = []

    @answerer.on_request
    def answer(request: int) -> int:
        names.append(threading.current_thread().name)
        return request + 1

    assert [ask(asker, number) for number in range(5)] == [1, 2, 3, 4, 5]
    assert "liteyuki-callbacks" not in names


def test_each_asker_gets_its_own_answer(ends: Any) -> None:
    """Many threads and tasks at a time, answered in another order than they came."""
    asker, answerer = ends

    @answerer.on_request()
    async def answer(number: int) -> int:
        await asyncio.sleep(0.001 * (number % 5))
        return -number

    async def many(start: int) -> None:
        numbers = range(start, start + 200)
        answers = await asyncio.gather(*(asker.async_request(n, 20) for n in numbers))
        assert answers == [-number for number in numbers]

    failed: list[BaseException] = []

    def asks(start: int) -> None:
        try:
            run_async(many(start))
            numbers = range(start, start + 20)
            assert [asker.request(number, 20) for number in numbers] == [-n for n in numbers]
        except BaseException as error:
            failed.append(error)

    threads = [in_thread(asks, 1000 * i) for i in range(3)]
    for thread in threads:
        thread.join(60)
    assert failed == []


def test_requests_and_messages_beside_each_other(pair: Pair, ask: Ask) -> None:
    """Requests go to `on_request` callbacks, messages to `on_receive` ones, or to `receive`."""
    asker, answerer = pair.channel()

    @answerer.on_request()
    async def answer(request: str) -> str:
        return f"answer to {request}"

    asker.send("one", 5)
    assert ask(asker, "two") == "answer to two"
    assert answerer.receive(5) == "one"
    asker.send("three", 5)
    assert answerer.receive(5) == "three"


def test_a_busy_ordered_callback_does_not_keep_requests_from_being_answered(pair: Pair) -> None:
    """Even if it waits for a request that the other side makes to answer its own."""
    ours, theirs = pair.channel()
    done = threading.Event()

    @theirs.on_receive(ordered=True)
    async def receive(data: str) -> None:
        assert await theirs.async_request(data, 5) == "a and b and c"
        done.set()

    @ours.on_request()
    async def first(data: str) -> str:
        return str(await ours.async_request(f"{data} and b", 5))

    @theirs.on_request()
    async def second(data: str) -> str:
        return f"{data} and c"

    ours.send("a")
    assert done.wait(10)


def test_the_first_callback_whose_filter_lets_it_by_answers(pair: Pair, ask: Ask) -> None:
    """In the order of registration. Filters may be async, and one that raises is passed over."""
    ours, theirs = pair.channel()

    async def is_text(data: Any) -> bool:
        await asyncio.sleep(0)
        return isinstance(data, str)

    @theirs.on_request(filter_func=lambda data: 1 / data > 0)
    async def positive(data: Any) -> str:
        return "positive"

    @theirs.on_request(is_text)
    def text(data: str) -> str:
        return "text"

    @theirs.on_request(filter_func=lambda data: data == "a")
    async def later(data: str) -> str:
        return "later"

    @theirs.on_request(filter_func=lambda data: data == 0)
    async def zero(data: int) -> str:
        return "zero"

    assert [ask(ours, data) for data in (1, "a", 0)] == ["positive", "text", "zero"]
    pair.logged("channel-1", "filter", "ZeroDivisionError")
    with pytest.raises(RemoteError, match="channel-1: no on_request callback takes it"):
        ask(ours, -1)


def test_what_the_callback_raises_comes_to_the_asker(ends: Any, ask: Ask) -> None:
    """With its class's name, its text and its traceback, which is shown in the asker's."""
    asker, answerer = ends

    @answerer.on_request()
    async def answer(request: str) -> None:
        raise LookupError(f"there is no {request}")

    with pytest.raises(RemoteError, match="LookupError: there is no 猫") as caught:
        ask(asker, "猫")
    error = caught.value
    assert (error.type_name, error.message) == ("LookupError", "there is no 猫")
    assert error.channel == asker.name
    assert 'raise LookupError(f"there is no {request}")' in error.traceback
    assert "liteyuki_core" not in error.traceback
    assert "in answer" in "".join(traceback.format_exception(error))
    back = pickle.loads(pickle.dumps(error))
    assert (str(back), back.traceback, back.type_name) == (
        str(error),
        error.traceback,
        error.type_name,
    )
    assert answerer.stats()["errors"] == 1
    with pytest.raises(RemoteError):
        ask(asker, "again")


def test_an_error_whose_text_can_not_be_shown() -> None:
    """Is an answer all the same."""

    class Broken(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text")

    error = remote.from_text(remote.to_text(Broken()), "c")
    assert error.type_name.endswith("Broken")
    assert "can't be shown" in error.message
    assert remote.from_text("no JSON", "c").message == "the answer can't be read"


def test_an_answer_that_can_not_be_sent(pair: Pair, ask: Ask) -> None:
    """The asker hears why, at once; the channel lives on."""
    ours, theirs = pair.channel()
    answers: dict[str, Any] = {"lambda": lambda: 0, "long": b"x" * (2 << 20), "fine": 1}

    @theirs.on_request()
    async def answer(request: str) -> Any:
        return answers[request]

    with pytest.raises(RemoteError, match=r"the answer can't be sent.*function"):
        ask(ours, "lambda")
    with pytest.raises(RemoteError, match=r"the answer can't be sent.*over the limit"):
        ask(ours, "long")
    assert ask(ours, "fine") == 1
    assert theirs.stats()["errors"] == 2


@pytest.mark.one_hub
def test_an_answer_that_carries_a_channel(pair: Pair, ask: Ask) -> None:
    """Can't be sent either: whoever has asked may have given up."""
    ours, theirs = pair.channel()
    answer = Channel._of(pair.child.make(None, 4))
    theirs.on_request()(lambda data: answer)
    with pytest.raises(RemoteError, match=r"the answer can't be sent.*can't carry a channel"):
        ask(ours, "channel")


@pytest.mark.one_hub
def test_what_can_not_be_rebuilt(pair: Pair, ask: Ask) -> None:
    """A request or an answer: the asker hears it."""
    ours, theirs = pair.channel()

    @theirs.on_request()
    async def answer(request: Any) -> Any:
        return Unbuildable()

    with pytest.raises(RemoteError, match="the request can't be rebuilt: RuntimeError: not here"):
        ask(ours, Unbuildable())
    with pytest.raises(RemoteError, match="the answer can't be rebuilt here: RuntimeError"):
        ask(ours, 1)
    assert pair.main_ended == []


def test_what_can_not_be_sent(pair: Pair, ask: Ask) -> None:
    """Raises as `send` does, and nobody is asked."""
    ours, _ = pair.channel()
    with pytest.raises(SendError):
        ask(ours, lambda: 0)
    with pytest.raises(MessageTooLarge):
        ask(ours, b"x" * (2 << 20))
    with pytest.raises(ValueError, match="timeout"):
        ask(ours, 1, -1)
    typed = Channel[int]._of(ours._open())
    typed.__orig_class__ = Channel[int]  # type: ignore[attr-defined]
    with pytest.raises(ChannelTypeError):
        ask(typed, "no int")


def test_a_loop_is_not_blocked(pair: Pair) -> None:
    """`request` on a loop's thread raises and names the other method, whether or not it waits."""
    ours, theirs = pair.channel()
    theirs.on_request()(lambda data: data)

    async def asks() -> None:
        with pytest.raises(WouldBlockLoop, match=r"await channel\.async_request"):
            ours.request(1)
        assert await ours.async_request(1, 5) == 1

    run_async(asks())


@pytest.mark.one_hub
def test_nobody_answers(pair: Pair, ask: Ask) -> None:
    """Whoever has the other side but no `on_request`: the asker hears it soon, and who it is."""
    ours, theirs = pair.channel()
    theirs.on_receive()(lambda data: None)
    with pytest.raises(RemoteError, match="main process has no on_request callback"):
        ask(theirs, 1, 8)
    pair.peer.serves_since = 0.0  # What the word `Ready` of a real child says.
    with pytest.raises(RemoteError, match="process w has no on_request callback on it"):
        ask(ours, 1, 8)
    with pytest.raises(RemoteError, match="process w has no on_request"):
        ask(Channel._of(pair.main.get("w-active")), 1, 8)
    assert ours.stats()["dropped"] == 1
    assert ours._open().sending._free == ours.capacity


@pytest.mark.one_hub
def test_a_callback_that_comes_later_answers_what_waits(pair: Pair) -> None:
    """A child that is starting has time to register one."""
    ours, theirs = pair.channel()
    got: list[Any] = []
    asking = in_thread(lambda: got.append(ours.request(1, 20)))
    wait_until(lambda: pair.hub.table.by_name["channel-1"].requests(1).waiting, "the request waits")
    theirs.on_request()(lambda data: data + 1)
    asking.join(20)
    assert got == [2]


@pytest.mark.one_hub
def test_a_reply_channel_in_a_request(pair: Pair, ask: Ask) -> None:
    """A request may carry a channel, which the callback may send on."""
    ours, theirs = pair.channel()

    @theirs.on_request()
    async def answer(reply: Channel[Any]) -> str:
        await reply.async_send("over the other channel")
        return "the answer"

    reply: Channel[Any] = Channel._of(pair.main.make(None, 4))
    assert ask(ours, reply) == "the answer"
    assert reply.receive(5) == "over the other channel"


@pytest.mark.one_hub
def test_on_an_unnamed_channel(pair: Pair, ask: Ask) -> None:
    """Between its maker and whoever got it in a message."""
    ours, theirs = pair.channel()
    mine: Channel[Any] = Channel._of(pair.main.make(None, 4))
    ours.send(mine)
    got = theirs.receive(5)
    got.on_request()(lambda data: data * 2)
    assert ask(mine, 4) == 8
    mine.on_request()(lambda data: data * 3)
    assert ask(got, 4) == 12


def test_between_two_children(pair: Pair, ask: Ask) -> None:
    """The main process forwards requests and answers as they are."""
    other = pair.another("v")
    end = pair.child.make("shared", 8)
    pair.child.register("shared", end)
    wait_until(lambda: "shared" in other.port.names(), "the name")
    maker, holder = Channel._of(end), Channel._of(other.get("shared"))
    maker.on_request()(lambda data: ["maker", data])
    holder.on_request()(lambda data: ["holder", data])
    assert ask(holder, 1) == ["maker", 1]
    assert ask(maker, b"x" * 400_000) == ["holder", b"x" * 400_000]


def test_a_trace_goes_with_a_request(pair: Pair) -> None:
    """The callback, and what it asks in turn, belongs to its asker's trace, to no other."""
    ours, theirs = pair.channel()
    seen: list[str] = []
    other: ContextVar[int] = ContextVar("other", default=0)

    @ours.on_request()
    async def inner(data: str) -> None:
        seen.append(traceparent.get())

    @theirs.on_request()
    async def outer(data: str) -> None:
        seen.append(traceparent.get())
        await theirs.async_request(data, 5)

    async def asks(trace: str) -> None:
        traceparent.set(trace)
        other.set(1)
        await ours.async_request("x", 5)

    traces = ["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", ""]
    for trace in traces:
        run_async(asks(trace))
    assert seen == [traces[0], traces[0], "", ""]


def test_wrong_arguments(pair: Pair) -> None:
    """As `on_receive` says, with the name of this one."""
    ours, _ = pair.channel()
    with pytest.raises(TypeError, match=r"@channel.on_request\(filter_func=...\)"):
        ours.on_request(5)  # type: ignore[call-overload]
    with pytest.raises(ValueError, match="concurrency must be at least 1"):
        ours.on_request(concurrency=0)
    with pytest.raises(TypeError, match="a callback must be callable"):
        ours.on_request()(5)  # type: ignore[type-var]
