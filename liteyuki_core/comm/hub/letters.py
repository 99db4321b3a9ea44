"""Messages that were set aside, because the process that was handling them died again and again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

from ...errors import LiteyukiError
from ..wire.batch import Batch
from ..wire.payload import Linked, load, load_linked


class DeadLetter:
    """A message that was being handled in `crashes` crashes in a row, and was set aside.

    `channel` is the channel's name, `process` the process that died, or several with commas, `size`
    the serialised message in bytes, `time` when it was set aside (UTC). It is kept in the main
    process's memory until it is put back or discarded. All methods may be called from any thread.
    """

    def __init__(
        self,
        channel: str,
        process: str,
        crashes: int,
        batch: Batch,
        settle: Callable[[DeadLetter, bool], bool],
    ) -> None:
        self.channel = channel
        self.process = process
        self.crashes = crashes
        self.size = batch.size
        self.time = datetime.now(timezone.utc)
        self._batch = batch
        self._settle = settle

    def __repr__(self) -> str:
        return (
            f"<DeadLetter channel={self.channel!r} process={self.process!r} size={self.size} "
            f"crashes={self.crashes} time={self.time:%Y-%m-%d %H:%M:%S}>"
        )

    def load(self) -> Any:
        """Return the message, rebuilt here. Raises whatever that raises, as it may not be able to.

        Channels in it are their keys only.
        """
        (payload,) = self._batch.payloads()
        if isinstance(payload, Linked):
            return load_linked(payload, lambda key, _: key)
        return load(payload)

    def put_back(self) -> None:
        """Send the message again, behind what waits on its channel.

        Raises `LiteyukiError` where it was put back or discarded before, or its channel is gone.
        """
        self._do("put back", True)

    def discard(self) -> None:
        """Throw the message away. Raises `LiteyukiError` as `put_back` does."""
        self._do("discarded", False)

    def _do(self, what: str, again: bool) -> None:
        if not self._settle(self, again):
            raise LiteyukiError(
                f"channel {self.channel}: this message can't be {what}: that or the other was done "
                "before, or the channel is gone; see bot.dead_letters()"
            )
