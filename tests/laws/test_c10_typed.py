"""Law C10 of channels: types.

What is of a type, what is not, and what an error says.

Tests comm/ends/typed.py, comm/ends/schema.py.
"""

from __future__ import annotations

import collections
import dataclasses
import datetime
import enum
import pickle
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, NamedTuple, NewType, Optional, TypeVar, Union

import pytest
import typing_extensions
from pydantic import AfterValidator, BaseModel, Field

from liteyuki_core.comm.channel import Channel
from liteyuki_core.errors import ChannelEmpty, ChannelTypeError, SendError
from tests.conftest import wait_until
from tests.pair import AsyncDoor, Door, Pair
from tests.program import python

U = TypeVar("U")
V = TypeVar("V")


class Own:
    """Somebody's class that pydantic has never heard of."""

    def __repr__(self) -> str:
        return "Own()"  # Names of tests are to be the same in each process that runs some.


class Row(typing.TypedDict):
    """The kind of TypedDict that pydantic takes only from Python 3.12 on."""

    number: int
    own: Own
    rows: typing_extensions.NotRequired[list[Row]]


class Loose(typing_extensions.TypedDict, total=False):
    """Nothing in it is required, but one thing."""

    maybe: str
    always: typing_extensions.Required[int]


@dataclasses.dataclass
class Point:
    """Counts how often it is made: a check is not to make any."""

    made: typing.ClassVar[int] = 0
    x: int
    own: Own
    near: list[Point] = dataclasses.field(default_factory=list)
    scale: dataclasses.InitVar[int] = 1

    def __post_init__(self, scale: int) -> None:
        Point.made += 1


@dataclasses.dataclass(frozen=True)
class Boxed(Generic[U]):
    """A generic one."""

    value: U


class Pair2(NamedTuple):
    """A named tuple."""

    left: int
    right: Own


class Model(BaseModel):
    """A model of pydantic's own."""

    x: int


class Color(enum.Enum):
    """An enumeration."""

    RED = 1


@typing.runtime_checkable
class Named(typing.Protocol):
    """A protocol that can be looked for."""

    name: str


class Unlookable(typing.Protocol):
    """One that can't."""

    name: str


UserId = NewType("UserId", int)
OwnId = NewType("OwnId", Own)
Json = typing_extensions.TypeAliasType(
    "Json", "bool | int | str | list[Json] | dict[str, Json] | None"
)

Nested = typing_extensions.TypeAliasType("Nested", "Own | dict[str, Nested]")
Listed = typing_extensions.TypeAliasType("Listed", list[U], type_params=(U,))

own = Own()

GOOD: list[tuple[Any, Any]] = [
    (int, 5),
    (float, 1),
    (str, "text"),
    (bytes, b"raw"),
    (None, None),
    (Any, object),
    (object, 3),
    (list, [1, "a"]),
    (list[int], [1, 2]),
    (dict[str, list[int]], {"a": [1], "b": []}),
    (tuple[int, str], (1, "a")),
    (tuple[int, ...], (1, 2, 3)),
    (tuple[()], ()),
    (set[str], {"a"}),
    (Sequence[int], (1, 2)),
    (Mapping[str, Own], {"a": own}),
    (collections.defaultdict[str, int], collections.defaultdict(int, a=1)),
    (typing.Dict[str, typing.List[int]], {"a": [1]}),  # noqa: UP006
    (int | str, "a"),
    (Union[int, Own], own),  # noqa: UP007
    (Optional[Own], None),  # noqa: UP045
    (Literal["a", 1], 1),
    (Annotated[int, Field(gt=3)], 4),
    (Annotated[list[Own], Field(max_length=1), ["unhashable"]], [own]),
    (Own, own),
    (list[Own], [own]),
    (Boxed[int], Boxed(1)),
    (Boxed[list[U]][Own], Boxed([own])),
    (Boxed, Boxed("whatever")),
    (Row, {"number": 1, "own": own, "rows": [{"number": 2, "own": own}]}),
    (list[Row], [{"number": 1, "own": own}]),
    (Loose, {"always": 1}),
    (Point, Point(1, own, [Point(2, own)])),
    (dict[str, Point], {"a": Point(1, own)}),
    (tuple[Point, Point], (Point(1, own), Point(2, own))),
    (Pair2, Pair2(1, own)),
    (Model, Model(x=1)),
    (Color, Color.RED),
    (datetime.datetime, datetime.datetime(2025, 1, 1)),
    (Named, Path("a")),
    (UserId, 5),
    (list[OwnId], [own]),
    (Json, {"a": [1, None, {"b": True}]}),
    (Nested, {"a": {"b": own}}),
    (Listed[Own], [own]),
    (type[Own], Own),
    (range, range(3)),
]

