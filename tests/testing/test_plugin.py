"""The plugin in pytest runs of their own: what it costs, what it finds wrong, beside what it works.

Tests testing/plugin.py, testing/leftovers.py, testing/target.py, testing/waiting.py,
testing/peer.py and testing/onebot.py.
"""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path
from textwrap import dedent

from tests.conftest import ROOT
from tests.program import Environment
from tests.testing.runs import OTHERS, run_pytest

EXAMPLES = ROOT / "examples" / "testing"
ECHO = """
    from liteyuki_core.comm import active_channel

    def echoes():
        for data in active_channel:
            active_channel.send(data)
"""


def failures(output: str) -> list[str]:
    """Return the lines of pytest about what has failed and where, without "E   "."""
    return re.findall(r"^E +(?:\w+\.)*(.*)$", output, re.MULTILINE)


def test_where_it_is_not_used(tmp_path: Path, environment: Environment) -> None:
    """It imports nothing but itself."""
    test = """
        import sys

        def test_nothing_is_imported():
            found = {name for name in sys.modules if name.startswith("liteyuki_core")}
            assert found == {
                *("liteyuki_core", "liteyuki_core.version"),
                *("liteyuki_core.testing", "liteyuki_core.testing.plugin"),
            }
            assert not {"loguru", "psutil", "websockets", "pydantic", "nonebot"} & set(sys.modules)
    """
    without = (*OTHERS, "no:asyncio", "no:anyio", "no:hypothesispytest")
    output = run_pytest(tmp_path, environment, {"test_it.py": test}, "-q", without=without)
    assert "1 passed" in output, output


def test_what_is_left_behind(tmp_path: Path, environment: Environment) -> None:
    """A process, a thread, a descriptor: each fails its own test, and is named."""
    test = """
        import os, subprocess, sys, threading, time

        kept = []

        def test_a_process(liteyuki_app):
            kept.append(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]))

        def test_nothing(liteyuki_app):
            liteyuki_app.start()
            kept.pop().kill()

        def test_a_thread(liteyuki_app):
            threading.Thread(target=time.sleep, args=(30,), name="mine", daemon=True).start()

        def test_a_descriptor(liteyuki_app):
            liteyuki_app.start()
            kept.append(open(os.devnull))
    """
    output = run_pytest(tmp_path, environment, {"test_it.py": test}, "-W", "ignore")
    assert "4 passed, 3 errors" in output, output
    process, thread, descriptor = failures(output)
    assert re.search(r"left behind: process \d+ \(.*import time; time.sleep\(60\)\)$", process)
    assert thread == "AssertionError: the test has left behind: thread mine"
    if sys.platform == "linux":
        assert re.search(r"behind: 1 file descriptors, among \d+ \(/dev/null\)$", descriptor)


def test_what_is_not_awaited(tmp_path: Path, environment: Environment) -> None:
    """A wait that nobody awaited has checked nothing, and a kill without a message neither."""
    test = """
        async def test_not_awaited(liteyuki_app):
            liteyuki_app.add("echo", echoes)
            await liteyuki_app.ready("echo")
            liteyuki_app.channel("echo-active").should_receive("ping")

        def test_not_killed(liteyuki_app):
            liteyuki_app.add("echo", echoes)
            liteyuki_app.ready("echo")
            liteyuki_app.kill("echo", at="handling")
    """
    output = run_pytest(tmp_path, environment, {"test_it.py": dedent(ECHO) + dedent(test)})
    assert "2 passed, 2 errors" in output, output
    assert "nothing has waited for should_receive: in an async test write `await`" in output
    assert "process echo was to be killed at 'handling', but got no message" in output


TARGETS = """
    import sys
    import pytest

    def test_a_lambda(liteyuki_app):
        liteyuki_app.add("w", lambda: None)

    def test_a_closure(liteyuki_app):
        def target():
            pass
        liteyuki_app.add("w", target)

    def target():
        pass

    def test_the_main_file(liteyuki_app):
        main = sys.modules["__main__"]
        main.target = type(target)(target.__code__, vars(main), "target")
        liteyuki_app.add("w", main.target)

    other = target

    def target():
        pass

    def test_another_of_that_name(liteyuki_app):
        liteyuki_app.add("w", other)

    def test_itself(liteyuki_app):
        liteyuki_app.add("w", target)
        liteyuki_app.start()
        liteyuki_app.log.should_contain("process w exited with code 0")
"""


