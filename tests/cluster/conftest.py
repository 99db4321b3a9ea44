"""What most tests of a cluster start with: two nodes over a real server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from liteyuki_core.comm.storage import SharedMemory
from tests.fixtures import nodes_pair
from tests.nats import NatsServer
from tests.nodes import NodesPair, OneNode


@pytest.fixture
def nodes(nats: NatsServer) -> Iterator[tuple[OneNode, OneNode]]:
    """Two nodes that share a cluster."""
    first, second = OneNode(nats.url, "a", "t"), OneNode(nats.url, "b", "t")
    yield first, second
    first.close()
    second.close()


@pytest.fixture
def two(nats: NatsServer) -> Iterator[Any]:
    """The main process of node "a", and a child of node "b"."""
    both = nodes_pair(nats)
    yield both
    both.close()


@pytest.fixture
def here(two: NodesPair) -> SharedMemory:
    """The store as the main process of node "a" has it."""
    return SharedMemory._of(two.main.access)


@pytest.fixture
def there(two: NodesPair) -> SharedMemory:
    """The store as a child of node "b" has it."""
    return SharedMemory._of(two.child.access)