BAD: list[tuple[Any, Any, str]] = [
    (int, True, r"expected int, got bool True"),
    (int, "1", r"expected int, got str '1'"),
    (int, 1.0, r"expected int, got float 1\.0"),
    (float, True, r"expected float"),
    (str, b"a", r"expected str, got bytes"),
    (bytes, bytearray(b"a"), r"expected bytes, got bytearray"),
    (None, 0, r"expected None, got int 0"),
    (int, None, r"expected int, got None"),
    (list[int], (1,), r"expected list\[int\], got tuple"),
    (list[int], [1, "2"], r"at \[1\]: .*integer, not str '2'"),
    (dict[str, list[int]], {"a": [1, True]}, r"expected dict\[str, list\[int\]\], got dict \(at"),
    (dict[str, list[int]], {"a": [1, True]}, r"at \['a'\]\[1\]: .*not bool True"),
    (dict[str, int], {1: 1}, r"at \[1\] \(the key\): .*string, not int 1"),
    (tuple[int, str], (1, 2), r"at \[1\]: .*string"),
    (set[int], frozenset({1}), r"expected set\[int\], got frozenset"),
    (int | str, 1.5, r"expected int \| str, got float 1\.5"),
    (list[int | str], [None], r"at \[0\]: .*not None"),
    (Optional[Own], 3, r"expected Optional\[.*Own\], got int 3"),  # noqa: UP045
    (Literal["a", "b"], "c", r"expected Literal\['a', 'b'\], got str 'c'"),
    (Literal[1], True, r"expected Literal\[1\], got bool True"),
    (Annotated[int, Field(gt=3)], 2, r"got int 2 \(input should be greater than 3\)"),
    (Own, 3, r"expected Own, got int 3"),
    (dict[str, Own], {"a": 3}, r"at \['a'\]: .*instance of Own, not int 3"),
    (Boxed[int], Boxed("a"), r"at \.value: .*integer, not str 'a'"),
    (Row, {"own": own}, r"at \['number'\]: field required"),
    (Row, {"number": 1, "own": 3}, r"at \['own'\]: .*instance of Own"),
    (Row, {"number": 1, "own": own, "rows": [{"number": "1", "own": own}]}, r"rows'\]\[0\]\['num"),
    (Row, Own(), r"expected Row, got Own"),
    (Loose, {"maybe": "a"}, r"at \['always'\]: field required"),
    (Loose, {"maybe": 1, "always": 1}, r"at \['maybe'\]"),
    (Point, {"x": 1, "own": own}, r"expected Point, got dict"),
    (Point, Point("1", own), r"at \.x: .*integer, not str '1'"),  # type: ignore[arg-type]
    (list[Point], [Point(1, own, [Point(1, 2)])], r"at \[0\]\.near\[0\]\.own"),  # type: ignore[arg-type]
    (Pair2, (1, own), r"expected Pair2, got tuple"),
    (Pair2, Pair2("a", own), r"at \.left: "),  # type: ignore[arg-type]
    (Model, {"x": 1}, r"expected Model, got dict"),
    (Color, 1, r"expected Color, got int 1"),
    (datetime.datetime, "2025-01-01", r"expected datetime, got str"),
    (Named, own, r"expected Named, got Own"),
    (UserId, "5", r"got str '5'"),
    (list[OwnId], [5], r"at \[0\]: .*instance of Own"),
    (Json, {"a": [1.5]}, r"at \['a'\]\[0\]"),
    (Nested, {"a": {"b": 1}}, r"at \['a'\]\['b'\]: .*instance of Own"),
    (Listed[Own], [1], r"at \[0\]: .*instance of Own"),
]

UNCHECKABLE: list[tuple[Any, str]] = [
    (U, "type variable"),
    (list[U], "type variable"),
    ("NoSuchName", "NoSuchName"),
    (list["NoSuchName"], "NoSuchName"),  # type: ignore[name-defined]  # noqa: F821
    (5, "5"),
    (list[5], "5"),  # type: ignore[misc]
    (Unlookable, "protocol"),
]


def typed(pair: Pair, channel: Channel[Any]) -> tuple[Channel[Any], Channel[Any]]:
    """Make a channel of the main process out of `channel`, and get the other end."""
    name = channel.name or "unnamed"
    channel._find_check()
    channel._end = pair.main.make(name, channel.capacity)
    pair.main.register(name, channel._end)
    wait_until(lambda: name in pair.port.names())
    return channel, Channel._of(pair.child.get(name))


