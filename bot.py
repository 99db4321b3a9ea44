"""Start with `python bot.py`: the main process and one child process that runs NoneBot."""

from liteyuki_core import LiteyukiBot

if __name__ == "__main__":
    bot = LiteyukiBot()
    # NoneBot reads HOST, PORT, DRIVER ... from .env, its adapters and plugins from the
    # [tool.nonebot] table of pyproject.toml.
    bot.add_process("nonebot", "liteyuki_core.frameworks.nonebot:run")
    # The main process loads the plugins that the [tool.liteyuki] table lists. Both tables list one
    # half of the documented example: put your own plugins in place of these.
    bot.run()
