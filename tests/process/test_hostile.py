"""A child that has turned hostile: main goes on, the others notice nothing, it is ended."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.program import ACTING, running, went_well, write_files

Environment = dict[str, str]

HEAD = f"""{ACTING}
import json
import select
import signal
import struct
import threading

import psutil

from liteyuki_core import Channel, LiteyukiBot, get_channel, logger, shared_memory
from liteyuki_core.comm.store import value
from liteyuki_core.comm.store.value import Value
from liteyuki_core.comm import active_channel, passive_channel
from liteyuki_core.comm.current import current
from liteyuki_core.comm.wire.batch import pack_text
from liteyuki_core.comm.wire.pieces import freed
from liteyuki_core.comm.wire import decoder, frames
from liteyuki_core.process import ProcessState, RestartPolicy, life

AGAIN = RestartPolicy("always", max_restarts=10_000, backoff=0.01, max_backoff=0.01)
STALL = 4.0  # Seconds; the machine may be busy with other tests.
GROWTH = 128  # MB
N = 1000  # Numbers of channels from here on have not been used by honest code.
ACTS = {{}}


def act(why=None, aside=None):
    # `why` is what the line says that ends the link, None where nothing happens, "stuck" where
    # the child itself is stuck with it, "" where it dies of it. `aside` runs in main meanwhile.
    def add(function):
        ACTS[function.__name__] = (function, why, aside)
        return function

    return add
"""

CHILDREN = """
def good():
    for number in active_channel:
        active_channel.send(number)


def out(*parts):
    data = b"".join(part if isinstance(part, bytes) else b"".join(part) for part in parts)
    connection = current().port._link._connection
    view = memoryview(data)
    while view:
        try:
            view = view[connection.send(view[:65536]):]
        except BlockingIOError:
            select.select([], [connection], [])


def header(kind, flags, channel, length, magic=frames.MAGIC):
    return frames.HEADER.pack(magic, kind, flags, channel, length)


def frame(kind, flags, channel, body):
    return header(kind, flags, channel, len(body)) + body


def word(number=0, **fields):
    return frames.control(number, **fields)


def text(number, content, count=1, flags=0):
    some = pack_text(0, [content] * count)
    return some.having(0, flags).frame(number)


def opened(number, key=None, capacity=8):
    return word(number, op="open", key=key, capacity=capacity)


def both_ends():
    # What N sends comes to N + 1: this process has both ends of a channel.
    key = f"{current().port.prefix}{N}"
    ready = [word(number, op="ready", window=8, asks=False) for number in (N, N + 1)]
    return b"".join(b"".join(part) for part in (opened(N), opened(N + 1, key), *ready))


def ask(op, values=(), request=1, **args):
    some = [Value("b", value) for value in values]
    return b"".join(
        b"".join(part) for part in value.store({"op": op, "args": args, "request": request}, some)
    )


def deaf():
    # The thread that reads waits for this lock, for ever.
    current().lock.acquire()


def in_pieces(number, size, flags=frames.LONG):
    head = frame(frames.DATA, flags | frames.IN_PIECES, number, frames.table([12, size]))
    return head + frame(frames.PART, 0, number, struct.pack("<QI", 0, 1))


def hostile():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while (name := shared_memory.get("act")) is None:
        time.sleep(0.01)
    shared_memory.delete("act")
    ACTS[name][0]()
    shared_memory["done"] = name
    while True:
        time.sleep(1)
