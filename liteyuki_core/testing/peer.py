"""A main process inside the test's process, whose child is that same process.

For unit tests of what runs in a child: plugins that were loaded into NoneBot by nonebug, or any
function. `active_channel`, `get_channel` and `shared_memory` are used as in a child. The two sides
are joined by a real link.

It lives as long as the session, because a plugin is imported once and keeps its channels. Between
tests only what has come and what is answered is forgotten.

Ownership. A `Peer` owns both contexts, the link between them and the store.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic, sleep
from typing import Any

from ..comm import current
from ..comm.channel import Channel
from ..comm.context import Context
from ..comm.hub.main import Main
from ..comm.link_port import LinkPort
from ..comm.store.access import Access
from ..comm.store.copies import Copies
from ..comm.wire.endpoint import connection_pair
from ..config import Settings
from ..errors import ChannelClosed
from .expected import Expected, shown_one
from .mailbox import Mailbox
from .waiting import Waits

_SECONDS = 10.0
_CLOSE_SECONDS = 2.0
_PAUSE = 0.002


class Peer:
    """The main process as a test of a child sees it, made by the fixture `liteyuki_peer`.

    The test's thread calls everything.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._waits = Waits(lambda: True)
        self._answers: list[tuple[Expected, Any]] = []
        self._mailboxes: dict[str, Mailbox] = {}
        settings = Settings()
        most = settings.max_message_bytes
        self._main = Context(None, max_message_bytes=most, own_loop=True)
        self._composed = Main(self._main)
        self._composed.hub.add_process(name)
        ours, theirs = connection_pair()
        cells = self._composed.store.cells
        self._child = Context(name, max_message_bytes=most, own_loop=True)
        self._port = LinkPort(self._child, theirs, on_word=_ignore, on_lost=_ignore)
        copies = Copies(None if cells is None else cells.reader(), settings.store_cache_bytes)
        keeps = self._main.access.keeps
        self._child.connect(self._port, Access(self._child.site, self._port, copies, keeps=keeps))
        self._composed.connect(name, ours, _ignore, _ignore)
        self._port.start(_SECONDS)
        current.install(self._child)
        self.active = self.channel(f"{name}-active")
        self.passive = self.channel(f"{name}-passive")

    def channel(self, name: str) -> Mailbox:
        """Return the main process's end of a channel, which is made if there is none.

        What the child gets by `get_channel` at its import must be made before that.
        """
        if name not in self._mailboxes:
            if name not in self._main.port.names():
                self._main.register(name, self._main.make(name, 1024))
            deadline = monotonic() + _SECONDS
            while name not in self._port.names() and monotonic() < deadline:
                sleep(_PAUSE)
            channel = Channel._of(self._main.get(name))
            channel.on_request()(self._answer)
            self._mailboxes[name] = Mailbox(channel, self._waits, _ignore, _no_scene)
        return self._mailboxes[name]

    def answers(self, value_or_predicate: Any, value: Any) -> None:
        """Answer requests of the child with `value` from now on, on each of these channels.

        It is the answer to requests that equal a value, or for which a function returns true. Of
        several, the one that was given last answers. A request that none answers raises
        `RemoteError` in the child.
        """
        self._answers.insert(0, (Expected(value_or_predicate), value))

    async def _answer(self, request: Any) -> Any:
        for expected, value in self._answers:
            if expected.matches(request):
                return value
        raise LookupError(
            f"the test has no answer to {shown_one(request)}: call liteyuki_peer.answers before"
        )

    @contextmanager
    def fresh(self) -> Iterator[None]:
        """Forget what was before a test, and check it after it."""
        self._forget()
        yield
        self._waits.check_awaited()

    def _forget(self) -> None:
        self._answers.clear()
        for mailbox in self._mailboxes.values():
            mailbox.forget()

    def close(self) -> None:
        """End both sides."""
        current.uninstall(self._child)
        self._child.close(_CLOSE_SECONDS)
        self._composed.hub.process_ended(self.name, ChannelClosed, "the tests have ended")
        self._main.close(_CLOSE_SECONDS)
        self._composed.store.close(_CLOSE_SECONDS)


@contextmanager
def hosting_peer(name: str) -> Iterator[Peer]:
    """Have this process be the child `name` of a main process that it has itself."""
    peer = Peer(name)
    try:
        yield peer
    finally:
        peer.close()


def _ignore(*_: object) -> None:
    pass


def _no_scene() -> str:
    return ""
