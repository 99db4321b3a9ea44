"""What may be asked of a running bot, over its socket: each call, and how it fails.

Tests control/control.py, control/models.py, control/api.py and control/client.py.
"""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from liteyuki_core.config import Settings
from liteyuki_core.control import Client, ControlError, NoBot
from liteyuki_core.control.api import CALLS
from liteyuki_core.control.control import explained
from tests.conftest import wait_until
from tests.control.conftest import CHILDREN
from tests.program import Program, running_program


def ask(verb: str, path: str, **more: Any) -> Any:
    """Ask the bot of this directory."""
    return Client().ask(verb, path, **more)


def refused(verb: str, path: str, **more: Any) -> ControlError:
    """Return how the bot refuses."""
    with pytest.raises(ControlError) as caught:
        ask(verb, path, **more)
    return caught.value


def test_without_a_bot(here: Path) -> None:
    """An error that says so."""
    with pytest.raises(NoBot, match="no bot runs in this directory"):
        ask("GET", "/status")


def test_urls_of_alerts_are_secret(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is shown them, neither here nor by the command line, which asks this too."""
    monkeypatch.setenv("LITEYUKI_ALERT_URLS", "json://token@host")
    (found,) = [each for each in explained(None) if each.key == "LITEYUKI_ALERT_URLS"]
    assert found.value == "***"
    assert found.source == "the environment"


# ------------------------------------------------------------- processes


def test_status(bot: Program, here: Path) -> None:
    """The bot, its processes and their figures."""
    status = ask("GET", "/status")
    assert status["pid"] == bot.process.pid
    assert status["directory"] == os.path.realpath(here)
    assert status["ok"] is True
    assert 0 < status["uptime"] < 60
    assert status["memory"] > 10_000_000
    assert [process["name"] for process in status["processes"]] == list(CHILDREN)
    pids = {child.pid for child in bot.children()}
    for process in status["processes"]:
        assert process["state"] == "running"
        assert process["pid"] in pids
        assert process["restarts"] == 0
        assert process["memory"] > 1_000_000
        assert process["exit_code"] is None
        assert ask("GET", f"/processes/{process['name']}")["pid"] == process["pid"]
    assert [p["pid"] for p in ask("GET", "/processes")] == [p["pid"] for p in status["processes"]]


def test_start_stop_restart_and_wait(bot: Program) -> None:
    """Each returns at once; what it has begun can be seen, and waited for."""
    first = ask("GET", "/processes/waits")["pid"]
    assert ask("POST", "/processes/waits/restart")["state"] == "stopping"
    again = ask("POST", "/processes/waits/wait", body={"state": "running"})
    assert again["state"] == "running"
    assert again["pid"] != first
    assert again["restarts"] == 1
    assert ask("POST", "/processes/waits/stop")["state"] == "stopping"
    ended = ask("POST", "/processes/waits/wait", body={"state": "stopped"})
    assert (ended["state"], ended["pid"], ended["exit_code"]) == ("stopped", None, 0)
    assert ask("GET", "/status")["ok"] is True
    assert ask("POST", "/processes/waits/start")["state"] == "starting"
    assert ask("POST", "/processes/waits/wait", body={})["state"] == "running"
    late = refused("POST", "/processes/waits/wait", body={"state": "stopped", "timeout": 0.05})
    assert (late.status, late.kind) == (504, "ProcessTimeout")
    ask("POST", "/processes/waits/stop")
    ask("POST", "/processes/waits/wait", body={"state": "stopped"})
    never = refused("POST", "/processes/waits/wait", body={"state": "running"})
    assert (never.status, never.kind) == (409, "ProcessStartError")


def test_a_failed_process_is_not_ok(bot: Program) -> None:
    """`ok` says it, and `outcome` how it has ended."""
    ask("POST", "/channels/mortal-active/send", body={"data": "exit"})
    wait_until(lambda: ask("GET", "/processes/mortal")["state"] == "failed", "it has failed")
    status = ask("GET", "/status")
    assert status["ok"] is False
    process = ask("GET", "/processes/mortal")
    assert process["exit_code"] == 9
    assert "9" in process["outcome"]


def test_a_process_that_is_not_there(bot: Program) -> None:
    """It is named, and those that there are."""
    for what in ("", "/start", "/stop", "/restart", "/wait"):
        verb = "POST" if what else "GET"
        error = refused(verb, f"/processes/no one{what}", body={} if what else None)
        assert (error.status, error.kind) == (404, "ProcessNotFound")
        assert (
            str(error)
            == "no process is named 'no one' (there are: echo, fragile, mortal, waits, works)"
        )


def test_what_waits_for_a_process(bot: Program) -> None:
    """Each process has its own queue; who handles what it gets has none."""
    for number in range(5):
        ask("POST", "/channels/waits-active/send", body={"data": number})
        ask("POST", "/channels/echo-passive/send", body={"data": number})
    wait_until(lambda: ask("GET", "/processes/waits")["queue"] == 5, "they are there")
    ask("POST", "/channels/echo-active/send", body={"data": "x"})
    bot.wait_for_line("echoed x$")
    queues = {each["name"]: each["queue"] for each in ask("GET", "/processes")}
    assert queues.pop("waits") == 5
    assert queues.pop("echo") >= 5
    assert set(queues.values()) == {0}
    ask("POST", "/processes/waits/stop")
    ask("POST", "/processes/waits/wait", body={"state": "stopped"})
    assert ask("GET", "/processes/waits")["queue"] == 5


def test_the_bot_answers_while_its_loop_is_blocked(bot: Program, here: Path) -> None:
    """What only looks needs nobody's loop."""
    # What sends needs the loop, which may be blocked before the answer leaves.
    path, block = "/channels/echo-active/send", {"data": "block"}
    sending = threading.Thread(target=lambda: ask("POST", path, body=block))
    sending.start()
    bot.wait_for_line("^blocks$")
    assert ask("GET", "/status")["ok"] is True
    assert ask("GET", "/log")
    assert ask("GET", "/channels")
    assert not bot.found("echoed block")
    (here / "unblock").touch()
    bot.wait_for_line("echoed block")
    sending.join()


def test_shutdown(bot: Program, here: Path) -> None:
    """It answers, and the bot stops in order."""
    assert ask("POST", "/shutdown") == {"done": True}
    assert bot.wait() == 0
    assert bot.found("LiteyukiBot has stopped")
    with pytest.raises(NoBot):
        ask("GET", "/status")


# ------------------------------------------------------------- channels


def test_channels_and_sending(bot: Program) -> None:
    """JSON goes to the other side, and the counts show it."""
    names = [f"{name}-{kind}" for name in CHILDREN for kind in ("active", "passive")]
    assert [c["name"] for c in ask("GET", "/channels")] == sorted([*names, "work"])
    data = {"list": [1, 2.5, None, True], "text": "轻雪"}
    assert ask("POST", "/channels/echo-active/send", body={"data": data}) == {"done": True}
    bot.wait_for_line("echoed {'list': \\[1, 2.5, None, True\\], 'text': '轻雪'}$")

    def sent() -> int:
        (found,) = [c for c in ask("GET", "/channels") if c["name"] == "echo-active"]
        return int(found["acknowledged"])

    wait_until(lambda: sent() >= 1)
    assert ask("POST", "/channels/work/send", body={"data": 1}) == {"done": True}
    bot.wait_for_line("worked at 1$")


def test_sending_that_can_not_be(bot: Program) -> None:
    """No such channel, a full one, no data."""
    error = refused("POST", "/channels/nothing/send", body={"data": 1})
    assert (error.status, error.kind) == (404, "ChannelNotFound")
    for _ in range(1024):
        ask("POST", "/channels/waits-active/send", body={"data": 1})
    error = refused("POST", "/channels/waits-active/send", body={"data": 1})
    assert (error.status, error.kind) == (409, "ChannelFull")
    assert refused("POST", "/channels/echo-active/send", body={}).status == 422


def test_ends_of_a_channel(bot: Program) -> None:
    """Who holds them, what each has in hand, and what waits."""
    found = ask("GET", "/channels/echo-active")
    assert found["name"] == "echo-active"
    assert found["capacity"] > 0
    sides = {end["process"]: (end["side"], end["receives"]) for end in found["ends"]}
    assert sides == {"main": ("owner", True), "echo": ("other", True)}
    assert ask("GET", "/processes/echo")["depends_on"] == []
    (queue,) = [end for end in ask("GET", "/channels/work")["ends"] if end["process"] == "works"]
    assert (queue["side"], queue["receives"]) == ("queue", True)
    ask("POST", "/processes/works/stop")
    ask("POST", "/processes/works/wait", body={"state": "stopped"})
    for _ in range(3):
        ask("POST", "/channels/work/send", body={"data": 1.5})
    for end in ask("GET", "/channels/work")["ends"]:
        assert (end["receives"], end["held"], end["waiting"]) == (False, 0, 3)
        assert end["process"] in ("main", None)
    assert refused("GET", "/channels/none").status == 404


def test_what_a_dead_letter_says(bot: Program) -> None:
    """Plain data is shown; who looks changes nothing."""
    ask("POST", "/channels/fragile-active/send", body={"data": "die"})
    bot.wait_for_line("is set aside")
    (letter,) = ask("GET", "/dead-letters")
    for _ in range(2):
        found = ask("GET", f"/dead-letters/{letter['id']}")
        assert found == {**letter, "plain": True, "value": "die", "text": "die"}
    assert refused("GET", "/dead-letters/ffff").status == 404
    assert refused("GET", "/dead-letters/nonsense").status == 422


def test_dead_letters(bot: Program) -> None:
    """They are listed, put back once and discarded once."""
    ask("POST", "/channels/fragile-active/send", body={"data": "die"})
    bot.wait_for_line("is set aside")
    (letter,) = ask("GET", "/dead-letters")
    assert letter["channel"] == "fragile-active"
    assert letter["process"] == "fragile"
    assert letter["crashes"] == 3
    assert ask("GET", "/status")["dead_letters"] == 1
    assert ask("GET", "/dead-letters") == [letter]
    ask("POST", f"/dead-letters/{letter['id']}/put-back")
    assert refused("POST", f"/dead-letters/{letter['id']}/discard").status == 404
    bot.wait_for_line("is set aside", count=2)
    (again,) = ask("GET", "/dead-letters")
    assert again["id"] != letter["id"]
    ask("POST", f"/dead-letters/{again['id']}/discard")
    assert ask("GET", "/dead-letters") == []
    assert refused("POST", f"/dead-letters/{again['id']}/put-back").status == 404


# ------------------------------------------------------------- store


def test_store(bot: Program) -> None:
    """Set, get, list and delete; a key is a key and no path."""
    for key in ("plain", "with/slash", "../up", "a b", "?q=1#x", "轻雪", "%2e%2e/x", "/", ".."):
        path = f"/store/{key}"
        assert ask("PUT", path, body={"value": {"x": [1, None]}, "ttl": 100}) == {"done": True}
        found = ask("GET", path)
        assert (found["key"], found["plain"], found["value"]) == (key, True, {"x": [1, None]})
        assert 90 < found["expires_in"] <= 100
        assert [each["key"] for each in ask("GET", "/store", query={"prefix": key})] == [key]
        assert ask("DELETE", path) == {"existed": True}
        assert ask("DELETE", path) == {"existed": False}
        assert refused("GET", path).status == 404


def test_a_value_that_is_not_plain_is_not_rebuilt(bot: Program) -> None:
    """Its size is shown. The fixture looks that no code has run."""
    found = ask("GET", "/store/custom")
    assert (found["plain"], found["value"]) == (False, None)
    assert found["size"] > 10


def test_store_refuses(bot: Program) -> None:
    """What no key and no value can be."""
    assert refused("PUT", "/store/" + "k" * 1100, body={"value": 1}).status == 422
    assert refused("PUT", "/store/a", body={"value": 1, "ttl": -1}).status == 422
    assert refused("PUT", "/store/a", body={}).status == 422
    assert refused("PUT", "/store/a", body={"value": 1, "other": 1}).status == 422
    big = refused("PUT", "/store/a", body={"value": "x" * 1_100_000})
    assert big.status == 413


# ------------------------------------------------------------- log and events


def test_log(bot: Program) -> None:
    """The last lines that match, without secrets."""
    lines = ask("GET", "/log")
    texts = [line["text"] for line in lines]
    assert any("process echo started" in text for text in texts)
    (warning,) = ask("GET", "/log", query={"level": "WARNING"})
    assert warning["level"] == "WARNING"
    assert "token=*** is a secret" in warning["text"]
    (last,) = ask("GET", "/log", query={"process": ["waits"], "text": "READY"})
    assert last["text"].startswith("ready ")
    assert [line["id"] for line in ask("GET", "/log", query={"lines": 2})] == [
        line["id"] for line in lines[-2:]
    ]
    assert ask("GET", "/log", query={"lines": 0}) == []
    assert refused("GET", "/log", query={"lines": 10**9}).status == 422
    assert refused("GET", "/log", query={"level": "LOUD"}).status == 422


def test_events(bot: Program) -> None:
    """Changes of state as they happen, after those before."""
    events = Client().follow("/events", query={"events": 1000})
    seen = [next(events) for _ in range(2 * len(CHILDREN))]
    for name in CHILDREN:
        states = [e.data["state"] for e in seen if e.data["process"] == name]
        assert states == ["starting", "running"]
    ask("POST", "/processes/waits/stop")
    assert [next(events).data["state"] for _ in range(2)] == ["stopping", "stopped"]
    events.close()
    later = Client().follow("/events", last=seen[-1].id)
    assert next(later).data["state"] == "stopping"
    later.close()


# ------------------------------------------------------------- settings and documents


def test_settings(here: Path, environment: dict[str, str]) -> None:
    """Each with where it came from, and whether it has changed since."""
    (here / ".env").write_text("LITEYUKI_HANG_TIMEOUT=7\nONEBOT_ACCESS_TOKEN=hidden\n")
    with running_program(here, environment, "controlled") as program:
        program.wait_for_line("^all run$")
        found = {each["key"]: each for each in ask("GET", "/settings")}
        assert len(found) == len(vars(Settings()))
        assert found["LITEYUKI_HANG_TIMEOUT"] == {
            "key": "LITEYUKI_HANG_TIMEOUT",
            "value": 7.0,
            "source": ".env",
            "changed": False,
        }
        assert found["LITEYUKI_LOG_LEVEL"]["source"] is None
        (here / ".env").write_text("LITEYUKI_HANG_TIMEOUT=8\n")
        found = {each["key"]: each for each in ask("GET", "/settings")}
        assert found["LITEYUKI_HANG_TIMEOUT"]["value"] == 7.0
        assert found["LITEYUKI_HANG_TIMEOUT"]["changed"] is True
        (here / ".env").write_text("LITEYUKI_HANG_TIMEOUT=no\n")
        assert refused("GET", "/settings").kind == "ConfigError"
        assert program.stop() == 0


def test_openapi_names_every_call(bot: Program) -> None:
    """Each path and method, with models that are there."""
    document = ask("GET", "/openapi.json")
    assert document["openapi"] == "3.1.0"
    for call in CALLS:
        operation = document["paths"][call.path.replace(":path", "")][call.verb.lower()]
        assert operation["summary"].endswith(".")
        assert operation["responses"]["200"]["content"]
    text = json.dumps(document)
    for name in text.split("#/components/schemas/")[1:]:
        assert name.partition('"')[0] in document["components"]["schemas"]


def test_paths_that_are_none(bot: Program) -> None:
    """Nothing is served from the disk, and nothing but what is offered."""
    for path in ("/", "/../../etc/passwd", "//etc/passwd", "/status/", "/static/x", "/docs"):
        assert refused("GET", path).status == 404, path
    assert refused("POST", "/status").status == 405
    assert refused("GET", "/status", query={"x": 1}).status == 422
    assert refused("GET", "/shutdown").status == 405
