"""Bots whose children listen, and are restarted, killed and stopped by the orders of a test.

The order number N is the file `order-N`: a verb and a child's name.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from liteyuki_core import LiteyukiBot, logger
from liteyuki_core.process import ProcessState, RestartPolicy, calls_ready, ready
from liteyuki_core.process.child.sockets import listen
from tests.children import acting

RUN = "liteyuki_core.frameworks.nonebot:run"
PLUGINS = ["tests.children.telling_plugin"]
SOON = RestartPolicy(max_restarts=1000, backoff=0.01, max_backoff=0.01)


def tell(bot: LiteyukiBot) -> None:
    """Log what the gateway's channels and the dead letters have."""
    events = {name: each for name, each in bot.channels.items() if "-gateway-" in name}
    unhandled = sum(each["backlog"] for each in events.values())
    letters = [str(letter.load()) for letter in bot.dead_letters()]
    logger.info(f"{len(events)} connections have {unhandled} events; set aside: {letters}")


async def obey(bot: LiteyukiBot) -> None:
    for number in range(1000):
        order = Path(f"order-{number}")
        while not order.exists():
            await asyncio.sleep(0.01)
        verb, name = order.read_text().split()
        process = bot.processes[name]
        restarts, wanted = process.restarts + 1, ProcessState.RUNNING
        if verb == "restart":
            bot.restart_process(name)
        elif verb == "kill":
            acting.kill(process.pid)
        elif verb == "start":
            bot.start_process(name)
            restarts = process.restarts
        elif verb == "stop":
            bot.stop_process(name)
            restarts, wanted = process.restarts, ProcessState.STOPPED
        elif verb == "tell":
            restarts, wanted = process.restarts, process.state
            tell(bot)
        else:
            restarts, wanted = process.restarts, ProcessState[verb]
        while process.restarts < restarts or process.state is not wanted:
            await asyncio.sleep(0.01)
        logger.info(f"order {number} done by {process.last_pid}")


def run(
    *children: tuple[str, Callable[..., object] | str, dict[str, Any]],
    gateway: bool = False,
    replicas: int = 1,
) -> None:
    bot = LiteyukiBot()
    for name, target, kwargs in children:
        bot.add_process(
            name, target, kwargs=kwargs, restart=SOON, gateway=gateway, replicas=replicas
        )
    bot.on_after_start(lambda: obey(bot))
    bot.run()


def nonebot() -> None:
    run(("nonebot", RUN, {"plugins": PLUGINS}))


def gateway() -> None:
    """The arguments are the modules of NoneBot's plugins."""
    run(("nonebot", RUN, {"plugins": sys.argv[1:]}), gateway=True)


def replicas() -> None:
    """As `gateway`, with two processes."""
    run(("nonebot", RUN, {"plugins": sys.argv[1:]}), gateway=True, replicas=2)


def nonebots(*, gateway: bool = False) -> None:
    """The first argument is JSON: the config of each child by its name."""
    configs = json.loads(sys.argv[1])
    children = [(name, RUN, {"plugins": PLUGINS, **config}) for name, config in configs.items()]
    run(*children, gateway=gateway)


def gateways() -> None:
    """As `nonebots`, each with a gateway."""
    nonebots(gateway=True)


# ------------------------------------------------------------- servers of any loop


class Telling(asyncio.Protocol):
    def connection_made(self, transport: Any) -> None:
        accepted = transport.get_extra_info("socket")
        delays = not accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        transport.write(f"{os.getpid()} {delays}".encode())
        transport.close()


async def serve() -> None:
    loop = asyncio.get_running_loop()
    sockets = listen(Path("host").read_text(), 0, 16)
    assert sockets is not None
    for sock in sockets:
        assert not sock.get_inheritable()
        await loop.create_server(Telling, sock=sock)
    (port,) = {sock.getsockname()[1] for sock in sockets}
    # In one piece: other processes write there too.
    os.write(1, f"listens on {port}\n".encode())
    ready()
    await loop.create_future()


@calls_ready
def serve_on(kind: str) -> None:
    if kind == "uvloop":
        import uvloop

        uvloop.run(serve())
    else:
        asyncio.run(serve())


def servers() -> None:
    run(*[(kind, serve_on, {"kind": kind}) for kind in ("asyncio", "uvloop")])
