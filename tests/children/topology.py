"""One process of a topology: it sends and receives as its plan says, and ends as it says.

Plans are described in tests/topologies.py; a run's is the file `plan.json`. Children run `run`;
the main process, in topology_bot.py, uses a `Node` as they do.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

from liteyuki_core import Channel, get_channel, shared_memory
from liteyuki_core.comm import async_select, select, set_channel
from liteyuki_core.errors import (
    ChannelBroken,
    ChannelClosed,
    ChannelEmpty,
    ChannelError,
    ChannelFull,
    ChannelNotFound,
    ChannelTimeout,
    NotConnected,
    SendError,
)
from tests.children import facts, lines
from tests.topologies import ENDING_SILENTLY

GO = Path("go")
"""Made when the first senders may begin."""
ENOUGH = Path("enough")
"""Made when senders are to send no more, also those that have not sent all."""
CLOSE = Path("close")
"""Made when all is quiet and every channel that somebody has made is to be closed."""

_ANSWER_SECONDS = 8.0
"""How long one that asks waits, where the plan has no `answer_seconds`."""

_TRY_SECONDS = 8.0
_ENDED = (ChannelClosed, ChannelBroken, NotConnected)
_REFUSED = (*_ENDED, ChannelFull, SendError)
"""SendError: the process stops and can't send a new channel any more."""

Message = dict[str, Any]
Spec = dict[str, Any]


def load() -> dict[str, Any]:
    """Return the plan of this run."""
    plan: dict[str, Any] = json.loads(Path("plan.json").read_text(encoding="utf-8"))
    return plan


def run(name: str) -> Any:
    """Be the child `name`: the target of all children."""
    node = Node(load(), name)
    node.tracer = lines.trace_this_thread()
    node.start()
    match node.plan["children"][name]:
        case "async":
            return node.run_async()
        case "receive" if node.sync_receivers:
            node.start_loop()
            node.serve_on_this_thread()
        case _:
            node.start_loop()
            node.wait()
    return None


class _Return(Exception):
    """The target is to return."""


class _Quit(Exception):
    """A receiver is never to ask again."""


