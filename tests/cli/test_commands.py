"""Each command as a process, against a bot that runs, and without one.

Tests cli/group.py, cli/commands.py, cli/store.py, cli/logs.py and cli/__main__.py.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.accounts.onebot import fall_offline, running_bot
from tests.cli.conftest import Liteyuki
from tests.conftest import in_full, wait_until
from tests.control.conftest import CHILDREN
from tests.program import Program, unix
from tests.session.onebot import address_of, onebot
from tests.terminal import Terminal

ASKING = [
    ("status",),
    ("status", "--watch"),
    ("start", "x"),
    ("stop", "x"),
    ("restart", "x"),
    ("wait", "x"),
    ("status", "--node", "x"),
    ("nodes",),
    ("accounts",),
    ("logs",),
    ("logs", "-f", "x"),
    ("channels",),
    ("tail", "x"),
    ("send", "x", "1"),
    ("dead-letters",),
    ("dead-letters", "put-back", "x"),
    ("dead-letters", "discard", "--all"),
    ("store", "list"),
    ("store", "get", "x"),
    ("store", "set", "x", "1"),
    ("store", "delete", "x"),
    ("store", "watch"),
    ("shutdown",),
]


@pytest.mark.parametrize("command", [*ASKING[:6], *in_full(*ASKING[6:])], ids=" ".join)
def test_without_a_bot(liteyuki: Liteyuki, command: tuple[str, ...]) -> None:
    """It says so, with an exit code of its own."""
    assert liteyuki(*command, code=4) == "no bot runs here; liteyuki run starts one\n"


def test_in_chinese(liteyuki: Liteyuki) -> None:
    """As LITEYUKI_LOG_LANG says, helps too."""
    assert (
        liteyuki("status", code=4, LITEYUKI_LOG_LANG="zh")
        == "这里没有机器人在运行；用 liteyuki run 启动\n"
    )
    assert "显示各个进程及其状况。" in liteyuki("--help", LITEYUKI_LOG_LANG="zh")
    assert "Show the processes" in liteyuki("--help")


@pytest.mark.parametrize(
    "command",
    [
        ("nothing",),
        ("status", "more"),
        ("start",),
        ("logs", "--level", "LOUD"),
        ("logs", "-n", "many"),
        ("send", "x", "{no json"),
        ("store", "set", "x", "[1,"),
        ("dead-letters", "discard"),
        ("dead-letters", "put-back", "a", "--all"),
        ("-C", "no-such-folder", "status"),
    ],
    ids=" ".join,
)
def test_wrong_usage(liteyuki: Liteyuki, command: tuple[str, ...]) -> None:
    """An exit code of its own, and what is wrong."""
    assert "Error" in liteyuki(*command, code=2)


# ------------------------------------------------------------- processes


def test_status(bot: Program, liteyuki: Liteyuki) -> None:
    """A line for each process, with its pid; as JSON with keys that scripts depend on."""
    lines = liteyuki("status").splitlines()
    assert lines[0].split() == [
        *("NAME", "STATE", "PID", "UPTIME", "RESTARTS", "CPU", "MEM", "LAG", "QUEUE"),
    ]
    found = json.loads(liteyuki("status", "--json"))
    assert [line.split()[0] for line in lines[1:-1]] == list(CHILDREN)
    for line, process in zip(lines[1:-1], found["processes"], strict=True):
        assert line.split()[1:3] == ["running", str(process["pid"])]
    assert lines[-1].startswith(f"LiteyukiBot {found['version']}, pid {bot.process.pid}, up ")
    assert set(found) == {
        *("version", "node", "pid", "directory", "started_at", "uptime", "ok", "dead_letters"),
        *("memory", "cpu_seconds", "processes", "accounts"),
    }
    assert set(found["processes"][0]) == {
        *("name", "target", "state", "pid", "started_at", "uptime", "restarts", "exit_code"),
        *(
            "outcome",
            "outcome_zh",
            "cpu",
            "cpu_seconds",
            "memory",
            "loop_lag",
            "queue",
            "depends_on",
        ),
    }
    assert "\x1b" not in "".join(lines)


def test_accounts(here: Path, environment: dict[str, str], liteyuki: Liteyuki) -> None:
    """A column says how many of a process's are online; a line names each that is not."""
    with running_bot(here, environment) as bot:
        address = address_of(bot)
        bot.wait_for_line("process nonebot is ready")
        assert "ACCOUNTS" not in liteyuki("status")
        with onebot(address) as client, onebot(address, 10002):
            bot.wait_for_line("^> online .* 10001")
            bot.wait_for_line("^> online .* 10002")
            fall_offline(client)
            bot.wait_for_line("^> offline .* 10001")
            heads, program, nonebot, missing, _ = liteyuki("status").splitlines()
            assert heads.split()[-1] == "ACCOUNTS"
            assert (program.split()[-1], nonebot.split()[-1]) == ("-", "1/2")
            assert missing.startswith("account 10001 (OneBot V11, nonebot): offline for ")
            assert "账号 10001（OneBot V11，nonebot）：已离线 " in liteyuki(
                "status", LITEYUKI_LOG_LANG="zh"
            )
            found = json.loads(liteyuki("status", "--json"))
            assert found["ok"] is True
            assert [account["state"] for account in found["accounts"]] == ["offline", "online"]


