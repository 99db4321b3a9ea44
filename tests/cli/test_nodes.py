"""Commands about other nodes: two main processes that share a real NATS server.

Tests cli/nodes.py.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest

from liteyuki_core.control import Client, ControlError
from tests.accounts.onebot import fall_offline, running_bot
from tests.cli.conftest import Liteyuki
from tests.commanded import Bots, started, two_nodes
from tests.conftest import wait_until
from tests.nats import NatsServer
from tests.program import Program, unix
from tests.session.onebot import address_of, onebot

NODE_KEYS = {"name", "this", "state", "ok", "seen", "channels", "processes", "accounts"}
PROCESS_KEYS = {"name", "state", "pid", "restarts", "started_at", "uptime"}


@pytest.fixture
def bots(here: Path, environment: dict[str, str], nats: NatsServer) -> Iterator[Bots]:
    """Both nodes, all their processes ready."""
    with two_nodes(here, environment, nats) as found:
        yield found


def nodes(liteyuki: Liteyuki, code: int = 0) -> dict[str, Any]:
    """Return what `liteyuki nodes` says in the folder of `a`, by name."""
    found = json.loads(liteyuki("-C", "a", "nodes", "--json", code=code))
    return {each["name"]: each for each in found}


def all_run(liteyuki: Liteyuki) -> None:
    """Wait until `a` knows that all processes of `b` run."""
    wait_until(
        lambda: [p["state"] for p in nodes(liteyuki)["b"]["processes"]] == ["running", "running"]
    )


def test_status_of_another_node(bots: Bots, liteyuki: Liteyuki) -> None:
    """It is what that node says of itself, with all keys."""
    there = json.loads(liteyuki("-C", "a", "status", "--node", "b", "--json"))
    own = json.loads(liteyuki("-C", "b", "status", "--json"))
    assert there["pid"] == own["pid"] == bots.b.process.pid
    assert there["node"] == own["node"] == "b"
    assert [set(p) for p in there["processes"]] == [set(p) for p in own["processes"]]
    here = json.loads(liteyuki("-C", "a", "status", "--node", "a", "--json"))
    assert here["pid"] == bots.a.process.pid
    lines = liteyuki("-C", "a", "status", "--node", "b").splitlines()
    assert [line.split()[0] for line in lines[:3]] == ["NAME", "echo-b", "waits-b"]


def test_processes_of_another_node(bots: Bots, liteyuki: Liteyuki) -> None:
    """They are stopped, started and restarted from here, and waited for."""
    (before,) = json.loads(liteyuki("-C", "a", "wait", "echo-b", "--node", "b", "--json"))
    (after,) = json.loads(liteyuki("-C", "a", "restart", "echo-b", "--node", "b", "--json"))
    assert (after["state"], after["restarts"]) == ("running", before["restarts"] + 1)
    assert after["pid"] != before["pid"]
    assert bots.b.found("node a has asked for this: restart echo-b")
    assert liteyuki("-C", "a", "stop", "echo-b", "waits-b", "--node", "b") == (
        "echo-b is stopped\nwaits-b is stopped\n"
    )
    own = json.loads(liteyuki("-C", "b", "status", "--json"))
    assert [each["state"] for each in own["processes"]] == ["stopped", "stopped"]
    assert liteyuki("-C", "a", "start", "echo-b", "--node", "b") == "echo-b is running\n"
    own = json.loads(liteyuki("-C", "a", "status", "--json"))
    assert [each["state"] for each in own["processes"]] == ["running", "running"]


def test_the_nodes(bots: Bots, liteyuki: Liteyuki) -> None:
    """A line for each, with its processes; the status of a bot has a line about the others."""
    all_run(liteyuki)
    found = nodes(liteyuki)
    assert list(found) == ["a", "b"]
    assert set(found["b"]) == NODE_KEYS
    assert set(found["b"]["processes"][0]) == PROCESS_KEYS
    own = json.loads(liteyuki("-C", "b", "status", "--json"))
    assert [p["pid"] for p in found["b"]["processes"]] == [p["pid"] for p in own["processes"]]
    assert [found[name]["this"] for name in ("a", "b")] == [True, False]
    lines = [line.split() for line in liteyuki("-C", "a", "nodes").splitlines()]
    assert lines == [
        ["NODE", "THIS", "STATE", "PROCESSES", "ACCOUNTS"],
        ["a", "yes", "running", "2/2", "-"],
        ["b", "-", "running", "2/2", "-"],
    ]
    assert "\nother nodes: 1 of 1 run: liteyuki nodes\n" in liteyuki("-C", "a", "status")
    assert liteyuki("-C", "a", "accounts") == "no account was online here yet\n"


def test_a_node_is_killed(bots: Bots, liteyuki: Liteyuki) -> None:
    """Hooks are told within 10 seconds, and whoever asks it learns that it does not run."""
    all_run(liteyuki)
    bots.b.process.kill()
    died = time.monotonic()
    liteyuki("-C", "a", "status", "--node", "b", code=3)
    bots.a.wait_for_line("^> b gone$", timeout=15)
    assert time.monotonic() - died < 10
    assert liteyuki("-C", "a", "restart", "echo-b", "--node", "b", code=3) == (
        "node b does not run\n"
    )
    gone = nodes(liteyuki, code=3)["b"]
    assert (gone["state"], gone["processes"]) == ("gone", [])
    assert "node b: gone for " in liteyuki("-C", "a", "nodes", code=3)
    assert "node b: gone for " in liteyuki("-C", "a", "status")


def test_a_node_stops(bots: Bots, liteyuki: Liteyuki) -> None:
    """In good order: nothing is wrong."""
    assert bots.b.stop() == 0
    bots.a.wait_for_line("^> b stopped$")
    assert nodes(liteyuki)["b"]["state"] == "stopped"
    assert "other nodes: 0 of 1 run" in liteyuki("-C", "a", "status")


@unix
def test_a_node_that_does_not_answer(bots: Bots, liteyuki: Liteyuki) -> None:
    """Who asks is told so in a few seconds."""
    bots.b.process.send_signal(signal.SIGSTOP)
    try:
        said = liteyuki("-C", "a", "status", "--node", "b", code=3)
    finally:
        bots.b.process.send_signal(signal.SIGCONT)
    assert said in (
        "node b has not answered within 8 s\n",
        "node b has vanished while it was asked\n",
    )


def test_what_is_asked_wrongly(
    bots: Bots, liteyuki: Liteyuki, here: Path, environment: dict[str, str], nats: NatsServer
) -> None:
    """No such process there, no such node, no control there, nothing that others may ask."""
    assert "no process is named 'none' (there are: echo-b, waits-b)" in liteyuki(
        "-C", "a", "restart", "none", "--node", "b", code=1
    )
    assert liteyuki("-C", "a", "status", "--node", "c", code=1) == (
        "no node of the cluster is named 'c' (there are: a, b)\n"
    )
    with ExitStack() as stack:
        closed = {**environment, "LITEYUKI_NATS_URL": nats.url, "LITEYUKI_CONTROL": "false"}
        started(here, stack, closed, "c").wait_for_line("^all run$")
        bots.a.wait_for_line("^> c runs$")
        assert "LITEYUKI_CONTROL is false there" in liteyuki(
            "-C", "a", "status", "--node", "c", code=1
        )


def test_accounts_of_all_nodes(
    here: Path, environment: dict[str, str], liteyuki: Liteyuki, nats: NatsServer
) -> None:
    """They are in one place, with the node's name; of a node that is gone they are disconnected."""
    environment = {**environment, "LITEYUKI_NATS_URL": nats.url}
    (here / "b").mkdir()
    with ExitStack() as stack:
        started(here, stack, environment, "a").wait_for_line("^all run$", timeout=60)
        bot = stack.enter_context(running_bot(here / "b", environment, LITEYUKI_NODE="b"))
        with onebot(address_of(bot)) as client, onebot(address_of(bot), 10002):
            bot.wait_for_line("^> online .* 10001")
            bot.wait_for_line("^> online .* 10002")
            wait_until(lambda: len(accounts(liteyuki, "a")) == 2)
            assert accounts(liteyuki, "a") == accounts(liteyuki, "b")
            fall_offline(client)
            bot.wait_for_line("^> offline .* 10001")
            wait_until(lambda: accounts(liteyuki, "a", None)[0]["state"] == "offline")
            found = accounts(liteyuki, "a", 3)
            assert [(each["node"], each["process"], each["id"]) for each in found] == [
                ("b", "nonebot", "10001"),
                ("b", "nonebot", "10002"),
            ]
            lines = liteyuki("-C", "a", "accounts", code=3).splitlines()
            heads = ["ACCOUNT", "STATE", "TIME", "ADAPTER", "PROCESS", "NODE"]
            assert lines[0].split() == heads
            assert re.fullmatch(r"10001 +offline +\d+s +OneBot V11 +nonebot +b", lines[1])
            said = liteyuki("-C", "a", "status")
            assert "node b: account 10001 (OneBot V11, nonebot): offline for " in said
            assert "ACCOUNTS" not in said
            line = [each.split() for each in liteyuki("-C", "a", "nodes").splitlines()][2]
            assert line == ["b", "-", "running", "2/2", "1/2"]
        assert bot.stop() == 0
        wait_until(lambda: nodes(liteyuki)["b"]["state"] == "stopped")
        states = [each["state"] for each in accounts(liteyuki, "a", 3)]
        assert states == ["disconnected", "disconnected"]


