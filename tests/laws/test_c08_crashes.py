"""Law C8 of channels: at least once across a crash.

Crashes and successors, messages set aside, several processes on one channel. With real processes:
`tests/process/test_kills.py`, `test_kills_at_lines.py`, `test_restarts_in_hand.py` and
`test_topologies.py`.

Tests comm/hub/side.py, comm/hub/route.py, comm/hub/letters.py, comm/hub/hub.py,
comm/hub/table.py.
"""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest

from liteyuki_core import ChannelBroken, ChannelClosed, LiteyukiError
from liteyuki_core.comm.channel import Channel
from liteyuki_core.comm.context import Context
from tests.conftest import DEADLINE, wait_until
from tests.pair import Door, Pair, SyncDoor


def got_by(context: Context, name: str) -> Channel[Any]:
    """Return a process's end of a channel, once it knows the name."""
    wait_until(lambda: name in context.port.names(), f"{name} is known")
    return Channel._of(context.get(name))


def sent_from(channel: Channel[Any], messages: Any) -> threading.Thread:
    """Send in a thread."""
    thread = threading.Thread(target=lambda: [channel.send(m) for m in messages], daemon=True)
    thread.start()
    return thread


# ------------------------------------------------------------- crashes


@pytest.mark.every_transport
def test_what_was_not_handled_goes_to_the_successor(pair: Pair, door: Door, capacity: int) -> None:
    """In order, nothing lost; what comes again was not acknowledged; later messages follow it."""
    ours, theirs = pair.channel(capacity)
    sending = sent_from(ours, range(200))
    got: list[int] = []
    for kill in range(5):
        seen = [door.receive(theirs) for _ in range(20 + kill)]
        again = len([number for number in seen if number in got])
        assert seen == list(range(seen[0], seen[0] + len(seen)))
        assert again <= capacity
        assert seen[0] <= len(got)
        got = list(range(seen[-1] + 1))
        pair.kill_child()
        theirs = got_by(pair.child, str(ours.name))
    while got[-1] < 199:
        got.append(door.receive(theirs))
    sending.join(10)
    assert sorted(set(got)) == list(range(200))
    assert ours.stats()["dropped"] == 0
    assert ours.stats()["sent"] == 200
    with pytest.raises(TimeoutError):
        door.receive(theirs, 0.01)  # Asking for the next acknowledges the last.
    wait_until(lambda: ours.stats()["acknowledged"] == 200)


@pytest.mark.parametrize("how", ["ordered", "concurrent", "sync"])
def test_callbacks_of_a_successor_get_what_was_not_handled(pair: Pair, how: str) -> None:
    """Callbacks that were running start again, in order; what had ended does not."""
    ours, theirs = pair.channel(64)
    started: list[list[int]] = []
    ended: set[int] = set()
    hold = threading.Event()

    def serve(channel: Channel[Any]) -> None:
        mine: list[int] = []
        started.append(mine)
        turn = len(started)

        async def concurrent(number: int) -> None:
            mine.append(number)
            while turn == 1 and number >= 10 and not hold.is_set():
                await asyncio.sleep(0.005)
            ended.add(number)

        def sync(number: int) -> None:
            mine.append(number)
            if turn == 1 and number >= 10:
                hold.wait(20)
            ended.add(number)

        channel.on_receive(ordered=how == "ordered")(sync if how == "sync" else concurrent)

    serve(theirs)
    for number in range(20):
        ours.send(number)
    reached = 11 if how == "ordered" else 20
    wait_until(lambda: len(started[0]) == reached and ended >= set(range(10)))
    wait_until(lambda: ours.stats()["acknowledged"] == 10)
    pair.kill_child()
    serve(got_by(pair.child, str(ours.name)))
    wait_until(lambda: len(started[1]) == 10)
    hold.set()
    wait_until(lambda: ours.stats()["acknowledged"] == 20)
    assert started[0] == list(range(reached))
    assert started[1] == list(range(10, 20))
    assert pair.hub.dead_letters() == []


