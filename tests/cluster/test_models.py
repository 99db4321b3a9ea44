"""Objects of a channel's type between nodes, and beside them within one.

Tests comm/wire/models.py, comm/wire/packed.py and comm/ends/crossing.py.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Annotated, Any, Literal, NamedTuple
from uuid import UUID

import msgspec
import pydantic
import pytest

from liteyuki_core import Channel
from liteyuki_core.comm.wire import packed
from liteyuki_core.comm.wire.models import Model, is_plain
from liteyuki_core.comm.wire.payload import Long, load
from liteyuki_core.errors import ChannelTimeout, ChannelTypeError, SendError
from tests.conftest import wait_until
from tests.nats import NatsServer
from tests.nodes import NodesPair, OneNode
from tests.pair import run_async


class Colour(enum.Enum):
    """An enum."""

    RED = "red"


class Point(NamedTuple):
    """A named tuple."""

    x: int
    y: float


class Struct(msgspec.Struct):
    """A class of msgspec."""

    name: str
    tags: set[str]


class Person(pydantic.BaseModel):
    """A model of pydantic."""

    name: str
    born: datetime | None = None


NOBODY = UUID(int=0)


@dataclass
class Job:
    """A dataclass that has all of them."""

    number: int
    person: Person
    struct: Struct
    colour: Colour = Colour.RED
    points: list[Point] = field(default_factory=list)
    picture: bytes = b""
    id: UUID = NOBODY


BORN = datetime(2000, 1, 2, tzinfo=timezone.utc)


def job(number: int = 1, picture: bytes = b"\0\xff") -> Job:
    """Return one."""
    return Job(
        number,
        Person(name="é", born=BORN),
        Struct("s", {"a", "b"}),
        points=[Point(1, 2.5)],
        picture=picture,
    )


Nodes = tuple[OneNode, OneNode]


def typed(channel: Channel[Any], kind: Any) -> Channel[Any]:
    """Return the channel as one of a type, as `get_channel` does."""
    channel._be_of_type(kind)
    return channel


@pytest.mark.parametrize("picture", [b"\0\xff", b"x" * 900_000], ids=["short", "long"])
def test_objects_cross(nodes: Nodes, picture: bytes) -> None:
    """Both ways, where both ends have the type."""
    first, second = nodes
    made = typed(first.make("jobs"), Job)
    got = typed(second.get("jobs"), Job)
    got.send(job(1, picture))
    assert made.receive(10) == job(1, picture)
    made.send(job(2, picture))
    assert run_async(got.async_receive(10)) == job(2, picture)


def test_callbacks_get_objects(nodes: Nodes) -> None:
    """Also of the channel's type."""
    first, second = nodes
    made = typed(first.make("jobs"), list[Job])
    got = typed(second.get("jobs"), list[Job])
    came: list[Any] = []
    made.on_receive()(came.append)
    got.send([job(1), job(2)])
    wait_until(lambda: came, "it came")
    assert came == [[job(1), job(2)]]


def test_without_the_type(nodes: Nodes) -> None:
    """An end that has no type gets the fields, and can send them; an object it can't."""
    first, second = nodes
    made = typed(first.make("people"), Person)
    got = second.get("people")
    got.send({"name": "x", "born": "2000-01-02T00:00:00Z"})
    assert made.receive(10) == Person(name="x", born=BORN)
    made.send(Person(name="y"))
    assert got.receive(10) == {"name": "y", "born": None}
    with pytest.raises(SendError, match="made or got with"):
        got.send(Person(name="z"))


def test_another_shape_is_skipped(nodes: Nodes) -> None:
    """What a stranger sends makes no object of another type, and the next message comes."""
    first, second = nodes
    made = typed(first.make("people"), Person)
    got = second.get("people")
    got.send({"age": 3})
    got.send({"name": "x"})
    assert made.receive(10) == Person(name="x")
    assert made.stats()["errors"] == 1
    with pytest.raises(ChannelTimeout):
        made.receive(0.05)


def test_answers_are_not_of_the_type(nats: NatsServer) -> None:
    """Requests are."""
    pair = NodesPair(nats.url, "t")
    try:
        made = typed(pair.far.make("people"), Person)
        made.on_request()(lambda person: {"name": person.name, "extra": 1})
        wait_until(lambda: "people" in pair.child.port.names(), "the child knows it")
        got = typed(Channel._of(pair.child.get("people")), Person)
        assert got.request(Person(name="x"), 10) == {"name": "x", "extra": 1}
    finally:
        pair.close()


def test_in_one_node_objects_stay_objects() -> None:
    """A process that has no type gets them as they are, short and long."""
    model = Model(Job)
    for picture in (b"\0", b"x" * 900_000):
        payload = packed.dump(model.plain(job(1, picture)), model.named)
        rebuilt = payload.rebuild() if isinstance(payload, Long) else load(payload)
        assert rebuilt == job(1, picture)
        plain = packed.unwrap(payload)
        assert plain is not None
        assert model.load(plain) == job(1, picture)


def test_types_are_checked(nodes: Nodes) -> None:
    """As those of any channel with a type."""
    first, second = nodes
    first.make("jobs")
    got = typed(second.get("jobs"), Job)
    with pytest.raises(ChannelTypeError, match="expected Job"):
        got.send({"number": 1})


@pytest.mark.parametrize(
    ("kind", "plain"),
    [
        (str, True),
        (dict[str, list[int]], True),
        (dict[str, int | None], True),
        (Annotated[int, "x"], True),
        (Literal["a", 1], True),
        (tuple[int, ...], False),
        (set[str], False),
        (Job, False),
        (list[Job], False),
        (Literal[Colour.RED], False),
    ],
    ids=str,
)
def test_what_is_plain(kind: Any, plain: bool) -> None:
    """Only for other types anything is converted."""
    assert is_plain(kind) is plain
