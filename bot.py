"""Start with `python bot.py`: the main process and one child process that runs NoneBot."""

from liteyuki_core import LiteyukiBot

if __name__ == "__main__":
    bot = LiteyukiBot()
    # NoneBot reads HOST, PORT, DRIVER ... from .env, its adapters and plugins from the
    # [tool.nonebot] table of pyproject.toml.
    bot.add_process("nonebot", "liteyuki_core.frameworks.nonebot:run")

    # The main process's half of the documented example; its other half is a NoneBot plugin
    # listed in pyproject.toml. Put your own in place of both.
    import examples.documented.main_process  # noqa: F401

    bot.run()
