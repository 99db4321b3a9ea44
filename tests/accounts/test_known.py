"""The accounts that are kept: what children say of them, and what their ends mean.

Tests accounts/account.py.
"""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from datetime import timedelta

import pytest

from liteyuki_core.accounts import Account, Accounts, AccountState
from liteyuki_core.accounts.known import _MOST
from liteyuki_core.comm.wire.words import ACCOUNT_STATES
from liteyuki_core.process.state import ProcessState

ONLINE, OFFLINE, DISCONNECTED = AccountState.ONLINE, AccountState.OFFLINE, AccountState.DISCONNECTED


class Known:
    """Accounts, and what was said of changes."""

    def __init__(self) -> None:
        self.changes: list[Account] = []
        self.accounts = Accounts(self.changes.append)

    def tell(self, process: str, *told: tuple[str, str, str, str]) -> list[AccountState]:
        """Have a child say this; return the states that were entered."""
        del self.changes[:]
        self.accounts.told(process, list(told))
        return [account.state for account in self.changes]


@pytest.fixture
def known() -> Known:
    """No account is known yet."""
    return Known()


def test_the_states_have_the_names_that_children_say() -> None:
    """A word with any other state is refused before it comes here."""
    assert tuple(state.value for state in AccountState) == ACCOUNT_STATES


def test_an_account_is_known_from_its_first_word(known: Known) -> None:
    """With all that was said; each state is entered once."""
    assert known.tell("w", ("OneBot V11", "1", "online", "name")) == [ONLINE]
    (account,) = known.accounts.all()
    assert account == Account("OneBot V11", "1", "w", ONLINE, account.since, "name")
    assert account.since.utcoffset() == timedelta(0)
    assert known.tell("w", ("OneBot V11", "1", "online", "name")) == []
    assert known.tell("w", ("OneBot V11", "1", "offline", "")) == [OFFLINE]
    assert known.accounts.all()[0].nickname == "name"
    assert known.accounts.all()[0].since >= account.since
    with pytest.raises(FrozenInstanceError):
        account.id = "2"  # type: ignore[misc]


def test_a_name_that_comes_later_is_no_new_state(known: Known) -> None:
    """It is known from then on."""
    known.tell("w", ("a", "1", "online", ""))
    assert known.tell("w", ("a", "1", "online", "名")) == []
    (account,) = known.accounts.all()
    assert (account.nickname, account.state) == ("名", ONLINE)


def test_one_that_was_never_there_can_not_go(known: Known) -> None:
    """Nobody is told of it."""
    assert known.tell("w", ("a", "1", "disconnected", "")) == []
    assert known.accounts.all() == []


def test_children_have_accounts_of_their_own(known: Known) -> None:
    """The same id and adapter in another child is another account."""
    known.tell("w", ("a", "1", "online", ""))
    known.tell("x", ("a", "1", "online", ""), ("b", "1", "online", ""))
    assert known.tell("x", ("a", "1", "offline", "")) == [OFFLINE]
    states = [(account.process, account.adapter, account.state) for account in known.accounts.all()]
    assert states == [("w", "a", ONLINE), ("x", "a", OFFLINE), ("x", "b", ONLINE)]
    assert [account.process for account in known.accounts.of("x")] == ["x", "x"]


@pytest.mark.parametrize("state", ProcessState)
def test_without_a_process_they_are_disconnected(known: Known, state: ProcessState) -> None:
    """Whatever comes after its end: a state in which the child still has the process does not."""
    known.tell("w", ("a", "1", "online", ""), ("a", "2", "offline", ""))
    known.tell("x", ("a", "1", "online", ""))
    known.accounts.process_state("w", state)
    has_process = state in (ProcessState.RUNNING, ProcessState.STOPPING)
    expected = [ONLINE, OFFLINE] if has_process else [DISCONNECTED, DISCONNECTED]
    assert [account.state for account in known.accounts.of("w")] == expected
    assert [account.state for account in known.accounts.of("x")] == [ONLINE]
    if not has_process:
        assert known.tell("w", ("a", "1", "online", "")) == [ONLINE]


def test_lines(known: Known, logged: list[str]) -> None:
    """The log says what NoneBot does not say itself: OFFLINE, and the end of that."""
    for state in ("online", "offline", "online", "disconnected", "online"):
        known.tell("w", ("OneBot V11", "1", state, "name"))
    assert logged == [
        "WARNING account name (1) of OneBot V11 in process w is offline: it is connected, but not "
        "logged in\n",
        "INFO account name (1) of OneBot V11 in process w is online again\n",
    ]


def test_there_are_not_too_many(known: Known, logged: list[str]) -> None:
    """Of a child; one line says so, and those that are known go on."""
    for number in range(_MOST + 10):
        known.tell("w", ("a", str(number), "online", ""))
    assert len(known.accounts.all()) == _MOST
    (line,) = logged
    assert "process w has 1000 accounts" in line
    assert known.tell("w", ("a", "0", "disconnected", "")) == [DISCONNECTED]
    assert known.tell("x", ("a", "0", "online", "")) == [ONLINE]
