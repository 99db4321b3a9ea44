"""What children write: to the terminal, to the log file, as JSON; to the last word.

Tests process/child/output.py, writer.py.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from liteyuki_core.process.output import Lines, Output
from tests.conftest import DEADLINE, free_port, wait_until
from tests.program import Environment, program_command, program_environment, running_program, unix

OURS = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \["


def written(folder: Path) -> list[str]:
    """Return the lines of all log files of a project, the compressed ones too."""
    lines: list[str] = []
    for path in (folder / "logs").iterdir():
        with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8") as file:
            lines += file.read().splitlines()
    return lines


# ------------------------------------------------------------- lines


@pytest.mark.parametrize(("size", "length"), [(1, 10), (997, 50_000), (100_000, 50_000)])
def test_bytes_to_lines(size: int, length: int) -> None:
    """However the bytes come: every line once, long ones in parts, none in mid-character."""
    long = "é" * length
    record = "\x1e" + "r" * 2 * length
    data = f"one\n\ntwo\r\n{long}\n{record}\nlast".encode() + b"\xff"
    lines, found = Lines(), []
    for start in range(0, len(data), size):
        found += lines.feed(data[start : start + size])
    found += lines.end()
    assert found[:3] == ["one", "", "two"]
    assert found[-2:] == [record, "last\\xff"]
    assert "".join(found[3:-2]) == long
    assert len(found[3:-2]) == (2 if length == 50_000 else 1)
    assert all(len(part.encode()) <= 65536 for part in found[3:-2])
    assert lines.end() == []


def test_quick_lines_are_gathered() -> None:
    """A line that comes alone is passed on alone; many in quick succession come together."""
    calls: list[list[str]] = []
    ended = threading.Event()
    output = Output("child", lambda _, lines: calls.append(lines), ended.set)
    os.write(output.theirs._file, b"0\n")
    wait_until(lambda: calls == [["0"]])
    written, deadline = 1, time.monotonic() + DEADLINE
    while written < 100 + 2 * len(calls):
        assert time.monotonic() < deadline, (written, len(calls))
        os.write(output.theirs._file, f"{written}\n".encode())
        written += 1
        time.sleep(0.0002)
    output.theirs.close()
    assert ended.wait(DEADLINE)
    assert [line for lines in calls for line in lines] == [str(line) for line in range(written)]


def test_what_one_child_writes_is_passed_on(tmp_path: Path, environment: Environment) -> None:
    """Everything as it is, whichever way it was written, under the child's name."""
    more = {"LITEYUKI_LOG_FILE": "logs/bot.log", "FORCE_COLOR": "1"}
    with running_program(tmp_path, environment, "writing:talks", "talks", **more) as bot:
        assert bot.wait() == 0
    for lines in (bot.named, written(tmp_path)):
        for pattern in (
            OURS + "⚠️WARNING] by the logger$",
            "by print$",
            "to stderr$",
            r"not UTF-8: \\xff$",
            "no newline$",
        ):
            of_talks = [x for x in lines if re.match(r"talks \| " + pattern, x)]
            assert len(of_talks) == 1, (pattern, lines)
        main = r"main  \| " + OURS
        ended = [x for x in lines if re.match(main + ".*process talks exited with code 0", x)]
        assert lines.index(ended[0]) > max(i for i, x in enumerate(lines) if "no newline" in x)
    assert "\x1b" not in "".join(written(tmp_path))


def test_every_line_begins_with_a_name(tmp_path: Path, environment: Environment) -> None:
    """Of a child or of main, padded to one width; also those before the bot runs."""
    more = {"LITEYUKI_LOG_LEVLE": "x"}
    with running_program(tmp_path, environment, "writing:talks", "a", "other", **more) as bot:
        assert bot.wait() == 0
    for name in ("a    ", "other"):
        assert [line for line in bot.named if re.match(rf"{name} \| {OURS}.*by the logger$", line)]
        assert f"{name} | by print" in bot.named
    assert [x for x in bot.named if re.match(rf"main  \| {OURS}.*LiteyukiBot has stopped$", x)]
    first, *rest = bot.named
    assert re.match(rf"main \| {OURS}.*LITEYUKI_LOG_LEVLE", first), "no longer name is known yet"
    assert [x for x in rest if not re.match("(a    |other|main ) [|] ", x)] == []


