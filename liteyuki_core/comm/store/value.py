"""Values of the store to bytes and back, and the STORE frames that carry them.

Pure: no sockets, no threads, no locks. Any thread may call it. Texts, bytes and numbers are stored
as such, everything else as a pickle. So the main process can add to a number without rebuilding a
pickle, which could run a user's code.

STORE body: length of a JSON object u32, the object, the serialised values. The object's `kinds` has
a character for each value, its `sizes` a length for each value. A frame with `part` in its object
only has values that belong to the next frame.
"""

from __future__ import annotations

import pickle
import re
import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

from ...errors import FrameError, StoreError
from ..wire.frames import (
    CHUNK,
    HEADER,
    MAGIC,
    STORE,
    STORE_STREAM,
    U32,
    Buffer,
    Frame,
    from_json,
    to_json,
)

TEXT, BYTES, INT, FLOAT, PICKLE = "t", "b", "i", "f", "p"
KINDS = frozenset((TEXT, BYTES, INT, FLOAT, PICKLE))

KEY_BYTES = 1024
"""Longest key in bytes, with its namespace."""

NUMBER_BYTES = 4096
"""Most bytes of a number to add: some 16,000 bits. A longer one would hold everybody up."""

_INT = re.compile(rb"-?0x[0-9a-f]+")
_FLOAT = re.compile(rb"-?0x[01]\.[0-9a-f]{1,13}p[+-][0-9]{1,4}|-?inf|nan")


class Value(NamedTuple):
    """A serialised value of the store: a character that says its kind, and its bytes."""

    kind: str
    data: bytes


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
    return limited(value, key, limit)


def limited(value: Value, key: str, limit: int) -> Value:
    """Return a value. Raises `StoreError` if it is longer than `limit` bytes."""
    if len(value.data) > limit:
        raise StoreError(
            f"key {key!r}: a value of {len(value.data)} bytes is over the limit of {limit}; split "
            "it, or raise LITEYUKI_MAX_MESSAGE_BYTES",
            key,
        )
    return value


def number(data: int | float) -> Value:
    """Serialise a number."""
    # Hexadecimal text: its length has no limit, and floats come back exactly.
    if isinstance(data, float):
        return Value(FLOAT, data.hex().encode())
    return Value(INT, hex(data).encode())


def read_number(value: Value) -> int | float:
    """Return a number that `number` has serialised. Raises `ValueError` for anything else.

    The numbers of a child are read here. So nothing but a number is ever rebuilt of them.
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


def total(key: str, there: Value | None, by: Value) -> Value:
    """Return the sum of what is at a key and a number. Raises `StoreError`.

    Raises `ValueError` if `by` is no number.
    """
    if there is not None and there.kind not in (INT, FLOAT):
        raise StoreError(f"key {key!r} is no number, so nothing can be added to it")
    for value in (by,) if there is None else (by, there):
        if len(value.data) > NUMBER_BYTES:
            raise StoreError(
                f"key {key!r}: numbers of over {4 * NUMBER_BYTES} bits can't be added in the main "
                "process; use update()"
            )
    added = read_number(by)
    if there is None:
        return number(added)
    try:
        return number(read_number(there) + added)
    except (OverflowError, ValueError) as error:
        raise StoreError(f"key {key!r}: {error}") from error


def load(value: tuple[str, bytes]) -> Any:
    """Rebuild a value. May raise anything if it is a pickle, or if a child has forged it."""
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


CAN_NOT_KEEP = "can't outlive the process: set LITEYUKI_STORE_PATH, for example to data/store.db"


def rebuild(value: tuple[str, bytes], key: str) -> Any:
    """Rebuild a value. Raises `StoreError`, which names `key`."""
    try:
        return load(value)
    except Exception as error:
        raise StoreError(
            f"key {key!r}: its value can't be rebuilt in this process: {error!r}", key
        ) from error


def store(fields: dict[str, Any], values: Sequence[Value]) -> list[tuple[Buffer, ...]]:
    """Return the STORE frames for `fields`, which must be JSON, and for values.

    A frame longer than `CHUNK` has only one value: with several it could be over the limit.
    """
    out = []
    some: list[Value] = []
    size = 0
    for value in values:
        if some and size + len(value.data) > CHUNK:
            out.append(_store_frame({"part": True}, some))
            some, size = [], 0
        some.append(value)
        size += len(value.data)
    out.append(_store_frame(fields, some))
    return out


def _store_frame(fields: dict[str, Any], values: list[Value]) -> tuple[Buffer, ...]:
    kinds, sizes = "".join(value.kind for value in values), [len(value.data) for value in values]
    head = to_json({**fields, "kinds": kinds, "sizes": sizes}).encode()
    length = U32.size + len(head) + sum(sizes)
    start = HEADER.pack(MAGIC, STORE, 0, STORE_STREAM, length) + U32.pack(len(head)) + head
    return (start, *[value.data for value in values])


def stored(frame: Frame, limit: int | None = None) -> tuple[dict[str, Any], list[Value]]:
    """Return the fields and values of a STORE frame.

    Raises `FrameError`, also if the fields have more than `limit` bytes.
    """
    body = frame.body
    try:
        (size,) = U32.unpack_from(body)
        if limit is not None and size > limit:
            raise ValueError(f"its head is said to have {size} bytes, {limit} are allowed")
        at = U32.size + size
        fields = from_json(str(body[U32.size : at], "ascii"))
        kinds, sizes = fields.pop("kinds"), fields.pop("sizes")
        values = []
        for kind, length in zip(kinds, sizes, strict=True):
            if type(length) is not int or length < 0:
                raise ValueError(f"a value of {length!r} bytes")
            values.append(Value(kind, body[at : at + length]))
            at += length
        if at != len(body) or not all(len(v.data) == n for v, n in zip(values, sizes, strict=True)):
            raise ValueError("lengths do not add up")
    except (struct.error, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise FrameError(f"a store frame of {len(body)} bytes is not whole: {error}") from error
    return fields, values
