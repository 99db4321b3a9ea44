"""What the plugin does when NoneBot loads it: it looks for the main process.

Where there is none, and the settings say so, this process becomes a node of a cluster. Otherwise
nothing is started here.
"""

from __future__ import annotations

import asyncio
from importlib import import_module
from typing import TYPE_CHECKING

from liteyuki_core.comm import get_channels
from liteyuki_core.comm.current import current
from liteyuki_core.config import other_key
from liteyuki_core.errors import ConfigError, NotConnected
from liteyuki_core.frameworks import nonebot as framework
from liteyuki_core.language import say
from liteyuki_core.log import logger

from .config import Config

if TYPE_CHECKING:
    from nonebot.drivers import Driver

_LEAVE_SECONDS = 4.0
"""What is on its way to other nodes has at most this time to leave when NoneBot has shut down."""


def join_cluster(driver: Driver) -> bool:
    """Make this process a node where NoneBot runs by itself and the settings name a NATS server.

    Waits for the server, and leaves the cluster when NoneBot has shut down. Returns whether this
    process is such a node now. Raises `ClusterError` or `ConfigError` if it can't be one.
    """
    if other_key("LITEYUKI_NATS_URL") is None or is_connected():
        return False
    try:
        alone = import_module("liteyuki_core.cluster.alone").Alone()
    except ImportError as error:
        raise ConfigError(
            "LITEYUKI_NATS_URL needs what this installs: python -m pip install "
            f'"nonebot-plugin-liteyuki-comm[nats]" ({error})'
        ) from error
    alone.join()

    async def leave() -> None:
        await asyncio.to_thread(alone.leave, _LEAVE_SECONDS)

    driver.on_shutdown(leave)
    return True


def is_connected() -> bool:
    """Return whether this is a process of a LiteyukiBot."""
    try:
        current()
    except NotConnected:
        return False
    return True


def check_host(driver: Driver, config: Config, *, is_node: bool = False) -> str | None:
    """Log once what will not work in this process; return its name, or None if it is no child.

    A node of a cluster has channels, and no main process.

    Raises `NotConnected` if there is no main process and the configuration requires one.
    """
    try:
        process = current().process
    except NotConnected as error:
        if config.liteyuki_comm_require_host:
            raise NotConnected(f"LITEYUKI_COMM_REQUIRE_HOST is set, but {error}") from None
        if config.liteyuki_comm_forward:
            logger.warning(say("LITEYUKI_COMM_FORWARD is set, but {error}", error=error))
        else:
            logger.debug(f"nonebot_plugin_liteyuki_comm: channels can't be used: {error}")
        return None
    if not isinstance(driver, framework.Mixin):
        logger.warning(
            say(
                "nonebot_plugin_liteyuki_comm: a startup hook that waits in receive() will keep "
                "NoneBot from starting; add +liteyuki_core.frameworks.nonebot to DRIVER"
            )
        )
    if is_node:
        return None
    # To ask liteyuki_core.session for the name would import all of it where nobody needs it.
    if not config.liteyuki_comm_forward and f"{process}-session" in get_channels():
        logger.info(
            say(
                "messages are not forwarded to the main process, which has handlers for them: "
                "LITEYUKI_COMM_FORWARD is not set"
            )
        )
    return process
