def test_somebody_asks_for_the_weather(liteyuki_app):
    liteyuki_app.add_nonebot(plugin_dirs=["plugins"])
    liteyuki_app.load_plugin("main_plugins/forecast.py")
    account = liteyuki_app.onebot(10001)
    account.says("/weather Beijing").should_reply("It is sunny in Beijing.")
    account.says("/weather Shanghai", group=5000).should_reply(lambda text: "Shanghai" in text)
    account.says("hello").should_not_reply(within=0.2)
