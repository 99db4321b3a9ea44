"""Code of LiteyukiBot v6, run as it is: its page of channels, its plugins, its main.py, its reload.

Tests compat/__main__.py, compat/launch.py, compat/v6/liteyuki/bot/lifespan.py,
compat/v6/liteyuki/comm/channel.py, compat/v6/liteyuki/core/manager.py,
compat/v6/liteyuki/dev/observer.py, compat/v6/liteyuki/message/event.py,
compat/v6/liteyuki/message/on.py, compat/v6/liteyuki/session/on.py,
compat/v6/liteyuki/session/matcher.py, compat/v6/liteyuki/plugin/load.py,
compat/v6/croterline/process.py, compat/v6/croterline/context.py, compat/v6/croterline/utils.py.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.compat.projects import CHECKOUT, NEWER, OLDER, v6
from tests.program import Environment, Program, stopped_by_itself
from tests.session.onebot import Client, address_of, onebot

PAGE_MAIN = """\
import asyncio

from liteyuki.comm import get_channel, Channel
from liteyuki import get_bot

# get_channel函数获取通道对象，参数为调用set_channel时的通道标识
channel_passive = get_channel("nonebot-passive")  # 获取被动通道
channel_active = get_channel("nonebot-active")  # 获取主动通道
liteyuki_bot = get_bot()


# 注册一个函数在轻雪启动后运行
@liteyuki_bot.on_after_start
async def send_data():
    while True:
        channel_passive.send("I am liteyuki main process passive")
        channel_active.send("I am liteyuki main process active")
        await asyncio.sleep(3)  # 每3秒发送一次消息
"""

PAGE_CHILD = """\
from nonebot import get_driver
from liteyuki.comm import active_channel, passive_channel  # 子进程中获取通道直接导入进程全局单例即可
from liteyuki.log import logger

driver = get_driver()


# 被动模式，通过装饰器注册一个函数在接收到消息时运行，每次接收到字符串数据时都会运行
@passive_channel.on_receive(filter_func=lambda data: isinstance(data, str))
async def on_passive_receive(data):
    logger.info(f"Passive receive: {data}")


# 注册一个函数在NoneBot启动后运行
@driver.on_startup
def on_startup():
    while True:
        data = active_channel.receive()
        logger.info(f"Active receive: {data}")
"""

LAUNCHER = """
    import nonebot
    from liteyuki import get_bot
    from liteyuki.utils import IS_MAIN_PROCESS

    def run(**config):
        nonebot.init(driver="~fastapi", **config)
        nonebot.load_plugin("page_child")
        nonebot.run()

    if IS_MAIN_PROCESS:
        bot = get_bot()

        @bot.on_before_start
        def add():
            bot.process_manager.add_target("nonebot", run, kwargs=bot.config["nonebot"])
"""


def says(client: Client, text: str, answer: str, number: int, **where: int) -> None:
    """Say something, and take the answer."""
    client.say(text, number=number, **where)
    call = client.take_call()
    assert call["params"]["message"] in (answer, [{"type": "text", "data": {"text": answer}}])
    assert call["params"].items() >= ({"group_id": where["group"]} if where else {}).items()
    client.answer(call)


def started(program: Program, life: int = 1) -> str:
    """Wait for NoneBot in a life of its child; return its address. To import it takes a while."""
    program.wait_for_line("process nonebot is ready", count=life, timeout=90)
    return address_of(program, life)


def ended(program: Program) -> None:
    """Stop a bot, and see that it went well."""
    assert program.stop() == 0
    assert stopped_by_itself(program), program.output


def test_the_documented_page(tmp_path: Path, environment: Environment) -> None:
    """Both halves as they stand there. The launcher asks for a driver, and gets the mixin too."""
    files = {
        **CHECKOUT,
        "src/liteyuki_plugins/a_page.py": PAGE_MAIN,
        "src/liteyuki_plugins/b_launcher.py": LAUNCHER,
        "page_child.py": PAGE_CHILD,
    }
    with v6(tmp_path, environment, files) as program:
        for kind in ("passive", "active"):
            line = f"{kind.capitalize()} receive: I am liteyuki main process {kind}$"
            program.wait_for_line(line, count=2, timeout=60)
        program.wait_for_line("process nonebot is ready")
        ended(program)


STOPS = """\
from nonebot import get_driver
from liteyuki.comm import active_channel


@get_driver().on_startup
def stop():
    active_channel.send(0)
"""


def test_a_child_stops_itself(tmp_path: Path, environment: Environment) -> None:
    """By `send(0)`, as it restarts itself by `send(1)`. It is not started again."""
    files = {
        **CHECKOUT,
        "src/liteyuki_plugins/b_launcher.py": LAUNCHER,
        "page_child.py": STOPS,
    }
    with v6(tmp_path, environment, files) as program:
        program.wait_for_line("process nonebot has asked for a stop of nonebot", timeout=60)
        program.wait_for_line("process nonebot exited with code 0")
        assert len(program.found("process nonebot started")) == 1
        ended(program)


def test_the_plugins_of_6_3_9(tmp_path: Path, environment: Environment) -> None:
    """All ten load, two answer, hooks without arguments are called; a child restarts itself."""
    with v6(tmp_path, environment, OLDER) as program:
        address = started(program)
        program.wait_for_line("hooks: about to start")
        with onebot(address) as client:
            says(client, "你好轻雪", "你好呀", 1)
            says(client, "show me more", "No dislink", 2, group=5)
            client.say("reload-liteyuki", number=3)
            client.answer(client.take_call())
            program.wait_for_line("process nonebot has asked for a restart of nonebot")
        with onebot(started(program, 2)) as client:
            program.wait_for_line("hooks: restarted")
            says(client, "你好轻雪", "你好呀", 4)
        assert len(program.found("plugin .* is loaded from")) == 10
        assert program.found("hooks: a process is about to be restarted")
        ended(program)
    assert program.found("hooks: a process is about to stop")
    assert (tmp_path / "data" / "system.json").exists()


def test_the_plugins_of_branch_v6(tmp_path: Path, environment: Environment) -> None:
    """All eight load; what NoneBot pushes on croterline's channel comes; reload by `send(1)`."""
    config = "melobot: {token: abc}"
    with v6(tmp_path, environment, NEWER, config=config, LITEYUKI_LOG_LEVEL="DEBUG") as program:
        program.wait_for_line(r"melobot got \(\) \{'token': 'abc'\}", timeout=60)
        with onebot(started(program)) as client:
            client.say("is pushed", number=1)
            program.wait_for_line("from a child: 'is pushed'")
            client.say("reload-liteyuki", number=3)
            client.answer(client.take_call())
        started(program, 2)
        assert len(program.found("plugin .* is loaded from")) == 8
        ended(program)


def test_the_reload_of_v6(tmp_path: Path, environment: Environment) -> None:
    """A file that changes where v6's own watcher looks has the child restarted."""
    pytest.importorskip("watchdog")
    with v6(tmp_path, environment, OLDER, config="liteyuki: {reload: true}") as program:
        started(program)
        changed = tmp_path / "src" / "nonebot_plugins" / "empty.py"
        changed.write_text("x = 1\n", encoding="utf-8")
        started(program, 2)
        ended(program)
