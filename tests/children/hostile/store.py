"""Acts with the store: questions that are none, that are too many, whose answers nobody reads."""

from __future__ import annotations

import asyncio
import json
import struct
import time
from functools import partial

from liteyuki_core import shared_memory
from liteyuki_core.comm.wire import frames
from tests.children.hostile.forge import REQUEST, act, ask, deaf, die, frame, out


@act("can't be asked '__class__'")
def an_attribute() -> None:
    out(ask("__class__"))


@act("can't be asked")
def another_attribute() -> None:
    out(ask("get\0", key="k"))


@act("is asked to get with")
def wrong_args() -> None:
    out(ask("get", key=1))


@act("is asked to lock with")
def an_argument_too_many() -> None:
    out(ask("lock", key="k", wait=True, asker=None))


@act("is asked to get with")
def a_key_over_the_limit() -> None:
    out(ask("get", key="k" * 2000))


for number, ttl in enumerate((float("nan"), float("inf"), -1, True, 10**400, "1")):
    act("is asked to set with", name=f"ttl_{number}")(
        partial(out, ask("set", [b"v"], key="k", ttl=ttl))
    )


@act("with 0 values")
def no_value() -> None:
    out(ask("set", key="k"))


@act("has no request")
def no_request() -> None:
    out(ask("get", request=-1, key="k"))


@act("is not whole")
def lengths_that_are_negative() -> None:
    head = json.dumps({"op": "get", "args": {}, "kinds": "bb", "sizes": [-4, 4]}).encode()
    out(frame(frames.STORE, 0, frames.STORE_STREAM, struct.pack("<I", len(head)) + head))


@act("are allowed")
def a_value_over_the_limit() -> None:
    out(frame(frames.STORE, frames.IN_PIECES, frames.STORE_STREAM, frames.table([200_000_000])))


@act("in parts")
def parts_without_end() -> None:
    head = json.dumps({"part": True, "kinds": "b" * 100, "sizes": [1] * 100}).encode()
    part = frame(
        frames.STORE, 0, frames.STORE_STREAM, struct.pack("<I", len(head)) + head + b"x" * 100
    )
    out(*[part] * 1000)


@act("stuck")
def questions_without_reading() -> None:
    shared_memory["big"] = b"x" * 100_000
    deaf()
    question = ask("get", key="big") * 1000
    while True:
        out(question)


@act("stuck")
def scans_without_reading() -> None:
    for number in range(2000):
        shared_memory[f"scan {number}"] = number
    deaf()
    question = ask("scan", prefix="", content=True) * 1000
    while True:
        out(question)


@act(None)
def questions_without_end() -> None:
    out(ask("count", prefix="") * 2000)


async def noise() -> None:
    for _ in range(900):
        await shared_memory.async_publish("noise", bytes(100_000))
        await asyncio.sleep(0)


@act("MB of names, changes and publications", noise)
def subscribes_and_never_reads() -> None:
    out(ask("subscribe", topic="noise"))
    deaf()
    while True:
        time.sleep(1)


@act(None)
def a_million_locks() -> None:
    for number in range(120_000):
        out(ask("lock", request=REQUEST + number, key=f"k{number % 7}", wait=True))


@act(None)
def a_million_patterns() -> None:
    numbers = range(30_000)
    out(*[ask("watch", request=REQUEST + number, pattern=f"{number}*") for number in numbers])


@act(None)
def changes_without_end() -> None:
    out(*[ask("set", [b"v"], key="changes", ttl=0.001 * (number + 1)) for number in range(30_000)])


@act("")
def dies_in_the_middle() -> None:
    out(ask("lock", key="dies", wait=True), ask("set", [b"x" * 1000], key="k")[:-10])
    die()
