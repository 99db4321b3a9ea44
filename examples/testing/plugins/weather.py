from nonebot import on_command, require
from nonebot.adapters.onebot.v11 import Message
from nonebot.params import CommandArg

require("nonebot_plugin_liteyuki_comm")
from nonebot_plugin_liteyuki_comm import active_channel

weather = on_command("weather")


@weather.handle()
async def handle(city: Message = CommandArg()):
    answer = await active_channel.async_request(city.extract_plain_text(), timeout=10)
    await weather.finish(answer)
