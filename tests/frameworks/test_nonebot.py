"""The NoneBot launcher: what it reads, what it says, in real children of a real main process."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.conftest import free_port
from tests.program import (
    STARTED,
    listing,
    main_process,
    nonebot_plugin,
    python,
    running,
    stopped_by_itself,
    write_files,
)

ADAPTER = '{ name = "OneBot V11", module_name = "nonebot.adapters.onebot.v11" }'

TABLES = f"""
    [tool.nonebot]
    plugin_dirs = ["plugins"]
    builtin_plugins = ["echo"]

    [tool.nonebot.adapters]
    nonebot-adapter-onebot = [{ADAPTER}]

    [tool.nonebot.plugins]
    nonebot-plugin-liteyuki-comm = ["nonebot_plugin_liteyuki_comm"]
    "@local" = ["own"]
"""

LISTS = f"""
    [tool.nonebot]
    plugin_dirs = ["plugins"]
    builtin_plugins = ["echo"]
    adapters = [{ADAPTER}]
    plugins = ["nonebot_plugin_liteyuki_comm", "own"]
"""

TELL = """
    import nonebot
    from liteyuki_core.frameworks.nonebot import Mixin

    @driver.on_startup
    def tell():
        logger.info(f"adapters: {sorted(nonebot.get_adapters())}")
        logger.info(f"plugins: {sorted(p.id_ for p in nonebot.get_loaded_plugins())}")
        logger.info(f"driver: {driver.type}, ours: {isinstance(driver, Mixin)}")
        logger.info(f"setting: {getattr(driver.config, 'my_setting', None)}")
"""


@pytest.fixture
def project(tmp_path: Path, environment: dict[str, str]) -> Path:
    """A main process with a NoneBot child and one plugin, own.py, that tells what it finds."""
    environment["PORT"] = str(free_port())
    files = {
        "bot.py": main_process(),
        "pyproject.toml": listing("own"),
        "own.py": nonebot_plugin(TELL),
        "plugins/found.py": "",
    }
    write_files(tmp_path, files)
    return tmp_path


@pytest.mark.parametrize("text", [TABLES, LISTS], ids=["tables", "lists"])
def test_adapters_and_plugins_are_those_of_pyproject(
    project: Path, environment: dict[str, str], text: str
) -> None:
    """Both the table form of nb-cli 1.7 and the older list form of [tool.nonebot] are read."""
    write_files(project, {"pyproject.toml": text})
    with running(project, environment) as program:
        program.wait_for_line(r"\] adapters: \['OneBot V11'\]$")
        expected = "['echo', 'found', 'nonebot_plugin_liteyuki_comm', 'own']"
        assert program.wait_for_line(r"\] plugins: (.*)$")[1] == expected
        program.wait_for_line(STARTED)
        assert program.stop() == 0
        assert stopped_by_itself(program), program.output


def test_adapters_and_plugins_may_be_named_in_add_process(
    project: Path, environment: dict[str, str]
) -> None:
    """With pyproject=None nothing is read; what the arguments name is loaded, config included."""
    main = main_process(
        pyproject=None,
        plugins=["own"],
        plugin_dirs=["plugins"],
        adapters=["nonebot.adapters.onebot.v11"],
        my_setting="from bot.py",
    )
    write_files(project, {"bot.py": main, "pyproject.toml": listing("not_there")})
    with running(project, environment) as program:
        program.wait_for_line(r"\] adapters: \['OneBot V11'\]$")
        program.wait_for_line(r"\] plugins: \['found', 'own'\]$")
        program.wait_for_line(r"\] setting: from bot\.py$")


CONSOLE = "nonebot.adapters.console"


def test_the_console_adapter_is_left_out(project: Path, environment: dict[str, str]) -> None:
    """A child has no terminal: one line says so, and the rest of NoneBot runs."""
    main = main_process(adapters=[CONSOLE, "nonebot.adapters.onebot.v11"])
    write_files(project, {"bot.py": main})
    with running(project, environment) as program:
        program.wait_for_line("NoneBot's console adapter is left out: it needs a terminal")
        program.wait_for_line(r"\] adapters: \['OneBot V11'\]$")
        program.wait_for_line(STARTED)
        assert program.stop() == 0
        assert not program.found("Traceback")


def test_without_a_host_the_console_adapter_stays(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    """NoneBot by itself has the terminal."""
    code = f"""
        import nonebot
        from {CONSOLE} import Adapter
        nonebot.init(driver="~none+{MIXIN}")
        nonebot.get_driver().register_adapter(Adapter)
        print("adapters:", list(nonebot.get_adapters()))
    """
    done = python(code, tmp_path, environment)
    assert "adapters: ['Console']" in done.stdout


MIXIN = "liteyuki_core.frameworks.nonebot"


@pytest.mark.parametrize(
    ("files", "variable", "kind"),
    [
        ({}, None, "fastapi"),
        pytest.param({".env": "DRIVER=~none"}, None, "none", marks=pytest.mark.long),
        ({".env": "ENVIRONMENT=dev", ".env.dev": "DRIVER=~none"}, None, "none"),
        ({".env": "DRIVER=~fastapi"}, "~none", "none"),
        ({".env": "DRIVER=~fastapi+~httpx"}, None, r"fastapi\+httpx"),
        pytest.param({".env": f"DRIVER=~fastapi+{MIXIN}"}, None, "fastapi", marks=pytest.mark.long),
    ],
    ids=["default", ".env", ".env.dev", "variable", "mixins", "explicit"],
)
def test_driver_is_respected_and_gets_the_mixin_once(
    project: Path,
    environment: dict[str, str],
    files: dict[str, str],
    variable: str | None,
    kind: str,
) -> None:
    """DRIVER of .env, of .env.ENVIRONMENT or of the environment is used, with the mixin added."""
    write_files(project, files)
    if variable is not None:
        environment["DRIVER"] = variable
    with running(project, environment) as program:
        program.wait_for_line(rf"\] driver: {kind}\+liteyuki, ours: True$")


def test_a_port_in_use_is_said_clearly(project: Path, environment: dict[str, str]) -> None:
    """NoneBot exits with 3 and is not ready; the line that says so names host and port."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with running(project, environment, PORT=str(port)) as program:
            line = program.wait_for_line(r"\[⭕ERROR\] process nonebot exited with code 3: (.*)")
            for words in (f"127.0.0.1:{port} ", "in use", "PORT in .env"):
                assert words in line[1]
            assert program.wait() == 1


