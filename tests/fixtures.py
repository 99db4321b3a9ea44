"""What tests of channels and of the store have in common: two sides, their ends, their doors.

`conftest.py` loads it for all tests. A file whose tests need other capacities has a fixture
`capacity` of its own.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from liteyuki_core.comm.storage import SharedMemory
from tests.pair import AsyncDoor, Door, Ends, Pair, StoreDoor, SyncDoor, by_async, by_sync


@pytest.fixture
def pair() -> Iterator[Pair]:
    """A main process's and a child's side, each with a callback loop of its own."""
    both = Pair()
    yield both
    both.close()


@pytest.fixture(params=[1, 2, 64], ids="capacity{}".format)
def capacity(request: pytest.FixtureRequest) -> int:
    """Capacities that find different mistakes."""
    return int(request.param)


@pytest.fixture(params=["main sends", "child sends"])
def ends(request: pytest.FixtureRequest, pair: Pair, capacity: int) -> Ends:
    """The sender's and the receiver's end."""
    ours, theirs = pair.channel(capacity)
    return (ours, theirs) if request.param == "main sends" else (theirs, ours)


@pytest.fixture(params=[SyncDoor(), AsyncDoor()], ids=["sync", "async"])
def door(request: pytest.FixtureRequest) -> Door:
    """The sync and the async methods."""
    door: Door = request.param
    return door


@pytest.fixture(params=["main", "child"])
def side(request: pytest.FixtureRequest) -> str:
    """Who calls the store."""
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
def do(request: pytest.FixtureRequest) -> StoreDoor:
    """The sync and the async methods of the store."""
    door: StoreDoor = request.param
    return door
