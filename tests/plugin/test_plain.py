"""Plain data: what of an adapter's objects the main process gets."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, field
from datetime import datetime, timezone
from enum import Enum, IntEnum
from pathlib import PurePosixPath
from typing import Any

import pytest
from nonebot.adapters.onebot.v11 import Message, MessageSegment
from pydantic import BaseModel, ConfigDict

pytestmark = pytest.mark.usefixtures("plugin")


class Colour(Enum):
    RED = "red"


class Level(IntEnum):
    HIGH = 3


class Text(str):
    pass


@dataclass
class Point:
    x: int
    more: list[Any] = field(default_factory=list)


class Model(BaseModel):
    model_config = ConfigDict(extra="allow")
    point: Point
    colour: Colour = Colour.RED


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        *[(same, same) for same in (None, True, 1, 1.5, "x", b"\xff", [], {})],
        (Colour.RED, "red"),
        (Level.HIGH, 3),
        (Text("x"), "x"),
        (bytearray(b"x"), b"x"),
        ((1, {2}), [1, [2]]),
        ({1: (2,), Colour.RED: 3}, {"1": [2], "red": 3}),
        (Point(1, [Level.HIGH]), {"x": 1, "more": [3]}),
        (
            Model(point=Point(1), extra=Point(2)),
            {
                "point": {"x": 1, "more": []},
                "colour": "red",
                "extra": {"x": 2, "more": []},
            },
        ),
        (datetime(2026, 1, 2, tzinfo=timezone.utc), "2026-01-02 00:00:00+00:00"),
        (PurePosixPath("/a/b"), "/a/b"),
        (Point, str(Point)),
        (Message([MessageSegment.at(1)]), [{"type": "at", "data": {"qq": "1"}}]),
    ],
)
def test_plain(value: Any, expected: Any) -> None:
    """Types and all: nothing is left that only one process knows."""
    from nonebot_plugin_liteyuki_comm.plain import plain

    got = plain(value)
    assert got == expected
    assert type(got) is type(expected)
    assert b"nonebot" not in pickle.dumps(got)
    assert b"tests" not in pickle.dumps(plain([value])) or value is Point