def test_targets_that_no_child_can_import(tmp_path: Path, environment: Environment) -> None:
    """The error says which it is, and what to do."""
    output = run_pytest(tmp_path, environment, {"test_it.py": TARGETS})
    assert "4 failed, 1 passed" in output, output
    found = [line for line in failures(output) if line.startswith("ProcessStartError")]
    assert [line.partition("process w: ")[2].partition(": ")[0] for line in found] == [
        "its target is a lambda, which has no name",
        "its target test_a_closure.<locals>.target stands inside a function",
        "its target target stands in the file that Python was started with, and a child does not "
        "run that",
        "test_it.target is something else than its target",
    ]
    for line in found:
        assert "write the target as a `def` at the top of the test file" in line


def test_the_import_mode_importlib(tmp_path: Path, environment: Environment) -> None:
    """A child imports a test file by its name there too, unless another one has this name."""
    test = """
        def test_it(liteyuki_app):
            liteyuki_app.add("echo", echoes)
            liteyuki_app.ready("echo")
    """
    text = dedent(ECHO) + dedent(test)
    files = {"checks/test_it.py": text, "pytest.ini": "[pytest]\npythonpath = more\n"}
    output = run_pytest(tmp_path, environment, files, "--import-mode=importlib")
    assert "1 passed" in output, output
    files["more/checks/__init__.py"] = ""
    output = run_pytest(tmp_path, environment, files, "--import-mode=importlib")
    assert "1 failed" in output, output
    (line,) = [line for line in failures(output) if line.startswith("ProcessStartError")]
    assert "its target stands in checks.test_it, and pytest runs with --import-mode=i" in line


# ------------------------------------------------------------- the examples


def test_the_examples(tmp_path: Path, environment: Environment) -> None:
    """They are the documentation's; beside pytest-asyncio, nonebug, and workers of pytest-xdist."""
    folder = tmp_path / "project"
    shutil.copytree(EXAMPLES, folder, ignore=shutil.ignore_patterns("__pycache__"))
    files = {"pytest.ini": (EXAMPLES / "pytest.ini").read_text(encoding="utf-8")}
    output = run_pytest(folder, environment, files, "-n", "2", without=("no:schemathesis",))
    assert re.search(r"^=+ 5 passed in ", output, re.MULTILINE), output


