"""Locks of the store: each has one holder at a time in all processes.

The main process has the queue of each lock, see `table.py`. A `StoreLock` asks for the lock and
gives it back. It belongs to the thread or task that uses it in a `with`.
"""

from __future__ import annotations

from asyncio import _get_running_loop
from collections.abc import Callable

from ...errors import StoreError, StoreTimeout, WouldBlockLoop
from .access import ANSWER_SECONDS, Access, Answer
from .question import Lock, Unlock


class StoreLock:
    """A lock of the store, for `with` and `async with`. This object can hold it once at a time."""

    def __init__(self, find: Callable[[], Access], key: str, timeout: float | None) -> None:
        self._find = find
        self._key = key
        self._timeout = timeout
        self._held: tuple[Access, int] | None = None

    def __enter__(self) -> StoreLock:
        on_loop = _get_running_loop() is not None
        access, asked = self._ask(wait=not on_loop)
        try:
            # On a loop this does not wait for the lock, only for the main process's answer.
            answer = asked.wait(ANSWER_SECONDS if on_loop else self._timeout)
        except BaseException as error:
            self._give_up(access, asked, error)
            raise
        if not answer.fields["got"]:
            raise WouldBlockLoop(
                f"lock {self._key}: another holder has it, and waiting would stop this thread's "
                "event loop; use `async with shared_memory.lock(...)` here"
            )
        self._held = (access, asked.number)
        return self

    async def __aenter__(self) -> StoreLock:
        access, asked = self._ask(wait=True)
        try:
            await asked.async_wait(self._timeout)
        except BaseException as error:
            self._give_up(access, asked, error)
            raise
        self._held = (access, asked.number)
        return self

    def __exit__(self, *error: object) -> None:
        held, self._held = self._held, None
        if held is not None:
            access, number = held
            access.say(Unlock(self._key, number))

    async def __aexit__(self, *error: object) -> None:
        self.__exit__()

    def _ask(self, *, wait: bool) -> tuple[Access, Answer]:
        if self._held is not None:
            raise StoreError(
                f"lock {self._key}: this object holds it already; call lock() for each `with`",
                self._key,
            )
        access = self._find()
        return access, access.ask(Lock(self._key, wait))

    def _give_up(self, access: Access, asked: Answer, error: BaseException) -> None:
        # The lock may be given to this holder at this very moment. `unlock` undoes that too.
        access.say(Unlock(self._key, asked.number))
        if isinstance(error, StoreTimeout):
            raise StoreTimeout(
                f"lock {self._key}: not free within {self._timeout:g} s", self._key
            ) from None