class Node:
    """What one life of one process does."""

    def __init__(self, plan: dict[str, Any], name: str) -> None:
        self.plan = plan
        self.name = name
        self.receivers = [
            (i, receiver)
            for i, receiver in enumerate(plan["receivers"])
            if receiver["process"] == name
        ]
        self.senders = [
            (i, sender) for i, sender in enumerate(plan["senders"]) if sender["process"] == name
        ]
        self.sync_receivers = [each for each in self.receivers if each[1]["way"] in SYNC]
        facts.note(name, "start", os.getpid())
        self.life = len(facts.lives(name))
        self.channels: dict[str, Channel[Any]] = {}
        self.ending: str | None = None
        """How the target is to end, once it is to."""
        self._end = threading.Event()
        self._async_end: Callable[[], object] = lambda: None
        self._kept: set[asyncio.Task[None]] = set()

    tracer: lines.Tracer | None = None

    def note(self, kind: str, *details: object) -> None:
        facts.note(self.name, kind, *details)

    # ------------------------------------------------------------- starting

    def start(self) -> None:
        """Make channels, register callbacks, start threads. On the main thread."""
        for name, channel in self.plan["channels"].items():
            if channel["made"] and channel["owner"] == self.name:
                self.make(name, channel["capacity"])
        for number, receiver in self.receivers:
            if receiver["way"] in CALLBACKS:
                self._thread(self._register, number, receiver)
        main_thread_serves = self.plan["children"].get(self.name) == "receive"
        for i, (number, receiver) in enumerate(self.sync_receivers):
            if i or not main_thread_serves:
                self._thread(self.serve, number, receiver)
            if receiver["way"] == "two_threads":
                self._thread(self.serve, number, receiver)
        for number, sender in self.senders:
            if sender["way"] in ("thread", "shift"):
                self._thread(self.send, number, sender)
        self._thread(self._attend)

    def _thread(self, function: Callable[..., None], *args: object) -> None:
        threading.Thread(target=function, args=args, daemon=True).start()

    def make(self, name: str, capacity: int) -> None:
        """Make a channel, or go on with that of the life before, unless that has closed it."""
        closing = Path(f"closing-{name}").exists()
        if closing and any(
            fact.kind == "closed" and fact.details == (name,)
            for fact in facts.read(process=self.name)
        ):
            return
        channel: Channel[Any] = Channel(name, capacity=capacity)
        set_channel(name, channel)
        self.channels[name] = channel
        if closing:  # The life before died before it had closed it.
            self.close(name)

    def find(self, name: str) -> Channel[Any] | None:
        """Return a channel once there is one; None for one that was closed."""
        deadline = time.monotonic() + _TRY_SECONDS
        while time.monotonic() < deadline:
            if name in self.channels:
                return self.channels[name]
            try:
                channel = get_channel(name)
            except ChannelNotFound:
                if self.is_closed(name):
                    return None
            except NotConnected:
                return None
            else:
                return self.channels.setdefault(name, channel)
            time.sleep(0.01)
        return None

    def is_closed(self, name: str) -> bool:
        """Return whether somebody closes or has closed a channel because the plan says so."""
        made = self.plan["channels"][name]["made"]
        return Path(f"closing-{name}").exists() or (made and CLOSE.exists())

    def close(self, name: str) -> None:
        Path(f"closing-{name}").touch()
        channel = self.channels.get(name) or self.find(name)
        if channel is not None:
            self.note("closing", name)
            channel.close()
            self.note("closed", name)

    # ------------------------------------------------------------- what happens to it

    def _attend(self) -> None:
        """Do to this process what the plan says, and close its channels at last."""
        while self.life == 1 and not GO.exists():
            time.sleep(0.005)
        begun = time.monotonic()
        faults = [
            fault
            for fault in self.plan["faults"]
            if fault["process"] == self.name and fault.get("life") == self.life
        ]
        for fault in sorted(faults, key=lambda fault: fault["at"]):
            time.sleep(max(0.0, begun + fault["at"] - time.monotonic()))
            match fault["kind"]:
                case "close":
                    self.close(fault["channel"])
                case "os_exit":
                    self.note("exit", "os_exit")
                    os._exit(7)
                case kind:
                    self.ending = kind
                    self._end.set()
                    self._async_end()
        while not CLOSE.exists():
            if self.tracer is not None and ENOUGH.exists() and not Path(lines.COUNTS).exists():
                self.tracer.write()
            time.sleep(0.02)
        for name, channel in list(self.channels.items()):
            about = self.plan["channels"][name]
            if about["made"] and about["owner"] == self.name:
                channel.close()

    def end(self) -> None:
        """End the target if and as the plan says. On the main thread."""
        if self.ending is None or CLOSE.exists():
            return  # It is too late for that.
        self.note("exit", self.ending)
        if self.ending == "sys_exit":
            raise SystemExit(1)
        if self.ending == "raise":
            raise ValueError("as planned")
        raise _Return

    # ------------------------------------------------------------- what the main thread does

    def wait(self) -> None:
        """Wait until the plan has the target end."""
        self._end.wait()
        try:
            self.end()
            threading.Event().wait()
        except _Return:
            pass

    def serve_on_this_thread(self) -> None:
        """Receive, until the process is stopped or the plan has the target end."""
        try:
            self.serve(*self.sync_receivers[0], after=self.end)
        except _Return:
            return
        if self.stopping is None:
            self.wait()  # Its channel was closed.

    async def run_async(self) -> None:
        """Run what is async on the main thread's loop, until the plan has the target end."""
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        self._async_end = lambda: loop.call_soon_threadsafe(ended.set)
        self.start_tasks()
        if self.ending is None:
            await ended.wait()
        try:
            self.end()
            await asyncio.Event().wait()
        except _Return:
            pass

    def start_loop(self) -> None:
        """Run what is async on a loop in a thread."""

        async def serve() -> None:
            self.start_tasks()
            await asyncio.Event().wait()

        self._thread(lambda: asyncio.run(serve()))

    def start_tasks(self) -> None:
        """Start what is async, on this loop."""
        for number, receiver in self.receivers:
            way = receiver["way"]
            if way in ASYNC:
                serve = self.serve_cancelled if way == "cancelled" else self.async_serve
                for _ in range(3 if way == "three_tasks" else 1):
                    self._task(serve(number, receiver))
        for number, sender in self.senders:
            if sender["way"] in ("async", "burst"):
                self._task(self.async_send(number, sender))

    def _task(self, coroutine: Any) -> None:
        self._kept.add(asyncio.ensure_future(coroutine))

    # ------------------------------------------------------------- receiving

    stopping: str | None = None
    """What was said of the stop of this process, once it is."""

    def _over(self, number: int, receiver: Spec, error: Exception | None) -> bool:
        """Note that a receiving has ended; return whether it is to be tried again.

        The other side may be a process that is stopped and will be started again.
        """
        self.note("over", number)
        text = "" if error is None else str(error)
        if isinstance(error, NotConnected) or "stopping" in text or "has stopped" in text:
            self.stopping = text
            return False
        return (
            receiver["way"] not in ENDING_SILENTLY
            and not self._all_closed(receiver)
            and any(
                fault["kind"] == "stop" and fault["process"] != self.name
                for fault in self.plan["faults"]
            )
        )

    def serve(self, number: int, receiver: Spec, after: Callable[[], None] = lambda: None) -> None:
        """Receive on this thread until there is no more to come."""
        channels = [self.find(name) for name in receiver["channels"]]
        there = [channel for channel in channels if channel is not None]
        if not there:
            self.note("over", number)
            return
        while True:
            error: Exception | None = None
            try:
                take = SYNC[receiver["way"]](there)
                while True:
                    message = take()
                    self.handle(number, receiver, message)
                    after()
            except StopIteration:
                pass
            except _Quit:
                return
            except _ENDED as ended:
                error = ended
            if not self._over(number, receiver, error):
                if error is None and not self._all_closed(receiver):
                    self.stopping = "the loop has ended"
                return
            time.sleep(0.02)

    def _all_closed(self, receiver: Spec) -> bool:
        return all(self.is_closed(name) for name in receiver["channels"])

    async def async_serve(
        self, number: int, receiver: Spec, waits: list[bool] | None = None
    ) -> None:
        """Receive in this task until there is no more to come; `waits` says whether it waits."""
        waits = [False] if waits is None else waits
        channels = [await asyncio.to_thread(self.find, name) for name in receiver["channels"]]
        there = [channel for channel in channels if channel is not None]
        if not there:
            self.note("over", number)
            return
        while True:
            error: Exception | None = None
            try:
                take = ASYNC[receiver["way"]](there)
                while True:
                    waits[0] = True
                    message = await take()
                    waits[0] = False
                    await self.async_handle(number, receiver, message)
            except StopAsyncIteration:
                pass
            except _ENDED as ended:
                error = ended
            waits[0] = False
            if not self._over(number, receiver, error):
                return
            await asyncio.sleep(0.02)

    async def serve_cancelled(self, number: int, receiver: Spec) -> None:
        """Do the same in tasks that are cancelled now and then while they wait."""
        task = None
        while task is None or task.cancelled():
            waits = [False]
            task = asyncio.ensure_future(self.async_serve(number, receiver, waits))
            while not task.done():
                await asyncio.wait({task}, timeout=random.uniform(0, 0.05))
                if waits[0] and not task.done():
                    task.cancel()
                    await asyncio.wait({task})
        task.result()

    def _register(self, number: int, receiver: Spec) -> None:
        def sync(message: Message) -> None:
            self.handle(number, receiver, message)

        async def in_turn(message: Message) -> None:
            await self.async_handle(number, receiver, message)

        async def wanted(message: Message) -> bool:
            await asyncio.sleep(0)
            return True

        options, is_sync = CALLBACKS[receiver["way"]]
        if receiver["way"] == "filtered":
            options = {"filter_func": wanted}
        for name in receiver["channels"]:
            channel = self.find(name)
            try:
                if channel is not None:
                    channel.on_receive(**options)(sync if is_sync else in_turn)
            except _ENDED:
                pass

    def handle(self, number: int, receiver: Spec, message: Message) -> None:
        """Handle a message on a thread."""
        self.note("begin", number, message["id"])
        if receiver["handling"]:
            time.sleep(receiver["handling"])
        if receiver.get("stores"):
            shared_memory.set("last", message["id"])
        if message["reply"] is not None:
            try:
                message["reply"].send(message["id"], timeout=1)
            except ChannelError:
                pass  # Nobody asks any more, or it was answered before.
        self.note("end", number, message["id"])

    async def async_handle(self, number: int, receiver: Spec, message: Message) -> None:
        """Do the same on a loop."""
        self.note("begin", number, message["id"])
        if receiver["handling"]:
            await asyncio.sleep(receiver["handling"])
        if receiver.get("stores"):
            await shared_memory.async_set("last", message["id"])
        if message["reply"] is not None:
            try:
                await message["reply"].async_send(message["id"], timeout=1)
            except ChannelError:
                pass
        self.note("end", number, message["id"])

    # ------------------------------------------------------------- sending

    def _messages(self, number: int, sender: Spec) -> Iterator[Message]:
        count = sender["count"] if self.life == 1 else sender["count"] // 2
        for n in range(count):
            if ENOUGH.exists():
                return
            yield {
                "id": [self.name, self.life, number, n],
                "pad": bytes(sender["size"]),
                "reply": Channel(capacity=1) if sender["asks"] and n % 5 == 0 else None,
            }

    def _refused(self, sender: Spec, error: Exception) -> bool:
        """Return whether a send is to be tried again."""
        if isinstance(error, ChannelFull):
            return True
        text = str(error)
        return (
            isinstance(error, ChannelClosed)
            and "has stopped" not in text
            and not self.is_closed(sender["channel"])
        )

    def send(self, number: int, sender: Spec) -> None:
        """Send all on this thread."""
        channel = self._begin_sending(sender)
        for message in self._messages(number, sender) if channel is not None else ():
            assert channel is not None
            deadline = time.monotonic() + _TRY_SECONDS
            while True:
                try:
                    if sender["way"] == "shift":
                        channel << message
                    else:
                        channel.send(message)
                    break
                except _REFUSED as error:
                    if not self._refused(sender, error) or time.monotonic() > deadline:
                        self.note("done", number)
                        return
                time.sleep(0.02)
            self.note("sent", number, message["id"][3])
            if message["reply"] is not None:
                self._await_answer(number, message)
            if sender["pause"]:
                time.sleep(sender["pause"])
        self.note("done", number)

    def _begin_sending(self, sender: Spec) -> Channel[Any] | None:
        while not GO.exists():
            time.sleep(0.005)
        return self.find(sender["channel"])

    def _await_answer(self, number: int, message: Message) -> None:
        what = "answered"
        try:
            answer = message["reply"].receive(self.plan.get("answer_seconds", _ANSWER_SECONDS))
            assert answer == message["id"], (answer, message["id"])
        except ChannelTimeout:
            what = "timeout"
        except _ENDED as error:
            what = str(error)
        self.note("answer", number, message["id"][3], what)

    async def async_send(self, number: int, sender: Spec) -> None:
        """Send all in this task; a burst by `send`, which does not wait on a loop."""
        channel = await asyncio.to_thread(self._begin_sending, sender)
        for message in self._messages(number, sender) if channel is not None else ():
            assert channel is not None
            deadline = time.monotonic() + _TRY_SECONDS
            while True:
                try:
                    if sender["way"] == "burst":
                        channel.send(message)
                    else:
                        await channel.async_send(message)
                    break
                except _REFUSED as error:
                    if not self._refused(sender, error) or time.monotonic() > deadline:
                        self.note("done", number)
                        return
                await asyncio.sleep(0.005)
            self.note("sent", number, message["id"][3])
            if message["reply"] is not None:
                await self._async_await_answer(number, message)
            if sender["pause"]:
                await asyncio.sleep(sender["pause"])
        self.note("done", number)

    async def _async_await_answer(self, number: int, message: Message) -> None:
        what = "answered"
        try:
            seconds = self.plan.get("answer_seconds", _ANSWER_SECONDS)
            answer = await message["reply"].async_receive(seconds)
            assert answer == message["id"], (answer, message["id"])
        except ChannelTimeout:
            what = "timeout"
        except _ENDED as error:
            what = str(error)
        self.note("answer", number, message["id"][3], what)


