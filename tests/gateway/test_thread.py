"""The gateway's own loop: what runs there, and that nothing of it is left."""

from __future__ import annotations

import asyncio
import sys
import threading

import pytest

from liteyuki_core.gateway.thread import LoopThread, new_loop
from tests.pair import run_async


def test_what_it_runs() -> None:
    """Coroutines, with what they return and raise, and calls in their order."""
    thread = LoopThread(new_loop(), "liteyuki-gateway-test")
    thread.start()
    seen: list[object] = []

    async def name() -> str:
        return threading.current_thread().name

    async def fail() -> None:
        raise OSError("as the test wants")

    async def main() -> None:
        for number in range(3):
            thread.soon(seen.append, number)
        assert await thread.run(name()) == "liteyuki-gateway-test"
        with pytest.raises(OSError, match="as the test wants"):
            await thread.run(fail())

    run_async(main())
    assert seen == [0, 1, 2]
    thread.close()


def test_its_end_ends_what_runs_there() -> None:
    """Tasks are cancelled and may clean up. The thread has ended then."""
    thread = LoopThread(new_loop(), "liteyuki-gateway-test")
    thread.start()
    done: list[str] = []

    async def wait() -> None:
        try:
            await asyncio.sleep(600)
        finally:
            await asyncio.sleep(0)
            done.append("cleaned up")

    kept: list[asyncio.Task[None]] = []

    async def start() -> None:
        kept.append(asyncio.get_running_loop().create_task(wait()))
        await asyncio.sleep(0)

    run_async(thread.run(start()))
    thread.close()
    assert done == ["cleaned up"]
    assert "liteyuki-gateway-test" not in [each.name for each in threading.enumerate()]


@pytest.mark.skipif(sys.platform == "win32", reason="uvloop is not for Windows")
def test_it_is_a_quick_loop() -> None:
    """The one that NoneBot's FastAPI driver brings along."""
    loop = new_loop()
    assert type(loop).__module__.startswith("uvloop")
    loop.close()
