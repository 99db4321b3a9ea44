"""The accounts that children have told of, each with its last state.

Ownership. LiteyukiBot makes one `Accounts`. It keeps no timer, task or thread.

Threads. LiteyukiBot's loop calls everything, except that any thread may call `all`.

Invariants.
- A child can only tell of its own accounts: they are kept by the child's name first.
- A child's accounts are DISCONNECTED from the end of its process until the next one says otherwise.
- `_MOST` accounts of a child are kept. `words.py` sees to it that texts are short and printable.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone

from .. import log
from ..comm.wire.words import Account as Told
from ..language import say
from ..process.state import ProcessState
from .account import Account, AccountState

_MOST = 1_000
"""Most accounts of one child."""

_HAS_PROCESS = (ProcessState.RUNNING, ProcessState.STOPPING)
"""A child that is STARTING may have one too, but has just entered that state without one."""


class Accounts:
    """The accounts of all children. `changed` is called with each that enters a state."""

    def __init__(self, changed: Callable[[Account], object]) -> None:
        self._changed = changed
        self._known: dict[str, dict[tuple[str, str], Account]] = {}
        self._full: set[str] = set()
        """The children of which the log has said that they have too many accounts."""

    def all(self) -> list[Account]:
        """Return all accounts, those of one process together."""
        # Lists are made at once: this may be another thread, and the loop may be adding one.
        known = [list(some.values()) for some in list(self._known.values())]
        return [account for some in known for account in some]

    def of(self, process: str) -> list[Account]:
        """Return the accounts of one child."""
        return list(self._known.get(process, {}).values())

    def newest(self, account: Account) -> Account:
        """Return an account as it is now; its nickname may have come later than its state."""
        return self._known[account.process][account.adapter, account.id]

    def told(self, process: str, accounts: list[Told]) -> None:
        """Take in what a child says of its accounts."""
        for adapter, id, state, nickname in accounts:
            self._tell(process, adapter, id, AccountState(state), nickname)

    def process_state(self, process: str, state: ProcessState) -> None:
        """Learn that a child has a new state."""
        if state in _HAS_PROCESS:
            return
        for account in self.of(process):
            self._enter(account, AccountState.DISCONNECTED)

    def _tell(
        self, process: str, adapter: str, id: str, state: AccountState, nickname: str
    ) -> None:
        known = self._known.setdefault(process, {})
        account = known.get((adapter, id))
        if account is None:
            if state is AccountState.DISCONNECTED:
                return  # Nobody has known it, so nobody misses it.
            if len(known) >= _MOST:
                self._refuse(process)
                return
            now = datetime.now(timezone.utc)
            new = Account(adapter, id, process, AccountState.DISCONNECTED, now, nickname)
            account = known[adapter, id] = new
        elif nickname and nickname != account.nickname:
            account = known[adapter, id] = replace(account, nickname=nickname)
        self._enter(account, state)

    def _enter(self, account: Account, state: AccountState) -> None:
        before = account.state
        if before is state:
            return
        account = replace(account, state=state, since=datetime.now(timezone.utc))
        self._known[account.process][account.adapter, account.id] = account
        if state is AccountState.OFFLINE:
            log.logger.warning(
                say(
                    "{account} is offline: it is connected, but not logged in",
                    account=account.title,
                )
            )
        elif before is AccountState.OFFLINE and state is AccountState.ONLINE:
            log.logger.info(say("{account} is online again", account=account.title))
        self._changed(account)

    def _refuse(self, process: str) -> None:
        if process not in self._full:
            self._full.add(process)
            log.logger.warning(
                say(
                    "process {name} has {count} accounts: those that it tells of beyond that are "
                    "not watched",
                    name=process,
                    count=_MOST,
                )
            )
