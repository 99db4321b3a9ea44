"""A message that pickles with a buffer beside it."""

from __future__ import annotations

import pickle
from typing import Any


class Array:
    """Pickles with a buffer beside it, as arrays do."""

    def __init__(self, buffer: Any) -> None:
        self.buffer = buffer

    def __reduce_ex__(self, protocol: Any) -> Any:
        return Array, (pickle.PickleBuffer(self.buffer),)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Array) and bytes(self.buffer) == bytes(other.buffer)
