"""What tests of accounts share."""

from __future__ import annotations

from datetime import datetime, timezone

from liteyuki_core.accounts import Account, AccountState
from liteyuki_core.process.state import ChildProcess, ProcessState

NOW = datetime.now(timezone.utc)


def account(state: AccountState, id: str = "1", process: str = "w", nickname: str = "") -> Account:
    """Return an account in a state."""
    return Account("OneBot V11", id, process, state, NOW, nickname)


def children(*names: str, state: ProcessState = ProcessState.RUNNING) -> dict[str, ChildProcess]:
    """Return children in a state."""
    found = {name: ChildProcess(name, "target") for name in names}
    for child in found.values():
        child.state = state
    return found
