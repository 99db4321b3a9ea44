"""The control socket: who may enter, what is there before anybody has asked, what remains.

Tests control/door.py, control/address.py and control/server.py.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import sys
import threading
from pathlib import Path

import psutil
import pytest

from liteyuki_core.control import Client, ControlError, NoBot, address
from tests.conftest import wait_until
from tests.fuzzed import assert_refused
from tests.program import Program, python, running_program, unix

ASK = "from liteyuki_core.control import Client; print(Client().ask('GET', '/status')['pid'])"


@unix
def test_the_socket_is_the_users_alone(here: Path, bot: Program) -> None:
    """Mode 0600, in a folder of mode 0700, whatever was there before."""
    assert stat.S_IMODE((here / address.SOCKET).stat().st_mode) == 0o600
    assert stat.S_IMODE((here / address.FOLDER).stat().st_mode) == 0o700


@unix
def test_a_folder_that_was_open_is_closed(here: Path, environment: dict[str, str]) -> None:
    """A folder that others could enter is the user's alone from then on."""
    (here / address.FOLDER).mkdir(mode=0o755)
    with running_program(here, environment, "controlled") as program:
        program.wait_for_line("^all run$")
        assert stat.S_IMODE((here / address.FOLDER).stat().st_mode) == 0o700
        assert program.stop() == 0
    assert list((here / address.FOLDER).iterdir()) == []


@unix
def test_a_folder_that_is_a_link_is_not_used(
    here: Path, tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]
) -> None:
    """Somebody may have put it there: the bot runs without a control socket, and says so."""
    other = tmp_path_factory.mktemp("other")
    (here / address.FOLDER).symlink_to(other)
    with running_program(here, environment, "controlled") as program:
        program.wait_for_line("^all run$")
        assert program.found("there is no control socket.* is a link or another user's")
        assert list(other.iterdir()) == []
        assert program.stop() == 0


@pytest.mark.skipif(
    sys.platform == "win32" or os.geteuid() != 0, reason="only root can be somebody else"
)
def test_another_user_can_not_connect(
    bot: Program, here: Path, environment: dict[str, str]
) -> None:
    """Whoever that is, the folder keeps them out."""
    for folder in (here, *here.parents):  # pytest's own folders keep them out as well.
        if stat.S_IMODE(folder.stat().st_mode) & 0o005 != 0o005:
            folder.chmod(stat.S_IMODE(folder.stat().st_mode) | 0o005)
    code = (
        "import os, socket\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "try:\n"
        "    socket.socket(socket.AF_UNIX).connect('.liteyuki/control.sock')\n"
        "except PermissionError: print('kept out')\n"
    )
    assert python(code, here, environment).stdout.strip() == "kept out"
    assert python(ASK, here, environment).stdout.strip() == str(bot.process.pid)


def test_without_the_setting_nothing_is_there(here: Path, environment: dict[str, str]) -> None:
    """No socket, no folder, no thread."""
    with running_program(here, environment, "controlled", LITEYUKI_CONTROL="false") as program:
        program.wait_for_line("^all run$")
        assert not (here / address.FOLDER).exists()
        with pytest.raises(NoBot):
            Client().ask("GET", "/status")
        assert program.stop() == 0


@unix
def test_what_a_killed_bot_leaves_is_no_bot(here: Path, environment: dict[str, str]) -> None:
    """Its socket refuses, and the next bot takes its place."""
    with running_program(here, environment, "controlled") as program:
        program.wait_for_line("^all run$")
        program.process.send_signal(signal.SIGKILL)
        program.process.wait(20)
        assert (here / address.SOCKET).exists()
        with pytest.raises(NoBot):
            Client().ask("GET", "/status")
    with running_program(here, environment, "controlled") as program:
        program.wait_for_line("^all run$")
        assert Client().ask("GET", "/status")["pid"] == program.process.pid
        assert program.stop() == 0
    assert not (here / address.SOCKET).exists()