"""

MAIN = """
async def play(bot):
    lines = []
    logger.add(lines.append, format="{level} {message}")
    main = psutil.Process()
    beats = [time.monotonic(), 0.0, 0]
    sent, got = [0], []

    async def beat():
        while True:
            now = time.monotonic()
            beats[1] = max(beats[1], now - beats[0])
            beats[0] = now
            beats[2] = max(beats[2], main.memory_info().rss >> 20)
            await asyncio.sleep(0.01)

    @get_channel("good-active").on_receive(ordered=True)
    async def back(number):
        got.append(number)

    async def send():
        while True:
            await get_channel("good-active").async_send(sent[0])
            sent[0] += 1
            await asyncio.sleep(0.005)

    tasks = [asyncio.ensure_future(beat()), asyncio.ensure_future(send())]
    process, other = bot.processes["h"], bot.processes["good"]
    await until(lambda: process.state is ProcessState.RUNNING, "the hostile child")
    await until(lambda: other.state is ProcessState.RUNNING, "the good child")
    pid = other.pid
    await until(lambda: len(got) > 10, "the good child answers")
    before = beats[2]
    acts = list(ACTS.items())[:: int(os.environ["EVERY"])]
    for name, (_, why, aside) in acts:
        del lines[:]
        beats[1] = 0.0
        beats[2] = 0
        victim = process.pid
        begun = time.monotonic()
        await shared_memory.async_set("act", name)
        await until(lambda: "act" not in shared_memory, f"{name} begins")
        if aside is not None:
            await aside()

        def said():
            return [line for line in lines if "process h: its link is ended" in line]

        if why is None:
            await until(
                lambda: shared_memory.get("done") == name or said(), lambda: f"{name}: {lines}"
            )
        elif why == "stuck":
            await asyncio.sleep(2)
        elif why:
            await until(said, lambda: f"an end of {name}; {lines}")
        if not why or why == "stuck":
            assert not said(), (name, said())
            if why != "":
                try:
                    os.kill(victim, getattr(signal, "SIGKILL", signal.SIGTERM))
                except ProcessLookupError:
                    pass  # An answer to what it has forged has ended it.
        else:
            assert len(said()) == 1 and why in said()[0], (name, said())
            assert said()[0].startswith("ERROR ") and len(said()[0]) < 700, said()
        await until(
            lambda: process.pid not in (victim, None), lambda: f"a successor after {name}: {lines}"
        )
        await until(lambda: process.state is ProcessState.RUNNING, "it runs")
        seen = len(got)
        await until(lambda: len(got) > seen + 20, lambda: f"the good child after {name}: {lines}")
        assert other.pid == pid and other.restarts == 0, name
        assert beats[1] < STALL, (name, "main stood still", beats[1])
        grown = beats[2] - before
        assert grown < GROWTH, (name, "main has grown", grown, "MB")
        wrong = [line for line in lines if "Traceback" in line or " | " in line]
        assert not wrong, (name, wrong)
        seconds = time.monotonic() - begun
        say(f"{name}: {seconds:.2f} s, stood still for {beats[1]:.3f} s, grown by {grown} MB")
    for task in tasks:
        task.cancel()
    await until(lambda: len(got) >= sent[0], "all came back")
    assert got == list(range(len(got))), "in order, none lost"


if __name__ == "__main__":
    life._LEAVE_SECONDS = 1.0
    bot = LiteyukiBot()
    bot.add_process("good", good)
    bot.add_process("h", hostile, restart=AGAIN)

    async def acts():
        await play(bot)

    main(bot, acts)
"""

FRAMES = """
@act("are no frame")
def garbage():
    out(b"garbage " * 200)


@act("")
def half_a_header():
    out(header(frames.DATA, 0, 1, 4)[:7])
    os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))


@act("are no frame")
def wrong_magic():
    out(header(frames.DATA, 0, 1, 0, magic=0x4142))


@act("are no frame")
def unknown_kind():
    out(header(99, 0, 1, 0))


@act("are no frame")
def forbidden_flags():
    out(header(frames.FREE, 1, 0, 0))


@act("are no frame")
def too_long():
    out(header(frames.CONTROL, 0, 0, frames.CHUNK + 1))


@act("is not JSON")
def not_json():
    out(frame(frames.CONTROL, 0, 0, b"{nonsense"))


@act("is not JSON")
def deep_json():
    out(frame(frames.CONTROL, 0, 0, b"[" * 200_000))


