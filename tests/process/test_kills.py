"""Real children that are killed, stopped and started again while messages flow: nothing is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.program import ACTING, Program, running, went_well, write_files

Environment = dict[str, str]

HEAD = f"""{ACTING}
import random
import signal
import sys
import threading

from liteyuki_core import Channel, ChannelBroken, LiteyukiBot, get_channel
from liteyuki_core.comm import active_channel, get_channels, passive_channel, set_channel
from liteyuki_core.process import ProcessState, RestartPolicy

AGAIN = RestartPolicy(max_restarts=1000, backoff=0.01, max_backoff=0.01)
KILL = getattr(signal, "SIGKILL", signal.SIGTERM)
"""

FLOW = """
COUNT = 3000
NAMES = ("w-active", "w-passive", "made")


def worker():
    made = Channel("made", capacity=64)

    @made.on_receive()
    async def concurrent(number):
        await asyncio.sleep(random.random() / 500)
        await made.async_send((os.getpid(), number))

    set_channel("made", made)

    @active_channel.on_receive(ordered=True)
    async def ordered(number):
        await active_channel.async_send((os.getpid(), number))

    for number in passive_channel:
        passive_channel.send((os.getpid(), number))


def collect(got, name):
    @get_channel(name).on_receive()
    async def result(pair):
        got[name].append(pair)


async def flow(bot, disturb):
    got = {name: [] for name in NAMES}
    collect(got, "w-active")
    collect(got, "w-passive")
    await until(lambda: "made" in get_channels(), "the child's channel")
    collect(got, "made")

    async def send(name):
        channel = get_channel(name)
        for number in range(COUNT):
            await channel.async_send(number)

    sending = [asyncio.ensure_future(send(name)) for name in NAMES]
    turns = await disturb(got)
    await asyncio.gather(*sending)

    def missing(name):
        return set(range(COUNT)) - {number for _, number in got[name]}

    try:
        await until(lambda: not any(map(missing, NAMES)), "every message was handled")
    except TimeoutError as error:
        left = {name: sorted(missing(name))[:9] for name in NAMES}
        raise TimeoutError(f"{error}; missing: {left}; {bot.channels}") from None
    for name in NAMES:
        capacity = get_channel(name).capacity
        again = len(got[name]) - COUNT
        say(f"{name} {again} handled again")
        assert again <= turns * capacity, (name, again)
        if name == "made":
            continue
        # What one process handles comes in order, and goes on where the one before has stopped.
        handled = -1
        for i, (pid, number) in enumerate(got[name]):
            same = i and got[name][i - 1][0] == pid
            assert number == got[name][i - 1][1] + 1 if same else number <= handled + 1, (name, i)
            handled = max(handled, number)
    for name in NAMES:
        stats = bot.channels[name]
        assert stats["dropped"] == 0, (name, stats)
    assert bot.dead_letters() == []
"""


def program(folder: Path, *parts: str) -> None:
    """Write a bot.py of these parts."""
    write_files(folder, {"bot.py": "\n\n".join([HEAD, *parts])})


def well(bot: Program, *lines: str, timeout: float = 120) -> None:
    """Wait for the program's end and check that it found all as it should be."""
    went_well(bot, timeout)
    for line in lines:
        assert bot.found(line), bot.output


def test_ten_kills_lose_nothing(tmp_path: Path, environment: Environment) -> None:
    """At any moment, also while it starts; order is kept, and only what was under way comes again.

    The child handles its two channels, by ordered callbacks and by receive(), and one that it
    made itself, by callbacks that run beside each other.
    """
    program(
        tmp_path,
        FLOW,
        """
async def kill(got):
    process = bot.processes["w"]
    for turn in range(10):
        pid, seen = process.pid, {name: len(pairs) for name, pairs in got.items()}
        if turn % 3 == 2:  # While it starts.
            await asyncio.sleep(random.random() / 5)
        else:
            # Nothing may be left to do on a channel whose messages are all handled.
            await until(
                lambda: all(len(got[n]) > seen[n] + 20 or len(got[n]) >= COUNT for n in NAMES),
                f"progress before kill {turn}: {seen} {process}",
            )
        os.kill(pid, KILL)
        await until(lambda: process.pid not in (None, pid), f"a successor after kill {turn}")
    assert process.restarts == 10, process.restarts
    return 10


if __name__ == "__main__":
    bot = LiteyukiBot()
    bot.add_process("w", worker, restart=AGAIN)
    main(bot, lambda: flow(bot, kill))
""",
    )
    with running(tmp_path, environment, LITEYUKI_MAX_REDELIVERIES="1000") as bot:
        well(bot)


