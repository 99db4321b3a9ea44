from liteyuki_core import shared_memory
from liteyuki_core.comm import active_channel


def run():
    for order in active_channel:
        if shared_memory.get(f"paid {order}") is None:
            shared_memory.set(f"paid {order}", True)
            shared_memory.incr("payments")
        active_channel.send(f"{order} is paid")
