"""The store's operations, from the main process and from a child, through both doors."""

from __future__ import annotations

import asyncio
import gc
import math
import pickle
import threading
from collections.abc import Callable
from typing import Any

import pytest

from liteyuki_core import errors
from liteyuki_core.comm import current
from liteyuki_core.comm.channel import Channel
from liteyuki_core.comm.storage import Change, SharedMemory, shared_memory
from liteyuki_core.comm.store import value
from liteyuki_core.comm.store.access import Changes
from liteyuki_core.comm.store.listener import Listener
from liteyuki_core.errors import NotConnected, StoreError, StoreTimeout, WouldBlockLoop
from tests.conftest import wait_until
from tests.pair import Pair, Unbuildable, run_async

Door = Callable[..., Any]


def by_sync(store: SharedMemory, operation: str, *args: Any, **kwargs: Any) -> Any:
    return getattr(store, operation)(*args, **kwargs)


def by_async(store: SharedMemory, operation: str, *args: Any, **kwargs: Any) -> Any:
    return run_async(getattr(store, f"async_{operation}")(*args, **kwargs))


@pytest.fixture(params=["main", "child"])
def side(request: pytest.FixtureRequest) -> str:
    """Who calls."""
    return str(request.param)


@pytest.fixture
def store(side: str, pair: Pair) -> SharedMemory:
    """The store as the one who calls has it."""
    return SharedMemory._of((pair.main if side == "main" else pair.child).access)


@pytest.fixture
def other(side: str, pair: Pair) -> SharedMemory:
    """The store as the other side has it."""
    return SharedMemory._of((pair.child if side == "main" else pair.main).access)


@pytest.fixture(params=[by_sync, by_async], ids=["sync", "async"])
def do(request: pytest.FixtureRequest) -> Door:
    """The sync and the async methods."""
    door: Door = request.param
    return door


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
    {"a": [1, (2, {3})], "b": None},
    bytearray(b"changed"),
    1 + 2j,
    ValueError("an error"),
]


# ------------------------------------------------------------- operations


@pytest.mark.parametrize("data", VALUES, ids=lambda data: type(data).__name__)
def test_any_value_comes_back_as_it_was(
    store: SharedMemory, other: SharedMemory, do: Door, data: Any
) -> None:
    """On both sides, of the same type, and again from the copy."""
    do(store, "set", "key", data)
    for _ in range(2):
        for reader in (store, other):
            found = do(reader, "get", "key")
            assert type(found) is type(data)
            assert pickle.dumps(found) == pickle.dumps(data)


def test_a_key_that_is_not_there(store: SharedMemory, other: SharedMemory, do: Door) -> None:
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


def test_delete(store: SharedMemory, other: SharedMemory, do: Door) -> None:
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


def test_pop(store: SharedMemory, other: SharedMemory, do: Door) -> None:
    """It returns what it deletes."""
    other["key"] = [1]
    assert do(store, "pop", "key") == [1]
    assert "key" not in other
    assert do(store, "pop", "key", None) is None
    with pytest.raises(KeyError, match="key"):
        do(store, "pop", "key")


def test_keys_items_and_all(store: SharedMemory, other: SharedMemory, do: Door) -> None:
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


def test_values_that_are_long_together(store: SharedMemory, other: SharedMemory, do: Door) -> None:
    """All of them may be much more than one message may be."""
    long = {f"key{i}": bytes([i]) * 900_000 for i in range(4)}
    for key, data in long.items():
        do(store, "set", key, data)
    assert do(other, "get_all") == long


def test_incr(store: SharedMemory, other: SharedMemory, do: Door) -> None:
    """From 0 on, by ints of any size and floats."""
    assert do(store, "incr", "n") == 1
    assert do(other, "incr", "n", -3) == -2
    assert do(store, "incr", "n", 10**400) == 10**400 - 2
    do(store, "set", "f", 1)
    assert do(store, "incr", "f", 0.5) == 1.5
    assert other["f"] == 1.5


