"""Which frame of OneBot is what, and whose answer an answer is."""

from __future__ import annotations

import json
from itertools import permutations
from typing import Any

import msgpack
import pytest

from liteyuki_core.gateway.onebot import Frame, Kind, OneBot, of_adapter

V11 = {"post_type": "message", "message_type": "group", "message": "x"}
CALLER = "a process"
V12 = {"type": "message", "detail_type": "group", "message": []}


def text(**fields: Any) -> str:
    """Return a frame of text."""
    return json.dumps(fields)


def call(protocol: OneBot, echo: Any = "1", **more: Any) -> Any:
    """Have a call made; return its echo as the client gets it."""
    made = protocol.call(text(action="get", params={}, echo=echo, **more), CALLER)
    return json.loads(made)["echo"]


@pytest.mark.parametrize(
    ("version", "frame", "kind"),
    [
        (11, text(**V11), Kind.EVENT),
        (11, text(**V11).encode(), Kind.EVENT),
        (11, text(post_type="notice", notice_type="x"), Kind.EVENT),
        (11, text(post_type="unknown"), Kind.EVENT),
        (11, text(post_type=["list"]), Kind.EVENT),
        (11, text(post_type="message_sent"), Kind.EVENT),
        (11, text(post_type="meta_event", meta_event_type="heartbeat"), Kind.OTHER),
        (11, text(**V12), Kind.OTHER),
        (12, text(**V12), Kind.EVENT),
        (12, msgpack.packb(V12), Kind.EVENT),
        (12, text(**{"type": "notice", "self.user_id": "1"}), Kind.EVENT),
        (12, text(type="meta", detail_type="heartbeat"), Kind.OTHER),
        (12, text(type="meta"), Kind.OTHER),
        (12, text(**V11), Kind.OTHER),
    ],
)
def test_which_frame_is_an_event(version: int, frame: Frame, kind: Kind) -> None:
    """Meta events are none. An event is passed on as it is."""
    assert OneBot(version).take(frame) == (kind, frame, None)


@pytest.mark.parametrize("version", [11, 12])
@pytest.mark.parametrize(
    "frame",
    [
        *("", "garbage", "null", "[]", '"text"', "1", "{", "{}", '{"a": 1}', "[" * 100_000),
        *(b"", b"\x00\xff\xfe", b"\xc1", b"{", b"\x81\xa1"),
        '{"status": "ok", "data": null}',
        "9" * 5000,
    ],
)
def test_garbage_is_passed_on_as_it_is(version: int, frame: Frame) -> None:
    """The adapter does with it what it does without a gateway."""
    protocol = OneBot(version)
    assert protocol.take(frame) == (Kind.OTHER, frame, None)
    assert protocol.call(frame, CALLER) == frame
    assert not protocol.has_calls


@pytest.mark.parametrize("echo", ["1", "", 7, None, {"a": [1]}, "é\ud800", 1e300])
def test_an_answer_gets_the_callers_echo_back(echo: Any) -> None:
    """Whatever that is; in between it is another, each time."""
    protocol = OneBot(11)
    first, second = call(protocol, echo), call(protocol, echo)
    assert first != second
    for ours in (second, first):
        assert protocol.has_calls
        frame = text(status="ok", retcode=0, data={"echo": ours}, echo=ours)
        kind, told, caller = protocol.take(frame)
        assert (kind, caller) == (Kind.ANSWER, CALLER)
        assert isinstance(told, str)
        assert json.loads(told) == {
            "status": "ok",
            "retcode": 0,
            "data": {"echo": ours},
            "echo": echo,
        }
    assert not protocol.has_calls


@pytest.mark.parametrize("echo", ["1", "99", "", 1, None, [1], {"a": 1}])
def test_an_answer_that_nobody_has_asked_for_reaches_nobody(echo: Any) -> None:
    """Also one that was answered already, and one that asks with another type."""
    protocol = OneBot(11)
    assert protocol.take(text(status="ok", echo=echo))[0] is Kind.NOBODY
    ours = call(protocol)
    assert protocol.take(text(status="ok", echo=ours))[0] is Kind.ANSWER
    assert protocol.take(text(status="ok", echo=ours))[0] is Kind.NOBODY
    call(protocol)
    assert protocol.take(text(status="ok", echo=2))[0] is Kind.NOBODY


def test_an_answer_to_a_process_that_has_ended_reaches_nobody() -> None:
    """Though its successor has made a call with the same echo."""
    protocol = OneBot(11)
    old = call(protocol, "1")
    other = protocol.call(text(action="x", echo="1"), "another process")
    protocol.forget_calls(CALLER)
    assert protocol.has_calls
    new = call(protocol, "1")
    assert protocol.take(text(status="ok", data="old", echo=old))[0] is Kind.NOBODY
    assert protocol.take(text(status="ok", data="new", echo=new))[0] is Kind.ANSWER
    kind, told, caller = protocol.take(other.replace('"action": "x"', '"status": "ok"'))
    assert (kind, caller) == (Kind.ANSWER, "another process")
    assert json.loads(told)["echo"] == "1"
    assert not protocol.has_calls


