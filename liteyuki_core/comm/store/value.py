"""Values of the store to bytes and back.

Texts, bytes and numbers are kept as what they are, all else as a pickle: so the main process can
add to a number without rebuilding anything that could run a user's code.
"""

from __future__ import annotations

import pickle
import re
from typing import Any

from ...errors import StoreError
from ..wire.frames import Value

KEY_BYTES = 1024
"""Longest key in bytes."""

TEXT, BYTES, INT, FLOAT, PICKLE = "t", "b", "i", "f", "p"
KINDS = frozenset((TEXT, BYTES, INT, FLOAT, PICKLE))

KEY_BYTES = 1024
"""Longest key in bytes, with its namespace."""

NUMBER_BYTES = 4096
"""Longest number that is added to: some 16,000 bits. What is longer would hold everybody up."""

_INT = re.compile(rb"-?0x[0-9a-f]+")
_FLOAT = re.compile(rb"-?0x[01]\.[0-9a-f]{1,13}p[+-][0-9]{1,4}|-?inf|nan")


def dump(data: Any, key: str, limit: int) -> Value:
    """Serialise a value. Raises `StoreError`, which names `key`."""
    kind = type(data)
    try:
        if kind is str:
            value = Value(TEXT, data.encode("utf-8", "surrogatepass"))
        elif kind is bytes:
            value = Value(BYTES, data)
        elif kind is int or kind is float:
            value = number(data)
        else:
            value = Value(PICKLE, pickle.dumps(data, 5))
    except Exception as error:
        raise StoreError(
            f"key {key!r}: {kind.__qualname__} can't be stored: {error}; store what pickle can "
            "carry (numbers, text, lists, dicts, instances of module-level classes)",
            key,
        ) from error
    if len(value.data) > limit:
        raise StoreError(
            f"key {key!r}: a value of {len(value.data)} bytes is over the limit of {limit}; split "
            "it, or raise LITEYUKI_MAX_MESSAGE_BYTES",
            key,
        )
    return value


def number(data: int | float) -> Value:
    """Serialise a number."""
    # Hexadecimal, whose length has no bound and whose floats come back as they were.
    if isinstance(data, float):
        return Value(FLOAT, data.hex().encode())
    return Value(INT, hex(data).encode())


def read_number(value: Value) -> int | float:
    """Return a number that `number` has serialised. Raises `ValueError` for all else.

    What a child says is a number goes through here: nothing is rebuilt that is not one.
    """
    pattern = {INT: _INT, FLOAT: _FLOAT}.get(value.kind)
    if pattern is None or pattern.fullmatch(value.data) is None:
        raise ValueError(f"{value.data[:40]!r} of kind {value.kind!r} is no number")
    if value.kind == INT:
        return int(value.data, 16)
    try:
        return float.fromhex(value.data.decode())
    except OverflowError as error:
        raise ValueError(str(error)) from error


def load(value: Value) -> Any:
    """Rebuild a value. May raise anything where it is a pickle, or a child has made it up."""
    kind, data = value
    if kind == TEXT:
        return str(data, "utf-8", "surrogatepass")
    if kind == BYTES:
        return data
    if kind == INT:
        return int(data, 16)
    if kind == FLOAT:
        return float.fromhex(data.decode())
    return pickle.loads(data)


def rebuild(value: Value, key: str) -> Any:
    """Rebuild a value. Raises `StoreError`, which names `key`."""
    try:
        return load(value)
    except Exception as error:
        raise StoreError(
            f"key {key!r}: its value can't be rebuilt in this process: {error!r}", key
        ) from error
