"""Alerts that go to another node, because that one has services to send them to.

Of all nodes that run and send alerts, the first by its name sends for those that have no services,
and tells of nodes that have vanished. Two do so only while they do not know of each other.

Threads. `send` is awaited on LiteyukiBot's loop; any thread may call the rest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated

import msgspec
from msgspec import Meta

from .. import log
from ..errors import ClusterError, NodeError
from .asking import ALERT
from .cluster import Node
from .subjects import NAME

_SECONDS = 8.0
_TAKEN = b"taken"
_LONGEST_SUBJECT = 500
_LONGEST_TEXT = 4000


class Alert(msgspec.Struct):
    """An alert of a node."""

    node: str
    subject: Annotated[str, Meta(max_length=_LONGEST_SUBJECT)]
    text: Annotated[str, Meta(max_length=_LONGEST_TEXT)]


_alerts = msgspec.json.Decoder(Alert)


class Post:
    """Gives alerts to the node that sends, and takes those of others."""

    def __init__(self, node: Node) -> None:
        self._node = node

    @property
    def is_sender(self) -> bool:
        """Whether this node is the one that sends for others."""
        return self._sender() == self._node.name

    @property
    def server_is_there(self) -> bool:
        """Whether the server of the cluster is there, as far as is known."""
        return self._node.connection.is_there

    async def send(self, subject: str, text: str) -> bool | None:
        """Give an alert to the node that sends; return whether it has taken it.

        Waits for its answer, a few seconds at most. None: no node of the cluster sends alerts.
        """
        sender = self._sender()
        if sender is None:
            known = any(each.sends_alerts for each in self._node.members().values())
            return False if known else None
        alert = Alert(self._node.name, subject[:_LONGEST_SUBJECT], text[:_LONGEST_TEXT])
        question = msgspec.json.encode(alert)
        asking = self._node.ask(sender, question, _SECONDS, ALERT)
        try:
            return await asyncio.wrap_future(asking) == _TAKEN
        except (NodeError, ClusterError) as error:
            log.logger.debug(f"NATS: node {sender} has not taken an alert: {error}")
            return False

    def serve(self, take: Callable[[str, str, str], object]) -> None:
        """Have `take` called, in a thread, with the node, the subject and the text of alerts."""

        def answer(question: bytes) -> bytes:
            try:
                alert = _alerts.decode(question)
            except msgspec.MsgspecError as error:
                log.logger.debug(f"NATS: an alert that is none of ours: {error}")
                return b"refused"
            if not NAME.fullmatch(alert.node):
                return b"refused"
            take(alert.node, alert.subject, alert.text)
            return _TAKEN

        self._node.serve(answer, ALERT)

    def _sender(self) -> str | None:
        members = self._node.members().values()
        return min((each.name for each in members if each.runs and each.sends_alerts), default=None)
