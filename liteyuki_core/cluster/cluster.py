"""This main process as a node of a cluster: its channels for others, and the channels of others.

The hub has a `NodePeer` for each other node. A channel that another node has is a route here that
this peer has made, so plugins get it by its name and do not know the difference. A channel of this
node is told to others by the `Registrar`, a peer that only learns the names.

Ownership. A `Node` owns the connection, the book, all that comes in, and a thread with a loop on
which they run: LiteyukiBot's loop may be blocked, and delays nobody. `open` and `close` are called
once each, by any other thread.

Locks. What the hub calls is called under its lock, and only notes what is to be done. The loop does
it, and takes the lock for calls of the hub. Nothing waits under the lock.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from time import monotonic
from typing import Any, NamedTuple
from uuid import uuid4

import msgspec
import nats.errors
from nats.aio.msg import Msg

from .. import log
from ..comm.hub.main import Main
from ..comm.wire.words import FAR, QUEUE
from ..config import Settings
from ..errors import ClusterError, ConfigError
from ..gateway.thread import LoopThread
from ..language import say
from . import message
from .book import Book
from .connection import ELECTION_SECONDS, Access, Connection, Refused
from .far import WINDOW, Arrival, Far, Listened, NodePeer
from .incoming import Incoming
from .member import Member
from .message import ChannelEntry, Word
from .subjects import NAME, Subjects

_OPEN_SECONDS = 30.0
_DUPLICATE_SECONDS = 120
_LETTERS = 1024
"""At most so many letters are on the stream for one subject."""
_CONSUMERS = 100_000
"""Channels, and who receives of them. Unless it is said, servers allow 1,000."""
_AT_A_TIME = 32
"""So many channels at a time are told, or get their consumers: thousands would time each other out.
"""
_FULL = {10077, 10047, 10023}
_NO_MESSAGE = 10037
_NOT_READY = {10005, 10008, 10074}
_AGAIN_SECONDS = 0.1
_LATE_SECONDS = 5.0
"""A letter that nobody has said is handled for so long is looked for on the stream."""
_INTERNAL = ("-gateway", "-session")

_NO_REQUESTS = "requests can't go to another node of the cluster yet"


class Options(NamedTuple):
    """What the settings say about the cluster."""

    access: Access
    cluster: str
    node: str
    replicas: int


def options_of(settings: Settings) -> Options:
    """Return what the settings say. Raises `ConfigError` if a name is missing or not allowed."""
    access = Access(str(settings.nats_url), settings.nats_creds, settings.nats_ca)
    if settings.node is None:
        raise ConfigError(
            "LITEYUKI_NATS_URL needs LITEYUKI_NODE: this main process's name in the cluster"
        )
    for key, name in (("NODE", settings.node), ("CLUSTER", settings.cluster)):
        if not NAME.fullmatch(name):
            raise ConfigError(
                f"LITEYUKI_{key}={name!r}: a name has 1 to 32 letters, digits, - or _"
            )
    return Options(access, settings.cluster, settings.node, settings.nats_replicas)


class Registrar(NodePeer):
    """Learns which names there are, from the hub."""

    def __init__(
        self, node: Node, renamed: Callable[[dict[str, tuple[int, str]], list[str]], None]
    ):
        super().__init__(node, "", 0)
        self._renamed = renamed

    def renamed(self, add: Mapping[str, tuple[int, str]], remove: list[str]) -> None:
        self._renamed(dict(add), list(remove))


class _Handled(NamedTuple):
    """A letter of which messages are handled. `busy`: what must have left before it counts."""

    incoming: Incoming
    arrival: Arrival
    sender: str
    numbers: list[int]
    handled: int
    busy: list[tuple[Far, int]]


class Node:
    """One node of a cluster."""

    def __init__(self, main: Main, options: Options) -> None:
        self.name = options.node
        self.cluster = options.cluster
        self.epoch = uuid4().hex[:12]
        self.hub = main.hub
        self.hub_limit = main.context.max_message_bytes
        self.subjects = Subjects(options.cluster, options.node)
        self.delivered = f"ly.{options.cluster}.d.{options.node}.{self.epoch}"
        """Where the server delivers what comes for this node."""
        self.consumers: dict[str, Incoming] = {}
        self.stopping = False
        self.closed = False
        self._replicas = options.replicas
        self._loop: asyncio.AbstractEventLoop
        self._thread: LoopThread
        self.connection = Connection(
            options.access, f"liteyuki {options.node}", self._connected_again
        )
        self._book: Book
        self._created: str | None = None
        """When the stream was made, as the server says it."""
        self._peers: dict[str, NodePeer] = {}
        self._homes: dict[str, Incoming] = {}
        self._theirs: dict[str, Incoming] = {}
        """By name: what comes on channels of this node, and on those of other nodes."""
        self._serial = 0
        self._tasks: set[asyncio.Task[Any]] = set()
        self._registrar = Registrar(self, self._renamed)
        self._runs: dict[str, bool] = {}
        """Which nodes run, as was told last."""
        self._opened = False
        self.gate = asyncio.Semaphore(_AT_A_TIME)
        self.on_member: Callable[[Member], object] = lambda _: None
        """Is called on the loop when a node has come or gone."""
        # Noted under the hub's lock.
        self.busy: set[Far] = set()
        self._due: list[Far] = []
        self._noted: list[_Handled] = []
        self._woken = False
        # On the loop alone.
        self._handled: deque[_Handled] = deque()
        self._acks: list[str] = []
        self._acking = False

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
            with suppress(Exception):
                asyncio.run_coroutine_threadsafe(self.connection.close(), self._loop).result(5)
            self._thread.close()
            if isinstance(error, ClusterError) or not isinstance(error, Exception):
                raise
            raise ClusterError(
                f"the NATS server at {self.connection.shown} does not do what is asked of it: "
                f"{str(error) or type(error).__name__}"
            ) from error

    def stop(self) -> None:
        """Learn that this node is about to stop: others are not told that its channels end."""
        self.stopping = True

    def close(self, timeout: float) -> None:
        """Send what waits, for at most `timeout` seconds, and leave the cluster."""
        self.stop()
        with suppress(Exception):
            asyncio.run_coroutine_threadsafe(self._close(timeout), self._loop).result(timeout + 5)
        self._thread.close()

    # ------------------------------------------------------------- under the hub's lock

    def due(self, far: Far) -> None:
        """Have a far end send what waits."""
        if not far.due:
            far.due = True
            self._due.append(far)
            self._wake()

    def was_handled(
        self, incoming: Incoming, arrival: Arrival, sender: str, numbers: list[int]
    ) -> None:
        """Note how many messages of a letter are handled."""
        busy = []
        if arrival.handled >= arrival.count:
            busy = [(far, far.accepted) for far in self.busy]
        self._noted.append(_Handled(incoming, arrival, sender, numbers, arrival.handled, busy))
        self._wake()

    def soon(self, call: Callable[..., object], *args: Any) -> None:
        """Have the loop call something."""
        if not self.closed:
            with suppress(RuntimeError):  # It has ended meanwhile.
                self._loop.call_soon_threadsafe(call, *args)

    def _wake(self) -> None:
        if not self._woken:
            self._woken = True
            self.soon(self._work)

    def _renamed(self, add: dict[str, tuple[int, str]], remove: list[str]) -> None:
        ours = {
            name: capacity
            for name, (capacity, key) in add.items()
            if not key.startswith((FAR, QUEUE)) and not name.endswith(_INTERNAL)
        }
        if ours or remove:
            self.soon(self._names_changed, ours, remove)

    def _yields(self, name: str) -> bool:
        entry = self._book.channels.get(name)
        return entry is None or not self._book.is_alive(entry.node)

    # ------------------------------------------------------------- on the loop

    def later(self, seconds: float, call: Callable[[], object]) -> None:
        """Have the loop call something after some time."""
        self._loop.call_later(seconds, call)

    def next_serial(self) -> int:
        """Return a number that this life of the node has not used yet."""
        self._serial += 1
        return self._serial

    def task(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run something that nobody waits for."""
        task = self._loop.create_task(self._guarded(coroutine))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _guarded(self, coroutine: Coroutine[Any, Any, None]) -> None:
        try:
            await coroutine
        except Exception as error:
            if not self.closed:
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
        self._acks.append(reply)
        if not self._acking:
            self._acking = True
            self.task(self._acknowledge())

    async def _acknowledge(self) -> None:
        while self._acks:
            acks, self._acks = self._acks, []
            for reply in acks:
                # One that is lost is sent again when the letter comes again.
                with suppress(nats.errors.Error, OSError):
                    await self.connection.tell(reply, b"+ACK")
        self._acking = False

    def has_left(self) -> None:
        """Learn that a far end has sent something: letters may count as handled that waited."""
        handled = self._handled
        while handled:
            first = handled[0]
            if any(far.published < count and not far.stuck for far, count in first.busy):
                return
            handled.popleft()
            first.incoming.done(first.numbers)

    def far_for(self, node: str, name: str, *, is_home: bool) -> Far | None:
        """Return the end of a channel with a node; None if there is no such channel."""
        if not NAME.fullmatch(node) or node == self.name:
            raise ClusterError(f"a node that is named {node!r}")
        peer = self._peer(node)
        far = peer.by_name.get((name, is_home))
        if far is not None or not is_home:
            return far
        with self.hub.lock:
            found = self.hub.find(name)
            if found is None or found[1].startswith((FAR, QUEUE)):
                return None
            far = peer.add(name, True)
            self.hub.open(peer, far.number, found[1], found[0])
            if far.number not in peer.ends:
                peer.forget(far)
                return None
        self.hub.pump()
        return far

    async def answers(self, node: str) -> bool:
        """Return whether a node runs: the server knows whether anybody listens."""
        try:
            await self.connection.request(self.subjects.words(node), b"", 2.0)
        except nats.errors.NoRespondersError:
            return False
        except (nats.errors.Error, asyncio.TimeoutError):
            pass
        return True

    def look_around(self) -> None:
        """See to what should have been heard of by now."""
        self.task(self._find_handled())
        self.task(self._look_for_nodes())

    async def _look_for_nodes(self) -> None:
        await self._book.look_for_late_ones()
        self._look_at_members()
        for name, peer in self._peers.items():
            if self._book.is_alive(name):
                continue
            with self.hub.lock:
                for far in list(peer.fars.values()):
                    if far.is_home:
                        self.hub.rests(peer, far.number)

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
                log.logger.warning(
                    say("node {node} of the cluster is gone: what is sent to it waits", node=name)
                )
            self.on_member(self._member(name))

    def members(self) -> dict[str, Member]:
        """Return the nodes by name. From any thread."""
        return {name: self._member(name) for name in list(self._book.nodes)}

    def _member(self, name: str) -> Member:
        channels = list(self._book.channels.values())
        return Member(
            name,
            name == self.name,
            name == self.name or self._book.is_alive(name),
            tuple(sorted(each.name for each in channels if each.node == name)),
        )

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
        for incoming in (*self._homes.values(), *self._theirs.values()):
            incoming.close()
        for task in self._tasks:
            task.cancel()

    # ------------------------------------------------------------- inside, on the loop

    async def _open(self) -> None:
        self._book = Book(self, self._channel_changed, self._node_changed)
        await self.connection.open()
        await self._make_streams()
        await self.connection.subscribe(self.delivered, self._delivered)
        await self._book.open()
        await self.connection.subscribe(self.subjects.words(self.name), self._word)
        await self.connection.subscribe(self.subjects.all_words, self._word)
        with self.hub.lock:
            self.hub.yields = self._yields
            self.hub.attach(self._registrar)
        self.hub.pump()
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

    async def _make_streams(self) -> None:
        """Make the streams, or look at them. Raises `ClusterError`."""
        subjects = self.subjects
        made = await self._make_stream(
            {
                "name": subjects.stream,
                "subjects": [subjects.messages],
                "retention": "workqueue",
                "discard": "new",
                "discard_new_per_subject": True,
                "max_msgs_per_subject": _LETTERS,
                "max_consumers": _CONSUMERS,
                "duplicate_window": _DUPLICATE_SECONDS * 10**9,
                "storage": "file",
                "num_replicas": self._replicas,
            }
        )
        if self._created not in (None, made["created"]):
            for incoming in (*self._homes.values(), *self._theirs.values()):
                incoming.reset()
        self._created = made["created"]
        await self._make_stream(
            {
                "name": subjects.book,
                "subjects": [subjects.entries],
                "max_msgs_per_subject": 1,
                "discard": "new",
                "allow_rollup_hdrs": True,
                "deny_delete": True,
                "storage": "file",
                "num_replicas": self._replicas,
            }
        )

    async def _make_stream(self, config: dict[str, Any]) -> dict[str, Any]:
        name = config["name"]
        until = monotonic() + ELECTION_SECONDS
        while True:
            with suppress(Refused):
                return await self.connection.ask(f"STREAM.INFO.{name}", {})
            try:
                return await self.connection.ask(f"STREAM.CREATE.{name}", config)
            except Refused as error:
                with suppress(Refused):  # Another node was quicker.
                    return await self.connection.ask(f"STREAM.INFO.{name}", {})
                if error.code not in _NOT_READY or monotonic() > until:
                    raise ClusterError(
                        f"the NATS server at {self.connection.shown} can't keep stream {name}: "
                        f"{error}"
                    ) from error
            await asyncio.sleep(_AGAIN_SECONDS)

    async def _close(self, timeout: float) -> None:
        until = monotonic() + timeout
        while self._is_busy() and monotonic() < until:
            await asyncio.sleep(0.01)
        with self.hub.lock:
            self.hub.yields = None
            self.hub.detach(self._registrar)
        for incoming in (*self._homes.values(), *self._theirs.values()):
            incoming.close()
        if not self.closed:
            await self._book.close()
        self.closed = True
        await self.connection.close()

    def _is_busy(self) -> bool:
        if self._noted or self._acks:
            return True
        return any(not far.stuck for far in list(self.busy))

    def _connected_again(self) -> None:
        self.task(self._catch_up())

    async def _catch_up(self) -> None:
        """Have what was lost with the connection."""
        while True:
            try:
                await self._make_streams()
                await self._book.follow()
                break
            except (Refused, ClusterError, nats.errors.Error, asyncio.TimeoutError) as error:
                log.logger.debug(f"NATS: not ready yet: {error!r}")
            await asyncio.sleep(_AGAIN_SECONDS)
        for incoming in (*self._homes.values(), *self._theirs.values()):
            incoming.start()
        for name in self._peers:
            await self._tell_held(name)
        await self._tell(self.subjects.all_words, Word(self.name, self.epoch, resync=True))
        await self._find_handled(at_once=True)

    def _peer(self, node: str) -> NodePeer:
        peer = self._peers.get(node)
        if peer is None:
            peer = NodePeer(self, node, self.next_serial())
            with self.hub.lock:
                self._peers[node] = peer
        return peer

    def _work(self) -> None:
        with self.hub.lock:
            due, self._due = self._due, []
            noted, self._noted = self._noted, []
            self._woken = False
            for far in due:
                far.due = False
        for far in due:
            far.start()
        words: dict[str, dict[tuple[str, bool], dict[int, int]]] = {}
        for each in noted:
            about = words.setdefault(each.sender, {})
            incoming = each.incoming
            counts = about.setdefault((incoming.name, not incoming.is_home), {})
            counts[each.arrival.number] = max(each.handled, counts.get(each.arrival.number, 0))
            if each.handled >= each.arrival.count:
                self._handled.append(each)
        if noted:
            self.has_left()
        for node, about in words.items():
            told = [(name, home, list(counts.items())) for (name, home), counts in about.items()]
            self.task(self._tell_handled(node, told))

    async def _tell_handled(
        self, node: str, told: list[tuple[str, bool, list[tuple[int, int]]]]
    ) -> None:
        await self._tell(self.subjects.words(node), Word(self.name, self.epoch, handled=told))

    async def _tell(self, subject: str, word: Word) -> None:
        with suppress(nats.errors.Error, OSError):  # It is told again when it is missed.
            await self.connection.tell(subject, message.encode(word))

    async def _tell_held(self, node: str) -> None:
        peer = self._peers.get(node)
        if peer is None:
            return
        held = {
            far.name: far.receives for far in peer.fars.values() if far.opened and not far.is_home
        }
        if held:
            await self._tell(self.subjects.words(node), Word(self.name, self.epoch, held=held))

    async def _find_handled(self, *, at_once: bool = False) -> None:
        """Look for letters on the stream that nobody has said are handled."""
        before = monotonic() - (0 if at_once else _LATE_SECONDS)
        for peer in list(self._peers.values()):
            for far in list(peer.fars.values()):
                for number, sent in list(far.sent.items()):
                    if sent.at > before or await self._is_there(number):
                        break
                    far.handled(number, len(sent.numbers))

    async def _is_there(self, number: int) -> bool:
        try:
            await self.connection.ask(f"STREAM.MSG.GET.{self.subjects.stream}", {"seq": number})
        except Refused as error:
            return error.code != _NO_MESSAGE
        except (nats.errors.Error, asyncio.TimeoutError, OSError):
            pass
        return True

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
        peer = self._peer(word.node)
        for name, home, counts in word.handled:
            far = peer.by_name.get((name, home))
            for number, count in counts:
                if far is not None:
                    far.handled(number, count)
        gone = [
            name
            for name, receives in word.held.items()
            if not self._holds(word.node, name, receives)
        ]
        if gone:
            await self._tell(self.subjects.words(word.node), Word(self.name, self.epoch, gone=gone))
        for name in word.gone:
            self._is_gone(peer, name)
        if word.resync:
            await self._tell_held(word.node)

    def _holds(self, node: str, name: str, receives: bool) -> bool:
        """Learn that another node has a channel of this one; return whether there is one."""
        far = self.far_for(node, name, is_home=True)
        if far is None:
            return False
        with self.hub.lock:
            if receives:
                self.hub.receives(far.peer, far.number, WINDOW, False)
            else:
                self.hub.rests(far.peer, far.number)
        self.hub.pump()
        return True

    def _is_gone(self, peer: NodePeer, name: str) -> None:
        """Learn that another node does not have a channel which this one has of it."""
        far = peer.by_name.get((name, False))
        entry = self._book.channels.get(name)
        if far is not None and (entry is None or entry.node != peer.node):
            with self.hub.lock:
                self.hub.close(peer, far.number)
            self.hub.pump()
            peer.forget(far)
            self.channel_ended(name)

    # ------------------------------------------------------------- names

    def _names_changed(self, add: dict[str, int], remove: list[str]) -> None:
        for name in remove:
            if name in self._homes:
                self.task(self._release(name))
        for name, capacity in add.items():
            self.task(self._claim(name, capacity))

    async def _claim(self, name: str, capacity: int) -> None:
        while not self.closed:
            try:
                async with self.gate:
                    has = await self._book.claim(name, capacity)
                if has and name not in self._homes:
                    incoming = self._homes[name] = Incoming(self, name, is_home=True)
                    incoming.start()
                return
            except (Refused, nats.errors.Error, asyncio.TimeoutError, OSError) as error:
                log.logger.debug(f"NATS: channel {name} is not told yet: {error!r}")
            await asyncio.sleep(_AGAIN_SECONDS)

    async def _release(self, name: str) -> None:
        incoming = self._homes.pop(name)
        if self.stopping:
            return
        with suppress(Refused, nats.errors.Error, asyncio.TimeoutError, OSError):
            await self._book.release(name)
            await incoming.delete()

    def _channel_changed(self, name: str, entry: ChannelEntry | None) -> None:
        """Have a route for a channel of another node, or none any more."""
        mine = entry is not None and entry.node == self.name
        for peer in list(self._peers.values()):
            far = peer.by_name.get((name, False))
            if far is None:
                continue
            held = peer.ends.get(far.number)
            if held is None or held[0].name != name:
                peer.forget(far)  # It has ended here already.
                continue
            if entry is not None and entry.node == peer.node:
                return
            if entry is None and far.opened:
                # What was sent before is still to come, and then that it was closed; unless that
                # node has never heard that this one has the channel.
                self.task(self._tell_held(peer.node))
                return
            with self.hub.lock:
                self.hub.close(peer, far.number)
            self.hub.pump()
            peer.forget(far)
        if entry is None or mine:
            return
        if not NAME.fullmatch(entry.node) or not 0 < entry.capacity <= 10_000_000:
            return
        self._make_route(entry)

    def channel_ended(self, name: str) -> None:
        """Learn that another node's channel has ended here. There may be a new one of that name."""
        entry = self._book.channels.get(name)
        if entry is not None:
            self._channel_changed(name, entry)

    def _make_route(self, entry: ChannelEntry) -> None:
        peer = self._peer(entry.node)
        with self.hub.lock:
            if self.hub.find(entry.name) is not None:
                return  # This node has a channel of that name, which `claim` has told.
            far = peer.add(entry.name, False)
            self.hub.open(peer, far.number, None, entry.capacity)
            route, _ = peer.ends[far.number]

            def notify(opened: bool, receives: bool) -> None:
                self.soon(self._listens, far, opened, receives)

            route.sides = (route.sides[0], Listened(notify))
            route.requests(0).refusal = _NO_REQUESTS
            self.hub.register(peer, far.number, entry.name)
        self.hub.pump()

    def _listens(self, far: Far, opened: bool, receives: bool) -> None:
        """Learn whether processes of this node have a channel of another one, and receive there."""
        far.opened, far.receives = far.opened or opened, receives
        if opened and far.name not in self._theirs:
            incoming = self._theirs[far.name] = Incoming(self, far.name, is_home=False)
            incoming.start()
        self.task(self._tell_held(far.peer.node))

    def _node_changed(self, name: str, new: bool) -> None:
        """Learn that a node has written its entry, and whether it has come, or has a new life."""
        if self._opened:
            self._look_at_members()
        if name == self.name or not new:
            return
        peer = self._peers.get(name)
        if peer is None:
            return
        with self.hub.lock:
            for far in peer.fars.values():
                if not far.is_home:
                    self.hub.come_back(peer, far.number)
        self.hub.pump()
        self.task(self._tell_held(name))
        self.task(self._tell(self.subjects.words(name), Word(self.name, self.epoch, resync=True)))
