"""Two NoneBot processes behind one gateway: which of them gets what, and what happens without one.

Tests process/rolling.py, gateway/kept.py, gateway/upstream.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import DEADLINE, wait_until
from tests.gateway.client import V11, V12, Client
from tests.gateway.project import PAGES, Bot, answering
from tests.program import Environment, write_files

GROUPS = range(1, 13)


@pytest.fixture
def running(tmp_path: Path, environment: Environment) -> Iterator[Bot]:
    """A bot with two processes that answer messages."""
    with answering(tmp_path, environment, PAGES, kind="replicas") as found:
        yield found


def connected(running: Bot, *, count: int = 2) -> list[int]:
    """Wait until each process has the account; return their pids."""
    running.program.wait_for_line("bot 10001 is connected to ", count)
    return [int(match[1]) for match in running.program.found(r"10001 is connected to (\d+)")]


@pytest.fixture(
    params=[pytest.param(V11, id="v11"), pytest.param(V12, id="v12", marks=pytest.mark.long)]
)
def client(request: pytest.FixtureRequest, running: Bot) -> Iterator[Client]:
    """An account that is connected to both, once and for all."""
    with Client(
        running.address, version=request.param, answers=lambda call: call["params"].get("text")
    ) as found:
        connected(running)
        yield found


def say(client: Client, *groups: int, text: str = "hello") -> dict[int, int]:
    """Say something in each group. Return the pid that has answered, by group."""
    before = len(client.said)
    for group in groups:
        client.say(f"{text} {group}", group, group)
    texts = [f"{text} {group}" for group in groups]
    wait_until(
        lambda: set(texts) <= {said for said, _ in client.said[before:]} or client.closed,
        "all is answered",
    )
    assert client.closed is None
    return {int(said.split()[-1]): pid for said, pid in client.said[before:]}


def test_a_conversation_is_one_replicas(running: Bot, client: Client) -> None:
    """All of a group goes to the same, in order; both have some. Answers reach who has asked."""
    owners = say(client, *GROUPS)
    assert len(set(owners.values())) == 2
    for number in range(20):
        for group in GROUPS:
            client.say(f"info {group}.{number}", number, group)
    texts = [f"info {group}.{number} {group}.{number}" for number in range(20) for group in GROUPS]
    client.wait_for(*texts)
    for group in GROUPS:
        mine = [(text, pid) for text, pid in client.said if text.startswith(f"info {group}.")]
        assert mine == [(f"info {group}.{n} {group}.{n}", owners[group]) for n in range(20)]


def test_each_knows_which_it_is(running: Bot, client: Client) -> None:
    """The environment says so; pages and what is of no conversation are those of the first."""
    owners = say(client, *GROUPS)
    of_each = {pid: group for group, pid in owners.items()}
    for group in of_each.values():
        client.say("replica", group, group)
    wait_until(lambda: len([t for t in client.texts if t.startswith("replica ")]) == 2, "answers")
    numbers = {pid: text.split()[1] for text, pid in client.said if text.startswith("replica ")}
    first, second = (running.order("RUNNING", name) for name in ("nonebot", "nonebot-1"))
    assert numbers == {first: "0", second: "1"}
    with running.client() as http:
        assert {http.get("/pid").text for _ in range(5)} == {str(first)}


def test_a_killed_one_holds_up_its_own_conversations_only(running: Bot, client: Client) -> None:
    """Its successor handles what it had in hand and what came meanwhile."""
    owners = say(client, *GROUPS)
    second = running.order("RUNNING", "nonebot-1")
    his = [group for group, pid in owners.items() if pid == second]
    others = [group for group in GROUPS if group not in his]
    client.say("wait go", 0, his[0])
    running.program.wait_for_line(rf"{second} waits: wait go")
    running.order("kill", "nonebot-1", wait=False)
    assert {say(client, group, text="meanwhile")[group] for group in others} == {owners[others[0]]}
    running.done()
    (running.folder / "go").touch()
    client.wait_for("wait go")
    third = connected(running, count=3)[-1]
    assert set(say(client, *his, text="after").values()) == {third}
    assert client.closed is None


def test_a_stopped_ones_conversations_are_the_others(running: Bot, client: Client) -> None:
    """Until it is started again. Without any, the client is told to come back."""
    owners = say(client, *GROUPS)
    first, second = (running.order("RUNNING", name) for name in ("nonebot", "nonebot-1"))
    running.order("stop")
    assert set(say(client, *GROUPS, text="without").values()) == {second}
    with running.client() as http:
        assert http.get("/pid").text == str(second)
    running.order("start")
    third = connected(running, count=3)[-1]
    assert say(client, *GROUPS, text="again") == {
        group: third if pid == first else second for group, pid in owners.items()
    }
    assert client.closed is None
    for name in ("nonebot-1", "nonebot"):
        running.order("stop", name)
    wait_until(lambda: client.closed, "it is closed")
    assert client.closed[0] == 1012


def test_what_comes_while_one_starts_is_its_own(running: Bot, client: Client) -> None:
    """Events of its conversations wait for it, from when it is started again."""
    owners = say(client, *GROUPS)
    first, second = (running.order("RUNNING", name) for name in ("nonebot", "nonebot-1"))
    running.order("stop")
    say_all(client, range(20))
    running.order("start", wait=False)
    running.program.wait_for_line("process nonebot started", 2)
    say_all(client, range(20, 60))
    third = running.done()
    assert client.closed is None
    for group in GROUPS:
        owner = third if owners[group] == first else second
        mine = [(text, pid) for text, pid in client.said if text.endswith(f" {group}")][1:]
        assert mine == [
            (f"{number} {group}", second if number < 20 else owner) for number in range(60)
        ]


def say_all(client: Client, numbers: range) -> None:
    """Say these numbers in each group, and wait for the answers."""
    for number in numbers:
        for group in GROUPS:
            client.say(f"{number} {group}", number, group)
    texts = [f"{number} {group}" for number in numbers for group in GROUPS]
    client.wait_for(*texts, timeout=3 * DEADLINE)


def test_a_reload_is_one_after_another(tmp_path: Path, environment: Environment) -> None:
    """There is always one that runs. What can't be loaded is tried by one, and replaces none."""
    write_files(tmp_path, {"reloaded.py": "number = 0"})
    more = {"LITEYUKI_RELOAD": "true"}
    with (
        answering(tmp_path, environment, "reloaded", kind="replicas", **more) as running,
        Client(running.address) as client,
    ):
        connected(running)
        program = running.program
        write_files(tmp_path, {"reloaded.py": "number = 1"})
        for name in ("nonebot", "nonebot-1"):
            program.wait_for_line(rf"process {name} is ready", 2)
        states = r"process (nonebot(?:-1)?) is (to stop|ready)"
        told = [(found[1], found[2]) for found in program.found(states)][2:]
        assert told[:2] != told[2:]
        assert [what for _, what in told] == ["to stop", "ready"] * 2
        assert told[0][0] == told[1][0]
        pids = set(say(client, *GROUPS).values())
        assert pids == set(connected(running, count=4)[2:])

        write_files(tmp_path, {"reloaded.py": "raise RuntimeError('as the test wants')"})
        program.wait_for_line("its successor was given up, because it lacks reloaded")
        line = r"process (\S+) is not restarted, because process (\S+) could not be"
        found = program.wait_for_line(line)
        assert {found[1], found[2]} == {"nonebot", "nonebot-1"}
        assert set(say(client, *GROUPS, text="still").values()) == pids

        write_files(tmp_path, {"reloaded.py": "number = 2"})
        for name in ("nonebot", "nonebot-1"):
            program.wait_for_line(rf"process {name} is ready", 3)
        assert client.closed is None
    assert not re.search("CRITICAL|严重", program.output)
