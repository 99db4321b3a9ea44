"""Tells the main process which bots are connected, and whether they are logged in.

NoneBot says when a bot connects and disconnects. A OneBot v11 implementation whose account was
logged out stays connected. It says so in its heartbeats (`status.online`), and NapCat and Lagrange
do in a notice `bot_offline`. Nothing is asked again and again. go-cqhttp's notice `client_status`
is about other devices of the account.

Ownership. The `Teller` owns a timer while something has changed a moment ago, and the tasks that
ask for nicknames. Only NoneBot's loop uses it.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from nonebot.adapters import Bot

from liteyuki_core.comm.current import current
from liteyuki_core.comm.wire import words

if TYPE_CHECKING:
    from nonebot.drivers import Driver

_GATHER_SECONDS = 0.05
"""Changes of this time are told together, so that a thousand bots may connect at once."""

_ONEBOT = "nonebot.adapters.onebot.v11.bot"


def watch(driver: Driver) -> Teller:
    """Tell the main process of the accounts of this NoneBot from now on."""
    teller = Teller()

    @driver.on_bot_connect
    async def connected(bot: Bot) -> None:
        teller.connected(bot)

    @driver.on_bot_disconnect
    async def disconnected(bot: Bot) -> None:
        teller.disconnected(bot)

    teller.look_at_events()
    driver.on_startup(teller.look_at_events)  # Adapters may be registered after plugins are loaded.
    driver.on_shutdown(teller.end)
    return teller


class Teller:
    """Knows how each connected bot is, and tells the main process of each change."""

    def __init__(self) -> None:
        self._bots: dict[Bot, tuple[str, str]] = {}
        """The bots that are connected: state and nickname."""
        self._changes: list[words.Account] = []
        self._timer: asyncio.TimerHandle | None = None
        self._asking: dict[Bot, asyncio.Task[None]] = {}
        """The tasks that ask for nicknames. Each bot is asked once."""
        self._offline_at: dict[Bot, float] = {}
        """When it was said of a bot that it is offline, by the clock of who has said it."""
        self._looks = self._has_ended = False

    def look_at_events(self) -> None:
        """Have all events of OneBot v11 come by here first, if its adapter is there.

        A preprocessor of events would double the time that NoneBot needs for each message.
        """
        module: Any = sys.modules.get(_ONEBOT)
        if module is None or self._looks:
            return
        self._looks = True
        handle_event = module.Bot.handle_event

        def look_and_handle(bot: Any, event: Any) -> Coroutine[Any, Any, None]:
            self.onebot_event(bot, event)
            handling: Coroutine[Any, Any, None] = handle_event(bot, event)
            return handling

        module.Bot.handle_event = look_and_handle

    def connected(self, bot: Bot) -> None:
        """Learn that a bot has connected. Its first events may have come before."""
        if bot not in self._bots:
            self._set(bot, "online", _nickname(bot))

    def disconnected(self, bot: Bot) -> None:
        """Learn that a bot has disconnected. Its successor may have connected before."""
        if (asking := self._asking.pop(bot, None)) is not None:
            asking.cancel()
        self._offline_at.pop(bot, None)
        if self._bots.pop(bot, None) is not None and not self._has_successor(bot):
            self._tell(bot, "disconnected", "")

    def onebot_event(self, bot: Bot, event: Any) -> None:
        """Look at an event of OneBot v11, before NoneBot handles it."""
        kind = getattr(event, "post_type", "")
        online: object = None
        if kind == "message":
            # Who gets messages is online, also where no heartbeat says so.
            at = self._offline_at.get(bot)
            if at is not None and event.time > at:
                online = True
        elif kind == "meta_event":
            online = _says_online(event)
            if online is True and bot not in self._asking:
                self._asking[bot] = asyncio.ensure_future(self._ask_nickname(bot))
        elif kind == "notice":
            said = (event.notice_type, getattr(event, "sub_type", ""))
            online = True if "bot_online" in said else False if "bot_offline" in said else None
        if online is True:
            self._offline_at.pop(bot, None)
            self._set(bot, "online", self._nickname_of(bot))
        elif online is False:
            self._offline_at.setdefault(bot, event.time)
            self._set(bot, "offline", self._nickname_of(bot))

    async def end(self) -> None:
        """Tell what is still to be told, and ask for nothing any more."""
        for asking in self._asking.values():
            asking.cancel()
        self._flush()
        self._has_ended = True

    def _nickname_of(self, bot: Bot) -> str:
        return self._bots[bot][1] if bot in self._bots else ""

    def _has_successor(self, bot: Bot) -> bool:
        name = bot.adapter, bot.self_id
        return any((other.adapter, other.self_id) == name for other in self._bots)

    def _set(self, bot: Bot, state: str, nickname: str) -> None:
        if self._bots.get(bot) != (state, nickname):
            self._bots[bot] = state, nickname
            self._tell(bot, state, nickname)

    def _tell(self, bot: Bot, state: str, nickname: str) -> None:
        adapter, id = bot.adapter.get_name(), bot.self_id
        if self._has_ended or _shown(adapter) != adapter or _shown(id) != id:
            return  # An id that is cut off or changed could be another one's.
        self._changes.append((adapter, id, state, _shown(nickname)))
        if self._timer is None:
            self._flush()
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(_GATHER_SECONDS, self._gathered)

    def _gathered(self) -> None:
        self._timer = None
        self._flush()

    def _flush(self) -> None:
        changes, self._changes = self._changes, []
        for first in range(0, len(changes), words.MOST_ACCOUNTS):
            some = changes[first : first + words.MOST_ACCOUNTS]
            current().port.word(words.Accounts(some))

    async def _ask_nickname(self, bot: Bot) -> None:
        try:
            nickname = str((await bot.get_login_info())["nickname"])
        except Exception:
            return  # Not every implementation has this API, and it is not worth a line.
        if bot in self._bots:
            self._set(bot, self._bots[bot][0], nickname)


def _shown(text: str) -> str:
    """Return what the main process takes of a text."""
    short = text[: words.MOST_CHARACTERS]
    return "".join(c if c.isprintable() else " " for c in short)


def _nickname(bot: Bot) -> str:
    """Return what an adapter knows of the bot's name without asking for it."""
    try:
        about: Any = bot.self_info
        names = [getattr(about, name, None) for name in ("nick", "nickname", "name", "username")]
    except Exception:
        return ""  # It may raise where the adapter does not know yet.
    return next((name for name in names if isinstance(name, str)), "")


def _says_online(event: Any) -> bool | None:
    """Return what a heartbeat says; None if it says nothing, or is none."""
    status = getattr(event, "status", None)
    # It is a dict where the adapter has missed something in it.
    found = status.get("online") if isinstance(status, dict) else getattr(status, "online", None)
    return found if isinstance(found, bool) else None
