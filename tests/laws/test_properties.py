"""Random interleavings of everything one can do with channels, against a model of their laws.

A main process's side, a child "w" that is killed, restarted and lost, and a child "x" that lives,
in one process over real links. `tests/model.py` says what may happen; here is what is done.

`LITEYUKI_TEST_HUNT=1000 python -m pytest tests/laws/test_properties.py` hunts with as many
examples, new ones each time.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import os
import re
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from liteyuki_core import (
    ChannelBroken,
    ChannelClosed,
    ChannelEmpty,
    ChannelFull,
    ChannelModeError,
    ChannelTimeout,
    SendError,
    WouldBlockLoop,
)
from liteyuki_core.comm import async_select, select
from liteyuki_core.comm.channel import Channel
from liteyuki_core.comm.context import Context
from liteyuki_core.comm.ends import bursts
from liteyuki_core.comm.loop.callbacks import SYNC_CALLBACKS
from tests.conftest import a_little
from tests.model import Conduit, Half, Recorder, Waiting, check_side, custody, number_in
from tests.pair import Pair

_MOMENT = 0.002
_MOST = 6

HUNT = int(os.environ.get("LITEYUKI_TEST_HUNT", "0"))
_DEADLINE = 4.0 if HUNT else 10.0

PROFILE = settings(
    stateful_step_count=60 if HUNT else 40,
    derandomize=not HUNT,
    deadline=None,
    database=None,
    print_blob=False,
    suppress_health_check=list(HealthCheck),
    # To make an example smaller takes minutes, and it is the same one that fails each time.
    phases=[Phase.generate, Phase.shrink] if HUNT else [Phase.generate],
)

Message = Callable[[int], Any]
some = st.integers(0, 11)
doors = st.sampled_from(["sync", "async", "loop"])


class Channels(RuleBasedStateMachine):
    """Everything one can do, one thing after another; what waits goes on meanwhile."""

    limit = 10**6
    """In how many crashes in a row a message is being handled before it is set aside."""

    def __init__(self) -> None:
        super().__init__()
        self.pair = Pair(max_redeliveries=self.limit)
        self.aside = 0
        self.contexts: dict[str, Context | None] = {
            "main": self.pair.main,
            "w": self.pair.child,
            "x": self.pair.another("x"),
        }
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, name="tests-loop")
        self.thread.start()
        self.conduits: list[Conduit] = []
        self.recorders: list[Recorder] = []
        self.names = itertools.count()
        self.quiet = False
        self.w_died = False
        self._open_both(Conduit("w-active", 1024, "main", "w"))

    # ------------------------------------------------------------- making

    @rule(
        who=st.sampled_from(["main w", "w main", "w x", "x w", "main x", "x main"]),
        named=st.booleans(),
        capacity=st.integers(1, 8),
    )
    def make(self, who: str, named: bool, capacity: int) -> None:
        """Make a channel, and if it has a name let the other process get it."""
        maker, getter = who.split()
        context = self.contexts[maker]
        live = [c for c in self.conduits if any(h.state == "held" for h in c.halves)]
        if len(live) > _MOST or context is None or self.contexts[getter] is None:
            return
        self.quiet = False
        conduit = Conduit(f"c{next(self.names)}" if named else None, capacity, maker, getter)
        end = context.make(conduit.name, capacity)
        conduit.halves[0].hold(Channel._of(end))
        _eventually(lambda: end.key in self.pair.hub.table.by_key, f"{conduit} is known")
        if conduit.name is not None:
            context.register(conduit.name, end)
            self._open_both(conduit)
            return
        conduit.route = self.pair.hub.table.by_key[end.key]
        self._add(conduit)

    def _open_both(self, conduit: Conduit) -> None:
        name = str(conduit.name)
        for half in conduit.halves:
            if half.state != "held":
                half.hold(Channel._of(self._got(half.who, name)))
        conduit.route = self.pair.hub.table.by_name[name]
        self._add(conduit)

    def _add(self, conduit: Conduit) -> None:
        conduit.age = len(self.conduits)
        self.conduits.append(conduit)

    def _got(self, who: str, name: str) -> Any:
        context = self.contexts[who]
        assert context is not None
        _eventually(lambda: name in context.port.names(), f"{who} knows {name}")
        return context.get(name)

    @rule(at=some)
    def reopen(self, at: int) -> None:
        """Have the successor of a child open what the dead one had."""
        found = [half for half in self._halves() if self._can_reopen(half)]
        if found:
            self._reopen(found[at % len(found)])

    def _can_reopen(self, half: Half) -> bool:
        return (
            half.state == "absent"
            and half.who == "w"
            and half.conduit.name is not None
            and self.contexts["w"] is not None
        )

    def _reopen(self, half: Half) -> None:
        conduit, context = half.conduit, self.contexts["w"]
        name = str(conduit.name)
        assert context is not None
        self.settle()
        self.quiet = False
        if name not in self.pair.hub.table.by_name:
            assert half.other.state == "closed", f"{conduit} lost its name"
            assert not half.into.owed(), f"{conduit} lost messages with its name"
            half.leave("closed")
            return
        if half.i == 1:
            half.hold(Channel._of(self._got("w", name)))
            return
        end = context.make(name, conduit.capacity)
        half.hold(Channel._of(end))
        context.register(name, end)
        assert self.pair.hub.table.by_name[name] is conduit.route, f"{conduit} does not go on"

    # ------------------------------------------------------------- sending

    @rule(
        at=some,
        count=st.integers(1, 4),
        how=doors,
        kind=st.sampled_from(["text", "object", "bytes", "big"]),
    )
    def send(self, at: int, count: int, how: str, kind: str) -> None:
        """Send some messages, as far as there is room for them."""
        half = self._pick(at, lambda half: half.sending is None)
        if half is not None:
            # What a child has not got out of its hands when it is killed is lost, so it sends
            # nothing that the kernel doesn't take at once.
            kind = "object" if kind == "big" and half.who != "main" else kind
            self._send(half, [_message(kind)] * count, how)

    @rule(at=some, carried=some, how=doors)
    def pass_on(self, at: int, carried: int, how: str) -> None:
        """Send a channel without a name through another."""
        reply = self._pick(
            carried,
            lambda half: half.i == 0 and half.conduit.name is None and half.other.state != "closed",
        )
        if reply is None:
            return
        way = (reply.who, reply.other.who)
        half = self._pick(
            at,
            lambda half: (
                (half.who, half.other.who) == way
                and half.sending is None
                and half.state == "held"
                # Channels that carry each other in a circle are kept for ever.
                and (half.conduit.name is not None or half.conduit.age < reply.conduit.age)
            ),
        )
        if half is None:
            return
        handle = reply.handles[0]
        if reply.state == "closed":
            with pytest.raises(SendError, match="closed"):
                half.handles[0].send({"channel": handle})
            return

        before = half.out.count
        self._send(
            half, [lambda n: {"number": n, "channel": handle, "index": reply.conduit.age}], how
        )
        if half.out.count > before:
            reply.conduit.carried.append((half.other, before))

    def _send(self, half: Half, messages: list[Message], how: str) -> None:
        quiet = self._stir()
        channel, flow = half.handles[0], half.out

        def conclude(outcome: Any, most: int) -> None:
            self._absorb()
            flow.finish(outcome is None)
            self._check_sent(half, outcome, most, quiet)

        def send(message: Message) -> None:
            most = flow.most()
            data = message(flow.begin())
            conclude(_outcome(lambda: channel.send(data, 0)), most)

        async def async_send(message: Message) -> None:
            most = flow.most()
            data = message(flow.begin())
            conclude(await _awaited(channel.async_send(data, 0)), most)

        async def turn() -> None:
            for message in messages:
                if how == "loop":
                    send(message)
                else:
                    await async_send(message)
            # What this turn has gathered leaves, and its room is everybody's again.
            await asyncio.sleep(0)
            await asyncio.sleep(0)

        if how == "sync":
            for message in messages:
                send(message)
        else:
            self._run(turn())

    def _check_sent(self, half: Half, outcome: Any, most: int, quiet: bool) -> None:
        other, capacity = half.other, half.conduit.capacity
        if half.state == "closed":
            assert outcome is ChannelClosed, f"{outcome} from a closed end"
        elif outcome is None:
            assert half.out.least() <= capacity, "more than the capacity is unacknowledged"
            assert not (quiet and other.errors()), f"sent although {other.state}"
            if other.state == "closed":
                half.out.excuse()
        elif outcome in (ChannelFull, ChannelTimeout):
            assert most >= capacity, f"{outcome}, but {most} of {capacity} are unacknowledged"
        else:
            self._check_error(half, outcome, quiet)

    def _check_error(self, half: Half, outcome: Any, quiet: bool) -> None:
        other = half.other
        allowed = other.errors() | (set() if quiet else half.shaky)
        if other.state == "absent" and self.w_died:
            allowed = allowed | {ChannelBroken}
        if other.let_go:
            allowed = allowed | {ChannelClosed}
        assert outcome in allowed, f"{outcome}, but the other side is {other.state}"

    @rule(at=some, turns=st.integers(0, 2))
    def cancel_send(self, at: int, turns: int) -> None:
        """Cancel an `async_send` before it runs, while it waits, or after."""
        half = self._pick(at, lambda half: half.sending is None and half.state == "held")
        if half is None:
            return
        quiet = self._stir()
        most = half.out.most()
        data = _message("object")(half.out.begin())
        outcome = self._run(_cancelled(half.handles[0].async_send(data), turns))
        self._absorb()
        half.out.finish(outcome is None)
        if outcome is not asyncio.CancelledError:
            self._check_sent(half, outcome, most, quiet)

    @rule(at=some, door=st.sampled_from(["sync", "async"]))
    def wait_to_send(self, at: int, door: str) -> None:
        """Begin a send that may have to wait, and go on."""
        half = self._pick(at, lambda half: half.sending is None and half.state == "held")
        if half is None:
            return
        self._stir()
        channel, data = half.handles[0], _message("text")(half.out.begin())
        if door == "sync":
            half.sending = Waiting.in_thread(lambda: channel.send(data, 60))
        else:
            half.sending = self._task(channel.async_send(data, 60))

    # ------------------------------------------------------------- receiving

    @rule(at=some, how=st.sampled_from(["nowait", "sync", "async", "loop", "cancel"]))
    def receive(self, at: int, how: str) -> None:
        """Receive one message, if there is one."""
        half = self._pick(at, lambda half: half.receiving is None and half.recorder is None)
        if half is not None:
            self._receive(half, how)

    def _receive(self, half: Half, how: str, turns: int = 2) -> bool:
        quiet, began = self._stir(), half.receives
        flow, channel = half.into, half.handles[0]
        due = half.state == "held" and flow.owed()
        timeout = _DEADLINE if due else _MOMENT
        if how != "loop":  # There a task asks, which has nothing.
            flow.ask()
        half.receives = True
        nothing: type[BaseException]
        if how == "nowait":
            nothing, data = ChannelEmpty, _outcome(channel.receive_nowait)
        elif how == "sync":
            nothing, data = ChannelTimeout, _outcome(lambda: channel.receive(timeout))
        elif how == "async":
            nothing, data = ChannelTimeout, self._run(_awaited(channel.async_receive(timeout)))
        elif how == "loop":
            nothing, data = WouldBlockLoop, self._run(_on_loop(channel.receive))
        else:
            nothing = asyncio.CancelledError
            data = self._run(_cancelled(channel.async_receive(), turns))
        if half.state == "closed":
            assert data in (ChannelClosed, nothing), f"{data} from a closed end"
            assert data is ChannelClosed or how == "cancel"
            return False
        if not isinstance(data, type):
            self._took(half, data, own=how == "loop")
            return True
        self._absorb()
        if data is nothing:
            assert not (due and how in ("sync", "async")), f"{data}, but {due} are to come"
            certain = quiet and began and how != "cancel"
            assert not (due and certain), f"{data}, but {due} are there"
            ended = half.other.errors() and not flow.possible()
            assert not (ended and certain), f"{data}, but the other side is {half.other.state}"
        else:
            assert not due, f"{data}, but {due} were to come before"
            self._check_error(half, data, quiet)
        return False

    def _took(self, half: Half, data: Any, *, own: bool = False, lives: bool = True) -> None:
        """Learn what was received; with `own` by a thread or task that was there for this alone."""
        flow, number = half.into, number_in(data)
        if own:
            # It has ended, and says nothing of what others have received.
            flow.give(number)
            flow.upper.add(number)
            flow.lower.add(number)
        else:
            flow.ask()
            flow.give(number)
            flow.held = number
        if lives and isinstance(data, dict):
            self._hold(half.who, data)

    def _hold(self, who: str, data: dict[str, Any]) -> None:
        half = self.conduits[data["index"]].halves[1]
        assert half.who == who
        assert data["channel"]._open().site is self.contexts[who].site
        half.hold(data["channel"])

    @rule(at=some, door=st.sampled_from(["sync", "async"]))
    def wait_to_receive(self, at: int, door: str) -> None:
        """Begin a receive that may have to wait, and go on."""
        half = self._pick(
            at, lambda h: h.receiving is None and h.recorder is None and h.state == "held"
        )
        if half is None:
            return
        self._stir()
        half.receives = True
        channel = half.handles[0]
        if door == "sync":
            half.receiving = Waiting.in_thread(lambda: channel.receive(60))
        else:
            half.into.ask()
            half.receiving = self._task(channel.async_receive(60))

    @rule(
        who=st.sampled_from(["main", "w", "x"]),
        how=st.sampled_from(["sync", "async"]),
        count=st.integers(1, 4),
    )
    def select(self, who: str, how: str, count: int) -> None:
        """Receive from whichever channels of a process have messages."""
        halves = {
            half.handles[0]: half
            for half in self._halves()
            if half.who == who
            and half.state == "held"
            and half.receiving is None
            and half.recorder is None
        }
        if not halves:
            return
        self._stir()
        due = any(half.into.owed() for half in halves.values())
        timeout = _DEADLINE if due else _MOMENT
        for half in halves.values():
            half.receives = half.receives or None
        given: Any = None
        chosen = (select if how == "sync" else async_select)(*halves, timeout=timeout)
        for _ in range(count):
            self._absorb()
            due = any(half.into.owed() for half in halves.values())
            if not due and timeout > _MOMENT:
                break
            if given is not None:
                given.into.ask()
            for half in halves.values():
                half.into.ask(surely=False)
            if how == "sync":
                found = _outcome(lambda: next(chosen))
            else:
                found = self._run(_awaited(anext(chosen)))
            self._absorb()
            if not isinstance(found, type):
                given = halves[found[0]]
                given.receives = True
                self._took(given, found[1])
                continue
            given = None
            if found is ChannelTimeout:
                assert not due, "select timed out, but messages are to come"
                return
            if found is ChannelBroken:
                assert any(
                    half.other.state == "lost"
                    or ChannelBroken in half.shaky
                    or (half.other.state == "absent" and self.w_died)
                    for half in halves.values()
                )
                continue
            assert found in (StopIteration, StopAsyncIteration), found
            assert not due, "select ended, but messages are to come"
            for half in halves.values():
                assert half.other.let_go or ChannelClosed in half.other.errors() | half.shaky
            return

    @rule(
        at=some,
        ordered=st.booleans(),
        kind=st.sampled_from(["sync", "async", "held", "odd held"]),
    )
    def callbacks(self, at: int, ordered: bool, kind: str) -> None:
        """Register a callback."""
        half = self._pick(
            at, lambda h: h.state == "held" and h.recorder is None and h.receiving is None
        )
        if half is None:
            return
        self._register(half, ordered, kind)

    def _register(self, half: Half, ordered: bool, kind: str) -> None:
        self._stir()
        recorder = Recorder(ordered, kind)
        register = half.handles[0].on_receive(ordered=ordered)
        callback = _sync_callback if kind == "sync" else _async_callback
        outcome = _outcome(lambda: register(callback(recorder)))
        if outcome is ChannelModeError:
            assert half.receives is not False
            half.receives = True
            return
        assert not half.receives
        half.receives = False
        half.recorder = recorder
        self.recorders.append(recorder)

    @rule()
    def release(self) -> None:
        """Let the callbacks end that were held."""
        self._stir()
        for recorder in self.recorders:
            recorder.release()

    # ------------------------------------------------------------- ending

    @rule(at=some)
    def close(self, at: int) -> None:
        """Close an end, also one that is closed."""
        half = self._pick(at, lambda half: True)
        if half is not None:
            self._close(half)

    def _close(self, half: Half) -> None:
        self._stir()
        half.handles[0].close()
        if half.state == "held":
            half.into.ask()
            half.leave("closed")
            if half.recorder is not None:
                half.recorder.release()
            self._absorb()

    @rule(at=some)
    def drop(self, at: int) -> None:
        """Let go of the last handle on a channel without a name."""
        half = self._pick(
            at,
            lambda half: (
                half.state == "held"
                and half.conduit.name is None
                and half.recorder is None
                and half.receiving is None
                and half.sending is None
            ),
        )
        # What a callback was given lives as long as the callback.
        if half is None or any(not recorder.gate.done() for recorder in self.recorders):
            return
        self._stir()
        if half.state != "held" or any(
            n in by.into.owed() and (by.receiving or by.recorder) for by, n in half.conduit.carried
        ):
            return  # Who waits for a message may be brought one more handle at this moment.
        half.into.ask()
        half.leave("closed" if half.i == 0 else "absent")
        half.dropped_handle = half.i == 1
        half.handles.clear()
        gc.collect()
        end = half.end
        assert end is not None
        _eventually(lambda: end.closed, f"the end of {half.conduit} is left")

    @rule(how=st.sampled_from(["crash", "crash", "crash", "stop", "restart"]), again=st.booleans())
    def child_dies(self, how: str, again: bool) -> None:
        """Kill the child "w", end it at once as if it had been asked to, or restart it.

        Its successor may open `again` what it had, and register the same callbacks.
        """
        if self.contexts["w"] is None:
            return
        self._before_death(how)
        if how == "restart":
            self.pair.restart_child()
        else:
            self.pair.kill_child(clean=how == "stop")
        self.contexts["w"] = self.pair.child
        self._after_death(how)
        for half in self._halves():
            if again and self._can_reopen(half):
                self._reopen(half)
                if half.state == "held" and half.before is not None:
                    self._register(half, half.before.ordered, half.before.kind)

    @rule()
    def child_is_lost(self) -> None:
        """Lose the child for good, or have it back."""
        self._before_death("lost")
        if self.contexts["w"] is None:
            self.pair.child.close(0.1)
            self.pair.connect()
            self.contexts["w"] = self.pair.child
            for half in self._halves():
                if half.who == "w" and half.state == "lost" and half.conduit.name and half.i == 1:
                    half.other.shaky.add(ChannelBroken)
                    half.state = "absent"
            return
        self.pair.lose_child()
        self.contexts["w"] = None
        self._after_death("lost")

    def _before_death(self, how: str) -> None:
        self._stir()
        for half in self._halves():
            if half.who == "w" and half.recorder is not None and how == "restart":
                half.recorder.release()
        _eventually(lambda: all(map(self._arrived, self._halves())), "all that was sent arrives")
        for half in self._halves():
            half.into.begun = set(half.into.life)

    def _arrived(self, half: Half) -> bool:
        self._absorb()
        if not self._hub_knows(half):
            return False
        if half.state != "held" or half.other.state == "closed":
            return True
        flow, conduit = half.out, half.conduit
        assert conduit.route is not None
        with self.pair.hub.lock:
            there = set(custody(conduit.route.sides[1 - half.i]))
        return flow.sent() - flow.excused <= there | flow.upper | flow.given

    def _after_death(self, how: str) -> None:
        self.w_died = True
        for half in self._halves():
            if half.who != "w":
                continue
            half.handles.clear()
            if how != "restart" and half.other.state == "closed":
                # Nobody has waited for its last messages to reach the hub, as `_arrived` does.
                half.out.unsure |= half.out.excused - half.out.given
            if half.state == "absent" and half.conduit.name is not None and how == "lost":
                half.state, half.written_off = "lost", True
            if half.state == "closed":
                self._bury(half)
            if half.state != "held":
                continue
            self._bury(half)
            flow, conduit = half.into, half.conduit
            if how == "restart":
                flow.ask()
            if conduit.name is None:
                half.state = "lost" if half.i == 0 else "absent"
            else:
                half.state = "lost" if how == "lost" else "absent"
                half.written_off = how == "lost"
            route = conduit.route
            assert route is not None
            with self.pair.hub.lock:
                known = self.pair.hub.table.by_key.get(route.key) is route
                kept = custody(route.sides[half.i])
            if not known:
                flow.excuse()
                continue
            every = set(range(flow.count)) - {flow.limbo}
            missing = every - flow.upper - flow.excused - set(kept)
            if how in ("crash", "lost"):
                self._set_aside(half, missing, set(kept))
            else:
                assert not missing, f"{conduit}: {missing} are lost"
            again = set(kept) & flow.confirmed
            assert not again, f"{conduit}: {again} are to come again, but were acknowledged"
            flow.receiver_died(set(kept))
        # Where they stay they are looked at by tests/laws/test_c08_crashes.py.
        for letter in self.pair.hub.dead_letters():
            letter.discard()

    def _set_aside(self, half: Half, missing: set[int], kept: set[int]) -> None:
        """Look at the messages that are not to come again."""
        flow = half.into
        flow.crashes.update(flow.life & (missing | kept))
        flow.row = {number: flow.row.get(number, 0) + 1 for number in flow.begun & kept}
        guilty = {number for number, count in flow.row.items() if count >= self.limit}
        assert not guilty, f"{half.conduit}: {guilty} come again after {self.limit} crashes"
        before = half.before
        begin = SYNC_CALLBACKS if before is not None and not before.in_order else 1
        about_to_begin = sorted((missing | kept) - flow.life)[:begin]
        for number in missing:
            # At the first crash nobody knows which of its messages a process was handling. And
            # that a message begins is said before its callback is called.
            handled = flow.crashes[number] + (number in about_to_begin)
            assert handled >= self.limit - 1, f"{half.conduit}: {number} is lost, after {handled}"
        flow.excused |= missing
        flow.unsure |= missing
        flow.dropped |= missing | flow.perhaps_set_aside(kept, self.limit)
        self.aside += len(missing)

    def _bury(self, half: Half) -> None:
        """Look at what the dead child's calls came to."""
        for waiting in (half.receiving, half.sending):
            if waiting is not None:
                _eventually(waiting.future.done, "what waits in a dead process ends")
        if half.receiving is not None:
            waiting, half.receiving = half.receiving, None
            data = waiting.outcome()
            if isinstance(data, type):
                assert data in (ChannelBroken, ChannelClosed)
            else:
                self._took(half, data, own=waiting.in_own_thread, lives=False)
        if half.sending is not None:
            outcome, half.sending = half.sending.outcome(), None
            if outcome is None and half.out.limbo is not None:
                half.out.excused.add(half.out.limbo)
                half.out.unsure.add(half.out.limbo)
            assert outcome in (None, ChannelBroken, ChannelClosed)
            half.out.finish(outcome is None)
        if half.recorder is not None:
            self._listen(half, half.recorder, lives=False)
            half.recorder.release()
            half.before, half.recorder = half.recorder, None

    # ------------------------------------------------------------- looking

    @rule()
    def settle(self) -> None:
        """Wait until nothing moves; from then on all is known exactly."""
        _eventually(lambda: not self._moving(), lambda: f"nothing moves: {self._moving()}")
        for conduit in self.conduits:
            for half in conduit.halves:
                half.shaky.clear()
                half.into.settle(self._kept(half))
        self.quiet = True

    def _kept(self, half: Half) -> set[int]:
        """Return what the hub keeps for a side."""
        route, hub = half.conduit.route, self.pair.hub
        assert route is not None
        with hub.lock:
            known = hub.table.by_key.get(route.key) is route
            kept = custody(route.sides[half.i])
        if not known:
            half.conduit.forgotten()
        assert len(kept) == len(set(kept)), f"{half.conduit}: kept twice: {kept}"
        return set(kept)

    def _moving(self) -> str:
        """Return what is not yet as it will be, if anything."""
        self._absorb()
        for half in self._halves():
            why = self._moving_to(half) or self._moving_from(half)
            if why:
                return f"{half.conduit}, {half.who}: {why}"
        return ""

    def _moving_to(self, half: Half) -> str:
        flow, kept = half.into, self._kept(half)
        missing = set(range(flow.count)) - {flow.limbo} - flow.upper - flow.excused - kept
        if missing:
            return f"{missing} are not with the hub"
        if kept & flow.lower:
            return f"{kept & flow.lower} are not yet acknowledged"
        if half.state != "held":
            return f"{kept} are kept, but it is closed" if half.state == "closed" and kept else ""
        there = kept - flow.life
        if half.receiving is not None and there:
            return f"{there} are not yet received"
        if half.recorder is not None:
            recorder = half.recorder
            if not recorder.gate.done():
                if recorder.ordered and (not kept or kept & flow.life):
                    return ""
                if len(kept & flow.life) >= half.conduit.capacity:
                    return ""  # So many run at once: a successor of the sender has room of its own.
                return f"{there} have not begun" if there else ""
            return f"{kept} are not yet handled" if kept else ""
        if half.receives:
            backlog = half.handles[0].stats()["backlog"]
            if backlog != len(there):
                return f"{there} are there, but the backlog is {backlog}"
        return ""

    def _hub_knows(self, half: Half) -> bool:
        """Return whether the hub knows that a side is held, or is not any more."""
        route, hub = half.conduit.route, self.pair.hub
        assert route is not None
        with hub.lock:
            side = route.sides[half.i]
            if hub.table.by_key.get(route.key) is not route:
                return True
            if half.state == "closed" and not side.holders:
                # Perhaps it does not even know yet that this side was opened.
                return side.ended is not None or route.links > 0
            return bool(side.holders) == (half.state == "held")

    def _moving_from(self, half: Half) -> str:
        if not self._hub_knows(half):
            return f"it is {half.state}, and the hub does not know"
        if half.state != "held":
            if half.sending is not None or half.receiving is not None:
                return "something waits at an end that is closed"
            return ""
        flow, other, end = half.out, half.other, half.end
        assert end is not None
        kept = self._kept(other)
        stats = half.handles[0].stats()
        outstanding = stats["sent"] - stats["acknowledged"] - stats["dropped"]
        mine = {number for number in kept if number >= flow.start}
        if outstanding != len(mine):
            return f"{mine} are kept, but {outstanding} outstanding: {stats}"
        errors = other.errors()
        if half.sending is not None and (errors or len(mine) < half.conduit.capacity):
            return "a send waits, but there is room"
        if half.receiving is not None and errors:
            return "a receive waits, but none will come"
        if bool(errors) != (end.gone is not None) and not (
            other.state == "absent" and (self.w_died or other.let_go)
        ):
            return f"the other side is {other.state}, and {end.gone!r}"
        return ""

    def _absorb(self) -> None:
        """Look at what has happened meanwhile."""
        for half in self._halves():
            waiting = half.receiving
            if waiting is not None and waiting.future.done():
                half.receiving = None
                data = waiting.outcome()
                if not isinstance(data, type):
                    self._took(half, data, own=waiting.in_own_thread)
                elif half.state == "closed":
                    # What ended the wait may be older than the close, and its thread slow to say.
                    if data is not ChannelClosed:
                        self._check_error(half, data, False)
                else:
                    assert half.shaky or not half.into.owed(), f"{data} before all was received"
                    self._check_error(half, data, False)
            waiting = half.sending
            if waiting is not None and waiting.future.done():
                half.sending = None
                outcome = waiting.outcome()
                half.out.finish(outcome is None)
                if outcome is not None and (half.state, outcome) != ("closed", ChannelClosed):
                    self._check_error(half, outcome, False)
                if half.other.state == "closed":
                    half.out.excuse()
            if half.recorder is not None:
                self._listen(half, half.recorder)

    def _listen(self, half: Half, recorder: Recorder, *, lives: bool = True) -> None:
        flow = half.into
        ended = len(recorder.ended)  # Before what has begun, which may only grow meanwhile.
        for at in range(recorder.seen, len(recorder.started)):
            data, recorder.started[at] = recorder.started[at], None
            flow.give(number_in(data), ordered=recorder.in_order)
            if lives and isinstance(data, dict):
                self._hold(half.who, data)
            recorder.seen += 1
        done = recorder.ended[:ended]
        flow.upper.update(recorder.ended)
        flow.lower.update(done)

    @invariant()
    def all_adds_up(self) -> None:
        """Compare what can be looked at with the model."""
        hub = self.pair.hub
        links: Counter[str] = Counter()
        with hub.lock:
            for key, route in hub.table.by_key.items():
                assert route.key == key
                for side in route.sides:
                    check_side(side, route.capacity)
                    for entry in (*side.waiting, *side.sent.values()):
                        links.update(carried.key for carried in entry.links)
            for peer in (self.pair.composed.local, *hub.table.peers):
                links.update(peer.holds)
            assert links == Counter({k: r.links for k, r in hub.table.by_key.items() if r.links})
            assert all(hub.table.by_key[route.key] is route for route in hub.table.by_name.values())
        self._absorb()
        for half in self._halves():
            if half.state == "held":
                stats = half.handles[0].stats()
                sent = len(half.out.sent())
                assert sent <= stats["sent"] <= sent + (half.out.limbo is not None), stats
                settled = stats["acknowledged"] + stats["dropped"]
                assert 0 <= stats["sent"] - settled <= half.conduit.capacity, stats
                assert stats["capacity"] == half.conduit.capacity
                assert stats["errors"] == 0
                dropped = half.out.dropped | {half.out.limbo}
                assert stats["dropped"] <= len(dropped - set(range(half.out.start))), stats
                if not self.w_died:
                    assert stats["redelivered"] == 0

    def teardown(self) -> None:
        """Drain everything, close everything, and look at what is left."""
        try:
            if sys.exc_info()[0] is None:
                self._finish()
        finally:
            for recorder in self.recorders:
                recorder.release()
            for half in self._halves():
                half.handles.clear()
            self.pair.close()
            self._run(_cancel_all())
            self.loop.call_soon_threadsafe(self.loop.stop)
            self.thread.join()
            self.loop.close()

    def _finish(self) -> None:
        self.release()
        for half in self._halves():
            if self._can_reopen(half):
                self._reopen(half)
        # What is drained may bring a channel that is to be drained in its turn.
        for _ in self.conduits:
            self.settle()
            for half in self._halves():
                self._drain(half)
        self.settle()
        for half in self._halves():
            flow = half.into
            if half.state == "held":
                assert not self._kept(half), f"{half.conduit}: not drained"
                lost = set(range(flow.count)) - flow.given - flow.excused
                assert not lost, f"{half.conduit}: {lost} are lost"
        for half in self._halves():
            if half.state == "held":
                self._close(half)
        self.settle()
        for half in self._halves():
            half.handles.clear()
        gc.collect()
        hub = self.pair.hub
        names = {"x-active", "x-passive", "w-passive"}
        _eventually(
            lambda: len(hub.table.by_key) == len(names), lambda: f"only {names}: {hub.table.by_key}"
        )
        assert set(hub.table.by_name) == names
        for context in self.contexts.values():
            if context is not None:
                assert not context.ends
                assert not context._by_key
        self._check_log()

    def _drain(self, half: Half) -> None:
        if half.state != "held" or half.recorder is not None:
            return
        while half.state == "held":
            self._absorb()
            if half.receiving is not None:
                if half.into.held is not None:
                    # What is still to come may wait for the room of what was received last.
                    self._receive(half, "nowait")
                elif not half.into.owed() and half.into.limbo is None:
                    half.into.ask()
                    assert _outcome(half.handles[0].receive_nowait) is not None
                    return
                time.sleep(0)
            elif not self._receive(half, "sync") and not half.into.owed():
                return

    def _check_log(self) -> None:
        """All that was accepted and never came is accounted for there."""
        lost: Counter[str] = Counter()
        for half in self._halves():
            never = set(range(half.into.count)) - half.into.given
            assert not never - half.into.excused, f"{half.conduit}: {never} are lost"
            lost[half.conduit.name or "(unnamed)"] += len(never - half.into.unsure)

        def unaccounted() -> Counter[str]:
            left = lost.copy()
            for line in list(self.pair.log):
                match = re.search(r"channel (\S+?):? .*?(\d+) messages", line)
                if "a channel: " in line:  # The hub never knew which: it was closed before.
                    return Counter()
                if match and "later ones are dropped too" in line:
                    left[match[1]] = 0  # Said once for all of one sender.
                elif match:
                    left[match[1]] -= int(match[2])
            return +left

        _eventually(
            lambda: not unaccounted(),
            lambda: f"{unaccounted()} not accounted for: {self.pair.log}",
        )
        errors = [line for line in self.pair.log if line.startswith("ERROR")]
        assert all(f"in {self.limit} crashes of process w" in line for line in errors), errors
        assert len(errors) >= self.aside

    # ------------------------------------------------------------- doing

    def _halves(self) -> list[Half]:
        return [half for conduit in self.conduits for half in conduit.halves]

    def _pick(self, at: int, condition: Callable[[Half], bool]) -> Half | None:
        found = [half for half in self._halves() if half.handles and condition(half)]
        return found[at % len(found)] if found else None

    def _stir(self) -> bool:
        self._absorb()
        quiet, self.quiet = self.quiet, False
        return quiet

    def _run(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(_DEADLINE * 2)

    def _task(self, coroutine: Any) -> Waiting:
        return Waiting(asyncio.run_coroutine_threadsafe(coroutine, self.loop))


def _message(kind: str) -> Message:
    return {
        "text": str,
        "object": lambda number: (number, "x" * 50),
        "bytes": lambda number: b"%d" % number,
        "big": lambda number: (number, b"x" * 300_000),
    }[kind]


def _outcome(call: Callable[[], Any]) -> Any:
    """Return what it returns, or the class of what it raises."""
    try:
        return call()
    except (Exception, StopIteration) as error:
        return type(error)


async def _awaited(coroutine: Any) -> Any:
    try:
        return await coroutine
    except (Exception, StopAsyncIteration, asyncio.CancelledError) as error:
        return type(error)


async def _on_loop(call: Callable[[], Any]) -> Any:
    return _outcome(call)


async def _cancelled(coroutine: Any, turns: int) -> Any:
    task = asyncio.ensure_future(coroutine)
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    outcome = await _awaited(task)
    await asyncio.sleep(0)
    return outcome


async def _cancel_all() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _sync_callback(recorder: Recorder) -> Callable[[Any], None]:
    def callback(data: Any) -> None:
        number = number_in(data)
        recorder.started.append(data)
        del data
        recorder.ended.append(number)

    return callback


def _async_callback(recorder: Recorder) -> Callable[[Any], Any]:
    async def callback(data: Any) -> None:
        number = number_in(data)
        recorder.started.append(data)
        del data
        if recorder.holds(number):
            loop = asyncio.get_running_loop()
            released = loop.create_future()
            recorder.when_released(loop, released)
            await released
        recorder.ended.append(number)

    return callback


def _eventually(condition: Callable[[], Any], what: str | Callable[[], str]) -> None:
    deadline = time.monotonic() + _DEADLINE
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"not within {_DEADLINE:g} s: {what if isinstance(what, str) else what()}")
        time.sleep(0.001)


class ChannelsOfABadChild(Channels):
    """The same, where a message does not survive two crashes."""

    limit = 2


@a_little(6, 60)
@pytest.mark.parametrize("machine", [Channels, ChannelsOfABadChild])
@pytest.mark.parametrize("in_bursts", [False, True], ids=["alone", "bursts"])
def test_channels_keep_their_laws(
    machine: type[Channels],
    in_bursts: bool,
    times: int,
    transport: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever is done in whatever order; also if main's threads gather all that they send."""
    if in_bursts:
        monkeypatch.setattr(bursts, "_STREAK", 0)
        monkeypatch.setattr(bursts, "_PAUSE", 3600.0)
    profile = settings(PROFILE, max_examples=HUNT or times)
    run_state_machine_as_test(machine, settings=profile)
