"""This main process as a node of a cluster: its channels for others, and the channels of others.

The hub has a `NodePeer` for each other node. A channel that another node has is a route here that
this peer has made, so plugins get it by its name and do not know the difference.

Ownership. A `Node` owns the connection, its parts, and a thread with a loop on which they run:
LiteyukiBot's loop may be blocked, and delays nobody. `open` and `close` are called once each, by
any other thread.

Locks. What the hub calls is called under its lock, and only notes what is to be done. The loop does
it, and takes the lock for calls of the hub. Nothing waits under the lock.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import suppress
from time import monotonic
from typing import Any
from uuid import uuid4

import msgspec
import nats.errors
from nats.aio.msg import Msg

from .. import log
from ..comm.hub.main import Main
from ..errors import ClusterError
from ..gateway.thread import LoopThread
from ..language import say
from . import message
from .across import Across
from .asking import COMMAND, Asking
from .connection import Connection, Refused
from .far import Arrival, Far, NodePeer
from .handled import Handled
from .incoming import Incoming
from .member import Member
from .message import Word
from .options import Options
from .presence import Presence
from .requests import Requests
from .routes import Routes
from .store import SharedStore
from .streams import Streams
from .subjects import NAME, Subjects

_OPEN_SECONDS = 60.0
_AT_A_TIME = 32
"""So many channels at a time are told, or get their consumers: thousands would time each other out.
"""
_FULL = {10077, 10047, 10023}
_AGAIN_SECONDS = 0.1


class Node:
    """One node of a cluster."""

    def __init__(self, main: Main, options: Options) -> None:
        self.name = options.node
        self.cluster = options.cluster
        self.epoch = uuid4().hex[:12]
        self.hub = main.hub
        self.across = Across(main.hub)
        self.hub_limit = main.context.max_message_bytes
        self.subjects = Subjects(options.cluster, options.node)
        self.delivered = f"ly.{options.cluster}.d.{options.node}.{self.epoch}"
        """Where the server delivers what comes for this node."""
        self.consumers: dict[str, Incoming] = {}
        self.stopping = False
        self.closed = False
        self._loop: asyncio.AbstractEventLoop
        self._thread: LoopThread
        self.connection = Connection(
            options.access, f"liteyuki {options.node}", self._connected_again
        )
        self._serial = 0
        self._tasks: set[asyncio.Task[Any]] = set()
        peers: dict[str, NodePeer] = {}
        self._streams = Streams(self, options.replicas)
        self._handled = Handled(self, peers)
        self._routes = Routes(self, peers, options.grace, self._node_changed)
        self._book = self._routes.book
        self.requests = Requests(self, self._book)
        store = main.store
        assert isinstance(store, SharedStore), "Main is made with make_store=SharedStore"
        self._store = store
        store.join(self)
        self.presence = Presence(self, self._book)
        self._asking = Asking(self, self.presence)
        self._runs: dict[str, bool] = {}
        """Which nodes run, as was told last."""
        self._opened = False
        self.gate = asyncio.Semaphore(_AT_A_TIME)
        self.on_member: Callable[[Member], object] = lambda _: None
        """Is called on the loop when a node has come or gone."""
        # Noted under the hub's lock.
        self.busy: set[Far] = set()
        self._due: list[Far] = []
        self._woken = False

    # ------------------------------------------------------------- from any other thread

    def open(self) -> None:
        """Connect, and have the channels of other nodes. Raises `ClusterError`."""
        self._loop = asyncio.new_event_loop()
        self._thread = LoopThread(self._loop, "liteyuki-cluster")
        self._thread.start()
        opening = asyncio.run_coroutine_threadsafe(self._open(), self._loop)
        try:
            opening.result(_OPEN_SECONDS)
        except BaseException as error:
            opening.cancel()
            self.closed = True
            with suppress(Exception):  # The error above is the one to be told.
                asyncio.run_coroutine_threadsafe(self.connection.close(), self._loop).result(5)
            self._thread.close()
            if isinstance(error, ClusterError) or not isinstance(error, Exception):
                raise
            raise ClusterError(
                f"the NATS server at {self.connection.shown} does not do what is asked of it: "
                f"{str(error) or type(error).__name__}"
            ) from error

    def ask(self, node: str, question: bytes, timeout: float, kind: str = COMMAND) -> Future[bytes]:
        """Ask another node. What comes of it raises `NodeError` and `ClusterError`."""
        asking = self._asking.ask(node, question, timeout, kind)
        return asyncio.run_coroutine_threadsafe(asking, self._loop)

    def serve(self, answer: Callable[[bytes], bytes], kind: str = COMMAND) -> None:
        """Have `answer` called with what other nodes ask, in a thread where it may wait."""
        self.soon(lambda: self.task(self._asking.serve(answer, kind)))

    def stop(self) -> None:
        """Learn that this node is about to stop: others are not told that its channels end."""
        self.stopping = True

    def close(self, timeout: float) -> None:
        """Send what waits, for at most `timeout` seconds, and leave the cluster."""
        self.stop()
        closing = asyncio.run_coroutine_threadsafe(self._close(timeout), self._loop)
        try:
            closing.result(timeout + 5)
        except Exception as error:  # Whatever it is, the thread is to end.
            log.logger.debug(f"NATS: the node has not left in good order: {error!r}")
        self._thread.close()

    # ------------------------------------------------------------- under the hub's lock

    def due(self, far: Far) -> None:
        """Have a far end send what waits."""
        if not far.due:
            far.due = True
            self._due.append(far)
            self.wake()

    def was_handled(
        self, incoming: Incoming, arrival: Arrival, sender: str, numbers: list[int]
    ) -> None:
        """Note how many messages of a letter are handled."""
        self._handled.note(incoming, arrival, sender, numbers)
        self.wake()

    def soon(self, call: Callable[..., object], *args: Any) -> None:
        """Have the loop call something."""
        if not self.closed:
            with suppress(RuntimeError):  # It has ended meanwhile.
                self._loop.call_soon_threadsafe(call, *args)

    def wake(self) -> None:
        """Have the loop do what was noted."""
        if not self._woken:
            self._woken = True
            self.soon(self._work)

    # ------------------------------------------------------------- on the loop

    def _work(self) -> None:
        with self.hub.lock:
            due, self._due = self._due, []
            noted = self._handled.take()
            asked = self.requests.take()
            self._woken = False
            for far in due:
                far.due = False
        for far in due:
            far.start()
        self._handled.tell(noted)
        self.requests.do(asked)

    def later(self, seconds: float, call: Callable[[], object]) -> None:
        """Have the loop call something after some time."""
        self._loop.call_later(seconds, call)

    def next_serial(self) -> int:
        """Return a number that this life of the node has not used yet."""
        self._serial += 1
        return self._serial

    def task(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run something that nobody waits for."""
        task = self._loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not self.closed:
            log.logger.opt(exception=error).error(
                say("node {node}: a task of the cluster has failed", node=self.name)
            )

    async def publish(self, far: Far, letter: bytes, key: str) -> int:
        """Put a letter on the stream, for as long as it takes; return its number there."""
        headers = {"Nats-Msg-Id": key}
        pause = 0.01
        while True:
            try:
                number = await self.connection.publish(far.subject, letter, headers)
                far.stuck = False
                return number
            except Refused as error:
                if error.code not in _FULL:
                    log.logger.debug(f"NATS: {far.subject} is refused: {error!r}")
                if not far.stuck:
                    far.stuck = True
                    self.has_left()
                pause = min(0.5, pause * 2)
            except (nats.errors.Error, asyncio.TimeoutError, OSError):
                pause = _AGAIN_SECONDS
            await asyncio.sleep(pause)

    def acknowledge(self, reply: str) -> None:
        """Acknowledge a letter on the stream."""
        self._handled.acknowledge(reply)

    def has_left(self) -> None:
        """Learn that a far end has sent something: letters may count as handled that waited."""
        self._handled.has_left()
        self.requests.has_left()

    def far_for(self, node: str, name: str, *, is_home: bool) -> Far | None:
        """Return the end of a channel with a node; None if there is no such channel.

        Raises `ClusterError` if a node can't have that name.
        """
        return self._routes.far_for(node, name, is_home=is_home)

    def channel_ended(self, name: str) -> None:
        """Learn that another node's channel has ended here. There may be a new one of that name."""
        self._routes.channel_ended(name)

    async def make_streams(self) -> None:
        """Make what is missing of the streams. Raises `ClusterError`."""
        if await self._streams.make():
            self._routes.begin_anew()

    async def tell(self, subject: str, word: Word) -> None:
        """Tell other nodes something, which may be lost."""
        with suppress(nats.errors.Error, OSError):  # It is told again when it is missed.
            await self.connection.tell(subject, message.encode(word))

    async def answers(self, node: str) -> bool | None:
        """Return whether a node runs: the server knows whether anybody listens. None: not known."""
        try:
            await self.connection.request(self.subjects.words(node), b"", 2.0)
        except nats.errors.NoRespondersError:
            return False
        except (nats.errors.Error, asyncio.TimeoutError):
            return None
        return True

    def look_around(self) -> None:
        """See to what should have been heard of by now."""
        self._store.look_around()
        self.task(self._handled.look())
        self.task(self._look_for_nodes())

    async def _look_for_nodes(self) -> None:
        await self._book.look_for_late_ones()
        self._look_at_members()
        self._routes.rest()
        self._routes.look_for_silent()
        self.requests.look()

    def _look_at_members(self) -> None:
        """Tell which nodes have come or gone."""
        for name in list(self._book.nodes):
            runs = self._book.is_alive(name)
            if name == self.name or runs == self._runs.get(name, False):
                continue
            self._runs[name] = runs
            if runs:
                log.logger.info(say("node {node} of the cluster is there", node=name))
            else:
                self._asking.gone(name)
                log.logger.warning(
                    say("node {node} of the cluster is gone: what is sent to it waits", node=name)
                )
            self.on_member(self.presence.member(name))

    def members(self) -> dict[str, Member]:
        """Return the nodes by name. From any thread."""
        return self.presence.all()

    def replaced(self) -> None:
        """Learn that another process is this node now."""
        log.logger.error(
            say(
                "another main process is node {node} now: this one has no part in the cluster any "
                "more; each needs a LITEYUKI_NODE of its own",
                node=self.name,
            )
        )
        self.closed = True
        self._store.end("this node has left the cluster: another process is it now")
        self._routes.take_nothing()
        for task in self._tasks:
            task.cancel()

    # ------------------------------------------------------------- inside, on the loop

    async def _open(self) -> None:
        await self.connection.open()
        await self.make_streams()
        await self.connection.subscribe(self.delivered, self._delivered)
        await self._book.open(self._listen)
        await self._store.open()
        await self.requests.open()
        self._routes.open()
        self._opened = True
        log.logger.info(
            say(
                "node {node} is one of cluster {cluster} at {url}",
                node=self.name,
                cluster=self.cluster,
                url=self.connection.shown,
            )
        )
        self._look_at_members()
        self.presence.tell()

    async def _listen(self) -> None:
        await self.connection.subscribe(self.subjects.words(self.name), self._word)
        await self.connection.subscribe(self.subjects.all_words, self._word)

    async def _close(self, timeout: float) -> None:
        until = monotonic() + timeout
        self._store.leave()
        while self._is_busy() and monotonic() < until:
            await asyncio.sleep(0.01)
        self._store.end("this node has left the cluster")
        self._routes.close()
        self._asking.close()
        if not self.closed:
            await self._book.close()
        self.closed = True
        await self.connection.close()

    def _is_busy(self) -> bool:
        if self._store.is_busy and self.connection.is_there:
            return True
        if self._handled.is_busy or self.requests.is_busy:
            return True
        return any(not far.stuck for far in list(self.busy))

    def _connected_again(self) -> None:
        self.task(self._catch_up())

    async def _catch_up(self) -> None:
        """Have what was lost with the connection."""
        while True:
            try:
                await self.make_streams()
                await self._book.follow()
                await self._store.catch_up()
                break
            except (Refused, ClusterError, nats.errors.Error, asyncio.TimeoutError) as error:
                log.logger.debug(f"NATS: not ready yet: {error!r}")
            await asyncio.sleep(_AGAIN_SECONDS)
        for incoming in self._routes.incoming:
            incoming.start()
        self.presence.tell(again=True)
        await self._routes.tell_all_held()
        await self.tell(self.subjects.all_words, Word(self.name, self.epoch, resync=True))
        self.requests.connected_again()
        await self._handled.look(at_once=True)

    async def _delivered(self, msg: Msg) -> None:
        parts = msg.reply.split(".")
        try:  # $JS.ACK.[DOMAIN.ACCOUNT.]STREAM.CONSUMER.DELIVERED.NUMBER.COUNT.TIME.PENDING[.TOKEN]
            at = 3 if len(parts) == 9 else 5
            consumer, number, count = parts[at], int(parts[at + 2]), int(parts[at + 3])
        except (IndexError, ValueError):
            return
        incoming = self.consumers.get(consumer)
        if incoming is not None:
            incoming.take(msg, number, count)

    async def _word(self, msg: Msg) -> None:
        if msg.reply:
            await self.connection.tell(msg.reply, b"")
            return
        try:
            word = message.read_word(msg.data)
        except msgspec.MsgspecError as error:
            log.logger.debug(f"NATS: a word at {msg.subject} is none of ours: {error}")
            return
        if not NAME.fullmatch(word.node) or word.node == self.name:
            return
        self._handled.learn(word)
        if word.resync:
            self.requests.came_back(word.node)
        await self._routes.hear(word)

    def _node_changed(self, name: str, new: bool) -> None:
        """Learn that a node has written its entry, and whether it has come, or has a new life."""
        if self._opened:
            self._look_at_members()
        if new and name != self.name:
            self._asking.gone(name)  # Its life before is.
            self._routes.came_back(name)
            self.requests.came_back(name)
        elif not self._book.is_alive(name):
            self.requests.look()