def test_each_line_of_main_begins_with_its_name(tmp_path: Path, environment: Environment) -> None:
    """Those of a traceback too, on the terminal and in the file."""
    with running_program(
        tmp_path, environment, "writing:raising_hook", LITEYUKI_LOG_FILE="logs/bot.log"
    ) as bot:
        assert bot.wait() == 0
    assert bot.named == written(tmp_path)
    assert [x for x in bot.named if not x.startswith("main | ")] == []
    assert "main | Traceback (most recent call last):" in bot.named
    assert "main | ZeroDivisionError: division by zero" in bot.named


@contextmanager
def on_a_terminal(
    folder: Path, environment: Environment, name: str, **more: str
) -> Iterator[list[bytes]]:
    """Run a program with a pseudo-terminal as its standard output; give what it has written."""
    import pty

    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        program_command(name),
        cwd=folder,
        env=program_environment(environment, **more),
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    chunks: list[bytes] = []

    def read() -> None:
        try:
            while data := os.read(ours, 65536):
                chunks.append(data)
        except OSError:
            pass  # How a terminal says that nobody writes any more.

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield chunks
        process.send_signal(signal.SIGINT)
        wait_until(lambda: process.poll() is not None, "an end")
    finally:
        process.kill()
        process.wait(DEADLINE)
        reader.join(DEADLINE)
        os.close(ours)


@unix
@pytest.mark.parametrize("colours", [True, False])
def test_colours_on_a_terminal(tmp_path: Path, environment: Environment, colours: bool) -> None:
    """Names, LiteyukiBot's labels and NoneBot's lines are coloured there, and nowhere else."""
    environment["PORT"] = str(free_port())
    more = {} if colours else {"NO_COLOR": "1"}
    with on_a_terminal(
        tmp_path,
        environment,
        "writing:talks_beside_nonebot",
        LITEYUKI_LOG_FILE="logs/bot.log",
        **more,
    ) as chunks:

        def screen() -> str:
            return b"".join(chunks).decode()

        wait_until(lambda: "NoneBot is init" in screen() and "process talks exited" in screen())
        wait_until(lambda: "startup complete" in screen())
    text = screen()
    escape = re.escape("\x1b[")
    names = {
        name: set(re.findall(rf"^({escape}[\d;]+m){name} *\| {escape}0m", text, re.M))
        for name in ("talks", "nonebot")
    }
    assert [len(found) for found in names.values()] == ([1, 1] if colours else [0, 0])
    assert not names["talks"] & names["nonebot"]
    assert bool(re.search(rf"{escape}32m.*by the logger", text)) == colours
    assert bool(re.search(rf"{escape}32m.*has stopped", text)) == colours
    assert bool(re.search(rf"{escape}32m.*SUCCESS.*NoneBot is init", text)) == colours
    assert ("\x1b" in text) == colours
    assert not [line for line in written(tmp_path) if "\x1b" in line]
    assert [line for line in written(tmp_path) if line.startswith("nonebot | ")]


# ------------------------------------------------------------- last words


ENDINGS = {
    "raises": ("^ValueError: uncaught", "code 1"),
    "exits": ("^said$", "code 7"),
    "says": ("^said$", "code 1"),
}
if sys.platform != "win32":
    ENDINGS |= {
        "crashes": ("^Fatal Python error: Segm", "SIGSEGV"),
        "aborts": ("^Fatal Python error: Abort", "SIGABRT"),
        "killed": ("^said$", "SIGKILL"),
    }


def test_last_words(tmp_path: Path, environment: Environment) -> None:
    """They are on the terminal and in the file, before the line that says how the child ended."""
    with running_program(
        tmp_path, environment, "writing:last_words", *ENDINGS, LITEYUKI_LOG_FILE="logs/bot.log"
    ) as bot:
        assert bot.wait() == 0
    for lines in (bot.named, written(tmp_path)):
        for name, (words, line) in ENDINGS.items():
            words = words.replace("^", rf"^{name} *\| ")
            said = [i for i, text in enumerate(lines) if re.search(words, text)]
            ended = [
                i for i, text in enumerate(lines) if re.search(f"process {name} .*{line}", text)
            ]
            assert said, (name, lines)
            assert ended, (name, lines)
            assert said[-1] < ended[0]