def test_without_a_host_a_port_in_use_is_said_clearly(
    project: Path, environment: dict[str, str]
) -> None:
    """uvicorn binds itself then; NoneBot exits with 3, although a hook waits."""
    code = f"from {MIXIN} import run; run()"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with running(project, environment, "-c", code, PORT=str(port)) as program:
            assert program.wait() == 3
            said = program.found(r"\[⭕ERROR\] NoneBot could not start: (.*)")
            assert [match[1] for match in said] == [
                f"127.0.0.1:{port} can't be listened on (is it in use? see HOST and PORT in .env)"
            ]


def test_it_runs_nonebot_without_a_host(project: Path, environment: dict[str, str]) -> None:
    """By hand, with no main process, NoneBot works as with `nb run`."""
    code = f"from {MIXIN} import run; run()"
    write_files(project, {"pyproject.toml": TABLES})
    with running(project, environment, "-c", code) as program:
        program.wait_for_line(r"\] driver: fastapi\+liteyuki, ours: True$")
        program.wait_for_line("Uvicorn running on")
        assert program.stop() == 0
        assert "Traceback" not in program.output


def test_importing_it_imports_no_nonebot(tmp_path: Path, environment: dict[str, str]) -> None:
    """NoneBot is imported when it is launched, not with the module."""
    code = f"""
        import sys
        import {MIXIN}
        print([name for name in sys.modules if name.partition(".")[0] == "nonebot"])
    """
    assert python(code, tmp_path, environment).stdout.strip() == "[]"


def test_what_a_fork_server_imports_starts_nothing(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    """It opens nothing, reads no settings, and has no chance of its own that copies would share."""
    write_files(tmp_path, {".env": "DRIVER=~none\nHOST=here\n"})
    result = python(
        """
        import gc, logging, os, random, signal, sys, threading
        from importlib import import_module
        before, opened = dict(os.environ), []
        folder = os.getcwd()
        sys.addaudithook(lambda event, args: opened.append((event, args[0])) if event in (
            "socket.__new__", "subprocess.Popen", "os.fork", "os.putenv", "os.chdir"
        ) or event == "open" and str(args[0]).startswith((folder, ".")) else None)
        from liteyuki_core.frameworks.nonebot import PRELOADED
        files = sorted(os.listdir("/proc/self/fd")) if sys.platform == "linux" else []
        for name in PRELOADED:
            import_module(name)
        assert not opened, opened
        assert dict(os.environ) == before
        assert threading.enumerate() == [threading.main_thread()]
        if files:
            assert sorted(os.listdir("/proc/self/fd")) == files
            assert len(os.listdir("/proc/self/task")) == 1
        chances = [
            each for each in gc.get_objects()
            if isinstance(each, random.Random) and not isinstance(each, random.SystemRandom)
        ]
        assert len(chances) <= 1, chances  # Python's own draws anew after a fork.
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        assert not logging.root.handlers
        assert "nonebot" not in sys.modules
        assert "asyncio" not in sys.modules or sys.modules["asyncio"]._get_running_loop() is None
        print("nothing started")
        """,
        tmp_path,
        environment,
    )
    assert result.stdout.strip() == "nothing started", result.stdout
