"""Law S1 of the store: its operations, from any process, through both doors.

And keys, times and numbers that can't be.

Tests comm/storage.py, comm/store/operations.py.
"""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from liteyuki_core import errors
from liteyuki_core.comm.storage import SharedMemory
from liteyuki_core.errors import StoreError, StoreTimeout
from tests.conftest import wait_until
from tests.pair import StoreDoor


def test_a_key_that_is_not_there(store: SharedMemory, other: SharedMemory, do: StoreDoor) -> None:
    """It gives the default, also when that was found before, until somebody sets it."""
    for _ in range(2):
        assert do(store, "get", "key") is None
        assert do(store, "get", "key", "default") == "default"
        assert "key" not in store
        with pytest.raises(KeyError, match="key"):
            store["key"]
    other.set("key", None)
    assert do(store, "get", "key", "default") is None
    assert "key" in store


def test_what_may_be_stale(store: SharedMemory, other: SharedMemory, do: StoreDoor) -> None:
    """Whoever reads so finds its own changes at once, and those of others soon."""
    inner = store.namespace("inner")
    for number in range(20):
        do(inner, "set", "key", number)
        assert do(inner, "get", "key", stale_ok=True) == number
        assert do(store, "get", "inner:key", stale_ok=True) == number
    assert do(store, "get", "none", "default", stale_ok=True) == "default"
    wait_until(lambda: do(other, "get", "inner:key", stale_ok=True) == 19)
    do(inner, "delete", "key")
    assert do(inner, "get", "key", stale_ok=True) is None


def test_delete(store: SharedMemory, other: SharedMemory, do: StoreDoor) -> None:
    """It says whether there was such a key; what is deleted is gone for all."""
    do(store, "set", "key", 1)
    assert other["key"] == 1
    assert do(store, "delete", "key") is True
    assert do(store, "delete", "key") is False
    assert "key" not in other
    with pytest.raises(KeyError):
        del store["key"]
    store["key"] = 2
    del other["key"]
    assert "key" not in store


def test_pop(store: SharedMemory, other: SharedMemory, do: StoreDoor) -> None:
    """It returns what it deletes."""
    other["key"] = [1]
    assert do(store, "pop", "key") == [1]
    assert "key" not in other
    assert do(store, "pop", "key", None) is None
    with pytest.raises(KeyError, match="key"):
        do(store, "pop", "key")


def test_keys_items_and_all(store: SharedMemory, other: SharedMemory, do: StoreDoor) -> None:
    """Sorted, by prefix, with what they are at one moment; however many there are."""
    names = [f"b{i:04}" for i in range(2500)]
    for name in names:
        other[name] = name.upper()
    other["a"] = {"x": 1}
    assert do(store, "keys") == ["a", *names]
    assert do(store, "keys", "b000") == names[:10]
    assert do(store, "items", "b000") == [(name, name.upper()) for name in names[:10]]
    assert do(store, "get_all") == {"a": {"x": 1}, **{name: name.upper() for name in names}}
    assert len(store) == 2501
    assert list(store) == ["a", *names]
    assert do(store, "keys", "zz") == []
    assert do(store, "clear", "b0") == 1000
    assert len(other) == 1501
    assert do(store, "clear") == 1501
    assert do(store, "get_all") == {}


def test_incr(store: SharedMemory, other: SharedMemory, do: StoreDoor) -> None:
    """From 0 on, by ints of any size and floats."""
    assert do(store, "incr", "n") == 1
    assert do(other, "incr", "n", -3) == -2
    assert do(store, "incr", "n", 10**400) == 10**400 - 2
    do(store, "set", "f", 1)
    assert do(store, "incr", "f", 0.5) == 1.5
    assert other["f"] == 1.5


def test_compare_and_set(store: SharedMemory, other: SharedMemory, do: StoreDoor) -> None:
    """Equal is what Python says is equal; a key that is not there is as None."""
    assert not do(store, "compare_and_set", "key", 1, 2)
    assert "key" not in other
    assert do(store, "compare_and_set", "key", None, {"a": 1})
    assert not do(store, "compare_and_set", "key", None, 2)
    assert do(store, "compare_and_set", "key", {"a": 1.0}, 2)
    assert other["key"] == 2


def test_update(store: SharedMemory, other: SharedMemory, do: StoreDoor) -> None:
    """It sets what the function makes of what is there, also of what was changed meanwhile."""
    assert do(store, "update", "key", lambda found: [*found, 1], []) == [1]
    seen = []

    def slowly(found: list[int]) -> list[int]:
        seen.append(found)
        if len(seen) == 1:
            other["key"] = [5]
        return [*found, 2]

    assert do(store, "update", "key", slowly) == [5, 2]
    assert seen == [[1], [5]]
    assert other["key"] == [5, 2]


