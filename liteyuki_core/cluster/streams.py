"""The streams that a cluster has on the server: whichever node is first makes them.

All is called on the cluster's loop.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from time import monotonic
from typing import Any

import nats.errors

from ..errors import ClusterError
from .connection import ELECTION_SECONDS, Refused
from .place import Place

DUPLICATE_SECONDS = 120
HISTORY = 8
"""So many values of a key are on the server, for nodes that are not so quick: whoever watches is to
be told of each. Long values have none."""
_MARKER_SECONDS = 1
"""So long the server keeps what says that a key has expired. No key expires sooner, so it is as
short as may be."""
_LETTERS = 1024
"""At most so many letters are on the stream for one subject."""
_CONSUMERS = 100_000
"""Channels, and who receives of them. Unless it is said, servers allow 1,000."""
_NOT_READY = {10005, 10008, 10074}
_AGAIN_SECONDS = 0.1


class Streams:
    """The streams of the messages, of the book and of the store."""

    def __init__(self, node: Place, replicas: int) -> None:
        self._node = node
        self._replicas = replicas
        self._created: str | None = None
        """When the stream of messages was made, as the server says it."""

    async def make(self) -> bool:
        """Make the streams, or look at them; return whether the one of messages was made anew.

        Raises `ClusterError`.
        """
        subjects = self._node.subjects
        made = await self._have(
            {
                "name": subjects.stream,
                "subjects": [subjects.messages],
                "retention": "workqueue",
                "discard": "new",
                "discard_new_per_subject": True,
                "max_msgs_per_subject": _LETTERS,
                "max_consumers": _CONSUMERS,
                "duplicate_window": DUPLICATE_SECONDS * 10**9,
                "storage": "file",
                "num_replicas": self._replicas,
            }
        )
        await self._have(
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
        await self._have(
            {
                "name": subjects.store,
                "subjects": [subjects.stored],
                "max_msgs_per_subject": HISTORY,
                "discard": "new",
                "allow_rollup_hdrs": True,
                "deny_delete": True,
                "allow_msg_ttl": True,
                "subject_delete_marker_ttl": _MARKER_SECONDS * 10**9,
                "duplicate_window": DUPLICATE_SECONDS * 10**9,
                "storage": "file",
                "num_replicas": self._replicas,
            }
        )
        is_new = self._created not in (None, made["created"])
        self._created = made["created"]
        return is_new

    async def _have(self, config: dict[str, Any]) -> dict[str, Any]:
        until = monotonic() + ELECTION_SECONDS
        while True:
            is_late = monotonic() > until
            try:
                return await self._find_or_make(config)
            except Refused as error:
                if error.code not in _NOT_READY or is_late:
                    raise ClusterError(
                        f"the NATS server at {self._node.connection.shown} can't keep stream "
                        f"{config['name']}: {error}"
                    ) from error
            except nats.errors.TimeoutError:
                if is_late:  # Before, servers that have just found a leader may not answer.
                    raise
            await asyncio.sleep(_AGAIN_SECONDS)

    async def _find_or_make(self, config: dict[str, Any]) -> dict[str, Any]:
        ask, name = self._node.connection.ask, config["name"]
        with suppress(Refused):
            return await ask(f"STREAM.INFO.{name}", {})
        try:
            return await ask(f"STREAM.CREATE.{name}", config)
        except Refused:
            with suppress(Refused):  # Another node was quicker.
                return await ask(f"STREAM.INFO.{name}", {})
            raise
