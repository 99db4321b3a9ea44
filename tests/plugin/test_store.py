"""The store in a NoneBot child: at import, in hooks, on its loop, in threads, at shutdown."""

from __future__ import annotations

from ast import literal_eval
from pathlib import Path

from tests.program import main_process, nonebot_plugin, running, write_files

EVERYWHERE = """
    import threading
    from liteyuki_core import shared_memory
    from nonebot.message import event_preprocessor

    assert shared_memory["from main"] == ["main"]
    shared_memory["at import"] = 1
    steps = shared_memory.namespace("steps")

    @shared_memory.watch("told")
    async def watch(change):
        await shared_memory.async_incr("watched")

    @driver.on_startup
    def sync_hook():
        steps.set("sync hook", shared_memory["at import"])

    @driver.on_startup
    async def async_hook():
        # Sync code on the loop's thread, with and without a copy at hand.
        for i in range(200):
            steps["on the loop"] = i
            assert steps["on the loop"] == i
            assert shared_memory.incr("added") == i + 1
        await steps.async_set("async hook", shared_memory.get("from main"))
        with shared_memory.lock("lock"):
            steps["locked"] = True
        threads = [threading.Thread(target=thread, args=(n,)) for n in range(4)]
        for started in threads:
            started.start()
        for started in threads:
            started.join()  # Blocks the loop; the store answers all the same.
        shared_memory["told"] = True

    def thread(number):
        for _ in range(50):
            steps.incr("threads")

    @driver.on_shutdown
    async def on_shutdown():
        steps.set("shutdown", "async")
        await steps.async_set("shutdown", steps["shutdown"] + " sync")
"""


def test_it_is_used_from_everywhere(project: Path, environment: dict[str, str]) -> None:
    """At import, in hooks of both kinds, on the loop's thread, in threads, at shutdown."""
    main = main_process("pass").replace(
        "    bot.run()",
        """
    from liteyuki_core import shared_memory
    shared_memory["from main"] = ["main"]

    @bot.on_after_start
    async def wait():
        while await shared_memory.async_get("watched") is None:
            await asyncio.sleep(0.02)
        logger.info("all is there")

    @bot.on_after_shutdown
    def look():
        logger.info(f"left: {shared_memory.namespace('steps').get_all()}")

    bot.run()""",
    )
    write_files(project, {"bot.py": main, "hooks.py": nonebot_plugin(EVERYWHERE)})
    with running(project, environment) as program:
        program.wait_for_line("all is there")
        program.wait_for_line("Uvicorn running on")
        assert program.stop() == 0
        (left,) = program.found(r"left: (.*)$")
        assert literal_eval(left[1]) == {
            "sync hook": 1,
            "async hook": ["main"],
            "on the loop": 199,
            "locked": True,
            "threads": 200,
            "shutdown": "async sync",
        }
        assert not program.found("ERROR|Traceback|错误"), program.output
