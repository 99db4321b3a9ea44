"""Listening sockets that the main process keeps: nobody is refused while a child is restarted.

Tests process/child/sockets.py.
"""

from __future__ import annotations

import asyncio
import errno
import json
import os
import re
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import httpx
import psutil
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from liteyuki_core.process.listening import Listening, way_pair
from tests.conftest import DEADLINE, a_little, free_port, wait_until
from tests.program import Environment, Program, running_program, write_files

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="on Windows each child binds its own sockets"
)

PAUSE = 0.05
HOLD = 0.1

ADAPTERS = """
    [tool.nonebot.adapters]
    nonebot-adapter-onebot = [
        { name = "OneBot V11", module_name = "nonebot.adapters.onebot.v11" },
    ]
"""

QUESTION = {
    "time": 1,
    "self_id": 1,
    "post_type": "message",
    "message_type": "private",
    "sub_type": "friend",
    "message_id": 1,
    "user_id": 2,
    "message": [{"type": "text", "data": {"text": "who?"}}],
    "raw_message": "who?",
    "font": 0,
    "sender": {"user_id": 2, "nickname": "tester"},
}


class Orders:
    """What the test has the main process do, one after another."""

    def __init__(self, program: Program, folder: Path) -> None:
        self.program = program
        self._folder = folder
        self._given = 0

    def __call__(self, verb: str, name: str = "nonebot") -> int:
        """Have one order done, and return the pid that the child then has or had."""
        written = self._folder / "order"
        written.write_text(f"{verb} {name}")
        written.rename(self._folder / f"order-{self._given}")
        done = self.program.wait_for_line(
            rf"order {self._given} done by (\d+)", timeout=3 * DEADLINE
        )
        self._given += 1
        return int(done[1])


@contextmanager
def obeying(folder: Path, environment: Environment, name: str, *arguments: str) -> Iterator[Orders]:
    """Run a program that obeys orders in `folder`; its end is waited for."""
    with running_program(folder, environment, f"obeying:{name}", *arguments) as program:
        yield Orders(program, folder)
        assert program.stop() == 0
        assert not program.found("has not stopped"), program.output


def ask_onebot(port: int) -> int:
    """Ask over a new connection as OneBot implementations do, and return the answering pid.

    The connection is held for a while, or until NoneBot closes it.
    """
    headers = {"X-Self-ID": "1", "X-Client-Role": "Universal"}
    address = f"ws://127.0.0.1:{port}/onebot/v11/ws"
    with connect(address, additional_headers=headers, proxy=None, open_timeout=DEADLINE) as client:
        client.send(json.dumps(QUESTION))
        call = json.loads(client.recv(timeout=DEADLINE))
        client.send(json.dumps({"status": "ok", "retcode": 0, "data": {}, "echo": call["echo"]}))
        with suppress(TimeoutError, ConnectionClosed):
            client.recv(timeout=HOLD)
    message = call["params"]["message"]
    return int(message if isinstance(message, str) else message[0]["data"]["text"])


def ask_http(port: int, host: str = "127.0.0.1") -> int:
    """Ask over a new connection and return the answering pid."""
    with httpx.Client(trust_env=False, timeout=DEADLINE) as client:
        return int(client.get(f"http://{host}:{port}/").raise_for_status().text)


class Client:
    """A thread that asks over and over, and notes the answers and what was raised."""

    def __init__(self, ask: Callable[[int], int], port: int) -> None:
        self.answers: list[int] = []
        self.raised: list[Exception] = []
        self._ask = ask
        self._port = port
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._run, name="client")

    def _run(self) -> None:
        while not self._enough.wait(PAUSE):
            try:
                self.answers.append(self._ask(self._port))
            except Exception as error:
                self.raised.append(error)

    def __enter__(self) -> Client:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        self._thread.join()


@pytest.fixture
def port(tmp_path: Path, environment: Environment) -> int:
    """The port of a NoneBot child in a project that obeys orders."""
    found = free_port()
    environment["PORT"] = str(found)
    write_files(tmp_path, {"pyproject.toml": ADAPTERS})
    return found


def open_files(program: Program) -> int:
    """Return how many file descriptors the main process has."""
    return psutil.Process(program.process.pid).num_fds()


