"""Law S5 of the store: what was set before a send is seen by whoever received that message."""

from __future__ import annotations

import pytest

from liteyuki_core.comm.storage import SharedMemory
from tests.pair import Pair, StoreDoor


@pytest.mark.every_transport
def test_what_was_set_before_a_send_is_seen(pair: Pair, do: StoreDoor) -> None:
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
