"""Following the log: filtered, resumed, and by clients that are slow or dead."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from liteyuki_core.control import Client, address
from liteyuki_core.control.client import Sent
from liteyuki_core.control.models import Lost
from liteyuki_core.control.stream import Stream, number_after
from liteyuki_core.ring import Entry, Ring
from tests.conftest import wait_until
from tests.pair import in_thread
from tests.program import Program, running_program


def say(text: str) -> None:
    """Have the bot log a line."""
    Client().ask("POST", "/channels/echo-active/send", body={"data": text})


def words(lines: Iterator[Sent], count: int) -> list[str]:
    """Return the last words of the next lines."""
    return [next(lines).data["text"].split()[-1] for _ in range(count)]


def test_lines_come_as_they_are_written(bot: Program) -> None:
    """After the last ones, filtered in the bot."""
    lines = Client().follow("/log/follow", query={"lines": 1, "process": "main", "text": "echo"})
    assert "process echo is ready" in next(lines).data["text"]
    say("first")
    say("second")
    assert words(lines, 2) == ["first", "second"]
    lines.close()


def test_a_client_goes_on_where_it_has_stopped(bot: Program) -> None:
    """It misses none, and sees none twice."""
    query = {"lines": 0, "text": "echoed"}
    lines = Client().follow("/log/follow", query=query)
    say("1")
    seen = next(lines)
    lines.close()
    say("2")
    say("3")
    bot.wait_for_line("echoed 3$")
    again = Client().follow("/log/follow", query=query, last=seen.id)
    assert words(again, 2) == ["2", "3"]
    again.close()
    other = Client().follow("/log/follow", query=query, last="0badlife-77")
    assert words(other, 3) == ["1", "2", "3"]
    other.close()


def test_it_ends_with_the_bot(bot: Program) -> None:
    """Whoever follows sees the last lines and an end, no error."""
    lines = Client().follow("/log/follow", query={"lines": 0})
    say("x")
    next(lines)
    bot.interrupt()
    texts = [line.data["text"] for line in lines]
    assert any("LiteyukiBot has stopped" in text for text in texts)
    assert bot.wait() == 0


def test_another_thread_may_close_a_stream(bot: Program) -> None:
    """Whoever iterates comes to an end, without an error."""
    lines = Client().follow("/log/follow", query={"lines": 1})
    seen: list[Sent] = []
    reading = in_thread(seen.extend, lines)
    say("x")
    lines.close()
    reading.join(20)
    assert not reading.is_alive()
    lines.close()
    assert list(lines) == []


def test_a_stream_that_nobody_reads_can_be_closed(bot: Program) -> None:
    """Nothing of it is left open."""
    Client().follow("/log/follow").close()


def test_a_client_that_reads_nothing_holds_nobody_up(
    here: Path, environment: dict[str, str]
) -> None:
    """The bot writes on; the client is told how many lines it has missed, and gets the last."""
    with running_program(here, environment, "controlled") as program:
        program.wait_for_line("^all run$")
        connection, _ = address.connect(20.0)
        with connection:
            connection.sendall(b"GET /log/follow HTTP/1.1\r\nhost: x\r\n\r\n")
            connection.recv(1)
            say("chat")
            program.wait_for_line("chatted$", timeout=60)
            text = ""
            connection.settimeout(20)
            while "line 29999 " not in text[-5000:]:
                text += connection.recv(65536).decode(errors="replace")
        losses = re.findall(
            r'^data: {"lost":(\d+)}', text, re.MULTILINE
        )  # As often as it falls back.
        assert sum(map(int, losses)) > 1000
        assert program.stop() == 0


async def test_many_entries_come_in_order_and_losses_are_told() -> None:
    """By what the stream itself sends."""
    ring: Ring[int] = Ring(10, 10)
    ended = asyncio.Event()
    sent: list[str] = []

    def read(entries: list[Entry[int]]) -> list[Lost]:
        return [Lost(lost=-entry.item) for entry in entries]

    async def send(message: dict[str, object]) -> None:
        if message["type"] == "http.response.body":
            sent.append(bytes(message["body"]).decode())  # type: ignore[call-overload]

    async def receive() -> dict[str, object]:
        await asyncio.Event().wait()
        raise AssertionError

    stream = Stream(ring, 0, read, ended)
    running = asyncio.ensure_future(stream({}, receive, send))  # type: ignore[arg-type]
    while not sent:
        await asyncio.sleep(0)
    ring.add(range(1, 31), lambda _: 1)
    while "-30" not in "".join(sent):
        await asyncio.sleep(0)
    numbers = [
        int(line.partition(":")[2].strip(' {}"lost:'))
        for line in "".join(sent).splitlines()
        if line.startswith("data")
    ]
    assert numbers == [20, *range(-21, -31, -1)]
    ended.set()
    await running


@pytest.mark.parametrize(
    ("last", "number"),
    [
        *((None, None), ("", None), ("life-7", 7), ("other-7", 0), ("7", 0), ("life-x", None)),
        ("life-" + "9" * 100, None),
    ],
)
def test_last_event_ids(last: str | None, number: int | None) -> None:
    """One of another life of the bot, and nonsense."""
    assert number_after(last, "life") == number


def test_wait_is_over_at_once_when_a_client_leaves(bot: Program) -> None:
    """A hundred that come and go leave nothing behind."""
    for _ in range(150):
        lines = Client().follow("/log/follow", query={"lines": 1})
        assert list(itertools.islice(lines, 1))
        lines.close()
    wait_until(lambda: Client().ask("GET", "/status")["ok"], "it answers")
