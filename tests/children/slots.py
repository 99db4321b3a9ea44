"""A process that reads slots while another writes them without a pause."""

from __future__ import annotations

from collections.abc import Callable

from liteyuki_core.comm.store.cells import Cells
from liteyuki_core.comm.store.value import Value

LENGTHS = (0, 40, 300, 800, 1100)


def value(key: str, number: int) -> Value:
    """Return the value that a key has at a number."""
    length = LENGTHS[number % len(LENGTHS)]
    return Value("bt"[number % 2], f"{key} {number} ".encode() + bytes([number % 251]) * length)


def read(cells: Cells, keys: tuple[str, ...], began: Callable[[], object]) -> None:
    """Read the keys until one has the number 0: each is whole, its own, and never goes back.

    A cell has another number whenever a key of it has another value, and only then.
    """
    last = dict.fromkeys(keys, (0, 0))
    while True:
        for key in keys:
            found = cells.read(key)
            if found is None or found[3] is None:
                continue
            _, cell, deadline, seen = found
            assert seen is not None
            number = int(seen[1].split(b" ")[1])
            assert seen == value(key, number), (key, number, found)
            if number == 0:
                assert all(some > 100 for _, some in last.values()), last
                return
            assert deadline == (number if number % 3 else None), found
            before = last[key]
            assert (cell, number) == before or (cell > before[0] and number > before[1]), (
                key,
                before,
                (cell, number),
            )
            if before == (0, 0):
                began()
            last[key] = cell, number