@a_little(3, 10)
def test_nobody_is_refused_through_restarts(
    tmp_path: Path, environment: Environment, port: int, times: int
) -> None:
    """Clients that reconnect with short pauses are served by the old process or the new one.

    Only a question still under way when the old one ends may be cut short, and that is said.
    """
    with obeying(tmp_path, environment, "nonebot") as order:
        order("RUNNING")
        before = 0
        with Client(ask_onebot, port) as onebot, Client(ask_http, port) as http:
            for _ in range(times):
                pid = order("restart")
                before = before or open_files(order.program)
                for client in (onebot, http):
                    wait_until(partial(client.answers.__contains__, pid), "the new one answers")
        assert open_files(order.program) == before
    assert http.raised == []
    for error in onebot.raised:
        assert isinstance(error, ConnectionClosed), repr(error)
        assert error.rcvd is not None
        assert error.rcvd.code == 1012


def test_a_crash_refuses_nobody_a_stop_everybody(
    tmp_path: Path, environment: Environment, port: int
) -> None:
    """Who connects after a kill is served by the successor; after a stop nothing listens."""
    with obeying(tmp_path, environment, "nonebot") as order:
        order("RUNNING")
        without = open_files(order.program)
        with Client(ask_onebot, port) as onebot, Client(ask_http, port) as http:
            for _ in range(2):
                pid = order("kill")
                for client in (onebot, http):
                    wait_until(partial(client.answers.__contains__, pid), "the new one answers")
        refused = (ConnectionRefusedError, httpx.ConnectError)
        assert not [e for e in onebot.raised + http.raised if isinstance(e, refused)]
        order("stop")
        with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
            pass
        assert open_files(order.program) < without
        order("restart")
        assert ask_http(port) == order("RUNNING")


def has_ipv6() -> bool:
    """Return whether this machine has an IPv6 loopback address."""
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


def test_each_child_has_its_own(tmp_path: Path, environment: Environment) -> None:
    """Two NoneBots listen on two addresses, one of them IPv6, and say where."""
    hosts = {"one": "127.0.0.1", "two": "::1" if has_ipv6() else "127.0.0.1"}
    ports = {name: free_port() for name in hosts}
    configs = {name: {"host": hosts[name], "port": ports[name]} for name in hosts}
    write_files(tmp_path, {"pyproject.toml": ADAPTERS})
    with obeying(tmp_path, environment, "nonebots", json.dumps(configs)) as order:
        pids = {name: order("RUNNING", name) for name in hosts}
        for name, host in hosts.items():
            shown = f"[{host}]" if ":" in host else host
            assert ask_http(ports[name], shown) == pids[name]
            order.program.wait_for_line(
                rf"Uvicorn running on http://{re.escape(shown)}:{ports[name]} "
            )


def test_any_loop_gets_its_port_again(tmp_path: Path, environment: Environment) -> None:
    """Port 0 stays the same through a restart; another host is another port; nothing delays."""
    (tmp_path / "host").write_text("127.0.0.1")
    with obeying(tmp_path, environment, "servers") as order:
        said = 0

        def next_port() -> int:
            nonlocal said
            said += 1  # A child is RUNNING before its line has come.
            found = order.program.wait_until(
                lambda: order.program.found(r"listens on (\d+)$")[said - 1 :], f"port {said}"
            )
            return int(found[0][1])

        first = {kind: order("RUNNING", kind) for kind in ("asyncio", "uvloop")}
        ports = {next_port(), next_port()}
        assert len(ports) == 2
        for kind in first:
            pid = order("restart", kind)
            assert pid != first[kind]
            port = next_port()
            assert port in ports
            assert told(port) == f"{pid} False"
            (tmp_path / "host").write_text("localhost")
            pid = order("restart", kind)
            other = next_port()
            assert told(other) == f"{pid} False"
            with pytest.raises(ConnectionRefusedError):
                told(port)
            (tmp_path / "host").write_text("127.0.0.1")


def told(port: int) -> str:
    """Return what is told to whoever connects."""
    with socket.create_connection(("127.0.0.1", port), DEADLINE) as client:
        return client.makefile().read()


@pytest.mark.parametrize(
    ("host", "port", "said"),
    [
        ("127.0.0.1", 65536, "65535"),
        ("a..b", 0, "label"),
        ("192.0.2.1", 0, os.strerror(errno.EADDRNOTAVAIL)),
    ],
)
def test_what_cannot_be_listened_on_is_said(host: str, port: int, said: str) -> None:
    """A port that is none, a name that is none, an address of another machine: no sockets."""

    async def run(function: Callable[[], list[socket.socket]]) -> list[socket.socket]:
        return function()

    listening = Listening()
    ours, way = way_pair()
    assert way is not None
    listening.use_way(ours)
    asyncio.run(listening.asked(host, port, 1, run))
    listening.close_way()
    with way.connection as theirs:
        answer = json.loads(theirs.recv(4096))
    assert said in answer["text"]
    assert answer["code"]
