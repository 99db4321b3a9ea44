"""The files of a new project, for `liteyuki init`.

`tests/cli/test_init.py` runs such a project and its tests.
"""

from __future__ import annotations

_GITIGNORE = """__pycache__/
.env
.liteyuki/
.liteyuki.lock
.pytest_cache/
"""

_REQUIREMENTS = """nonebot-plugin-liteyuki-comm[cli,testing]
"""

_CI = """name: test

on: [push, pull_request]

jobs:
  test:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-python@v5
        with:
          python-version: "3.12"
      - run: python -m pip install -r requirements.txt
      - run: python -m pytest
"""

_PYTEST = """
[tool.pytest.ini_options]
pythonpath = ["."]
testpaths = ["tests"]
"""

_NONEBOT = {
    "bot.py": """from liteyuki_core import LiteyukiBot

if __name__ == "__main__":
    bot = LiteyukiBot()
    bot.add_process("nonebot", "liteyuki_core.frameworks.nonebot:run")
    bot.add_workers("workers", 2)
    bot.run()
""",
    "pyproject.toml": f"""[tool.liteyuki]
plugin_dirs = ["src/main_plugins"]

[tool.nonebot]
plugin_dirs = ["src/plugins"]

[tool.nonebot.adapters]
nonebot-adapter-onebot = [{{ name = "OneBot V11", module_name = "nonebot.adapters.onebot.v11" }}]

[tool.nonebot.plugins]
nonebot-plugin-liteyuki-comm = ["nonebot_plugin_liteyuki_comm"]
{_PYTEST}""",
    ".env": """# OneBot implementations connect to ws://HOST:PORT/onebot/v11/ws
HOST=127.0.0.1
PORT=8080
# ONEBOT_ACCESS_TOKEN=
""",
    "src/plugins/forward.py": '''"""Hands group messages to the main process. It runs in NoneBot."""

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

from liteyuki_core import get_channel, workers

from src.primes import count_primes

answers = get_channel("nonebot-passive")


@get_channel("nonebot-active").on_receive()
async def on_message(message):
    words = message["text"].split()
    if words == ["ping"]:
        await answers.async_send({**message, "text": "pong"})
    elif len(words) == 2 and words[0] == "primes" and words[1].isdecimal():
        count = await workers("workers").async_call(count_primes, int(words[1]))
        await answers.async_send({**message, "text": f"{count} primes"})
''',
    "src/primes.py": '''"""Work that takes long. The workers run it, so nobody else waits for it."""


def count_primes(limit):
    """Return how many prime numbers there are below `limit`."""
    sieve = [True] * limit
    sieve[:2] = [False] * len(sieve[:2])
    for number in range(2, int(limit**0.5) + 1):
        if sieve[number]:
            for multiple in range(number * number, limit, number):
                sieve[multiple] = False
    return sum(sieve)
''',
    "tests/test_forward.py": '''\
"""The NoneBot plugin in a real NoneBot, whose main process is the test."""


def test_a_group_message_and_its_answer(liteyuki_app):
    liteyuki_app.add_nonebot()
    said = liteyuki_app.onebot(10001).says("hello", group=5000)
    message = {"bot": "10001", "group": 5000, "text": "hello"}
    liteyuki_app.channel("nonebot-active").should_receive(message)
    liteyuki_app.channel("nonebot-passive").send({**message, "text": "hello to you"})
    said.should_reply("hello to you")
''',
    "tests/test_answers.py": '''\
"""The plugin of the main process: a child of the test takes NoneBot's place."""

from liteyuki_core.comm import active_channel, passive_channel


def says(text):  # The child imports this file and calls this function.
    active_channel.send({"bot": "10001", "group": 5000, "text": text})
    for answer in passive_channel:
        print("answer:", answer["text"], flush=True)


def test_ping(liteyuki_app):
    liteyuki_app.add("nonebot", says, args=("ping",))
    liteyuki_app.load_plugin("src/main_plugins/answers.py")
    liteyuki_app.log.should_contain("answer: pong", process="nonebot")
''',
    "tests/test_primes.py": '''"""What the workers run, in a worker."""

from liteyuki_core import workers

from src.primes import count_primes


def test_a_worker_counts(liteyuki_app):
    liteyuki_app.bot.add_workers("workers", 1)
    liteyuki_app.ready()
    assert [workers("workers").call(count_primes, limit) for limit in (0, 3, 100)] == [0, 1, 25]
''',
    "tests/test_bot.py": '''"""All of it together, as somebody in a group sees it."""


def test_somebody_asks(liteyuki_app):
    liteyuki_app.add_nonebot()
    liteyuki_app.bot.add_workers("workers", 1)
    liteyuki_app.load_plugin("src/main_plugins/answers.py")
    account = liteyuki_app.onebot(10001)
    account.says("ping", group=5000).should_reply("pong")
    account.says("primes 100", group=5000).should_reply("25 primes")
    account.says("nothing", group=5000).should_not_reply(within=0.2)
''',
}

