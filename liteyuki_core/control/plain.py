"""What the main process may show of a child's bytes: plain data, and nothing else.

A pickle can run code and take memory without bound. So its steps are read first, without doing
them, and only those of plain data are let through: text, numbers, None, lists, tuples, sets and
dicts. What is let through finds no class, however it was made, and what comes of it is copied with
a limit, because a few bytes can make lists of lists that would never end as JSON.

Pure. Any thread may call it.
"""

from __future__ import annotations

import io
import pickle
import pickletools
from typing import Any

from ..comm.store import value as values
from ..comm.wire.payload import Linked, Long, Raw

LIMIT = 256 * 1024
"""The longest serialised value that is shown, in bytes: reading the steps takes a second a MB."""

_MOST = 100_000
_DEEPEST = 100
_DIGITS = 4000

_STEPS = frozenset(
    {
        *("PROTO", "FRAME", "STOP", "MARK", "MEMOIZE", "BINGET", "LONG_BINGET"),
        *("NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "LONG1", "LONG4"),
        *("BINFLOAT", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"),
        *("EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "EMPTY_LIST", "APPEND", "APPENDS"),
        *("EMPTY_DICT", "SETITEM", "SETITEMS", "EMPTY_SET", "ADDITEMS", "FROZENSET"),
    }
)
"""None of them takes more memory than it has bytes, calls anything, or looks up a name."""


class NotPlain(Exception):
    """It is not plain data, or too much of it."""


class _Plain(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        raise NotPlain(f"{module}.{name}")


def of_value(value: values.Value) -> Any:
    """Return a value of the store as JSON can have it. Raises `NotPlain`."""
    kind, data = value
    if len(data) > LIMIT:
        raise NotPlain(f"{len(data)} bytes")
    try:
        if kind == values.TEXT:
            return clean(str(data, "utf-8", "surrogatepass"))
        if kind in (values.INT, values.FLOAT):
            return _copied(values.read_number(value), [_MOST], 0)
        if kind == values.PICKLE:
            return of_pickle(bytes(data))
    except (ValueError, OverflowError) as error:
        raise NotPlain(str(error)) from error
    raise NotPlain("bytes")


def of_payload(payload: Any) -> Any:
    """Return a message that is still serialised as JSON can have it. Raises `NotPlain`."""
    if isinstance(payload, str):
        if len(payload) > LIMIT:
            raise NotPlain(f"{len(payload)} characters")
        return clean(payload)
    if isinstance(payload, Long) and len(payload.segments) == 1:
        payload = payload.segments[0]
    if isinstance(payload, Raw | Long | Linked):
        raise NotPlain("bytes, or with channels in it")
    return of_pickle(bytes(payload))


def of_pickle(data: bytes) -> Any:
    """Return what a pickle holds as JSON can have it. Raises `NotPlain`."""
    if len(data) > LIMIT:
        raise NotPlain(f"{len(data)} bytes")
    try:
        for step, _, _ in pickletools.genops(data):
            if step.name not in _STEPS:
                raise NotPlain(step.name)
        found = _Plain(io.BytesIO(data)).load()
    except NotPlain:
        raise
    except Exception as error:
        raise NotPlain(repr(error)) from error
    return _copied(found, [_MOST], 0)


def clean(text: str) -> str:
    """Return a text that UTF-8 can carry."""
    return text.encode("utf-8", "replace").decode()


def _copied(data: Any, left: list[int], depth: int) -> Any:
    left[0] -= 1
    if left[0] < 0 or depth > _DEEPEST:
        raise NotPlain("too much of it")
    if data is None or isinstance(data, bool | float):
        return data
    if isinstance(data, int):
        if data.bit_length() > _DIGITS * 3:
            raise NotPlain("a very long number")
        return data
    if isinstance(data, str):
        left[0] -= len(data) // 100
        return clean(data)
    if isinstance(data, dict):
        if not all(isinstance(key, str | int | float | bool | None) for key in data):
            raise NotPlain("keys that JSON can't have")
        return {clean(str(key)): _copied(one, left, depth + 1) for key, one in data.items()}
    if isinstance(data, list | tuple | set | frozenset):
        return [_copied(one, left, depth + 1) for one in data]
    raise NotPlain(type(data).__name__)
