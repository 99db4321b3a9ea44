"""Measure what a reload of NoneBot costs: with `nb run --reload`, and with this.

A OneBot v11 client numbers group messages every 5 ms, while a plugin of the bot is changed again
and again; five other plugins come from the store. `python benchmarks/reload.py` prints, for each
way, the longest time in which no event was handled, a reload, and how many events were lost.
`--help` tells the options. A client that loses its connection connects again after `--retry`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import socket
import statistics
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from subprocess import DEVNULL, Popen
from typing import Any, NamedTuple

from table import machine, print_facts
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

PLUGINS = (
    "nonebot_plugin_alconna",
    "nonebot_plugin_apscheduler",
    "nonebot_plugin_localstore",
    "nonebot_plugin_uninfo",
    "nonebot_plugin_waiter",
)
THIS = """
from liteyuki_core import LiteyukiBot

if __name__ == "__main__":
    bot = LiteyukiBot()
    bot.add_process("nonebot", "liteyuki_core.frameworks.nonebot:run", gateway=True)
    bot.run()
"""
PYPROJECT = f"""
[tool.nonebot]
plugin_dirs = ["plugins"]
plugins = {list(PLUGINS)}
adapters = [{{ name = "OneBot V11", module_name = "nonebot.adapters.onebot.v11" }}]
"""
PLUGIN = """
from nonebot import on_message

@on_message().handle()
async def answer(bot, event):
    await bot.send(event, event.get_plaintext())
"""
ACCOUNT = 10001


class Found(NamedTuple):
    """What the client of one bot has seen. Times are in seconds."""

    gaps: list[float]
    sent: int
    lost: int
    doubled: int
    broken: int
    """How often its connection broke."""


class Client:
    """A OneBot v11 implementation that numbers messages."""

    def __init__(self, port: int, retry: float) -> None:
        self._url = f"ws://127.0.0.1:{port}/onebot/v11/ws"
        self._retry = retry
        self.sent = 0
        self.answered: list[tuple[float, int]] = []
        self.broken = 0
        self.stops = False

    async def run(self) -> None:
        headers = {"X-Self-ID": str(ACCOUNT), "X-Client-Role": "Universal"}
        while not self.stops:
            try:
                async with connect(self._url, additional_headers=headers, proxy=None) as socket:
                    saying = asyncio.create_task(self._say(socket))
                    try:
                        await self._answer(socket)
                    finally:
                        saying.cancel()
            except (OSError, ConnectionClosed, InvalidHandshake):
                pass
            if self.answered and not self.stops:
                self.broken += 1
            await asyncio.sleep(self._retry if self.answered else 0.1)

    async def _say(self, socket: Any) -> None:
        begin: dict[str, Any] = {"post_type": "meta_event", "meta_event_type": "lifecycle"}
        await socket.send(
            json.dumps({**begin, "time": 1, "self_id": ACCOUNT, "sub_type": "connect"})
        )
        while not self.stops:
            text = str(self.sent)
            event = {
                **{"time": int(time.time()), "self_id": ACCOUNT, "post_type": "message"},
                **{"message_type": "group", "sub_type": "normal", "message_id": self.sent},
                **{"group_id": 5000, "user_id": 7000, "anonymous": None, "font": 0},
                "message": [{"type": "text", "data": {"text": text}}],
                **{"raw_message": text, "sender": {"user_id": 7000}},
            }
            self.sent += 1
            await socket.send(json.dumps(event))
            await asyncio.sleep(0.005)

    async def _answer(self, socket: Any) -> None:
        async for frame in socket:
            call = json.loads(frame)
            message = call["params"]["message"]
            text = message if isinstance(message, str) else message[0]["data"]["text"]
            self.answered.append((time.monotonic(), int(text)))
            answer = {"status": "ok", "retcode": 0, "data": {"message_id": 1}}
            await socket.send(json.dumps({**answer, "echo": call["echo"]}))


async def measure(command: list[str], reloads: int, retry: float, pause: float) -> Found:
    """Run a bot, change its plugin `reloads` times, and return what its client has seen."""
    with tempfile.TemporaryDirectory() as name, socket.socket() as free:
        folder = Path(name)
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        (folder / "plugins").mkdir()
        files = {"bot.py": THIS, "pyproject.toml": PYPROJECT, "plugins/one.py": PLUGIN}
        if "run" in command:
            del files["bot.py"]  # `nb` would run it.
        for path, text in files.items():
            (folder / path).write_text(text)
        settings = {"HOST": "127.0.0.1", "PORT": str(port), "LITEYUKI_RELOAD": "true"}
        environment = {**os.environ, **settings, "LOG_LEVEL": "WARNING"}
        process = Popen(
            command,
            cwd=folder,
            env=environment,
            stdout=DEVNULL,
            stderr=DEVNULL,
            start_new_session=True,
        )
        try:
            return await _watched(process, folder, Client(port, retry), reloads, pause)
        finally:
            os.killpg(process.pid, signal.SIGINT)
            try:
                process.wait(15)
            except Exception:
                os.killpg(process.pid, signal.SIGKILL)


async def _watched(
    process: Popen[bytes], folder: Path, client: Client, reloads: int, pause: float
) -> Found:
    running = asyncio.create_task(client.run())
    try:
        deadline = time.monotonic() + 60
        while not client.answered:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the bot does not answer")
            await asyncio.sleep(0.1)
        await asyncio.sleep(pause)
        gaps = []
        for number in range(reloads):
            begun = time.monotonic()
            (folder / "plugins" / "new").write_text(f"{PLUGIN}# {number}\n")
            os.replace(folder / "plugins" / "new", folder / "plugins" / "one.py")
            await asyncio.sleep(pause)
            times = [begun, *(at for at, _ in client.answered if at > begun), time.monotonic()]
            gaps.append(max(later - at for at, later in pairwise(times)))
    finally:
        client.stops = True
    await asyncio.sleep(1)
    running.cancel()
    texts = [number for _, number in client.answered]
    unique = set(texts)
    return Found(
        gaps, client.sent, client.sent - len(unique), len(texts) - len(unique), client.broken
    )


def main() -> None:
    """Measure both ways in turns, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reloads", type=int, default=5, help="of each bot, default 5")
    parser.add_argument("--pairs", type=int, default=2, help="how many turns, default 2")
    parser.add_argument("--retry", type=float, default=1.0, help="seconds, default 1")
    parser.add_argument("--pause", type=float, default=5.0, help="seconds between changes, 5")
    options = parser.parse_args()
    nb = [sys.executable, "-m", "nb_cli", "-py", sys.executable, "run", "--reload"]
    ways = {"`nb run --reload`": nb, "LiteyukiBot, with gateway": [sys.executable, "bot.py"]}
    found: dict[str, list[Found]] = {way: [] for way in ways}
    for _ in range(options.pairs):
        for way, command in ways.items():
            measured = measure(command, options.reloads, options.retry, options.pause)
            found[way].append(asyncio.run(measured))
    print_facts(machine(uvloop=True))
    print(
        "| | no event handled for, median (longest) | events lost | doubled | connections broken |"
    )
    print("|---|---|---|---|---|")
    for way, each in found.items():
        gaps = [gap for one in each for gap in one.gaps]
        sent, lost = sum(one.sent for one in each), sum(one.lost for one in each)
        print(
            f"| {way} | {statistics.median(gaps):.2f} s ({max(gaps):.2f} s) | {lost} of {sent} | "
            f"{sum(one.doubled for one in each)} | {sum(one.broken for one in each)} |"
        )


if __name__ == "__main__":
    main()
