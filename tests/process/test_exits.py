"""`sys.exit()` and KeyboardInterrupt in callbacks: they end the process, wherever it is then."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.process.test_supervision import Environment, program
from tests.program import running, went_well
from tests.test_bot import unix

CHILD = """
AGAIN = RestartPolicy("always", backoff=0.01, max_backoff=0.01)
NEVER = RestartPolicy("never")


def raises(error):
    raise error


def register(kind, error):
    channel = passive_channel

    async def on_message(data):
        raise error

    def on_message_sync(data):
        raise error

    async def on_filter(data):
        raise error

    async def starts_a_task(data):
        asyncio.get_running_loop().call_soon(raises, error)

    async def others(data):
        await asyncio.sleep(0)

    if kind == "async":
        channel.on_receive()(on_message)
    elif kind == "sync":
        channel.on_receive(ordered=True)(on_message_sync)
    elif kind == "several":
        channel.on_receive()(others)
        channel.on_receive(lambda data: True, concurrency=2)(on_message)
    elif kind == "filter":
        channel.on_receive(filter_func=on_filter)(others)
    elif kind == "watch":
        shared_memory.watch("watched")(on_message)
    elif kind == "topic":
        shared_memory.on_subscriber_receive("topic")(on_message_sync)
    elif kind == "task":
        channel.on_receive()(starts_a_task)


async def runs():
    await asyncio.sleep(600)


def child(kind, place, error):
    register(kind, error)
    active_channel.send("registered")
    if place == "receive":
        active_channel.receive()
    elif place == "for":
        for data in active_channel:
            pass
    elif place == "loop":
        asyncio.run(runs())
    else:
        time.sleep(600)
"""

KINDS = "async", "sync", "several", "filter", "watch", "topic", "task"

SEVEN = [(kind, "sleep", "SystemExit(7)", 7) for kind in KINDS]
PLACES = [("async", place, "SystemExit(7)", 7) for place in ("receive", "for", "loop")]
CODES = [
    ("async", "sleep", "SystemExit()", 0),
    ("sync", "receive", "SystemExit(0)", 0),
    ("filter", "loop", "SystemExit(False)", 0),
    ("sync", "sleep", "SystemExit('why it ends')", 1),
    ("sync", "sleep", "KeyboardInterrupt()", 130),
    ("async", "loop", "KeyboardInterrupt()", 130),
    ("topic", "receive", "KeyboardInterrupt()", 130),
]


@unix
@pytest.mark.parametrize("cases", [SEVEN, PLACES + CODES[:3], CODES[3:]], ids=str)
def test_a_callback_ends_its_process(
    tmp_path: Path, environment: Environment, cases: list[tuple[str, str, str, int]]
) -> None:
    """With the code that it says, and one line that names it."""
    program(
        tmp_path,
        "from liteyuki_core.comm import passive_channel",
        CHILD,
        f"""
async def act():
    for name, process in bot.processes.items():
        active, passive = get_channel(f"{{name}}-active"), get_channel(f"{{name}}-passive")
        assert await active.async_receive(20) == "registered"
        passive.send("end")
    shared_memory["watched"] = 1
    shared_memory.publish("topic", 1)
    for name, process in bot.processes.items():
        await until(lambda: process.state in OVER, f"the end of {{name}}")
    say("codes", [process.exitcode for process in bot.processes.values()])


OVER = ProcessState.STOPPED, ProcessState.FAILED

if __name__ == "__main__":
    bot = LiteyukiBot()
    for i, (kind, place, error, _) in enumerate({cases}):
        bot.add_process(f"w{{i}}", child, (kind, place, eval(error)), restart=NEVER)
    main(bot, act)
""",
    )
    with running(tmp_path, environment) as bot:
        went_well(bot)
        assert bot.found(f"^codes {[code for *_, code in cases]}$".replace("[", r"\[")), bot.output
        for i, (kind, _, error, code) in enumerate(cases):
            line = error.replace("(", r"\(").replace(")", r"\)")
            lines = bot.found(f"^w{i} .*raised {line}: this process ends$")
            assert len(lines) == 1, bot.output
            what = "filter" if kind == "filter" else "callback"
            by = "a task that a callback has started" if kind == "task" else f": {what} register"
            assert by in lines[0].string
            assert ("错误" in lines[0].string) is bool(code)
        if cases is CODES:
            assert bot.found(r"^w\d \| why it ends$")
        assert not bot.found("Traceback|ended by force|never retrieved"), bot.output


@unix
@pytest.mark.parametrize("ordered", [True, False])
def test_what_it_was_about_to_handle_goes_to_the_successor(
    tmp_path: Path, environment: Environment, ordered: bool
) -> None:
    """Handled is what came before, and the message itself if the code is 0; what waits is kept."""
    program(
        tmp_path,
        "from liteyuki_core.comm import passive_channel",
        f"""