def accounts(liteyuki: Liteyuki, node: str, code: int | None = 0) -> Any:
    """Return what `liteyuki accounts` says in the folder of a node; any exit code if it is None."""
    if code is None:
        folder = Path.cwd()
        os.chdir(node)
        try:
            return Client().ask("GET", "/accounts")
        finally:
            os.chdir(folder)
    return json.loads(liteyuki("-C", node, "accounts", "--json", code=code))


def test_without_a_cluster(bot: Program, liteyuki: Liteyuki) -> None:
    """It was asked wrongly, and there are no nodes."""
    assert liteyuki("status", "--node", "b", code=2) == (
        "this bot is in no cluster, so there are no nodes: LITEYUKI_NATS_URL is not set\n"
    )
    assert json.loads(liteyuki("nodes", "--json")) == []
    assert liteyuki("nodes") == "this bot is in no cluster: LITEYUKI_NATS_URL is not set\n"
    assert json.loads(liteyuki("status", "--json"))["node"] is None
    assert "other nodes" not in liteyuki("status")


def test_only_what_is_in_the_list(bots: Bots, monkeypatch: pytest.MonkeyPatch) -> None:
    """All else is refused here already, and what it is about is not done here either."""
    monkeypatch.chdir("a")
    for verb, path in (
        ("POST", "/shutdown"),
        ("GET", "/settings"),
        ("GET", "/store"),
        ("PUT", "/store/key"),
        ("GET", "/log"),
    ):
        body = {"value": 1} if verb == "PUT" else None
        with pytest.raises(ControlError) as caught:
            Client("b").ask(verb, path, body=body)
        assert caught.value.status == 422
    assert Client().ask("GET", "/store") == []


