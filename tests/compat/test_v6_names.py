"""Each name of LiteyukiBot v6, with the arguments that it had in 6.3.9, 6.3.16 and branch v6.

Tests compat/v6/liteyuki/config.py, compat/v6/liteyuki/utils.py, compat/v6/liteyuki/log.py,
compat/v6/liteyuki/exception.py, compat/v6/liteyuki/mkdoc.py, compat/v6/liteyuki/dev/plugin.py,
compat/v6/liteyuki/plugin/model.py, compat/v6/liteyuki/session/models.py,
compat/v6/liteyuki/session/rule.py, compat/v6/liteyuki/session/event.py,
compat/v6/liteyuki/comm/storage.py, compat/v6/liteyuki/comm/event.py,
compat/v6/liteyuki/message/matcher.py, compat/v6/liteyuki/message/rule.py,
compat/v6/liteyuki/message/session.py, compat/v6/liteyukibot.py.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.program import Environment, python, running, write_files

FACE = str(ROOT / "liteyuki_core" / "compat" / "v6")


def run(code: str, folder: Path, environment: Environment, **more: str) -> str:
    """Run a few lines with the names of v6; return what they have written."""
    result = python(code, folder, environment, PYTHONPATH=FACE, **more)
    assert result.returncode == 0, result.stdout
    return result.stdout


def test_configuration_files(tmp_path: Path, environment: Environment) -> None:
    """`config/` by name, then yaml, toml, json, yml: the later wins. Nested keys are flat too."""
    files = {
        "config/b.toml": 'who = "b.toml"\nonly = 1\n[a.b]\nc = 1\n',
        "config/a.yml": "who: a.yml\nliteyuki: {plugins: [x]}\n",
        "config.yaml": "first: 1\nwho: config.yaml\n",
        "config.json": '{"who": "config.json", "a": {"b": {"c": 2}}}',
        "config.yml": "",
        "config/notes.txt": "no configuration",
        "list.json": "[1]",
    }
    write_files(tmp_path, files)
    run(
        """
        from liteyuki.config import *
        from liteyuki.config import Loader
        config = load_config_in_default(no_waring=True)
        assert config["who"] == "config.json" and config["first"] == config["only"] == 1
        assert config["a.b.c"] == 2 and config["a.b"] == {"c": 2}
        assert config["liteyuki.plugins"] == ["x"]
        assert flat_config({"a": {"b": {"c": 1}}})["a.b.c"] == 1
        assert load_from_files("config.json", "config/b.toml", no_warning=True)["who"] == "b.toml"
        assert load_configs_from_dirs("nowhere", "config", no_waring=True)["who"] == "b.toml"
        other = Loader().load_from_toml("config/b.toml")
        loader = Loader().load_from_json("config.json").merge(other)
        assert loader.get("who") == "b.toml" and loader.get("a.b.c") is None
        assert Loader().load_from_env("PYTHON").get("UTF8") == "1"
        try:
            load_from_json("list.json")
        except ValueError as error:
            assert "list.json" in str(error)
        else:
            raise AssertionError
        """,
        tmp_path,
        environment,
    )


def test_the_extra_is_missing(tmp_path: Path, environment: Environment) -> None:
    """Whoever needs it is told which and how; nobody else needs it."""
    write_files(tmp_path, {"config.yml": "a: 1\n"})
    run(
        """
        import sys
        import liteyuki, liteyuki.config, liteyuki.dev, liteyuki.core, liteyuki.session.on
        import liteyuki.message.on, liteyuki.dev.observer
        assert not {"yaml", "watchdog", "nonebot"} & set(sys.modules)
        sys.modules["yaml"] = sys.modules["watchdog.observers"] = None
        try:
            liteyuki.config.load_config_in_default(no_waring=True)
        except ImportError as error:
            assert "config.yml is YAML" in str(error), error
            assert "pip install 'nonebot-plugin-liteyuki-comm[v6]'" in str(error)
        else:
            raise AssertionError
        bot = liteyuki.LiteyukiBot(**{"liteyuki.reload": True})
        try:
            liteyuki.dev.observer.on_file_system_event(["."])(print)
        except ImportError as error:
            assert "watchdog" in str(error) and "[v6]" in str(error)
        else:
            raise AssertionError
        """,
        tmp_path,
        environment,
    )


def test_what_is_of_v7_or_left_out(tmp_path: Path, environment: Environment) -> None:
    """The line says which name, and what to do."""
    write_files(tmp_path, {"of_v7.py": "from liteyukibot import PluginContext"})
    output = run(
        """
        import liteyuki
        bot = liteyuki.LiteyukiBot()
        assert liteyuki.load_plugin("of_v7") is None
        for line in ("from liteyuki import Kernel", "import liteyuki.mkdoc"):
            try:
                exec(line)
            except ImportError as error:
                print(error)
        assert not hasattr(liteyuki, "__wrapped__")
        """,
        tmp_path,
        environment,
    )
    assert "has no liteyuki.Kernel. A plugin that was written for v7 runs on v7 alone" in output
    assert "liteyuki.mkdoc" in output
    assert "plugin of_v7 could not be loaded: ImportError: liteyukibot is LiteyukiBot v7" in output


def test_metadata(tmp_path: Path, environment: Environment) -> None:
    """Three names in v6's order, classes of others, unknown fields, a type that is None."""
    files = {
        "p/one.py": """
            from liteyuki.plugin import PluginMetadata
            __plugin_meta__ = PluginMetadata(name="last")
            __plugin_metadata__ = PluginMetadata(name="first", type=None, nonsense=1)
        """,
        "p/two.py": """
            class Other:
                name, type, extra = "foreign", "application", {"a": 1}
            __liteyuki_plugin_meta__ = Other()
        """,
        "p/three.py": "",
    }
    write_files(tmp_path, files)
    run(
        """
        from pathlib import Path
        from liteyuki import LiteyukiBot, load_plugins, load_plugin
        from liteyuki.plugin import PluginType, get_loaded_plugins
        bot = LiteyukiBot()
        assert {plugin.name for plugin in load_plugins("p", "nowhere")} == {"one", "two", "three"}
        found = get_loaded_plugins()
        assert found["p.one"].metadata.name == "first"
        assert found["p.one"].metadata.type is PluginType.UNCLASSIFIED
        assert found["p.two"].metadata.name == "foreign"
        assert found["p.two"].metadata.type is PluginType.APPLICATION
        assert found["p.two"].metadata.extra == {"a": 1}
        assert found["p.three"].metadata is None
        assert load_plugin(Path("p/one.py")) is found["p.one"]
        assert load_plugin("no.such") is None
        """,
        tmp_path,
        environment,
    )


