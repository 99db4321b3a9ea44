"""A pool of workers as the main process sees it: it answers for workers that have ended.

The hub tells the pool which calls a worker had when its link ended. When the end of the worker is
known, the pool answers these calls with it. While no worker of the pool runs or will run, the hub
refuses calls. When a caller wants its call ended with the worker that runs it, the pool ends that
worker and has another one started at once.

Ownership. The supervisor makes one `Pool` for each call of `add_workers`. A pool owns the calls
that the hub has handed to it, until it has answered them.

Threads. The hub calls `broken_off` and `unwanted` under its lock, from any thread. LiteyukiBot's
loop calls everything else, except `add`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

from ..comm.ends import remote
from ..comm.ends.remote import Died
from ..comm.hub.hub import Hub
from ..comm.hub.requests import Asker
from ..comm.hub.side import Recipient
from ..comm.wire.batch import pack_text
from ..comm.workers import queue_of
from ..errors import ChannelExists
from .restart import RestartPolicy
from .state import ChildProcess, ProcessState

_OVER = (ProcessState.STOPPED, ProcessState.FAILED)

RESTART = RestartPolicy("always", max_restarts=20, window=60.0, backoff=0.05, max_backoff=1.0)
"""When workers are started again, if nothing else is said: their callers kill them, not they
themselves, and a pool without workers is no use."""

_CAPACITY = 1024
"""How many calls of one process may be under way."""

Replace = Callable[[Recipient], None]


class Pool:
    """The workers of one name. `replace` of a worker ends its process and starts another.

    Makes their queue. Raises `ChannelExists` if its name is taken.
    """

    def __init__(self, name: str, hub: Hub) -> None:
        self.name = name
        self._queue = queue_of(name)
        self._hub = hub
        self._workers: dict[str, tuple[ChildProcess, Replace]] = {}
        self._owed: defaultdict[Recipient, list[tuple[Asker, int]]] = defaultdict(list)
        """By peer: the calls that it had begun when it ended, and that are not answered yet."""
        self._refuses = False
        try:
            hub.add_pool(self._queue, _CAPACITY, self)
        except ChannelExists as error:
            raise ChannelExists(
                f"workers {name} need the name {self._queue!r} for their queue, and {error}",
                self._queue,
            ) from None

    def add(self, child: ChildProcess, replace: Replace) -> None:
        """Take in a worker. From any thread. `replace` may be called from any thread."""
        self._workers[child.name] = child, replace

    # ------------------------------------------------------------- from the hub, under its lock

    def broken_off(self, peer: Recipient, asker: Asker, request: int) -> None:
        """Learn that `peer` has ended while it ran a call."""
        self._owed[peer].append((asker, request))

    def unwanted(self, peer: Recipient) -> None:
        """Learn that `peer` is to be ended, because of the call that it runs."""
        if peer.process in self._workers:
            self._workers[peer.process][1](peer)

    # ------------------------------------------------------------- from the workers' courses

    def ended(self, peer: Recipient, died: Died) -> None:
        """Learn how the process of a peer has ended. Answers the calls that it had begun."""
        owed = self._owed.pop(peer, None)
        if owed is None:
            return
        text = remote.death(died)
        for asker, request in owed:
            self._hub.answer_instead(self._queue, asker, request, pack_text(0, [text]))

    def changed(self) -> None:
        """Look at the states of the workers: if none runs or will run, calls are refused."""
        children = [child for child, _ in self._workers.values()]
        over = all(child.state in _OVER and child.outcome is not None for child in children)
        if not over and not self._refuses:
            return
        self._refuses = over
        ends = "; ".join(f"process {child.name} {child.outcome}" for child in children)
        why = f"none of its workers runs or will run: {ends}; restart_process starts one again"
        self._hub.refuse_queue(self._queue, why if over else None)
