"""The whole log, page by page: over files that were rotated and compressed, while it grows.

Tests control/history.py, control/log_files.py.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from liteyuki_core import log
from liteyuki_core.control import Client, ControlError, history, log_files
from liteyuki_core.control.history import History, NoPosition
from liteyuki_core.control.lines import Reading
from liteyuki_core.control.models import History as Asked
from liteyuki_core.control.models import Line, LogPage
from liteyuki_core.ring import Ring
from liteyuki_core.writer import Writer
from tests.conftest import in_full, wait_until
from tests.pair import in_thread
from tests.program import Program, running_program

LIFE = "0123abcd"
FIRST = datetime(2026, 1, 2, 3, 0, 0)  # The log has local time.


@pytest.fixture
def writer(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Writer]:
    """A writer with a log file, which is rotated every few lines. Its parameter: compression."""
    compression = getattr(request, "param", None)
    config = log.FileConfig(str(tmp_path / "bot.log"), "4 KB", "100", compression)
    found = Writer(log.LogConfig("INFO", False, "en", False, False), config)
    found.start()
    yield found
    found.close(10)


def written(writer: Writer, numbers: range, name: str = "a") -> None:
    """Have lines written: each has a number, and the time that many seconds after `FIRST`."""
    for number in numbers:
        when = FIRST + timedelta(seconds=number)
        writer.lines(name, [f"{when:%Y-%m-%d %H:%M:%S} [INFO] line {number}, 轻雪"])
    wait_until(lambda: ends_with(writer, numbers[-1]), "all are written")


def ends_with(writer: Writer, number: int) -> bool:
    """Return whether the last line is this one, in memory and in the file."""
    entries, _ = writer.recent.after(0)
    with writer.file_lock:
        filed = writer.filed
    newest = entries[-1].item if entries else None
    return (
        newest is not None
        and f"line {number}," in newest.text
        and newest.at is not None
        and filed > newest.at
    )


def written_files(folder: Path) -> list[Path]:
    """Return all log files."""
    return [path for path in folder.iterdir() if path.name.startswith("bot.")]


def history_of(writer: Writer) -> History:
    """Return what looks into the log of a writer."""
    return History(writer, writer._file_config, LIFE)


def numbers(lines: list[Line]) -> list[int]:
    """Return the numbers in lines."""
    return [int(found[1]) for line in lines if (found := re.search(r"line (\d+)", line.text))]


def pages(found: History, **asked: Any) -> Iterator[LogPage]:
    """Return pages, one after another, towards the beginning, or to the end with `after`."""
    direction = "after" if "after" in asked else "before"
    for _ in range(10_000):
        page = found.page(Asked(**asked))
        yield page
        if not page.more:
            return
        assert page.next is not None
        asked.pop("at", None)
        asked[direction] = page.next


@pytest.mark.parametrize("writer", [None, "gz", "bz2", "xz"], indirect=True)
def test_all_lines_once_in_either_direction(writer: Writer, tmp_path: Path) -> None:
    """Whatever the size of a page, over many files, none is left out or shown twice."""
    written(writer, range(400))
    assert len(written_files(tmp_path)) >= 3
    found = history_of(writer)
    for lines in (7, 100, 5000):
        backwards = [line for page in [*pages(found, lines=lines)][::-1] for line in page.lines]
        assert numbers(backwards) == list(range(400))
        forwards = [
            line for page in pages(found, lines=lines, after=found.beginning) for line in page.lines
        ]
        assert numbers(forwards) == list(range(400))
        assert [line.position for line in backwards] == [line.position for line in forwards]
    assert len({line.position for line in backwards}) == 400
    assert {(line.process, line.level) for line in backwards} == {("a", "INFO")}
    assert backwards[9].time.astimezone().replace(tzinfo=None) == FIRST + timedelta(seconds=9)
    found.close()


@pytest.mark.parametrize("writer", [None, "gz"], indirect=True)
def test_positions_stay_while_the_log_grows_and_is_rotated(writer: Writer) -> None:
    """A page before a position is the same page then, and one after it has what has come."""
    written(writer, range(100))
    found = history_of(writer)
    page = found.page(Asked(lines=10))
    assert numbers(page.lines) == list(range(90, 100))
    written(writer, range(100, 300))
    before = found.page(Asked(lines=10, before=page.lines[0].position))
    assert numbers(before.lines) == list(range(80, 90))
    after = found.page(Asked(lines=10, after=page.lines[-1].position))
    assert numbers(after.lines) == list(range(100, 110))
    found.close()


def test_lines_in_memory_have_the_positions_of_the_file(writer: Writer) -> None:
    """Whoever follows the log can go back from any line, also from one that is forgotten."""
    writer.recent = Ring(20, 10**9)
    written(writer, range(100))
    entries, _ = writer.recent.after(0)
    assert len(entries) == 20
    found = history_of(writer)
    shown = {line.text: line.position for line in found.page(Asked(lines=100)).lines}
    assert [f"{LIFE}:{entry.item.at}" for entry in entries] == [
        shown[entry.item.text] for entry in entries
    ]
    number = entries[5].number
    assert numbers(found.page(Asked(lines=2, before=f"{LIFE}-{number}")).lines) == [83, 84]
    with pytest.raises(NoPosition, match="not in memory any more"):
        found.page(Asked(before=f"{LIFE}-1"))


def test_what_was_there_before_this_life_is_there(writer: Writer, tmp_path: Path) -> None:
    """Positions before the first line of a bot are negative, and good."""
    (tmp_path / "bot.2025-01-01_00-00-00_000000.log").write_text("b | old 1\nb | old 2\n")
    os.utime(tmp_path / "bot.2025-01-01_00-00-00_000000.log", (1, 1))
    (tmp_path / "bot.log").write_text("b | line 1000, no time\n")
    (tmp_path / "bot.other.log").write_text("is of somebody else\n")
    written(writer, range(30))
    found = history_of(writer)
    lines = [line for page in [*pages(found, lines=3)][::-1] for line in page.lines]
    assert [line.text for line in lines[:3]] == ["old 1", "old 2", "line 1000, no time"]
    assert [line.process for line in lines[:4]] == ["b", "b", "b", "a"]
    assert lines[0].position.startswith(f"{LIFE}:-")
    after = found.page(Asked(after=lines[0].position, lines=2))
    assert [line.text for line in after.lines] == ["old 2", "line 1000, no time"]


def test_a_moment(writer: Writer) -> None:
    """The last lines up to a time, and from there in either direction."""
    written(writer, range(300))
    found = history_of(writer)
    for second in (0, 1, 150, 299, 10_000):
        at = (FIRST + timedelta(seconds=second)).astimezone(timezone.utc)
        page = found.page(Asked(at=at, lines=3))
        last = min(second, 299)
        assert numbers(page.lines) == list(range(max(0, last - 2), last + 1))
        after = found.page(Asked(after=page.lines[-1].position, lines=2))
        assert numbers(after.lines) == list(range(last + 1, min(300, last + 3)))
    early = found.page(Asked(at=(FIRST - timedelta(days=1)).astimezone(), lines=3))
    assert (early.lines, early.more) == ([], False)


def test_filters(writer: Writer) -> None:
    """By process, level, text and account, as everywhere; a line goes on as the one before it."""
    written(writer, range(50))
    writer.lines("b", ["2026-01-02 04:00:00 [ERROR] account 10001 is gone", "more about 100011"])
    written(writer, range(50, 100))
    found = history_of(writer)
    assert numbers(found.page(Asked(text="LINE 7")).lines) == [7, *range(70, 80)]
    errors = found.page(Asked(level="WARNING")).lines
    assert [line.text.split()[-1] for line in errors] == ["gone", "100011"]
    assert [line.level for line in errors] == ["ERROR", None]
    assert errors[1].time == errors[0].time
    (of_account,) = found.page(Asked(account="10001")).lines
    assert of_account.process == "b"
    assert found.page(Asked(process=["c"])).lines == []


def test_a_page_costs_a_bounded_look(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A filter that matches nothing looks at so much, and says that there is more."""
    monkeypatch.setattr(history, "_LOOK_BYTES", 3000)
    monkeypatch.setattr(log_files, "BLOCK", 1000)
    written(writer, range(300))
    found = history_of(writer)
    page = found.page(Asked(text="line 5,"))
    assert (page.lines, page.more) == ([], True)
    lines = [line for page in pages(found, text="line 5,") for line in page.lines]
    assert numbers(lines) == [5]
    lines = [
        line
        for page in pages(found, text="line 295,", after=found.beginning)
        for line in page.lines
    ]
    assert numbers(lines) == [295]