# ------------------------------------------------------------- ways of receiving

Channels = list[Channel[Any]]


def _timeout(channels: Channels) -> Callable[[], Message]:
    def take() -> Message:
        while True:
            try:
                message: Message = channels[0].receive(timeout=0.03)
                return message
            except ChannelTimeout:
                pass

    return take


def _nowait(channels: Channels) -> Callable[[], Message]:
    def take() -> Message:
        while True:
            try:
                message: Message = channels[0].receive_nowait()
                return message
            except ChannelEmpty:
                time.sleep(0.005)

    return take


def _quits(channels: Channels) -> Callable[[], Message]:
    left = 5

    def take() -> Message:
        nonlocal left
        left -= 1
        try:
            message: Message = channels[0].receive(None if left >= 0 else 0.001)
        except ChannelTimeout:
            raise _Quit from None
        return message

    return take


def _iterate(channels: Channels) -> Callable[[], Message]:
    iterator = iter(channels[0])
    return lambda: next(iterator)


def _select(channels: Channels) -> Callable[[], Message]:
    iterator = select(*channels)
    return lambda: next(iterator)[1]


def _async_timeout(channels: Channels) -> Callable[[], Awaitable[Message]]:
    async def take() -> Message:
        while True:
            try:
                message: Message = await channels[0].async_receive(timeout=0.03)
                return message
            except ChannelTimeout:
                pass

    return take


