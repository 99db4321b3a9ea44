"""The examples in the documentation run, straight from the Markdown; the house is as described.

tests/docs has what is said of the pages themselves.
"""

from __future__ import annotations

import io
import json
import re
import shutil
from base64 import b64decode
from contextlib import contextmanager
from textwrap import dedent
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from PIL import Image
from websockets.sync.client import ClientConnection, connect

from liteyuki_core import __version__
from liteyuki_core.alerts.sender import _services as services
from liteyuki_core.config import Settings
from tests.alerts.receivers import web
from tests.conftest import DEADLINE, ROOT, free_port, in_full
from tests.docs.pages import (
    CHINESE,
    ENGLISH,
    FILE,
    LANGUAGES,
    NONEBOT_KEYS,
    PRINTS,
    PROJECT,
    RUN,
    block,
    blocks,
    names,
    read,
)
from tests.nats import NatsServer
from tests.program import Program, running, stopped_by_itself

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ONE_PAGE = ("ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md")

# ------------------------------------------------------------- the examples run


@pytest.fixture
def folder(tmp_path: Path, environment: dict[str, str]) -> Path:
    """An empty project, on a port of its own."""
    for key in NONEBOT_KEYS:
        environment.pop(key, None)
    environment["PORT"] = str(free_port())
    return tmp_path


def alike(line: str) -> str:
    """Return a line of the log without what differs from run to run."""
    line = re.sub(r"\| \d{4}-\d\d-\d\d \d\d:\d\d:\d\d ", "| TIME ", line)
    line = re.sub(r"([(（])pid \d+([)）])", r"\1pid PID\2", line)
    line = re.sub(r"[\d.]+ 秒(?=后重启)|(?<=启动用了 )[\d.]+ 秒", "N 秒", line)
    return re.sub(r"[\d.]+ s (?=after its start|\(restart)", "N s ", line)


def in_language(language: str, environment: dict[str, str]) -> dict[str, str]:
    """Return the environment in which a bot writes what the pages of a language show."""
    english = {"LITEYUKI_LOG_LANG": "en"} if language == ENGLISH else {}
    return {k: v for k, v in environment.items() if k != "LITEYUKI_LOG_LANG"} | english


@pytest.mark.parametrize("language", [ENGLISH, *in_full(CHINESE)])
@pytest.mark.parametrize("name", names(RUN))
def test_program_prints_what_is_shown(
    name: str, language: str, folder: Path, environment: dict[str, str]
) -> None:
    """It ends by itself, and has written the lines that stand below it, in that order."""
    (folder / name).write_text(block(RUN, name), encoding="utf-8")
    with running(folder, in_language(language, environment), name) as program:
        assert program.wait() == 0, program.output
        assert "Traceback" not in program.output
        written = iter([alike(line) for line in program.named])
        for line in block(PRINTS, name, language).splitlines():
            assert alike(line) in written, f"{line} is not there, or too early: {program.output}"


@pytest.mark.parametrize("language", LANGUAGES)
def test_bot_prints_what_is_shown(language: str, folder: Path, environment: dict[str, str]) -> None:
    """`python bot.py` writes LiteyukiBot's lines as shown, and its NoneBot answers."""
    for name in ("bot.py", "pyproject.toml", *names(FILE)):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    shown = [alike(line) for line in block(PRINTS, "bot.py", language).splitlines()]
    ours = {line for line in shown if "| TIME " in line}
    assert len(ours) == 5
    with running(folder, in_language(language, environment)) as program:
        program.wait_until(lambda: ours <= set(map(alike, program.named)), f"lines: {ours}")
        address = address_of(program)
        assert httpx.get(f"http://{address}/", trust_env=False).status_code == 404
        assert program.stop() == 0
        assert stopped_by_itself(program), program.output