AGAIN = RestartPolicy("always", backoff=0.01, max_backoff=0.01)


def child():
    life = shared_memory.incr("life")
    exits = asyncio.Event()

    @passive_channel.on_receive(ordered={ordered})
    async def on_message(data):
        if data == "wait":
            active_channel.send((life, "waits"))
            await exits.wait()
            await asyncio.sleep(0.2)
            active_channel.send((life, "has waited"))
            return
        active_channel.send((life, data))
        if data == life:
            exits.set()
            sys.exit(0 if data == 3 else 7)

    time.sleep(600)


async def act():
    got = []
    get_channel("w-active").on_receive(ordered=True)(got.append)
    channel = get_channel("w-passive")
    for data in ("first", 1, 2, 3, "last"):
        if not {ordered} and data == 1:
            channel.send("wait")
        channel.send(data)
    await until(lambda: (4, "last") in got, lambda: f"all: {{got}}")
    waited = [pair for pair in got if "wait" in str(pair)]
    handled = [pair for pair in got if pair not in waited]
    assert waited == [] if {ordered} else [(1, "waits"), (1, "has waited")], got
    assert handled == [
        (1, "first"), (1, 1), (2, 1), (2, 2), (3, 2), (3, 3), (4, "last"),
    ], got


if __name__ == "__main__":
    bot = LiteyukiBot()
    bot.add_process("w", child, restart=AGAIN)
    main(bot, act)
""",
    )
    with running(tmp_path, environment) as bot:
        went_well(bot)
        assert len(bot.found("exited with code 7")) == 2


@unix
def test_a_main_thread_that_does_not_end(tmp_path: Path, environment: Environment) -> None:
    """It is ended by force, with the code, after a while."""
    program(
        tmp_path,
        "from liteyuki_core.comm import passive_channel",
        CHILD,
        """
def stubborn():
    from liteyuki_core.process.child import leaving

    leaving._EXIT_SECONDS = 0.5
    register("async", SystemExit(7))
    while True:
        try:
            active_channel.send("registered")
            time.sleep(600)
        except KeyboardInterrupt:
            pass


async def act():
    await get_channel("w-active").async_receive(20)
    get_channel("w-passive").send("end")
    await until(lambda: bot.processes["w"].state is ProcessState.FAILED, "its end")
    assert bot.processes["w"].exitcode == 7


if __name__ == "__main__":
    bot = LiteyukiBot()
    bot.add_process("w", stubborn, restart=NEVER)
    main(bot, act)
""",
    )
    with running(tmp_path, environment) as bot:
        went_well(bot)
        assert bot.found("process w: its main thread has not ended within 0.5 s; ended by force")


@unix
@pytest.mark.parametrize(
    ("act", "code"), [("sys.exit(7)", 7), ("sys.exit()", 0), ("raise KeyboardInterrupt", 130)]
)
@pytest.mark.parametrize("door", ["async def", "def"])
def test_a_callback_ends_the_main_process(
    tmp_path: Path, environment: Environment, act: str, code: int, door: str
) -> None:
    """Children are stopped in order, hooks run, and `run` passes on what was raised."""
    program(
        tmp_path,
        f"""
def child():
    for number in range(3):
        active_channel.send(number)
    active_channel.receive()
    say("stopped in order")


if __name__ == "__main__":
    bot = LiteyukiBot()
    bot.add_process("w", child)

    @get_channel("w-active").on_receive()
    {door} on_message(data):
        say("got", data)
        {act}

    @bot.on_after_shutdown
    def last():
        say("exit codes", [p.exitcode for p in bot.processes.values()])

    try:
        bot.run()
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        say("run ended")
""",
    )
    with running(tmp_path, environment) as bot:
        assert bot.wait(60) == code
        assert bot.found("channel w-active: callback on_message raised .*: this process ends$")
        assert bot.found(r"^exit codes \[0\]"), bot.output
        assert bot.found("^run ended"), bot.output
        assert bot.found("LiteyukiBot has stopped$")
        assert not bot.found("a pump failed|never retrieved|has not stopped"), bot.output
