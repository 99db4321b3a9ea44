"""Checks data against a channel's type with pydantic, which is imported when a type is first used.

The data is sent as it was given: objects that pydantic builds for the check are thrown away. Any
thread calls it.
"""

from __future__ import annotations

import dataclasses
import re
import reprlib
from collections import abc, deque
from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeVar, get_args, get_origin

from ...errors import ChannelTypeError
from .schema import Description, resolve, substitute

Check = Callable[[Any, str], None]
"""Raises `ChannelTypeError` unless the data is of the type. Takes the data and the channel's name.
"""

_PROBLEMS = 3
_LONGEST = 200
"""An error tells at most `_PROBLEMS` problems. Each part has at most `_LONGEST` characters."""


def check_for(channel: object, base: type, name: str, needed: bool) -> Check | None:
    """Return the check for the type that `channel` gives to the generic class `base`.

    Returns None if it gives none, or a type that all data is of. Raises `ChannelTypeError` for a
    type that can't be checked, and if a type is needed and none is given.
    """
    given, module = _given_by(channel, base)
    if not given and needed:
        raise ChannelTypeError(
            f"channel {name}: type_check=True, but it has no type that could be checked: make it "
            "as Channel[T](...)",
            name,
        )
    if not given:
        return None
    kind = given[0]
    try:
        kind = resolve(kind, module)
        return None if kind in (Any, object) else _check(kind)
    except Exception as error:
        raise _can_not(name, kind, error) from error


def kind_of(channel: object, base: type) -> Any:
    """Return the type for which `check_for` has found a check."""
    given, module = _given_by(channel, base)
    return resolve(given[0], module)


def _given_by(channel: object, base: type) -> tuple[tuple[Any, ...], str | None]:
    alias = getattr(channel, "__orig_class__", None)
    return _given(type(channel), get_args(alias), base)


def _given(cls: Any, arguments: tuple[Any, ...], base: type) -> tuple[tuple[Any, ...], str | None]:
    """Return the types that `cls[arguments]` gives to `base`, and the module that names them."""
    if cls is base:
        return arguments, None
    own = dict(zip(cls.__parameters__, arguments, strict=False))
    for parent in cls.__dict__.get("__orig_bases__", cls.__bases__):
        origin = get_origin(parent) or parent
        if isinstance(origin, type) and issubclass(origin, base):
            passed = get_args(parent)
            if passed and parent.__parameters__:
                passed = get_args(substitute(parent, own)) if arguments else ()
            given, module = _given(origin, passed, base)
            return given, module or cls.__module__
    return (), None


def _check(kind: Any) -> Check:
    if isinstance(kind, TypeVar) or (get_origin(kind) and getattr(kind, "__parameters__", ())):
        raise TypeError("its type variable stands for no type")
    try:
        hash(kind)
    except TypeError:  # Annotated with a value that has no hash, such as a list.
        return _make_check(kind)
    return _cached_check(kind)


def _make_check(kind: Any) -> Check:
    from pydantic import TypeAdapter, ValidationError

    validate = TypeAdapter(Description().of(kind)).validator.validate_python

    def check(data: Any, name: str) -> None:
        try:
            validate(data, strict=True)
        except ValidationError as error:
            problems = _problems(error.errors(include_url=False, include_context=False), data)
            raise ChannelTypeError(
                f"channel {name}: expected {_readable(kind)}, got {_came(data)} ({problems}); "
                "nothing was sent",
                name,
            ) from None
        except Exception as error:
            raise _can_not(name, kind, error) from error

    return check


_cached_check = lru_cache(256)(_make_check)


# ------------------------------------------------------------- what errors say


def _can_not(name: str, kind: Any, error: Exception) -> ChannelTypeError:
    why = _short(str(error).split("\n")[0])
    return ChannelTypeError(
        f"channel {name}: data can't be checked against {_readable(kind)}: {why}; give another "
        "type, or make the channel with type_check=False",
        name,
    )


def _readable(kind: Any) -> str:
    if isinstance(kind, type) and get_origin(kind) is None:
        return "None" if kind is type(None) else kind.__qualname__
    return _short(re.sub(r"\btyping(_extensions)?\.", "", repr(kind)))


def _problems(problems: list[Any], data: Any) -> str:
    said: list[str] = []
    # In a union the branch that got furthest into the data is probably the one that was meant.
    for problem in sorted(problems, key=lambda problem: -len(problem["loc"])):
        missing = problem["type"] == "missing"
        place = _place(data, problem["loc"], missing)
        told = _short(problem["msg"][:1].lower() + problem["msg"][1:])
        if place:
            came = "" if missing else f", not {_came(problem['input'])}"
            told = f"at {place}: {told}{came}"
        if told in said:
            continue
        if len(said) == _PROBLEMS:
            said.append("and more")
            break
        said.append(told)
    return "; ".join(said)


def _place(data: Any, location: tuple[Any, ...], missing: bool) -> str:
    """Return where in `data` the problem is. Names of a union's branches are no places."""
    place = ""
    value = data
    for i, part in enumerate(location):
        if isinstance(value, abc.Mapping) and part in value:
            place += f"[{reprlib.repr(part)}]"
            value = value[part]
        elif isinstance(value, list | tuple | deque) and isinstance(part, int):
            place += f"[{part}]"
            value = value[part]
        elif (dataclasses.is_dataclass(value) or isinstance(value, tuple)) and hasattr(value, part):
            place += f".{part}"
            value = getattr(value, part)
        elif part == "[key]":
            place += " (the key)"
        elif missing and i == len(location) - 1:
            place += f"[{reprlib.repr(part)}]"
    return _short(place)


def _came(value: Any) -> str:
    kind = type(value)
    if value is None:
        return "None"
    if kind in (bool, float, str) or (kind is int and value.bit_length() < 100):
        return f"{kind.__name__} {reprlib.repr(value)}"
    return _short(kind.__qualname__)


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