@pytest.mark.parametrize(
    ("bot", "shown"),
    [("bot.py", "liteyuki status"), ("bot.py with workers", "liteyuki status with workers")],
)
def test_the_command_line_prints_what_is_shown(
    bot: str, shown: str, folder: Path, environment: dict[str, str]
) -> None:
    """`liteyuki status` has the columns, the processes and the last line that are shown."""

    def alike_status(text: str) -> list[list[str]]:
        """Return the cells of each line, of a process its name, its state and how many it has."""
        header, *rows = [re.split(r" {2,}", line.strip()) for line in text.splitlines()]
        times = r"(?:\d+[dhm] )*\d+[dhms]\b|\d[\d.]*"
        figures = [[re.sub(times, "N", x) for x in row] for row in rows]
        return [header, *[[*row[:2], str(len(row))] if len(row) > 2 else row for row in figures]]

    with project(folder, environment, bot) as program:
        for name in [row.split()[0] for row in block(PRINTS, shown).splitlines()[1:-1]]:
            program.wait_for_line(f"process {name} is ready")
        command = ("-m", "liteyuki_core.cli", "status")
        with running(folder, environment, *command, LITEYUKI_LOG_LANG="en") as status:
            assert status.wait() == 0, status.output
            assert alike_status(status.output) == alike_status(block(PRINTS, shown))
        assert program.stop() == 0


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_link_to_the_page_is_as_shown(
    language: str, folder: Path, environment: dict[str, str]
) -> None:
    """`liteyuki web` prints what is shown, but for the ticket and the names."""

    def alike(text: str) -> str:
        text = re.sub(r"/ticket/[\w-]{43}", "/ticket/TICKET", text)
        return re.sub(r"\S+@\S+$", "NAME", re.sub(r"203\d\d", "PORT", text), flags=re.MULTILINE)

    page = {ENGLISH: "docs/en/guide/web.md", CHINESE: "docs/guide/web.md"}[language]
    (shown,) = (b.text for b in blocks(page) if (b.kind, b.name) == (PRINTS, "liteyuki web"))
    with project(folder, environment, "bot.py") as program:
        address_of(program)
        command = ("-m", "liteyuki_core.cli", "web", "--no-browser")
        with running(folder, environment, *command, LITEYUKI_LOG_LANG=language) as web:
            assert web.wait() == 0, web.output
            assert alike(web.output) == alike(shown.rstrip("\n"))
        assert program.stop() == 0


@pytest.mark.parametrize("bot", ["bot.py", "bot.py with a file"])
def test_own_project_starts_and_stops(folder: Path, environment: dict[str, str], bot: str) -> None:
    """A short bot.py runs a NoneBot that has loaded both plugins."""
    with project(folder, environment, bot) as program:
        address_of(program)
        for plugin in ("forward", "nonebot_plugin_liteyuki_comm"):
            assert program.found(f'Succeeded to load plugin "{plugin}"'), program.output
        assert program.stop() == 0
        assert stopped_by_itself(program), program.output


@pytest.mark.parametrize(
    ("bot", "more"),
    [
        ("bot.py with answers", ""),
        ("bot.py", "pyproject.toml with plugins of the main process"),
    ],
)
def test_own_project_answers(
    folder: Path, environment: dict[str, str], bot: str, more: str
) -> None:
    """A group's "ping" goes to the main process, whose "pong" goes to the group.

    The main process's half is in bot.py, or in plugins of the main process.
    """
    with (
        project(folder, environment, bot, more) as program,
        onebot(address_of(program)) as client,
    ):
        tell_message(client, "ping", 1)
        call = answer_call(client)
        assert call["action"] == "send_group_msg"
        assert call["params"]["group_id"] == 123
        assert "pong" in json.dumps(call["params"]["message"])
        assert program.stop() == 0
        assert stopped_by_itself(program), program.output


def test_own_project_counts(folder: Path, environment: dict[str, str]) -> None:
    """The README's first example: the plugin asks the main process, and the count goes on."""
    with (
        project(folder, environment, "bot.py with visits") as program,
        onebot(address_of(program)) as client,
    ):
        for number in (1, 2):
            tell_message(client, "/visits", number)
            said = json.dumps(answer_call(client)["params"]["message"])
            assert f"This is visit {number}." in said
        assert program.stop() == 0
        assert stopped_by_itself(program), program.output


def test_own_project_sends_events(folder: Path, environment: dict[str, str]) -> None:
    """A whole event goes to the main process and comes back, with a message made there."""
    with (
        project(folder, environment, "bot.py with events", plugin="events") as program,
        onebot(address_of(program)) as client,
    ):
        tell_message(client, "hello", 1)
        said = json.dumps(answer_call(client)["params"]["message"])
        assert '"hello"' in said
        assert '" is what you said"' in said
        assert program.stop() == 0
        assert stopped_by_itself(program), program.output


