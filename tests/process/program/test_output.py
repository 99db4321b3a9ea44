"""What a program writes, as lines: what belongs together, what has no end, what is no text.

Tests writer.py, process/program/output.py.
"""

from __future__ import annotations

import os
import threading
import time

import pytest

from liteyuki_core.log import LogConfig
from liteyuki_core.process.program.output import Output, Text
from liteyuki_core.writer import Writer
from tests.conftest import DEADLINE, wait_until

ROWS = ["█▀▀▀▀▀█ ▄ █▀▀▀▀▀█", "█ ███ █ ▀ █ ███ █", "                 ", "▀▀▀▀▀▀▀ ▀ ▀▀▀▀▀▀▀"]
"""As a QR code looks."""


# ------------------------------------------------------------- text


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
@pytest.mark.parametrize("encoding", ["utf-8", "gbk", "utf-16-le"])
def test_bytes_to_lines(size: int, encoding: str) -> None:
    """However the bytes come and whatever the encoding: every line once and whole."""
    lines = ["扫码登录", "", "ready", "no end 完"]
    data = "\r\n".join(lines).encode(encoding)
    text, found = Text(encoding), list[str]()
    for start in range(0, len(data), size):
        found += text.feed(data[start : start + size], 0.0)
    found += text.end()
    assert found == lines
    assert text.end() == []


@pytest.mark.parametrize(
    ("encoding", "data", "shown"),
    [
        ("utf-8", b"caf\xe9 \xff\n", "caf\\xe9 \\xff"),
        ("gbk", b"\xc9\xa8 \xff\n", "扫 \\xff"),
        ("ascii", b"caf\xc3\xa9\n", "caf\\xc3\\xa9"),
    ],
)
def test_bytes_that_are_no_text(encoding: str, data: bytes, shown: str) -> None:
    """Are shown, and what comes after them too."""
    text = Text(encoding)
    assert text.feed(data + b"more\n", 0.0) == [shown, "more"]
    assert text.feed(b"\xe6", 1.0) == []
    assert text.end() != []


@pytest.mark.parametrize("size", [1000, 65_536, 1_000_000])
def test_a_line_that_is_too_long(size: int) -> None:
    """Comes in parts; nothing is lost and nothing grows."""
    text, found = Text("utf-8"), list[str]()
    for _ in range(0, 300_000, size):
        found += text.feed(b"x" * size, 0.0)
        assert text._length <= 65_536
    found += text.end()
    assert {len(line) <= 65_536 for line in found} == {True}
    assert sum(map(len, found)) == size * len(range(0, 300_000, size))
    assert text.feed(b"y" * 150_000 + b"\nz\n", 0.0)[-2:] == ["y" * (150_000 - 2 * 65_536), "z"]


def test_a_line_without_an_end() -> None:
    """Is given away when nothing has come for a moment, and so is its rest."""
    text = Text("utf-8")
    assert text.wait(0.0) is None
    assert text.feed(b"one\nlogin: ", 10.0) == ["one"]
    assert text.partial(10.2) == ""
    wait = text.wait(10.2)
    assert wait is not None
    assert text.partial(10.2 + wait) == "login: "
    assert text.wait(10.5) is None
    assert text.feed(b"\nnext\n\n", 11.0) == ["next", ""], "its newline alone is no line"
    assert text.feed(b"10%", 12.0) == []
    assert text.partial(12.5) == "10%"
    assert text.feed(b" done\n", 13.0) == [" done"]


def test_a_line_that_grows_for_ever() -> None:
    """Is given away now and then, not at every byte."""
    text, given = Text("utf-8"), list[str]()
    for tenth in range(100):
        text.feed(b".", tenth / 10)
        if partial := text.partial(tenth / 10):
            given.append(partial)
    assert 3 <= len(given) <= 6
    assert "".join([*given, *text.end()]) == "." * 100


def test_a_secret_is_not_cut() -> None:
    """A line that names one waits for its end, and wakes nobody meanwhile."""
    text = Text("utf-8")
    text.feed(b"my token=ab", 0.0)
    assert text.partial(5.0) == ""
    assert text.wait(5.0) is None
    assert text.feed(b"cd\n", 6.0) == ["my token=abcd"]


# ------------------------------------------------------------- the pipe


class Taken:
    """An output, and what it has passed on. Closes it at the end."""

    def __init__(self, encoding: str = "utf-8") -> None:
        self.groups: list[list[str]] = []
        self.seen: list[str] = []
        self.found: list[int] = []
        """How many groups were passed on when a line was found."""
        self.ended = threading.Event()
        self._output = Output(
            "napcat", encoding, self.groups.append, self._look, self._on_found, self.ended.set
        )

    def _look(self, line: str) -> bool:
        self.seen.append(line)
        return "up" in line

    def _on_found(self) -> None:
        self.found.append(len(self.groups))

    def write(self, data: bytes) -> None:
        """Write as the program does."""
        os.write(self._output.theirs, data)

    def close(self) -> None:
        """End as the program does."""
        os.close(self._output.theirs)
        assert self.ended.wait(DEADLINE)
        wait_until(lambda: not [t for t in threading.enumerate() if "napcat" in t.name])