_NONEBOT_README = {
    "en": """# A LiteyukiBot

```bash
python -m pip install -r requirements.txt
liteyuki run
```

OneBot v11 implementations connect to `ws://127.0.0.1:8080/onebot/v11/ws`; `.env` says where.
Say `ping` in a group: the answer is `pong`. Say `primes 1000000`: a worker counts.

| file | runs in | does |
|---|---|---|
| `src/plugins/forward.py` | NoneBot | hands group messages to the main process, sends its answers |
| `src/main_plugins/answers.py` | the main process | answers |
| `src/primes.py` | the workers | what takes long |
| `bot.py` | the main process | says which processes there are |

`python -m pytest` runs the tests, with real processes: one for each plugin, one for the workers,
one for all together.
""",
    "zh": """# LiteyukiBot 项目

```bash
python -m pip install -r requirements.txt
liteyuki run
```

OneBot v11 实现连接 `ws://127.0.0.1:8080/onebot/v11/ws`，地址和端口在 `.env` 里改。
在群里发 `ping`，会回 `pong`；发 `primes 1000000`，由工作进程去数有多少个质数。

| 文件 | 在哪里运行 | 做什么 |
|---|---|---|
| `src/plugins/forward.py` | NoneBot | 把群消息交给主进程，再把回答发出去 |
| `src/main_plugins/answers.py` | 主进程 | 回答消息 |
| `src/primes.py` | 工作进程 | 耗时的活 |
| `bot.py` | 主进程 | 写明有哪些进程 |

`python -m pytest` 用真实的进程运行测试：每种插件一个，工作进程一个，合起来再一个。
""",
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
    "pyproject.toml": f"""[tool.liteyuki]
plugin_dirs = ["src/main_plugins"]
{_PYTEST}""",
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
    "tests/test_worker.py": '''"""What the child runs: the test is its main process."""


def test_the_worker_answers(liteyuki_app):
    liteyuki_app.add("worker", "worker:run")
    liteyuki_app.ready("worker")
    channel = liteyuki_app.channel("worker-active")
    channel.send("hello")
    channel.should_receive("HELLO")
''',
    "tests/test_greeting.py": '''"""The plugin of the main process, and the child that it greets."""


def test_the_worker_is_greeted(liteyuki_app):
    liteyuki_app.add("worker", "worker:run")
    liteyuki_app.load_plugin("src/main_plugins/greeting.py")
    liteyuki_app.log.should_contain("the worker answers: HELLO", process="main")
''',
}

_PLAIN_README = {
    "en": """# A LiteyukiBot

```bash
python -m pip install -r requirements.txt
liteyuki run
```

`worker.py` is what the child process runs, `src/main_plugins/greeting.py` a plugin of the main
process, which sends to it. `bot.py` says which processes there are.

`python -m pytest` runs the tests, with real processes.
""",
    "zh": """# LiteyukiBot 项目

```bash
python -m pip install -r requirements.txt
liteyuki run
```

`worker.py` 是子进程运行的内容，`src/main_plugins/greeting.py` 是主进程的插件，向它发消息；
`bot.py` 写明有哪些进程。

`python -m pytest` 用真实的进程运行测试。
""",
}

_KINDS = {"nonebot": (_NONEBOT, _NONEBOT_README), "plain": (_PLAIN, _PLAIN_README)}

NAMES = tuple(_KINDS)
"""The names of the templates."""


def template(name: str, language: str) -> dict[str, str]:
    """Return the text of each file by its path. The README is in this language, "zh" or "en"."""
    files, readme = _KINDS[name]
    return {
        **files,
        "README.md": readme[language],
        "requirements.txt": _REQUIREMENTS,
        ".gitignore": _GITIGNORE,
        ".github/workflows/test.yml": _CI,
    }