def test_compare_and_set(store: SharedMemory, other: SharedMemory, do: Door) -> None:
    """Equal is what Python says is equal; a key that is not there is as None."""
    assert not do(store, "compare_and_set", "key", 1, 2)
    assert "key" not in other
    assert do(store, "compare_and_set", "key", None, {"a": 1})
    assert not do(store, "compare_and_set", "key", None, 2)
    assert do(store, "compare_and_set", "key", {"a": 1.0}, 2)
    assert other["key"] == 2


def test_update(store: SharedMemory, other: SharedMemory, do: Door) -> None:
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
    store: SharedMemory, other: SharedMemory, do: Door
) -> None:
    """What it raises comes out."""
    store["key"] = 1
    with pytest.raises(ZeroDivisionError):
        do(store, "update", "key", lambda found: found / 0)
    assert other["key"] == 1


def test_setdefault(store: SharedMemory, other: SharedMemory, do: Door) -> None:
    """It sets only what is not there, and gives a value that can be changed."""
    default: list[int] = []
    found = do(store, "setdefault", "key", default)
    found.append(1)
    assert default == []
    assert do(other, "setdefault", "key", [2]) == []


def test_a_namespace(store: SharedMemory, other: SharedMemory, do: Door) -> None:
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


def test_a_value_is_a_value(store: SharedMemory, other: SharedMemory, do: Door) -> None:
    """To change what was set, or what was got, changes nothing."""
    data = {"list": [1]}
    do(store, "set", "key", data)
    data["list"].append(2)
    for reader in (store, other):
        for _ in range(2):
            found = do(reader, "get", "key")
            assert found == {"list": [1]}
            found["list"].append(3)


def test_own_writes_are_read(store: SharedMemory, other: SharedMemory, do: Door) -> None:
    """Whatever was read before, and whoever else writes."""
    for i in range(50):
        do(store, "set", "key", i)
        assert do(store, "get", "key") == i
        do(other, "set", "key", -i)
        assert do(store, "get", "key") == -i


# ------------------------------------------------------------- bad input


@pytest.mark.parametrize("key", ["", "x" * 1025, "中" * 342])
def test_keys_that_are_too_short_or_too_long(store: SharedMemory, do: Door, key: str) -> None:
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
def test_keys_that_are_no_strings(store: SharedMemory, do: Door, key: Any) -> None:
    """They are refused; such a key is never in the store."""
    for operation in ("get", "delete", "incr", "pop"):
        with pytest.raises(TypeError, match=r"string|unhashable"):
            do(store, operation, key)
    with pytest.raises(TypeError, match="string"):
        do(store, "set", key, 1)
    assert key not in store


def test_a_key_as_long_as_may_be(store: SharedMemory, do: Door) -> None:
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


def test_values_that_cant_be_stored(store: SharedMemory, do: Door) -> None:
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


@pytest.mark.parametrize("ttl", [0, -1, math.nan, "1", True])
def test_times_to_live_that_cant_be(store: SharedMemory, do: Door, ttl: Any) -> None:
    """They are refused, and nothing is set."""
    error = TypeError if ttl in ("1", True) else ValueError
    with pytest.raises(error, match="ttl"):
        do(store, "set", "key", 1, ttl=ttl)
    assert "key" not in store


def test_what_is_no_number_is_not_added_to(store: SharedMemory, do: Door) -> None:
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