def test_json_lines_and_long_ones(writer: Writer, tmp_path: Path) -> None:
    """A file may have both formats, and lines that are longer than a block."""
    long = "x" * 600_000
    (tmp_path / "bot.2025-01-01_00-00-00_000000.log").write_text(
        '{"time": "2026-01-01T00:00:00+00:00", "level": "ERROR", "process": "c", "message": "m"}\n'
        f"a | {long}\nno name\n"
    )
    os.utime(tmp_path / "bot.2025-01-01_00-00-00_000000.log", (1, 1))
    written(writer, range(3))
    found = history_of(writer)
    lines = [line for page in [*pages(found, lines=2)][::-1] for line in page.lines]
    assert [len(line.text) for line in lines[:3]] == [1, 600_000, 7]
    assert (lines[0].process, lines[0].level) == ("c", "ERROR")
    assert lines[0].time == datetime(2026, 1, 1, tzinfo=timezone.utc)
    assert numbers(lines) == [0, 1, 2]


def test_secrets_are_masked(writer: Writer) -> None:
    """In old lines as in those in memory."""
    written(writer, range(2))
    writer.lines("a", ["token=abcdef0123456789", "http://h/ticket/0123456789"])
    written(writer, range(3, 4))
    texts = [line.text for line in history_of(writer).page(Asked()).lines]
    assert "token=***" in texts
    assert "http://h/ticket/***" in texts


