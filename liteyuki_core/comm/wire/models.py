"""Objects of a channel's type as plain data, and back. Imported where such a type may cross nodes.

Dataclasses, named tuples, sets, enums, dates and msgspec's own classes are left to msgspec, models
of pydantic to themselves. Only classes that the type names are made, from data of their shape.
Pure. Any thread may call it.
"""

from __future__ import annotations

import pickle
import types
from functools import lru_cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec

_PLAIN = frozenset({str, int, float, bool, bytes, type(None), dict, list, Any, object})
_PLAIN_OF = frozenset({dict, list, Annotated, Literal, Union, types.UnionType})


class Model:
    """One type.

    Raises `TypeError` or `pickle.PicklingError` if objects of it can't be rebuilt from plain data.
    """

    def __init__(self, kind: Any) -> None:
        self.named = pickle.dumps(kind, 3)[2:-1]
        """The type, as `packed.dump` takes it."""
        self._decoder = msgspec.msgpack.Decoder(kind, dec_hook=_object)

    def plain(self, data: Any) -> Any:
        """Return the plain data of an object. May raise anything that its class raises."""
        return msgspec.to_builtins(data, builtin_types=(bytes, bytearray), enc_hook=_data)

    def load(self, packed: Any) -> Any:
        """Rebuild an object from msgpack.

        Raises `msgspec.MsgspecError` if that has another shape.
        """
        return self._decoder.decode(packed)


def model_of(kind: Any) -> Model | None:
    """Return what makes plain data of a type; None if it is plain, or can't be rebuilt."""
    if is_plain(kind):
        return None
    try:
        return _model(kind)
    except (TypeError, AttributeError, pickle.PicklingError):
        return None


def load_as(data: Any, kind: Any) -> Any:
    """Rebuild an object, in a process of the node that has sent it.

    Raises `msgspec.MsgspecError` if the data has another shape.
    """
    return _model(kind).load(data)


def is_plain(kind: Any) -> bool:
    """Return whether all data of a type is plain data as it is."""
    origin = get_origin(kind)
    if origin is None:
        return kind in _PLAIN
    if origin is Literal:
        return all(type(each) in _PLAIN for each in get_args(kind))
    arguments = get_args(kind)
    if origin is Annotated:
        arguments = arguments[:1]
    return origin in _PLAIN_OF and all(map(is_plain, arguments))


_model = lru_cache(256)(Model)


def _data(found: Any) -> Any:
    dump = getattr(found, "model_dump", None)
    if dump is None:
        raise TypeError(f"{type(found).__qualname__} has no plain data")
    return dump()


def _object(kind: Any, data: Any) -> Any:
    validate = getattr(kind, "model_validate", None)
    if validate is None:
        raise TypeError(f"a {getattr(kind, '__qualname__', kind)} can't be rebuilt from plain data")
    return validate(data)
