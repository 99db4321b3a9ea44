"""Restarts because of an account that is OFFLINE: whose, when, and not for ever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise
from time import monotonic

import pytest

from liteyuki_core.accounts import AccountState
from liteyuki_core.accounts import revival as module
from liteyuki_core.accounts.revival import Revival
from liteyuki_core.errors import ProcessNotFound
from tests.accounts.told import account
from tests.conftest import DEADLINE

ONLINE, OFFLINE, DISCONNECTED = AccountState.ONLINE, AccountState.OFFLINE, AccountState.DISCONNECTED
AFTER = 0.1


class Revived:
    """A revival of `impl` for w, and when what was restarted."""

    def __init__(self) -> None:
        self.restarts: asyncio.Queue[tuple[float, str]] = asyncio.Queue()
        self.revival = Revival(AFTER, lambda name: self.restarts.put_nowait((monotonic(), name)))
        self.revival.add("w", "impl")

    def remains(self) -> float:
        """Return in how many seconds it is restarted."""
        timer = self.revival._revived["impl"].timer
        assert timer is not None
        return timer.when() - asyncio.get_running_loop().time()

    async def next(self) -> tuple[float, str]:
        """Return what is restarted next, and when."""
        return await asyncio.wait_for(self.restarts.get(), DEADLINE)


@pytest.fixture
async def revived() -> AsyncIterator[Revived]:
    """All accounts are online."""
    made = Revived()
    yield made
    made.revival.close()


async def test_it_is_restarted_after_a_while(revived: Revived) -> None:
    """For an account that is OFFLINE all that time."""
    begun = monotonic()
    revived.revival.account(account(OFFLINE))
    at, name = await revived.next()
    assert name == "impl"
    assert at - begun >= AFTER * 0.9


@pytest.mark.parametrize("state", [ONLINE, DISCONNECTED])
async def test_no_other_state_restarts_it(revived: Revived, state: AccountState) -> None:
    """An account that is not connected any more has lost its program already."""
    revived.revival.account(account(OFFLINE))
    revived.revival.account(account(state))
    assert revived.revival._revived["impl"].timer is None


async def test_accounts_of_others_do_not(revived: Revived) -> None:
    """It is for the child that was said."""
    revived.revival.account(account(OFFLINE, process="x"))
    assert revived.revival._revived["impl"].timer is None


async def test_one_restart_is_for_all_accounts(revived: Revived) -> None:
    """They all fall offline when their program is logged out."""
    for id in ("1", "2", "3"):
        revived.revival.account(account(OFFLINE, id))
    await revived.next()
    for id in ("1", "2", "3"):
        revived.revival.account(account(ONLINE, id))
    assert revived.restarts.empty()
    assert revived.revival._revived["impl"].timer is None


async def test_the_time_is_that_of_one_account(
    revived: Revived, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is offline since a moment ago does not take over what another has waited."""
    now = [1000.0]
    monkeypatch.setattr(module, "monotonic", lambda: now[0])
    revived.revival.account(account(OFFLINE, "1"))
    now[0] += AFTER / 2
    revived.revival.account(account(OFFLINE, "2"))
    assert revived.remains() == pytest.approx(AFTER / 2, abs=AFTER / 4)
    revived.revival.account(account(ONLINE, "1"))
    assert revived.remains() == pytest.approx(AFTER, abs=AFTER / 4)


async def test_each_restart_in_an_hour_doubles_the_wait(
    revived: Revived, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the account is said to be online for a moment; after an hour it is forgotten."""
    begun = monotonic()
    revived.revival.account(account(OFFLINE))
    ats = [begun, (await revived.next())[0], (await revived.next())[0]]
    revived.revival.account(account(ONLINE))
    revived.revival.account(account(OFFLINE))
    ats.append((await revived.next())[0])
    waits = [later - before for before, later in pairwise(ats)]
    assert all(wait >= AFTER * times * 0.9 for wait, times in zip(waits, (1, 2, 4), strict=True))
    revived.revival.account(account(ONLINE))
    monkeypatch.setattr(module, "_HOUR", 0.0)
    revived.revival.account(account(OFFLINE))
    assert not revived.revival._revived["impl"].restarts


async def test_the_wait_is_an_hour_at_most(
    revived: Revived, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often it was in vain."""
    revived.revival._revived["impl"].restarts.extend([monotonic()] * 100)
    revived.revival.account(account(OFFLINE))
    assert revived.remains() == pytest.approx(min(3600.0, AFTER * 2**12), abs=20)


async def test_one_that_is_not_there(logged: list[str]) -> None:
    """The log says so at the start, and when it would have been restarted."""

    def restart(name: str) -> None:
        raise ProcessNotFound(f"no process is named {name!r}", name)

    revival = Revival(0.0, restart)
    revival.add("w", "wrong")
    revival.add("x", "x")
    revival.check({"w", "x"})
    (line,) = logged
    assert "process w: restart_when_offline names 'wrong', and no such process was added" in line
    revival.account(account(OFFLINE))
    until = monotonic() + DEADLINE
    while len(logged) < 3 and monotonic() < until:
        await asyncio.sleep(0.005)
    revival.close()
    assert "is restarted" in logged[1]
    assert logged[2].startswith("ERROR process w: restart_when_offline: no process is named")
