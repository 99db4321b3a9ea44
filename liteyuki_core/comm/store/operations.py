"""The operations of the store: which questions each asks, and what it makes of the answers.

Each operation is a generator. It yields an `Answer` and goes on when that is whole. So it is
written once, and its caller decides how to wait, see `storage.py`. It runs on the thread or in the
task of its caller, under no lock, and rebuilds values there.

Invariant: after a `get`, and after a change that was made, the copies of this process are given the
new state of the key.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, TypeVar

from . import value
from .access import Access, Answer
from .copies import ABSENT
from .value import Value

T = TypeVar("T")
Steps = Generator[Answer, Answer, T]

RAISE: Any = object()
"""A default that stands for no default: a missing key is an error."""


class Operations:
    """The operations of the part of the store whose keys begin with one prefix.

    `SharedMemory` adds the sync and async doors. This is its base class and not an object of its
    own: a `get` that asks nobody is so quick that one more attribute would cost it 5 %.
    """

    def __init__(self, prefix: str, persist: bool | None) -> None:
        self._prefix = prefix
        self._persist = persist

    def _found(self) -> Access:
        """Return the way of this process to the store. Raises `NotConnected`."""
        raise NotImplementedError

    def _read(self, key: str, default: Any) -> Any:
        """Return the value of a full key without asking, or `ASK`. In a child."""
        return self._found().copies.read(self._checked(key), default)

    def _get(self, key: str, default: Any) -> Steps[Any]:
        answer = yield self._found().ask("get", key, {"key": key})
        self._keep(key, answer)
        return value.rebuild(answer.values[0], key) if answer.values else default

    def _keys(self, prefix: str) -> Steps[list[str]]:
        args = {"prefix": self._prefix + _text(prefix, "a prefix"), "content": False}
        answer = yield self._found().ask("scan", None, args)
        return [key[len(self._prefix) :] for key in answer.keys]

    def _items(self, prefix: str) -> Steps[list[tuple[str, Any]]]:
        args = {"prefix": self._prefix + _text(prefix, "a prefix"), "content": True}
        answer = yield self._found().ask("scan", None, args)
        pairs = zip(answer.keys, answer.values, strict=True)
        return [(key[len(self._prefix) :], value.rebuild(found, key)) for key, found in pairs]

    def _count(self) -> Steps[int]:
        answer = yield self._found().ask("count", None, {"prefix": self._prefix})
        return int(answer.fields["count"])

    def _set(self, key: str, data: Any, ttl: float | None, persist: bool | None) -> Steps[None]:
        key = self._key(key)
        access = self._found()
        serialised = self._dump(key, data)
        args = {"key": key, "ttl": _check_ttl(ttl), "persist": self._persists(persist)}
        answer = yield access.ask("set", key, args, [serialised])
        self._keep(key, answer, serialised)

    def _delete(self, key: str) -> Steps[bool]:
        key = self._key(key)
        answer = yield self._found().ask("delete", key, {"key": key})
        self._keep(key, answer, None)
        return bool(answer.fields["was"])

    def _pop(self, key: str, default: Any) -> Steps[Any]:
        full = self._key(key)
        answer = yield self._found().ask("delete", full, {"key": full})
        self._keep(full, answer, None)
        if answer.values:
            return value.rebuild(answer.values[0], full)
        if default is RAISE:
            raise KeyError(key)
        return default

    def _clear(self, prefix: str) -> Steps[int]:
        args = {"prefix": self._prefix + _text(prefix, "a prefix")}
        answer = yield self._found().ask("clear", None, args)
        return int(answer.fields["count"])

    def _incr(self, key: str, by: float) -> Steps[Any]:
        key = self._key(key)
        if type(by) not in (int, float):
            raise TypeError(f"what is added must be an int or a float, not {type(by).__name__}")
        args = {"key": key, "persist": self._persists(None)}
        answer = yield self._found().ask("incr", key, args, [value.number(by)])
        (number,) = answer.values
        self._keep(key, answer, number)
        return value.load(number)

    def _compare_and_set(self, key: str, expected: Any, new: Any) -> Steps[bool]:
        key = self._key(key)
        serialised = self._dump(key, new)
        answer = yield self._found().ask("get", key, {"key": key})
        while True:
            found = value.rebuild(answer.values[0], key) if answer.values else None
            same = found == expected
            if not same:
                return False
            answer = yield self._set_if(key, answer, serialised)
            if answer.fields["done"]:
                self._keep(key, answer, serialised)
                return True

    def _update(self, key: str, fn: Callable[[Any], Any], default: Any) -> Steps[Any]:
        key = self._key(key)
        if not callable(fn):
            raise TypeError(f"fn must be callable, not {type(fn).__name__}")
        answer = yield self._found().ask("get", key, {"key": key})
        while True:
            data = fn(value.rebuild(answer.values[0], key) if answer.values else default)
            serialised = self._dump(key, data)
            answer = yield self._set_if(key, answer, serialised)
            if answer.fields["done"]:
                self._keep(key, answer, serialised)
                return data

    def _setdefault(self, key: str, default: Any) -> Steps[Any]:
        key = self._key(key)
        serialised = self._dump(key, default)
        answer = yield self._found().ask("get", key, {"key": key})
        while not answer.values:
            answer = yield self._set_if(key, answer, serialised)
            if answer.fields["done"]:
                self._keep(key, answer, serialised)
                return value.load(serialised)
        return value.rebuild(answer.values[0], key)

    def _set_if(self, key: str, seen: Answer, serialised: Value) -> Answer:
        version = seen.fields["version"]
        args = {"key": key, "version": version, "persist": self._persists(None)}
        return self._found().ask("set", key, args, [serialised])

    def _publish(self, topic: str, data: Any) -> Steps[None]:
        topic = self._key(topic)
        yield self._found().ask("publish", topic, {"topic": topic}, [self._dump(topic, data)])

    def _keep(self, key: str, answer: Answer, data: Value | object | None = ABSENT) -> None:
        fields = answer.fields
        if data is ABSENT:
            data = answer.values[0] if answer.values else None
        assert data is None or isinstance(data, Value)
        self._found().copies.keep(key, fields["cell"], fields.get("deadline"), data)

    def _persists(self, asked: bool | None) -> bool | None:
        return self._persist if asked is None else asked

    def _dump(self, key: str, data: Any) -> Value:
        return value.dump(data, key, self._found().site.max_message_bytes)

    def _key(self, key: object) -> str:
        """Return the full key. Raises `TypeError` or `ValueError`."""
        return self._checked(self._prefix + _text(key, "a key"))

    def _checked(self, key: object) -> str:
        text = _text(key, "a key")
        size = len(text.encode("utf-8", "surrogatepass"))
        if size <= len(self._prefix) or size > value.KEY_BYTES:
            raise ValueError(
                f"a key must have 1 to {value.KEY_BYTES} bytes, not {size}: {text[:40]!r}"
            )
        return text


def _text(data: object, what: str) -> str:
    if not isinstance(data, str):
        raise TypeError(f"{what} must be a string, not {type(data).__name__}")
    return data


def _check_ttl(ttl: float | None) -> float | None:
    if ttl is None:
        return None
    if isinstance(ttl, bool) or not isinstance(ttl, (int, float)):
        raise TypeError(f"ttl must be a number of seconds, not {type(ttl).__name__}")
    if not ttl > 0:
        raise ValueError(f"ttl must be above 0 seconds, not {ttl}")
    return None if ttl == float("inf") else float(ttl)
