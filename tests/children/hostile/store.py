"""Acts with the store: questions that are none, that are too many, whose answers nobody reads."""

from __future__ import annotations

import asyncio
import json
import struct
import time
from functools import partial

from liteyuki_core import shared_memory
from liteyuki_core.comm.store.question import Get, Incr, Set
from liteyuki_core.comm.store.value import Value
from liteyuki_core.comm.wire import frames
from tests.children.hostile.forge import REQUEST, act, ask, ask_of_key, deaf, die, frame, out
from tests.wire import ODD_QUESTIONS, question_body


@act("can't be asked '__class__'")
def an_attribute() -> None:
    out(ask("__class__"))


@act("can't be asked")
def another_attribute() -> None:
    out(ask("count\0", prefix=""))


@act("can't be asked 'get'")
def a_question_about_one_key_in_json() -> None:
    out(ask("get", key="k"))


@act("is asked to count with")
def wrong_args() -> None:
    out(ask("count", prefix=1))


@act("is asked to lock with")
def an_argument_too_many() -> None:
    out(ask("lock", key="k", wait=True, asker=None))


@act("is asked to lock with")
def a_key_over_the_limit() -> None:
    out(ask("lock", key="k" * 2000, wait=True))


for name, body in ODD_QUESTIONS.items():
    act("the store ", name=name.replace(" ", "_"))(
        partial(out, frame(frames.STORE, frames.PACKED, frames.STORE_STREAM, body))
    )


@act("with 0 values")
def no_value() -> None:
    out(ask("publish", topic="t"))


@act("has no request")
def no_request() -> None:
    out(ask("count", request=-1, prefix=""))


@act("can't be asked to incr")
def a_number_that_is_none() -> None:
    out(ask_of_key(Incr(Value("i", b"1"), "k", None)))


@act("are no frame")
def flags_that_no_store_frame_has() -> None:
    out(frame(frames.STORE, frames.LONG, frames.STORE_STREAM, question_body()))


@act("are allowed")
def a_packed_value_over_the_limit() -> None:
    flags = frames.PACKED | frames.IN_PIECES
    out(frame(frames.STORE, flags, frames.STORE_STREAM, frames.table([200_000_000])))


@act("is not whole")
def lengths_that_are_negative() -> None:
    head = json.dumps({"op": "publish", "args": {}, "kinds": "bb", "sizes": [-4, 4]}).encode()
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
    question = ask_of_key(Get("big")) * 1000
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
    while "subscribed" not in shared_memory:
        await asyncio.sleep(0.01)
    for _ in range(900):
        await shared_memory.async_publish("noise", bytes(100_000))
        await asyncio.sleep(0)


@act("MB of names, changes and publications", noise)
def subscribes_and_never_reads() -> None:
    out(ask("subscribe", topic="noise"))
    shared_memory["subscribed"] = True
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
    v = Value("b", b"v")
    ttls = [0.001 * (number + 1) for number in range(30_000)]
    out(*[ask_of_key(Set(v, "changes", ttl, None, None)) for ttl in ttls])


@act("")
def dies_in_the_middle() -> None:
    half = ask_of_key(Set(Value("b", b"x" * 1000), "k", None, None, None))[:-10]
    out(ask("lock", key="dies", wait=True), half)
    die()
