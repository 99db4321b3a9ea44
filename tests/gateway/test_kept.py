"""WebSockets of OneBot adapters through restarts, kills and stops of their child.

Tests gateway/kept.py, gateway/upstream.py, frameworks/asgi_websocket.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from tests.conftest import wait_until
from tests.gateway.client import V11, V12, Client
from tests.gateway.project import ANSWERING, ONEBOT, Bot, answering, bot
from tests.program import Environment, write_files


@pytest.fixture
def running(tmp_path: Path, environment: Environment) -> Iterator[Bot]:
    """A bot that answers messages."""
    with answering(tmp_path, environment) as found:
        yield found


@pytest.fixture(
    params=[pytest.param(V11, id="v11"), pytest.param(V12, id="v12", marks=pytest.mark.long)]
)
def client(request: pytest.FixtureRequest, running: Bot) -> Iterator[Client]:
    """An account that is connected, once and for all."""
    with Client(running.address, version=request.param) as found:
        running.program.wait_for_line(r"bot 10001 is connected")
        yield found


def test_it_stays_open_and_each_message_is_answered(running: Bot, client: Client) -> None:
    """Through a restart and a kill, each with messages before, meanwhile and after."""
    number = 0

    def say(count: int) -> None:
        nonlocal number
        for _ in range(count):
            client.say(f"message {number}", number)
            number += 1

    say(10)
    client.wait_for("message 9")
    for verb in ("restart", "kill"):
        running.order(verb, wait=False)
        say(50)
        running.done()
        say(10)
    texts = [f"message {each}" for each in range(number)]
    client.wait_for(*texts)
    assert client.closed is None
    assert list(dict.fromkeys(client.texts)) == texts
    assert len({pid for _, pid in client.said}) >= 2


def unhandled(to: Bot) -> tuple[int, int, str]:
    """Return how many connections are kept, how many events they have, and what was set aside."""
    to.order("tell")
    found = to.program.found(r"(\d+) connections have (\d+) events; set aside: (.*)$")[-1]
    return int(found[1]), int(found[2]), found[3]


def wait_until_handled(to: Bot) -> None:
    """Wait until no event waits or is in hand."""
    wait_until(lambda: unhandled(to)[1] == 0, "every event was handled")


def test_what_a_killed_process_had_in_hand_its_successor_handles(
    running: Bot, client: Client
) -> None:
    """What was handled before is not handled again, and what came after keeps its order."""
    client.say("before")
    client.wait_for("before")
    wait_until_handled(running)
    client.say("wait go")
    running.program.wait_for_line(r"\d+ waits: wait go")
    for number in range(20):
        client.say(f"after {number}")
    client.wait_for("after 19")
    wait_until(lambda: unhandled(running)[1] == 1, "the others were handled")
    pid = running.order("kill")
    running.program.wait_for_line(rf"{pid} waits: wait go")
    running.say("go")
    client.wait_for("wait go")
    assert client.said[-1] == ("wait go", pid)
    assert client.texts == ["before", *[f"after {number}" for number in range(20)], "wait go"]
    assert client.closed is None


def test_what_is_in_hand_at_a_restart_is_handled_first(running: Bot, client: Client) -> None:
    """The handler ends, and its reply reaches the client; later messages are the successor's."""
    old = running.order("RUNNING")
    client.say("wait go")
    running.program.wait_for_line(r"\d+ waits: wait go")
    running.order("restart", wait=False)
    running.program.wait_for_line("process nonebot is to stop")
    client.say("later")
    running.say("go")
    new = running.done()
    client.wait_for("wait go", "later")
    assert client.said == [("wait go", old), ("later", new)]
    assert client.closed is None


def test_what_a_restart_breaks_off_the_successor_handles(
    tmp_path: Path, environment: Environment
) -> None:
    """A handler that takes longer than a stop may take."""
    with (
        answering(tmp_path, environment, ends_late=True, LITEYUKI_STOP_TIMEOUT="2") as running,
        Client(running.address) as client,
    ):
        client.say("wait go")
        running.program.wait_for_line(r"\d+ waits: wait go")
        new = running.order("restart")
        running.program.wait_for_line(rf"{new} waits: wait go")
        running.say("go")
        client.wait_for("wait go")
        assert client.said == [("wait go", new)]


