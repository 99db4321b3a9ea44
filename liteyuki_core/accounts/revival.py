"""Restarts of a process or program because an account that it logs in is OFFLINE.

Ownership. A `Revival` owns one timer for each process that it is to restart, while one of the
accounts is OFFLINE. LiteyukiBot's loop calls everything, except that any thread may call `add`.

Invariant: a process that was restarted in the last hour is given twice as much time as before, and
at most an hour. An account that needs somebody to log in does not come back by restarts, and
platforms are suspicious of accounts that log in again and again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Container
from functools import partial
from time import monotonic

from .. import log
from ..errors import ProcessNotFound
from ..language import Phrase, say
from .account import Account, AccountState

_HOUR = 3600.0
_MOST_DOUBLED = 12


class _Revived:
    """One process that is restarted when accounts are OFFLINE."""

    def __init__(self) -> None:
        self.offline: dict[tuple[str, str, str], tuple[float, Account]] = {}
        """The accounts that are OFFLINE, and since when."""
        self.restarts: deque[float] = deque()
        """When it was restarted in the last hour."""
        self.timer: asyncio.TimerHandle | None = None


class Revival:
    """Restarts a process when an account of another was OFFLINE for `after` seconds.

    `restart` is called with the name of the process to restart.
    """

    def __init__(self, after: float, restart: Callable[[str], object]) -> None:
        self._after = after
        self._restart = restart
        self._wanted: dict[str, str] = {}
        """By the name of a child with accounts: who is restarted for them."""
        self._revived: dict[str, _Revived] = {}

    def add(self, process: str, restarted: str) -> None:
        """Have `restarted` restarted when an account of `process` is OFFLINE. From any thread."""
        self._revived.setdefault(restarted, _Revived())
        self._wanted[process] = restarted

    def check(self, known: Container[str]) -> None:
        """Log which of those to restart are not known."""
        for process, restarted in self._wanted.items():
            if restarted not in known:
                log.logger.error(
                    say(
                        "process {name}: restart_when_offline names {other!r}, and no such process "
                        "was added; it can't be restarted",
                        name=process,
                        other=restarted,
                    )
                )

    def account(self, account: Account) -> None:
        """Learn that an account has a new state."""
        name = self._wanted.get(account.process)
        if name is None:
            return
        revived = self._revived[name]
        key = (account.process, account.adapter, account.id)
        if account.state is AccountState.OFFLINE:
            revived.offline.setdefault(key, (monotonic(), account))
        else:
            revived.offline.pop(key, None)
        self._set_timer(name, revived)

    def close(self) -> None:
        """Cancel the timers."""
        for revived in self._revived.values():
            if revived.timer is not None:
                revived.timer.cancel()

    def _set_timer(self, name: str, revived: _Revived) -> None:
        if revived.timer is not None:
            revived.timer.cancel()
            revived.timer = None
        if revived.offline:
            remains = max(0.0, self._due(revived) - monotonic())
            loop = asyncio.get_running_loop()
            revived.timer = loop.call_later(remains, partial(self._revive, name, revived))

    def _due(self, revived: _Revived) -> float:
        restarts = revived.restarts
        while restarts and restarts[0] < monotonic() - _HOUR:
            restarts.popleft()
        wait = self._after * 2.0 ** min(len(restarts), _MOST_DOUBLED)
        since = min(since for since, _ in revived.offline.values())
        return max([since, *restarts]) + min(wait, max(_HOUR, self._after))

    def _revive(self, name: str, revived: _Revived) -> None:
        _, account = min(revived.offline.values(), key=lambda each: each[0])
        why = Phrase("{account} is still offline", account=account.title)
        log.logger.warning(say("process {name} is restarted: {why}", name=name, why=why))
        revived.restarts.append(monotonic())
        self._set_timer(name, revived)
        try:
            self._restart(name)
        except ProcessNotFound as error:
            log.logger.error(
                say(
                    "process {name}: restart_when_offline: {error}",
                    name=account.process,
                    error=error,
                )
            )
