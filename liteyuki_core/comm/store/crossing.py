"""Values of a store that nodes of a cluster share: plain data alone. Imported only in a cluster.

As messages between nodes, they are msgpack inside of a pickle that is always the same, see
`wire/packed.py`. So whoever gets one rebuilds it as any other value, and the cluster takes the
msgpack out. Pure. Any thread may call it.
"""

from __future__ import annotations

from typing import Any

from ...errors import StoreError
from ..wire import packed
from . import value
from .value import PICKLE, Value

_AS_THEY_ARE = frozenset({str, bytes, int, float})


def dump(data: Any, key: str, limit: int) -> Value:
    """Serialise a value. Raises `StoreError`, which names `key`."""
    kind = type(data)
    if kind in _AS_THEY_ARE:
        return value.dump(data, key, limit)
    try:
        found = packed.flat(packed.encode(data))
    except packed.NotPlain as error:
        raise StoreError(
            f"key {key!r}: {kind.__qualname__} can't be stored where the nodes of a cluster share "
            f"the store: it is or has {error}; text, bytes, numbers, None, and lists and dicts of "
            "them can: store the fields of an object as a dict",
            key,
        ) from error
    return value.limited(Value(PICKLE, found), key, limit)
