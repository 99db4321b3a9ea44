"""What `add_program` takes, and what it refuses at once, by the name of the argument."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from liteyuki_core.errors import ProcessStartError
from liteyuki_core.process import HttpOk, Line, LogLine, TcpPort
from liteyuki_core.process.program.spec import Program, checked

USUAL: dict[str, Any] = {
    "cwd": None,
    "env": None,
    "ready": None,
    "ready_timeout": 60,
    "stop": "SIGTERM",
    "encoding": "utf-8",
    "terminal": False,
}


def asked(argv: Any = ("node", "index.js"), **changed: Any) -> Program:
    """Return a program, all as usual but for some."""
    return checked("napcat", argv, **{**USUAL, **changed})


def test_all_as_usual(tmp_path: Path) -> None:
    """Words may be paths, and the folder is made absolute."""
    program = asked([tmp_path / "napcat", "-q", "1"], cwd=tmp_path)
    assert program.argv == (str(tmp_path / "napcat"), "-q", "1")
    assert program.cwd == str(tmp_path)
    assert asked().cwd == os.getcwd()
    assert program.stop is signal.SIGTERM
    for ready in (LogLine("x"), TcpPort(1), HttpOk("http://a/")):
        assert asked(ready=ready, ready_timeout=None).ready is ready
    assert asked(stop=Line("quit")).stop == Line("quit")
    assert asked(encoding="gbk").encoding == "gbk"


def test_the_title_shows_no_secret() -> None:
    """The command line is what people see of the target."""
    assert asked(["run it", "--token=abc"]).title == "'run it' --token=***"


def test_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables are set, changed and removed; the others are those of the bot by then."""
    monkeypatch.setitem(os.environ, "KEPT", "before")
    monkeypatch.setitem(os.environ, "GONE", "1")
    program = asked(env={"GONE": None, "NEVER": None, "NEW": "2"})
    monkeypatch.setitem(os.environ, "KEPT", "after")
    assert program.environment() == {
        **{key: value for key, value in os.environ.items() if key != "GONE"},
        "NEW": "2",
    }


@pytest.mark.parametrize(
    ("argument", "value", "said"),
    [
        ("argv", [], "is empty"),
        ("argv", [""], "is empty"),
        ("argv", ["a", "b\0"], "NUL"),
        ("env", {"a=b": "1"}, "can't be a variable"),
        ("env", {"": "1"}, "can't be a variable"),
        ("env", {"a": "\0"}, "NUL"),
        ("ready_timeout", 0, "more than 0"),
        ("ready_timeout", float("nan"), "more than 0"),
        ("stop", "SIGNOTHING", "no signal 'SIGNOTHING'"),
        ("stop", "SIG_IGN", "no signal"),
        ("stop", "", "no signal"),
        ("encoding", "klingon", "'klingon' can't be used"),
        ("encoding", "hex", "'hex' can't be used"),
        ("encoding", "", "can't be used"),
    ],
)
def test_values_that_cannot_be(argument: str, value: object, said: str) -> None:
    """Each error names the process and the argument."""
    with pytest.raises(ValueError, match=rf"^process napcat: {argument}\b.*{said}"):
        asked(**{argument: value})


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("argv", "node index.js"),
        ("argv", {"node": 1}),
        ("argv", ["node", 1]),
        ("argv", [b"node"]),
        ("env", ["a=b"]),
        ("env", {"a": 1}),
        ("env", {1: "a"}),
        ("ready", "Listening"),
        ("ready", 8080),
        ("ready_timeout", "60"),
        ("ready_timeout", True),
        ("stop", 15),
        ("encoding", None),
    ],
)
def test_what_is_of_another_type(argument: str, value: object) -> None:
    """Likewise. No value of the environment is shown."""
    with pytest.raises(TypeError, match=rf"^process napcat: {argument}\b"):
        asked(**{argument: value})


def test_no_such_folder(tmp_path: Path) -> None:
    """Is said at once."""
    with pytest.raises(ProcessStartError, match=r"cwd: there is no folder .*nowhere") as raised:
        asked(cwd=tmp_path / "nowhere")
    assert raised.value.process == "napcat"


def test_the_terminal_is_not_read_by_others() -> None:
    """So a line of output shows nothing, and none can be written to the program."""
    with pytest.raises(ValueError, match=r"ready=LogLine.*terminal=True"):
        asked(terminal=True, ready=LogLine("x"))
    with pytest.raises(ValueError, match=r"stop=Line.*terminal=True"):
        asked(terminal=True, stop=Line("quit"))
    assert asked(terminal=True, ready=TcpPort(1)).terminal


@pytest.mark.parametrize("text", [b"quit", 1])
def test_a_line_is_text(text: Any) -> None:
    """Or None, which closes the standard input."""
    with pytest.raises(TypeError, match="Line: text"):
        Line(text)


@pytest.mark.skipif(sys.platform == "win32", reason="it has fewer signals")
def test_every_signal_has_its_name() -> None:
    """A number may differ from system to system."""
    assert asked(stop="SIGINT").stop is signal.SIGINT
    assert asked(stop="SIGHUP").stop is signal.SIGHUP
