"""Outages: accounts that are not online for longer than an operator wants to bear.

Ownership. An `Outages` owns one timer for each account that is not online. LiteyukiBot makes it
where alerts are to be sent, and LiteyukiBot's loop calls everything.

Invariant: an account that is DISCONNECTED because its child does not run has no outage of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from time import monotonic

from ..process.state import ChildProcess, ProcessState
from .account import Account, AccountState
from .known import Accounts

_Key = tuple[str, str, str]


class _Outage:
    """One account that is not online."""

    def __init__(self, account: Account, timer: asyncio.TimerHandle) -> None:
        self.account = account
        self.begun = monotonic()
        self.timer = timer
        self.is_told = False
        """Whether it lasts long enough that somebody was told."""


class Outages:
    """Tells of accounts that are not online for `after` seconds, and of those that are back.

    `lasts` is called with the account as it is then, `ends` with the account and how many seconds
    it was not online.
    """

    def __init__(
        self,
        after: float,
        child: Callable[[str], ChildProcess],
        lasts: Callable[[Account], object],
        ends: Callable[[Account, float], object],
    ) -> None:
        self._after = after
        self._child = child
        self._lasts = lasts
        self._ends = ends
        self._outages: dict[_Key, _Outage] = {}

    def account(self, account: Account) -> None:
        """Learn that an account has a new state, or that its child has one."""
        key = (account.process, account.adapter, account.id)
        outage = self._outages.get(key)
        if account.state is AccountState.ONLINE:
            if outage is not None:
                self._end(key)
                if outage.is_told:
                    self._ends(account, monotonic() - outage.begun)
        elif outage is not None:
            outage.account = account
            if not outage.is_told and not self._counts(account):
                self._end(key)
        elif self._counts(account):
            timer = asyncio.get_running_loop().call_later(self._after, partial(self._tell, key))
            self._outages[key] = _Outage(account, timer)

    def process_state(self, process: str, accounts: Accounts) -> None:
        """Learn that a child has a new state, after `accounts` has."""
        for account in accounts.of(process):
            if account.state is AccountState.DISCONNECTED:
                self.account(account)

    def close(self) -> None:
        """Cancel the timers."""
        for key in list(self._outages):
            self._end(key)

    def _counts(self, account: Account) -> bool:
        runs = self._child(account.process).state is ProcessState.RUNNING
        return runs or account.state is AccountState.OFFLINE

    def _tell(self, key: _Key) -> None:
        outage = self._outages[key]
        outage.is_told = True
        self._lasts(outage.account)

    def _end(self, key: _Key) -> None:
        self._outages.pop(key).timer.cancel()
