"""What tests of channels and of the store have in common: two sides, their ends, their doors.

`conftest.py` loads it for all tests. A file whose tests need other capacities has a fixture
`capacity` of its own.

Tests run over the transport of this system. Those marked `every_transport` run over most others
too; with --long all laws run over all of them. Over another transport the capacity is 2 alone, and
nothing is repeated.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from liteyuki_core.comm.storage import SharedMemory
from tests.asking import Ask, ask_async, ask_sync
from tests.nats import NatsServer
from tests.pair import AsyncDoor, Door, Ends, Pair, StoreDoor, SyncDoor, by_async, by_sync
from tests.transport import HERE, MOST_OF_ALL, NATS, NEEDS, OVER_NATS, TRANSPORTS

LAWS = "tests.laws."


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Have a law tested over other transports."""
    if "transport" not in metafunc.fixturenames:
        return
    marked = metafunc.definition.get_closest_marker("every_transport") is not None
    long = metafunc.config.getoption("--long") and metafunc.module.__name__.startswith(LAWS)
    if marked or long:
        names = [pytest.param(name, marks=NEEDS.get(name, ())) for name in TRANSPORTS]
        here = metafunc.definition.get_closest_marker("one_hub") is not None
        if OVER_NATS.fullmatch(metafunc.module.__name__) and not here:
            names.append(pytest.param(NATS))
        metafunc.parametrize("transport", names, indirect=True)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark as long what is not for every run. To be long once, over this transport, is enough."""
    kept = []
    for item in items:
        params = item.callspec.params if hasattr(item, "callspec") else {}
        if params.get("transport", HERE) != HERE:
            if item.get_closest_marker("long") or params.get("capacity", 2) != 2:
                continue
            marked = item.get_closest_marker("every_transport")
            if not marked or params["transport"] not in MOST_OF_ALL:
                item.add_marker(pytest.mark.long)
        kept.append(item)
    items[:] = kept


@pytest.fixture
def transport(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """What carries links in this test, by its name."""
    name = str(getattr(request, "param", HERE))
    if name in TRANSPORTS:
        TRANSPORTS[name](monkeypatch)
    return name


@pytest.fixture
def pair(transport: str, request: pytest.FixtureRequest) -> Iterator[Pair]:
    """A main process's and a child's side, each with a callback loop of its own."""
    both = Pair() if transport != NATS else nodes_pair(request.getfixturevalue("nats"))
    yield both
    both.close()


@pytest.fixture
def nats(tmp_path: Path) -> Iterator[NatsServer]:
    """A NATS server. It is started for each test, which takes a few hundredths of a second."""
    server = NatsServer(tmp_path)
    server.start()
    yield server
    server.close()


def nodes_pair(server: NatsServer) -> Pair:
    """Return two nodes of a cluster of their own."""
    from tests.nodes import NodesPair  # Only here is anything of NATS imported.

    return NodesPair(server.url, f"t{next(_CLUSTERS)}")


_CLUSTERS = count()


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


@pytest.fixture(params=[ask_sync, ask_async], ids=["sync", "async"])
def ask(request: pytest.FixtureRequest) -> Ask:
    """The sync and the async way to ask."""
    ask: Ask = request.param
    return ask


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
