"""What the server keeps of one key of the store: to bytes and back.

Pure. An entry is msgpack of the key, its value and when it expires; the subject alone would not
tell a long key. Nothing that comes is believed: what has another form is a `Stranger`, whose value
nobody can rebuild.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from ..comm.store.value import BYTES, FLOAT, INT, PICKLE, TEXT, Value
from ..comm.wire import packed
from .subjects import Subjects

_PACKED = "m"
_AS_THEY_ARE = frozenset((TEXT, BYTES, INT, FLOAT))
_UNREADABLE = Value(PICKLE, packed.flat(b"\xc1"))
"""No msgpack: to rebuild it raises."""
_LATEST = 1e11
_GONE = ("KV-Operation", "Nats-Marker-Reason")


class Kept(msgspec.Struct, array_like=True, gc=False):
    """One change of a key. An empty `kind` says that it was deleted."""

    key: bytes
    kind: str = ""
    data: bytes = b""
    expires_at: float | None = None
    """In seconds since 1970; None: never."""
    expired: bool = False
    """Whether it was deleted because its time was over."""


class Stored(msgspec.Struct, gc=False):
    """A change of a key as the server has it. `value` None says that there is no such key."""

    version: int
    key: str | None
    """None: it does not say."""
    value: Value | None = None
    expires_at: float | None = None
    expired: bool = False


_decoder = msgspec.msgpack.Decoder(Kept)
_encode = msgspec.msgpack.encode


def plain(value: Value) -> tuple[str, bytes] | None:
    """Return the kind and bytes of a value for other machines; None if it is no plain data."""
    if value.kind in _AS_THEY_ARE:
        return value.kind, bytes(value.data)
    found = packed.unwrap(value.data)
    return None if found is None else (_PACKED, bytes(found))


def value_of(kind: str, data: bytes) -> Value:
    """Return a value that `plain` has taken apart. One of an unknown kind can't be rebuilt."""
    if kind in _AS_THEY_ARE:
        return Value(kind, data)
    return Value(PICKLE, packed.flat(data)) if kind == _PACKED else _UNREADABLE


def is_gone(body: bytes, headers: Mapping[str, str]) -> bool:
    """Return whether an entry says that there is none any more."""
    return not body or any(name in headers for name in _GONE)


def write(key: str, given: tuple[str, bytes], expires_at: float | None) -> bytes:
    """Return the entry of a key that has a value, as `plain` returns it."""
    return _encode(Kept(key.encode("utf-8", "surrogatepass"), *given, expires_at))


def write_gone(key: str, expired: bool) -> bytes:
    """Return the entry of a key that was deleted."""
    return _encode(Kept(key.encode("utf-8", "surrogatepass"), expired=expired))


def read(
    subjects: Subjects, subject: str, version: int, body: bytes, headers: Mapping[str, str]
) -> Stored:
    """Return what an entry says."""
    try:
        kept = _decoder.decode(body)
        key = str(kept.key, "utf-8", "surrogatepass")
    except (msgspec.MsgspecError, UnicodeDecodeError):
        key = ""
    if not key or subjects.of_key(key) != subject:
        if any(name in headers for name in _GONE):
            return Stored(version, None, expired="Nats-Marker-Reason" in headers)
        return Stored(version, None, _UNREADABLE)
    value = value_of(kept.kind, kept.data) if kept.kind else None
    at = kept.expires_at
    if at is not None and not 0 <= at < _LATEST:
        at = None
    return Stored(version, key, value, at, kept.expired)
