from liteyuki_core import get_channel


@get_channel("nonebot-active").on_request()
async def forecast(city):
    return f"It is sunny in {city}."