def test_callbacks_that_still_run_are_not_acknowledged(pair: Pair) -> None:
    """Also where what a successor gets has gaps, because the dead one had handled some."""
    ours, theirs = pair.channel(64)
    release = threading.Event()
    started: list[int] = []

    def serve(channel: Channel[Any]) -> None:
        @channel.on_receive()
        async def callback(number: int) -> None:
            started.append(number)
            while number % 2 and not release.is_set():
                await asyncio.sleep(0.005)

    serve(theirs)
    for number in range(20):
        ours.send(number)
    wait_until(lambda: ours.stats()["acknowledged"] == 10)
    pair.kill_child()
    serve(got_by(pair.child, str(ours.name)))
    wait_until(lambda: len(started) == 30)
    ours.send(20)
    wait_until(lambda: ours.stats()["acknowledged"] > 10)
    assert ours.stats()["acknowledged"] == 11
    release.set()
    wait_until(lambda: ours.stats()["acknowledged"] == 21)
    assert started[20:] == [*range(1, 20, 2), 20]


@pytest.mark.every_transport
def test_a_stop_that_was_asked_for_is_no_crash(pair: Pair, door: Door) -> None:
    """However often a process is restarted, the message in its hands is only delivered again."""
    ours, theirs = pair.channel(8)
    door.send(ours, "patient")
    for _ in range(6):
        assert door.receive(theirs) == "patient"
        pair.kill_child(clean=True)
        theirs = got_by(pair.child, str(ours.name))
    assert pair.hub.dead_letters() == []
    assert theirs.stats()["redelivered"] == 0


def test_while_a_child_is_down_sends_queue_up(pair: Pair, door: Door, capacity: int) -> None:
    """Up to the capacity; its successor gets them all."""
    channel = Channel._of(pair.main.get("w-active"))
    made = pair.main.make("queue", capacity)
    pair.main.register("queue", made)
    ours = Channel._of(made)
    wait_until(lambda: "queue" in pair.port.names())
    pair.port._link._connection.shutdown(2)
    wait_until(lambda: pair.main_ended)
    pair.hub.process_ended("w", ChannelBroken, "process w was ended", for_good=False)
    for number in range(capacity):
        door.send(ours, number)
    with pytest.raises(TimeoutError):
        door.send(ours, "over", 0.02)
    door.send(channel, "own")
    pair.child.close(0.1)
    pair.connect()
    theirs = got_by(pair.child, "queue")
    assert [door.receive(theirs) for _ in range(capacity)] == list(range(capacity))
    assert door.receive(Channel._of(pair.child.get("w-active"))) == "own"


# ------------------------------------------------------------- poison


def poisoned(pair: Pair, name: str, door: Door, how: str) -> list[Any]:
    """Have children crash whenever they begin "poison"; return what the last has handled."""
    handled: list[Any] = []
    while True:
        channel, ours = got_by(pair.child, name), Channel._of(pair.main.get(name))
        begun, deadline = threading.Event(), time.monotonic() + DEADLINE
        if how == "receive":
            while True:
                try:
                    data = door.receive(channel, 0.3)
                except TimeoutError:
                    if not _under_way(ours):
                        return handled
                    assert time.monotonic() < deadline, "a message stays under way"
                    continue
                if data == "poison":
                    break
                handled.append(data)
        else:

            async def callback(
                data: Any, begun: threading.Event = begun, dead: Context = pair.child
            ) -> None:
                if data == "poison":
                    begun.set()
                    await asyncio.sleep(60)
                if dead is pair.child:
                    handled.append(data)

            channel.on_receive(ordered=how == "ordered")(callback)
            wait_until(lambda begun=begun, ours=ours: begun.is_set() or not _under_way(ours))
            if not begun.is_set():
                return handled
        pair.kill_child()


def _under_way(channel: Channel[Any]) -> int:
    stats = channel.stats()
    return stats["sent"] - stats["acknowledged"] - stats["dropped"]


@pytest.mark.one_hub
@pytest.mark.parametrize("how", ["receive", "ordered", "concurrent"])
def test_a_poison_message_is_set_aside(pair: Pair, door: Door, how: str) -> None:
    """After three crashes in a row while it was handled; the others go through, all of them."""
    ours, _ = pair.channel(64)
    for data in [1, 2, "poison", 3, 4]:
        ours.send(data)
    handled = poisoned(pair, str(ours.name), door, how)
    assert {1, 2, 3, 4} <= set(handled)
    (letter,) = pair.hub.dead_letters()
    assert (letter.channel, letter.process, letter.crashes) == (ours.name, "w", 3)
    assert letter.load() == "poison"
    assert letter.size == len("poison")
    assert "crashes=3" in repr(letter)
    pair.logged("ERROR", str(ours.name), "3 crashes of process w", "dead_letters")
    wait_until(lambda: ours.stats()["dropped"] == 1)
    assert ours.stats()["sent"] == 5
    wait_until(lambda: ours._open().sending._free == 64, "its room is free again")


