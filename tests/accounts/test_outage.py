"""Outages: who is told that an account is not online, when, and that it is back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from time import monotonic

import pytest

from liteyuki_core.accounts import Account, Accounts, AccountState
from liteyuki_core.accounts.outage import Outages
from liteyuki_core.process.state import ProcessState
from tests.accounts.told import account, children
from tests.conftest import DEADLINE

ONLINE, OFFLINE, DISCONNECTED = AccountState.ONLINE, AccountState.OFFLINE, AccountState.DISCONNECTED
AFTER = 0.05


class Watched:
    """Outages of the accounts of a child w, and what was told."""

    def __init__(self) -> None:
        self.children = children("w", "x")
        self.told: asyncio.Queue[tuple[object, ...]] = asyncio.Queue()
        self.outages = Outages(
            AFTER,
            self.children.__getitem__,
            lambda account: self.told.put_nowait((account.id, account.state)),
            lambda account, seconds: self.told.put_nowait((account.id, account.state, seconds)),
        )
        self.accounts = Accounts(self.outages.account)

    def tell(self, state: str, id: str = "1") -> None:
        """Have the child say this of an account."""
        self.accounts.told("w", [("a", id, state, "")])

    def enter(self, state: ProcessState) -> None:
        """Have the child enter a state."""
        self.children["w"].state = state
        self.accounts.process_state("w", state)
        self.outages.process_state("w", self.accounts)

    async def next(self) -> tuple[object, ...]:
        """Return what is told next."""
        return await asyncio.wait_for(self.told.get(), DEADLINE)

    async def nothing(self) -> None:
        """Wait longer than an outage may last; nothing is told, and no timer is left."""
        assert not self.outages._outages
        later = account(OFFLINE, "later")
        self.outages.account(later)
        assert await self.next() == ("later", OFFLINE)
        assert self.told.empty()
        self.outages.close()


@pytest.fixture
async def watched() -> AsyncIterator[Watched]:
    """A child that runs, none of whose accounts is known."""
    made = Watched()
    yield made
    made.outages.close()


async def test_it_is_told_when_it_lasts_and_when_it_ends(watched: Watched) -> None:
    """Once each, however often the account changes between OFFLINE and DISCONNECTED."""
    begun = monotonic()
    watched.tell("online")
    watched.tell("offline")
    assert await watched.next() == ("1", OFFLINE)
    assert monotonic() - begun >= AFTER * 0.9
    watched.tell("disconnected")
    watched.tell("offline")
    watched.tell("online")
    id, state, seconds = await watched.next()
    assert (id, state) == ("1", ONLINE)
    assert isinstance(seconds, float)
    assert AFTER * 0.9 <= seconds <= monotonic() - begun
    await watched.nothing()


async def test_a_short_one_is_nothing(watched: Watched) -> None:
    """Its end is not told either."""
    watched.tell("online")
    for state in ("offline", "disconnected"):
        watched.tell(state)
        watched.tell("online")
    await watched.nothing()


async def test_accounts_have_outages_of_their_own(watched: Watched) -> None:
    """Each is told."""
    for id in ("1", "2"):
        watched.tell("online", id)
        watched.tell("offline", id)
    assert {(await watched.next())[0], (await watched.next())[0]} == {"1", "2"}


@pytest.mark.parametrize(
    "state", [each for each in ProcessState if each is not ProcessState.RUNNING]
)
async def test_a_child_that_does_not_run_is_no_outage(
    watched: Watched, state: ProcessState
) -> None:
    """What becomes of the child is told otherwise; it begins when the child runs without it."""
    watched.tell("online")
    watched.tell("offline")
    watched.enter(state)
    watched.tell("disconnected")
    watched.enter(state)
    assert not watched.outages._outages
    watched.enter(ProcessState.RUNNING)
    assert await watched.next() == ("1", DISCONNECTED)


async def test_a_child_that_ends_again_takes_it_back(watched: Watched) -> None:
    """It has run without the account for too short a time."""
    watched.tell("online")
    watched.enter(ProcessState.BACKOFF)
    watched.enter(ProcessState.RUNNING)
    assert watched.outages._outages
    watched.enter(ProcessState.BACKOFF)
    await watched.nothing()


async def test_one_that_was_told_lasts_over_a_restart(watched: Watched) -> None:
    """It is not told again, and ends when the account is online."""
    watched.tell("online")
    watched.tell("offline")
    assert await watched.next() == ("1", OFFLINE)
    watched.enter(ProcessState.STARTING)
    watched.enter(ProcessState.RUNNING)
    watched.tell("online")
    assert (await watched.next())[:2] == ("1", ONLINE)


def test_an_account_has_a_title() -> None:
    """With its nickname, where that is known."""
    shown: list[Account] = [account(ONLINE), account(ONLINE, nickname="n")]
    assert [each.title.english for each in shown] == [
        "account 1 of OneBot V11 in process w",
        "account n (1) of OneBot V11 in process w",
    ]
