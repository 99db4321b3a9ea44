"""Law R2 of requests: nothing is done any more for an asker that has given up.

It has timed out, was cancelled, has closed its end or is dead: an async callback is cancelled, the
answer of a sync one is dropped, the request is not tried again, and nothing is left of it.

Tests comm/ends/asking.py, comm/ends/answering.py, comm/hub/requests.py, comm/hub/reminder.py.
"""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from liteyuki_core import ChannelBroken, ChannelClosed, ChannelTimeout, RemoteError
from liteyuki_core.comm.channel import Channel
from tests.asking import Ask, nothing_is_left, nothing_is_under_way
from tests.conftest import wait_until
from tests.pair import Pair, in_thread, run_async


class Answerer:
    """Callbacks that wait until they are let go, and what became of each call."""

    def __init__(self, channel: Channel[Any]) -> None:
        self.begun: list[Any] = []
        self.ended: list[Any] = []
        self.cancelled: list[Any] = []
        self.let_go = threading.Event()

        @channel.on_request(filter_func=lambda data: data == "sync")
        def waits(data: Any) -> Any:
            self.begun.append(data)
            self.let_go.wait(20)
            self.ended.append(data)
            return data

        @channel.on_request()
        async def async_waits(data: Any) -> Any:
            self.begun.append(data)
            try:
                while not self.let_go.is_set():
                    await asyncio.sleep(0.005)
            except asyncio.CancelledError:
                self.cancelled.append(data)
                raise
            self.ended.append(data)
            return data


@pytest.mark.every_transport
def test_a_timeout_cancels_an_async_callback(ends: Any, ask: Ask) -> None:
    """The asker gets `ChannelTimeout` with the channel's name; the next request is answered."""
    asker, answerer = ends
    answers = Answerer(answerer)
    while not answers.begun:
        with pytest.raises(ChannelTimeout, match=r"channel-1: the request was not answered within"):
            ask(asker, "async", 0.1)
    wait_until(lambda: answers.cancelled == answers.begun)
    answers.let_go.set()
    assert ask(asker, "next") == "next"
    nothing_is_left(asker, answerer)


def test_the_answer_of_a_sync_callback_is_dropped(ends: Any, ask: Ask) -> None:
    """It runs to its end."""
    asker, answerer = ends
    answers = Answerer(answerer)
    while not answers.begun:
        with pytest.raises(ChannelTimeout):
            ask(asker, "sync", 0.1)
    answers.let_go.set()
    wait_until(lambda: answers.ended == answers.begun)
    nothing_is_left(asker, answerer)
    assert ask(asker, "next") == "next"


