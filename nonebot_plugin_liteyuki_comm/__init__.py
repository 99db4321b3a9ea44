"""NoneBot2 plugin: channels between NoneBot and its LiteyukiBot main process."""

from nonebot import get_driver, get_plugin_config
from nonebot.plugin import PluginMetadata

from liteyuki_core.comm import (
    Channel,
    active_channel,
    async_select,
    get_channel,
    get_channels,
    passive_channel,
    select,
    set_channel,
    set_channels,
    shared_memory,
    workers,
)
from liteyuki_core.errors import (
    ChannelBroken,
    ChannelClosed,
    ChannelEmpty,
    ChannelError,
    ChannelFull,
    ChannelTimeout,
    LiteyukiError,
    NotConnected,
    ProcessTimeout,
    RemoteError,
    StoreError,
    StoreTimeout,
    WorkerDied,
)
from liteyuki_core.frameworks.nonebot import bind_lifespan
from liteyuki_core.log import logger

from . import accounts, commands
from .bots import wait_bot, watch
from .bridge import check_host, join_cluster
from .config import Config

__plugin_meta__ = PluginMetadata(
    name="轻雪通信",
    description="NoneBot 与 LiteyukiBot 主进程之间的全双工通道 / "
    "Full-duplex channels between NoneBot and its LiteyukiBot main process",
    usage=(
        'require("nonebot_plugin_liteyuki_comm")\n'
        "from nonebot_plugin_liteyuki_comm import active_channel, passive_channel\n\n"
        "@passive_channel.on_receive(filter_func=lambda data: isinstance(data, str))\n"
        "async def _(data): ...  # 在 NoneBot 的事件循环上运行 / runs on NoneBot's event loop\n\n"
        'passive_channel.send("hello")'
    ),
    type="library",
    homepage="https://github.com/LiteyukiStudio/nonebot-plugin-liteyuki-comm",
    config=Config,
    supported_adapters=None,
)

config = get_plugin_config(Config)
driver = get_driver()
is_node = join_cluster(driver)
bind_lifespan(driver)
watch(driver)
process = check_host(driver, config, is_node=is_node)
if process is not None:
    accounts.watch(driver)
if process is not None and config.liteyuki_comm_forward:
    from .forward import forward

    forward(driver, process)
if process is not None and config.liteyuki_comm_commands:
    commands.add(driver, process)

__all__ = [
    "Channel",
    "ChannelBroken",
    "ChannelClosed",
    "ChannelEmpty",
    "ChannelError",
    "ChannelFull",
    "ChannelTimeout",
    "LiteyukiError",
    "NotConnected",
    "ProcessTimeout",
    "RemoteError",
    "StoreError",
    "StoreTimeout",
    "WorkerDied",
    "active_channel",
    "async_select",
    "get_channel",
    "get_channels",
    "logger",
    "passive_channel",
    "select",
    "set_channel",
    "set_channels",
    "shared_memory",
    "wait_bot",
    "workers",
]