def make(kind: Any, **options: Any) -> Channel[Any]:
    channel: Channel[Any] = Channel[kind]("typed", **options)
    return channel


# ------------------------------------------------------------- what is of a type


@pytest.mark.parametrize(("kind", "data"), GOOD, ids=lambda value: repr(value)[:50])
def test_data_of_the_type_is_sent(pair: Pair, door: Door, kind: Any, data: Any) -> None:
    """It is sent as it was given: nothing is made of it or put in its place."""
    sender, _ = typed(pair, make(kind))
    made = Point.made
    door.send(sender, data, 0)
    assert Point.made == made


@pytest.mark.parametrize(("kind", "data", "says"), BAD, ids=lambda value: repr(value)[:50])
@pytest.mark.parametrize("way", ["sync", "async", "<<"])
def test_other_data_is_not(pair: Pair, kind: Any, data: Any, says: str, way: str) -> None:
    """The error names the channel, says what was expected and what came; nothing was sent."""
    sender, receiver = typed(pair, make(kind, capacity=1))
    send = {
        "sync": sender.send,
        "async": lambda data: AsyncDoor().send(sender, data),
        "<<": lambda data: sender << data,
    }[way]
    for _ in range(2):
        with pytest.raises(ChannelTypeError, match=says) as caught:
            send(data)
    assert isinstance(caught.value, TypeError)
    assert caught.value.channel == "typed"
    assert "channel typed" in str(caught.value)
    assert "pydantic" not in str(caught.value)
    with pytest.raises(ChannelEmpty):
        receiver.receive_nowait()
    sender._type_check = False
    sender._check = None
    sender.send("room is left", 0)
    assert receiver.receive(10) == "room is left"


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        (list[int], ["wrong" * 1000] * 10_000),
        (dict[str, int], {"k" * 10_000: "v"}),
        (list[list[list[int]]], [[["x"]]]),
        (int, [0] * 100_000),
        (Literal[tuple(f"choice {i}" for i in range(1000))], "none"),  # type: ignore[misc]
        (list[int], [10**5000, "x"]),
        (str, 10**5000),
    ],
    ids=["many", "long key", "deep", "long data", "long type", "beside a big int", "big int"],
)
def test_errors_are_short(pair: Pair, kind: Any, data: Any) -> None:
    """However large the data and the type are."""
    sender, _ = typed(pair, make(kind))
    with pytest.raises(ChannelTypeError) as caught:
        sender.send(data)
    assert 0 < len(str(caught.value)) < 2500
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_the_first_problems_are_told(pair: Pair) -> None:
    """Three of them, and that there are more."""
    sender, _ = typed(pair, make(list[int]))
    with pytest.raises(ChannelTypeError) as caught:
        sender.send([1, "a", 2, "b", "c", "d"])
    said = str(caught.value)
    assert [place in said for place in ("[1]", "[3]", "[4]", "[5]")] == [True, True, True, False]
    assert "and more" in said


def test_the_check_comes_before_serialising(pair: Pair, door: Door) -> None:
    """What is of the wrong type and can't be pickled is of the wrong type."""
    sender, _ = typed(pair, make(int))
    with pytest.raises(ChannelTypeError):
        door.send(sender, (i for i in range(3)))
    sender, _ = typed(pair, Channel[Any]("other"))
    with pytest.raises(SendError):
        door.send(sender, (i for i in range(3)))


# ------------------------------------------------------------- which channels check


class Numbers(Channel[int]):
    """A channel of one type."""


class Lists(Channel[list[U]], Generic[U]):
    """A channel of a type that is given later."""


class Swapped(Channel[dict[V, U]], Generic[U, V]):
    """The same with two, in another order."""


class Strings(Lists[str]):
    """A subclass of a subclass."""


class Trees(Channel["list[Tree]"]):
    """A channel whose type is defined below."""


class Tree:
    """What `Trees` carries."""

    def __repr__(self) -> str:
        return "Tree()"


