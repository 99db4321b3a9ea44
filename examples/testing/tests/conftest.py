import nonebot
import pytest
from nonebot.adapters.onebot.v11 import Adapter


@pytest.fixture(scope="session", autouse=True)
async def after_nonebot_init(after_nonebot_init, liteyuki_host):
    nonebot.get_driver().register_adapter(Adapter)
    nonebot.load_plugins("plugins")