def _async_nowait(channels: Channels) -> Callable[[], Awaitable[Message]]:
    async def take() -> Message:
        while True:
            try:
                message: Message = channels[0].receive_nowait()
                return message
            except ChannelEmpty:
                await asyncio.sleep(0.005)

    return take


def _async_iterate(channels: Channels) -> Callable[[], Awaitable[Message]]:
    return channels[0].__aiter__().__anext__


def _async_select(channels: Channels) -> Callable[[], Awaitable[Message]]:
    iterator = async_select(*channels)

    async def take() -> Message:
        message: Message = (await iterator.__anext__())[1]
        return message

    return take


SYNC: dict[str, Callable[[Channels], Callable[[], Message]]] = {
    "receive": lambda channels: channels[0].receive,
    "timeout": _timeout,
    "nowait": _nowait,
    "iterate": _iterate,
    "two_threads": _iterate,
    "select": _select,
    "quits": _quits,
}
ASYNC: dict[str, Callable[[Channels], Callable[[], Awaitable[Message]]]] = {
    "async_receive": lambda channels: channels[0].async_receive,
    "async_timeout": _async_timeout,
    "async_nowait": _async_nowait,
    "async_iterate": _async_iterate,
    "three_tasks": _async_iterate,
    "cancelled": lambda channels: channels[0].async_receive,
    "async_select": _async_select,
}
CALLBACKS: dict[str, tuple[dict[str, Any], bool]] = {
    "callback": ({}, False),
    "sync_callback": ({}, True),
    "ordered": ({"ordered": True}, False),
    "sync_ordered": ({"ordered": True}, True),
    "bounded": ({"concurrency": 2}, False),
    "filtered": ({}, False),
}
"""Options of `on_receive`, and whether the callback is a sync one."""
