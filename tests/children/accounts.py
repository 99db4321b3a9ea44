"""A main process with a NoneBot child whose accounts are watched, and a program that logs them in.

It says each change of an account, and stops when it is interrupted.
"""

from __future__ import annotations

import sys

from liteyuki_core import LiteyukiBot
from liteyuki_core.accounts import Account
from tests.children.acting import QUICK, say


def main() -> None:
    """Argument: `revives` if the program is to be restarted."""
    bot = LiteyukiBot()
    command = [sys.executable, "-m", "tests.children", "executables:waits"]
    bot.add_program("implementation", command)
    bot.add_process(
        "nonebot",
        "liteyuki_core.frameworks.nonebot:run",
        kwargs={
            "pyproject": None,
            "adapters": ["nonebot.adapters.onebot.v11"],
            "plugins": ["nonebot_plugin_liteyuki_comm"],
        },
        restart=QUICK,
        restart_when_offline="implementation" if "revives" in sys.argv else None,
    )

    @bot.on_account
    async def changed(account: Account) -> None:
        say(">", account.state.value, account.adapter, account.id, account.process)

    @bot.on_account
    def changed_too(account: Account) -> None:
        say("sync", account.state.value, [known.nickname for known in bot.accounts])

    bot.run()
