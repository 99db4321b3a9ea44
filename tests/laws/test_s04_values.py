"""Law S4 of the store: values are values; to change what one got changes nothing.

Tests comm/store/value.py.
"""

from __future__ import annotations

import math
import pickle
import threading
from typing import Any

import pytest

from liteyuki_core.comm.channel import Channel
from liteyuki_core.comm.storage import SharedMemory
from liteyuki_core.errors import StoreError
from tests.pair import Pair, StoreDoor, Unbuildable

VALUES = [
    0,
    -(10**5000),
    True,
    None,
    1.5,
    -0.0,
    math.inf,
    "",
    "text é 中\ud800\0",
    b"",
    b"\0raw",
    {"a": [1, {"x": None}], "b": b"c"},
]
OBJECTS = [{"a": [1, (2, {3})]}, bytearray(b"changed"), 1 + 2j, ValueError("an error")]


@pytest.mark.parametrize("data", VALUES, ids=lambda data: type(data).__name__)
def test_any_value_comes_back_as_it_was(
    store: SharedMemory, other: SharedMemory, do: StoreDoor, data: Any
) -> None:
    """On both sides, of the same type, and again from the copy."""
    _comes_back(store, other, do, data)


@pytest.mark.one_hub
@pytest.mark.parametrize("data", OBJECTS, ids=lambda data: type(data).__name__)
def test_any_object_comes_back_as_it_was(
    store: SharedMemory, other: SharedMemory, do: StoreDoor, data: Any
) -> None:
    """What pickle can carry, likewise."""
    _comes_back(store, other, do, data)


def _comes_back(store: SharedMemory, other: SharedMemory, do: StoreDoor, data: Any) -> None:
    do(store, "set", "key", data)
    for _ in range(2):
        for reader in (store, other):
            found = do(reader, "get", "key")
            assert type(found) is type(data)
            assert pickle.dumps(found) == pickle.dumps(data)


@pytest.mark.every_transport
def test_values_that_are_long_together(
    store: SharedMemory, other: SharedMemory, do: StoreDoor
) -> None:
    """All of them may be much more than one message may be."""
    long = {f"key{i}": bytes([i]) * 900_000 for i in range(4)}
    for key, data in long.items():
        do(store, "set", key, data)
    assert do(other, "get_all") == long


def test_a_value_is_a_value(store: SharedMemory, other: SharedMemory, do: StoreDoor) -> None:
    """To change what was set, or what was got, changes nothing."""
    data = {"list": [1]}
    do(store, "set", "key", data)
    data["list"].append(2)
    for reader in (store, other):
        for _ in range(2):
            found = do(reader, "get", "key")
            assert found == {"list": [1]}
            found["list"].append(3)


def test_values_that_cant_be_stored(store: SharedMemory, do: StoreDoor) -> None:
    """The error tells the key and the type; the key is as it was."""
    store["key"] = 1
    for call in (
        lambda: do(store, "set", "key", threading.Lock()),
        lambda: do(store, "compare_and_set", "key", 1, lambda: None),
        lambda: do(store, "update", "key", lambda _: threading.Lock()),
        lambda: do(store, "setdefault", "key", threading.Lock()),
        lambda: do(store, "set", "key", Channel("c")),
        lambda: do(store, "publish", "key", threading.Lock()),
    ):
        with pytest.raises(StoreError, match=r"key 'key': .* can't be stored") as caught:
            call()
        assert caught.value.key == "key"
    with pytest.raises(StoreError, match="limit of 1048576") as caught:
        do(store, "set", "key", b"x" * (1 << 20) + b"x")
    assert caught.value.key == "key"
    assert store["key"] == 1
    do(store, "set", "key", b"x" * (1 << 20))
    assert len(do(store, "get", "key")) == 1 << 20


@pytest.mark.one_hub
@pytest.mark.parametrize(
    "error", [ValueError, KeyError, AttributeError, ImportError, EOFError, ZeroDivisionError]
)
def test_a_value_that_cant_be_rebuilt(
    store: SharedMemory, other: SharedMemory, do: StoreDoor, error: type[Exception]
) -> None:
    """Whoever gets it learns so, each time; the store lives on, and the value can be replaced."""
    do(store, "set", "key", Unbuildable(error))
    for reader in (store, other):
        for _ in range(2):
            with pytest.raises(StoreError, match=r"'key'.*not here") as caught:
                do(reader, "get", "key")
            assert caught.value.key == "key"
    do(other, "set", "key", 1)
    assert do(store, "get", "key") == 1


@pytest.mark.one_hub
def test_a_value_that_cant_be_rebuilt_hides_no_other(
    pair: Pair, store: SharedMemory, do: StoreDoor
) -> None:
    """A class has another name now: its key is left out, and a line in the log says so."""
    do(store, "set", "a", 1)
    do(store, "set", "broken", Unbuildable(AttributeError))
    do(store, "set", "c", 3)
    assert do(store, "items") == [("a", 1), ("c", 3)]
    assert do(store, "get_all") == {"a": 1, "c": 3}
    assert do(store, "keys") == ["a", "broken", "c"]
    pair.logged("'broken'", "not here", "is left out")


@pytest.mark.one_hub
def test_a_namespace_that_can_not_outlive_the_process(store: SharedMemory) -> None:
    """The error comes at once and says what to set."""
    with pytest.raises(
        StoreError, match=r"namespace 'n' can't outlive.*LITEYUKI_STORE_PATH"
    ) as error:
        store.namespace("n", persist=True)
    assert error.value.key == "n"
    with pytest.raises(StoreError, match="'n:m'"):
        store.namespace("n").namespace("m", persist=True)