def test_an_update_that_raises_changes_nothing(
    store: SharedMemory, other: SharedMemory, do: StoreDoor
) -> None:
    """What it raises comes out."""
    store["key"] = 1
    with pytest.raises(ZeroDivisionError):
        do(store, "update", "key", lambda found: found / 0)
    assert other["key"] == 1


def test_setdefault(store: SharedMemory, other: SharedMemory, do: StoreDoor) -> None:
    """It sets only what is not there, and gives a value that can be changed."""
    default: list[int] = []
    found = do(store, "setdefault", "key", default)
    found.append(1)
    assert default == []
    assert do(other, "setdefault", "key", [2]) == []


def test_a_namespace(store: SharedMemory, other: SharedMemory, do: StoreDoor) -> None:
    """Its keys are its own, and the whole store has them with its name before them."""
    mine, theirs = store.namespace("mine"), other.namespace("mine")
    do(mine, "set", "key", 1)
    store["key"] = 2
    assert do(theirs, "get", "key") == 1
    assert do(mine, "keys") == ["key"]
    assert do(theirs, "items") == [("key", 1)]
    assert (len(mine), "key" in mine, "none" in mine) == (1, True, False)
    assert do(store, "get_all") == {"key": 2, "mine:key": 1}
    inner = mine.namespace("inner")
    inner["x"] = 3
    assert do(store, "get", "mine:inner:x") == 3
    assert do(mine, "clear") == 2
    assert store.get_all() == {"key": 2}


# ------------------------------------------------------------- bad input


@pytest.mark.parametrize("key", ["", "x" * 1025, "中" * 342])
def test_keys_that_are_too_short_or_too_long(store: SharedMemory, do: StoreDoor, key: str) -> None:
    """The error tells how long a key may be."""
    for call in (
        lambda: do(store, "get", key),
        lambda: do(store, "set", key, 1),
        lambda: do(store, "delete", key),
        lambda: do(store, "incr", key),
        lambda: do(store, "publish", key, 1),
        lambda: store.lock(key),
        lambda: store.watch(key),
        lambda: store.namespace(key),
        lambda: store.on_subscriber_receive(key),
    ):
        with pytest.raises(ValueError, match="1024 bytes"):
            call()


@pytest.mark.parametrize("key", [1, None, b"key", ["key"]])
def test_keys_that_are_no_strings(store: SharedMemory, do: StoreDoor, key: Any) -> None:
    """They are refused; such a key is never in the store."""
    for operation in ("get", "delete", "incr", "pop"):
        with pytest.raises(TypeError, match=r"string|unhashable"):
            do(store, operation, key)
    with pytest.raises(TypeError, match="string"):
        do(store, "set", key, 1)
    assert key not in store


def test_a_key_as_long_as_may_be(store: SharedMemory, do: StoreDoor) -> None:
    """1024 bytes with the namespace, and not one more."""
    do(store, "set", "x" * 1024, 1)
    assert do(store, "get", "x" * 1024) == 1
    inner = store.namespace("n")
    do(inner, "set", "x" * 1022, 1)
    with pytest.raises(ValueError, match="1024"):
        do(inner, "set", "x" * 1023, 1)
    store["n:"] = 1
    assert store["n:"] == 1
    with pytest.raises(ValueError, match="bytes"):
        do(inner, "get", "")


def test_what_is_no_number_is_not_added_to(store: SharedMemory, do: StoreDoor) -> None:
    """Nor is what is no number added."""
    for data in ("1", True, None, [1], b"1"):
        store["key"] = data
        with pytest.raises(StoreError, match=r"'key' is no number") as caught:
            do(store, "incr", "key")
        assert caught.value.key == "key"
        assert store["key"] == data
    for by in ("1", True, None, 1j):
        with pytest.raises(TypeError, match="int or a float"):
            do(store, "incr", "n", by)
    store["n"] = 10**400
    with pytest.raises(StoreError, match="'n'"):
        do(store, "incr", "n", 0.5)
    assert store["n"] == 10**400


def test_timeouts_that_cant_be(store: SharedMemory, do: StoreDoor) -> None:
    """As for channels."""
    with pytest.raises(TypeError):
        do(store, "set", "key", 1, timeout="1")
    with pytest.raises(ValueError, match="timeout"):
        do(store, "set", "key", 1, timeout=-1)


def test_errors_survive_pickle() -> None:
    """With the key."""
    error = pickle.loads(pickle.dumps(StoreTimeout("key 'x': late", "x")))
    assert (error.key, str(error)) == ("x", "key 'x': late")
    assert isinstance(error, TimeoutError)
    assert {"StoreError", "StoreTimeout"} <= set(errors.__all__)
