"""The control words: to bytes and back, one direction each, and nothing of another shape."""

from __future__ import annotations

import json
from typing import Any

import pytest

from liteyuki_core.comm.wire import frames, words
from liteyuki_core.errors import FrameError
from tests.wire import Wire

FROM_CHILD: list[words.FromChild] = [
    words.Open("1.7", 1024),
    words.Open(None, 1),
    words.Receives(64, False),
    words.Receives(1, True),
    words.AskFor(3, -2),
    words.Answers(64),
    words.Answers(0),
    words.Answered([0, 1 << 60]),
    words.Cancel(7, True),
    words.GiveBack(3, [(0, 5), (1 << 60, 1)], False),
    words.GiveBack(0, [], True),
    words.Close(),
    words.Leave(),
    words.Hold("名"),
    words.Register('a "name" with a %s', words.MOST_REQUESTS - 1),
    words.Clean(),
    words.Ready(True, []),
    words.Ready(False, ["a.plugin"]),
    words.Failed("\ud800 is no text\n"),
    words.WaitsForTurn(["a.plugin"]),
    words.TakesTurn(),
    words.Restart(None),
    words.Restart("other"),
    words.AskStop(None),
    words.AskStop("other"),
    words.Listen("::", 8080, 2048),
    words.Pulse(2.5, None, None, ""),
    words.Pulse(5, 1e-17, 0.1, "  File ..."),
    words.Loaded(1, ["/a.py"], []),
    words.Imported(["a", "a.b"]),
    words.Accounts([]),
    words.Accounts([("OneBot V11", "10001", "offline", "名"), ("a", "", "online", "x" * 200)]),
]
FROM_MAIN: list[words.FromMain] = [
    words.Names({"名": (4, "0.1"), "b": (1024, "hub.2")}, ["gone"], "1."),
    words.Dropped(5),
    words.Shared(0, True),
    words.Refused([4, 5], "ChannelBroken", "it died"),
    words.Cancelled([6]),
    words.Gone(True, "process w died", True, 2, ["its last", "lines"]),
    words.Returned(),
    words.Registered(7, "0.1", None),
    words.Registered(7, None, ["exists already", "name"]),
    words.Stop(0.25),
    words.AskPulse(2.5, False, True),
    words.YourTurn(),
    words.AskImported(),
    words.AskLoaded(3, ["/a.py", "/名.py"]),
]
BOTH: list[tuple[Any, Any]] = [
    *[(words.from_child, word) for word in FROM_CHILD],
    *[(words.from_main, word) for word in FROM_MAIN],
]
OTHER: dict[Any, Any] = {words.from_child: words.from_main, words.from_main: words.from_child}


def test_no_word_is_left_out() -> None:
    """The tests below know all of them; each has one direction and a name of its own."""
    for forms, tried in ((words.FROM_CHILD, FROM_CHILD), (words.FROM_MAIN, FROM_MAIN)):
        assert {form.kind for form in forms.values()} == {type(word) for word in tried}
        for form in forms.values():
            kind: Any = form.kind
            assert tuple(name for name, _ in form.fields) == kind._fields
    assert not words.FROM_CHILD.keys() & words.FROM_MAIN.keys()


@pytest.mark.parametrize(
    ("read", "word"), BOTH, ids=lambda given: getattr(given, "__name__", repr(given))
)
def test_a_word_comes_back_as_it_was(read: Any, word: Any) -> None:
    """With the number of the end that it is about, in one direction."""
    (frame,) = Wire().pass_on(words.encode(word, 1 << 31))
    assert (frame.kind, frame.channel) == (frames.CONTROL, 1 << 31)
    back = read(frame)
    assert type(back) is type(word)
    assert back == word
    with pytest.raises(FrameError, match="is not known"):
        OTHER[read](frame)


ODD: list[Any] = [
    *(None, True, -1, 0, 1.5, 1 << 70, 10**400, float("nan"), float("inf"), "text"),
    *([], [1], [[1, 2, 3]], [[True, 1]], {}, {"name": 1}),
]


@pytest.mark.parametrize(
    ("read", "word"), BOTH, ids=lambda given: getattr(given, "__name__", repr(given))
)
def test_odd_fields(read: Any, word: Any) -> None:
    """A field that is missing or odd makes a `FrameError`, or one that the word can have."""
    right = json.loads(bytes(words.encode(word)[1]))
    for name in right.keys() - {"op"}:
        rest = {other: found for other, found in right.items() if other != name}
        with pytest.raises(FrameError):
            read(control(rest))
        for odd in ODD:
            try:
                back = read(control({**rest, name: odd}))
            except FrameError:
                continue
            again = json.loads(bytes(words.encode(back)[1]))
            assert again[name] == odd or name == "ranges"


def control(fields: Any) -> frames.Frame:
    return frames.Frame(frames.CONTROL, 0, 1, json.dumps(fields).encode())


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ([1], "has no op"),
        ({}, "has no op"),
        ({"op": ["open"]}, "has no op"),
        ({"op": "__class__"}, "is not known"),
        ({"op": "open", "key": 1, "capacity": 1}, "is not known"),
        ({"op": "open", "key": None, "capacity": True}, "is not known"),
        ({"op": "open", "key": None, "capacity": 0}, "is not known"),
        ({"op": "open", "key": None, "capacity": frames.MAX_CAPACITY + 1}, "is not known"),
        ({"op": "receives", "window": -1, "asks": False}, "is not known"),
        ({"op": "receives", "window": 1, "asks": 0}, "is not known"),
        ({"op": "ask_for", "period": 0, "messages": 10**12}, "is not known"),
        ({"op": "give_back", "period": 0, "ranges": [[True, "x"]]}, "are malformed"),
        ({"op": "give_back", "period": 0, "ranges": {}}, "is not known"),
        ({"op": "register", "name": "a", "request": words.MOST_REQUESTS}, "is not known"),
        ({"op": "failed", "why": [1]}, "is not known"),
        ({"op": "pulse", "at": float("nan"), "lag": 0, "waits": 0, "stack": ""}, "is not known"),
        ({"op": "loaded", "request": 1, "loaded": [1], "near": []}, "is not known"),
    ],
)
def test_what_a_child_can_not_say(fields: Any, why: str) -> None:
    """One clear error each."""
    with pytest.raises(FrameError, match=why):
        words.from_child(control(fields))


def test_ranges_of_nothing_are_left_out() -> None:
    """Nothing is given back by them."""
    ranges = [[-1, 3], [4, 0], [5, -2], [7, 1]]
    given = {"op": "give_back", "period": 1, "ranges": ranges, "requests": False}
    assert words.from_child(control(given)) == words.GiveBack(1, [(7, 1)], False)


def test_a_child_says_no_more_than_can_be_looked_at_soon() -> None:
    """What main says has no such limit: a child may get thousands of names at once."""
    why = "x" * frames.FIELD_BYTES
    with pytest.raises(FrameError, match="a control frame of"):
        words.from_child(control({"op": "failed", "why": why}))
    word = words.Names({}, [why], "")
    assert (
        words.from_main(control({"op": "names", "add": {}, "remove": [why], "prefix": ""})) == word
    )


def test_the_line_about_a_wrong_word_is_short() -> None:
    """However long the word is."""
    with pytest.raises(FrameError) as raised:
        words.from_child(control({"op": "failed", "why": ["x" * 100_000]}))
    assert len(str(raised.value)) < 500