def test_status_in_chinese(bot: Program, liteyuki: Liteyuki) -> None:
    """The columns stand below each other all the same."""
    heads, first, *_ = liteyuki("status", LITEYUKI_LOG_LANG="zh").splitlines()
    assert heads.split()[:2] == ["名称", "状态"]
    assert "运行中" in first


@unix
@pytest.mark.parametrize("columns", [80, 40])
def test_status_on_a_terminal(
    bot: Program, liteyuki: Liteyuki, here: Path, environment: dict[str, str], columns: int
) -> None:
    """No line is longer than the terminal is wide, and nothing is cut off."""
    for _ in range(3):
        liteyuki("send", "waits-active", "1")
    command = [sys.executable, "-m", "liteyuki_core.cli", "status"]
    terminal = Terminal(command, here, {**environment, "LITEYUKI_LOG_LANG": "en"}, columns)
    try:
        assert terminal.wait() == 0
        assert "\x1b[" in terminal.raw
        lines = terminal.text.splitlines()
    finally:
        terminal.close()
    assert max(map(len, lines[:-1])) <= columns
    if columns == 80:
        assert lines[0].split()[-1] == "QUEUE"
        (waits,) = [line.split() for line in lines if line.startswith("waits ")]
        assert waits[-1] == "3"
    else:
        at = lines.index("waits")
        end = lines.index(CHILDREN[CHILDREN.index("waits") + 1])
        assert "QUEUE 3" in " ".join(lines[at:end])
        assert set(CHILDREN) < set(lines)


def test_status_from_elsewhere(bot: Program, liteyuki: Liteyuki) -> None:
    """`-C` names the bot's directory."""
    inside = json.loads(liteyuki("-C", ".liteyuki/..", "status", "--json"))
    assert inside["pid"] == bot.process.pid


def test_something_is_down(bot: Program, liteyuki: Liteyuki) -> None:
    """`status` says why, and its exit code says it too."""
    liteyuki("send", "mortal-active", "1")
    wait_until(lambda: bot.found("process mortal exited with code 9"))
    text = liteyuki("status", code=3)
    assert "mortal: exited with code 9" in text
    assert [line.split()[1] for line in text.splitlines() if "mortal " in line] == ["failed"]
    assert json.loads(liteyuki("status", "--json", code=3))["ok"] is False
    assert "not about to start" in liteyuki("wait", "mortal", code=3)


def test_watching_ends_with_the_bot(bot: Program, here: Path, environment: dict[str, str]) -> None:
    """Whoever watches sees the states, and then that no bot runs."""
    command = [sys.executable, "-m", "liteyuki_core.cli", "status", "--watch"]
    watching = Program(command, here, {**environment, "LITEYUKI_LOG_LANG": "en"})
    try:
        watching.wait_for_line("waits +running")
        assert bot.stop() == 0
        assert watching.wait() == 4
        assert watching.found("no bot runs here")
    finally:
        watching.close()


def test_start_stop_restart_wait(bot: Program, liteyuki: Liteyuki) -> None:
    """Each waits until it is done, for all processes that are named."""
    assert liteyuki("stop", "waits", "works") == "waits is stopped\nworks is stopped\n"
    assert liteyuki("wait", "waits", "--state", "stopped") == "waits is stopped\n"
    late = liteyuki("wait", "mortal", "--state", "stopped", "--timeout", "0.1", code=1)
    assert late == "process mortal did not end within 0.1 s: it is running\n"
    assert json.loads(liteyuki("start", "waits", "--json"))[0]["state"] == "running"
    (first,) = json.loads(liteyuki("wait", "waits", "--json"))
    assert liteyuki("restart", "waits") == "waits is running\n"
    (again,) = json.loads(liteyuki("wait", "waits", "--json"))
    assert again["pid"] != first["pid"]
    assert liteyuki("stop", "waits", "--no-wait") in ("waits is stopping\n", "waits is stopped\n")
    assert liteyuki("start", "waits") == "waits is running\n"


def test_a_name_that_is_none_changes_nothing(bot: Program, liteyuki: Liteyuki) -> None:
    """Also for those that were named before it."""
    text = liteyuki("stop", "waits", "wiats", code=1)
    assert text.startswith("no process is named 'wiats' (there are: ")
    assert not bot.found("process waits is to stop")
    liteyuki("logs", "wiats", code=1)


def test_shutdown(bot: Program, liteyuki: Liteyuki) -> None:
    """It returns when the bot has ended, so that the next one can start."""
    assert liteyuki("shutdown") == "the bot has stopped\n"
    assert bot.wait() == 0
    liteyuki("status", code=4)


