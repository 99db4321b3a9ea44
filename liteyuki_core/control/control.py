"""What may be asked of a running bot: each thing once, as a method with typed models.

The API calls these methods, and so may a plugin of the main process.

Ownership. A `Control` owns nothing of the bot, but looks into its rooms, as nobody else does. It
keeps the last figures of processor time.

Threads. Plain methods answer at once, on any thread, also while LiteyukiBot's loop is blocked; one
thread at a time calls those that have to do with processes. Async methods run on LiteyukiBot's
loop, so that what they have changed can be seen when they return.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import fields
from datetime import datetime, timezone
from enum import Enum
from secrets import token_hex
from time import monotonic
from typing import TYPE_CHECKING, Any

from ..accounts import Account
from ..comm.hub.letters import DeadLetter as Letter
from ..comm.hub.peeks import Passed
from ..comm.hub.side import MAIN as MAIN_SIDE
from ..comm.queue import get_queue
from ..comm.registry import get_channel
from ..comm.storage import shared_memory
from ..comm.store.truth import Entry
from ..config import Settings, is_secret, places
from ..errors import ChannelNotFound, ConfigError, LiteyukiError, ProcessNotFound
from ..process.state import ChildProcess
from ..ring import Entry as RingEntry
from ..ring import Ring
from ..version import __version__
from ..writer import Line as Written
from . import figures, models, plain
from .figures import Figures
from .history import History
from .lines import MASK, Reading, masked
from .peeking import Changed, Peeking, at_channel, at_store
from .usage import Taken, Usage

if TYPE_CHECKING:
    from ..bot import LiteyukiBot
    from ..cluster.member import Member

_DOWN = ("failed", "backoff")
"""The states of a process that does not run, and was not stopped on purpose."""


class NotFound(LiteyukiError, KeyError):
    """There is no such key or dead letter."""


class Control:
    """What may be asked of `bot`, while it runs."""

    def __init__(self, bot: LiteyukiBot) -> None:
        self._bot = bot
        self._usage = Usage()
        self.life = token_hex(4)
        """Begins the numbers of lines and events, which begin anew with each bot."""
        self._letters: dict[str, Letter] = {}
        self.figures = Figures()
        self._lag = _Lag()
        self._history = History(bot._writer, bot._settings.log_to, self.life)
        self._history_lock = threading.Lock()
        self.opens_page: Callable[[models.OpenPage], models.PageLink] | None = None
        """Makes links to the web page. The server of the control socket sets it."""

    # ------------------------------------------------------------- processes

    def status(self, asked: models.Nothing | None = None) -> models.Status:
        """Return the bot's state and that of all its processes."""
        usage = self._usage_of_all()
        processes = self._processes(usage)
        pid = os.getpid()
        taken = usage.get(pid)
        begun = self._bot.started_at or datetime.now(timezone.utc)
        return models.Status(
            version=__version__,
            node=self.node,
            pid=pid,
            directory=os.getcwd(),
            started_at=begun,
            uptime=_since(begun),
            ok=not any(p.state in _DOWN for p in processes),
            dead_letters=len(self._bot.dead_letters()),
            memory=None if taken is None else taken.memory,
            cpu_seconds=None if taken is None else taken.seconds,
            processes=processes,
            accounts=[_account(each, self.node) for each in self._bot.accounts],
        )

    def processes(self, asked: models.Nothing | None = None) -> list[models.Process]:
        """Return all child processes, in the order in which they were added."""
        return self._processes(self._usage_of_all())

    def _usage_of_all(self) -> dict[int, Taken]:
        children = list(self._bot.processes.values())
        pids = {os.getpid(), *(pid for child in children if (pid := child.pid) is not None)}
        self._usage.forget(pids)
        return self._usage.of(pids)

    def _processes(self, usage: dict[int, Taken]) -> list[models.Process]:
        queues = self._bot._hub.backlogs()
        return [self._process(each, usage, queues) for each in list(self._bot.processes.values())]

    def process(self, asked: models.OfProcess) -> models.Process:
        """Return one child process. Raises `ProcessNotFound`."""
        child = self._child(asked.name)
        pid = child.pid
        usage = self._usage.of([pid] if pid is not None else [])
        return self._process(child, usage, self._bot._hub.backlogs())

    def _child(self, name: str) -> ChildProcess:
        try:
            return self._bot.processes[name]
        except KeyError:
            known = ", ".join(sorted(self._bot.processes)) or "none"
            raise ProcessNotFound(
                f"no process is named {name!r} (there are: {known})", name
            ) from None

    def _process(
        self, child: ChildProcess, usage: dict[int, Taken], queues: Counter[str]
    ) -> models.Process:
        pid, begun, ending = child.pid, child.started_at, child.ending
        uptime = None if pid is None or begun is None else _since(begun)
        taken = None if pid is None else usage.get(pid)
        percent = None
        if pid is not None and taken is not None and uptime is not None:
            percent = self._usage.percent(pid, taken.seconds, uptime)
        return models.Process(
            name=child.name,
            target=child.target,
            state=child.state.value,
            pid=pid,
            started_at=begun,
            uptime=uptime,
            restarts=child.restarts,
            exit_code=child.exitcode,
            outcome=None if ending is None else _told(ending.english),
            outcome_zh=None if ending is None else _told(ending.said_in("zh")),
            cpu=percent,
            cpu_seconds=None if taken is None else taken.seconds,
            memory=None if taken is None else taken.memory,
            loop_lag=child.loop_lag,
            queue=queues[child.name],
            depends_on=list(self._bot._supervisor.get(child.name).terms.depends_on),
        )

    async def start(self, asked: models.OfProcess) -> models.Process:
        """Start a child that does not run. Returns at once. Raises `ProcessNotFound`."""
        self._bot.start_process(asked.name)
        return self.process(asked)

    async def stop(self, asked: models.OfProcess) -> models.Process:
        """Stop a child. Returns at once. Raises `ProcessNotFound`."""
        self._bot.stop_process(asked.name)
        return self.process(asked)

    async def restart(self, asked: models.OfProcess) -> models.Process:
        """Stop a child and start it again. Returns at once. Raises `ProcessNotFound`."""
        self._bot.restart_process(asked.name)
        return self.process(asked)

    async def wait(self, asked: models.Wait) -> models.Process:
        """Wait until a child runs, or until it has ended.

        Raises `ProcessNotFound`, `ProcessTimeout`, and `ProcessStartError` if it will not run.
        """
        if asked.state == "running":
            await self._bot.wait_ready(asked.name, asked.timeout)
        else:
            await self._bot._supervisor.get(asked.name).wait_over(asked.timeout)
        return self.process(models.OfProcess(name=asked.name))

    async def shutdown(self, asked: models.Nothing | None = None) -> models.Done:
        """Stop the bot, as a SIGTERM does. Returns at once."""
        # After the answer: it could not leave a loop that is about to end.
        asyncio.get_running_loop().call_soon(self._bot.stop)
        return models.Done()

    def open_page(self, asked: models.OpenPage) -> models.PageLink:
        """Open the web page, if it is not open, and return a link. Raises `LiteyukiError`."""
        if self.opens_page is None:
            raise LiteyukiError("there is no control socket, and so no web page")
        return self.opens_page(asked)

    # ------------------------------------------------------------- figures

    def figures_of(self, asked: models.Span) -> models.Figures:
        """Return figures of all processes over the last hour or day.

        They are collected from when the web page is opened for the first time.
        """
        return self.figures.show(asked.span)

    def sample(self) -> dict[str, figures.Sample]:
        """Return what is known of all processes now, for the figures."""
        usage, sent = self._usage_of_all(), self._bot._hub.sent()
        queues = self._bot._hub.backlogs()
        main = usage.get(os.getpid())
        found = {
            figures.MAIN: figures.Sample(
                None if main is None else main.memory,
                None if main is None else main.seconds,
                self._lag.measure(self._bot._loop),
                sent[""],
                queues[MAIN_SIDE],
            )
        }
        for child in list(self._bot.processes.values()):
            pid = child.pid
            taken = None if pid is None else usage.get(pid)
            found[child.name] = figures.Sample(
                None if taken is None else taken.memory,
                None if taken is None else taken.seconds,
                child.loop_lag,
                sent[child.name],
                queues[child.name],
                pid,
            )
        return found

    # ------------------------------------------------------------- accounts

    def accounts(self, asked: models.Nothing | None = None) -> list[models.Account]:
        """Return the accounts that the processes' bots have, those of one process together.

        In a cluster those of all nodes, the own ones first.
        """
        found = [_account(each, self.node) for each in self._bot.accounts]
        for member in self._members():
            if not member.is_this:
                found += [_account(each, member.name) for each in member.accounts]
        return found

    # ------------------------------------------------------------- nodes

    @property
    def node(self) -> str | None:
        """The bot's name in its cluster; None where it is in none."""
        cluster = self._bot._cluster
        return None if cluster is None else cluster.name

    def nodes(self, asked: models.Nothing | None = None) -> list[models.Node]:
        """Return the nodes of the cluster, the asked one first; none where there is no cluster."""
        return [_node(member) for member in self._members()]

    def _members(self) -> list[Member]:
        return sorted(self._bot.nodes.values(), key=lambda each: (not each.is_this, each.name))

    def is_other(self, node: str) -> bool:
        """Return whether a node is another one. Raises `ConfigError` if there is no cluster."""
        if self.node is None:
            raise ConfigError(
                "this bot is in no cluster, so there are no nodes: LITEYUKI_NATS_URL is not set"
            )
        return node != self.node

    def ask_node(self, node: str, question: bytes, timeout: float) -> Future[bytes]:
        """Ask another node; it raises `NodeError` and `ClusterError`. See `remote.py`."""
        asking: Future[bytes] = self._bot._cluster.ask(node, question, timeout)
        return asking

    # ------------------------------------------------------------- channels

    def channels(self, asked: models.Nothing | None = None) -> list[models.Channel]:
        """Return the counts of all channels and queues that have a name, sorted."""
        counts: Any = self._bot.channels
        return [models.Channel(name=name, **counts[name]) for name in sorted(counts)]

    def channel(self, asked: models.OfChannel) -> models.ChannelEnds:
        """Return the counts of a channel, and who has its ends. Raises `ChannelNotFound`."""
        self._check_channel(asked.name)
        try:
            is_queue, ends = self._bot._hub.ends(asked.name)
            counts: Any = self._bot.channels[asked.name]
        except KeyError:
            raise ChannelNotFound(f"channel {asked.name!r} has just gone", asked.name) from None
        return models.ChannelEnds(
            name=asked.name,
            **counts,
            ends=[
                models.End(
                    process="main" if end.process == MAIN_SIDE else end.process,
                    side="queue" if is_queue else ("owner", "other")[end.side],
                    receives=end.receives,
                    held=end.held,
                    waiting=end.waiting,
                )
                for end in ends
            ],
        )

    async def send(self, asked: models.Send) -> models.Done:
        """Send JSON from the main process's end of a channel, or into a queue.

        Raises `ChannelFull` at once where there is no room, and what `send` raises.
        """
        self._check_channel(asked.name)
        try:
            channel: Any = get_channel(asked.name)
        except ChannelNotFound:
            channel = get_queue(asked.name)
        channel.send(asked.data)
        return models.Done()

    def tail(self, asked: models.Tail) -> Peeking[Passed]:
        """Return what shows the messages of a channel. Raises `ChannelNotFound`."""
        self._check_channel(asked.name)
        return at_channel(self._bot._hub, asked.name)

    def _check_channel(self, name: str) -> None:
        if name not in self._bot.channels:
            known = ", ".join(sorted(self._bot.channels)) or "none"
            raise ChannelNotFound(f"no channel is named {name!r} (there are: {known})", name)

    def dead_letters(self, asked: models.Nothing | None = None) -> list[models.DeadLetter]:
        """Return the messages that were set aside, the oldest first, without what is in them."""
        known = {id(letter): key for key, letter in self._letters.items()}
        self._letters = {
            known.get(id(letter)) or token_hex(4): letter for letter in self._bot.dead_letters()
        }
        return [
            models.DeadLetter(
                id=key,
                channel=letter.channel,
                process=letter.process,
                crashes=letter.crashes,
                size=letter.size,
                time=letter.time,
            )
            for key, letter in self._letters.items()
        ]

    def dead_letter(self, asked: models.OfLetter) -> models.DeadLetterContent:
        """Return a message that was set aside, with what is in it if that is plain data.

        Nothing is rebuilt, as in `store_get`. Raises `NotFound`.
        """
        letter = self._letter(asked.id)
        (payload,) = letter._batch.payloads()
        value, text, is_plain = None, None, False
        try:
            value, is_plain = plain.of_payload(payload), True
        except plain.NotPlain:
            pass
        if isinstance(payload, str) and is_plain:
            text = value
        (found,) = (each for each in self.dead_letters() if each.id == asked.id)
        return models.DeadLetterContent(
            **found.model_dump(), plain=is_plain, value=value, text=text
        )

    def put_back(self, asked: models.OfLetter) -> models.Done:
        """Send a dead letter again, behind what waits on its channel. Raises `LiteyukiError`."""
        self._letter(asked.id).put_back()
        return models.Done()

    def discard(self, asked: models.OfLetter) -> models.Done:
        """Throw a dead letter away. Raises `LiteyukiError`."""
        self._letter(asked.id).discard()
        return models.Done()

    def _letter(self, key: str) -> Letter:
        self.dead_letters()
        if key not in self._letters:
            raise NotFound(
                f"there is no dead letter {key}: it was put back or discarded before, or the bot "
                "was started anew"
            )
        return self._letters[key]

    # ------------------------------------------------------------- store

    def store_keys(self, asked: models.Keys) -> list[models.StoreKey]:
        """Return keys of the store, sorted, without their values."""
        found = self._bot._comm.store.look(asked.prefix)[: asked.limit]
        return [models.StoreKey(**_about(key, entry)) for key, entry in found]

    def store_get(self, asked: models.OfKey) -> models.StoreValue:
        """Return a key of the store, with its value if it is plain data. Raises `NotFound`.

        The value is not rebuilt as `get` would: a child may have set it, and no code of it runs.
        """
        entry = dict(self._bot._comm.store.look(asked.key)).get(asked.key)
        if entry is None:
            raise NotFound(f"the store has no key {asked.key!r}")
        try:
            shown, is_plain = plain.of_value(entry.value), True
        except plain.NotPlain:
            shown, is_plain = None, False
        return models.StoreValue(**_about(asked.key, entry), plain=is_plain, value=shown)

    def store_watch(self, asked: models.Prefix) -> Peeking[Changed]:
        """Return what shows changes of the store."""
        return at_store(self._bot._comm.store, self._bot._hub.lock, asked.prefix)

    async def store_set(self, asked: models.SetKey) -> models.Done:
        """Set a key of the store to JSON. Raises `StoreError`."""
        await shared_memory.async_set(asked.key, asked.value, ttl=asked.ttl)
        return models.Done()

    async def store_delete(self, asked: models.OfKey) -> models.Existed:
        """Delete a key of the store."""
        return models.Existed(existed=await shared_memory.async_delete(asked.key))

    # ------------------------------------------------------------- log, events, settings

    def log(self, asked: models.Lines) -> list[models.Line]:
        """Return the last lines of the log that match, the oldest first.

        The last 5,000 lines are kept, at most 2 MB. Tokens and passwords are shown as ***.
        """
        entries, _ = self.lines.after(0)
        found = Reading(self.life, asked).read(entries)
        return found[len(found) - min(len(found), asked.lines) :]

    def log_history(self, asked: models.History) -> models.LogPage:
        """Return lines of the whole log, with those of files that were rotated away.

        One request looks at 4 MB of the log at most, so it may find fewer lines than there are:
        `more` says so. Waits for the disk. Raises `ValueError` for a position that there is not.
        """
        with self._history_lock:
            return self._history.page(asked)

    def log_number(self, position: str) -> int:
        """Return the number of the last line in memory that is not after a position, or 0.

        Raises `ValueError` for a position that there is not.
        """
        return self._history.number_at(position)

    def log_beginning(self) -> str:
        """Return the position before all lines of the log."""
        return self._history.beginning

    @property
    def lines(self) -> Ring[Written]:
        """The last lines of the log, as they are written."""
        return self._bot._writer.recent

    @property
    def states(self) -> Ring[tuple[str, Enum]]:
        """The last changes of state, as they happen."""
        return self._bot._hooks.recent

    def events_of(self, entries: list[RingEntry[tuple[str, Enum]]]) -> list[models.Event]:
        """Return changes of state as they are shown."""
        return [
            models.Event(
                id=f"{self.life}-{entry.number}",
                time=datetime.fromtimestamp(entry.time, timezone.utc),
                process=entry.item[0],
                state=entry.item[1].value,
            )
            for entry in entries
        ]

    def close(self) -> None:
        """Collect no more figures, and forget what was unpacked of the log."""
        self.figures.end()
        with self._history_lock:
            self._history.close()

    @property
    def running_settings(self) -> Settings:
        """The settings that the bot runs with."""
        return self._bot._settings

    def settings(self, asked: models.Nothing | None = None) -> list[models.Setting]:
        """Return all settings, in the order of the README."""
        return explained(self._bot._settings)