def test_restarts_that_are_asked_for_lose_nothing(tmp_path: Path, environment: Environment) -> None:
    """restart_process, stop_process and start_process, and asking twice for the same."""
    program(
        tmp_path,
        FLOW,
        """
async def restart(got):
    process = bot.processes["w"]
    for turn in range(4):
        pid, seen = process.pid, {name: len(pairs) for name, pairs in got.items()}
        await until(
            lambda: all(len(got[n]) > seen[n] + 20 or len(got[n]) >= COUNT for n in NAMES),
            f"progress before restart {turn}",
        )
        bot.restart_process("w")
        bot.restart_process("w")
        await until(lambda: process.pid not in (None, pid), "a successor")
        await bot.wait_ready("w", 20)
    assert process.restarts == 4, process.restarts
    assert process.exitcode is None, process.exitcode
    return 4


if __name__ == "__main__":
    bot = LiteyukiBot()
    bot.add_process("w", worker, restart=AGAIN)
    main(bot, lambda: flow(bot, restart))
""",
    )
    with running(tmp_path, environment) as bot:
        well(bot, "process w exited with code 0; it is started again")
        assert not bot.found("crash|set aside|has not stopped")


def test_stop_and_start(tmp_path: Path, environment: Environment) -> None:
    """A stopped child stays stopped; what it had not handled waits until it is started."""
    program(
        tmp_path,
        """
def worker():
    passive_channel.send(("up", os.getpid()))
    for data in active_channel:
        passive_channel.send((data, os.getpid()))
        if data == "take your time":
            time.sleep(0.3)


async def act():
    process = bot.processes["w"]
    active, passive = get_channel("w-active"), get_channel("w-passive")
    _, first = await passive.async_receive(20)
    for data in ("take your time", "kept"):
        await active.async_send(data)
    await passive.async_receive(20)
    bot.stop_process("w")
    await until(lambda: process.state is ProcessState.STOPPED, "stopped")
    try:
        active.send("refused")
    except ConnectionError:
        say("broken")
    except Exception as error:
        say(f"refused: {type(error).__name__} {error}")
    bot.start_process("w")
    bot.start_process("w")
    got = [await passive.async_receive(20) for _ in range(2)]
    assert [data for data, _ in got] == ["up", "kept"], got
    assert got[1][1] == process.pid != first
    for name in ("start_process", "stop_process", "restart_process"):
        try:
            getattr(bot, name)("nobody")
        except KeyError as error:
            say(f"{type(error).__name__} {error}")


if __name__ == "__main__":
    bot = LiteyukiBot()
    bot.add_process("w", worker)
    main(bot, act)
""",
    )
    with running(tmp_path, environment) as bot:
        well(bot, "refused: ChannelClosed channel w-active: process w exited with code 0")
        assert (
            len(bot.found(r"^ProcessNotFound no process is named 'nobody' \(there are: w\)")) == 3
        )


