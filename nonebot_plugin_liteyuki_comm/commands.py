"""Chat commands of superusers: `liteyuki status`, `liteyuki restart` and `liteyuki logs`.

All is asked of the bot's control socket, in worker threads.

Whoever asks for a restart is told afterwards, in the same conversation, exactly once: also when the
process that was asked is the one that restarts, and when it crashes meanwhile. So what is to be
told stands in the shared store before anything happens, with the event that it answers. A life of
this process marks it as its own before it sends: no other life sends it again. If it dies just
then, nobody knows whether it was sent, and the log says so.

Ownership. `Commands` owns its tasks, which NoneBot's lifespan starts and ends. Only NoneBot's loop
uses it.
"""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import time
from collections.abc import Coroutine
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from nonebot import on_command
from nonebot.adapters import Bot, Event, Message
from nonebot.params import CommandArg
from nonebot.permission import SUPERUSER

from liteyuki_core.comm import shared_memory
from liteyuki_core.errors import LiteyukiError
from liteyuki_core.language import Phrase, say
from liteyuki_core.log import logger
from liteyuki_core.units import in_bytes, in_words

from .bots import wait_bot
from .plain import plain

if TYPE_CHECKING:
    from nonebot.drivers import Driver

_WAIT_SECONDS = 600.0
"""So long a restart may take, and so long a bot may be away after it."""
_KEPT_SECONDS = 3600.0
"""So long the store remembers a restart: an event that comes again asks for no second one."""
_STEP_SECONDS = 1.0
_LINES, _MOST_LINES = 20, 100
_MOST_CHARACTERS = 3000
"""Chat services take no longer messages."""
_ARGUMENTS: Any = CommandArg()
_STATES = {
    "starting": Phrase("starting"),
    "running": Phrase("running"),
    "stopping": Phrase("about to stop"),
    "backoff": Phrase("waits for its restart"),
    "stopped": Phrase("stopped"),
    "failed": Phrase("failed"),
}
_ACCOUNT_STATES = {
    "online": Phrase("online"),
    "offline": Phrase("offline"),
    "disconnected": Phrase("disconnected"),
}
_OPEN, _BEING_TOLD, _TOLD = "open", "being told", "told"


def add(driver: Driver, process: str) -> None:
    """Add the commands, if there is anybody who may give them."""
    if not driver.config.superusers:
        return
    commands = Commands(process)
    matcher = on_command("liteyuki", permission=SUPERUSER, priority=1, block=True)

    @matcher.handle()
    async def answer(bot: Bot, event: Event, arguments: Message[Any] = _ARGUMENTS) -> None:
        await commands.answer(bot, event, arguments.extract_plain_text().split())

    driver.on_startup(commands.start)
    driver.on_shutdown(commands.end)