def test_what_is_not_answered_is_bounded() -> None:
    """The oldest calls are forgotten."""
    protocol = OneBot(11)
    echoes = [call(protocol) for _ in range(10_001)]
    assert protocol.take(text(echo=echoes[0]))[0] is Kind.NOBODY
    assert protocol.take(text(echo=echoes[1]))[0] is Kind.ANSWER


def test_calls_without_an_echo_are_as_they_were() -> None:
    """There is nothing to tell their answers by."""
    protocol = OneBot(11)
    frame = text(action="x", params={"echo": 1})
    assert protocol.call(frame, CALLER) == frame


def test_msgpack_is_answered_in_msgpack() -> None:
    """Version 12 may use either; each frame keeps its format."""
    protocol = OneBot(12)
    made = protocol.call(
        msgpack.packb({"action": "x", "params": {"file": b"\x00\xff"}, "echo": "5"}), CALLER
    )
    assert isinstance(made, bytes)
    sent = msgpack.unpackb(made)
    assert sent["params"] == {"file": b"\x00\xff"}
    kind, told, caller = protocol.take(msgpack.packb({"status": "ok", "echo": sent["echo"]}))
    assert (kind, caller) == (Kind.ANSWER, CALLER)
    assert isinstance(told, bytes)
    assert msgpack.unpackb(told) == {"status": "ok", "echo": "5"}


TEXTS = ('"echo": "1"}', '"post_type"', "\\", '","echo":"1"}', "meta", '"meta_event"', "é\n")


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": "), (" , ", " : ")])
@pytest.mark.parametrize("text", TEXTS)
def test_however_it_is_written_a_frame_is_what_its_data_say(
    text: str, separators: tuple[str, str]
) -> None:
    """The order of its fields, its spaces, and what its strings have inside change nothing."""
    nested = {"type": "x", "echo": "1", 'x"echo': "1", text: text}
    for version, event, meta in (
        (11, {"post_type": "message"}, {"post_type": "meta_event"}),
        (12, {"type": "message", "detail_type": "x"}, {"type": "meta", "detail_type": "x"}),
    ):
        for kind, fields in (
            (Kind.EVENT, event),
            (Kind.OTHER, meta),
            (Kind.ANSWER, {"status": "ok", "echo": "1"}),
            (Kind.NOBODY, {"status": "ok", "echo": "2"}),
        ):
            whole = {**fields, "text": text, "data": nested, 'x"echo': "1"}
            for names in permutations(whole):
                protocol = OneBot(version)
                assert call(protocol, "theirs") == "1"
                frame = json.dumps({name: whole[name] for name in names}, separators=separators)
                found, told, _ = protocol.take(frame)
                assert found is kind
                expected = {**whole, "echo": "theirs"} if whole.get("echo") == "1" else whole
                assert isinstance(told, str)
                assert json.loads(told) == expected
                made = protocol.call(frame, CALLER)
                assert isinstance(made, str)
                expected = {**whole, "echo": "2"} if "echo" in whole else whole
                assert json.loads(made) == expected


@pytest.mark.parametrize(
    ("event", "others"),
    [
        ({"group_id": 1, "user_id": 2}, {"group_id": 1, "user_id": 3, "post_type": "notice"}),
        ({"user_id": 2, "group_id": None}, {"user_id": 2, "message": "x"}),
        ({"guild_id": "a", "channel_id": "b", "user_id": "1"}, {"channel_id": "b"}),
        ({"guild_id": "a", "user_id": "1"}, {"guild_id": "a"}),
        ({}, {"post_type": "request"}),
    ],
)
def test_what_belongs_to_one_conversation(event: dict[str, Any], others: dict[str, Any]) -> None:
    """All events of a group or channel, all of a private chat, and all of none."""
    found = OneBot(11).conversation(text(**event))
    assert found == OneBot(12).conversation(msgpack.packb(others))
    assert bool(found) is bool(event)
    assert found not in [
        OneBot(11).conversation(text(**e)) for e in ({"group_id": 9}, {"user_id": 1})
    ]


def test_version_12_is_introduced_by_its_connect() -> None:
    """And the newest status follows it; a new connect makes an old status void."""
    protocol = OneBot(12)
    assert not protocol.is_introduced
    assert protocol.introduction == []
    connect, again = (text(type="meta", detail_type="connect", version=v) for v in ("1", "2"))
    one, two = (text(type="meta", detail_type="status_update", status=s) for s in ("1", "2"))
    for frame in (connect, one, two):
        assert protocol.take(frame) == (Kind.STATE, frame, None)
    assert protocol.is_introduced
    assert protocol.introduction == [connect, two]
    protocol.take(again)
    assert protocol.introduction == [again]


def test_version_11_needs_no_introduction() -> None:
    """The handshake says who it is."""
    protocol = OneBot(11)
    assert protocol.is_introduced
    protocol.take(text(post_type="meta_event", meta_event_type="lifecycle", sub_type="connect"))
    assert protocol.introduction == []


def test_which_adapters_are_known() -> None:
    """By the names that NoneBot's adapters give themselves."""
    from nonebot.adapters.onebot import v11, v12

    assert of_adapter(v11.Adapter.get_name()) is not None
    assert of_adapter(v12.Adapter.get_name()) is not None
    assert of_adapter("Satori") is None
    assert of_adapter(None) is None