def test_a_dead_letter_can_be_put_back_or_discarded(pair: Pair, door: Door) -> None:
    """Once; put back it is delivered as a new message."""
    ours, _ = pair.channel(8)
    for _ in range(2):
        ours.send("poison")
        poisoned(pair, str(ours.name), door, "receive")
    first, second = pair.hub.dead_letters()
    assert first.time <= second.time
    first.put_back()
    second.discard()
    assert pair.hub.dead_letters() == []
    assert door.receive(got_by(pair.child, str(ours.name))) == "poison"
    for act in (first.put_back, first.discard, second.put_back):
        with pytest.raises(LiteyukiError, match="dead_letters"):
            act()


@pytest.mark.one_hub
def test_a_dead_letter_of_a_channel_that_is_gone(pair: Pair, door: Door) -> None:
    """It can't be put back, and stays until it is discarded."""
    ours, _ = pair.channel(8)
    ours.send("poison")
    poisoned(pair, str(ours.name), door, "receive")
    (letter,) = pair.hub.dead_letters()
    got_by(pair.child, str(ours.name)).close()
    ours.close()
    wait_until(lambda: ours._open().key not in pair.hub.table.by_key)
    with pytest.raises(LiteyukiError, match="gone"):
        letter.put_back()
    letter.discard()
    assert pair.hub.dead_letters() == []


def test_who_stood_behind_a_poison_is_innocent(pair: Pair) -> None:
    """Messages that were only waiting, or had been handled just before, are never set aside."""
    ours, _ = pair.channel(64)
    for data in range(40):
        ours.send(data if data not in (10, 20, 30) else "poison")
    handled = poisoned(pair, str(ours.name), SyncDoor(), "receive")
    assert set(handled) == set(range(40)) - {10, 20, 30}
    assert [letter.load() for letter in pair.hub.dead_letters()] == ["poison"] * 3


# ------------------------------------------------------------- several processes


@pytest.mark.every_transport
@pytest.mark.parametrize("mode", ["receive", "callbacks"])
def test_several_processes_share_messages(pair: Pair, capacity: int, mode: str) -> None:
    """Each goes to exactly one of them."""
    ours, _ = pair.channel(capacity)
    contexts = [pair.another(name) for name in ("a", "b", "c")]
    got: dict[str, list[int]] = {}
    stop = threading.Event()

    def serve(context: Context) -> None:
        channel = got_by(context, str(ours.name))
        mine = got.setdefault(str(context.process), [])
        if mode == "callbacks":
            channel.on_receive()(lambda data: mine.append(data))
            return
        while not stop.is_set():
            try:
                mine.append(channel.receive(0.05))
            except TimeoutError:
                pass

    threads = [threading.Thread(target=serve, args=(context,)) for context in contexts]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(_ready(pair, ours)) == 3, "all receive")
    for number in range(300):
        ours.send(number, 10)
    wait_until(lambda: sum(map(len, got.values())) == 300)
    stop.set()
    for thread in threads:
        thread.join(10)
    assert sorted(number for mine in got.values() for number in mine) == list(range(300))
    assert all(mine == sorted(mine) for mine in got.values() if mode == "receive")
    assert all(got.values())


def _ready(pair: Pair, channel: Channel[Any]) -> list[Any]:
    route = pair.hub.table.by_name[str(channel.name)]
    return [holder for holder in route.sides[1].holders.values() if holder.ready]


def test_a_slow_process_is_given_no_more_than_it_handles(pair: Pair, door: Door) -> None:
    """While one works at its message, all others go to whoever has room."""
    ours, _ = pair.channel(64)
    slow, quick = (got_by(pair.another(name), str(ours.name)) for name in ("slow", "quick"))
    for channel in (slow, quick):
        with pytest.raises(TimeoutError):
            door.receive(channel, 0.01)
    wait_until(lambda: len(_ready(pair, ours)) == 2)
    for number in range(20):
        ours.send(number)
    first = door.receive(slow)
    got = [door.receive(quick) for _ in range(19)]
    assert sorted([first, *got]) == list(range(20))