def test_what_belongs_together() -> None:
    """Lines that come at about the same time are passed on at once, a later one alone."""
    taken = Taken()
    for row in ROWS:
        taken.write(f"{row}\n".encode())
    wait_until(lambda: taken.groups)
    taken.write(b"later\n")
    wait_until(lambda: sum(map(len, taken.groups)) == len(ROWS) + 1)
    assert taken.groups[-1] == ["later"]
    assert [line for group in taken.groups for line in group] == [*ROWS, "later"]
    taken.close()


def test_half_a_line() -> None:
    """Is passed on after a moment."""
    taken = Taken()
    begun = time.monotonic()
    taken.write(b"Password for root: "[:9])
    wait_until(lambda: taken.groups == [["Password "]] or time.monotonic() > begun + 0.6)
    assert taken.groups == [], "what may be followed by a secret is not"
    taken.write(b"\n> ")
    wait_until(lambda: taken.groups[-1:] == [["> "]])
    taken.close()
    assert taken.groups == [["Password "], ["> "]]


def test_lines_that_never_pause() -> None:
    """Are passed on all the same, in groups of 2,000 lines at most."""
    taken = Taken()
    for number in range(20_000):
        taken.write(b"%d\n" % number)
    taken.close()
    assert [line for group in taken.groups for line in group] == [str(n) for n in range(20_000)]
    assert max(map(len, taken.groups)) <= 2000


def test_who_looks_for_a_line() -> None:
    """Sees it as it was written, without colours, at once. What is passed on hides secrets."""
    taken = Taken()
    taken.write(b"\x1b[32mtoken=abc\x1b[0m\n")
    wait_until(lambda: taken.seen)
    taken.close()
    assert taken.seen == ["token=abc"]
    assert taken.groups == [["\x1b[32mtoken=***\x1b[0m"]]


def test_a_line_that_is_found() -> None:
    """Is passed on before anybody is told. What follows is another group."""
    taken = Taken()
    taken.write(b"first\nup\n")
    wait_until(lambda: taken.found)
    taken.write(b"then\n")
    taken.write(b"up> ")
    wait_until(lambda: len(taken.found) == 2)
    taken.close()
    assert taken.groups == [["first", "up"], ["then"], ["up> "]]
    assert taken.found == [1, 3]


# ------------------------------------------------------------- on standard output


@pytest.fixture
def shown(capfd: pytest.CaptureFixture[str]) -> object:
    """Returns how groups of lines look on standard output, without an end of the last one."""

    def look(*groups: tuple[str | None, list[str]], json: bool = False) -> str:
        writer = Writer(LogConfig(json=json, colour=False), None)
        for name in ["cat", "机"]:
            writer.add_process(name)
        writer.start()
        for name, lines in groups:
            if name is None:
                writer.own(lines[0] + "\n")
            else:
                writer.lines(name, lines, together=True)
        writer.close(DEADLINE)
        return capfd.readouterr().out.rstrip("\n")

    return look


def test_the_name_stands_before_the_first_line(shown: object) -> None:
    """What belongs to it stands under it, after as many columns."""
    assert callable(shown)
    assert shown(("cat", ["a", "b", ""]), ("机", ["c", "d"]), ("cat", ["e"])) == (
        "cat  | a\n       b\n       \n机   | c\n       d\ncat  | e"
    )


def test_a_picture_is_as_wide_as_it_is(shown: object) -> None:
    """No row of it is moved. The name is above it, unless its own line already is."""
    assert callable(shown)
    picture = "\n".join(ROWS)
    assert shown(("cat", ROWS)) == f"cat  | \n{picture}"
    assert shown(("cat", ["scan:", *ROWS, "or not"])) == f"cat  | scan:\n{picture}\n       or not"
    assert shown(("cat", ["scan:"]), ("cat", ROWS)) == f"cat  | scan:\n{picture}"
    assert shown(("cat", ["scan:"]), (None, ["x"]), ("cat", ROWS)) == (
        f"cat  | scan:\nmain | x\ncat  | \n{picture}"
    )


def test_a_picture_of_coloured_spaces(shown: object) -> None:
    """Is one too. A bar that shows progress is none."""
    assert callable(shown)
    row = "\x1b[47m  \x1b[0m\x1b[40m  \x1b[0m\x1b[47m    \x1b[0m"
    assert shown(("cat", [row, row])) == f"cat  | \n{row}\n{row}"
    assert shown(("cat", ["a", "██████░░░░ 60%"])) == "cat  | a\n       ██████░░░░ 60%"
    assert shown(("cat", ["a", "", "\x1b[31m\x1b[0m", "b"])).splitlines()[1] == "       "


def test_pictures_in_json(shown: object) -> None:
    """They are one record a line."""
    assert callable(shown)
    records = shown(("cat", ROWS), json=True).splitlines()
    assert len(records) == len(ROWS)
    assert '"message": "█▀▀▀▀▀█ ▄ █▀▀▀▀▀█"' in records[0]
