"""What can be asked of the store: a word each, read and checked here.

Whoever asks brings a name and arguments as JSON has them, and a serialised value with some; `read`
makes the word of it. Pure; called under the context's lock by the `Store`. Invariant: nothing that
comes is believed. A question that is not known, an argument too many or too few, or one of another
type or out of its range, is a `FrameError`.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any, NamedTuple, TypeVar

from ...errors import FrameError
from .value import KEY_BYTES, KINDS, Value

_MOST_NAME = 64 * 1024
"""Longest name of a key, pattern or topic in characters."""

_Check = Callable[[Any], bool]


def _is_name(given: Any) -> bool:
    return type(given) is str and len(given) <= _MOST_NAME


def _is_key(given: Any) -> bool:
    return type(given) is str and 0 < len(given) <= KEY_BYTES


def _is_flag(given: Any) -> bool:
    return type(given) is bool


def _is_flag_or_none(given: Any) -> bool:
    return given is None or type(given) is bool


def _is_number(given: Any) -> bool:
    return type(given) is int and 0 <= given < 1 << 63


def _is_number_or_none(given: Any) -> bool:
    return given is None or _is_number(given)


def _is_time_or_none(given: Any) -> bool:
    return given is None or _is_number(given) or (type(given) is float and 0 < given < inf)


class _Form(NamedTuple):
    """How a question is read: whether it brings a value, and its arguments in order."""

    kind: Callable[..., Question]
    brings: int
    checks: dict[str, _Check]


FORMS: dict[str, _Form] = {}
"""All that can be asked, by name."""

Q = TypeVar("Q", bound=type[tuple[Any, ...]])


def _asked(name: str, **checks: _Check) -> Callable[[Q], Q]:
    """Decorate the class of a question: its name, and the checks of its arguments.

    They stand in the order of the fields. A field `value`, which stands before them, is the value
    that comes with the question. An argument that may be None can be left out.
    """

    def add(kind: Q) -> Q:
        fields: Any = kind
        FORMS[name] = _Form(fields, fields._fields.count("value"), checks)
        return kind

    return add


@_asked("get", key=_is_key)
class Get(NamedTuple):
    """What is at a key?"""

    key: str


@_asked(
    "set",
    key=_is_key,
    ttl=_is_time_or_none,
    persist=_is_flag_or_none,
    version=_is_number_or_none,
)
class Set(NamedTuple):
    """Set a key; with `version` only if its latest change is that (0: there is no such key)."""

    value: Value
    key: str
    ttl: float | None
    persist: bool | None
    version: int | None


@_asked("delete", key=_is_key)
class Delete(NamedTuple):
    """Delete a key."""

    key: str


@_asked("incr", key=_is_key, persist=_is_flag_or_none)
class Incr(NamedTuple):
    """Add a number to a key's."""

    value: Value
    key: str
    persist: bool | None


@_asked("scan", prefix=_is_name, content=_is_flag)
class Scan(NamedTuple):
    """Which keys start so, and, if `content`, what is at them?"""

    prefix: str
    content: bool


@_asked("count", prefix=_is_name)
class Count(NamedTuple):
    """How many keys start so?"""

    prefix: str


@_asked("clear", prefix=_is_name)
class Clear(NamedTuple):
    """Delete all keys that start so."""

    prefix: str


@_asked("lock", key=_is_key, wait=_is_flag)
class Lock(NamedTuple):
    """Take a lock, if need be when it is free."""

    key: str
    wait: bool


@_asked("unlock", key=_is_key, held=_is_number)
class Unlock(NamedTuple):
    """Give back a lock; `held` is the number of the question by which it was taken."""

    key: str
    held: int


@_asked("watch", pattern=_is_name)
class Watch(NamedTuple):
    """Tell of the changes of keys that match."""

    pattern: str


@_asked("unwatch", pattern=_is_name)
class Unwatch(NamedTuple):
    """Tell of them no more."""

    pattern: str


@_asked("subscribe", topic=_is_name)
class Subscribe(NamedTuple):
    """Tell of what is published on topics that match."""

    topic: str


@_asked("publish", topic=_is_name)
class Publish(NamedTuple):
    """Tell whoever has subscribed to a topic."""

    value: Value
    topic: str


Question = (
    Get
    | Set
    | Delete
    | Incr
    | Scan
    | Count
    | Clear
    | Lock
    | Unlock
    | Watch
    | Unwatch
    | Subscribe
    | Publish
)


def read(fields: dict[str, Any], values: list[Value]) -> Question:
    """Return what is asked. Raises `FrameError` for what can't be asked."""
    name, args = fields.get("op"), fields.get("args")
    form = FORMS.get(name) if type(name) is str else None
    if form is None or type(args) is not dict or len(fields) != 2:
        raise FrameError(f"the store can't be asked {name!r}")
    kind, brings, checks = form
    if len(values) != brings or (brings and values[0].kind not in KINDS):
        raise FrameError(f"the store is asked to {name} with {len(values)} values")
    given: list[Any] = [*values]
    for arg, check in checks.items():
        found = args.get(arg)
        if not check(found):
            break
        given.append(found)
    else:
        if args.keys() <= checks.keys():
            return kind(*given)
    raise FrameError(f"the store is asked to {name} with {args!r}")