class Commands:
    """Answers superusers in the process of this name."""

    def __init__(self, process: str) -> None:
        self._process = process
        self._asked = shared_memory.namespace("nonebot_plugin_liteyuki_comm").namespace(process)
        self._tasks: set[asyncio.Task[None]] = set()

    # ------------------------------------------------------------- the lifespan

    async def start(self) -> None:
        """Go on with what the life before this one has begun. Does not wait."""
        self._begin(self._go_on())

    async def end(self) -> None:
        """End what is under way: the next life goes on with it."""
        tasks = set(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name="liteyuki-commands")
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            logger.opt(exception=task.exception()).error(
                say("the end of a restart can't be told: {error!r}", error=task.exception())
            )

    async def _go_on(self) -> None:
        for key, asked in await self._asked.async_items():
            if asked["state"] == _OPEN:
                self._begin(self._tell(key, asked))
            elif asked["state"] == _BEING_TOLD:
                logger.warning(
                    say(
                        "bot {bot} was about to tell of the restart of {name} when its process "
                        "died: nobody knows whether it was sent",
                        bot=asked["bot"],
                        name=asked["name"],
                    )
                )
                await self._asked.async_set(key, {**asked, "state": _TOLD}, ttl=_KEPT_SECONDS)

    # ------------------------------------------------------------- the commands

    async def answer(self, bot: Bot, event: Event, words: list[str]) -> None:
        """Do what a superuser has asked for, and answer."""
        verb, *rest = words or ["help"]
        try:
            if verb == "status" and not rest:
                text = await _status()
            elif verb == "restart" and len(rest) <= 1:
                await self._restart(bot, event, *(rest or [self._process]))
                return
            elif verb == "logs" and len(rest) <= 2:
                text = await _logs(rest)
            else:
                text = say("liteyuki status\nliteyuki restart [NAME]\nliteyuki logs [NAME] [LINES]")
        except LiteyukiError as error:
            text = str(error)
        await bot.send(event, text)

    async def _restart(self, bot: Bot, event: Event, name: str) -> None:
        await _ask("GET", f"/processes/{name}")  # Before anything is said: it may be misspelled.
        key = _key(bot, event)
        asked = {
            "state": _OPEN,
            "name": name,
            "bot": bot.self_id,
            "event": pickle.dumps(event),
            "at": time.time(),
            "life": os.getpid(),
        }
        if await self._asked.async_get(key) is not None:
            return  # The event has come again, because its process died before it was handled.
        await self._asked.async_set(key, asked, ttl=_KEPT_SECONDS)
        try:
            await bot.send(event, say("restarting {name}", name=name))
        except Exception as error:  # Whatever an adapter raises. Perhaps this is why they restart.
            logger.warning(
                say(
                    "bot {bot} could not say that {name} restarts: {error!r}",
                    bot=bot.self_id,
                    name=name,
                    error=error,
                )
            )
        try:
            await _ask("POST", f"/processes/{name}/restart")
        except LiteyukiError:
            await self._asked.async_delete(key)
            raise
        if name != self._process:  # Otherwise the next life tells.
            self._begin(self._tell(key, asked))

    async def _tell(self, key: str, asked: dict[str, Any]) -> None:
        """Tell of a restart when it is over, unless another life has."""
        try:
            await _running(asked["name"])
            seconds = time.time() - asked["at"]
            text = say("{name} restarted in {seconds:.1f} s", name=asked["name"], seconds=seconds)
        except LiteyukiError as error:
            text = str(error)
        bot = await wait_bot(asked["bot"], _WAIT_SECONDS)
        mine = {**asked, "state": _BEING_TOLD}
        if not await self._asked.async_compare_and_set(key, asked, mine):
            return
        await bot.send(pickle.loads(asked["event"]), text)
        await self._asked.async_set(key, {**asked, "state": _TOLD}, ttl=_KEPT_SECONDS)


def _key(bot: Bot, event: Event) -> str:
    """Return what is the same for an event that comes again."""
    text = json.dumps([bot.self_id, plain(event)], default=str, sort_keys=True)
    return sha256(text.encode()).hexdigest()[:32]


async def _ask(verb: str, path: str, **more: Any) -> Any:
    from liteyuki_core.control import Client  # Nobody needs it before the first command.

    return await asyncio.to_thread(Client().ask, verb, path, **more)


async def _running(name: str) -> None:
    """Wait until a process runs. Raises `LiteyukiError` if it will not."""
    # In short steps: NoneBot's end would wait for a thread that waits.
    until = time.monotonic() + _WAIT_SECONDS
    while True:
        try:
            await _ask("POST", f"/processes/{name}/wait", body={"timeout": _STEP_SECONDS})
            return
        except LiteyukiError as error:
            if getattr(error, "kind", "") != "ProcessTimeout" or time.monotonic() > until:
                raise


# ------------------------------------------------------------- texts


async def _status() -> str:
    found = await _ask("GET", "/status")
    head = say(
        "LiteyukiBot {version}, up {uptime}, {memory}",
        version=found["version"],
        uptime=in_words(found["uptime"]),
        memory=in_bytes(found["memory"]),
    )
    return "\n".join([head, *map(_line, found["processes"]), *map(_account, found["accounts"])])


def _line(process: dict[str, Any]) -> str:
    state = _STATES[process["state"]]
    if process["pid"] is None:
        ends = f"{process['outcome']}" if process["outcome"] else "-"
        return say("{name}: {state}, {more}", name=process["name"], state=state, more=ends)
    return say(
        "{name}: {state}, up {uptime}, {restarts} restarts, {memory}",
        name=process["name"],
        state=state,
        uptime=in_words(process["uptime"]),
        restarts=process["restarts"],
        memory=in_bytes(process["memory"]),
    )


def _account(account: dict[str, Any]) -> str:
    name = f"{account['nickname']} ({account['id']})" if account["nickname"] else account["id"]
    state = _ACCOUNT_STATES[account["state"]]
    return say("{name}: {state}, {more}", name=name, state=state, more=account["adapter"])


async def _logs(words: list[str]) -> str:
    lines = _LINES
    if words and words[-1].isdecimal():
        lines = min(int(words.pop()), _MOST_LINES)
    query = {"lines": lines, **({"process": words[0]} if words else {})}
    if words and words[0] != "main":
        await _ask("GET", f"/processes/{words[0]}")  # Raises an error that names those there are.
    found = [line["text"] for line in await _ask("GET", "/log", query=query)]
    text = "\n".join(found)[-_MOST_CHARACTERS:]
    return text or say("no lines")
