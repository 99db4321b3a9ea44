"""Law C5 of channels: callbacks whose decorator has no parentheses.

Also filters that stand alone.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from liteyuki_core.comm.loop import callbacks
from liteyuki_core.errors import ChannelClosed, ChannelModeError
from tests.conftest import wait_until
from tests.pair import Pair


@pytest.fixture(params=["before", "after"])
def sent(request: pytest.FixtureRequest, pair: Pair) -> Iterator[Any]:
    """The receiving end and what it gets: 0 to 9, and texts, before it has callbacks or after."""
    sender, receiver = pair.channel(64)
    messages = [*range(5), *"ab", *range(5, 10)]

    def send() -> None:
        for message in messages:
            sender.send(message, 10)

    if request.param == "before":
        send()
        yield receiver, lambda: None
    else:
        yield receiver, send


def is_number(data: object) -> bool:
    return isinstance(data, int)


async def is_text(data: object) -> bool:
    await asyncio.sleep(0)
    return isinstance(data, str)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take a filter that stands alone for a callback so late that a busy machine is in time."""
    monkeypatch.setattr(callbacks, "_UNDECIDED_SECONDS", 5.0)


ALL = [*range(5), *"ab", *range(5, 10)]


@pytest.mark.parametrize("sent", ["after"], indirect=True)
def test_a_callback_without_parentheses(sent: Any) -> None:
    """Sync or async, it gets everything, and its name is still the function."""
    receiver, send = sent
    got: list[Any] = []
    also: list[Any] = []

    @receiver.on_receive
    async def callback(data: object) -> object:
        """Take it."""
        got.append(data)
        return data

    @receiver.on_receive
    def other(data: object, more: int = 1) -> object:
        also.append(data)
        return data, more

    send()
    wait_until(lambda: len(got) == len(also) == len(ALL))
    assert got == ALL
    assert sorted(also, key=ALL.index) == ALL, "sync ones run in threads beside each other"
    assert callback.__name__ == "callback"
    assert callback.__doc__ == "Take it."
    assert other("data", more=2) == ("data", 2)
    assert other(is_number) == (is_number, 1)
    assert asyncio.run(callback("data")) == "data"


@pytest.mark.parametrize("filter_func", [is_number, is_text])
@pytest.mark.parametrize("keyword", [False, True])
def test_a_filter(sent: Any, patient: None, filter_func: Any, keyword: bool) -> None:
    """With its keyword or alone, sync or async, it filters, and gets no message as a callback."""
    receiver, send = sent
    got: list[Any] = []
    seen: list[Any] = []

    @functools.wraps(filter_func)
    def noted(data: object) -> Any:
        seen.append(data)
        return filter_func(data)

    given = {"filter_func": noted} if keyword else {}

    @receiver.on_receive(*([] if keyword else [noted]), **given)
    async def callback(data: object) -> None:
        got.append(data)

    assert inspect.iscoroutinefunction(callback), "it is what was decorated itself"
    send()
    expected = [data for data in ALL if isinstance(data, int) is (filter_func is is_number)]
    wait_until(lambda: len(got) == len(expected) and len(seen) == len(ALL))
    assert got == expected
    assert seen == ALL


@pytest.mark.parametrize("sent", ["after"], indirect=True)
def test_a_filter_for_several(sent: Any, patient: None) -> None:
    """A filter that stands alone may be kept as a decorator once it was used as one.

    Messages that are there already go to the first of several callbacks, on the loop's thread,
    while this one still registers the second.
    """
    receiver, send = sent
    got: list[Any] = []
    also: list[Any] = []
    numbers = receiver.on_receive(is_number)
    assert numbers(got.append) is not None

    @numbers
    async def callback(data: object) -> None:
        also.append(data)

    send()
    wait_until(lambda: len(got) == len(also) == 10)
    assert sorted(got) == sorted(also) == list(range(10))


