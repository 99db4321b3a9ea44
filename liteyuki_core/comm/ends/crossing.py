"""The halves of an end whose messages may cross machines. Imported only in a cluster.

What goes to another node is packed, see `wire/packed.py`, or refused where it is sent. A channel of
this node may have ends here and on other nodes. Then what can be packed is packed, and anything
else is pickled and can go only to processes of this node.

If the channel has a type, objects of that type are packed as plain data. A process of this node
rebuilds them by the type that comes with them. No type comes from another node: there, and from
there, they are rebuilt where the channel has a type too, and else are plain data.
"""

from __future__ import annotations

from typing import Any

from ...errors import MessageTooLarge, SendError
from ..wire import packed
from ..wire.models import Model, model_of
from ..wire.payload import Long
from ..wire.words import FAR
from .receiving import Receiving
from .sending import Sending


class CrossingSending(Sending):
    """Packs what one end sends. Any thread may call its methods."""

    __slots__ = ("_far", "keeps_types", "model")

    _far: bool
    """Whether the other side is on another node."""
    model: Model | None
    """The channel's type, if it has one whose objects are not plain data."""
    keeps_types: bool
    """Whether processes of this node get just what is sent, such as a tuple as a tuple."""

    def be_of(self, key: str) -> None:
        """Learn the key of the channel."""
        self._far = key.startswith(FAR)
        self.model = None
        self.keeps_types = False

    def be_far(self) -> None:
        """Learn that the other side is on another node."""
        self._far = True

    def serialise(self, data: Any) -> tuple[Any, int]:
        """Return what `offer` takes. Raises `SendError` or `MessageTooLarge`."""
        kind = type(data)
        if kind is bytes or (kind is str and len(data) <= self._longest_text):
            return super().serialise(data)
        if self._state.anonymous and not self._far:
            return super().serialise(data)
        try:
            payload = self._packed(data)
        except packed.NotPlain as error:
            if not self._far:
                return super().serialise(data)
            raise SendError(
                f"channel {self.name}: {type(data).__qualname__} can't be sent to another node: "
                f"it is or has {error}; text, bytes, numbers, None, and lists and dicts of them "
                "can, and objects of the type that the channel is made or got with",
                self.name,
            ) from error
        if len(payload) > self._site.max_message_bytes:
            if self.keeps_types:
                return super().serialise(data)  # It may be short enough for this node alone.
            raise MessageTooLarge(
                f"channel {self.name}: a message of {len(payload)} bytes is over the limit of "
                f"{self._site.max_message_bytes}; send it in pieces, or raise "
                "LITEYUKI_MAX_MESSAGE_BYTES",
                self.name,
            )
        return payload, len(payload) if type(payload) is bytes else 0

    def _packed(self, data: Any) -> Any:
        try:
            keeps = self.keeps_types and not self._far
            return packed.dump_whole(data) if keeps else packed.dump(data)
        except packed.NotPlain:
            model = self.model
            if model is None:
                raise
            try:
                plain = model.plain(data)
            except Exception as error:  # The object's own class may raise anything.
                raise packed.NotPlain(f"{type(data).__qualname__}: {error}") from error
            return packed.dump(plain, None if self._far else model.named)


def be_of_type(sending: Sending, receiving: Receiving, kind: Any) -> None:
    """Learn the type of the channel that these are halves of."""
    assert isinstance(sending, CrossingSending)
    assert isinstance(receiving, CrossingReceiving)
    sending.model = receiving.model = model_of(kind)


def keep_types(sending: Sending) -> None:
    """Have processes of this node get just what is sent."""
    assert isinstance(sending, CrossingSending)
    sending.keeps_types = True


class CrossingReceiving(Receiving):
    """Rebuilds what comes for one end. Any thread may call its methods."""

    model: Model | None = None

    def load(self, payload: Any) -> Any:
        """Rebuild a message. May raise anything."""
        model = self.model
        if model is not None and isinstance(payload, bytes | memoryview | Long):
            plain = packed.unwrap(payload)
            if plain is not None:
                return model.load(plain)
        return super().load(payload)

    loads = load
