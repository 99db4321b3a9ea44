"""The questions to the store: one small class for each. Those in JSON are read and checked here.

Questions about one key are written and read in `packed.py`. Any other comes as a name and arguments
in JSON, and some come with a serialised value. Pure: no sockets, no threads, no locks.

Invariant: nothing that comes is believed. An unknown question, an argument too many or too few, or
an argument of another type or out of its range is a `FrameError`.
"""

from __future__ import annotations

from collections.abc import Callable
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


def _is_number(given: Any) -> bool:
    return type(given) is int and 0 <= given < 1 << 63


class _Form(NamedTuple):
    """How a question is read: its class, how many values it has, and its arguments in order."""

    kind: Callable[..., OfMore]
    brings: int
    checks: dict[str, _Check]


FORMS: dict[str, _Form] = {}
"""All questions in JSON, by name."""

_NAMES: dict[type, str] = {}

Q = TypeVar("Q", bound=type[tuple[Any, ...]])


def _asked(name: str, **checks: _Check) -> Callable[[Q], Q]:
    """Decorate the class of a question: its name, and a check for each of its arguments.

    The checks are in the order of the fields. A field `value` comes before the arguments: it is the
    value that comes with the question.
    """

    def add(kind: Q) -> Q:
        fields: Any = kind
        FORMS[name] = _Form(fields, fields._fields.count("value"), checks)
        _NAMES[kind] = name
        return kind

    return add


class Get(NamedTuple):
    """What is at a key? With `stale_ok`, the copy of this node of a cluster may answer."""

    key: str
    stale_ok: bool = False


class Set(NamedTuple):
    """Set a key. With `version`: only if the key has that version (0: if it does not exist)."""

    value: Value
    key: str
    ttl: float | None
    persist: bool | None
    version: int | None


class Delete(NamedTuple):
    """Delete a key."""

    key: str


class Incr(NamedTuple):
    """Add a number to the number at a key."""

    value: Value
    key: str
    persist: bool | None


@_asked("scan", prefix=_is_name, content=_is_flag)
class Scan(NamedTuple):
    """Which keys begin with `prefix`, and, if `content`, what are their values?"""

    prefix: str
    content: bool


@_asked("count", prefix=_is_name)
class Count(NamedTuple):
    """How many keys begin with `prefix`?"""

    prefix: str


@_asked("clear", prefix=_is_name)
class Clear(NamedTuple):
    """Delete all keys that begin with `prefix`."""

    prefix: str


@_asked("lock", key=_is_key, wait=_is_flag)
class Lock(NamedTuple):
    """Take a lock. If it is not free and `wait` is set, take it when it is."""

    key: str
    wait: bool


@_asked("unlock", key=_is_key, held=_is_number)
class Unlock(NamedTuple):
    """Give back a lock; `held` is the number of the question by which it was taken."""

    key: str
    held: int


@_asked("watch", pattern=_is_name)
class Watch(NamedTuple):
    """Tell the asker of the changes of keys that match `pattern`."""

    pattern: str


@_asked("unwatch", pattern=_is_name)
class Unwatch(NamedTuple):
    """Tell the asker of such changes no more."""

    pattern: str


@_asked("subscribe", topic=_is_name)
class Subscribe(NamedTuple):
    """Tell the asker what is published on topics that match `topic`."""

    topic: str


@_asked("publish", topic=_is_name)
class Publish(NamedTuple):
    """Tell a value to all askers that have subscribed to a topic."""

    value: Value
    topic: str


OfKey = Get | Set | Delete | Incr
"""A question about one key, except for its lock."""

OfMore = Scan | Count | Clear | Lock | Unlock | Watch | Unwatch | Subscribe | Publish
"""Any other question."""

Question = OfKey | OfMore


def write(asked: OfMore) -> tuple[dict[str, Any], list[Value]]:
    """Return the fields and values that ask this."""
    args = asked._asdict()
    value = args.pop("value", None)
    return {"op": _NAMES[type(asked)], "args": args}, [] if value is None else [value]


def read(fields: dict[str, Any], values: list[Value]) -> OfMore:
    """Return the question. Raises `FrameError` if there is no such question."""
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
