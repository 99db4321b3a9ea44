"""What the nodes tell of themselves: their processes and accounts, in the book.

A node writes that entry when something of it has changed, and not with its heartbeat: a cluster in
which nothing happens writes nothing of it. What comes one after another is gathered.

Ownership. A `Presence` owns the task that writes. Any thread may call `changed` and `all`, the
cluster's loop calls the rest.

Invariant: while this node runs and the server is there, its entry is what `describe` returns, or
will be within `_GATHER_SECONDS` and the time of a request to the server.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone
from typing import NamedTuple

import nats.errors

from .. import log
from ..accounts import Account, AccountState
from ..process.state import ChildProcess
from . import message
from .book import Book
from .connection import LEAST_PAYLOAD, Refused
from .member import Member, MemberProcess
from .message import AboutEntry, AccountEntry, ProcessEntry
from .place import Place

_GATHER_SECONDS = 0.3
_AGAIN_SECONDS = 0.2
_LONGEST = LEAST_PAYLOAD - 64 * 1024
"""The longest entry, in bytes."""
_FORGOTTEN_SECONDS = 86400.0
"""A node that does not run is shown for so long."""


class Told(NamedTuple):
    """What there is to tell of this node."""

    processes: list[ChildProcess]
    accounts: list[Account]
    sends_alerts: bool


class Presence:
    """What is known of all nodes."""

    def __init__(self, node: Place, book: Book) -> None:
        self._node = node
        self._book = book
        self.describe: Callable[[], Told] = lambda: Told([], [], False)
        """Returns what there is to tell. It is called on any thread, and must not wait."""
        self._due = False
        self._written: bytes | None = None
        self._task: asyncio.Task[None] | None = None

    def changed(self) -> None:
        """Learn that there may be something new to tell."""
        self._node.soon(self.tell)

    def all(self) -> dict[str, Member]:
        """Return the nodes by name: those that run, and those that did within the last day."""
        before = datetime.now(timezone.utc).timestamp() - _FORGOTTEN_SECONDS
        found = {}
        for name, known in list(self._book.nodes.items()):
            if known.written.timestamp() > before or self.runs(name):
                found[name] = self.member(name)
        return found

    def runs(self, name: str) -> bool:
        """Return whether a node runs, as far as is known."""
        return name == self._node.name or self._book.is_alive(name)

    def member(self, name: str) -> Member:
        """Return what is known of a node that is in the book. From any thread."""
        known, runs = self._book.nodes[name], self.runs(name)
        about = self._own() if name == self._node.name else self._book.about.get(name)
        if about is not None and about.epoch != known.epoch and runs:
            about = None  # It is of a life before.
        channels = list(self._book.channels.values())
        processes = about.processes if about is not None and runs else []
        accounts = [_account(each) for each in about.accounts] if about is not None else []
        if not runs:
            accounts = [_disconnected(each, known.written) for each in accounts]
        return Member(
            name,
            name == self._node.name,
            runs,
            known.left,
            datetime.now(timezone.utc) if runs else known.written,
            tuple(sorted(each.name for each in channels if each.node == name)),
            tuple(
                MemberProcess(each.name, each.state, each.pid, each.restarts, each.started_at)
                for each in processes
            ),
            tuple(accounts),
            about is not None and about.sends_alerts,
        )

    # ------------------------------------------------------------- on the loop

    def tell(self, *, again: bool = False) -> None:
        """Have the entry of this node written, if it is another one; with `again` in any case."""
        if again:
            self._written = None
        self._due = True
        if self._task is None and not self._node.stopping:
            self._task = self._node.task(self._write())

    async def _write(self) -> None:
        try:
            while self._due and not self._node.stopping:
                self._due = False
                await self._write_once()
                await asyncio.sleep(_GATHER_SECONDS)
        finally:
            self._task = None

    async def _write_once(self) -> None:
        entry = self._own()
        encoded = message.entry(entry)
        while len(encoded) > _LONGEST and entry.accounts:
            del entry.accounts[len(entry.accounts) // 2 :]
            encoded = message.entry(entry)
        if encoded == self._written:
            return
        try:
            await self._book.tell(encoded)
            self._written = encoded
        except (Refused, nats.errors.Error, asyncio.TimeoutError, OSError) as error:
            log.logger.debug(f"NATS: what this node is like is not told yet: {error!r}")
            self._due = True
            await asyncio.sleep(_AGAIN_SECONDS)

    def _own(self) -> AboutEntry:
        told = self.describe()
        return AboutEntry(
            self._node.name,
            self._node.epoch,
            [
                ProcessEntry(each.name, each.state, each.pid, each.restarts, each.started_at)
                for each in told.processes
            ],
            [
                AccountEntry(
                    *(each.adapter, each.id, each.process, each.state, each.since, each.nickname)
                )
                for each in told.accounts
            ],
            told.sends_alerts,
        )


def _account(entry: AccountEntry) -> Account:
    return Account(
        *(entry.adapter, entry.id, entry.process, entry.state, entry.since, entry.nickname)
    )


def _disconnected(account: Account, since: datetime) -> Account:
    if account.state is AccountState.DISCONNECTED:
        return account
    return replace(account, state=AccountState.DISCONNECTED, since=since)