def test_own_project_chats(folder: Path, environment: dict[str, str]) -> None:
    """A command is answered by a plugin of the main process, which asks for what is missing."""
    (folder / ".env").write_text(block(PROJECT, ".env with chat"), encoding="utf-8")
    plugins = "pyproject.toml with plugins of the main process"
    with (
        project(folder, environment, "bot.py", plugins) as program,
        onebot(address_of(program)) as client,
    ):
        tell_message(client, "/weather Beijing", 1)
        call = answer_call(client)
        assert call["action"] == "send_msg"
        assert call["params"]["group_id"] == 123
        said = [{"type": "text", "data": {"text": "It is sunny in Beijing."}}]
        assert call["params"]["message"] == [{"type": "reply", "data": {"id": "1"}}, *said]
        tell_message(client, "/天气", 2)
        assert "Which city?" in json.dumps(answer_call(client)["params"]["message"])
        tell_message(client, "Shanghai", 3)
        assert "It is sunny in Shanghai." in json.dumps(answer_call(client)["params"]["message"])
        assert program.stop() == 0
        assert stopped_by_itself(program), program.output


def test_own_project_draws(folder: Path, environment: dict[str, str]) -> None:
    """A picture that a worker has drawn is sent to whoever has asked for it."""
    with project(folder, environment, "bot.py with workers") as program:
        draws(program)


def test_another_node_draws(folder: Path, environment: dict[str, str], nats: NatsServer) -> None:
    """The same project without workers, and a node that has them."""
    environment["LITEYUKI_NATS_URL"] = nats.url
    front, back = folder / "front", folder / "back"
    for each in (front, back):
        each.mkdir()
    for name, text in (
        ("bot.py", block(PROJECT, "bot.py with workers for other nodes")),
        ("pictures.py", block(PROJECT, "pictures.py")),
    ):
        (back / name).write_text(text, encoding="utf-8")
    with running(back, {**environment, "LITEYUKI_NODE": "back"}) as drawing:
        nats.wait_for_channel("render-calls")
        with project(front, {**environment, "LITEYUKI_NODE": "front"}, "bot.py") as program:
            draws(program)
        assert drawing.stop() == 0


def draws(program: Program) -> None:
    """Ask a bot for a picture, as a user does, and see what comes; then stop it."""
    with onebot(address_of(program)) as client:
        tell(
            client,
            post_type="message",
            message_type="private",
            sub_type="friend",
            message_id=1,
            user_id=456,
            message=[{"type": "text", "data": {"text": "/card hello"}}],
            raw_message="/card hello",
            font=0,
            sender={},
        )
        call = json.loads(client.recv(timeout=DEADLINE))
        assert call["params"]["user_id"] == 456
        (image,) = call["params"]["message"]
        assert image["type"] == "image"
        encoding, _, data = image["data"]["file"].partition("://")
        assert encoding == "base64"
        picture = Image.open(io.BytesIO(b64decode(data)))
        assert (picture.format, picture.size) == ("PNG", (480, 120))
        assert picture.getextrema()[0] == (0, 255), "it has black letters on white"
        client.send(json.dumps({"status": "ok", "retcode": 0, "data": {}, "echo": call["echo"]}))
        assert program.stop() == 0
        assert stopped_by_itself(program), program.output


def test_own_project_draws_what_is_stored(folder: Path, environment: dict[str, str]) -> None:
    """The recipe: who talks is counted in the store, and a worker draws the counts."""
    with (
        project(folder, environment, "bot.py with pictures") as program,
        onebot(address_of(program)) as client,
    ):
        for number in (1, 2):
            tell_message(client, "hello", number)
        tell_message(client, "/chart", 3)
        (image,) = answer_call(client)["params"]["message"]
        data = image["data"]["file"].partition("://")[2]
        picture = Image.open(io.BytesIO(b64decode(data)))
        assert (picture.format, picture.size) == ("PNG", (520, 60))
        assert program.stop() == 0
        assert stopped_by_itself(program), program.output


def test_own_project_has_two_bots(folder: Path, environment: dict[str, str]) -> None:
    """The recipe: what is told to the one bot is said by the other."""
    del environment["PORT"]
    ports = (free_port(), free_port())
    for name, port in zip((".env", ".env.second"), ports, strict=True):
        (folder / name).write_text(f"PORT={port}\n", encoding="utf-8")
    with project(folder, environment, "bot.py with two bots", plugin="a partner") as program:
        for name in ("first", "second"):
            program.wait_for_line(f"process {name} is ready")
        first, second = (f"127.0.0.1:{port}" for port in ports)
        with onebot(first) as asked, onebot(second) as answering:
            tell_message(asked, "/tell hello", 1)
            call = answer_call(answering)
            assert call["action"] == "send_group_msg"
            assert call["params"]["group_id"] == 123
            assert "hello" in json.dumps(call["params"]["message"])
        assert program.stop() == 0
        for name in ("first", "second"):
            assert program.found(f"process {name} exited with code 0$"), program.output
        assert not program.found("Traceback|has not stopped|is left"), program.output