def test_a_process_whose_channel_is_closed_is_started_again(
    tmp_path: Path, environment: Environment
) -> None:
    """The successor runs without it; what it is used for says that it is gone."""
    program(
        tmp_path,
        """
def worker():
    for data in passive_channel:
        try:
            active_channel.send(data)
        except Exception as error:
            passive_channel.send(type(error).__name__)
        else:
            passive_channel.send("sent")


async def act():
    process, passive = bot.processes["w"], get_channel("w-passive")
    for expected in ("sent", "ChannelClosed", "ChannelNotFound"):
        await passive.async_send("use it")
        got = await passive.async_receive(20)
        assert got == expected, got
        if expected == "sent":
            get_channel("w-active").close()
        else:
            pid = process.pid
            os.kill(pid, KILL)
            await until(lambda: process.pid not in (None, pid), "a successor")


if __name__ == "__main__":
    bot = LiteyukiBot()
    bot.add_process("w", worker, restart=AGAIN)
    main(bot, act)
""",
    )
    with running(tmp_path, environment) as bot:
        well(bot)


def test_big_messages_and_kills(tmp_path: Path, environment: Environment) -> None:
    """A message that is half sent when its process dies is whole or not there."""
    program(
        tmp_path,
        """
SIZE, COUNT = 10_000_000, 12


def block(number):
    return bytes([number]) * SIZE


def worker():
    for number, data in active_channel:
        assert data == block(number)
        passive_channel.send((number, data))


async def act():
    process = bot.processes["w"]
    active, passive = get_channel("w-active"), get_channel("w-passive")
    handled = []

    @passive.on_receive(ordered=True)
    async def back(message):
        number, data = message
        assert data == block(number), (number, len(data))
        handled.append(number)

    async def send():
        for number in range(COUNT):
            await active.async_send((number, block(number)))

    sending = asyncio.ensure_future(send())
    for turn in range(4):
        pid, seen = process.pid, len(handled)
        await until(lambda: process.state is ProcessState.RUNNING, "running")
        await until(lambda: len(handled) > seen or len(set(handled)) == COUNT, f"turn {turn}")
        await asyncio.sleep(random.random() / 50)
        os.kill(process.pid, KILL)
        await until(lambda: process.pid not in (None, pid), "a successor")
    await sending
    await until(lambda: set(handled) == set(range(COUNT)), "every block was handled")


if __name__ == "__main__":
    bot = LiteyukiBot()
    bot.add_process("w", worker, restart=AGAIN)
    main(bot, act)
""",
    )
    # The same block may be in hand each time.
    with running(tmp_path, environment, LITEYUKI_MAX_REDELIVERIES="1000") as bot:
        well(bot)


@pytest.mark.parametrize("door", ["sync", "async"])
def test_a_child_that_never_comes_back(tmp_path: Path, environment: Environment, door: str) -> None:
    """Its restarts are used up: what it had sent is received, then ChannelBroken says how it was.

    Messages that wait for it are no reason to wait for ever.
    """
    program(
        tmp_path,
        """
def worker():
    active_channel.send(os.getpid())
    active_channel.receive()
    os._exit(9)


def use(channel, what):
    got = []
    try:
        while True:
            got.append(channel.receive(20))
    except ChannelBroken as error:
        say(f"{len(got)} received, then {error}")
    try:
        channel.send("too late")
    except ChannelBroken as error:
        say(f"send: {error}")


async def async_use(channel, what):
    got = []
    try:
        while True:
            got.append(await channel.async_receive(20))
    except ChannelBroken as error:
        say(f"{len(got)} received, then {error}")
    try:
        await channel.async_send("too late")
    except ChannelBroken as error:
        say(f"send: {error}")


async def act():
    channel = get_channel("w-active")
    for _ in range(4):
        channel.send("die")
    if sys.argv[1:] == ["sync"]:
        await asyncio.to_thread(use, channel, "w")
    else:
        await async_use(channel, "w")
    process = bot.processes["w"]
    assert (process.state, process.exitcode, process.restarts) == (ProcessState.FAILED, 9, 2)
    other = get_channel("fine-active")
    await other.async_send("still")
    assert await other.async_receive(20) == "still"


def fine():
    for data in active_channel:
        active_channel.send(data)


if __name__ == "__main__":
    bot = LiteyukiBot()
    bot.add_process("w", worker, restart=RestartPolicy(max_restarts=2, backoff=0.01))
    bot.add_process("fine", fine)
    main(bot, act)
""",
    )
    with running(tmp_path, environment, "bot.py", door, LITEYUKI_MAX_REDELIVERIES="9") as bot:
        why = "channel w-active: process w exited with code 9"
        well(bot, f"^3 received, then {why}", f"^send: {why}")
        assert len(bot.found("错误.*process w exited with code 9.*it is started again in")) == 2
        assert len(bot.found("严重.*started again 2 times in 60 s and is given up")) == 1
        assert bot.found("警告.*channel w-active has ended with 4 messages")


