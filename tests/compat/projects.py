"""Projects of LiteyukiBot v6 as people have them: its main.py, its plugins, with its own names.

The plugins use the names in the way in which the repository's own plugins do: those of 6.3.9 under
`older`, those of branch v6 under `newer`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.conftest import free_port
from tests.program import Environment, Program, running, write_files

MAIN = """
    from liteyuki import LiteyukiBot
    from liteyuki.config import load_config_in_default

    if __name__ == "__main__":
        bot = LiteyukiBot(**load_config_in_default(no_waring=True))
        bot.run()
"""

CHECKOUT = {
    "main.py": MAIN,
    "liteyuki/__init__.py": "raise ImportError('the liteyuki of the checkout')",
    "src/__init__.py": "",
}
"""What stands in each checkout, its own `liteyuki` too."""

_ABOUT = """
    from liteyuki.plugin import PluginMetadata, PluginType

    __plugin_meta__ = PluginMetadata(name="{name}", type=PluginType.{kind}{more})
"""

_LIFESPAN = """
    import asyncio
    from liteyuki import get_bot, logger
    from liteyuki.comm.channel import get_channel
    from liteyuki.plugin import PluginMetadata, PluginType

    __plugin_meta__ = PluginMetadata(name="hooks", type=PluginType.SERVICE)
    bot = get_bot()

    @bot.on_before_start
    def _():
        logger.info("hooks: about to start")

    @bot.on_before_process_shutdown
    def _({argument}):
        logger.info("hooks: a process is about to stop")

    @bot.on_before_process_restart
    def _({argument}):
        logger.info("hooks: a process is about to be restarted")

    @bot.on_after_start
    async def _():
        await asyncio.sleep(0)
        logger.info("hooks: started")

    @bot.on_after_restart
    async def _():
        logger.info("hooks: restarted")
"""

_SERVICE = """
    import json, os.path, platform
    from liteyuki import get_bot, logger
    from liteyuki.plugin import PluginMetadata, PluginType

    __plugin_meta__ = PluginMetadata(name="registration", type=PluginType.SERVICE)
    liteyuki = get_bot()

    @liteyuki.on_before_start
    async def _():
        os.makedirs("data", exist_ok=True)
        with open("data/system.json", "w") as file:
            json.dump({"os": platform.system()}, file)
        logger.success("registered")
"""

_TASKS = {
    "__init__.py": """
        from liteyuki.plugin import PluginMetadata, PluginType
        from .by_lifespan import *

        __plugin_meta__ = PluginMetadata(name="tasks", description="d", type=PluginType.SERVICE)
    """,
    "by_lifespan/__init__.py": "from .after_start import *",
    "by_lifespan/after_start.py": """
        import time
        from liteyuki import get_bot
        from liteyuki.comm.storage import shared_memory

        liteyuki = get_bot()

        @liteyuki.on_before_start
        def save_startup_timestamp():
            shared_memory.set("startup_timestamp", time.time())
    """,
}

_RELOADER = """
    import os.path
    from liteyuki.dev import observer
    from liteyuki import get_bot, logger
    from liteyuki.utils import IS_MAIN_PROCESS
    from watchdog.events import FileSystemEvent

    liteyuki = get_bot()
    left_out = (".pyc", ".pyo")

    @observer.on_file_system_event(
        directories=("src/nonebot_plugins",),
        event_filter=lambda event: not event.src_path.endswith(left_out)
        and ("__pycache__" not in event.src_path)
        and os.path.isfile(event.src_path),
    )
    def restart_nonebot_process(event: FileSystemEvent):
        logger.debug(f"File {event.src_path} changed, reloading nonebot...")
        liteyuki.restart_process("nonebot")
"""

_DRIVER = """
    import os

    def init(config: dict):
        if os.getenv("DRIVER", None) is None:
            os.environ["DRIVER"] = "~fastapi"
"""

_ADAPTERS = """
    import nonebot
    from nonebot.adapters.onebot import v11, v12

    def register():
        driver = nonebot.get_driver()
        driver.register_adapter(v11.Adapter)
        driver.register_adapter(v12.Adapter)
"""

_RELOADING = """
    from liteyuki.comm.channel import active_channel, get_channel
    from nonebot import on_fullmatch

    @on_fullmatch("reload-liteyuki").handle()
    async def _(matcher):
        await matcher.send("Liteyuki reloading")
        {channel}.send(1)