@pytest.mark.parametrize(
    ("channel", "good", "bad"),
    [
        (Numbers("c"), 1, "1"),
        (Lists[int]("c"), [1], ["1"]),
        (Lists[Own]("c"), [own], [1]),
        (Swapped[int, str]("c"), {"a": 1}, {1: "a"}),
        (Strings("c"), ["a"], [1]),
        (Trees("c"), [Tree()], [1]),
        (Channel["int"]("c"), 1, "1"),
        (Channel[int]("c", type_check=True), 1, "1"),
        (Channel[int]("c", type_check=None), 1, "1"),
    ],
    ids=repr,
)
def test_channels_that_check(
    pair: Pair, door: Door, channel: Channel[Any], good: Any, bad: Any
) -> None:
    """Those that are given a type, themselves or in a class."""
    sender, _ = typed(pair, channel)
    with pytest.raises(ChannelTypeError):
        door.send(sender, bad)
    door.send(sender, good)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (Channel, {}),
        (Channel[Any], {}),
        (Channel[Any], {"type_check": True}),
        (Lists, {}),
        (Channel[int], {"type_check": False}),
        (Numbers, {"type_check": False}),
        (Channel[U], {"type_check": False}),
        (Channel["NoSuchName"], {"type_check": False}),  # type: ignore[name-defined]
    ],
    ids=repr,
)
def test_channels_that_do_not(pair: Pair, door: Door, kind: Any, options: Any) -> None:
    """Those without a type, and with type_check=False."""
    sender, receiver = typed(pair, kind("c", **options))
    door.send(sender, "anything")
    door.send(sender, 5)
    assert [door.receive(receiver), door.receive(receiver)] == ["anything", 5]


def test_the_other_end_checks_nothing(pair: Pair, door: Door) -> None:
    """The type is the handle's; both ways of one channel may carry different things."""
    sender, receiver = typed(pair, make(int))
    door.send(receiver, "text")
    assert door.receive(sender) == "text"


def test_a_channel_that_is_used_while_it_is_made(pair: Pair) -> None:
    """A class that registers callbacks in its __init__ checks like any other."""

    class Early(Lists[U]):
        def __init__(self, name: str) -> None:
            super().__init__(name)
            typed(pair, self)
            self.on_receive()(lambda data: None)

    channel = Early[int]("early")
    with pytest.raises(ChannelTypeError):
        channel.send(["1"])  # type: ignore[list-item]


# ------------------------------------------------------------- types that can't be checked


@pytest.mark.parametrize(("kind", "says"), UNCHECKABLE, ids=repr)
def test_a_type_that_can_not_be_checked(kind: Any, says: str) -> None:
    """The first use says so, whatever it is, and how to do without."""
    try:
        channel = make(kind)
    except TypeError:
        return  # This version of Python says it where the type is written.
    for use in (lambda: channel.send(1), channel.receive_nowait, channel.close):
        with pytest.raises(ChannelTypeError, match=r"typed: .*type_check=False") as caught:
            use()
        assert says in str(caught.value)
        assert "http" not in str(caught.value)


def test_a_type_that_turns_out_not_to_be_checkable(pair: Pair) -> None:
    """What a validator of the user raises is no reason to send the data."""

    def refuse(data: int) -> int:
        raise RuntimeError("not today")

    sender, receiver = typed(pair, make(Annotated[int, AfterValidator(refuse)]))
    with pytest.raises(ChannelTypeError, match=r"not today.*type_check=False"):
        sender.send(1)
    with pytest.raises(ChannelEmpty):
        receiver.receive_nowait()


@pytest.mark.parametrize("wrong", [0, 1, "yes", int])
def test_a_type_check_that_is_neither(wrong: Any) -> None:
    """type_check is True, False or None."""
    with pytest.raises(TypeError, match="type_check"):
        Channel[int]("x", type_check=wrong)


def test_a_check_of_no_type(pair: Pair) -> None:
    """type_check=True on a channel without a type is a mistake."""
    sender, _ = typed(pair, Channel("plain", type_check=True))
    with pytest.raises(ChannelTypeError, match=r"plain.*Channel\[T\]"):
        sender.send(1)


def test_pydantic_is_not_imported_for_less(tmp_path: Path, environment: dict[str, str]) -> None:
    """Only a typed channel that is used brings it in."""
    result = python(
        """
        import os, sys
        from typing import Any
        from liteyuki_core.comm import Channel, current
        from liteyuki_core.comm.context import Context
        from liteyuki_core.comm.hub.main import Main
        context = Context(None, max_message_bytes=1 << 20, own_loop=False)
        main = Main(context)
        current.install(context)
        for channel in (Channel("a"), Channel[Any]("b"), Channel[int]("c", type_check=False)):
            channel.send("sent")
            channel.close()
        Channel[int]("d")
        os.write(1, b"%r\\n" % ("pydantic" in sys.modules))
        Channel[int]("e").send(1)
        os.write(1, b"%r\\n" % ("pydantic" in sys.modules))
        context.close(1)
        """,
        tmp_path,
        environment,
    )
    # The log says meanwhile that messages were sent which nobody will get.
    words = [word for word in result.stdout.split() if word in ("False", "True")]
    assert words == ["False", "True"], result.stdout
