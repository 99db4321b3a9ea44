"""A bot whose names, lines, keys and values would be a program, if a page took them for HTML."""

from __future__ import annotations

from liteyuki_core import LiteyukiBot, Queue, logger, shared_memory
from tests.children import acting
from tests.children.targets import waits

MARKUP = "<img src=x onerror=alert(1)>"


def main() -> None:
    """Run it."""
    bot = LiteyukiBot()
    bot.add_process(MARKUP, waits)

    @bot.on_after_start
    async def after_start() -> None:
        Queue[str](f"{MARKUP}-queue").send(f"</script>{MARKUP}")
        shared_memory.set(f"key{MARKUP}", {MARKUP: [f"</script>{MARKUP}"]})
        await bot.wait_ready(MARKUP, 30)
        logger.info(f"a line with {MARKUP}")
        acting.say("all run")

    bot.run()