@act("has no op")
def no_object():
    out(frame(frames.CONTROL, 0, 0, b"[1e400]"))


@act("is not known")
def much_json():
    out(word(op="nonsense", more=[[]] * 80_000))


@act("is not JSON")
def a_number_without_end():
    out(frame(frames.CONTROL, 0, N, b'{"op":"open","key":null,"capacity":' + b"9" * 200_000 + b"}"))


@act("a control frame of 3000")
def megabytes_of_json():
    size = 3_000_000
    body = b'{"op":"' + b"x" * (size - 9) + b'"}'
    out(frame(frames.CONTROL, frames.IN_PIECES, 0, frames.table([size])))
    for at in range(0, size, 65536):
        out(frame(frames.PART, 0, 0, body[at : at + 65536]))


for number, capacity in enumerate(("8", True, 8.0, float("nan"), float("inf"), -1, 0, 10**9, [])):

    def odd(capacity=capacity):
        out(opened(N, capacity=capacity))

    ACTS[f"capacity_{number}"] = (odd, "is not known", None)

for number, odd_one in enumerate((0, 2**32 - 1)):

    def odd(odd_one=odd_one):
        out(opened(odd_one))

    ACTS[f"number_{number}"] = (odd, "numbers must rise", None)


@act("fits no segment")
def a_piece_too_many():
    out(in_pieces(N, 4), frame(frames.PART, 0, N, b"12345"))


@act("a piece of no frame")
def a_piece_of_nothing():
    out(frame(frames.PART, 0, N, b"12345"))


@act("are allowed")
def a_gigabyte_announced():
    out(in_pieces(N, 1 << 30))


@act("long frames at once")
def many_long_frames():
    for number in range(N, N + 1000):
        out(in_pieces(number, 60_000_000), frame(frames.PART, 0, number, b"x"))


@act("there are")
def a_slot_that_is_not_there():
    out(frame(frames.SLOT, 0, N, struct.pack("<II", 999, 4)))


@act("fits no segment")
def a_slot_of_too_much():
    out(in_pieces(N, 1_000_000), frame(frames.SLOT, 0, N, struct.pack("<II", 0, 1 << 31)))


@act("was filled twice")
def slots_without_end():
    out(in_pieces(N, 60_000_000), frame(frames.SLOT, 0, N, struct.pack("<II", 0, 4)) * 100_000)


@act("given back twice")
def a_slot_given_back_twice():
    out(freed([3, 3]))


@act(None)
def memory_scribbled_over():
    memory = current().port._link._memory
    stop = threading.Event()

    def scribble():
        while not stop.is_set():
            memory._view[: len(memory._view)] = os.urandom(1 << 20) * (len(memory._view) >> 20)

    scribbling = threading.Thread(target=scribble)
    scribbling.start()
    mine = Channel(capacity=4)
    for _ in range(20):
        mine.send(b"x" * 2_000_000) if mine.stats()["sent"] < 4 else None
    time.sleep(0.5)
    stop.set()
    scribbling.join()


for number, part in enumerate((
    in_pieces(N, 1_000_000)[:-3],
    in_pieces(N, 1_000_000) + frame(frames.PART, 0, N, b"x" * 65536),
    frame(frames.CONTROL, 0, 0, b"{}")[:-1],
    frame(frames.SLOT, 0, N, b""),
)):

    def dies(part=part):
        out(part)
        os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))

    ACTS[f"dies_{number}"] = (dies, "" if number < 3 else "a piece's slot of 0 bytes", None)
"""

CHANNELS = """
@act("which it does not have")
def messages_on_nothing():
    out(text(N, "x"))


@act("there is room for 0 of 8")
def more_than_there_is_room_for():
    out(opened(N), *[text(N, "x") for _ in range(9)])


@act("there is room for 8 of 8")
def too_many_in_one():
    out(opened(N), text(N, "x", count=9))


