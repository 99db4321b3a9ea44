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

from ... import log
from ...errors import NotConnected, StoreError
from ...language import say
from . import value
from .access import Access, Answer
from .copies import ABSENT
from .question import Clear, Count, Delete, Get, Incr, Publish, Scan, Set
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

    def _get(self, key: str, default: Any, stale_ok: bool) -> Steps[Any]:
        answer = yield self._found().ask(Get(key, stale_ok))
        self._keep(key, answer)
        found = answer.found.value
        return default if found is None else value.rebuild(found, key)

    def _keys(self, prefix: str) -> Steps[list[str]]:
        prefix = self._prefix + _text(prefix, "a prefix")
        answer = yield self._found().ask(Scan(prefix, False))
        return [key[len(self._prefix) :] for key in answer.keys]

    def _items(self, prefix: str) -> Steps[list[tuple[str, Any]]]:
        prefix = self._prefix + _text(prefix, "a prefix")
        answer = yield self._found().ask(Scan(prefix, True))
        items = []
        for key, found in zip(answer.keys, answer.values, strict=True):
            try:
                items.append((key[len(self._prefix) :], value.rebuild(found, key)))
            except StoreError as error:
                # One class that has another name now must not hide all other keys.
                log.logger.error(say("{error}; it is left out of what was asked for", error=error))
        return items

    def _count(self) -> Steps[int]:
        answer = yield self._found().ask(Count(self._prefix))
        return int(answer.fields["count"])

    def _set(self, key: str, data: Any, ttl: float | None, persist: bool | None) -> Steps[None]:
        key = self._key(key)
        access = self._found()
        serialised = self._dump(key, data)
        asked = Set(serialised, key, _check_ttl(ttl), self._persists(persist), None)
        answer = yield access.ask(asked)
        self._keep(key, answer, serialised)

    def _delete(self, key: str) -> Steps[bool]:
        key = self._key(key)
        answer = yield self._found().ask(Delete(key))
        self._keep(key, answer, None)
        return answer.found.done

    def _pop(self, key: str, default: Any) -> Steps[Any]:
        full = self._key(key)
        answer = yield self._found().ask(Delete(full))
        self._keep(full, answer, None)
        if answer.found.value is not None:
            return value.rebuild(answer.found.value, full)
        if default is RAISE:
            raise KeyError(key)
        return default

    def _clear(self, prefix: str) -> Steps[int]:
        prefix = self._prefix + _text(prefix, "a prefix")
        answer = yield self._found().ask(Clear(prefix))
        return int(answer.fields["count"])

    def _incr(self, key: str, by: float) -> Steps[Any]:
        key = self._key(key)
        if type(by) not in (int, float):
            raise TypeError(f"what is added must be an int or a float, not {type(by).__name__}")
        answer = yield self._found().ask(Incr(value.number(by), key, self._persists(None)))
        number = answer.found.value
        assert number is not None
        self._keep(key, answer, number)
        return value.load(number)

    def _compare_and_set(self, key: str, expected: Any, new: Any) -> Steps[bool]:
        key = self._key(key)
        serialised = self._dump(key, new)
        answer = yield self._found().ask(Get(key))
        while True:
            seen = answer.found.value
            same = (None if seen is None else value.rebuild(seen, key)) == expected
            if not same:
                return False
            answer = yield self._set_if(key, answer, serialised)
            if answer.found.done:
                self._keep(key, answer, serialised)
                return True

    def _update(self, key: str, fn: Callable[[Any], Any], default: Any) -> Steps[Any]:
        key = self._key(key)
        if not callable(fn):
            raise TypeError(f"fn must be callable, not {type(fn).__name__}")
        answer = yield self._found().ask(Get(key))
        while True:
            seen = answer.found.value
            data = fn(default if seen is None else value.rebuild(seen, key))
            serialised = self._dump(key, data)
            answer = yield self._set_if(key, answer, serialised)
            if answer.found.done:
                self._keep(key, answer, serialised)
                return data

    def _setdefault(self, key: str, default: Any) -> Steps[Any]:
        key = self._key(key)
        serialised = self._dump(key, default)
        answer = yield self._found().ask(Get(key))
        while answer.found.value is None:
            answer = yield self._set_if(key, answer, serialised)
            if answer.found.done:
                self._keep(key, answer, serialised)
                return value.load(serialised)
        return value.rebuild(answer.found.value, key)

    def _set_if(self, key: str, seen: Answer, serialised: Value) -> Answer:
        version = seen.found.version
        return self._found().ask(Set(serialised, key, None, self._persists(None), version))

    def _publish(self, topic: str, data: Any) -> Steps[None]:
        topic = self._key(topic)
        yield self._found().ask(Publish(self._dump(topic, data), topic))

    def _keep(self, key: str, answer: Answer, data: Value | object | None = ABSENT) -> None:
        _, found, _, cell, deadline = answer.found
        if data is ABSENT:
            data = found
        assert data is None or isinstance(data, Value)
        self._found().copies.keep(key, cell, deadline, data)

    def _check_keeps(self, prefix: str) -> None:
        """Raise `StoreError` if it is known that no key can outlive the main process."""
        try:
            access = self._found()
        except NotConnected:
            return  # Nothing is known before there is a LiteyukiBot.
        if not access.keeps:
            raise StoreError(f"namespace {prefix[:-1]!r} {value.CAN_NOT_KEEP}", prefix[:-1])

    def _persists(self, asked: bool | None) -> bool | None:
        return self._persist if asked is None else asked

    def _dump(self, key: str, data: Any) -> Value:
        access = self._found()
        return access.dump(data, key, access.site.max_message_bytes)

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
