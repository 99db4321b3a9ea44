import nonebot
from nonebot.adapters.onebot.v11 import Adapter, Bot, GroupMessageEvent, Message


def group_message(text):
    return GroupMessageEvent(
        time=0,
        self_id=10001,
        post_type="message",
        message_type="group",
        sub_type="normal",
        message_id=1,
        group_id=5000,
        user_id=7000,
        message=Message(text),
        original_message=Message(text),
        raw_message=text,
        font=0,
        sender={"user_id": 7000, "nickname": "somebody"},
    )


async def test_the_answer_is_what_the_main_process_says(app, liteyuki_peer):
    liteyuki_peer.answers("Beijing", "It is raining in Beijing.")
    event = group_message("/weather Beijing")
    async with app.test_matcher() as ctx:
        adapter = nonebot.get_adapter(Adapter)
        bot = ctx.create_bot(base=Bot, adapter=adapter, self_id="10001")
        ctx.receive_event(bot, event)
        ctx.should_call_send(event, "It is raining in Beijing.", None, bot=bot)
        ctx.should_finished()
