"""The check that the plugin makes when NoneBot loads it. It starts nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from liteyuki_core.comm import get_channels
from liteyuki_core.comm.current import current
from liteyuki_core.errors import NotConnected
from liteyuki_core.frameworks import nonebot as framework
from liteyuki_core.language import say
from liteyuki_core.log import logger

from .config import Config

if TYPE_CHECKING:
    from nonebot.drivers import Driver


def check_host(driver: Driver, config: Config) -> str | None:
    """Log once what will not work in this process; return its name, or None if it is no child.

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
    # To ask liteyuki_core.session for the name would import all of it where nobody needs it.
    if not config.liteyuki_comm_forward and f"{process}-session" in get_channels():
        logger.info(
            say(
                "messages are not forwarded to the main process, which has handlers for them: "
                "LITEYUKI_COMM_FORWARD is not set"
            )
        )
    return process