def test_matchers(tmp_path: Path, environment: Environment) -> None:
    """Higher priorities first; `block` of the first of a priority counts, though it takes nothing;
    bare `handle`; rules; a handler that raises; each generation's events."""
    output = run(
        """
        import asyncio, pickle
        from liteyuki import LiteyukiBot, get_config, get_config_with_compat
        from liteyuki.message.event import Event, MessageEvent as Older
        from liteyuki.session.event import MessageEvent
        from liteyuki.message.on import on_keywords, on_message
        from liteyuki.session.on import dispatch, on_endswith, on_fullmatch, on_startswith
        from liteyuki.session.rule import Rule, is_su_rule

        called = []
        bot = LiteyukiBot(**{"liteyuki.superusers": [5], "old": 1})
        assert get_config("none", 3) == 3
        assert get_config_with_compat("new", ("old",)) == 1
        never = Rule(lambda event: False)

        def note(name):
            async def handler(event):
                called.append(name)
            return handler

        on_message().handle()(note("0"))
        on_message(priority=5).handle(note("5"))
        on_keywords(["a", "b"], priority=7).handle()(note("7"))
        on_startswith("b", priority=8).handle()(note("8"))
        on_endswith(["c"], rule=is_su_rule, priority=9).handle()(note("9"))
        on_fullmatch("abc", priority=10).handle()(note("10"))
        on_message(never | Rule(), priority=11).handle()(lambda event: called.append("11"))
        on_message(never & Rule(), priority=12).handle()(note("12"))

        @on_message(priority=13).handle
        async def raises(event):
            raise ValueError("in a handler")

        new = MessageEvent("1", [], "private", "abc", "5", "5", "private")
        asyncio.run(dispatch(new))
        assert called == ["11", "10", "9", "7", "5", "0"], called
        on_message(never, priority=6, block=True)
        called.clear()
        asyncio.run(dispatch(new))
        assert called == ["11", "10", "9", "7"], called

        old = Older(bot_id="1", message="m", message_type="group", raw_message="r", session_id="2",
                    session_type="group", receive_channel="topic", data={"user_id": 5})
        oldest = Event(type="group", data={"raw_message": "r"}, bot_id="1", session_id="2",
                       session_type="group")
        assert old.user_id == "5" and oldest.raw_message == "r" and oldest.type == "group"
        for event in (new, old, oldest):
            back = pickle.loads(pickle.dumps(event))
            assert type(back) is type(event) and vars(back) == vars(event)
            str(event)
        new.reply("to nobody")
        """,
        tmp_path,
        environment,
    )
    assert "raised ValueError('in a handler')" in output


