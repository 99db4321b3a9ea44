"""Two nodes of which one counts to the other, for tests of what comes when something breaks."""

from __future__ import annotations

from tests.nats import NatsServer
from tests.program import Program, spoken

SLOW = 60.0


def environment_of(environment: dict[str, str], nats: NatsServer) -> dict[str, str]:
    """Return the environment of a node."""
    return {**environment, "LITEYUKI_NATS_URL": nats.url, "LITEYUKI_LOG_LEVEL": "WARNING"}


def numbers(program: Program) -> list[int]:
    """Return the numbers that a receiver has handled."""
    return [int(said) for said in spoken(program) if said.isdecimal()]


def wait_for_some(receiver: Program, count: int) -> None:
    """Wait until more numbers than these have come."""
    receiver.wait_until(lambda: len(numbers(receiver)) > count, "some have come", SLOW)


def check(came: list[int], first: int, stop: int) -> None:
    """Check that each number came, the first time in order. Those of a crash may come again."""
    seen: list[int] = []
    for number in came:
        if not seen or number > seen[-1]:
            seen.append(number)
    assert seen == list(range(first, stop)), came