"""

_FORWARDER = """
    from nonebot import Bot, get_bot, on_message
    from nonebot.adapters.onebot.v11 import Bot, MessageEvent
    from liteyuki.comm.storage import shared_memory
    from liteyuki.message.event import MessageEvent as LiteyukiMessageEvent

    @on_message().handle()
    async def _(bot: Bot, event: MessageEvent):
        liteyuki_event = LiteyukiMessageEvent(
            message_type=event.message_type,
            message=event.dict()["message"],
            raw_message=event.raw_message,
            data=event.dict(),
            bot_id=bot.self_id,
            session_id=str(event.user_id if event.message_type == "private" else event.group_id),
            session_type=event.message_type,
            receive_channel="event_to_nonebot",
        )
        shared_memory.publish("event_to_liteyuki", liteyuki_event)

    @shared_memory.on_subscriber_receive("event_to_nonebot")
    async def _(event: LiteyukiMessageEvent):
        bot: Bot = get_bot(event.bot_id)
        if event.message_type == "private":
            await bot.send_private_msg(
                user_id=int(event.session_id), message=event.data["message"]
            )
        elif event.message_type == "group":
            await bot.send_group_msg(group_id=int(event.session_id), message=event.data["message"])
"""

_OLDER_LAUNCHER = {
    "__init__.py": """
        import nonebot
        from liteyuki.utils import IS_MAIN_PROCESS
        from liteyuki.plugin import PluginMetadata, PluginType
        from .nb_utils import adapter_manager, driver_manager

        __plugin_meta__ = PluginMetadata(name="launcher", type=PluginType.APPLICATION)

        def nb_run(*args, **kwargs):
            kwargs.update(kwargs.get("nonebot", {}))
            nonebot.init(**kwargs)
            driver_manager.init(config=kwargs)
            adapter_manager.register()
            for plugin in ("to_liteyuki", "reloading"):
                nonebot.load_plugin(f"{__name__}.nonebot_plugins.{plugin}")
            nonebot.run()

        if IS_MAIN_PROCESS:
            from liteyuki import get_bot
            from .dev_reloader import *

            liteyuki = get_bot()

            @liteyuki.on_before_start
            async def start_run_nonebot():
                liteyuki.process_manager.add_target(
                    name="nonebot", target=nb_run, args=(), kwargs=liteyuki.config
                )
    """,
    "dev_reloader.py": _RELOADER,
    "nb_utils/driver_manager.py": _DRIVER,
    "nb_utils/adapter_manager.py": _ADAPTERS,
    "nonebot_plugins/to_liteyuki.py": _FORWARDER,
    "nonebot_plugins/reloading.py": _RELOADING.format(channel='get_channel("nonebot-active")'),
}

_NEWER_LAUNCHER = {
    "__init__.py": """
        import os.path
        from pathlib import Path
        from croterline.utils import IsMainProcess
        from liteyuki.core import sub_process_manager
        from liteyuki.plugin import PluginMetadata, PluginType

        __plugin_meta__ = PluginMetadata(name="launcher", type=PluginType.APPLICATION)

        def nb_run(*args, **kwargs):
            import nonebot
            nonebot.init(**kwargs)
            from .nb_utils import driver_manager, adapter_manager
            driver_manager.init(config=kwargs)
            adapter_manager.register()
            nonebot.load_plugins(os.path.join(os.path.dirname(__file__), "nonebot_plugins"))
            nonebot.run()

        if IsMainProcess:
            from liteyuki import get_bot
            from .dev_reloader import *

            bot = get_bot()
            sub_process_manager.add(name="nonebot", func=nb_run, **bot.config.get("nonebot", {}))
    """,
    "dev_reloader.py": _RELOADER,
    "nb_utils/driver_manager.py": _DRIVER,
    "nb_utils/adapter_manager.py": _ADAPTERS,
    "nonebot_plugins/reloading.py": _RELOADING.format(channel="active_channel"),
    "nonebot_plugins/to_liteyuki.py": """
        from croterline.process import get_ctx
        from nonebot import on_message
        from nonebot.adapters.onebot.v11 import MessageEvent
        from liteyuki.session import SceneType, Session
        from liteyuki.session.event import MessageEvent as LiteyukiEvent

        ctx = get_ctx()

        @on_message(block=False, priority=0).handle()
        async def _(event: MessageEvent):
            ctx.sub_chan << event.raw_message
    """,
}


def _in(folder: str, files: Mapping[str, str]) -> dict[str, str]:
    return {f"src/liteyuki_plugins/{folder}/{name}": text for name, text in files.items()}


def _about(name: str, kind: str = "SERVICE", more: str = "") -> str:
    return _ABOUT.format(name=name, kind=kind, more=more)


OLDER = {
    **CHECKOUT,
    "src/nonebot_plugins/empty.py": "",
    "src/liteyuki_plugins/hello_liteyuki.py": """
        from liteyuki.plugin import PluginMetadata, PluginType
        from liteyuki.message.on import on_message
        from liteyuki.message.event import MessageEvent

        __plugin_meta__ = PluginMetadata(name="hello", type=PluginType.APPLICATION)

        @on_message().handle()
        async def _(event: MessageEvent):
            if str(event.raw_message) == "你好轻雪":
                event.reply("你好呀")
    """,
    "src/liteyuki_plugins/anti_dislink.py": """
        import random
        from liteyuki.plugin import PluginMetadata, PluginType
        from liteyuki.message.on import on_keywords

        __plugin_meta__ = PluginMetadata(name="links", type=PluginType.APPLICATION)

        @on_keywords(["show me", "给我看看"]).handle()
        async def _(event):
            event.reply(random.choice(["No dislink"]))
    """,
    "src/liteyuki_plugins/lifespan_monitor.py": _LIFESPAN.format(argument=""),
    **_in("liteyukibot_plugin_nonebot", _OLDER_LAUNCHER),
    "src/liteyuki_plugins/process_manager/__init__.py": _about("processes", more=', author="a"'),
    "src/liteyuki_plugins/reboot.py": _about("reboot", "MODULE", ', unknown="field"'),
    "src/liteyuki_plugins/register_service.py": _SERVICE,
    "src/liteyuki_plugins/resource_loader/__init__.py": _about("resources"),
    **_in("scheduled_tasks", _TASKS),
    "src/liteyuki_plugins/ts_chan_main.py": "",
}
"""The ten plugins of 6.3.9."""

NEWER = {
    **CHECKOUT,
    "src/nonebot_plugins/empty.py": "",
    "src/liteyuki_plugins/hello_liteyuki.py": """
        from liteyuki.plugin import PluginMetadata, PluginType
        from liteyuki.session.on import on_message
        from liteyuki.session.event import MessageEvent

        __plugin_meta__ = PluginMetadata(name="hello", type=PluginType.APPLICATION)

        @on_message().handle()
        async def _(event: MessageEvent):
            if str(event.raw_message) == "你好轻雪":
                event.reply("你好呀")
    """,
    "src/liteyuki_plugins/lifespan_monitor.py": _LIFESPAN.format(argument='name="name"'),
    "src/liteyuki_plugins/melobot/__init__.py": """
        from croterline.utils import IsMainProcess
        from liteyuki.core import sub_process_manager
        from liteyuki.plugin import PluginMetadata, PluginType

        __plugin_meta__ = PluginMetadata(name="MeloBot", type=PluginType.APPLICATION)

        def mb_run(*args, **kwargs):
            from liteyuki.log import logger
            logger.info(f"melobot got {args} {kwargs}")

        if IsMainProcess:
            from liteyuki import get_bot

            bot = get_bot()
            sub_process_manager.add(name="melobot", func=mb_run, **bot.config.get("melobot", {}))
    """,
    **_in("nonebot", _NEWER_LAUNCHER),
    "src/liteyuki_plugins/process_manager/__init__.py": _about("processes"),
    "src/liteyuki_plugins/register_service.py": _SERVICE,
    "src/liteyuki_plugins/resource_loader/__init__.py": _about("resources"),
    **_in("scheduled_tasks", _TASKS),
}
"""The eight plugins of branch v6."""


@contextmanager
def v6(
    folder: Path,
    environment: Environment,
    files: Mapping[str, str],
    *,
    config: str = "",
    **more: str,
) -> Iterator[Program]:
    """Run a project of v6 with the names of v6, and NoneBot on a port that is free."""
    port = free_port()
    text = f"nonebot: {{host: 127.0.0.1, port: {port}}}\n{config}"
    write_files(folder, {"config/config.yml": text, **files})
    command = ("-m", "liteyuki_core.compat", "main.py")
    with running(folder, environment, *command, LITEYUKI_V6_COMPAT="true", **more) as program:
        yield program