def test_a_process_that_dies_leaves_its_share_to_the_others(pair: Pair, door: Door) -> None:
    """What it had not handled is handled by one of the others, also before it is restarted."""
    ours, theirs = pair.channel(64)
    other = got_by(pair.another("other"), str(ours.name))
    for channel in (theirs, other):
        with pytest.raises(TimeoutError):
            door.receive(channel, 0.01)
    wait_until(lambda: len(_ready(pair, ours)) == 2)
    for number in range(10):
        ours.send(number)
    taken = door.receive(theirs)
    pair.kill_child()
    assert sorted(door.receive(other) for _ in range(10)) == list(range(10))
    assert taken in range(10)


def test_a_process_that_only_sends_is_given_nothing(pair: Pair, door: Door) -> None:
    """Whoever got a channel and never received holds up no message."""
    ours, theirs = pair.channel(4)
    door.send(theirs, "report")
    assert door.receive(ours) == "report"
    for number in range(4):
        door.send(ours, number)
    other = got_by(pair.another("other"), str(ours.name))
    assert [door.receive(other) for _ in range(4)] == [0, 1, 2, 3]


# ------------------------------------------------------------- made by a process that is restarted


def test_the_successor_of_a_maker_goes_on_with_its_channel(pair: Pair, door: Door) -> None:
    """Under the same name, with what was under way in both directions."""
    made = Channel._of(pair.child.make("jobs", 8))
    pair.child.register("jobs", made._open())
    ours = got_by(pair.main, "jobs")
    other = got_by(pair.another("other"), "jobs")
    for number in range(3):
        door.send(ours, number)
    assert door.receive(made) == 0
    pair.kill_child()
    door.send(ours, 3)
    fresh = Channel._of(pair.child.make("jobs", 8))
    door.send(fresh, "sent before it has the name")
    pair.child.register("jobs", fresh._open())
    assert [door.receive(fresh) for _ in range(4)] == [0, 1, 2, 3]
    assert door.receive(ours) == "sent before it has the name"
    door.send(other, "from another")
    assert door.receive(fresh) == "from another"
    assert pair.main.get("jobs") is ours._open()
    assert pair.child.get("jobs") is fresh._open()


def test_a_maker_that_does_not_come_back(pair: Pair, door: Door) -> None:
    """Whoever holds its channel gets what it had sent, then the reason."""
    made = Channel._of(pair.child.make("jobs", 8))
    pair.child.register("jobs", made._open())
    there = pair.another("other")
    ends = [got_by(pair.main, "jobs"), got_by(there, "jobs")]
    door.send(made, "last words")
    pair.lose_child()
    wait_until(lambda: all(end._open().gone for end in ends), "both know")
    assert door.receive(ends[0]) == "last words"
    for end in ends:
        with pytest.raises(ChannelBroken, match="jobs: process w exited with code 9"):
            door.receive(end)
        with pytest.raises(ChannelBroken):
            door.send(end, 1)
    assert "jobs" not in pair.main.port.names()


@pytest.mark.one_hub
def test_an_end_of_a_stopped_process(pair: Pair, door: Door) -> None:
    """A process that has ended as asked closes its channels; started again it opens them."""
    channel = Channel._of(pair.main.get("w-active"))
    door.send(channel, "kept")
    pair.child.close(2)
    wait_until(lambda: pair.main_ended)
    pair.hub.process_ended("w", ChannelClosed, "process w exited with code 0")
    with pytest.raises(ChannelClosed, match="exited with code 0"):
        door.send(channel, "refused")
    pair.logged("WARNING", "w-active", "1 messages")
    pair.connect()
    door.send(channel, "later")
    theirs = Channel._of(pair.child.get("w-active"))
    assert [door.receive(theirs) for _ in range(2)] == ["kept", "later"]