def test_shutdown_as_json(bot: Program, liteyuki: Liteyuki) -> None:
    """With the pid of the bot that was stopped."""
    found = json.loads(liteyuki("shutdown", "--json"))
    assert found == {"pid": bot.process.pid, "stopped": True}
    assert bot.wait() == 0


# ------------------------------------------------------------- channels, letters, store


def test_channels_and_send(bot: Program, liteyuki: Liteyuki) -> None:
    """JSON goes to the other side."""
    assert liteyuki("send", "echo-active", '{"a": "轻雪"}') == "sent\n"
    bot.wait_for_line("echoed {'a': '轻雪'}")
    heads, *lines = liteyuki("channels").splitlines()
    assert heads.split()[:3] == ["CHANNEL", "SENT", "DONE"]
    assert "echo-active" in [line.split()[0] for line in lines]
    names = [each["name"] for each in json.loads(liteyuki("channels", "--json"))]
    assert names == [line.split()[0] for line in lines]
    assert "no channel is named 'x'" in liteyuki("send", "x", "1", code=1)


def test_dead_letters(bot: Program, liteyuki: Liteyuki) -> None:
    """They are shown, put back and discarded."""
    assert liteyuki("dead-letters") == "no messages are set aside\n"
    liteyuki("send", "fragile-active", '"die"')
    bot.wait_for_line("is set aside")
    assert "1 messages are set aside" in liteyuki("status")
    (letter,) = json.loads(liteyuki("dead-letters", "--json"))
    assert letter["id"] in liteyuki("dead-letters")
    assert liteyuki("dead-letters", "put-back", letter["id"]) == "put back: 1\n"
    bot.wait_for_line("is set aside", count=2)
    assert liteyuki("dead-letters", "discard", "--all") == "discarded: 1\n"
    assert json.loads(liteyuki("dead-letters", "--json")) == []
    assert "there is no dead letter" in liteyuki("dead-letters", "discard", letter["id"], code=1)


def test_store(bot: Program, liteyuki: Liteyuki) -> None:
    """Keys are set, shown, listed and deleted; what is no plain data is only spoken of."""
    assert (
        liteyuki("store", "set", "a/key", '[1, "轻雪"]', "--ttl", "100") == "the key a/key is set\n"
    )
    assert json.loads(liteyuki("store", "get", "a/key")) == [1, "轻雪"]
    assert json.loads(liteyuki("store", "get", "a/key", "--json"))["size"] > 10
    assert liteyuki("store", "list", "a/").splitlines()[1].split()[0] == "a/key"
    assert json.loads(liteyuki("store", "list", "--json"))[0]["key"] == "a/key"
    assert "are no plain data" in liteyuki("store", "get", "custom", code=1)
    assert liteyuki("store", "delete", "a/key") == "the key a/key is deleted\n"
    assert liteyuki("store", "delete", "a/key", code=1) == "the store has no key a/key\n"
    assert liteyuki("store", "list", "zzz") == "the store has no such keys\n"
    assert "the store has no key" in liteyuki("store", "get", "a/key", code=1)


# ------------------------------------------------------------- the log


def test_logs(bot: Program, liteyuki: Liteyuki) -> None:
    """The last lines that match; children's lines begin with their names."""
    assert "process echo is ready" in liteyuki("logs")
    assert liteyuki("logs", "waits").startswith("waits | ready ")
    (line,) = liteyuki("logs", "--level", "warning").splitlines()
    assert line.endswith("token=*** is a secret")
    assert len(liteyuki("logs", "-n", "2").splitlines()) == 2
    found = [
        json.loads(each) for each in liteyuki("logs", "--json", "--grep", "READY").splitlines()
    ]
    assert {each["process"] for each in found} == {"main", "waits"}
    assert set(found[0]) == {"id", "time", "process", "level", "text", "position"}


def test_following_ends_with_the_bot(
    bot: Program, liteyuki: Liteyuki, here: Path, environment: dict[str, str]
) -> None:
    """Each line as it is written, the last ones too."""
    command = [sys.executable, "-m", "liteyuki_core.cli", "logs", "-f", "-n", "0", "main"]
    following = Program(command, here, {**environment, "LITEYUKI_LOG_LANG": "en"})
    try:

        def said() -> bool:
            liteyuki("send", "echo-active", '"x"')
            return bool(following.found("echoed x$"))

        wait_until(said)
        assert bot.stop() == 0
        assert following.wait() == 0
        assert following.found("LiteyukiBot has stopped$")
        assert following.lines[-1] == "the bot has ended"
    finally:
        following.close()


def test_following_can_be_interrupted(
    bot: Program, here: Path, environment: dict[str, str]
) -> None:
    """Ctrl+C ends it, and nothing else."""
    command = [sys.executable, "-m", "liteyuki_core.cli", "logs", "-f"]
    following = Program(command, here, {**environment, "LITEYUKI_LOG_LANG": "en"})
    try:
        following.wait_for_line("process echo started")
        assert following.stop() == 0
        assert not following.found("Traceback|Aborted")
    finally:
        following.close()