def test_utils_log_models(tmp_path: Path, environment: Environment) -> None:
    """What is small."""
    write_files(tmp_path, {"a/b.py": "", "a/__init__.py": ""})
    run(
        """
        import asyncio, threading
        from pathlib import Path
        from liteyuki.comm import Event
        from liteyuki.exception import LiteyukiException
        from liteyuki.log import init_log, logger
        from liteyuki.message import session
        from liteyuki.message.matcher import Matcher
        from liteyuki.message.rule import empty_rule
        from liteyuki.session import Member, Role, Scene, SceneType, Session, User
        from liteyuki.utils import *
        from liteyuki.utils import IS_MAIN_PROCESS

        sinks = set(logger._core.handlers)
        init_log({"log_level": "ERROR"})
        assert set(logger._core.handlers) == sinks
        assert IS_MAIN_PROCESS
        assert path_to_module_name(Path("a/b.py")) == "a.b"
        assert path_to_module_name(Path("a/__init__.py")) == path_to_module_name(Path("a")) == "a"
        done = []

        async def coroutine(x):
            done.append(x)

        assert is_coroutine_callable(coroutine) and not is_coroutine_callable(print)
        run_coroutine(coroutine(1), coroutine(2))
        run_coroutine_in_thread(coroutine(3))
        [t.join() for t in threading.enumerate() if t.name == "liteyuki-v6"]
        assert sorted(done) == [1, 2, 3]
        assert asyncio.run(async_wrapper(max)(1, 2)) == 2
        session = Session("1", "onebot", "qq", Scene("5", SceneType.GROUP), User("7"),
                          Member(User("7"), role=Role("owner")))
        assert (session.session_id, session.target_id) == ("qq:5", "qq:5:7")
        assert Event("n", {}).name == "n" and issubclass(LiteyukiException, BaseException)
        """,
        tmp_path,
        environment,
    )


def test_nothing_of_v6(tmp_path: Path, environment: Environment) -> None:
    """It was asked for, and the program uses none of it, or another's: a line says which."""
    bot = """
        {imports}
        from liteyuki_core import LiteyukiBot
        if __name__ == "__main__":
            bot = LiteyukiBot()
            bot.on_after_start(bot.stop)
            bot.run()
    """
    write_files(tmp_path, {"bot.py": bot.format(imports="")})
    with running(tmp_path, environment, LITEYUKI_V6_COMPAT="true") as program:
        assert program.wait(60) == 0
        assert program.found("WARNING.*nothing of LiteyukiBot v6 was imported")
    write_files(tmp_path, {"bot.py": bot.format(imports="import liteyuki"), "liteyuki.py": ""})
    with running(tmp_path, environment, LITEYUKI_V6_COMPAT="true") as program:
        assert program.wait(60) == 0
        assert program.found(
            "WARNING.*liteyuki was imported from .*liteyuki.py: start the bot with"
        )


@pytest.mark.parametrize("how", ["--v6", "LITEYUKI_V6_COMPAT"])
def test_how_it_is_asked_for(how: str, tmp_path: Path, environment: Environment) -> None:
    """By the flag or the setting; the main module is the file, also for children; restart."""
    files = {
        "liteyuki/__init__.py": "raise ImportError('that of the checkout')",
        "main.py": """
            import os, sys
            from liteyuki import LiteyukiBot, logger
            from liteyuki.core import sub_process_manager
            from liteyuki.dev.plugin import run_plugins
            from liteyuki.utils import IS_MAIN_PROCESS

            def child(word):
                logger.info(f"{word} {__name__} {IS_MAIN_PROCESS}")

            if __name__ == "__main__":
                assert sys.argv == ["main.py"] and __file__ == "main.py"
                assert sys.path[1] == os.getcwd()
                bot = LiteyukiBot()
                bot.process_manager.add_target("child", child, ("hello",))
                sub_process_manager.add("other", child, "more")
                assert set(bot.process_manager.processes) == {"child"}

                @bot.on_after_restart
                def stop():
                    bot.stop()

                @bot.on_after_start
                async def go():
                    await bot.wait_ready("other")
                    bot.restart_process("other")

                bot.run()
                assert bot.stop_event.is_set()
            else:
                sub_process_manager.add("nobody", child)
        """,
    }
    write_files(tmp_path, files)
    command = ["-m", "liteyuki_core.cli", "run", "main.py"]
    more = {"LITEYUKI_V6_COMPAT": "true"} if how != "--v6" else {}
    if how == "--v6":
        command.append("--v6")
    with running(tmp_path, environment, *command, **more) as program:
        assert program.wait(90) == 0, program.output
        assert program.found("hello __mp_main__ False")
        assert len(program.found("more __mp_main__ False")) == 2


