"""Node "front": it has a child process that answers what comes on its channel."""

from waiting import wait_for_server

from liteyuki_core import LiteyukiBot
from liteyuki_core.comm import active_channel


def worker() -> None:
    """Answer each text with the same in capitals."""
    for text in active_channel:
        active_channel.send(text.upper())


if __name__ == "__main__":
    wait_for_server()
    bot = LiteyukiBot()
    bot.add_process("worker", worker)
    bot.run()