def test_bytes_of_a_stranger(bots: Bots, liteyuki: Liteyuki, nats: NatsServer) -> None:
    """Who is let in by the server, and sends what no node does, gets an answer and nothing else."""
    name = {"name": "echo-b"}
    for question, status in (
        (b"", 422),
        (b"\0" * 70_000, None),
        (b"\xff\xfe", 422),
        (b"[" * 50_000, 422),
        ({"node": "x", "what": "shutdown", "asked": {}}, 422),
        ({"node": "x", "what": "settings", "asked": {}}, 422),
        ({"node": "x\n\x1b[31m", "what": "restart", "asked": name}, 422),
        ({"node": "x", "what": "restart", "asked": {"name": "../shutdown"}}, 422),
        ({"node": "x", "what": "restart", "asked": {"name": ["echo-b"]}}, 422),
        ({"node": "x", "what": "restart", "asked": {}}, 422),
        ({"node": "x", "what": "status", "asked": {"prefix": "x"}}, 200),
        ({"node": "x", "what": "wait", "asked": {**name, "timeout": "long"}}, 422),
        ({"node": "x", "what": "wait", "asked": {**name, "state": "running"}}, 200),
    ):
        data = question if isinstance(question, bytes) else msgspec.json.encode(question)
        answer = asyncio.run(asked(nats.url, data))
        assert (msgspec.json.decode(answer)["status"] if answer else None) == status, question
    assert not bots.b.found("restart echo-b"), bots.b.output
    assert json.loads(liteyuki("-C", "a", "status", "--node", "b", "--json"))["ok"]


async def asked(url: str, question: bytes) -> bytes:
    """Return what node `b` answers somebody."""
    import nats

    client = await nats.connect(url)
    try:
        return (await client.request("ly.liteyuki.a.command.b", question, timeout=10)).data
    finally:
        await client.close()