@pytest.mark.parametrize("what", ["ignore 1", "raise 1", "background 1", "garbled"])
def test_every_event_counts_as_handled_in_the_end(running: Bot, client: Client, what: str) -> None:
    """One that is ignored, whose handler raises, that leaves a task behind, that is none."""
    if what == "garbled":
        client.tell(post_type="message", type="message", message=7)
    else:
        client.say(what)
    wait_until_handled(running)
    client.say("next")
    client.wait_for("next")
    wait_until_handled(running)
    assert client.closed is None


def test_a_message_that_kills_is_set_aside(running: Bot, client: Client) -> None:
    """After three crashes; what was before it and after it is answered."""
    client.say("before")
    client.wait_for("before")
    wait_until_handled(running)
    client.say("die now")
    for number in range(5):
        client.say(f"after {number}")
    running.program.wait_for_line("die now", 5, timeout=30)
    client.wait_for(*[f"after {number}" for number in range(5)], timeout=60)
    wait_until_handled(running)
    letters = unhandled(running)[2]
    assert "die now" in letters
    assert "after" not in letters
    assert len(running.program.found(r"\d+ dies: die now")) == 3
    assert client.closed is None


def unanswered(call: dict[str, Any]) -> NoReturn:
    """Give a call no answer."""
    raise KeyError(call["action"])


def test_an_answer_reaches_who_asked_or_nobody(running: Bot, client: Client) -> None:
    """Process after process makes a call; the first one's answer comes when it is dead."""
    answered = client.answers
    client.answers = unanswered
    client.say("info x")
    first = wait_until(lambda: client.calls, "a call")[0]
    running.order("kill")
    second = wait_until(lambda: client.calls[1:], "a call of the successor")[0]
    assert second["params"] == first["params"]
    assert second["echo"] != first["echo"]
    client.answers = answered
    client.answer(first["echo"], "the first one's")
    client.answer(second["echo"], "the second one's")
    client.wait_for("info x the second one's")
    wait_until_handled(running)
    assert client.texts == ["info x the second one's"]


def test_hooks_of_bots_run_in_every_process(running: Bot, client: Client) -> None:
    """A bot is disconnected from a process that is stopped, and connected to the next."""
    old = running.order("RUNNING")
    new = running.order("restart")
    running.program.wait_for_line(rf"bot 10001 is disconnected from {old}")
    running.program.wait_for_line(rf"bot 10001 is connected to {new}")


@pytest.mark.parametrize("count", [1_500, pytest.param(10_000, marks=pytest.mark.long)])
def test_more_events_than_fit_wait_with_the_client(
    tmp_path: Path, environment: Environment, count: int
) -> None:
    """So many while the child is down: all are answered, in order, and none is lost."""
    write_files(tmp_path, {"slow.py": "import os, time\ntime.sleep(3 * os.path.exists('slow'))\n"})
    write_files(tmp_path, ONEBOT)
    with (
        bot(tmp_path, environment, ANSWERING, "slow", LOG_LEVEL="WARNING") as running,
        Client(running.address) as client,
    ):
        client.say("before")
        client.wait_for("before")
        running.say("slow")
        running.order("kill", wait=False)
        running.program.wait_for_line("process nonebot was ended")
        texts = [f"message {number}" for number in range(count)]
        for number, text in enumerate(texts):
            client.say(text, number)
        running.done()
        # The first may be answered twice: it may have been in the hands of the killed process.
        client.wait_as_long_as_it_speaks(lambda: texts[-1] in client.texts, "all is answered")
        assert [text for text in client.texts if text != "before"] == texts
        assert client.closed is None