def test_a_long_path_is_no_hindrance(
    here: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name of a Unix socket is short, a project's path may be long."""
    deep = here / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)
    with running_program(deep, environment, "controlled") as program:
        program.wait_for_line("^all run$")
        assert Client().ask("GET", "/status")["directory"] == os.path.realpath(deep)
        assert program.stop() == 0
    assert list((deep / address.FOLDER).iterdir()) == []


def test_the_server_is_imported_when_somebody_asks(here: Path, environment: dict[str, str]) -> None:
    """A bot that nobody asks has neither Starlette nor uvicorn, nor another thread's work."""
    (here / "bot.py").write_text(
        "import sys\n"
        "from liteyuki_core import LiteyukiBot\n"
        "bot = LiteyukiBot()\n"
        "@bot.on_after_start\n"
        "async def look():\n"
        "    print({'uvicorn', 'starlette', 'pydantic'} & set(sys.modules), flush=True)\n"
        "bot.run()\n"
    )
    program = Program([sys.executable, "bot.py"], here, environment)
    try:
        program.wait_for_line(r"^set\(\)$")
        assert Client().ask("GET", "/status")["pid"] == program.process.pid
        assert program.stop() == 0
    finally:
        program.close()


@pytest.mark.skipif(sys.platform != "linux", reason="switches are counted as Linux has them")
def test_nothing_wakes_up_for_it(bot: Program) -> None:
    """Neither before somebody has asked nor afterwards."""

    def switches() -> dict[str, int]:
        found = {}
        for task in Path(f"/proc/{bot.process.pid}/task").iterdir():
            status = (task / "status").read_text()
            found[task.name] = int(status.partition("voluntary_ctxt_switches:")[2].split()[0])
        return found

    def quiet() -> bool:
        before = switches()
        threading.Event().wait(2.0)  # The time over which is counted.
        after = switches()
        main = str(bot.process.pid)
        return sum(after[t] - before.get(t, 0) for t in after if t != main) <= 1

    wait_until(quiet, "no wake-ups before")
    assert Client().ask("GET", "/status")["ok"] is True
    wait_until(quiet, "no wake-ups afterwards")


# ------------------------------------------------------------- clients that behave badly


def connected() -> socket.socket:
    """Return a connection to the bot of this directory."""
    connection, _ = address.connect(20.0)
    return connection


def test_what_is_no_request_is_an_error(bot: Program) -> None:
    """And nothing else: no line in the log, and the next one is served."""
    for data in (b"nonsense\r\n\r\n", b"\x00" * 100, b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 20_000):
        with connected() as connection:
            assert_refused(connection, data)
    assert Client().ask("GET", "/status")["ok"] is True
    assert not bot.found(r"Invalid HTTP|uvicorn|WARNING(?!\] token=)")  # Of the bot itself.


def test_five_hundred_connections_are_no_trouble(bot: Program) -> None:
    """A hundred are served; others are told that there are too many, until those are gone."""
    before = psutil.Process(bot.process.pid).num_fds() if sys.platform != "win32" else 0
    connections = [connected() for _ in range(500)]
    try:
        wait_until(lambda: connections[-1].recv(100).startswith(b"HTTP/1.1 503"), "a refusal")
        with pytest.raises(ControlError):
            Client().ask("GET", "/status")
    finally:
        for connection in connections:
            connection.close()

    def served() -> bool:
        try:
            return bool(Client().ask("GET", "/status")["ok"])
        except ControlError:
            return False

    wait_until(served, "the next one is served")
    if sys.platform != "win32":
        wait_until(lambda: psutil.Process(bot.process.pid).num_fds() <= before + 10, "all closed")


