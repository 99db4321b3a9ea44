# child process (a NoneBot plugin)
from nonebot import get_driver
from liteyuki_core.comm import active_channel, passive_channel
from liteyuki_core.log import logger
driver = get_driver()

@passive_channel.on_receive(filter_func=lambda data: isinstance(data, str))
async def on_passive_receive(data):
    logger.info(f"Passive receive: {data}")

@driver.on_startup
def on_startup():
    while True:
        data = active_channel.receive()
        logger.info(f"Active receive: {data}")