def test_a_channel_that_a_lost_process_made(pair: Pair, door: Door) -> None:
    """It is not back because the process is: the process has to make it again."""
    made = pair.child.make("jobs", 4)
    pair.child.register("jobs", made)
    ours = got_by(pair.main, "jobs")
    door.send(Channel._of(made), "last words")
    pair.lose_child()
    wait_until(lambda: ours._open().gone)
    pair.child.close(0.1)
    pair.connect()
    with pytest.raises(ChannelBroken):
        door.send(ours, "refused")
    again = pair.child.make("jobs", 4)
    pair.child.register("jobs", again)
    wait_until(lambda: not ours._open().gone)
    door.send(Channel._of(again), "first words")
    assert [door.receive(ours) for _ in range(2)] == ["last words", "first words"]
    door.send(ours, "heard")
    assert door.receive(Channel._of(again)) == "heard"


def test_what_was_sent_before_one_could_know_of_a_stop(pair: Pair, door: Door) -> None:
    """It is kept for the stopped process as what came before is, and a line says so."""
    other = pair.another("x")
    sender = Channel._of(other.get("w-active"))
    door.send(sender, "before")
    pair.child.close(2)
    wait_until(lambda: pair.main_ended)
    with pair.hub.lock:
        door.send(sender, "after")  # It waits for the lock, on its way.
        pair.hub.process_ended("w", ChannelClosed, "process w exited with code 0")
    pair.logged("WARNING", "w-active", "1 messages came after process w had ended", "started again")
    wait_until(lambda: sender._open().gone, "it knows now")
    with pytest.raises(ChannelClosed):
        door.send(sender, "refused")
    pair.connect()
    theirs = Channel._of(pair.child.get("w-active"))
    assert [door.receive(theirs) for _ in range(2)] == ["before", "after"]
    assert sender.stats()["dropped"] == 0


def test_an_end_made_when_receiving_is_over(pair: Pair, door: Door) -> None:
    """A stop that waits for no message any more hands out none; a successor gets what came."""
    pair.child.stop.begin("process w is stopping")
    assert pair.child.stop.settle(10)
    made = pair.child.make("jobs", 4)
    pair.child.register("jobs", made)
    ours = got_by(pair.main, "jobs")
    door.send(ours, "kept")
    late = Channel._of(made)
    with pytest.raises(ChannelClosed, match="process w is stopping"):
        door.receive(late)
    pair.restart_child()
    again = pair.child.make("jobs", 4)
    pair.child.register("jobs", again)
    assert door.receive(Channel._of(again)) == "kept"


@pytest.mark.one_hub
def test_a_process_s_own_channel_that_is_closed(pair: Pair) -> None:
    """Closed by both it is forgotten: nobody can get it any more."""
    ours, theirs = (Channel._of(context.get("w-active")) for context in (pair.main, pair.child))
    key = ours._open().key
    ours.close()
    theirs.close()
    wait_until(lambda: key not in pair.hub.table.by_key, "it is forgotten")


@pytest.mark.one_hub
@pytest.mark.parametrize("own", [True, False])
def test_a_closed_channel_whose_other_side_is_lost(pair: Pair, door: Door, own: bool) -> None:
    """What waited in it for a successor is given up with that, in the log, and nothing is left."""
    ours = Channel._of(pair.main.get("w-active")) if own else pair.channel(8)[0]
    name, key = str(ours._open().name), ours._open().key
    pair.kill_child()
    door.send(ours, "nobody gets this")
    ours.close()
    assert name in pair.main.port.names(), "it waits for the successor"
    pair.lose_child()
    wait_until(lambda: key not in pair.hub.table.by_key, "it is forgotten")
    assert name not in pair.main.port.names()
    pair.logged("WARNING", f"channel {name} has ended", "1 messages")


@pytest.mark.one_hub
def test_a_channel_that_is_closed_before_the_other_side_is_there(pair: Pair, door: Door) -> None:
    """What that one has sent meanwhile is dropped, which the log and its end say."""
    ours = Channel._of(pair.main.make("short", 8))
    pair.main.register("short", ours._open())
    wait_until(lambda: "short" in pair.port.names())
    with pair.hub.lock:  # What the child does now comes to the hub after the close.
        theirs = Channel._of(pair.child.get("short"))
        door.send(theirs, 1)
        door.send(theirs, 2)
        ours.close()
    wait_until(lambda: theirs.stats()["dropped"] == 2)
    pair.logged("WARNING", "1 messages", "dropped")
    with pytest.raises(ChannelClosed):
        door.send(theirs, 3)
    with pytest.raises(ChannelClosed):
        door.receive(theirs)