@act("which it does not have")
def behind_the_close():
    # Of a channel closed so long ago that no honest turn has gathered it.
    out(opened(N), word(N, op="close"))
    for number in range(N + 1, N + 1100):
        out(opened(number), word(number, op="close"))
    out(text(N, "x"))


@act(None)
def what_nobody_gets():
    out(opened(N), word(N, op="close"), *[text(N, "x") for _ in range(50_000)])


@act(None)
def the_last_sequence_number():
    out(both_ends(), frame(frames.DATA, frames.TEXT | frames.SPLIT, N,
                           struct.pack("<QI", 2**64 - 1, 1) + b"x"))


@act("data frame says")
def a_count_that_is_wrong():
    out(opened(N), frame(frames.DATA, 0, N, struct.pack("<QI", 0, 2**32 - 1) + b"1234"))


@act("do not add up")
def lengths_that_are_wrong():
    out(opened(N), frame(frames.DATA, 0, N, struct.pack("<QII", 0, 1, 77) + b"1234"))


@act("is not UTF-8")
def no_text():
    out(opened(N), frame(frames.DATA, frames.TEXT | frames.SPLIT, N,
                         struct.pack("<QI", 0, 1) + b"\\xff\\xfe"))


@act("main process's to give")
def flags_of_main():
    out(opened(N), text(N, "x", flags=frames.REDELIVERED | frames.PROMPT))


def linked(keys):
    body = struct.pack("<I", len(keys)) + keys + b"N."
    return frame(frames.DATA, frames.LINKED, N, struct.pack("<QII", 0, 1, len(body)) + body)


@act(None)
def keys_of_others():
    out(both_ends(), word(op="hold", key="hub.1"), linked(b"hub.1,hub.2,0.1,0.2,nothing"))


@act(None)
def keys_that_nobody_has():
    out(both_ends(), linked(",".join(map(str, range(30_000))).encode()))


@act("has no table of them")
def no_table_of_keys():
    out(both_ends(), frame(frames.DATA, frames.LINKED, N,
                           struct.pack("<QIII", 0, 1, 8, 2**32 - 1) + b"abcd"))


@act(None)
def a_million_holds():
    out(both_ends(), *[word(op="hold", key=f"{current().port.prefix}{N}")] * 200_000)


@act(None)
def keys_that_were_guessed():
    for number in range(100):
        out(opened(N + number, f"0.{number}"))


@act("never opened")
def acknowledges_nothing():
    out(frames.acknowledgement(N, [(0, 1)]))


@act("was not given")
def acknowledges_what_it_was_not_given():
    out(both_ends(), text(N, "x", 2), frames.acknowledgement(N + 1, [(0, 3)]))


@act("was not given")
def acknowledges_four_billion():
    out(both_ends(), text(N, "x", 2), frames.acknowledgement(N + 1, [(0, 2**32 - 1)]))


@act("was not given")
def acknowledges_in_many_ranges():
    ranges = [(2 * i, 1) for i in range(20_000)]
    out(both_ends(), text(N, "x", 2), frames.acknowledgement(N + 1, ranges))


@act("was not given")
def begins_four_billion():
    out(both_ends(), text(N, "x", 2), frames.acknowledgement(N + 1, [(0, 2**32 - 1)], frames.BEGUN))


@act("acknowledgement of 5 bytes")
def half_an_acknowledgement():
    out(both_ends(), frame(frames.ACK, 0, N + 1, b"12345"))


@act("numbers must rise")
def the_same_number_twice():
    out(opened(N), opened(N))


@act("ends of channels and opens more")
def a_million_channels():
    for number in range(N, N + 60_000):
        out(opened(number))


@act("ends of channels and opens more")
def a_million_times_the_same():
    key = current().port.names()["h-active"][1]
    for number in range(N, N + 60_000):
        out(opened(number, key))


@act(None)
def opens_and_closes():
    for number in range(N, N + 60_000):
        out(opened(number), word(number, op="close"))


