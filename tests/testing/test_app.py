"""A bot under test: children, channels, log, kills, plugins of the main process.

Tests testing/app.py, testing/mailbox.py, testing/expected.py, testing/lines.py,
testing/killing.py, testing/waiting.py and testing/project.py.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from liteyuki_core import Channel, shared_memory
from liteyuki_core.comm import set_channel
from liteyuki_core.errors import ChannelModeError, ProcessNotFound
from liteyuki_core.process import RestartPolicy
from liteyuki_core.testing import App
from tests.conftest import wait_until
from tests.program import write_files
from tests.testing import targets

# ------------------------------------------------------------- channels


def test_a_value_and_a_predicate(liteyuki_app: App) -> None:
    """Whatever the order: each message is expected once, and `received` has them as they came."""
    liteyuki_app.add("echo", targets.echoes)
    liteyuki_app.ready("echo")
    channel = liteyuki_app.channel("echo-active")
    for data in (1, "two", {"three": 3}):
        channel.send(data)
    assert channel.should_receive({"three": 3}) == {"three": 3}
    assert channel.should_receive(lambda data: data > 0) == 1
    assert channel.should_receive("two") == "two"
    channel.should_not_receive(within=0.1)
    assert channel.received == [1, "two", {"three": 3}]


async def test_in_an_async_test(liteyuki_app: App) -> None:
    """What waits is awaited."""
    liteyuki_app.add("echo", targets.echoes)
    await liteyuki_app.ready("echo")
    channel = liteyuki_app.channel("echo-active")
    channel.send("ping")
    assert await channel.should_receive("ping") == "ping"
    await channel.should_not_receive(within=0.05)
    assert "process echo is ready" in await liteyuki_app.log.should_contain("is ready", "main")


def test_what_came_instead(liteyuki_app: App) -> None:
    """A failure shows what was expected, what came, what a predicate raised, and the log."""
    liteyuki_app.add("echo", targets.echoes)
    liteyuki_app.ready()
    channel = liteyuki_app.channel("echo-active")
    channel.send("ping")
    with pytest.raises(AssertionError) as raised:
        channel.should_receive(lambda data: data["text"] == "pong", timeout=0.3)
    text = str(raised.value)
    assert "channel echo-active: what should be received did not come within 0.3 s" in text
    assert "is true for\n  came instead: 'ping'\n  to look at it raised TypeError" in text
    assert "processes: echo RUNNING" in text
    assert "main | " in text
    assert "process echo is ready" in text
    with pytest.raises(AssertionError, match="expected: 'pong'\n  came instead: 'ping'"):
        channel.should_receive("pong", timeout=0.1)
    with pytest.raises(AssertionError, match="no message should be received\ncame: 'ping'"):
        channel.should_not_receive()


def test_a_channel_of_its_own(liteyuki_app: App) -> None:
    """This process is the main process: what bot.py does, a test does."""
    liteyuki_app.bot.on_before_start(lambda: shared_memory.set("factor", 3))
    set_channel("jobs", Channel("jobs"))
    liteyuki_app.add("works", targets.works, args=(3,))
    jobs = liteyuki_app.channel("jobs")
    jobs.send(5)
    assert jobs.should_receive(15)
    assert shared_memory.get("factor") == 3


def test_an_end_that_the_code_under_test_reads(liteyuki_app: App) -> None:
    """A test can send there; what comes is not its own."""
    liteyuki_app.add("echo", targets.echoes)
    channel = liteyuki_app.channel("echo-active")
    channel.send("ping")
    liteyuki_app.ready()
    assert channel.channel.receive(10) == "ping"
    with pytest.raises(ChannelModeError, match="reads this end with receive"):
        channel.should_receive("ping")


# ------------------------------------------------------------- its world


def test_its_own_folder_and_port(liteyuki_app: App, tmp_path: Path) -> None:
    """No file of the project is read or written, and no setting of this machine counts."""
    assert Path.cwd() == liteyuki_app.folder == tmp_path
    assert os.environ["PORT"] == str(liteyuki_app.port)
    (tmp_path / ".env").write_text("LITEYUKI_MAX_REDELIVERIES=7\n", encoding="utf-8")
    assert liteyuki_app.bot._settings.max_redeliveries == 7
    liteyuki_app.start()
    liteyuki_app.log.should_contain("there is nothing to do")


def test_children_that_are_spawned(liteyuki_app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Windows and macOS. A setting counts if it is made before the bot is."""
    monkeypatch.setenv("LITEYUKI_START_METHOD", "spawn")
    liteyuki_app.add("echo", targets.echoes)
    liteyuki_app.ready("echo")
    liteyuki_app.channel("echo-active").send("ping")
    liteyuki_app.channel("echo-active").should_receive("ping")