def test_own_project_reloads(folder: Path, environment: dict[str, str]) -> None:
    """A plugin that is changed restarts NoneBot, which then has it anew."""
    with project(folder, environment, "bot.py with reload") as program:
        program.wait_for_line("process nonebot is ready")
        with open(folder / "src/plugins/forward.py", "a", encoding="utf-8") as plugin:
            plugin.write("\nprint('the plugin is new')\n")
        program.wait_for_line("process nonebot is restarted: src/plugins/forward.py has changed")
        program.wait_for_line("^the plugin is new")
        program.wait_for_line("process nonebot is ready", count=2)
        assert program.stop() == 0
        assert stopped_by_itself(program), program.output


def test_own_project_keeps_its_connections(folder: Path, environment: dict[str, str]) -> None:
    """A client stays connected while NoneBot is restarted, and what it says then is answered."""
    environment["LITEYUKI_RELOAD"] = "true"
    with (
        project(folder, environment, "bot.py with a gateway") as program,
        onebot(address_of(program)) as client,
    ):
        plugin = folder / "src" / "plugins" / "parrot.py"
        text = """
            from nonebot import on_message

            @on_message().handle()
            async def repeat(bot, event):
                await bot.send(event, event.get_plaintext())
        """
        for count in (2, 3):
            plugin.write_text(dedent(text) + "#" * count, encoding="utf-8")
            program.wait_for_line("process nonebot is to stop", count - 1)
            tell_message(client, f"message {count}", count)
            said = answer_call(client)["params"]["message"]
            assert said == [{"type": "text", "data": {"text": f"message {count}"}}]
            program.wait_for_line("process nonebot is ready", count)
        assert program.stop() == 0
        assert stopped_by_itself(program), program.output


def test_own_project_has_replicas(folder: Path, environment: dict[str, str]) -> None:
    """Two processes are ready, and the job is one's alone."""
    environment["APSCHEDULER_LOG_LEVEL"] = "20"
    with project(folder, environment, "bot.py with replicas", plugin="daily") as program:
        for name in ("nonebot", "nonebot-1"):
            program.wait_for_line(f"process {name} is ready")
        assert len(program.found("Added job")) == 1, program.output
        assert program.stop() == 0


@pytest.mark.skipif(shutil.which("bash") is None, reason="this system has no bash")
@pytest.mark.parametrize("bot", ["bot.py with NapCat", "bot.py with NapCat watched"])
def test_own_project_runs_napcat(folder: Path, environment: dict[str, str], bot: str) -> None:
    """It is started when NoneBot accepts, and stopped before it. Here it is a stand-in."""
    (folder / "NapCat").mkdir()
    (folder / "NapCat" / "launcher.sh").write_text(
        "echo '[WebUi] http://127.0.0.1:6099/webui?token=s3cret'\nsleep 1000\n"
    )
    with project(folder, environment, bot) as program:
        program.wait_for_line("process napcat is ready")
        program.wait_for_line(r"^\[WebUi\] \S+webui\?token=\*\*\*$", of="napcat")
        assert program.stop() == 0
        assert stopped_by_itself(program), program.output
        order = [line for line in program.lines if re.search("is ready,|was ended|exited", line)]
        names = [re.search("process ([a-z]+) ", line) for line in order]
        assert [found[1] for found in names if found] == ["nonebot", "napcat", "napcat", "nonebot"]


@pytest.mark.skipif(shutil.which("bash") is None, reason="this system has no bash")
def test_own_project_watches_accounts(folder: Path, environment: dict[str, str]) -> None:
    """Its hook is called, NapCat is restarted, and an alert is sent, to a stand-in of both."""
    (folder / "NapCat").mkdir()
    (folder / "NapCat" / "launcher.sh").write_text("sleep 1000\n")
    with web() as receiver:
        environment.update(LITEYUKI_ALERT_URLS=receiver.url, LITEYUKI_ALERT_AFTER="0.3")
        with (
            project(folder, environment, "bot.py with accounts") as program,
            onebot(address_of(program)) as client,
        ):
            tell(client, post_type="notice", notice_type="bot_offline", tag="x", message="x")
            program.wait_for_line(r"10001 fell offline at \d\d:\d\d:\d\d UTC$")
            program.wait_for_line("process napcat is restarted: account 10001 .* still offline")
            assert "10001" in receiver.wait_for(1)[0]
            assert program.stop() == 0
            assert stopped_by_itself(program), program.output