@pytest.mark.parametrize("position", ["", "nonsense", "0123abcd", "ffff:1", "0123abcd:1:2"])
def test_no_position(writer: Writer, position: str) -> None:
    """An error that says so."""
    with pytest.raises(NoPosition):
        history_of(writer).page(Asked(before=position))


def test_a_broken_archive_is_left_out(writer: Writer, tmp_path: Path) -> None:
    """What is newer is shown."""
    (tmp_path / "bot.2025-01-01_00-00-00_000000.log.gz").write_bytes(b"no gzip")
    os.utime(tmp_path / "bot.2025-01-01_00-00-00_000000.log.gz", (1, 1))
    written(writer, range(3))
    found = history_of(writer)
    assert numbers(found.page(Asked()).lines) == [0, 1, 2]
    found.close()


@pytest.fixture(params=["file", "memory"])
def any_writer(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Writer]:
    """A writer with a log file, and one without."""
    file = log.FileConfig(str(tmp_path / "bot.log"), "4 KB", "100", None)
    config = log.LogConfig("INFO", False, "en", False, False)
    found = Writer(config, file if request.param == "file" else None)
    found.start()
    yield found
    found.close(10)


def grown(writer: Writer, numbers: range) -> None:
    """Have lines written, and wait until they are in memory: the last, and all before."""
    before = writer.recent.last
    for number in numbers:
        writer.lines("a", [f"{FIRST:%Y-%m-%d %H:%M:%S} [INFO] line {number}, 轻雪"])
    wait_until(lambda: writer.recent.last == before + len(numbers), "all are written")


