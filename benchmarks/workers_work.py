"""What workers are asked to call, as ours and as the peers take it, and how much of it."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any

from workloads import IN_FLIGHT

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

WORKERS = 2
"""How many worker processes each side has."""

_BLOCKS = [random.Random(4 + number).randbytes(1_000_000) for number in range(2)]


def same(number: int) -> int:
    """Return the argument: next to nothing."""
    return number


def block(number: int) -> bytes:
    """Return 1 MB."""
    return _BLOCKS[number % 2]


async def async_same(number: int) -> int:
    """Do what `same` does."""
    return number


async def async_block(number: int) -> bytes:
    """Do what `block` does."""
    return _BLOCKS[number % 2]


@dataclass(frozen=True)
class Calls:
    """Calls of one function, `in_flight` of them under way at a time."""

    function: Callable[[int], Any]
    async_function: Callable[[int], Awaitable[Any]]
    """The same for a peer that calls coroutine functions only."""
    in_flight: int
    warm_up: int
    limit: int
    """Calls measured at most."""

    async def measure(self, call: Callable[[int], Awaitable[Any]], seconds: float) -> float:
        """Return how many calls a second end with their result. A wrong result raises."""
        took = await self._phase(call, self.warm_up)
        count = max(self.warm_up, min(self.limit, int(self.warm_up * seconds / took)))
        return count / await self._phase(call, count)

    async def _phase(self, call: Callable[[int], Awaitable[Any]], count: int) -> float:
        numbers = iter(range(count))

        async def caller() -> None:
            for number in numbers:
                if await call(number) != self.function(number):
                    raise AssertionError(f"call {number} has another call's result")

        begun = perf_counter()
        await asyncio.gather(*(caller() for _ in range(self.in_flight)))
        return perf_counter() - begun


WORKERS_WORK = {
    "no-op": Calls(same, async_same, IN_FLIGHT, 1_000, 200_000),
    "no-op, one": Calls(same, async_same, 1, 200, 200_000),
    "1 MB": Calls(block, async_block, IN_FLIGHT, 100, 20_000),
}