class _Lag:
    """How late LiteyukiBot's loop is. Each measuring is answered before the next one."""

    def __init__(self) -> None:
        self._asked: float | None = None
        self._found: float | None = None

    def measure(self, loop: asyncio.AbstractEventLoop | None) -> float | None:
        """Return what was found since the last call, or how long the loop has not answered."""
        found, self._found = self._found, None
        if self._asked is not None:
            return monotonic() - self._asked
        begun = self._asked = monotonic()

        def answer() -> None:
            self._found, self._asked = monotonic() - begun, None

        try:
            assert loop is not None
            loop.call_soon_threadsafe(answer)
        except (RuntimeError, AssertionError):
            self._asked = None  # It does not run.
        return found


def _about(key: str, entry: Entry) -> dict[str, Any]:
    remains = None if entry.deadline is None else max(0.0, entry.deadline - monotonic())
    return {
        "key": plain.clean(key),
        "size": len(entry.value.data),
        "expires_in": remains,
        "persistent": entry.kept,
    }


def _account(account: Account, node: str | None) -> models.Account:
    return models.Account(
        adapter=account.adapter,
        id=account.id,
        process=account.process,
        node=node,
        state=account.state.value,
        since=account.since,
        nickname=account.nickname,
    )


def _node(member: Member) -> models.Node:
    processes = [
        models.NodeProcess(
            name=each.name,
            state=each.state.value,
            pid=each.pid,
            restarts=each.restarts,
            started_at=each.started_at,
            uptime=each.uptime,
        )
        for each in member.processes
    ]
    is_gone = not (member.runs or member.has_stopped)
    return models.Node(
        name=member.name,
        this=member.is_this,
        state="running" if member.runs else "gone" if is_gone else "stopped",
        ok=not (is_gone or any(each.state in _DOWN for each in processes)),
        seen=member.seen,
        channels=len(member.channels),
        processes=processes,
        accounts=[_account(each, member.name) for each in member.accounts],
    )


def explained(running: Settings | None) -> list[models.Setting]:
    """Return what the settings of this directory are now, and which a running bot has otherwise.

    Raises `ConfigError`.
    """
    now, found = Settings.load(), places()
    settings = []
    for field in fields(Settings):
        key = f"LITEYUKI_{field.name.upper()}"
        value = getattr(running or now, field.name)
        settings.append(
            models.Setting(
                key=key,
                value=_shown(key, value),
                source=found.get(key),
                changed=value != getattr(now, field.name),
            )
        )
    return settings


def _shown(key: str, value: Any) -> Any:
    if value and is_secret(key):
        return MASK
    if isinstance(value, tuple):
        return [masked(str(each)) for each in value]
    return masked(value) if isinstance(value, str) else value


def _told(text: str) -> str:
    return masked(plain.clean(text))


def _since(then: datetime) -> float:
    return max(0.0, (datetime.now(timezone.utc) - then).total_seconds())
