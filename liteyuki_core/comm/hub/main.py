"""What the main process has of all that crosses processes: the hub, the store, the links.

`Main` makes them: the hub, the store with its cells, the port of the main process's own context,
and a `LinkPeer` for each process of a child that is started.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ... import log
from ...language import say
from ..context import Context
from ..store.access import Access
from ..store.cells import Cells
from ..store.copies import Originals
from ..store.table import Store
from ..store.truth import Truth
from ..wire import words
from ..wire.endpoint import Endpoint
from .hub import Hub
from .link_peer import LinkPeer
from .local_port import LocalPort

MakeStore = Callable[[Any, Callable[[], None]], Truth]


class Main:
    """Owns the hub, the store and, through its peers, the links to the children.

    `context` is the main process's own. The maker of the context closes it, and that also closes
    the links. After that the store is closed. Any thread may call the methods. In a cluster,
    `make_store` makes the store that the nodes share: it is given the lock, and what is called
    after something happened.
    """

    def __init__(
        self,
        context: Context,
        *,
        max_redeliveries: int = 3,
        store_path: str | None = None,
        make_store: MakeStore | None = None,
    ) -> None:
        self.context = context
        self.hub = Hub(context.lock, max_redeliveries=max_redeliveries)
        self.store: Truth
        if make_store is not None:
            self.store = make_store(context.lock, self.hub.pump)
        else:
            self.store = Store(context.lock, self.hub.pump, store_path, _cells())
        self.local = LocalPort(
            self.hub, self.store, context, shut=self._shut, abandon=self._abandon
        )
        originals = Originals(self.store.entries)
        access = Access(
            *(context.site, self.local, originals),
            keeps=self.store.keeps,
            crosses=context.crosses,
        )
        context.connect(self.local, access)
        self._peers: list[LinkPeer] = []
        """The peers whose links have not ended."""
        self._last_peer = 0

    def connect(
        self,
        process: str,
        endpoint: Endpoint,
        on_end: Callable[[str | None], None],
        on_word: Callable[[words.OfProcess], None],
        channels: Sequence[str] = (),
        *,
        waits: bool = False,
    ) -> LinkPeer:
        """Return the peer of a process that was just started. Its link is being read.

        `process` is the name of the child. `LinkPeer` says what the two hooks are. The process
        may open the `channels` of these keys. A process that
        `waits` for its turn holds no channel before.
        """

        def ended(why: str | None) -> None:
            with self.hub.lock:
                self._peers.remove(peer)
            on_end(why)

        with self.hub.lock:
            self._last_peer += 1
            peer = LinkPeer(
                self.hub,
                self.store,
                self.context.site,
                process,
                self._last_peer,
                endpoint,
                on_end=ended,
                on_word=on_word,
                waits=waits,
            )
            self._peers.append(peer)
            self.hub.table.lend(peer, channels)
            (self.hub.announce if waits else self.hub.attach)(peer)
        peer.link.start()
        self.hub.pump()
        return peer

    def _shut(self, timeout: float) -> None:
        """Close every link that has not ended."""
        self.hub.shut()
        for peer in [peer for peer in self._peers if not peer.detached]:
            peer.link.close(timeout)

    def _abandon(self) -> None:
        """Let go of all links in a forked copy of the process."""
        for peer in self._peers:
            peer.link.abandon()
        self.store.abandon()


def _cells() -> Cells | None:
    try:
        return Cells()
    except OSError as error:
        log.logger.warning(
            say(
                "there is no memory for version cells ({error}): children ask for each value that "
                "they get",
                error=error,
            )
        )
        return None