def test_alert_urls_are_what_apprise_knows(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that are shown, one after another."""
    monkeypatch.chdir(folder)
    (folder / ".env").write_text(block(PROJECT, ".env with alerts"), encoding="utf-8")
    urls = Settings.load().alert_urls
    assert [url.partition(":")[0] for url in urls] == ["mailto", "bark"]
    assert len(services(urls)) == 2


@contextmanager
def project(
    folder: Path, environment: dict[str, str], bot: str, more: str = "", plugin: str = ""
) -> Iterator[Program]:
    """Run a project made of the pages' blocks, with the block `bot` as its bot.py.

    The block `more` is added to its pyproject.toml; with `plugin`, what a page has as
    "src/plugins/forward.py with PLUGIN" takes the place of that file.
    """
    for name in names(PROJECT):
        if name == "bot.py" or " with " in name:
            continue
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(block(PROJECT, name), encoding="utf-8")
    (folder / "bot.py").write_text(block(PROJECT, bot), encoding="utf-8")
    if plugin:
        forward = "src/plugins/forward.py"
        (folder / forward).write_text(block(PROJECT, f"{forward} with {plugin}"), encoding="utf-8")
    if more:
        with open(folder / "pyproject.toml", "a", encoding="utf-8") as pyproject:
            pyproject.write(block(PROJECT, more))
    with running(folder, environment) as program:
        yield program


def address_of(program: Program) -> str:
    """Wait for NoneBot's server and return its host and port."""
    found: str = program.wait_for_line(r"Uvicorn running on http://(\S+)")[1]
    return found


@contextmanager
def onebot(address: str) -> Iterator[ClientConnection]:
    """Connect as a OneBot v11 implementation does by reverse WebSocket."""
    headers = {"X-Self-ID": "10001", "X-Client-Role": "Universal"}
    url = f"ws://{address}/onebot/v11/ws"
    with connect(url, additional_headers=headers, proxy=None) as client:
        tell(client, post_type="meta_event", meta_event_type="lifecycle", sub_type="connect")
        yield client


def tell(client: ClientConnection, **event: Any) -> None:
    """Send an event."""
    client.send(json.dumps({"time": 1, "self_id": 10001, **event}))


def tell_message(client: ClientConnection, text: str, number: int) -> None:
    """Send a group message."""
    tell(
        client,
        post_type="message",
        message_type="group",
        sub_type="normal",
        message_id=number,
        group_id=123,
        user_id=456,
        message=[{"type": "text", "data": {"text": text}}],
        raw_message=text,
        font=0,
        sender={},
    )


def answer_call(client: ClientConnection) -> Any:
    """Take one API call, answer it, and return it."""
    call = json.loads(client.recv(timeout=DEADLINE))
    answer = {"status": "ok", "retcode": 0, "data": {"message_id": 2}, "echo": call["echo"]}
    client.send(json.dumps(answer))
    return call


# ------------------------------------------------------------- the house


def test_the_house_is_the_tree() -> None:
    """HOUSE.md names every file of the core, and nothing that is not there."""
    (house,) = [b.text for b in blocks("HOUSE.md") if b.language == "text"]
    named = set(re.findall(r"^(\S+)", house, re.MULTILINE))
    assert not [path for path in named if not (ROOT / path).exists()]
    files = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "liteyuki_core").rglob("*.py")
        if path.name != "__init__.py"
    }
    assert not files - named


def test_every_step_of_the_architecture_has_its_file() -> None:
    """Each of the three ways goes from file to file, and all that are named are there."""
    text = read("ARCHITECTURE.md")
    ways = re.split(r"^## The way of a ", text, flags=re.MULTILINE)[1:]
    assert [way.partition("\n")[0] for way in ways] == ["message", "crash", "request"]
    for way in ways:
        steps = re.findall(r"^\d+\. (.*)", way, re.MULTILINE)
        assert steps
        assert [step for step in steps if not re.match(r"`[\w/]+\.py`: ", step)] == []
    folders = (ROOT, ROOT / "liteyuki_core")
    named = re.findall(r"[\w/]+\.py", text)
    assert [path for path in named if not any((at / path).is_file() for at in folders)] == []


@pytest.mark.parametrize("document", ONE_PAGE)
def test_one_page_is_one_page(document: str) -> None:
    """What is to be read at once stays short: what is looked up is in HOUSE.md."""
    assert len(read(document).splitlines()) <= 100


def test_changelog_names_this_version() -> None:
    """The version of the package is in the changelog."""
    changelog = read("CHANGELOG.md")
    assert "## Unreleased" in changelog
    assert __version__ in changelog
