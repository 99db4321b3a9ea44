"""How many messages wait for each process.

Tests comm/hub/hub.py, comm/hub/route.py, comm/hub/side.py.
"""

from __future__ import annotations

from liteyuki_core.comm.channel import Channel
from liteyuki_core.comm.hub.side import MAIN
from liteyuki_core.comm.queue import Queue
from tests.conftest import wait_until
from tests.pair import Pair, in_thread


def waits(pair: Pair, **counts: int) -> None:
    """Wait until so many messages wait for each process, and for no other."""
    wanted = {MAIN if name == "main" else name: count for name, count in counts.items()}

    def found() -> dict[str, int]:
        return {name: count for name, count in pair.hub.backlogs().items() if count}

    wait_until(lambda: found() == wanted, f"{wanted}")


def test_those_that_were_given_and_those_that_wait(pair: Pair) -> None:
    """On a channel that the child has not got, got, and lost with its process."""
    waits(pair)
    ours = Channel._of(pair.main.get("w-active"))
    for number in range(3):
        ours.send(number)
    waits(pair, w=3)
    theirs = Channel._of(pair.child.get("w-active"))
    assert theirs.receive(10) == 0
    assert theirs.receive(10) == 1
    waits(pair, w=2)
    pair.kill_child()
    waits(pair, w=2)


def test_main_has_a_queue_too(pair: Pair) -> None:
    """Until it has handled what came."""
    ours, theirs = pair.channel()
    theirs.send("x")
    theirs.send("y")
    waits(pair, main=2)
    assert [ours.receive(10), ours.receive(10)] == ["x", "y"]
    waits(pair, main=1)
    ours.close()
    waits(pair)


def test_requests_count(pair: Pair) -> None:
    """While they are answered."""
    ours, theirs = pair.channel()
    answers = Channel._of(pair.main.get("w-passive"))
    theirs.on_request(lambda data: Channel._of(pair.child.get("w-passive")).receive(10))
    asking = in_thread(ours.request, "x", 10)
    waits(pair, w=1)
    answers.send("answer")
    asking.join(10)
    assert not asking.is_alive()
    waits(pair, w=1)  # What was received counts until the next is asked for.


def test_a_queue_of_several_counts_for_who_was_given_it(pair: Pair) -> None:
    """What waits for any of them is nobody's; who alone receives is given all."""
    theirs: Queue[str] = Queue._of(pair.child.queue("jobs", 10))
    ours: Queue[str] = Queue._of(pair.main.queue("jobs", 10))
    ours.send("a")
    ours.send("b")
    wait_until(lambda: pair.hub.statistics()["jobs"]["sent"] == 2)
    waits(pair)
    assert theirs.receive(10) == "a"
    waits(pair, w=2)
