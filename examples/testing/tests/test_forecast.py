from liteyuki_core.comm import active_channel, passive_channel


def asks(city):  # the child imports this file and runs this function
    passive_channel.send(active_channel.request(city, timeout=10))


def test_the_plugin_answers(liteyuki_app):
    liteyuki_app.add("nonebot", asks, args=("Beijing",))
    liteyuki_app.load_plugin("main_plugins/forecast.py")
    liteyuki_app.channel("nonebot-passive").should_receive("It is sunny in Beijing.")
