"""Messages that may cross machines: msgpack in place of pickle. Imported only in a cluster.

Whoever rebuilds a pickle may run code that its sender has chosen. Between machines nobody is to be
believed so far, so what crosses them is msgpack of plain data. On a link it travels inside of a
pickle that is always the same and only calls `load`. So whoever receives need not know the
difference, and the main process takes the msgpack out, and puts in what came from another machine,
without looking into it. What only processes of the same node may rebuild stands beside the msgpack
in such a pickle, and never leaves the node. Pure. Any thread may call it.
"""

from __future__ import annotations

import pickle
from typing import Any

import msgspec

from .frames import CHUNK, U32, Buffer
from .payload import Long

_CALL = b"\x80\x05c" + __name__.encode("ascii") + b"\nload\n"
_SHORT = _CALL + b"B"
_END = b"\x85R."
_LONG = _CALL + b"\x97" + _END
_AS = b"\x80\x05c" + __name__.rpartition(".")[0].encode("ascii") + b".models\nload_as\n"
_SHORT_AS = _AS + b"B"
_LONG_AS = _AS + b"\x97"
_WHOLE = b"\x80\x05c" + __name__.encode("ascii") + b"\nwhole\n"
_SHORT_WHOLE = _WHOLE + b"B"
_LONG_WHOLE = _WHOLE + b"\x97"
_END_OF_TWO = b"\x86R."

_SHORT_FORMS = ((_SHORT, _END), (_SHORT_AS, _END_OF_TWO), (_SHORT_WHOLE, _END_OF_TWO))
_LONG_FORMS = (_LONG, _LONG_AS, _LONG_WHOLE)
_LONGEST_HEAD = max(map(len, _LONG_FORMS))

_DEEPEST = 200

_ATOMS = frozenset({str, float, bool, type(None), bytes, bytearray})
_KEYS = frozenset({str, int, float, bool, type(None), bytes})

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder()


class NotPlain(TypeError):
    """It has something in it that can't cross machines."""


def load(data: Buffer) -> Any:
    """Rebuild a message. Raises `msgspec.DecodeError`."""
    return _decoder.decode(data)


def whole(_packed: Buffer, data: Any) -> Any:
    """Return a message as it was sent, in a process of the node that has sent it."""
    return data


def encode(data: object) -> bytes:
    """Return the msgpack of plain data. Raises `NotPlain`."""
    _check(data, 0)
    try:
        return _encoder.encode(data)
    except (UnicodeEncodeError, OverflowError, ValueError) as error:
        raise NotPlain(str(error)) from error


def dump(data: object, kind: bytes | None = None) -> bytes | Long:
    """Serialise a message to a payload that `unwrap` knows. Raises `NotPlain`.

    With a `kind`, the pickle of a type without its head and end, processes of this node rebuild it
    as an object of that type.
    """
    packed = encode(data)
    return wrap(packed) if kind is None else _wrap_with(_SHORT_AS, _LONG_AS, packed, kind)


def dump_whole(data: object) -> bytes | Long:
    """Serialise a message so that processes of this node get just what it is, a tuple as a tuple.

    `unwrap` gives what others get. Raises `NotPlain`.
    """
    packed = encode(data)
    if _comes_back(data, set()):
        return wrap(packed)
    return _wrap_with(_SHORT_WHOLE, _LONG_WHOLE, packed, pickle.dumps(data, 3)[2:-1])


def wrap(packed: Buffer) -> bytes | Long:
    """Return a payload that rebuilds to what the msgpack holds."""
    if len(packed) + len(_SHORT) + 16 < CHUNK:
        return flat(packed)
    return Long((_LONG, packed))


def flat(packed: Buffer) -> bytes:
    """Return such a payload in one piece, however long it is."""
    return b"".join((_SHORT, U32.pack(len(packed)), packed, _END))


def unwrap(payload: Buffer | Long) -> Buffer | None:
    """Return the msgpack in a payload that `wrap` has made; None for any other payload."""
    if isinstance(payload, Long):
        if len(payload.segments) != 2:
            return None
        start = bytes(payload.segments[0][:_LONGEST_HEAD])
        return payload.segments[1] if start.startswith(_LONG_FORMS) else None
    for head, end in _SHORT_FORMS:
        if bytes(payload[: len(head)]) == head and bytes(payload[-len(end) :]) == end:
            at = len(head) + U32.size
            if len(payload) < at + len(end):
                return None
            (length,) = U32.unpack_from(payload, len(head))
            rest = len(payload) - at - length - len(end)
            return (
                payload[at : at + length]
                if rest == 0 or (rest > 0 and end is _END_OF_TWO)
                else None
            )
    return None


def _wrap_with(short: bytes, long: bytes, packed: Buffer, second: bytes) -> bytes | Long:
    """Return a payload that calls the function of these heads with the msgpack and another value.

    `second` is the pickle of that value, without its head and end.
    """
    if len(packed) + len(short) + len(second) + 16 < CHUNK:
        return b"".join((short, U32.pack(len(packed)), packed, second, _END_OF_TWO))
    return Long((long + second + _END_OF_TWO, packed))


def _comes_back(data: Any, seen: set[int]) -> bool:
    """Return whether plain data comes out of msgpack as it is: with the same types, and no two
    places with one list or dict."""
    kind = type(data)
    if kind is not dict and kind is not list:
        return kind is not tuple and kind is not bytearray
    if id(data) in seen:
        return False
    seen.add(id(data))
    return all(_comes_back(each, seen) for each in (data.values() if kind is dict else data))


def _check(data: Any, depth: int) -> None:
    kind = type(data)
    if kind in _ATOMS:
        return
    if kind is int:
        if not -(1 << 63) <= data < 1 << 64:
            raise NotPlain("an int that has more than 64 bits")
        return
    if depth > _DEEPEST:
        raise NotPlain(f"data that is nested deeper than {_DEEPEST}")
    if kind is dict:
        for key, value in data.items():
            if type(key) not in _KEYS:
                raise NotPlain(f"a dict with a key of type {type(key).__qualname__}")
            if type(key) is int:
                _check(key, depth)
            _check(value, depth + 1)
    elif kind is list or kind is tuple:
        for value in data:
            _check(value, depth + 1)
    else:
        raise NotPlain(f"type {kind.__qualname__}")
