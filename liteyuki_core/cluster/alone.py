"""A node without a main process: a NoneBot that was started by itself, by `nb run` for example.

It has a small hub in its own process. Its channels are NODE-active and NODE-passive, so what uses
`active_channel` and `passive_channel` in a child of a main process runs here as it is.

Ownership. An `Alone` owns the context, the hub with its store, and the node, from `join` to
`leave`. Any thread may call both.
"""

from __future__ import annotations

from ..comm import current
from ..comm.context import Context
from ..comm.hub.main import Main
from ..config import Settings
from .cluster import Node
from .options import options_of
from .store import SharedStore


class Alone:
    """This process as a node of its own. Raises `ConfigError` if its settings are wrong."""

    def __init__(self) -> None:
        settings = Settings.load()
        options = options_of(settings)
        self._context = Context(
            options.node, max_message_bytes=settings.max_message_bytes, own_loop=True
        )
        self._context.crosses = True
        self._main = Main(
            self._context, max_redeliveries=settings.max_redeliveries, make_store=SharedStore
        )
        self._main.local.process = options.node
        self._node = Node(self._main, options)

    def join(self) -> None:
        """Be a node from now on. Waits for the server. Raises `ClusterError`."""
        self._main.hub.add_process(self._node.name)
        try:
            self._node.open()
        except BaseException:
            self._context.close(0)
            self._main.store.close(0)
            raise
        self._context.dispatcher.use_other_loop()  # NoneBot's.
        current.install(self._context)

    def leave(self, timeout: float) -> None:
        """Send what waits, for at most `timeout` seconds, and be no node any more."""
        self._node.stop()
        self._context.close(timeout / 2)
        self._node.close(timeout / 2)
        self._main.store.close(1)
        current.uninstall(self._context)
