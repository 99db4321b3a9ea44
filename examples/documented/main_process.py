# main process (a main-process plugin, or bot.py)
import asyncio
from liteyuki_core.comm import get_channel
from liteyuki_core import get_bot
channel_passive = get_channel("nonebot-passive")
channel_active = get_channel("nonebot-active")
liteyuki_bot = get_bot()

@liteyuki_bot.on_after_start
async def send_data():
    while True:
        channel_passive.send("I am liteyuki main process passive")
        channel_active.send("I am liteyuki main process active")
        await asyncio.sleep(3)
