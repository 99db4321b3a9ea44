"""The sending half of an end whose messages may cross machines. Imported only in a cluster.

What goes to another node is packed, see `wire/packed.py`, or refused where it is sent. A channel of
this node may have ends here and on other nodes. Then what can be packed is packed, and anything
else is pickled and can go only to processes of this node.
"""

from __future__ import annotations

from typing import Any

from ...errors import MessageTooLarge, SendError
from ..wire import packed
from ..wire.words import FAR
from .sending import Sending


class Crossing(Sending):
    """Packs what one end sends. Any thread may call its methods."""

    __slots__ = ("_far",)

    _far: bool
    """Whether the other side is on another node."""

    def be_of(self, key: str) -> None:
        """Learn the key of the channel."""
        self._far = key.startswith(FAR)

    def serialise(self, data: Any) -> tuple[Any, int]:
        """Return what `offer` takes. Raises `SendError` or `MessageTooLarge`."""
        kind = type(data)
        if kind is bytes or (kind is str and len(data) <= self._longest_text):
            return super().serialise(data)
        if self._state.anonymous and not self._far:
            return super().serialise(data)
        try:
            payload = packed.dump(data)
        except packed.NotPlain as error:
            if not self._far:
                return super().serialise(data)
            raise SendError(
                f"channel {self.name}: {type(data).__qualname__} can't be sent to another node: "
                f"it is or has {error}; text, bytes, numbers, None, and lists and dicts of them "
                "can: send the fields of an object as a dict",
                self.name,
            ) from error
        if len(payload) > self._site.max_message_bytes:
            raise MessageTooLarge(
                f"channel {self.name}: a message of {len(payload)} bytes is over the limit of "
                f"{self._site.max_message_bytes}; send it in pieces, or raise "
                "LITEYUKI_MAX_MESSAGE_BYTES",
                self.name,
            )
        return payload, len(payload) if type(payload) is bytes else 0