def after(writer: Writer, found: History, position: str) -> list[int]:
    """Return the numbers of the lines that whoever follows gets after a position."""
    entries, lost = writer.recent.after(found.number_at(position))
    assert not lost
    return numbers(Reading(LIFE, Asked()).read(entries))


def test_the_newest_page_and_what_is_followed_from_its_end(any_writer: Writer) -> None:
    """Each line is in one of the two, before and after there were any."""
    found = history_of(any_writer)
    end = found.page(Asked()).end
    for begin in range(0, 90, 30):
        grown(any_writer, range(begin, begin + 20))
        assert after(any_writer, found, end) == list(range(max(0, begin - 10), begin + 20))
        page = found.page(Asked(lines=10))
        assert numbers(page.lines) == list(range(begin + 10, begin + 20))
        grown(any_writer, range(begin + 20, begin + 30))
        assert after(any_writer, found, page.end) == list(range(begin + 20, begin + 30))
        assert after(any_writer, found, page.lines[-1].position) == list(
            range(begin + 20, begin + 30)
        )
        # A filter that matches nothing has an end all the same.
        none = found.page(Asked(text="nowhere"))
        assert (none.lines, none.end) == ([], found.page(Asked()).end)
        end = page.end


def test_pages_forwards_to_the_end_and_on(any_writer: Writer) -> None:
    """Whoever asks for what is new again and again gets each line once, and may then follow."""
    found = history_of(any_writer)
    seen: list[int] = []
    position = found.beginning
    for begin in range(0, 60, 20):
        grown(any_writer, range(begin, begin + 20))
        while True:
            page = found.page(Asked(after=position, lines=7))
            assert page.next == page.end
            position = page.end
            seen += numbers(page.lines)
            if not page.more:
                break
        assert seen == list(range(begin + 20))
        assert after(any_writer, found, position) == []
    grown(any_writer, range(60, 70))
    assert after(any_writer, found, position) == list(range(60, 70))


def test_after_a_moment_and_before_a_line(any_writer: Writer) -> None:
    """The end of any page is where the next newer one begins, also of one that has no line."""
    found = history_of(any_writer)
    grown(any_writer, range(30))
    newest = found.page(Asked(lines=10))
    before = found.page(Asked(lines=5, before=newest.next))
    assert numbers(found.page(Asked(after=before.end)).lines) == list(range(20, 30))
    for early in (datetime(2000, 1, 1, tzinfo=timezone.utc), None):
        page = found.page(Asked(at=early) if early else Asked(before=f"{found.beginning}"))
        assert page.lines == []
        assert numbers(found.page(Asked(after=page.end)).lines) == list(range(30))


def test_who_is_told_of_a_line_finds_those_before_it_in_the_file(writer: Writer) -> None:
    """Lines are in memory first; whoever then looks waits until the file has them."""
    held: list[bool] = []

    def call() -> None:
        held.append(not writer.file_lock.acquire(blocking=False))

    writer.recent.listen(call)
    grown(writer, range(3))
    wait_until(lambda: len(held) > 0)
    assert all(held)
    entries, _ = writer.recent.after(0)
    last = history_of(writer).page(Asked(before=f"{LIFE}:{entries[-1].item.at}"))
    assert numbers(last.lines) == [0, 1]


# ------------------------------------------------------------- of a bot


@pytest.mark.parametrize("file", ["", "logs/bot.log"])
def test_pages_and_what_follows_while_lines_come(
    here: Path, environment: dict[str, str], file: str
) -> None:
    """Whenever a page is asked for, what is followed from its end is the next line."""
    with running_program(here, environment, "controlled", LITEYUKI_LOG_FILE=file) as bot:
        bot.wait_for_line("^all run$")
        client = Client()

        def send() -> None:
            for number in range(300):
                body = {"data": f"n{number}"}
                Client().ask("POST", "/channels/echo-active/send", body=body)

        sending = in_thread(send)
        asked = {"text": "echoed n", "lines": 20}
        seen = [-1]
        while seen[-1] < 299:
            page = client.ask("GET", "/log/history", query=asked)
            seen = [int(line["text"].rpartition("n")[2]) for line in page["lines"]]
            with closing(
                client.follow("/log/follow", query={**asked, "after": page["end"]})
            ) as new:
                while seen[-1:] != [299] and len(seen) < 30:
                    seen.append(int(next(new).data["text"].rpartition("n")[2]))
            assert seen == list(range(seen[0], seen[0] + len(seen)))
        sending.join(20)
        assert bot.stop() == 0