def test_the_examples_without_asyncio(tmp_path: Path, environment: Environment) -> None:
    """Those that are sync need neither pytest-asyncio nor nonebug."""
    folder = tmp_path / "project"
    shutil.copytree(EXAMPLES, folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("conftest", "test_weather"):
        (folder / "tests" / f"{name}.py").unlink()
    files = {"pytest.ini": "[pytest]\n"}
    output = run_pytest(folder, environment, files, without=(*OTHERS, "no:asyncio"))
    assert re.search(r"^=+ 4 passed in ", output, re.MULTILINE), output


def test_what_a_bot_replies_instead(tmp_path: Path, environment: Environment) -> None:
    """A failure shows it, what else the bot has called, and the log."""
    folder = tmp_path / "project"
    shutil.copytree(EXAMPLES, folder, ignore=shutil.ignore_patterns("__pycache__", "tests"))
    test = """
        import pytest

        def test_it(liteyuki_app):
            liteyuki_app.add_nonebot(plugins=["plugins.weather", "plugins.asks"])
            liteyuki_app.load_plugin("main_plugins/forecast.py")
            account = liteyuki_app.onebot(1)
            account.answers("get_login_info", {"user_id": 1, "nickname": "me"})
            account.says("who").should_reply("I am me, and get_status: ActionFailed")
            said = account.says("/weather Beijing")
            with pytest.raises(AssertionError) as raised:
                said.should_reply("It is raining.", timeout=3)
            text = str(raised.value)
            assert "should reply to '/weather Beijing', and did not within 3 s (it is con" in text
            assert "expected: 'It is raining.'" in text
            assert "came instead: 'It is sunny in Beijing.'" in text
            assert "it has called: get_login_info, get_status" in text
            assert "processes: nonebot RUNNING" in text
            with pytest.raises(AssertionError, match="should not reply to '/weather Beijing'"):
                said.should_not_reply()

        def test_a_kill_and_a_token(liteyuki_app):
            liteyuki_app.add_nonebot(plugins=["plugins.weather"], onebot_access_token="secret")
            liteyuki_app.load_plugin("main_plugins/forecast.py")
            account = liteyuki_app.onebot(2, access_token="secret")
            account.says("/weather Beijing").should_reply("It is sunny in Beijing.")
            liteyuki_app.kill("nonebot")
            liteyuki_app.ready("nonebot")
            account.says("/weather Rome").should_reply("It is sunny in Rome.", timeout=20)
            with pytest.raises(AssertionError, match="HTTP 40"):
                liteyuki_app.onebot(3).says("/weather Rome").should_reply("", timeout=1)

        def test_a_kill_behind_the_gateway(liteyuki_app):
            liteyuki_app.add_nonebot(plugin_dirs=["plugins"], gateway=True)
            liteyuki_app.load_plugin("main_plugins/forecast.py")
            account = liteyuki_app.onebot(4)
            account.says("/weather Rome").should_reply("It is sunny in Rome.")
            liteyuki_app.kill("nonebot", at="handling")
            account.says("/weather Oslo").should_reply("It is sunny in Oslo.")
            liteyuki_app.ready("nonebot")
            assert liteyuki_app.bot.processes["nonebot"].restarts == 1
    """
    plugin = """
        from nonebot import on_fullmatch
        from nonebot.adapters.onebot.v11 import ActionFailed, Bot

        who = on_fullmatch("who")

        @who.handle()
        async def handle(bot: Bot):
            name = (await bot.get_login_info())["nickname"]
            try:
                await bot.get_status()
            except ActionFailed as error:
                await who.finish(f"I am {name}, and get_status: {type(error).__name__}")
    """
    files = {"pytest.ini": "[pytest]\n", "test_it.py": test, "plugins/asks.py": plugin}
    output = run_pytest(folder, environment, files)
    assert "3 passed" in output, output


def test_a_main_process_beside_the_test(tmp_path: Path, environment: Environment) -> None:
    """This process is a child: its channels, requests and store work, and between tests nothing
    is left."""
    test = """
        import pytest
        from liteyuki_core import get_bot, get_channel, shared_memory
        from liteyuki_core.comm import active_channel, passive_channel
        from liteyuki_core.errors import NotConnected, RemoteError

        def test_messages(liteyuki_peer):
            active_channel.send("to main")
            assert liteyuki_peer.active.should_receive("to main")
            liteyuki_peer.passive.send("to the child")
            assert passive_channel.receive(10) == "to the child"
            shared_memory.set("key", 1)
            assert shared_memory.get("key") == 1
            with pytest.raises(NotConnected, match="child process nonebot"):
                get_bot()

        def test_requests(liteyuki_peer):
            liteyuki_peer.answers("one", 1)
            liteyuki_peer.answers(lambda text: text.startswith("t"), 2)
            assert active_channel.request("one", 10) == 1
            assert passive_channel.request("two", 10) == 2
            with pytest.raises(RemoteError, match="the test has no answer to 'four'"):
                active_channel.request("four", 10)

        def test_the_tests_before_are_forgotten(liteyuki_peer):
            liteyuki_peer.active.should_not_receive(within=0.05)
            assert liteyuki_peer.active.received == []
            with pytest.raises(RemoteError, match="no answer to 'one'"):
                active_channel.request("one", 10)

        def test_a_channel_of_its_own(liteyuki_peer):
            jobs = liteyuki_peer.channel("jobs")
            get_channel("jobs").send(1)
            jobs.should_receive(1)

        async def test_async(liteyuki_peer):
            liteyuki_peer.answers("one", 1)
            assert await active_channel.async_request("one", 10) == 1
            await active_channel.async_send("x")
            assert await liteyuki_peer.active.should_receive("x") == "x"

        def test_a_bot_beside_it(liteyuki_peer, liteyuki_app):
            liteyuki_app.add("echo", echoes)
            liteyuki_app.ready()
            liteyuki_app.channel("echo-active").send("x")
            liteyuki_app.channel("echo-active").should_receive("x")

        def test_after_the_bot(liteyuki_peer):
            get_channel("jobs").send(2)
            liteyuki_peer.channel("jobs").should_receive(2)
    """
    output = run_pytest(tmp_path, environment, {"test_it.py": dedent(ECHO) + dedent(test)})
    assert "7 passed" in output, output
