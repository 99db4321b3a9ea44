"""What real children leave behind: channels that others wait on, messages nobody reads or takes."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.conftest import wait_until
from tests.program import ACTING, running, went_well, write_files

Environment = dict[str, str]
unix = pytest.mark.skipif(sys.platform == "win32", reason="stops a process by a signal")

HEAD = f"""{ACTING}
import threading

from liteyuki_core import Channel, ChannelBroken, ChannelClosed, LiteyukiBot, get_channel
from liteyuki_core.comm import active_channel, passive_channel
from liteyuki_core.process import RestartPolicy

NEVER = RestartPolicy(mode="never")
"""


def program(folder: Path, *parts: str) -> None:
    """Write a bot.py of these parts."""
    write_files(folder, {"bot.py": "\n\n".join((HEAD, *parts))})


def test_who_asked_hears_how_the_answerer_ended(tmp_path: Path, environment: Environment) -> None:
    """It dropped the channel, returned, was unwound by an exception or killed: closed or broken."""
    program(
        tmp_path,
        """
def drops():
    for reply in active_channel:
        reply.send("first")
        del reply
        active_channel.send("dropped")

def returns():
    reply = active_channel.receive()
    reply.send("first")

def raises():
    reply = active_channel.receive()
    reply.send("first")
    raise ZeroDivisionError("as the test wants it")

async def raises_async():
    reply = await active_channel.async_receive()
    await reply.async_send("first")
    raise ZeroDivisionError("as the test wants it")

def exits():
    reply = active_channel.receive()
    reply.send("first")
    raise SystemExit(7)

def dies():
    reply = active_channel.receive()
    reply.send("first")
    active_channel.send("ready to die")
    time.sleep(60)

ENDS = {
    drops: ChannelClosed, returns: ChannelClosed, raises: ChannelBroken,
    raises_async: ChannelBroken, exits: ChannelBroken, dies: ChannelBroken,
}

async def ask(bot, name, error, way):
    reply = Channel()
    got = []
    if way == "callback":
        reply.on_receive()(got.append)
    await get_channel(name).async_send(reply)
    if name == "dies-active":
        await get_channel(name).async_receive()
        os.kill(bot.processes["dies"].pid, 9)
    ended = None
    try:
        if way == "async":
            while True:
                got.append(await reply.async_receive(20))
        elif way == "sync":
            def receive():
                while True:
                    got.append(reply.receive(20))
            await asyncio.to_thread(receive)
        else:
            await until(lambda: reply._open()._gone is not None, "its end")
            await until(lambda: got, "the answer")
            await reply.async_send("anybody?")
    except (ChannelClosed, ChannelBroken) as raised:
        ended = type(raised)
    assert ended is error, (name, way, ended)
    assert got == ["first"], (name, way, got)

if __name__ == "__main__":
    way = os.environ["WAY"]
    bot = LiteyukiBot()
    for target in ENDS:
        bot.add_process(target.__name__, target, restart=NEVER)

    async def act():
        for target, error in ENDS.items():
            await bot.wait_ready(target.__name__)
            await ask(bot, f"{target.__name__}-active", error, way)

    main(bot, act)
""",
    )
    for way in ("sync", "async", "callback"):
        with running(tmp_path, environment, WAY=way) as bot:
            went_well(bot)


def test_messages_that_nobody_reads_are_spoken_of(tmp_path: Path, environment: Environment) -> None:
    """Once, after some seconds, with who sent them; and again when all stops."""
    program(
        tmp_path,
        """
def deaf():
    active_channel.send("ready")
    threading.Event().wait()

def sends():
    for number in range(7):
        get_channel("jobs").send(number)
    passive_channel.send("done")
    threading.Event().wait()

if __name__ == "__main__":
    bot = LiteyukiBot()
    jobs = Channel("jobs")
    from liteyuki_core.comm import set_channel
    set_channel("jobs", jobs)
    bot.add_process("deaf", deaf)
    bot.add_process("sends", sends)

    async def act():
        await get_channel("deaf-active").async_receive()
        await get_channel("sends-passive").async_receive()
        for number in range(3):
            await get_channel("deaf-passive").async_send(number)
        await asyncio.to_thread(input)

    main(bot, act)
""".replace("await asyncio.to_thread(input)", "await until(lambda: os.path.exists('go'), 'go')"),
    )
    with running(tmp_path, environment) as bot:
        deaf = (
            r"channel deaf-passive: 3 messages wait in process deaf, .*sent by the main process\."
        )
        jobs = r"channel jobs: 7 messages wait in the main process, .*sent by sends\."
        bot.wait_for_line(deaf)
        bot.wait_for_line(jobs)
        assert bot.found("goes to whoever made it")
        bot.wait_until(lambda: len(bot.found(deaf)) == 1, "it is said once")
        (tmp_path / "go").touch()
        went_well(bot)
        assert len(bot.found(jobs)) == 2  # Once more at the stop: the child's end says its own.


@unix
@pytest.mark.parametrize(("stop_timeout", "pause"), [("20", 6.5), ("1", 2.5)])
def test_a_child_hands_over_what_it_has_sent(
    tmp_path: Path, environment: Environment, stop_timeout: str, pause: float
) -> None:
    """It waits as long as a stop may take for a main process that stands still; then it says it."""
    program(
        tmp_path,
        """
def sends():
    active_channel.receive()
    os.kill(os.getppid(), 19)  # SIGSTOP
    for number in range(1000):
        active_channel.send((number, "x" * 10_000))

if __name__ == "__main__":
    bot = LiteyukiBot()
    bot.add_process("sends", sends, restart=NEVER)
    channel = get_channel("sends-active")

    async def act():
        await bot.wait_ready("sends")
        await channel.async_send("go")
        got = [number async for number, _ in channel]
        say("got", len(got), got == list(range(len(got))))

    main(bot, act)
""",
    )
    with running(tmp_path, environment, LITEYUKI_STOP_TIMEOUT=stop_timeout) as bot:
        main = psutil.Process(bot.process.pid)
        wait_until(lambda: main.status() == psutil.STATUS_STOPPED, "main stands still")
        time.sleep(pause)  # What is tested: for so long.
        os.kill(bot.process.pid, signal.SIGCONT)
        went_well(bot)
        if stop_timeout == "20":
            assert bot.found("^got 1000 True$"), bot.output
        else:
            got = int(bot.wait_for_line(r"^got (\d+) True$")[1])
            lost = bot.wait_for_line(r"channel sends-active: (\d+) messages could not be handed")
            assert got + int(lost[1]) <= 1000
            assert got < 1000