@pytest.mark.parametrize(
    "error", [ValueError, KeyError, AttributeError, ImportError, EOFError, ZeroDivisionError]
)
def test_a_value_that_cant_be_rebuilt(
    store: SharedMemory, other: SharedMemory, do: Door, error: type[Exception]
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


def test_outside_a_bot(do: Door) -> None:
    """There is nothing to ask."""
    with pytest.raises(NotConnected, match="LiteyukiBot"):
        do(shared_memory, "get", "key")
    with pytest.raises(NotConnected, match="LiteyukiBot"):
        do(shared_memory, "set", "key", 1)


def test_timeouts_that_cant_be(store: SharedMemory, do: Door) -> None:
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


# ------------------------------------------------------------- a child's copies


@pytest.fixture
def asked(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the child asks the main process."""
    questions: list[str] = []
    ask = pair.port.ask

    def noted(number: int, fields: dict[str, Any], values: list[Any]) -> None:
        questions.append(fields["op"])
        ask(number, fields, values)

    monkeypatch.setattr(pair.port, "ask", noted)
    return questions


@pytest.mark.parametrize("data", [7, "text", [1, 2], None])
def test_a_key_that_has_not_changed_asks_nobody(pair: Pair, asked: list[str], data: Any) -> None:
    """Nor does one that is not there, nor what this process has set itself."""
    main, child = SharedMemory._of(pair.main.access), SharedMemory._of(pair.child.access)
    main["key"] = data
    for _ in range(100):
        assert child.get("key") == data
        assert child.get("none", "default") == "default"
    assert asked == ["get", "get"]
    main["key"] = 1
    assert [child["key"] for _ in range(100)] == [1] * 100
    assert asked == ["get"] * 3
    child["key"] = 2
    assert [child["key"] for _ in range(100)] == [2] * 100
    main["none"] = 3
    assert [child["none"] for _ in range(100)] == [3] * 100
    assert asked == ["get"] * 3 + ["set", "get"]
    main.delete("none")
    assert "none" not in child


def test_copies_take_no_more_than_they_may(pair: Pair, asked: list[str]) -> None:
    """The oldest go first; what is longer than all that is fetched each time; all are right."""
    main, child = SharedMemory._of(pair.main.access), SharedMemory._of(pair.child.access)
    for i in range(40):
        main[f"key{i}"] = bytes([i]) * 100_000
    for _ in range(2):
        for i in range(40):
            assert child[f"key{i}"] == bytes([i]) * 100_000
    assert len(asked) == 80
    assert 0 < sum(len(copy[3]) for copy in pair.child.access.copies.found.values()) <= 1 << 20
    asked.clear()
    assert child["key39"] == bytes([39]) * 100_000
    assert asked == []
    main["long"] = b"x" * (1 << 20)
    for _ in range(3):
        assert len(child["long"]) == 1 << 20
    assert asked == ["get"] * 3
    assert child["key39"] == bytes([39]) * 100_000
    assert asked == ["get"] * 3


def test_no_copies_at_all() -> None:
    """Every value is fetched."""
    pair = Pair(cache_bytes=0)
    main, child = SharedMemory._of(pair.main.access), SharedMemory._of(pair.child.access)
    for i in range(10):
        main["key"] = i
        assert child["key"] == i
    assert pair.child.access.copies.found == {}
    pair.close()


def test_keys_that_share_a_cell(pair: Pair) -> None:
    """A change of one has the other fetched again; both are right."""
    from liteyuki_core.comm.store.cells import cell_of

    main, child = SharedMemory._of(pair.main.access), SharedMemory._of(pair.child.access)
    first = "key0"
    second = next(f"key{i}" for i in range(1, 10**6) if cell_of(f"key{i}") == cell_of(first))
    for i in range(5):
        main[first] = i
        assert (child.get(first), child.get(second)) == (i, i - 1 if i else None)
        main[second] = i
        assert (child.get(first), child.get(second)) == (i, i)


# ------------------------------------------------------------- time to live


def test_a_value_expires_everywhere(store: SharedMemory, other: SharedMemory, do: Door) -> None:
    """On time for whoever reads it, also from a copy; never before."""
    from time import monotonic

    begun = monotonic()
    do(store, "set", "key", 1, ttl=0.2)
    while (found := do(other, "get", "key"), do(store, "get", "key")) == (1, 1):
        pass
    assert monotonic() - begun >= 0.2
    wait_until(lambda: do(other, "get", "key") is None and do(store, "get", "key") is None)
    assert found in (1, None)
    assert do(store, "keys") == []
    assert len(other) == 0
    assert not do(other, "delete", "key")


def test_what_ends_and_what_keeps_a_time_to_live(
    store: SharedMemory, other: SharedMemory, do: Door
) -> None:
    """To set a key again ends it; to add to it or to update it keeps it."""
    for key in ("again", "added", "updated", "compared"):
        do(store, "set", key, 1, ttl=0.3)
    do(other, "set", "again", 2)
    do(other, "incr", "added")
    do(other, "update", "updated", lambda found: found + 1)
    assert do(other, "compare_and_set", "compared", 1, 2)
    wait_until(lambda: do(store, "keys") == ["again"])
    assert do(store, "get", "again") == 2


def test_many_times_to_live(pair: Pair) -> None:
    """Values that are replaced again and again leave nothing behind."""
    main = SharedMemory._of(pair.main.access)
    for i in range(5000):
        main.set("key", i, ttl=3600)
    assert len(pair.hub.store._deadlines) < 1500


# ------------------------------------------------------------- watches


def test_a_watch_sees_every_change_in_order(
    store: SharedMemory, other: SharedMemory, do: Door
) -> None:
    """With the values before and after; a callback runs one at a time, sync or async."""
    seen: list[Change] = []
    sync_seen: list[Change] = []
    running = 0

    @store.watch("key")
    async def callback(change: Change) -> None:
        nonlocal running
        running += 1
        assert running == 1
        await asyncio.sleep(0)
        seen.append(change)
        running -= 1

    store.watch("k*")(sync_seen.append)
    other["unwatched"] = 0
    for i in range(200):
        do(other if i % 2 else store, "set", "key", i)
    do(other, "delete", "key")
    do(other, "set", "key", None, ttl=0.05)
    expected = [Change("key", i - 1 if i else None, i) for i in range(200)]
    expected += [
        Change("key", 199, None, deleted=True),
        Change("key", None, None),
        Change("key", None, None, deleted=True, expired=True),
    ]
    wait_until(lambda: len(seen) == len(sync_seen) == len(expected), "all are seen")
    assert seen == expected
    assert sync_seen == expected


def test_a_watch_to_iterate_over(store: SharedMemory, other: SharedMemory) -> None:
    """It sees what happens after it has begun and before it is closed."""

    async def watch() -> list[Change]:
        changes = aiter(store.namespace("n").watch("a*"))
        first = asyncio.ensure_future(anext(changes))
        await asyncio.sleep(0)
        while not first.done():
            await other.async_set("n:abc", 1)
            await asyncio.sleep(0)
        seen = [await first]
        await other.async_set("n:abd", 2)
        while seen[-1].new != 2:
            seen.append(await anext(changes))
        changes.close()
        await other.async_set("n:abe", 3)
        seen += [change async for change in changes]
        return seen

    seen = run_async(watch())
    assert seen[-1] == Change("abd", None, 2)
    assert {change.key for change in seen} == {"abc", "abd"}


def test_an_iteration_that_is_let_go_of(pair: Pair, store: SharedMemory) -> None:
    """The store forgets it, and one that is cancelled loses nothing."""

    async def watch() -> None:
        changes = aiter(store.watch("key"))
        waiting = asyncio.ensure_future(anext(changes))
        while not pair.hub.store._patterns:
            await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await store.async_set("key", 1)
        assert await anext(changes) == Change("key", None, 1)

    run_async(watch())
    gc.collect()  # What was cancelled has a traceback with the iteration in it.
    wait_until(lambda: not pair.hub.store._patterns, "the watch is forgotten")


async def _listener(pair: Pair, store: SharedMemory) -> tuple[Changes, Listener]:
    """Return an iteration over the changes of "key" that has begun, and its listener."""
    changes = aiter(store.watch("key"))
    first = asyncio.ensure_future(anext(changes))
    while not first.done():
        await store.async_set("key", 0)
        await asyncio.sleep(0)
    while changes._listener._inbox:
        await anext(changes)
    return changes, changes._listener


def test_a_wait_that_is_given_up_is_forgotten(pair: Pair, store: SharedMemory) -> None:
    """However many are, by a time-out or cancelled; none of them takes a change with it."""

    async def watch() -> None:
        changes, listener = await _listener(pair, store)
        for number in range(50):
            waiting = asyncio.ensure_future(anext(changes))
            await asyncio.sleep(0)
            assert len(listener._waiters) == 1
            if number % 2:
                waiting.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await waiting
            else:
                with pytest.raises(asyncio.TimeoutError):
                    await asyncio.wait_for(waiting, 0.001)
            assert not listener._waiters
        await store.async_set("key", 1)
        assert (await anext(changes)).new == 1

    run_async(watch())


def test_a_wait_that_is_cancelled_as_it_is_woken(pair: Pair, store: SharedMemory) -> None:
    """What it was woken for is had by the next, and by whoever waits beside it."""

    async def watch() -> None:
        changes, listener = await _listener(pair, store)
        seen: list[Any] = []
        for number in range(1, 60):
            beside, gone = (asyncio.ensure_future(anext(changes)) for _ in range(2))
            if number % 2:
                beside, gone = gone, beside
            await asyncio.sleep(0)
            assert len(listener._waiters) == 2
            with listener._site.lock:
                listener.tell({"key": "key", "old": False, "new": True, "expired": False}, [one])
            gone.cancel()  # Its wake-up is under way.
            with pytest.raises(asyncio.CancelledError):
                await gone
            seen.append(await asyncio.wait_for(beside, 10))
            assert not listener._waiters
        assert not listener._inbox
        assert [change.new for change in seen] == [1] * 59

    one = value.number(1)
    run_async(watch())


def test_a_watch_that_raises(pair: Pair, store: SharedMemory) -> None:
    """The log says of which key, and it goes on."""
    seen = []

    @store.watch("key")
    def callback(change: Change) -> None:
        seen.append(change.new)
        raise ZeroDivisionError("watched")

    store["key"] = 1
    store["key"] = 2
    wait_until(lambda: seen == [1, 2])
    pair.logged("ERROR", "watch 'key'", "callback", "watched")


def test_a_change_that_cant_be_rebuilt(pair: Pair, store: SharedMemory) -> None:
    """It is skipped, with a line in the log."""
    seen = []
    store.watch("key")(seen.append)
    store["key"] = Unbuildable()
    store["key"] = 1
    store["key"] = 2
    wait_until(lambda: seen)
    assert seen == [Change("key", 1, 2)]
    pair.logged("ERROR", "watch 'key'", "rebuilt", "not here")


def test_what_no_callback_can_be(store: SharedMemory) -> None:
    """It is refused at once."""
    with pytest.raises(TypeError, match="callable"):
        store.watch("key")(1)
    with pytest.raises(TypeError, match="callable"):
        store.on_subscriber_receive("topic")(1)
    with pytest.raises(TypeError, match="callable"):
        store.update("key", 1)  # type: ignore[arg-type]


# ------------------------------------------------------------- topics


def test_every_process_gets_what_is_published(
    pair: Pair, store: SharedMemory, other: SharedMemory, do: Door
) -> None:
    """Each subscriber once, in order, the publisher's own too; by name or beginning."""
    third = SharedMemory._of(pair.another("third").access)
    got: dict[str, list[Any]] = {"own": [], "other": [], "third": [], "not": []}

    @store.on_subscriber_receive("news.sport")
    async def own(data: Any) -> None:
        got["own"].append(data)

    other.on_subscriber_receive("news.*")(got["other"].append)
    third.on_subscriber_receive("*")(got["third"].append)
    third.on_subscriber_receive("news.sports")(got["not"].append)
    third.on_subscriber_receive("news.sports*")(got["not"].append)
    sent = [{"i": i} for i in range(100)]
    for data in sent:
        do(store, "publish", "news.sport", data)
    wait_until(lambda: [got[who] for who in ("own", "other", "third")] == [sent] * 3)
    assert got["not"] == []


def test_topics_of_a_namespace(store: SharedMemory, other: SharedMemory, do: Door) -> None:
    """They are its own."""
    got: list[str] = []
    other.namespace("a").on_subscriber_receive("t")(lambda data: got.append(f"a {data}"))
    other.namespace("b").on_subscriber_receive("t")(lambda data: got.append(f"b {data}"))
    do(store.namespace("b"), "publish", "t", 1)
    do(store.namespace("a"), "publish", "t", 2)
    wait_until(lambda: sorted(got) == ["a 2", "b 1"])


# ------------------------------------------------------------- locks


async def _locked(store: SharedMemory, timeout: float | None = None) -> None:
    async with store.lock("lock", timeout=timeout):
        pass


def _lock(store: SharedMemory, timeout: float | None = None) -> None:
    with store.lock("lock", timeout=timeout):
        pass


def test_one_holder_at_a_time(pair: Pair) -> None:
    """Of threads and tasks of three processes."""
    stores = [SharedMemory._of(c.access) for c in (pair.main, pair.child, pair.another("third"))]
    inside = most = entered = 0

    def enter() -> None:
        nonlocal inside, most, entered
        inside += 1
        most = max(most, inside)
        entered += 1
        inside -= 1

    def by_thread(store: SharedMemory) -> None:
        for _ in range(50):
            with store.lock("lock"):
                enter()

    async def by_task(store: SharedMemory) -> None:
        for _ in range(50):
            async with store.lock("lock"):
                enter()
                await asyncio.sleep(0)

    calls = [(by_thread, store) for store in stores]
    calls += [(lambda s: run_async(by_task(s)), store) for store in stores]
    threads = [threading.Thread(target=call, args=(store,)) for call, store in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert (entered, most) == (300, 1)
    wait_until(lambda: pair.hub.store._locks == {}, "it is free")


def test_a_lock_that_is_not_got_in_time(
    pair: Pair, store: SharedMemory, other: SharedMemory
) -> None:
    """Whoever waits too long, or no longer, does not get it afterwards either."""
    with other.lock("lock"):
        with pytest.raises(StoreTimeout, match=r"lock lock: not got within 0\.05 s") as caught:
            _lock(store, 0.05)
        assert caught.value.key == "lock"
        with pytest.raises(StoreTimeout, match="lock lock"):
            run_async(_locked(store, 0.05))

        async def cancelled() -> None:
            task = asyncio.ensure_future(_locked(store))
            while len(pair.hub.store._locks["lock"]) < 2:
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        run_async(cancelled())
    _lock(store, 10)
    _lock(other, 10)


def test_a_lock_on_a_loops_thread(store: SharedMemory, other: SharedMemory) -> None:
    """`with` takes what is free and never stops the loop for what is not."""

    async def locked() -> None:
        with store.lock("lock"):
            pass
        async with store.lock("lock"):
            with pytest.raises(WouldBlockLoop, match="async with"), store.lock("lock"):
                pass
            with pytest.raises(WouldBlockLoop, match="async with"), other.lock("lock"):
                pass

    run_async(locked())
    _lock(other, 10)


def test_a_lock_of_one_who_is_gone_is_free(pair: Pair) -> None:
    """So is the place of one who waited for it."""
    main, child = SharedMemory._of(pair.main.access), SharedMemory._of(pair.child.access)
    child.lock("lock").__enter__()
    got = []

    def take() -> None:
        with main.lock("lock", timeout=20):
            got.append(1)

    thread = threading.Thread(target=take)
    thread.start()
    wait_until(lambda: len(pair.hub.store._locks["lock"]) == 2)
    assert not got
    pair.kill_child()
    thread.join(20)
    assert got == [1]
    _lock(SharedMemory._of(pair.child.access), 10)


def test_a_lock_object_is_held_once(store: SharedMemory) -> None:
    """A second `with` of the same object would never get it: it says so."""
    lock = store.lock("lock")
    with lock, pytest.raises(StoreError, match="holds it already"), lock:
        pass
    with lock:
        pass
    with pytest.raises(ValueError, match="timeout"):
        store.lock("lock", timeout=-1)


# ------------------------------------------------------------- a main process that is stuck or gone


def test_a_stuck_main_process(pair: Pair, do: Door) -> None:
    """Waiting ends in time and says so; a copy is read all the same."""
    child = SharedMemory._of(pair.child.access)
    child["known"] = 1
    with pair.main.lock:
        for operation, args in (("get", ("key",)), ("set", ("key", 1)), ("keys", ())):
            with pytest.raises(StoreTimeout, match=r"did not answer within 0\.\d+ s"):
                do(child, operation, *args, timeout=0.05)
        assert child["known"] == 1
    assert do(child, "get", "known") == 1
    assert pair.child.access._asked == {}


def test_a_main_process_that_is_gone(pair: Pair, do: Door) -> None:
    """Who waits learns it, and so does who asks later; an iteration ends."""
    child = SharedMemory._of(pair.child.access)
    child["key"] = 1
    failed: list[BaseException] = []

    def wait() -> None:
        try:
            do(child, "get", "other", timeout=60)
        except BaseException as error:
            failed.append(error)

    async def iterate() -> list[Change]:
        return [change async for change in child.watch("key")]

    iterating = threading.Thread(target=lambda: run_async(iterate()))
    iterating.start()
    wait_until(lambda: pair.hub.store._patterns, "it watches")
    with pair.main.lock:
        waiting = threading.Thread(target=wait)
        waiting.start()
        wait_until(lambda: pair.child.access._asked, "it asks")
        pair.port._link._connection.shutdown(2)
        waiting.join(20)
    iterating.join(20)
    assert not iterating.is_alive()
    (error,) = failed
    assert isinstance(error, NotConnected)
    for operation, args in (("get", ("key",)), ("set", ("key", 2)), ("get_all", ())):
        with pytest.raises(NotConnected, match="main process is gone"):
            do(child, operation, *args)
    with pytest.raises(NotConnected):
        _lock(child)
    assert SharedMemory._of(pair.main.access)["key"] == 1


def test_a_loop_that_reads_the_link_may_ask_and_wait(pair: Pair) -> None:
    """A sync call there is answered, though it blocks the loop that had the reading."""
    child = SharedMemory._of(pair.child.access)
    ours, theirs = pair.channel()

    async def lent() -> bool:
        await ours.async_send("message")
        await theirs.async_receive(10)
        return pair.port._link._reader._loan is not None

    async def talk() -> None:
        for i in range(20):
            for _ in range(10_000):
                if await lent():
                    break
            else:
                pytest.fail("the loop was never lent the reading")
            child.set("key", i, timeout=10)
            assert child.incr("n", timeout=10) == i + 1

    run_async(talk())


def test_what_was_set_before_a_send_is_seen(pair: Pair, do: Door) -> None:
    """By whoever got the message, in both directions."""
    ours, theirs = pair.channel()
    main, child = SharedMemory._of(pair.main.access), SharedMemory._of(pair.child.access)
    for sender, receiver, writes, reads in (
        (ours, theirs, main, child),
        (theirs, ours, child, main),
    ):
        for i in range(200):
            do(writes, "set", "key", i)
            sender.send(i)
            assert do(reads, "get", "key") >= receiver.receive(10) == i


def test_the_front_door_is_the_store_of_this_process(pair: Pair) -> None:
    """Whose context is current, also after another one was."""
    for context in (pair.main, pair.child, pair.main):
        current.install(context)
        try:
            shared_memory["key"] = context.process
            assert shared_memory["key"] == SharedMemory._of(pair.main.access)["key"]
            assert shared_memory.get("key") == context.process
        finally:
            current.uninstall(context)


def test_the_front_door_leaves_a_context_that_is_replaced(pair: Pair) -> None:
    """What a LiteyukiBot that never ran has in its store is not read beside the next one."""
    newer = Pair()
    try:
        for context in (pair.main, newer.main):
            current.install(context)
            assert shared_memory.get("key") is None
            shared_memory["key"] = 1
            assert shared_memory.get("key") == 1
    finally:
        current.uninstall(newer.main)
        newer.close()
