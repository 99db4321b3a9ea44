"""When children are restarted and on whom they depend: what may be asked for, and the order."""

from __future__ import annotations

import os
import sys
import time as clock
from datetime import datetime, time
from typing import Any

import pytest

from liteyuki_core.errors import ProcessNotFound, ProcessStartError
from liteyuki_core.process import RestartPolicy, terms
from liteyuki_core.process.terms import checked, next_time, waves

KNOWN = {"napcat": 1, "web": 2}


def asked(**changed: Any) -> terms.Terms:
    """Return the terms of a child, all as usual but for some."""
    usual: dict[str, Any] = {
        "restart": None,
        "max_memory": None,
        "restart_at": None,
        "depends_on": (),
        "known": KNOWN,
    }
    return checked("bot", **{**usual, **changed})


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("512MB", 512 * 1024**2),
        ("1.5GB", 3 * 512 * 1024**2),
        ("64 kb", 64 * 1024),
        (" 1gb ", 1024**3),
    ],
)
def test_memory_in_bytes(text: str, size: int) -> None:
    """A number and its unit, of 1024."""
    assert asked(max_memory=text).max_memory == size


@pytest.mark.parametrize("text", ["512XB", "512", "MB", "-1MB", "0MB", "1e3MB", "", "١MB", "1MBMB"])
def test_memory_that_cannot_be(text: str) -> None:
    """Is an error that names the argument and shows how it is written."""
    with pytest.raises(ValueError, match=r"^process bot: max_memory .*\"512MB\""):
        asked(max_memory=text)


def test_memory_where_nobody_can_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not Linux, and no psutil: the error says what to install."""
    monkeypatch.setattr(sys, "platform", "darwin")
    assert asked(max_memory="1MB").max_memory == 1024**2
    monkeypatch.setattr(terms, "find_spec", lambda name: None)
    with pytest.raises(ProcessStartError, match=r"install nonebot-plugin-liteyuki-comm\[memory\]"):
        asked(max_memory="1MB")


def test_time_of_the_day() -> None:
    """Hours and minutes."""
    assert asked(restart_at="04:30").restart_at == time(4, 30)
    assert asked(restart_at="4:30").restart_at == time(4, 30)
    assert asked(restart_at="23:59").restart_at == time(23, 59)


@pytest.mark.parametrize(
    "text", ["25:00", "24:00", "04:60", "0430", "", "04:30:00", "٠٤:٣٠", "noon"]
)
def test_time_that_cannot_be(text: str) -> None:
    """Is an error that names the argument."""
    with pytest.raises(ValueError, match=r"^process bot: restart_at .*\"23:59\""):
        asked(restart_at=text)


def test_who_depends_on_whom() -> None:
    """Only on who was added before, so nobody can wait in a circle."""
    assert asked(depends_on=["napcat", "web", "napcat"]).depends_on == ("napcat", "web")
    with pytest.raises(ProcessNotFound, match=r"depends_on names 'later'.*napcat, web.*first"):
        asked(depends_on=["later"])
    with pytest.raises(ValueError, match="must not name the process itself"):
        asked(depends_on=["bot"])


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("restart", "always"),
        ("max_memory", 512),
        ("restart_at", 4.5),
        ("depends_on", "napcat"),
        ("depends_on", [1]),
    ],
)
def test_what_is_of_another_type(argument: str, value: object) -> None:
    """Is an error that names the argument."""
    with pytest.raises(TypeError, match=argument):
        asked(**{argument: value})


def test_all_as_usual() -> None:
    """Nothing is planned unless it is asked for."""
    assert asked() == (RestartPolicy(), None, None, ())


# ------------------------------------------------------------- the order


def test_waves_of_a_stop() -> None:
    """Whoever depends on another one is stopped before it; all others at once."""
    assert waves({}) == []
    assert waves({"a": (), "b": ()}) == [["a", "b"]]
    assert waves({"a": (), "b": ["a"], "c": ["b", "a"], "d": ()}) == [["c"], ["b"], ["a", "d"]]
    assert waves({"b": ["a"], "c": ["b"]}) == [["c"], ["b"]], "a has ended already"


# ------------------------------------------------------------- the time


def test_next_time_of_the_day() -> None:
    """Later today, or tomorrow."""
    at = time(4, 30)
    assert next_time(at, datetime(2026, 2, 28, 4, 29, 59)) == datetime(2026, 2, 28, 4, 30)
    assert next_time(at, datetime(2026, 2, 28, 4, 30)) == datetime(2026, 3, 1, 4, 30)
    assert next_time(at, datetime(2026, 12, 31, 23)) == datetime(2027, 1, 1, 4, 30)


@pytest.mark.skipif(not hasattr(clock, "tzset"), reason="the zone of one process can't be set")
def test_next_time_when_the_clocks_change(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once a day too: an hour that is not there is the one after it."""
    monkeypatch.setitem(os.environ, "TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    try:
        clock.tzset()
        night = datetime(2026, 3, 28, 2, 30)
        missing = next_time(time(2, 30), night)
        assert missing.timestamp() - night.timestamp() == 24 * 3600
        assert next_time(time(2, 30), datetime(2026, 3, 29, 3, 30)) == datetime(2026, 3, 30, 2, 30)
        twice = next_time(time(2, 30), datetime(2026, 10, 25, 2, 0))
        assert next_time(time(2, 30), datetime(2026, 10, 25, 2, 30, 1, fold=1)).day == 26
        assert twice.timestamp() < datetime(2026, 10, 25, 3, 0).timestamp()
    finally:
        monkeypatch.undo()
        clock.tzset()
