"""One message to its payload and back. A batch carries payloads.

A payload is a str as it stands, the pickle of a message, or a `Raw`, a `Long` or a `Linked`. To
rebuild a message may run code that its sender has chosen. So a message is rebuilt only where a
receiver asked for it. Pure: no sockets, no threads, no locks. Any thread may call it.
"""

from __future__ import annotations

import io
import pickle
import struct
from collections.abc import Callable
from typing import Any

from ...errors import FrameError
from .frames import CHUNK, FIELD_BYTES, TOP, U32, Buffer

_FLAT = frozenset({str, int, float, bool, type(None), dict, list, tuple, set, frozenset})
"""The types of most messages. These are pickled in one go, with the buffers inside of them: to ask
pickle for separate buffers would cost each message a little."""

_BYTES = pickle.dumps(pickle.PickleBuffer(b""), 5, buffer_callback=lambda _: False)
"""The pickle of a `bytes` object that travels beside its pickle, as a buffer."""


class Raw:
    """A payload that is a `bytes` object as it stands."""

    __slots__ = ("data",)

    def __init__(self, data: Buffer) -> None:
        self.data = data


class Long:
    """A message of `CHUNK` bytes or more: its pickle and the buffers that travel beside it."""

    __slots__ = ("kept", "segments")

    def __init__(self, segments: tuple[Buffer, ...], kept: bool = True) -> None:
        self.segments = segments
        self.kept = kept

    @property
    def is_bytes(self) -> bool:
        """Whether the message is a `bytes` object."""
        return self.segments[0] == _BYTES

    def __len__(self) -> int:
        head, *buffers = self.segments
        return sum(map(len, buffers)) + (0 if self.is_bytes else len(head))

    def rebuild(self) -> Any:
        """Rebuild the message. May raise anything."""
        head, *buffers = self.segments
        if self.kept:
            buffers = [bytearray(b) if type(b) is bytearray else b for b in buffers]
        return pickle.loads(head, buffers=buffers)


class Linked:
    """A message that carries channels: their keys and a pickle that refers to them."""

    __slots__ = ("data",)

    def __init__(self, data: Buffer) -> None:
        self.data = data

    def __len__(self) -> int:
        return len(self.data)

    def carried(self) -> list[str]:
        """Return the keys of the channels."""
        return [key for key in split_linked(self.data)[0] if key]


def split_linked(data: Buffer) -> tuple[list[str], Buffer]:
    """Return the keys of a linked message's channels, and its pickle. Raises `FrameError`."""
    try:
        (size,) = U32.unpack_from(data)
        if size > FIELD_BYTES:
            raise ValueError(f"it is said to have {size} bytes, {FIELD_BYTES} are allowed")
        keys = bytes(data[U32.size : U32.size + size])
        if len(keys) != size:
            raise ValueError("the table of keys is cut short")
        return keys.decode("ascii").split(","), data[U32.size + size :]
    except (struct.error, ValueError) as error:
        raise FrameError(f"a message with channels has no table of them: {error}") from error


class _LinkPickler(pickle.Pickler):
    def __init__(self, file: io.BytesIO, link: Callable[[Any], tuple[str, Any] | None]) -> None:
        super().__init__(file, 5)
        self.keys: list[str] = []
        self._link = link

    def persistent_id(self, obj: Any) -> Any:
        found = self._link(obj)
        if found is None:
            return None
        self.keys.append(found[0])
        return found


class _LinkUnpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, find: Callable[[str, Any], Any]) -> None:
        super().__init__(file)
        self._find = find

    def persistent_load(self, pid: Any) -> Any:
        return self._find(*pid)


def dump_linked(data: object, link: Callable[[Any], tuple[str, Any] | None]) -> Linked:
    """Serialise a message with channels in it.

    `link` is called with each object. For a channel it returns the key and what `find` of
    `load_linked` needs, for any other object None. Raises whatever pickling raises.
    """
    file = io.BytesIO()
    pickler = _LinkPickler(file, link)
    pickler.dump(data)
    keys = ",".join(pickler.keys).encode("ascii")
    if len(keys) > FIELD_BYTES:
        raise ValueError(f"it carries {len(pickler.keys)} channels, which are too many")
    return Linked(U32.pack(len(keys)) + keys + file.getvalue())


def load_linked(payload: Linked, find: Callable[[str, Any], Any]) -> Any:
    """Rebuild a linked message. `find` makes a channel of what `link` gave. May raise anything."""
    return _LinkUnpickler(io.BytesIO(split_linked(payload.data)[1]), find).load()


def dump(data: Any) -> tuple[bytes | Long, int]:
    """Serialise one message; return the payload and its length.

    The length is 0 for a `Long`. Its top bit is set for a `bytes` object as it stands. Raises
    whatever pickling raises.
    """
    kind = type(data)
    if kind in _FLAT:
        payload = pickle.dumps(data, 5)
        if len(payload) < CHUNK:
            return payload, len(payload)
        return Long((payload,)), 0
    if kind is bytes:
        if len(data) < CHUNK:
            return data, len(data) | TOP
        return Long((_BYTES, data)), 0
    if kind is bytearray:
        data = pickle.PickleBuffer(data)
    buffers: list[Buffer] = []

    def goes_with_the_rest(buffer: pickle.PickleBuffer) -> bool:
        with buffer.raw() as view:
            if len(view) < CHUNK:
                return True
            whole: Any = view.obj
            if not view.readonly:
                buffers.append(bytearray(view))
            elif type(whole) is bytes and len(whole) == len(view):
                buffers.append(whole)  # It can't be changed, so it need not be copied.
            else:
                buffers.append(bytes(view))
        return False

    payload = pickle.dumps(data, 5, buffer_callback=goes_with_the_rest)
    if buffers or len(payload) >= CHUNK:
        return Long((payload, *buffers)), 0
    return payload, len(payload)


def load(payload: Any) -> Any:
    """Rebuild a message from a payload of `Batch.payloads`. May raise anything."""
    kind = type(payload)
    if kind is bytes:
        return pickle.loads(payload)
    if kind is str:
        return payload
    if kind is Raw:
        return bytes(payload.data)
    return payload.rebuild()
