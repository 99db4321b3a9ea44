"""How processes are stopped: asked, then terminated, then killed, all by one deadline.

It owns nothing. LiteyukiBot's loop calls it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from time import monotonic
from typing import Literal

from .. import log
from ..language import say
from .living import Living

HOOK_SHARE = 0.3
"""Hooks have at most this share of a stop's time."""

_ASK_SHARE = 0.75
_TERMINATE_SHARE = 0.9
"""After these shares of the time, the remaining processes are terminated, and killed."""


async def stop(lives: Iterable[Living], begun: float, deadline: float) -> None:
    """Stop processes by `deadline`. `begun` is when their stop began. Both are monotonic times.

    Waits until they have ended and their courses have handled that, at most until `deadline`. If
    it is cancelled, it leaves the processes as they are.
    """
    span = max(0.0, deadline - begun)
    waits: dict[asyncio.Future[Literal[True]], Living] = {}
    for life in lives:
        life.ask(max(0.0, begun + span * _ASK_SHARE - monotonic()))
        waits[asyncio.ensure_future(life.ended.wait())] = life
    try:
        for share, escalate in (
            (_ASK_SHARE, _terminate),
            (_TERMINATE_SHARE, _kill),
            (1.0, _give_up),
        ):
            if not waits:
                return
            remaining = begun + span * share - monotonic()
            done, _ = await asyncio.wait(waits, timeout=max(0.0, remaining))
            for wait in done:
                del waits[wait]
            for life in waits.values():
                escalate(life)
    finally:
        for wait in waits:
            wait.cancel()


def _terminate(life: Living) -> None:
    log.logger.warning(
        say("process {name} has not stopped: terminate (pid {pid})", name=life.name, pid=life.pid)
    )
    life.terminate()


def _kill(life: Living) -> None:
    log.logger.warning(
        say("process {name} has not stopped: kill (pid {pid})", name=life.name, pid=life.pid)
    )
    life.kill()


def _give_up(life: Living) -> None:
    log.logger.critical(
        say("process {name} (pid {pid}) can't be ended", name=life.name, pid=life.pid)
    )
