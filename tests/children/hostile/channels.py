"""Acts with channels: messages, acknowledgements, keys and names that are not its to give."""

from __future__ import annotations

import struct

from liteyuki_core.comm.current import current
from liteyuki_core.comm.wire import frames
from tests.children.hostile.forge import (
    N,
    act,
    both_ends,
    frame,
    link_prefix,
    opened,
    out,
    text,
    word,
)


def many(*channels: int, flags: int = frames.TEXT | frames.SPLIT) -> bytes:
    """Return the body of a frame with a message on each of these channels."""
    columns = f"<I{len(channels)}I{len(channels)}Q{2 * len(channels)}I"
    ones = [1] * len(channels)
    head = struct.pack(columns, len(channels), *channels, *[0] * len(channels), *ones, *ones)
    return head + bytes([flags] * len(channels)) + b"x" * len(channels)


def wide(*ranges: tuple[int, int, int]) -> bytes:
    """Return the body of an acknowledgement on many channels."""
    return b"".join([struct.pack("<IQI", *each) for each in ranges])


@act("which it does not have")
def messages_on_nothing() -> None:
    out(text(N, "x"))


@act("there is room for 0 of 8")
def more_than_there_is_room_for() -> None:
    out(opened(N), *[text(N, "x") for _ in range(9)])


@act("there is room for 8 of 8")
def too_many_in_one() -> None:
    out(opened(N), text(N, "x", count=9))


@act("which it does not have")
def behind_the_close() -> None:
    # Of a channel closed so long ago that no honest turn has gathered it.
    out(opened(N), word(N, op="close"))
    for number in range(N + 1, N + 1100):
        out(opened(number), word(number, op="close"))
    out(text(N, "x"))


@act(None)
def what_nobody_gets() -> None:
    out(opened(N), word(N, op="close"), *[text(N, "x") for _ in range(50_000)])


@act(None)
def the_last_sequence_number() -> None:
    out(
        both_ends(),
        frame(frames.DATA, frames.TEXT | frames.SPLIT, N, struct.pack("<QI", 2**64 - 1, 1) + b"x"),
    )


@act("data frame says")
def a_count_that_is_wrong() -> None:
    out(opened(N), frame(frames.DATA, 0, N, struct.pack("<QI", 0, 2**32 - 1) + b"1234"))


@act("do not add up")
def lengths_that_are_wrong() -> None:
    out(opened(N), frame(frames.DATA, 0, N, struct.pack("<QII", 0, 1, 77) + b"1234"))


@act("is not UTF-8")
def no_text() -> None:
    out(
        opened(N),
        frame(frames.DATA, frames.TEXT | frames.SPLIT, N, struct.pack("<QI", 0, 1) + b"\xff\xfe"),
    )


@act("only the main process may set")
def flags_of_main() -> None:
    out(opened(N), text(N, "x", flags=frames.REDELIVERED | frames.PROMPT))


def linked(keys: bytes) -> bytes:
    body = struct.pack("<I", len(keys)) + keys + b"N."
    return frame(frames.DATA, frames.LINKED, N, struct.pack("<QII", 0, 1, len(body)) + body)


@act(None)
def keys_of_others() -> None:
    out(both_ends(), word(op="hold", key="hub.1"), linked(b"hub.1,hub.2,0.1,0.2,nothing"))


@act(None)
def keys_that_nobody_has() -> None:
    out(both_ends(), linked(",".join(map(str, range(30_000))).encode()))


@act("has no table of them")
def no_table_of_keys() -> None:
    out(
        both_ends(),
        frame(frames.DATA, frames.LINKED, N, struct.pack("<QIII", 0, 1, 8, 2**32 - 1) + b"abcd"),
    )


@act(None)
def a_million_holds() -> None:
    out(both_ends(), *[word(op="hold", key=f"{link_prefix()}{N}")] * 200_000)


@act(None)
def keys_that_were_guessed() -> None:
    for number in range(100):
        out(opened(N + number, f"0.{number}"))


@act("never opened")
def acknowledges_nothing() -> None:
    out(frames.acknowledgement(N, [(0, 1)]))


