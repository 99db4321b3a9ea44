"""Law C9 of channels: two handles on one end are equal, and have one hash, whenever it is asked."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from liteyuki_core.comm import active_channel, get_channel, get_channels, passive_channel
from liteyuki_core.comm.channel import Channel
from liteyuki_core.comm.context import Context
from liteyuki_core.comm.current import install, uninstall
from liteyuki_core.comm.queue import Queue, get_queue
from liteyuki_core.comm.registry import _OwnChannel, set_channel
from tests.conftest import wait_until
from tests.pair import Pair


@pytest.fixture(params=["main", "child"])
def context(request: pytest.FixtureRequest, pair: Pair) -> Iterator[Context]:
    """Yield the context of this test's process."""
    chosen = pair.main if request.param == "main" else pair.child
    install(chosen)
    wait_until(lambda: "w-active" in chosen.port.names(), "the names are known")
    yield chosen
    uninstall(chosen)


def test_handles_on_one_end(context: Context) -> None:
    """By name, listed, and, in a child, its own: equal. Those of other channels are not."""
    one, same, other = get_channel("w-active"), get_channel("w-active"), get_channel("w-passive")
    listed = get_channels()["w-active"]
    assert one == same == listed
    assert len({one, same, listed, other}) == 2
    assert one != other
    assert one != "w-active"
    if context.process:
        own = _OwnChannel("active")
        assert own == one
        assert hash(own) == hash(one)


def test_a_handle_that_makes_its_channel(context: Context) -> None:
    """Has the same hash before its first use and after it, and so has who gets it by name."""
    made, another = Channel[int]("made"), Channel[int]("made")
    kept = {made: "kept"}
    assert made != another
    set_channel("made", made)
    assert kept[made] == kept[get_channel("made")] == "kept"
    assert made == get_channel("made")
    assert another not in kept


def test_queues(context: Context) -> None:
    """All handles on one queue are equal."""
    jobs = Queue[int]("jobs")
    assert jobs == Queue("jobs") == get_queue("jobs")
    assert hash(jobs) == hash(get_queue("jobs"))
    assert jobs != Queue("others")


def test_outside_a_bot() -> None:
    """Nothing raises: each handle is equal to itself."""
    assert active_channel == active_channel
    assert active_channel != passive_channel
    assert len({active_channel, passive_channel, Queue("jobs"), Queue("jobs")}) == 4