def test_a_cancelled_task_takes_its_request_back(ends: Any) -> None:
    """As a timeout does."""
    asker, answerer = ends
    answers = Answerer(answerer)

    async def asks() -> None:
        task = asyncio.create_task(asker.async_request("async"))
        while not answers.begun:
            await asyncio.sleep(0.005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run_async(asks())
    wait_until(lambda: answers.cancelled == ["async"])
    nothing_is_left(asker, answerer)


def test_a_request_that_was_not_begun_is_not_begun(pair: Pair) -> None:
    """Neither one that waits in the hub, nor one that waits for a place."""
    ours, theirs = pair.channel(8)
    begun: list[Any] = []
    let_go = threading.Event()
    with pytest.raises(ChannelTimeout):
        ours.request("nobody is there yet", 0.1)
    nothing_is_under_way(pair)

    @theirs.on_request(concurrency=1)
    async def answer(data: Any) -> Any:
        begun.append(data)
        while not let_go.is_set():
            await asyncio.sleep(0.005)
        return data

    first = in_thread(lambda: ours.request("first", 20))
    wait_until(lambda: begun == ["first"])
    for _ in range(20):
        with pytest.raises(ChannelTimeout):
            ours.request("late", 0.01)
    requests = pair.hub.table.by_name["channel-1"].requests(1)
    if len(pair.hubs()) > 1:  # Between nodes each has left, and is on its way.
        wait_until(lambda: requests.count > 20, "all have come")
    wait_until(lambda: sum(map(len, requests._asked.values())) == 1, "it knows who waits")
    let_go.set()
    first.join(20)
    assert ours.request("last", 10) == "last"
    assert begun == ["first", "last"]
    nothing_is_left(ours, theirs)
    nothing_is_under_way(pair)


def test_an_asker_that_dies(pair: Pair, ask: Ask) -> None:
    """Its requests are cancelled, and its successor's are answered."""
    ours, theirs = pair.channel()
    answers = Answerer(ours)
    failed: list[Any] = []

    def asks(data: str) -> None:
        try:
            theirs.request(data)
        except ChannelBroken as error:
            failed.append(error)

    asking = [in_thread(asks, data) for data in ("sync", "async")]
    wait_until(lambda: sorted(answers.begun) == ["async", "sync"])
    pair.kill_child()
    wait_until(lambda: answers.cancelled == ["async"])
    answers.let_go.set()
    for thread in asking:
        thread.join(10)
    assert len(failed) == 2  # The link of the dead one is gone.
    nothing_is_under_way(pair)
    wait_until(lambda: "channel-1" in pair.child.port.names())
    assert ask(Channel._of(pair.child.get("channel-1")), "next") == "next"


def test_closing_ends_requests_both_ways(pair: Pair, ask: Ask) -> None:
    """Whoever waits gets `ChannelClosed`: of the end that closes, and of the other side."""
    for closing in (0, 1):
        ends = pair.channel()
        answers = [Answerer(end) for end in ends]
        errors: list[Any] = []

        def asks(end: Channel[Any], errors: list[Any] = errors) -> None:
            try:
                end.request("async", 20)
            except ChannelClosed as error:
                errors.append(error)

        asking = [in_thread(asks, end) for end in ends]
        wait_until(lambda a=answers: a[0].begun and a[1].begun)
        ends[closing].close()
        for thread in asking:
            thread.join(10)
        assert len(errors) == 2
        wait_until(lambda other=answers[1 - closing]: other.cancelled)
        for each in answers:
            each.let_go.set()
        with pytest.raises(ChannelClosed):
            ask(ends[closing], "late")
        with pytest.raises(ChannelClosed):
            ask(ends[1 - closing], "late")
        nothing_is_under_way(pair)


def test_a_process_that_is_given_up(pair: Pair, ask: Ask) -> None:
    """Those who wait for its answers get `ChannelBroken`, and so do later ones."""
    ours, theirs = pair.channel()
    own = Channel._of(pair.main.get("w-active"))
    answers = [Answerer(theirs), Answerer(Channel._of(pair.child.get("w-active")))]
    errors: list[Any] = []

    def asks(channel: Channel[Any]) -> None:
        try:
            channel.request("async", 20)
        except ChannelBroken as error:
            errors.append(error)

    asking = [in_thread(asks, channel) for channel in (ours, own)]
    wait_until(lambda: answers[0].begun and answers[1].begun)
    pair.lose_child()
    for thread in asking:
        thread.join(10)
    assert ["process w exited with code 9" in str(error) for error in errors] == [True, True]
    for channel in (ours, own):
        with pytest.raises(ChannelBroken):
            ask(channel, "late")
    nothing_is_under_way(pair)


def test_a_stop_ends_the_wait_for_an_answer(pair: Pair) -> None:
    """Whoever waits in a process that stops gets `ChannelClosed`."""
    ours, theirs = pair.channel()
    answers = Answerer(ours)
    errors: list[Any] = []

    def asks() -> None:
        try:
            theirs.request("async", 20)
        except ChannelClosed as error:
            errors.append(error)

    asking = in_thread(asks)
    wait_until(lambda: answers.begun)
    pair.restart_child()
    asking.join(10)
    assert len(errors) == 1
    wait_until(lambda: answers.cancelled)
    nothing_is_under_way(pair)


def test_a_callback_that_does_not_let_itself_be_cancelled(pair: Pair) -> None:
    """What it returns or raises then is dropped; an error of it is in the log."""
    ours, theirs = pair.channel()
    begun: list[Any] = []
    ended: list[Any] = []

    @theirs.on_request()
    async def stubborn(data: str) -> str:
        begun.append(data)
        try:
            await asyncio.sleep(20)
        except asyncio.CancelledError:
            ended.append(data)
            if data == "raises":
                raise ValueError("stubborn") from None
        return data

    async def asks(data: str) -> None:
        task = asyncio.create_task(ours.async_request(data))
        while data not in begun:
            await asyncio.sleep(0.005)
        task.cancel()
        await asyncio.wait([task])

    for data in ("returns", "raises"):
        run_async(asks(data))
    wait_until(lambda: ended == ["returns", "raises"])
    pair.logged("channel-1", "a request that nobody waits for any more has failed", "stubborn")
    nothing_is_left(ours, theirs)


def test_a_callback_that_cancels_itself(pair: Pair, ask: Ask) -> None:
    """Is an error as any other to the asker."""
    ours, theirs = pair.channel()

    @theirs.on_request()
    async def cancels(data: str) -> None:
        raise asyncio.CancelledError("by itself")

    with pytest.raises(RemoteError, match="CancelledError: by itself"):
        ask(ours, 1)
    nothing_is_left(ours, theirs)


def test_nothing_is_left_of_many(pair: Pair) -> None:
    """Thousands of requests, a third of them cancelled at any moment of their way."""
    ours, theirs = pair.channel(256)

    @theirs.on_request()
    async def answer(number: int) -> int:
        if number % 2:
            await asyncio.sleep(0.001 * (number % 4))
        return number

    async def asks(number: int) -> int:
        if number % 3:
            return int(await ours.async_request(number, 20))
        task = asyncio.create_task(ours.async_request(number))
        for _ in range(number % 17):
            await asyncio.sleep(0)
        if number % 5 == 0:
            await asyncio.sleep(0.001)
        task.cancel()
        await asyncio.wait([task])
        return number

    async def many() -> None:
        for start in range(0, 6000, 500):
            numbers = list(range(start, start + 500))
            assert await asyncio.gather(*map(asks, numbers)) == numbers

    run_async(many())
    nothing_is_left(ours, theirs)
    nothing_is_under_way(pair)
    assert pair.main_ended == []