@act("a name must have")
def a_name_that_is_none():
    out(opened(N), word(N, op="register", name="a\\nERROR b", request=1))


@act(None)
def renames():
    out(opened(N))
    for number in range(10_000):
        out(word(N, op="register", name=f"name {number}", request=number))


@act("is not known")
def a_window_that_is_none():
    out(opened(N), word(N, op="ready", window=-1, asks=False))


@act("is not known")
def asks_for_a_billion():
    out(opened(N), word(N, op="ask_for", period=0, count=10**12))


@act("given back that it was not given")
def gives_back_what_it_has_not():
    out(opened(N), word(N, op="back", period=1, ranges=[[0, 5], [7, 1 << 60]]))


@act("given back in no ranges")
def gives_back_in_no_ranges():
    out(opened(N), word(N, op="back", period=1, ranges=[[True, "x"]]))


@act(None)
def ten_thousand_names():
    # As much as an honest one may have.
    for number in range(N, N + 10_000):
        out(opened(number), word(number, op="register", name=f"name {number}", request=number))
"""

STORE = """
@act("can't be asked '__class__'")
def an_attribute():
    out(ask("__class__"))


@act("can't be asked")
def another_attribute():
    out(ask("get\\0", key="k"))


@act("is asked to get with")
def wrong_args():
    out(ask("get", key=1))


@act("is asked to lock with")
def an_argument_too_many():
    out(ask("lock", key="k", wait=True, asker=None))


@act("is asked to get with")
def a_key_over_the_limit():
    out(ask("get", key="k" * 2000))


for number, ttl in enumerate((float("nan"), float("inf"), -1, True, 10**400, "1")):

    def odd(ttl=ttl):
        out(ask("set", [b"v"], key="k", ttl=ttl))

    ACTS[f"ttl_{number}"] = (odd, "is asked to set with", None)


@act("with 0 values")
def no_value():
    out(ask("set", key="k"))


@act("has no request")
def no_request():
    out(ask("get", request=-1, key="k"))


@act("is not whole")
def lengths_that_are_negative():
    head = json.dumps({"op": "get", "args": {}, "kinds": "bb", "sizes": [-4, 4]}).encode()
    out(frame(frames.STORE, 0, frames.STORE_STREAM, struct.pack("<I", len(head)) + head))


@act("are allowed")
def a_value_over_the_limit():
    out(frame(frames.STORE, frames.IN_PIECES, frames.STORE_STREAM, frames.table([200_000_000])))


@act("in parts")
def parts_without_end():
    head = json.dumps({"part": True, "kinds": "b" * 100, "sizes": [1] * 100}).encode()
    part = frame(frames.STORE, 0, frames.STORE_STREAM,
                 struct.pack("<I", len(head)) + head + b"x" * 100)
    out(*[part] * 1000)


@act("stuck")
def questions_without_reading():
    shared_memory["big"] = b"x" * 100_000
    deaf()
    question = ask("get", key="big") * 1000
    while True:
        out(question)


@act("stuck")
def scans_without_reading():
    for number in range(2000):
        shared_memory[f"scan {number}"] = number
    deaf()
    question = ask("scan", prefix="", content=True) * 1000
    while True:
        out(question)


@act(None)
def questions_without_end():
    out(ask("count", prefix="") * 2000)


async def noise():
    for number in range(900):
        await shared_memory.async_publish("noise", bytes(100_000))
        await asyncio.sleep(0)


@act("MB unread of what it is told", noise)
def subscribes_and_never_reads():
    out(ask("subscribe", topic="noise"))
    deaf()
    while True:
        time.sleep(1)


@act(None)
def a_million_locks():
    for number in range(120_000):
        out(ask("lock", request=number, key=f"k{number % 7}", wait=True))


@act(None)
def a_million_patterns():
    out(*[ask("watch", request=number, pattern=f"{number}*") for number in range(30_000)])


@act(None)
def changes_without_end():
    out(*[ask("set", [b"v"], key="changes", ttl=0.001 * (number + 1)) for number in range(30_000)])