@unix
def test_who_outlives_the_child_is_still_read(tmp_path: Path, environment: Environment) -> None:
    """A program that the child left behind holds nobody up, and its lines go on to arrive."""
    with running_program(
        tmp_path, environment, "writing:leaves", LITEYUKI_LOG_FILE="logs/bot.log"
    ) as bot:
        bot.wait_for_line("process leaves exited with code 0")
        (tmp_path / "go").touch()
        bot.wait_for_line("^left behind")
        (tmp_path / "end").touch()
        assert bot.stop() == 0
    assert "leaves | left behind" in written(tmp_path)


@unix
def test_the_last_words_of_an_orphan(tmp_path: Path, environment: Environment) -> None:
    """When main is killed, what its children still say goes where main wrote."""
    with running_program(tmp_path, environment, "writing:orphan") as bot:
        bot.wait_for_line("^ready")
        bot.children()
        bot.process.kill()
        bot.wait_for_line("process orphan: the main process is gone")
        bot.wait_for_line("^left alone")
        bot.wait()


# ------------------------------------------------------------- nobody takes the lines


@contextmanager
def unread(folder: Path, environment: Environment, **more: str) -> Iterator[subprocess.Popen[str]]:
    """Run a talkative program with a pipe as its standard output that nobody reads."""
    with subprocess.Popen(
        program_command("writing:chatty"),
        cwd=folder,
        env=program_environment(environment, **more),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def turns(folder: Path) -> int:
    """Return how far main's loop has come."""
    path = folder / "main"
    return int(path.read_text() or 0) if path.exists() else 0


@unix
def test_nobody_reads_standard_output(tmp_path: Path, environment: Environment) -> None:
    """Children and main's loop go on; when it is read again, each line is there or counted."""
    with unread(tmp_path, environment) as process:
        wait_until(lambda: (tmp_path / "said").exists(), "the child has said all")
        before = turns(tmp_path)
        wait_until(lambda: turns(tmp_path) > before + 20, "main's loop goes on")
        lines: list[str] = []
        assert process.stdout is not None
        reader = threading.Thread(target=lambda: lines.extend(process.stdout or []))
        reader.start()
        dropped = r"WARNING\] (\d+) lines were dropped, .*\((.*)\)"
        wait_until(lambda: re.search(dropped, "".join(lines)))
        wait_until(lambda: re.search(r"main \d+\.$", lines[-1]), "main's lines come again")
        process.terminate()
        assert process.wait(DEADLINE) == 0
        reader.join(DEADLINE)
    text = "".join(lines)
    lost: Counter[str] = Counter()
    for total, names in re.findall(dropped, text):
        counts = {name: int(count) for name, count in re.findall(r"(\w+) (\d+)", names)}
        assert sum(counts.values()) == int(total)
        lost.update(counts)
    children = [int(number) for number in re.findall(r"^chatty \| line (\d+) x{100}$", text, re.M)]
    main = [int(number) for number in re.findall(r"main (\d+)\.$", text, re.M)]
    for source, numbers, last in (("chatty", children, 59_999), ("main", main, main[-1])):
        assert lost[source] > 0
        assert len(numbers) + lost[source] == last + 1
        assert numbers == sorted(set(numbers))
    # One line for each gap, where it is: there was no room more than once if it was read slowly.
    said = re.split(r".*lines were dropped.*main (\d+)\)", text)
    for before, count, after in zip(said[::2], said[1::2], said[2::2], strict=False):
        last = int(re.findall(r"main (\d+)\.$", before, re.M)[-1])
        assert int(re.findall(r"main (\d+)\.$", after, re.M)[0]) - last == int(count) + 1
    assert text.rstrip().endswith("LiteyukiBot has stopped")
    assert "\x1b" not in text


@unix
def test_a_bot_ends_while_nobody_reads_its_output(tmp_path: Path, environment: Environment) -> None:
    """It leaves in time, with exit code 0, although there are lines that nobody takes."""
    with unread(tmp_path, environment, LITEYUKI_STOP_TIMEOUT="2") as process:
        wait_until(lambda: (tmp_path / "said").exists(), "the child has said all")
        process.terminate()
        assert process.wait(DEADLINE) == 0


# ------------------------------------------------------------- the log file


@pytest.mark.parametrize(("retention", "compression"), [("1000", "gz"), ("2", "")])
def test_rotation(
    tmp_path: Path, environment: Environment, retention: str, compression: str
) -> None:
    """Each line of all processes is in one file, whole; as many files are kept as is said."""
    with running_program(
        tmp_path,
        environment,
        "writing:all_write",
        LITEYUKI_LOG_FILE="logs/deep/../bot.log",
        LITEYUKI_LOG_ROTATION="20 KB",
        LITEYUKI_LOG_RETENTION=retention,
        LITEYUKI_LOG_COMPRESSION=compression,
    ) as bot:
        assert bot.wait() == 0
    files = list((tmp_path / "logs").iterdir())
    if retention == "2":
        assert len(files) == 3
        return
    assert len(files) > 10
    assert len([path for path in files if path.suffix == ".gz"]) == len(files) - 1
    found = Counter(re.findall(r"<(\w+) (\d+)>$", "\n".join(written(tmp_path)), re.M))
    for name in ("a", "b", "c", "main"):
        assert [found[name, str(i)] for i in range(2000)] == [1] * 2000, name
    assert found.total() == 4 * 2000
    for line in written(tmp_path):
        assert re.match(rf"([abc]   |main) \| {OURS}", line), line


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("FILE", "taken", "can't be opened: IsADirectoryError|PermissionError"),
        ("FILE", "file/bot.log", "can't be opened"),
        ("FILE", "logs/{nonsense}.log", "can't be opened"),
        ("ROTATION", "sometimes", "Cannot parse rotation"),
        ("RETENTION", "10 files", "parsing duration: .files."),
        ("COMPRESSION", "rar", "Invalid compression"),
    ],
)
def test_a_log_file_that_can_not_be(
    tmp_path: Path, environment: Environment, key: str, value: str, message: str
) -> None:
    """The error names the key, before anything is started."""
    (tmp_path / "taken").mkdir()
    (tmp_path / "file").touch()
    more = {"LITEYUKI_LOG_FILE": "logs/bot.log", f"LITEYUKI_LOG_{key}": value}
    with running_program(tmp_path, environment, "writing:talks", "talks", **more) as bot:
        assert bot.wait() == 1
        assert bot.found(f"ConfigError: LITEYUKI_LOG_{key}={re.escape(value)}: .*(?:{message})")
        assert not bot.found("process talks")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a disk that is full")
