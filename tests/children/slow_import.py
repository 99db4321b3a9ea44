"""A target whose import lasts: in a `__set_name__`, of which Python makes errors of its own."""

from __future__ import annotations

import time


class Slow:
    """Takes its time when a class is made that has one."""

    def __set_name__(self, owner: type, name: str) -> None:
        print("is being imported", flush=True)
        time.sleep(60)


class Owner:
    """Has one."""

    slow = Slow()


def main() -> None:
    """Never begun."""
