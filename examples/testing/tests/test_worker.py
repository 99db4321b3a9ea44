from liteyuki_core import shared_memory


def test_an_order_is_paid(liteyuki_app):
    liteyuki_app.add("worker", "worker:run")
    liteyuki_app.ready("worker")
    channel = liteyuki_app.channel("worker-active")
    channel.send("order 1")
    channel.should_receive("order 1 is paid")
    channel.should_not_receive(within=0.2)


def test_an_order_is_paid_once_if_the_worker_crashes(liteyuki_app):
    liteyuki_app.add("worker", "worker:run")
    liteyuki_app.ready("worker")
    liteyuki_app.kill("worker", at="before_ack")
    channel = liteyuki_app.channel("worker-active")
    channel.send("order 1")
    channel.should_receive("order 1 is paid")  # by the one that was killed
    channel.should_receive("order 1 is paid")  # by its successor
    assert shared_memory.get("payments") == 1
