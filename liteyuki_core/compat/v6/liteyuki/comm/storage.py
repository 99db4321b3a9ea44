"""The store that all processes share."""

from __future__ import annotations

from typing import Any

from liteyuki_core.comm.storage import SharedMemory

__all__ = ["KeyValueStore", "shared_memory"]


class KeyValueStore(SharedMemory):
    """The store of liteyuki_core, with v6's `delete`."""

    def delete(self, key: str, ignore_key_error: bool = True, **more: Any) -> bool:
        """Delete a key; return whether it was there.

        With `ignore_key_error=False` raises `KeyError` if it was not.
        """
        was_there = super().delete(key, **more)
        if not was_there and not ignore_key_error:
            raise KeyError(key)
        return was_there


shared_memory = KeyValueStore()
"""The store of this process's LiteyukiBot."""