def test_filters_in_a_stack(sent: Any, patient: None) -> None:
    """Each decorator registers what it decorates; filters are not taken for callbacks."""
    receiver, send = sent
    got: list[Any] = []

    @receiver.on_receive(is_number)
    @receiver.on_receive(is_text)
    async def callback(data: object) -> None:
        got.append(data)

    send()
    wait_until(lambda: len(got) == len(ALL))
    assert got == ALL


def test_other_callables(sent: Any) -> None:
    """A lambda, a bound method, a partial and an object can be handed over as they are."""
    receiver, send = sent
    got: dict[str, list[Any]] = {"lambda": [], "method": [], "partial": [], "object": []}

    class Takes:
        def method(self, data: object) -> None:
            got["method"].append(data)

        async def __call__(self, data: object) -> None:
            got["object"].append(data)

    takes = Takes()
    receiver.on_receive(lambda data: got["lambda"].append(data))
    receiver.on_receive(takes.method)
    receiver.on_receive(functools.partial(got["partial"].insert, 1000))
    receiver.on_receive(takes)
    send()
    wait_until(lambda: all(len(data) == len(ALL) for data in got.values()))
    assert all(sorted(data, key=ALL.index) == ALL for data in got.values())


def test_a_method_of_a_class_is_still_one(pair: Pair) -> None:
    """A callback that is decorated in a class is bound as methods are."""
    _, receiver = pair.channel()

    class Takes:
        @receiver.on_receive
        def method(self, data: object = None) -> Any:
            return self, data

    takes = Takes()
    assert takes.method("x") == (takes, "x")


def test_called_at_once(pair: Pair) -> None:
    """A function that its module calls right after it is a callback from then on."""
    sender, receiver = pair.channel()
    got: list[Any] = []

    @receiver.on_receive
    def callback(data: object) -> None:
        got.append(data)

    callback("by hand")
    sender.send("by the channel", 10)
    wait_until(lambda: len(got) == 2)
    assert got == ["by hand", "by the channel"]


def test_on_two_channels(pair: Pair) -> None:
    """Decorators without parentheses can be stacked."""
    one, other = pair.channel(), pair.channel()
    got: list[Any] = []

    @one[1].on_receive
    @other[1].on_receive
    async def callback(data: object) -> None:
        got.append(data)

    one[0].send("one", 10)
    other[0].send("other", 10)
    wait_until(lambda: len(got) == 2)
    assert set(got) == {"one", "other"}


def test_errors(pair: Pair) -> None:
    """They come from the line that is wrong."""
    _, receiver = pair.channel()
    for wrong in (1, "text"):
        with pytest.raises(TypeError, match="filter_func must be callable"):
            receiver.on_receive(wrong)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="one filter_func"):
        receiver.on_receive(is_number, filter_func=is_text)
    assert callable(receiver.on_receive(None))

    @receiver.on_receive
    async def callback(data: object) -> None:
        pass

    with pytest.raises(ChannelModeError):
        receiver.receive_nowait()
    _, receives = pair.channel()
    with suppress(Exception):
        receives.receive_nowait()
    with pytest.raises(ChannelModeError):
        receives.on_receive(callback)
    _, closed = pair.channel()
    late = closed.on_receive(is_number)
    closed.close()
    assert late(5) is True
    with pytest.raises(ChannelClosed):
        closed.on_receive(is_number)


def test_many_at_once(pair: Pair, patient: None) -> None:
    """While messages pass and the loop is quick, no filter is taken for a callback."""
    sender, receiver = pair.channel()
    stop = threading.Event()
    filtered: list[object] = []
    got: list[int] = []

    def send() -> None:
        number = 0
        while not stop.is_set():
            sender.send(number, 10)
            number += 1
        sender.send("end", 10)

    @receiver.on_receive(ordered=True)
    async def note(data: object) -> None:
        pass

    sending = threading.Thread(target=send)
    sending.start()
    for _ in range(50):

        def never(data: object) -> bool:
            filtered.append(data)
            return data == "end"

        @receiver.on_receive(never)
        async def callback(data: object) -> None:
            got.append(1)

    stop.set()
    sending.join()
    wait_until(lambda: len(got) == 50)
