"""Calls that are put off: all are made, the late ones in a row of their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from liteyuki_core.comm.loop import attendant
from liteyuki_core.comm.loop.attendant import Attendant
from tests.conftest import wait_until


@pytest.fixture
def made() -> list[str]:
    """What the calls have said."""
    return []


@pytest.fixture
def attending() -> Iterator[Attendant]:
    """An attendant whose thread runs."""
    one = Attendant()
    one.start()
    yield one
    one.close()


def test_late_calls_are_made(attending: Attendant, made: list[str]) -> None:
    """Those that come while others wait, and those that come after that."""
    for name in "abc":
        attending.add_late(lambda name=name: made.append(name))  # type: ignore[misc]
    wait_until(lambda: made == ["a", "b", "c"], "three calls")
    attending.add_late(lambda: made.append("d"))
    wait_until(lambda: made == ["a", "b", "c", "d"], "one more")


def test_a_late_call_may_ask_for_another(attending: Attendant, made: list[str]) -> None:
    """As the one does that looks again until there is nothing to look at."""

    def again() -> None:
        made.append("")
        if len(made) < 3:
            attending.add_late(again)

    attending.add_late(again)
    wait_until(lambda: len(made) == 3, "three calls")


def test_others_do_not_wait_for_late_calls(
    attending: Attendant, made: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are made first, and a close makes the late ones at once."""
    monkeypatch.setattr(attendant, "_LATE_SECONDS", 600.0)
    attending.add_late(lambda: made.append("late"))
    attending.add(lambda: made.append("soon"))
    wait_until(lambda: made == ["soon"], "the other call")
    attending.close()
    assert made == ["soon", "late"]