def test_the_manager_of_processes(tmp_path: Path, environment: Environment) -> None:
    """A child is stopped by `terminate`, and started again by `start_all`."""
    main = """
        import asyncio
        from liteyuki import LiteyukiBot, logger
        from liteyuki.comm import active_channel

        def child():
            while True:
                active_channel.receive()

        async def until(condition):
            while not condition():
                await asyncio.sleep(0.01)

        if __name__ == "__main__":
            bot = LiteyukiBot()
            manager = bot.process_manager
            manager.add_target("child", child)
            assert not manager.is_process_alive("child")

            @bot.on_after_start
            async def go():
                try:
                    await act()
                finally:
                    bot.stop()

            async def act():
                process = manager.processes["child"]
                await bot.wait_ready("child")
                assert manager.is_process_alive("child") and process.is_alive() and process.pid
                manager.terminate("child")
                await until(lambda: not manager.is_process_alive("child"))
                await until(lambda: process.exitcode == 0)
                assert process.pid is None
                manager.start_all()
                await until(lambda: manager.is_process_alive("child"))
                manager.terminate("nobody")
                try:
                    manager.is_process_alive("nobody")
                except KeyError as error:
                    logger.info(f"raised: {error}")

            bot.run()
    """
    write_files(tmp_path, {"main.py": main})
    command = ["-m", "liteyuki_core.cli", "run", "--v6", "main.py"]
    with running(tmp_path, environment, *command) as program:
        assert program.wait(90) == 0, program.output
        assert program.found("raised: .*no process is named 'nobody'"), program.output
        assert program.found("WARNING.*there is no process nobody")
        assert len(program.found("process child started")) == 2


def test_channels_and_store(tmp_path: Path, environment: Environment) -> None:
    """Names, closed ones, one within a process, those of a process to come; `delete`; the loop."""
    output = run(
        """
        from liteyuki import Channel, LiteyukiBot, get_bot
        from liteyuki.comm import get_channel, get_channels, set_channels
        from liteyuki.comm.storage import shared_memory

        early = Channel(_id="early")
        bot = LiteyukiBot()
        assert get_bot() is bot and bot.config == {} and str(early) == "Channel(early)"
        named = Channel("named", capacity=3)
        assert get_channel("early") == early and get_channel("named") == named
        assert {"early", "named"} <= set(get_channels())
        for make in (lambda: Channel("named"), lambda: get_channel("nothing")):
            try:
                make()
            except (ValueError, KeyError) as error:
                print(type(error).__name__)
        set_channels({"other": Channel()})
        named.send(1)  # No command: that is for active channels.
        try:
            named.receive(timeout=0.01)
        except TimeoutError:
            print("nothing came back")
        early.close()
        for use in (lambda: early.send(1), early.receive):
            try:
                use()
            except RuntimeError as error:
                print(type(error).__name__, isinstance(error, EOFError))
        awaited = get_channel("w-active")
        try:
            awaited.send("x")
        except KeyError:
            print("not yet")
        bot.add_process("w", print)
        assert awaited == get_channel("w-active")
        shared_memory.set("key", 1)
        shared_memory.delete("key")
        shared_memory.delete("key")
        try:
            shared_memory.delete("key", ignore_key_error=False)
        except KeyError as error:
            print("KeyError", error)
        try:
            bot.loop
        except RuntimeError as error:
            print(error)
        """,
        tmp_path,
        environment,
    )
    lines = [line for line in output.splitlines() if " | " not in line and "[" not in line]
    assert lines == [
        "ChannelExists",
        "ChannelNotFound",
        "nothing came back",
        "ClosedChannel True",
        "ClosedChannel True",
        "not yet",
        "KeyError 'key'",
        "LiteyukiBot's loop runs from run() on: use bot.on_before_start",
    ], output
    assert "channel named: this process receives on the end that it has sent on" in output