@act("")
def dies_in_the_middle():
    out(ask("lock", key="dies", wait=True), ask("set", [b"x" * 1000], key="k")[:-10])
    os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
"""

WORDS = """
@act("is not known")
def an_unknown_word():
    out(word(op="__class__"))


@act(None)
def ready_a_million_times():
    out(*[word(op="ready", called=False)] * 100_000)


@act("words of its own")
def ready_and_not():
    out(*[word(op="ready", called=True), word(op="ready", called=False)] * 100_000)


@act("words of its own")
def restarts_without_end():
    out(*[word(op="restart", name="nobody")] * 100_000)


@act("a control frame of")
def ten_megabytes_of_why():
    body = json.dumps({"op": "failed", "why": "x" * 10_000_000}).encode()
    out(frame(frames.CONTROL, frames.IN_PIECES, 0, frames.table([len(body)])))
    for at in range(0, len(body), 65536):
        out(frame(frames.PART, 0, 0, body[at : at + 65536]))


@act("is not known")
def an_odd_why():
    out(word(op="failed", why=[1]))


for number, odd_one in enumerate((float("nan"), float("inf"), True, 10**300, "1", None)):

    def odd(odd_one=odd_one):
        out(word(op="pulse", at=odd_one, lag=0.0, waits=None, stack=""))

    ACTS[f"pulse_{number}"] = (odd, "is not known", None)


@act("words of its own")
def pulses_without_end():
    out(*[word(op="pulse", at=1.0, lag=0.0, waits=None, stack="x" * 50)] * 100_000)


@act("is not known")
def an_odd_answer():
    out(word(op="answer", request=1, loaded=[1], near=None))


@act(None)
def an_answer_nobody_asked_for():
    out(word(op="answer", request=1, loaded=["/etc/passwd"], near=[]))


@act(None)
def listens_to_nonsense():
    for host in ("\\0", "x" * 100_000, "\\udc80", "256.256.256.256"):
        for port in (-1, 10**30, 70_000):
            out(word(op="listen", host=host, port=port, backlog=-(10**30)))


@act(None)
def a_line_without_end():
    for _ in range(200):
        os.write(1, b"x" * 65536)
    os.write(1, b"\\n")


@act(None)
def no_text_at_all():
    for _ in range(50):
        os.write(1, os.urandom(65536).replace(b"\\n", b""))
    os.write(1, b"\\n\\x1e{" + b"[" * 100_000 + b"\\n")


@act("")
def closes_its_link_and_lives():
    import socket

    current().port._link._connection.shutdown(socket.SHUT_RDWR)
    while True:
        try:
            time.sleep(1)
        except KeyboardInterrupt:
            pass


@act(None)
def reports_nonsense():
    report = [o for o in __import__("gc").get_objects() if type(o).__name__ == "Report"][0]
    for number in (float("nan"), float("inf"), -float("inf"), 1e308):
        for i in range(3):
            report._numbers[i] = number
        time.sleep(0.1)
"""

GROUPS = {"frames": FRAMES, "channels": CHANNELS, "store": STORE, "words": WORDS}


@pytest.mark.skipif(sys.platform != "linux", reason="long messages in memory, and its figures")
@pytest.mark.parametrize("every", [8, pytest.param(1, marks=pytest.mark.long)])
@pytest.mark.parametrize("group", GROUPS)
def test_a_hostile_child(tmp_path: Path, environment: Environment, group: str, every: int) -> None:
    """Each act in a life of its own, beside a good child that exchanges messages with main.

    Main's loop goes on, it does not grow, the good child misses nothing; what breaks the protocol
    ends the child with one line, anything else has no effect.
    """
    write_files(tmp_path, {"bot.py": "\n\n".join([HEAD, CHILDREN, GROUPS[group], MAIN])})
    with running(tmp_path, environment, EVERY=str(every)) as bot:
        went_well(bot, 240)
        print(bot.output)