def test_a_full_disk(tmp_path: Path, environment: Environment) -> None:
    """It is said once, every line is on standard output, and no handler can end the writing."""
    with running_program(
        tmp_path, environment, "writing:raising_handler", LITEYUKI_LOG_FILE="/dev/full"
    ) as bot:
        assert bot.wait() == 0
        assert len(bot.found("^ValueError: of a handler")) == 1
        assert len(bot.found(r"<a \d+>$")) == 1000
        assert len(bot.found("ERROR.*the log file can't be written.*No space left")) == 1


# ------------------------------------------------------------- JSON


def test_json(tmp_path: Path, environment: Environment) -> None:
    """Every line is an object: of main, of a child's logger, of NoneBot, and what else is said."""
    environment["PORT"] = str(free_port())
    with running_program(
        tmp_path,
        environment,
        "writing:json_beside_nonebot",
        LITEYUKI_LOG_JSON="true",
        LITEYUKI_LOG_FILE="logs/bot.log",
    ) as bot:
        bot.wait_for_line("startup complete")
        bot.wait_for_line("process talks exited")
        assert bot.stop() == 0
    assert sorted(written(tmp_path)) == sorted(bot.lines)
    lines: list[dict[str, Any]] = [json.loads(line) for line in bot.lines]
    for line in lines:
        assert datetime.fromisoformat(line["time"]).tzinfo is not None
        assert {"time", "level", "process", "message"} <= set(line)

    def one(process: str, start: str) -> dict[str, Any]:
        (found,) = [
            line
            for line in lines
            if line["process"] == process and line["message"].startswith(start)
        ]
        return found

    assert one("talks", "雪 {} <red>")["level"] == "WARNING"
    assert bot.found("雪 {} <red>")
    assert one("talks", "by print: 雪")["level"] is None
    assert one("talks", '{"level": "ERROR"}')["level"] is None
    assert one("talks", "divided")["exception"].endswith("ZeroDivisionError: division by zero")
    assert (
        "uncaught"
        in one("talks", "process talks: tests.children.writing:talk_json raised")["exception"]
    )
    assert one("main", "process talks exited")["level"] == "ERROR"
    assert one("nonebot", "NoneBot is initializing")["level"] == "SUCCESS"
    assert one("nonebot", "NoneBot is initializing")["module"] == "nonebot"