def test_its_world_is_put_back() -> None:
    """After the test before, if that was here."""
    assert Path.cwd().name != "test_its_own_folder_and_port0"
    assert "PORT" not in os.environ


def test_the_log(liteyuki_app: App) -> None:
    """Lines of a child, and those of main; a failure shows the last of them."""
    liteyuki_app.add("speaks", targets.speaks)
    liteyuki_app.log.should_contain("here I am", process="speaks")
    liteyuki_app.log.should_contain("and an error", process="speaks")
    liteyuki_app.log.should_contain("process speaks started")
    with pytest.raises(AssertionError, match="the log of main should contain 'here I am'"):
        liteyuki_app.log.should_contain("here I am", process="main", timeout=0.1)
    with pytest.raises(AssertionError, match=r"lines:\n  speaks \| here I am\n"):
        liteyuki_app.log.should_contain("nothing of this", process="speaks", timeout=0.1)


def test_a_child_that_does_not_get_ready(liteyuki_app: App) -> None:
    """It is told at once, and why."""
    never = RestartPolicy(mode="never")
    liteyuki_app.add("nobody", "tests.testing.targets:nobody", restart=never)
    with pytest.raises(AssertionError, match=r"nobody is not ready\nprocesses: nobody FAILED \("):
        liteyuki_app.ready("nobody")
    with pytest.raises(ProcessNotFound, match="there are: nobody"):
        liteyuki_app.ready("somebody")


# ------------------------------------------------------------- kills


@pytest.mark.parametrize("target", [targets.counts, targets.calls_back])
def test_killed_while_handling(liteyuki_app: App, target: Any) -> None:
    """The successor gets the message; for main it was handled once."""
    liteyuki_app.add("w", target)
    liteyuki_app.ready("w")
    pid = liteyuki_app.bot.processes["w"].pid
    liteyuki_app.kill("w", at="handling")
    passive, active = liteyuki_app.channel("w-passive"), liteyuki_app.channel("w-active")
    active.send("job")
    passive.should_receive(lambda data: data[:2] == ("done", "job"))
    liteyuki_app.ready("w")
    assert liteyuki_app.bot.processes["w"].pid != pid
    assert liteyuki_app.bot.processes["w"].restarts == 1
    assert active.channel.stats()["redelivered"] == 0
    assert liteyuki_app.bot.channels["w-active"]["redelivered"] == 1


def test_killed_at_a_place_of_its_choice(liteyuki_app: App) -> None:
    """A handler that waits is cut off there, and the first handling never ends."""
    liteyuki_app.add("w", targets.counts)
    liteyuki_app.ready("w")
    passive = liteyuki_app.channel("w-passive")
    liteyuki_app.channel("w-active").send("waits")
    passive.should_receive(("begun", "waits", 1))
    liteyuki_app.kill("w")
    passive.should_receive(("done", "waits", 2))
    assert [step for step in passive.received if step[2] == 1] == [("begun", "waits", 1)]


@pytest.mark.parametrize("at", ["handling", "before_ack"])
def test_what_it_has_handled_before_the_kill(liteyuki_app: App, at: Any) -> None:
    """Of that nothing comes again: not even what is not acknowledged yet, which is put off."""
    liteyuki_app.add("w", targets.counts)
    liteyuki_app.ready("w")
    active, passive = liteyuki_app.channel("w-active"), liteyuki_app.channel("w-passive")
    active.send("before")
    passive.should_receive(("done", "before", 1))
    liteyuki_app.kill("w", at=at)
    active.send("job")
    passive.should_receive(lambda data: data[:2] == ("done", "job"))
    # It may be the first handling that is done, and its acknowledgement still on its way.
    wait_until(lambda: liteyuki_app.bot.processes["w"].restarts == 1)
    liteyuki_app.ready("w")
    assert ("begun", "before", 2) not in passive.received