@pytest.mark.parametrize("version", [V11, V12])
def test_what_a_client_said_before_it_left_is_handled(running: Bot, version: int) -> None:
    """Though there was no process then; it may connect again at once."""
    with Client(running.address, version=version) as client:
        running.program.wait_for_line(r"bot 10001 is connected")
        running.order("kill", wait=False)
        running.program.wait_for_line("process nonebot was ended")
        client.say("ignore my last words")
    with Client(running.address, version=version) as again:
        again.say("here again")
        again.wait_for("here again")
        running.program.wait_for_line("ignored: ignore my last words")
    running.done()
    wait_until(lambda: unhandled(running)[:2] == (0, 0), "nothing is left of either")
    assert not running.program.found("Duplicate|already a bot"), running.program.output


@pytest.mark.parametrize("version", [V11, V12])
def test_what_is_in_hand_when_a_client_leaves_outlives_a_kill(running: Bot, version: int) -> None:
    """The successor handles it, for a client that is not there any more."""
    with Client(running.address, version=version) as client:
        client.say("wait go")
        running.program.wait_for_line(r"\d+ waits: wait go")
    running.program.wait_for_line("bot 10001 is disconnected")
    wait_until(lambda: unhandled(running)[:2] == (1, 1), "its leaving was handled")
    pid = running.order("kill")
    running.program.wait_for_line(rf"{pid} waits: wait go")
    running.say("go")
    wait_until(lambda: unhandled(running)[:2] == (0, 0), "it was handled")


def test_a_client_comes_and_goes_without_a_warning(running: Bot) -> None:
    """With an event in hand too: its reply comes too late, and that is all."""
    for number in range(3):
        with Client(running.address) as client:
            client.say(f"message {number}")
            client.wait_for(f"message {number}")
            wait_until_handled(running)
    wait_until(lambda: unhandled(running)[:2] == (0, 0), "nothing is left")
    assert not running.program.found("警告|错误"), running.program.output


@pytest.mark.parametrize("version", [V11, V12])
def test_an_account_is_free_as_soon_as_its_client_has_left(
    tmp_path: Path, environment: Environment, version: int
) -> None:
    """However often it comes and goes, with its last event just answered or still in hand."""
    # A handler whose call the client has taken with it waits so long for the answer.
    with answering(tmp_path, environment, API_TIMEOUT="1") as running:
        for number in range(30):
            with Client(running.address, version=version) as client:
                client.say(f"message {number}")
                if number % 3:
                    client.wait_for(f"message {number}")
        wait_until(lambda: unhandled(running)[:2] == (0, 0), "nothing is left")
        running.program.wait_for_line("bot 10001 is disconnected", 30)
        assert len(running.program.found("bot 10001 is connected")) == 30
        assert not running.program.found("already a bot|Duplicate"), running.program.output


def test_a_stop_closes_it_with_1012(running: Bot, client: Client) -> None:
    """Nothing goes on; when the child is started again, the client may connect."""
    running.order("stop")
    wait_until(lambda: client.closed, "it is closed")
    assert client.closed == (1012, "the bot's process is stopped")
    running.order("restart")
    with Client(running.address, version=client.version) as again:
        again.say("here again")
        again.wait_for("here again")


def test_accounts_are_kept_apart(running: Bot) -> None:
    """Two of them, and both protocols at a time, through a kill."""
    with (
        Client(running.address, 1) as one,
        Client(running.address, 2) as two,
        Client(running.address, 3, version=V12) as three,
    ):
        clients = {1: one, 2: two, 3: three}
        running.program.wait_for_line("bot . is connected", 3)
        for each in ("restart", "kill"):
            running.order(each, wait=False)
            for number in range(30):
                for account, client in clients.items():
                    client.say(f"{each} {number} of {account}")
            running.done()
        for account, client in clients.items():
            texts = [f"{e} {n} of {account}" for e in ("restart", "kill") for n in range(30)]
            client.wait_for(*texts)
            assert list(dict.fromkeys(client.texts)) == texts
            assert client.closed is None
