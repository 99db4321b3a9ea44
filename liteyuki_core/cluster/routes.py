"""The channels of a cluster: those of this node that others have, and routes for those of others.

The `Registrar` learns from the hub which names there are, and the book tells them to all nodes. A
channel that another node has is a route here, which that node's peer has made.

Ownership. `Routes` owns the book and all that comes in. All is called on the cluster's loop, except
for what says that it is called under the hub's lock.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

import nats.errors

from .. import log
from ..comm.wire.words import FAR, QUEUE
from ..errors import ChannelBroken, ClusterError
from ..language import say
from .book import Book
from .connection import Refused
from .far import WINDOW, Far, NodePeer
from .incoming import Incoming
from .listening import Heard, Listened, Wanted
from .message import ChannelEntry, Word
from .place import Place
from .subjects import NAME

_AGAIN_SECONDS = 0.1
_INTERNAL = ("-gateway", "-session")


class Registrar(NodePeer):
    """Learns which names there are, from the hub."""

    def __init__(
        self, node: Place, renamed: Callable[[dict[str, tuple[int, str]], list[str]], None]
    ):
        super().__init__(node, "", 0)
        self._renamed = renamed

    def renamed(self, add: Mapping[str, tuple[int, str]], remove: list[str]) -> None:
        self._renamed(dict(add), list(remove))


class Routes:
    """The channels that this node has for others, and that others have for it."""

    def __init__(
        self,
        node: Place,
        peers: dict[str, NodePeer],
        grace: float,
        on_node: Callable[[str, bool], object],
    ) -> None:
        """`grace` is that of `Options`, `on_node` is for the book."""
        self._node = node
        self._hub = node.hub
        self._across = node.across
        self._peers = peers
        self._grace = grace
        self._given_up: set[str] = set()
        """The nodes whose channels are broken, because they are gone for too long."""
        self.book = Book(node, self._channel_changed, on_node)
        self._homes: dict[str, Incoming] = {}
        self._theirs: dict[str, Incoming] = {}
        """By name: what comes on channels of this node, and on those of other nodes."""
        self._unsure: dict[Far, Heard] = {}
        """Channels of other nodes where it is not known whether anybody here answers requests."""
        self._ours: set[str] = set()
        """The names of this node's channels."""
        self._turns: dict[str, asyncio.Task[None]] = {}
        """By name: what is being told of it, one after the other."""
        self._registrar = Registrar(node, self._renamed)

    def open(self) -> None:
        """Learn which names there are, from now on."""
        with self._hub.lock:
            self._hub.table.yields = self._yields
            self._hub.attach(self._registrar)
        self._hub.pump()

    def close(self) -> None:
        """Learn no names any more, and take nothing that comes."""
        with self._hub.lock:
            self._hub.table.yields = None
            self._hub.detach(self._registrar)
        self.take_nothing()

    def take_nothing(self) -> None:
        """Take nothing that comes."""
        for incoming in self.incoming:
            incoming.close()

    @property
    def incoming(self) -> list[Incoming]:
        """What comes, by channel."""
        return [*self._homes.values(), *self._theirs.values()]

    def begin_anew(self) -> None:
        """Learn that the stream was made anew: its numbers begin at 1 again."""
        with self._hub.lock:
            for peer in self._peers.values():
                for far in peer.fars.values():
                    far.came.clear()
        for incoming in self.incoming:
            incoming.reset()
            incoming.start()

    def peer(self, name: str) -> NodePeer:
        """Return the peer that is another node."""
        peer = self._peers.get(name)
        if peer is None:
            peer = NodePeer(self._node, name, self._node.next_serial())
            with self._hub.lock:
                self._peers[name] = peer
        return peer

    # ------------------------------------------------------------- under the hub's lock

    def _renamed(self, add: dict[str, tuple[int, str]], remove: list[str]) -> None:
        ours = {
            name: (capacity, self._hub.table.serial_of(name), key.startswith(QUEUE))
            for name, (capacity, key) in add.items()
            if not key.startswith(FAR) and not name.endswith(_INTERNAL)
        }
        if ours or remove:
            self._node.soon(self._names_changed, ours, remove)

    def _yields(self, name: str) -> bool:
        entry = self.book.channels.get(name)
        return entry is None or not self.book.is_alive(entry.node)

    # ------------------------------------------------------------- this node's channels

    def _names_changed(self, add: dict[str, tuple[int, int, bool]], remove: list[str]) -> None:
        for name in remove:
            if name in self._ours:
                self._ours.discard(name)
                self._in_turn(name, partial(self._release, name))
        for name, about in add.items():
            self._ours.add(name)
            self._in_turn(name, partial(self._claim, name, *about))

    def _in_turn(self, name: str, what: Callable[[], Coroutine[Any, Any, None]]) -> None:
        before = self._turns.get(name)

        async def follow() -> None:
            try:
                if before is not None:
                    await asyncio.wait([before])
                await what()
            finally:
                if self._turns.get(name) is task:
                    del self._turns[name]

        task = self._turns[name] = self._node.task(follow())

    async def _claim(self, name: str, capacity: int, serial: int, is_queue: bool) -> None:
        while not self._node.closed and name in self._ours:
            with self._hub.lock:
                if self._hub.table.serial_of(name) != serial:
                    return  # There is another one of that name by now, or is going to be none.
            try:
                async with self._node.gate:
                    has = await self.book.claim(name, capacity, serial, is_queue=is_queue)
                if not has and is_queue:
                    self.channel_ended(name)  # So that this one becomes that of the other node.
                    with self._hub.lock:
                        found = self._hub.table.by_name.get(name)
                        has_own = found is not None and not (found.is_stand_in or found.over)
                    if has_own:
                        self.book.say_taken(name)  # Workers answer it, and have it for themselves.
                elif has and name not in self._homes:
                    incoming = self._homes[name] = Incoming(self._node, name, is_home=True)
                    incoming.start()
                return
            except (Refused, nats.errors.Error, asyncio.TimeoutError, OSError) as error:
                log.logger.debug(f"NATS: channel {name} is not told yet: {error!r}")
            await asyncio.sleep(_AGAIN_SECONDS)

    async def _release(self, name: str) -> None:
        incoming = self._homes.pop(name, None)
        if incoming is None or self._node.stopping:
            return
        with suppress(Refused, nats.errors.Error, asyncio.TimeoutError, OSError):
            await self.book.release(name)
            await incoming.delete()

    def far_for(self, node: str, name: str, *, is_home: bool) -> Far | None:
        """Return the end of a channel with a node; None if there is no such channel.

        Raises `ClusterError` if a node can't have that name.
        """
        # What an earlier life of this node has sent to a channel that others had may come to it.
        if not NAME.fullmatch(node) or (node == self._node.name and not is_home):
            raise ClusterError(f"a node that is named {node!r}")
        peer = self.peer(node)
        far = peer.by_name.get((name, is_home))
        if far is not None and far.gives:
            held = peer.ends.get(far.number)
            over = held is None or held[0].name != name  # It was closed, and nothing is in hand.
            if over and not self._node.requests.asked.has_chain(far):
                far.leave()
                far = None
        if far is not None or not is_home:
            return far
        with self._hub.lock:
            found = self._hub.table.find(name)
            if found is None or found[1].startswith(FAR) or name.endswith(_INTERNAL):
                return None
            is_queue = found[1].startswith(QUEUE)
            far = peer.add(name, True, is_queue=is_queue)
            self._hub.open(peer, far.number, found[1], found[0])
            if far.number not in peer.ends:
                peer.forget(far)
                return None
            if is_queue:
                self._across.gives_singly(peer, far.number)
        self._hub.pump()
        return far

    # ------------------------------------------------------------- other nodes' channels

    def _channel_changed(self, name: str, entry: ChannelEntry | None) -> None:
        """Have a route for a channel of another node, or none any more."""
        mine = entry is not None and entry.node == self._node.name
        for peer in list(self._peers.values()):
            far = peer.by_name.get((name, False))
            if far is None:
                continue
            held = peer.ends.get(far.number)
            if held is None or held[0].name != name:
                peer.forget(far)  # It has ended here already.
                continue
            if entry is not None and entry.node == peer.node:
                if far.epoch != entry.epoch or not far.opened:
                    far.epoch, far.channel_serial = entry.epoch, entry.serial
                    self._node.task(self._tell_holds([far]))
                elif far.channel_serial != entry.serial:  # It learns how the one before has ended.
                    self._node.task(self._tell_holds([far]))
                return
            if entry is not None and entry.queue and far.is_queue and not mine:
                self._hand_over(far, entry)
                return
            if entry is None and far.opened:
                # What was sent before is still to come, and then that it was closed; unless that
                # node has never heard that this one has the channel.
                self._node.task(self.tell_held(peer.node))
                return
            with self._hub.lock:
                self._hub.close(peer, far.number)
            self._hub.pump()
            peer.forget(far)
        if entry is None or mine:
            return
        if not NAME.fullmatch(entry.node) or not 0 < entry.capacity <= 10_000_000:
            return
        if entry.queue:
            self._stand_in(entry)
        else:
            self._make_route(entry)

    def channel_ended(self, name: str) -> None:
        """Learn that another node's channel has ended here. There may be a new one of that name."""
        entry = self.book.channels.get(name)
        if entry is not None:
            self._channel_changed(name, entry)

    def _stand_in(self, entry: ChannelEntry) -> None:
        """Have a stand-in for a queue of another node. A queue of that name here becomes it."""
        if not self.book.is_there(entry):
            return  # Whoever makes it next has it.
        name, peer = entry.name, self.peer(entry.node)
        home = self._homes.pop(name, None)
        if home is not None:
            home.close()  # What comes there comes to the other node now.
        with self._hub.lock:
            held = [each.by_name.get((name, True)) for each in self._peers.values()]
            for old in [far for far in held if far is not None and far.is_queue]:
                self._hub.leave(old.peer, old.number)
                old.peer.forget(old)
            far = peer.add(name, False, is_queue=True)
            far.epoch, far.channel_serial = entry.epoch, entry.serial

            def notify(opened: bool, receives: bool) -> None:
                self._node.soon(self._listens, far, opened, receives)

            far.wanted = Wanted(notify, lambda: self._node.requests.wants(far))

            def notify_answers(count: int) -> None:
                self._node.soon(self._answers, far, heard, count)

            heard = Heard(notify_answers)
            args = far.number, name, entry.capacity, far.wanted, heard
            if self._across.stand_in(peer, *args):
                self._ours.discard(name)
                self._hub.answers(peer, far.number, WINDOW)
            else:
                peer.forget(far)
        self._hub.pump()

    def _hand_over(self, far: Far, entry: ChannelEntry) -> None:
        """Have another node have the queue that a node had which is gone."""
        old, peer = far.peer, self.peer(entry.node)
        self._node.requests.forget(far)
        far.epoch, far.channel_serial = entry.epoch, entry.serial
        why = f"node {old.node} of the cluster, which was to answer, is gone"
        with self._hub.lock:
            self._across.take_requests_from(old, far.number, ChannelBroken, why)
            number = peer.take_over(far)
            self._across.hand_over(old, number, peer, far.number)
            self._hub.answers(peer, far.number, WINDOW)
            self._across.come_back(peer, far.number)
        self._hub.pump()
        self._node.requests.wants_again(far)
        self._node.task(self._tell_holds([far]))

    def _make_route(self, entry: ChannelEntry) -> None:
        peer = self.peer(entry.node)
        with self._hub.lock:
            if self._hub.table.find(entry.name) is not None:
                return  # This node has a channel of that name, which `claim` has told.
            far = peer.add(entry.name, False)
            far.epoch, far.channel_serial = entry.epoch, entry.serial
            self._hub.open(peer, far.number, None, entry.capacity)
            route, _ = peer.ends[far.number]

            def notify(opened: bool, receives: bool) -> None:
                self._node.soon(self._listens, far, opened, receives)

            def notify_answers(count: int) -> None:
                self._node.soon(self._answers, far, heard, count)

            heard = Heard(notify_answers)
            route.be_listened_to(Listened(notify), heard)
            self._hub.answers(peer, far.number, WINDOW)  # What nobody answers is refused there.
            self._hub.register(peer, far.number, entry.name)
        self._unsure[far] = heard
        self._hub.pump()

    def _listens(self, far: Far, opened: bool, receives: bool) -> None:
        """Learn whether processes of this node have a channel of another one, and receive there."""
        far.opened, far.receives = far.opened or opened, receives
        if far.wanted is not None:
            with self._hub.lock:
                far.opened = far.wanted.is_held_by_any
        if opened and not far.is_queue and far.name not in self._theirs:
            incoming = self._theirs[far.name] = Incoming(self._node, far.name, is_home=False)
            incoming.start()
        self._node.task(self.tell_held(far.peer.node))

    def _answers(self, far: Far, heard: Heard, count: int) -> None:
        """Learn how many requests processes of this node answer at a time."""
        far.answers = count or None
        if count or far.is_queue:
            self._unsure.pop(far, None)
        else:
            self._unsure[far] = heard
        self._node.task(self.tell_held(far.peer.node))
        if far.is_queue:
            self._node.requests.wants_again(far)

    def look_for_silent(self) -> None:
        """Look where it is certain by now that nobody here answers requests."""
        nodes = set()
        with self._hub.lock:
            for far, heard in list(self._unsure.items()):
                if far.number not in far.peer.ends:
                    del self._unsure[far]
                elif far.opened and heard.nobody_answers():
                    far.answers = 0
                    del self._unsure[far]
                    nodes.add(far.peer.node)
        for name in nodes:
            self._node.task(self.tell_held(name))

    def came_back(self, name: str) -> None:
        """Learn that a node has come, or has a new life."""
        self._given_up.discard(name)
        for entry in [each for each in self.book.channels.values() if each.node == name]:
            if entry.queue:
                self._channel_changed(entry.name, entry)
        peer = self._peers.get(name)
        if peer is None:
            return
        with self._hub.lock:
            for far in peer.fars.values():
                if not far.is_home:
                    self._across.come_back(peer, far.number)
        self._hub.pump()
        node = self._node
        node.task(self.tell_held(name))
        node.task(node.tell(node.subjects.words(name), Word(node.name, node.epoch, resync=True)))

    def rest(self) -> None:
        """Give nothing to nodes that do not run, and give up those that are gone for too long."""
        for name, peer in self._peers.items():
            if self.book.is_alive(name):
                continue
            if self._grace and self.book.gone_for(name) > self._grace:
                self._give_up(name, peer)
            with self._hub.lock:
                for far in list(peer.fars.values()):
                    if far.is_home:
                        self._across.rests(peer, far.number)

    def _give_up(self, name: str, peer: NodePeer) -> None:
        """Have the channels of a node broken, until it is back."""
        if name in self._given_up:
            return
        self._given_up.add(name)
        why = f"node {name!r} of the cluster, which has it, is gone"
        with self._hub.lock:
            broken = [far.number for far in peer.fars.values() if not far.is_home]
            for number in broken:
                self._across.break_off(peer, number, ChannelBroken, why, for_good=False, more=False)
        self._hub.pump()
        if broken:
            log.logger.warning(
                say(
                    "node {node} of the cluster is gone for over {seconds:g} s: its {count} "
                    "channels are broken until it is back",
                    node=name,
                    seconds=self._grace,
                    count=len(broken),
                )
            )

    # ------------------------------------------------------------- words

    async def hear(self, word: Word) -> None:
        """Learn from another node what it holds of this one's channels, and what it has not."""
        node = self._node
        gone = [
            name for name, receives in word.held.items() if not self._holds(word, name, receives)
        ]
        for name in word.left:
            self._is_left(word.node, name)
        if gone:
            await node.tell(node.subjects.words(word.node), Word(node.name, node.epoch, gone=gone))
        peer = self.peer(word.node)
        for name in word.gone:
            self._is_gone(peer, name)
        if word.resync:
            await self.tell_held(word.node)

    async def tell_held(self, name: str) -> None:
        """Tell another node which of its channels this one holds."""
        peer = self._peers.get(name)
        if peer is not None:
            await self._tell_holds([far for far in peer.fars.values() if not far.is_home])

    async def _tell_holds(self, fars: list[Far]) -> None:
        left = [far.name for far in fars if far.is_queue and not far.opened]
        fars = [far for far in fars if far.opened or far.is_queue]
        if fars:
            node, to = self._node, fars[0].peer.node
            held = {far.name: far.receives for far in fars if far.opened}
            answers = {far.name: far.answers for far in fars if far.answers is not None}
            serials = {name: far.channel_serial for far in fars if (name := far.name) in held}
            word = Word(
                *(node.name, node.epoch), held=held, answers=answers, left=left, serials=serials
            )
            await node.tell(node.subjects.words(to), word)

    async def tell_all_held(self) -> None:
        """Tell each node which of its channels this one holds."""
        for name in list(self._peers):
            await self.tell_held(name)

    def _holds(self, word: Word, name: str, receives: bool) -> bool:
        """Learn that another node has a channel of this one; return whether there is one."""
        answers, serial = word.answers.get(name), word.serials.get(name, 0)
        far = self.far_for(word.node, name, is_home=True)
        if far is None:
            return False
        with self._hub.lock:
            held = far.peer.ends.get(far.number)
            other = serial and (held is None or held[0].serial != serial)
            current = self._hub.table.serial_of(name)
        if other and serial != current:
            return False
        if other:  # It knows that the one before has ended.
            far.leave()
            far = self.far_for(word.node, name, is_home=True)
            if far is None:
                return False
        with self._hub.lock:
            if receives and far.is_queue:
                pass  # It says how many messages it wants.
            elif receives:
                self._hub.receives(far.peer, far.number, WINDOW, False)
            else:
                self._across.rests(far.peer, far.number)
            if answers != far.answers:
                far.answers = answers
                self._across.is_silent(far.peer, far.number, answers == 0 and not far.is_queue)
                if answers:
                    self._hub.answers(far.peer, far.number, answers)
                else:
                    self._across.rests(far.peer, far.number, requests=True)
        self._hub.pump()
        return True

    def _is_left(self, node: str, name: str) -> None:
        """Learn that no process of another node has a queue of this one any more."""
        peer = self._peers.get(node)
        far = None if peer is None else peer.by_name.get((name, True))
        if far is not None and far.is_queue:
            far.leave()

    def _is_gone(self, peer: NodePeer, name: str) -> None:
        """Learn that another node does not have a channel which this one has of it."""
        far = peer.by_name.get((name, False))
        entry = self.book.channels.get(name)
        is_other = entry is None or entry.node != peer.node
        if far is not None and entry is not None and entry.epoch == far.epoch:
            is_other = is_other or entry.serial != far.channel_serial
        if far is not None and is_other:
            with self._hub.lock:
                self._hub.close(peer, far.number)
            self._hub.pump()
            peer.forget(far)
            self.channel_ended(name)