@pytest.mark.parametrize("target", [targets.counts, targets.calls_back])
def test_killed_before_it_has_acknowledged(liteyuki_app: App, target: Any) -> None:
    """The work was done to its end, all it has sent has arrived, and it is done once more."""
    liteyuki_app.add("w", target)
    liteyuki_app.ready("w")
    liteyuki_app.kill("w", at="before_ack")
    active, passive = liteyuki_app.channel("w-active"), liteyuki_app.channel("w-passive")
    active.send("job")
    passive.should_receive(("done", "job", 2))
    expected = [(step, "job", handling) for handling in (1, 2) for step in ("begun", "done")]
    assert passive.received == expected
    active.send("next")
    passive.should_receive(("done", "next", 1))


@pytest.mark.parametrize(("at", "least"), [("handling", 1), ("before_ack", 2)])
def test_killed_while_it_answers(liteyuki_app: App, at: Any, least: int) -> None:
    """The asker gets the successor's answer, and only that."""
    liteyuki_app.add("w", targets.calls_back)
    liteyuki_app.ready("w")
    liteyuki_app.kill("w", at=at)
    answer = liteyuki_app.channel("w-active").channel.request("question", 20)
    assert least <= answer <= 2
    assert liteyuki_app.bot.processes["w"].restarts == 1


def test_killed_now(liteyuki_app: App) -> None:
    """`ready` waits for the successor; one that does not run can't be killed."""
    liteyuki_app.add("echo", targets.echoes)
    with pytest.raises(AssertionError, match="process echo does not run"):
        liteyuki_app.kill("echo")
    liteyuki_app.ready()
    pid = liteyuki_app.bot.processes["echo"].pid
    liteyuki_app.kill("echo")
    liteyuki_app.ready("echo")
    assert liteyuki_app.bot.processes["echo"].pid not in (None, pid)
    with pytest.raises(ValueError, match='at is "handling", "before_ack" or None'):
        liteyuki_app.kill("echo", at="sometime")  # type: ignore[arg-type]


# ------------------------------------------------------------- plugins of the main process

PLUGIN = """
    from liteyuki_core import get_bot, get_channel, require

    words = require("words")
    channel = get_channel("echo-active")

    @channel.on_receive()
    async def on_message(data):
        await get_channel("echo-passive").async_send(words.ANSWERS[data])

    @get_bot().on_after_start
    async def greet():
        await channel.async_send("ping")
"""


@pytest.mark.parametrize("time", ["first", "second"])
def test_a_plugin_of_the_main_process(liteyuki_app: App, tmp_path: Path, time: str) -> None:
    """It is imported anew in each test, and so is what it requires."""
    words = f'ANSWERS = {{"ping": "pong of the {time} time"}}'
    write_files(tmp_path, {"plugins/answers.py": PLUGIN, "plugins/words.py": words})
    liteyuki_app.add("echo", targets.echoes)
    liteyuki_app.load_plugin(tmp_path / "plugins" / "words.py")
    module = liteyuki_app.load_plugin(tmp_path / "plugins" / "answers.py")
    assert module.words.ANSWERS["ping"].endswith(f"{time} time")
    liteyuki_app.ready("echo")
    liteyuki_app.log.should_contain("plugin answers is loaded", process="main")
    with pytest.raises(RuntimeError, match="call load_plugin before"):
        liteyuki_app.load_plugin("x")


def test_a_plugin_that_fails(liteyuki_app: App, tmp_path: Path) -> None:
    """The failure shows its traceback."""
    write_files(tmp_path, {"plugins/fails.py": "print(1 / 0)"})
    with pytest.raises(AssertionError, match=r"fails\.py could not be loaded\n(.*\n)*.*1 / 0"):
        liteyuki_app.load_plugin(tmp_path / "plugins" / "fails.py")


def test_no_plugin_is_left() -> None:
    """After the tests before, if those were here."""
    assert not {"answers", "words"} & set(sys.modules)
