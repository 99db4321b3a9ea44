"""A bot with a NoneBot child behind a gateway, which obeys the orders of a test."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.conftest import DEADLINE, free_port
from tests.program import Environment, Program, running_program, write_files

PAGES = "tests.children.pages_plugin"
ANSWERING = "tests.children.answering_plugin"
ONEBOT = {
    "pyproject.toml": """
        [tool.nonebot.adapters]
        nonebot-adapter-onebot = [
            { name = "OneBot V11", module_name = "nonebot.adapters.onebot.v11" },
            { name = "OneBot V12", module_name = "nonebot.adapters.onebot.v12" },
        ]
    """,
}


class Bot:
    """A running bot: its program, its port, and what it is ordered to do."""

    def __init__(self, program: Program, folder: Path, port: int) -> None:
        self.program = program
        self.folder = folder
        self.port = port
        self._given = 0

    @property
    def address(self) -> str:
        """Host and port, as in a URL."""
        return f"127.0.0.1:{self.port}"

    def order(self, verb: str, name: str = "nonebot", *, wait: bool = True) -> int:
        """Have a child restarted, killed or stopped. Return the pid that it then has or had."""
        written = self.folder / "order"
        written.write_text(f"{verb} {name}")
        written.rename(self.folder / f"order-{self._given}")
        self._given += 1
        return self.done() if wait else 0

    def done(self) -> int:
        """Wait until the last order was obeyed. Return the child's pid."""
        line = rf"order {self._given - 1} done by (\d+)"
        return int(self.program.wait_for_line(line, timeout=3 * DEADLINE)[1])

    def client(self, **options: object) -> httpx.Client:
        """Return an HTTP client of this bot."""
        # To read the certificates of this system takes longer than most requests.
        options = {"trust_env": False, "verify": False, "timeout": DEADLINE, **options}
        return httpx.Client(base_url=f"http://{self.address}", **options)  # type: ignore[arg-type]

    def connect(self) -> socket.socket:
        """Return a connection to the port."""
        return socket.create_connection(("127.0.0.1", self.port), DEADLINE)

    def say(self, name: str) -> None:
        """Make a file that a page waits for."""
        (self.folder / name).touch()


@contextmanager
def bot(
    folder: Path,
    environment: Environment,
    *plugins: str,
    kind: str = "gateway",
    ends_late: bool = False,
    **more: str,
) -> Iterator[Bot]:
    """Run a bot whose child has these plugins. Its end is waited for, and is as it should be.

    A child that `ends_late` has been killed, as it did not stop in time.
    """
    folder.mkdir(exist_ok=True)
    port = free_port()
    more = {"PORT": str(port), **more}
    name = f"obeying:{kind}"
    with running_program(folder, environment, name, *(plugins or (PAGES,)), **more) as program:
        running = Bot(program, folder, port)
        running.order("RUNNING")
        if kind == "replicas":
            running.order("RUNNING", "nonebot-1")
        yield running
        assert program.stop() == 0, program.output
        assert bool(program.found("has not stopped")) is ends_late, program.output
        assert not program.found("never retrieved|was destroyed"), program.output


@contextmanager
def answering(
    folder: Path,
    environment: Environment,
    *plugins: str,
    kind: str = "gateway",
    ends_late: bool = False,
    **more: str,
) -> Iterator[Bot]:
    """Run a bot that answers messages, and has these plugins too."""
    write_files(folder, ONEBOT)
    wanted = (ANSWERING, *plugins)
    with bot(folder, environment, *wanted, kind=kind, ends_late=ends_late, **more) as running:
        yield running
