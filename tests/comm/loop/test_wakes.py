"""What a task awaits until it is resumed."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar

import pytest

from liteyuki_core.comm.loop.wakes import Resumption


async def test_the_task_goes_on_in_the_callback_that_resumes_it() -> None:
    """In its own context, with the value; once."""
    loop = asyncio.get_running_loop()
    where: ContextVar[str] = ContextVar("where", default="elsewhere")
    seen: list[object] = []

    async def wait(resumption: Resumption) -> bool:
        where.set("in the task")
        value = await resumption
        seen.extend([value, where.get(), asyncio.current_task()])
        return value

    resumption = Resumption(loop)
    task = asyncio.ensure_future(wait(resumption))
    await asyncio.sleep(0)
    resumed = loop.create_future()

    def resume() -> None:
        resumption.resume(False)
        resumption.resume(True)
        resumed.set_result(list(seen))

    loop.call_soon(resume)
    assert await resumed == [False, "in the task", task]
    assert await task is False


async def test_resumed_before_it_is_awaited() -> None:
    """Then there is nothing to wait for."""
    resumption = Resumption(asyncio.get_running_loop())
    resumption.resume()
    assert await resumption is True


async def test_cancelled() -> None:
    """The task gets CancelledError with its message, and a resumption after it changes nothing."""
    resumption = Resumption(asyncio.get_running_loop())

    async def wait() -> None:
        await resumption

    task = asyncio.ensure_future(wait())
    await asyncio.sleep(0)
    task.cancel("no more")
    resumption.resume()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()
    with pytest.raises(asyncio.CancelledError, match="no more"):
        resumption.result()
    assert resumption.cancel() is False
