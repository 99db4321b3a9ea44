"""Law S7 of the store: a value with a time to live is gone for all at that time, never before.

Tests comm/store/expiry.py.
"""

from __future__ import annotations

import math
from typing import Any

import pytest

from liteyuki_core.comm.storage import SharedMemory
from tests.conftest import wait_until
from tests.pair import Pair, StoreDoor


@pytest.mark.parametrize("ttl", [0, -1, math.nan, "1", True])
def test_times_to_live_that_cant_be(store: SharedMemory, do: StoreDoor, ttl: Any) -> None:
    """They are refused, and nothing is set."""
    error = TypeError if ttl in ("1", True) else ValueError
    with pytest.raises(error, match="ttl"):
        do(store, "set", "key", 1, ttl=ttl)
    assert "key" not in store


def test_a_value_expires_everywhere(
    store: SharedMemory, other: SharedMemory, do: StoreDoor
) -> None:
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
    store: SharedMemory, other: SharedMemory, do: StoreDoor
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


@pytest.mark.one_hub
def test_many_times_to_live(pair: Pair) -> None:
    """Values that are replaced again and again leave nothing behind."""
    main = SharedMemory._of(pair.main.access)
    for i in range(5000):
        main.set("key", i, ttl=3600)
    assert len(pair.store._deadlines) < 1500