def test_who_asks_the_same_again_goes_on_where_he_was(bot: Program) -> None:
    """`Last-Event-ID` comes before `after`."""
    client = Client()
    end = client.ask("GET", "/log/history")["end"]
    for text in ("1", "2", "3"):
        client.ask("POST", "/channels/echo-active/send", body={"data": text})
    query = {"text": "echoed", "after": end}
    stream = client.follow("/log/follow", query=query)
    first = next(stream)
    assert first.data["text"].endswith("echoed 1")
    stream.close()
    stream = client.follow("/log/follow", query=query, last=first.id)
    assert [next(stream).data["text"][-1] for _ in range(2)] == ["2", "3"]
    stream.close()
    with pytest.raises(ControlError, match="no position"):
        client.follow("/log/follow", query={"after": "ffff:1"})


@pytest.mark.parametrize("file", ["logs/bot.log", *in_full("")])
def test_over_the_socket(here: Path, environment: dict[str, str], file: str) -> None:
    """With a file or without: from lines that are followed back to the first."""
    with running_program(
        here,
        environment,
        "controlled",
        LITEYUKI_LOG_FILE=file,
        LITEYUKI_LOG_ROTATION="500 KB",
    ) as bot:
        bot.wait_for_line("^all run$")
        client = Client()
        client.ask("POST", "/channels/echo-active/send", body={"data": "chat"})
        bot.wait_for_line("chatted", timeout=60)
        wait_until(lambda: client.ask("GET", "/log", query={"text": "chatted"}), "it is there")
        live = client.ask("GET", "/log", query={"text": "of many", "lines": 10})
        assert [number_of(line) for line in live] == list(range(29_990, 30_000))
        asked = {"text": "of many", "before": live[0]["position"], "lines": 3000}
        seen = []
        while True:
            page = client.ask("GET", "/log/history", query=asked)
            seen = [*map(number_of, page["lines"]), *seen]
            if not page["more"]:
                break
            asked["before"] = page["next"]
        first = 0 if file else seen[0]
        assert seen == list(range(first, 29_990))
        text = client.text("/log/download", query={"text": "of many"})
        assert text.count(" of many") == (30_000 if file else 30_000 - first)
        assert re.match(r"main \| \d{4}-.*line \d+ of many\n", text)
        with pytest.raises(ControlError, match="no position") as caught:
            client.ask("GET", "/log/history", query={"before": "ffff:1"})
        assert caught.value.status == 422
        assert bot.stop() == 0


def number_of(line: dict[str, Any]) -> int:
    """Return the number in a line of `chat`."""
    found = re.search(r"line (\d+) of many", line["text"])
    assert found is not None
    return int(found[1])


def test_without_a_file_lines_in_memory_are_all(bot: Program) -> None:
    """Both directions, and a moment."""
    client = Client()
    page = client.ask("GET", "/log/history", query={"lines": 3})
    assert len(page["lines"]) == 3
    assert page["more"] is True
    before = client.ask("GET", "/log/history", query={"lines": 2, "before": page["next"]})
    after = client.ask(
        "GET", "/log/history", query={"lines": 2, "after": before["lines"][-1]["position"]}
    )
    assert after["lines"] == page["lines"][:2]
    at = client.ask("GET", "/log/history", query={"at": "2020-01-01T00:00:00Z"})
    assert (at["lines"], at["more"]) == ([], False)