def test_a_poison_message(tmp_path: Path, environment: Environment) -> None:
    """It crashes its process three times and is set aside; put back, it can be handled."""
    program(
        tmp_path,
        """
def worker():
    if sys.argv[1:]:
        raise AssertionError("children get no arguments of main's")

    @active_channel.on_receive()
    async def handle(data):
        if data == "poison" and not os.path.exists("cured"):
            os._exit(11)
        await passive_channel.async_send(data)

    threading.Event().wait()


async def act():
    active, passive = get_channel("w-active"), get_channel("w-passive")
    for data in (1, 2, "poison", 3, 4):
        await active.async_send(data)
    got = set()
    while not {1, 2, 3, 4} <= got:
        got.add(await passive.async_receive(30))
    (letter,) = bot.dead_letters()
    say(letter)
    assert bot.processes["w"].restarts == 3
    assert active.stats()["dropped"] == 1, active.stats()
    assert bot.channels["w-active"]["dropped"] == 1
    open("cured", "w").close()
    letter.put_back()
    while (data := await passive.async_receive(30)) != "poison":
        assert data in (1, 2, 3, 4)
    assert bot.dead_letters() == []


if __name__ == "__main__":
    bot = LiteyukiBot()
    bot.add_process("w", worker, restart=AGAIN)
    main(bot, act)
""",
    )
    with running(tmp_path, environment) as bot:
        well(
            bot,
            "^<DeadLetter channel='w-active' process='w' size=6 crashes=3 time=",
            r"\[⭕错误\] channel w-active: a message of 6 bytes .* 3 crashes of process w in a row",
        )


def test_child_to_child_with_kills(tmp_path: Path, environment: Environment) -> None:
    """What one child sends another by a channel that main only passes on survives the same."""
    program(
        tmp_path,
        """
COUNT = 2000


def maker():
    jobs = Channel("jobs", capacity=32)
    set_channel("jobs", jobs)
    active_channel.send("jobs")
    go = active_channel.receive()
    for number in range(COUNT):
        jobs.send(number)
    active_channel.receive()


def taker():
    active_channel.receive()
    for number in get_channel("jobs"):
        passive_channel.send((os.getpid(), number))


async def act():
    process, handled = bot.processes["taker"], []
    maker, taker = get_channel("maker-active"), get_channel("taker-active")
    assert await maker.async_receive(20) == "jobs"

    @get_channel("taker-passive").on_receive(ordered=True)
    async def back(pair):
        handled.append(pair[1])

    await taker.async_send("go")
    await maker.async_send("go")
    for turn in range(10):
        pid, seen = process.pid, len(handled)
        await until(lambda: len(handled) > seen + 20 or len(set(handled)) == COUNT, f"{turn}")
        os.kill(pid, KILL)
        await until(lambda: process.pid not in (None, pid), "a successor")
        await taker.async_send("go")
    await until(lambda: set(handled) == set(range(COUNT)), "every job was handled")
    assert len(handled) - COUNT <= 10 * 32, len(handled)
    await maker.async_send("end")


if __name__ == "__main__":
    bot = LiteyukiBot()
    bot.add_process("maker", maker)
    bot.add_process("taker", taker, restart=AGAIN)
    main(bot, act)
""",
    )
    with running(tmp_path, environment, LITEYUKI_MAX_REDELIVERIES="1000") as bot:
        well(bot)
