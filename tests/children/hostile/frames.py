"""Acts with frames: bytes that are none, pieces and slots of nothing, lengths without end."""

from __future__ import annotations

import os
import struct
import threading
import time
from functools import partial

from liteyuki_core import Channel
from liteyuki_core.comm.wire import frames
from liteyuki_core.comm.wire.pieces import freed
from tests.children.hostile.forge import (
    N,
    act,
    die,
    frame,
    header,
    in_pieces,
    link,
    opened,
    out,
    word,
)


@act("are no frame")
def garbage() -> None:
    out(b"garbage " * 200)


@act("")
def half_a_header() -> None:
    out(header(frames.DATA, 0, 1, 4)[:7])
    die()


@act("are no frame")
def wrong_magic() -> None:
    out(header(frames.DATA, 0, 1, 0, magic=0x4142))


@act("are no frame")
def unknown_kind() -> None:
    out(header(99, 0, 1, 0))


@act("are no frame")
def forbidden_flags() -> None:
    out(header(frames.FREE, 1, 0, 0))


@act("are no frame")
def too_long() -> None:
    out(header(frames.CONTROL, 0, 0, frames.CHUNK + 1))


@act("is not JSON")
def not_json() -> None:
    out(frame(frames.CONTROL, 0, 0, b"{nonsense"))


@act("is not JSON")
def deep_json() -> None:
    out(frame(frames.CONTROL, 0, 0, b"[" * 200_000))


@act("has no op")
def no_object() -> None:
    out(frame(frames.CONTROL, 0, 0, b"[1e400]"))


@act("is not known")
def much_json() -> None:
    out(word(op="nonsense", more=[[]] * 80_000))


@act("is not JSON")
def a_number_without_end() -> None:
    out(frame(frames.CONTROL, 0, N, b'{"op":"open","key":null,"capacity":' + b"9" * 200_000 + b"}"))


@act("a control frame of 3000")
def megabytes_of_json() -> None:
    size = 3_000_000
    body = b'{"op":"' + b"x" * (size - 9) + b'"}'
    out(frame(frames.CONTROL, frames.IN_PIECES, 0, frames.table([size])))
    for at in range(0, size, 65536):
        out(frame(frames.PART, 0, 0, body[at : at + 65536]))


for number, capacity in enumerate(("8", True, 8.0, float("nan"), float("inf"), -1, 0, 10**9, [])):
    act("is not known", name=f"capacity_{number}")(partial(out, opened(N, capacity=capacity)))

for number, odd_one in enumerate((0, 2**32 - 1)):
    act("numbers must rise", name=f"number_{number}")(partial(out, opened(odd_one)))


@act("fits no segment")
def a_piece_too_many() -> None:
    out(in_pieces(N, 4), frame(frames.PART, 0, N, b"12345"))


@act("a piece of no frame")
def a_piece_of_nothing() -> None:
    out(frame(frames.PART, 0, N, b"12345"))


@act("are allowed")
def a_gigabyte_announced() -> None:
    out(in_pieces(N, 1 << 30))


@act("long frames at once")
def many_long_frames() -> None:
    for number in range(N, N + 1000):
        out(in_pieces(number, 60_000_000), frame(frames.PART, 0, number, b"x"))


@act("there are")
def a_slot_that_is_not_there() -> None:
    out(frame(frames.SLOT, 0, N, struct.pack("<II", 999, 4)))


@act("fits no segment")
def a_slot_of_too_much() -> None:
    out(in_pieces(N, 1_000_000), frame(frames.SLOT, 0, N, struct.pack("<II", 0, 1 << 31)))


@act("was filled twice")
def slots_without_end() -> None:
    out(in_pieces(N, 60_000_000), frame(frames.SLOT, 0, N, struct.pack("<II", 0, 4)) * 100_000)


@act("given back twice")
def a_slot_given_back_twice() -> None:
    out(freed([3, 3]))


@act(None)
def memory_scribbled_over() -> None:
    memory = link()._memory
    assert memory is not None
    stop = threading.Event()

    def scribble() -> None:
        while not stop.is_set():
            memory._view[: len(memory._view)] = os.urandom(1 << 20) * (len(memory._view) >> 20)

    scribbling = threading.Thread(target=scribble)
    scribbling.start()
    mine: Channel[bytes] = Channel(capacity=4)
    for _ in range(20):
        mine.send(b"x" * 2_000_000) if mine.stats()["sent"] < 4 else None
    time.sleep(0.5)
    stop.set()
    scribbling.join()


def out_and_die(part: bytes) -> None:
    out(part)
    die()


for number, part in enumerate(
    (
        in_pieces(N, 1_000_000)[:-3],
        in_pieces(N, 1_000_000) + frame(frames.PART, 0, N, b"x" * 65536),
        frame(frames.CONTROL, 0, 0, b"{}")[:-1],
        frame(frames.SLOT, 0, N, b""),
    )
):
    why = "" if number < 3 else "a piece's slot of 0 bytes"
    act(why, name=f"dies_{number}")(partial(out_and_die, part))