@act("was not given")
def acknowledges_what_it_was_not_given() -> None:
    out(both_ends(), text(N, "x", 2), frames.acknowledgement(N + 1, [(0, 3)]))


@act("was not given")
def acknowledges_four_billion() -> None:
    out(both_ends(), text(N, "x", 2), frames.acknowledgement(N + 1, [(0, 2**32 - 1)]))


@act("was not given")
def acknowledges_in_many_ranges() -> None:
    ranges = [(2 * i, 1) for i in range(20_000)]
    out(both_ends(), text(N, "x", 2), frames.acknowledgement(N + 1, ranges))


@act("was not given")
def begins_four_billion() -> None:
    out(both_ends(), text(N, "x", 2), frames.acknowledgement(N + 1, [(0, 2**32 - 1)], frames.BEGUN))


@act("acknowledgement of 5 bytes")
def half_an_acknowledgement() -> None:
    out(both_ends(), frame(frames.ACK, 0, N + 1, b"12345"))


@act("was not given")
def acknowledges_for_many_channels() -> None:
    ranges = [(N + 1, i, 1) for i in range(3)]
    out(both_ends(), text(N, "x", 2), frame(frames.ACK, frames.WIDE, 0, wide(*ranges)))


@act("acknowledgement of many channels")
def acknowledges_for_too_many_channels() -> None:
    ranges = [(N + 1, i, 1) for i in range(10_000)]
    out(both_ends(), text(N, "x", 2), frame(frames.ACK, frames.WIDE, 0, wide(*ranges)))


@act("was not given")
def begins_on_many_channels() -> None:
    flags = frames.WIDE | frames.BEGUN
    out(both_ends(), frame(frames.ACK, flags, 0, wide((N, 0, 1), (N + 1, 0, 2**32 - 1))))


@act("there is room for 0 of 8")
def more_than_there_is_room_for_among_others() -> None:
    out(opened(N), frame(frames.MANY, 0, 0, many(*[N] * 9)))


@act("which it does not have")
def messages_on_nothing_among_others() -> None:
    out(opened(N), frame(frames.MANY, 0, 0, many(N, N + 1)))


@act("flags that only the main process may set")
def redelivers_among_others() -> None:
    flags = frames.TEXT | frames.SPLIT | frames.REDELIVERED
    out(opened(N), frame(frames.MANY, 0, 0, many(N, flags=flags)))


@act("1048576 batches")
def a_million_batches() -> None:
    out(opened(N), frame(frames.MANY, 0, 0, struct.pack("<I", 1 << 20) + bytes(200_000)))


@act("numbers must rise")
def the_same_number_twice() -> None:
    out(opened(N), opened(N))


@act("ends of channels and opens more")
def a_million_channels() -> None:
    for number in range(N, N + 60_000):
        out(opened(number))


@act("ends of channels and opens more")
def a_million_times_the_same() -> None:
    key = current().port.names()["h-active"][1]
    for number in range(N, N + 60_000):
        out(opened(number, key))


@act(None)
def opens_and_closes() -> None:
    for number in range(N, N + 60_000):
        out(opened(number), word(number, op="close"))


@act("a name must have")
def a_name_that_is_none() -> None:
    out(opened(N), word(N, op="register", name="a\nERROR b", request=1))


@act(None)
def renames() -> None:
    out(opened(N))
    for number in range(10_000):
        out(word(N, op="register", name=f"name {number}", request=number))


@act("is not known")
def a_window_that_is_none() -> None:
    out(opened(N), word(N, op="receives", window=-1, asks=False))


@act("is not known")
def asks_for_a_billion() -> None:
    out(opened(N), word(N, op="ask_for", period=0, messages=10**12))


@act("given back that it was not given")
def gives_back_what_it_has_not() -> None:
    out(opened(N), word(N, op="give_back", period=1, ranges=[[0, 5], [7, 1 << 60]], requests=False))


@act("given back are malformed")
def gives_back_in_no_ranges() -> None:
    out(opened(N), word(N, op="give_back", period=1, ranges=[[True, "x"]], requests=False))


@act(None)
def ten_thousand_names() -> None:
    # As much as an honest one may have.
    for number in range(N, N + 10_000):
        out(opened(number), word(number, op="register", name=f"name {number}", request=number))