@pytest.mark.parametrize("to_the_file", [True, False])
def test_json_for_one_of_both(tmp_path: Path, environment: Environment, to_the_file: bool) -> None:
    """The file has objects and standard output lines for people, or the other way round."""
    environment["PORT"] = str(free_port())
    with running_program(
        tmp_path,
        environment,
        "writing:json_beside_nonebot",
        LITEYUKI_LOG_JSON=str(not to_the_file),
        LITEYUKI_LOG_FILE_JSON=str(to_the_file),
        LITEYUKI_LOG_FILE="logs/bot.log",
        FORCE_COLOR="1",
    ) as bot:
        bot.wait_for_line("startup complete")
        bot.wait_for_line("process talks exited")
        assert bot.stop() == 0
    both = [bot.named, written(tmp_path)]
    shown, filed = both if to_the_file else both[::-1]
    objects = [json.loads(line) for line in filed]
    assert {line["process"] for line in objects} == {"main", "talks", "nonebot"}
    assert not [line for line in objects if "\x1b" in json.dumps(line)]
    for message, level in (
        ("雪 {} <red>", "WARNING"),
        ("by print: 雪", None),
        ("divided", "ERROR"),
        ("NoneBot is initializing...", "SUCCESS"),
        ("LiteyukiBot has stopped", "INFO"),
    ):
        assert [line["level"] for line in objects if line["message"] == message] == [level], message
    for line in (
        rf"talks   \| {OURS}.*WARNING\] 雪 {{}} <red>$",
        r"talks   \| by print: 雪$",
        rf"talks   \| {OURS}.*ERROR\] divided$",
        r"talks   \| ZeroDivisionError: division by zero$",
        r"nonebot \| \d\d-\d\d .*\[SUCCESS\] nonebot \| NoneBot is initializing\.\.\.$",
        rf"main    \| {OURS}.*LiteyukiBot has stopped$",
    ):
        assert len([text for text in shown if re.match(line, text)]) == 1, (line, shown)
    assert not [text for text in shown if re.search("[\x1d\x1e\x1f]", text)]


def test_a_long_json_record_stays_whole(tmp_path: Path, environment: Environment) -> None:
    """A line of a child's logger that is longer than other lines may be is still one object."""
    with running_program(
        tmp_path, environment, "writing:long_lines", LITEYUKI_LOG_JSON="true"
    ) as bot:
        assert bot.wait() == 0
    lines = [json.loads(line) for line in bot.lines]
    assert [line["level"] for line in lines if line["message"] == "x" * 300_000] == ["INFO"]
    parts = [line["message"] for line in lines if line["message"].startswith("yy")]
    assert "".join(parts) == "y" * 300_000
    assert max(map(len, parts)) <= 65536


@unix
def test_a_fork_of_main_writes_its_lines_itself(tmp_path: Path, environment: Environment) -> None:
    """It has no thread that would; nothing waits for it."""
    with running_program(
        tmp_path, environment, "writing:main_forks", PYTHONWARNINGS="ignore"
    ) as bot:
        assert bot.wait() == 0
        assert len(bot.found("INFO.*from the fork")) == 1
