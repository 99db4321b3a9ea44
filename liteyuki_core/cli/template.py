"""The files of a new project, for `liteyuki init`."""

from __future__ import annotations

_TEST = '''"""The bot starts, its processes run, and it stops."""

import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent


def liteyuki(*arguments):
    command = [sys.executable, "-m", "liteyuki_core.cli", *arguments]
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=120)


def test_the_bot_runs():
    started = liteyuki("run", "-d")
    try:
        assert started.returncode == 0, started.stdout + started.stderr
        assert liteyuki("status").returncode == 0
    finally:
        assert liteyuki("shutdown").returncode == 0
'''

_GITIGNORE = """__pycache__/
.env
.liteyuki/
.liteyuki.lock
"""

_NONEBOT = {
    "bot.py": """from liteyuki_core import LiteyukiBot

if __name__ == "__main__":
    bot = LiteyukiBot()
    bot.add_process("nonebot", "liteyuki_core.frameworks.nonebot:run")
    bot.run()
""",
    "pyproject.toml": """[tool.liteyuki]
plugin_dirs = ["src/main_plugins"]

[tool.nonebot]
plugin_dirs = ["src/plugins"]

[tool.nonebot.adapters]
nonebot-adapter-onebot = [{ name = "OneBot V11", module_name = "nonebot.adapters.onebot.v11" }]

[tool.nonebot.plugins]
nonebot-plugin-liteyuki-comm = ["nonebot_plugin_liteyuki_comm"]

[tool.pytest.ini_options]
asyncio_mode = "auto"
asyncio_default_fixture_loop_scope = "session"
""",
    ".env": """# OneBot implementations connect to ws://HOST:PORT/onebot/v11/ws
HOST=127.0.0.1
PORT=8080
# ONEBOT_ACCESS_TOKEN=
""",
    "src/plugins/forward.py": '''"""Hands group messages to the main process."""

from nonebot import get_bot, on_message, require
from nonebot.adapters.onebot.v11 import Bot, GroupMessageEvent

require("nonebot_plugin_liteyuki_comm")
from nonebot_plugin_liteyuki_comm import active_channel, passive_channel

message = on_message()


@message.handle()
async def to_main(bot: Bot, event: GroupMessageEvent):
    await active_channel.async_send(
        {"bot": bot.self_id, "group": event.group_id, "text": event.get_plaintext()}
    )


@passive_channel.on_receive()
async def from_main(answer):
    bot = get_bot(answer["bot"])
    await bot.send_group_msg(group_id=answer["group"], message=answer["text"])
''',
    "src/main_plugins/answers.py": '''"""Answers what groups say. It runs in the main process."""

from liteyuki_core import get_channel

ANSWERS = {"ping": "pong"}
answers = get_channel("nonebot-passive")


@get_channel("nonebot-active").on_receive()
async def on_message(message):
    if message["text"] in ANSWERS:
        await answers.async_send({**message, "text": ANSWERS[message["text"]]})
''',
}

_PLAIN = {
    "bot.py": """from liteyuki_core import LiteyukiBot

if __name__ == "__main__":
    bot = LiteyukiBot()
    bot.add_process("worker", "worker:run")
    bot.run()
""",
    "worker.py": '''"""What the child process runs."""

from liteyuki_core.comm import active_channel


def run():
    for text in active_channel:
        active_channel.send(text.upper())
''',
    "pyproject.toml": """[tool.liteyuki]
plugin_dirs = ["src/main_plugins"]
""",
    ".env": """# LITEYUKI_LOG_LANG=en
""",
    "src/main_plugins/greeting.py": '''"""Greets the worker from the main process."""

from liteyuki_core import get_bot, get_channel, logger

channel = get_channel("worker-active")


@channel.on_receive()
async def on_answer(text):
    logger.info(f"the worker answers: {text}")


@get_bot().on_after_start
async def greet():
    await channel.async_send("hello")
''',
}

TEMPLATES = {
    name: {**files, "tests/test_bot.py": _TEST, ".gitignore": _GITIGNORE}
    for name, files in (("nonebot", _NONEBOT), ("plain", _PLAIN))
}
"""The text of each file by its path, by the name of the template."""