def test_a_slow_client_is_closed_and_holds_nobody_up(bot: Program) -> None:
    """One that sends half a header, or half a body, has ten seconds."""
    with connected() as header, connected() as body:
        header.sendall(b"GET /status HTTP/1.1\r\nhost: x\r\n")
        body.sendall(b"PUT /store/a HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n{")
        assert Client().ask("GET", "/status")["ok"] is True
        body.settimeout(20)
        assert body.recv(100).startswith(b"HTTP/1.1 408")
        header.settimeout(20)
        assert header.recv(100) == b""


def test_a_connection_is_for_one_request(bot: Program) -> None:
    """So each request has its ten seconds, and none can be left half sent for ever."""
    with connected() as connection:
        request = b"GET /channels HTTP/1.1\r\nhost: x\r\n\r\n"
        connection.sendall(request + request)
        answer = b""
        while part := connection.recv(65536):
            answer += part
        assert answer.count(b"HTTP/1.1 200") == 1


def test_who_has_gone_is_waited_for_no_more(bot: Program) -> None:
    """A client that asks for a long wait and leaves, leaves nothing in the bot."""
    body = b'{"state": "stopped", "timeout": 80000}'
    head = b"POST /processes/waits/wait HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n"

    def waiting() -> int:
        count = len(bot.found("echoed tasks"))
        Client().ask("POST", "/channels/echo-active/send", body={"data": "tasks"})
        bot.wait_for_line("echoed tasks", count=count + 1)
        return int(bot.found(r"tasks: (\d+)$")[-1][1])

    before = waiting()
    connections = [connected() for _ in range(5)]
    for connection in connections:
        connection.sendall(head % len(body) + body)
    wait_until(lambda: waiting() >= before + 5, "five wait")
    for connection in connections:
        connection.close()
    wait_until(lambda: waiting() <= before, "none waits")


def test_a_bot_stops_while_clients_follow(bot: Program, environment: dict[str, str]) -> None:
    """One that reads nothing any more does not make it late."""
    with connected() as stuck:
        stuck.sendall(b"GET /log/follow HTTP/1.1\r\nhost: x\r\n\r\n")
        assert stuck.recv(10)
        assert bot.stop() == 0
    assert not bot.found("has failed|not stopped")


# ------------------------------------------------------------- Windows's way


def test_a_port_needs_the_token(
    here: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is in a file for the user alone; without it nothing is answered, not even a 404."""
    monkeypatch.setattr(address, "by_port", True)
    with running_program(here, environment, "controlled", "port") as program:
        program.wait_for_line("^all run$")
        assert Client().ask("GET", "/status")["pid"] == program.process.pid
        file = here / address.PORT
        if sys.platform != "win32":
            assert stat.S_IMODE(file.stat().st_mode) == 0o600
        kept = file.read_text()
        for token in ("", "wrong", "ü"):
            file.write_text(json.dumps({**json.loads(kept), "token": token}))
            for path in ("/status", "/nothing", "/openapi.json", "/metrics", "/log/follow"):
                with pytest.raises(ControlError) as caught:
                    Client().text(path)
                assert caught.value.status == 401
        file.write_text("no address")
        with pytest.raises(NoBot):
            Client().ask("GET", "/status")
        file.write_text(kept)
        assert Client().ask("GET", "/status")["ok"] is True
        token = json.loads(kept)["token"]
        assert token not in program.output
        assert token not in Client().text("/log")
        assert program.stop() == 0
    assert list((here / address.FOLDER).iterdir()) == []


def test_a_forked_copy_of_the_bot_serves_nobody(bot: Program) -> None:
    """Children of the bot do not have its control socket."""
    if sys.platform == "win32":
        pytest.skip("handles are not inherited there")
    ours = [c for c in psutil.Process(bot.process.pid).net_connections("unix") if c.laddr]
    assert [c.laddr for c in ours if "control.sock" in c.laddr] == [address.SOCKET]
    for child in bot.children():
        found = [c.laddr for c in child.net_connections("unix") if c.laddr]
        assert not [path for path in found if "control.sock" in path]
