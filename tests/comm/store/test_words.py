"""What can be asked of the store: each question is read as it was asked, and nothing else is."""

from __future__ import annotations

from typing import Any

import pytest

from liteyuki_core.comm.store import words
from liteyuki_core.comm.store.value import Value
from liteyuki_core.errors import FrameError

V = Value("i", b"0x1")
QUESTIONS: list[tuple[words.Question, dict[str, Any]]] = [
    (words.Get("k"), {"key": "k"}),
    (words.Set(V, "k", None, None, None), {"key": "k"}),
    (
        words.Set(V, "k", 0.5, True, 7),
        {"key": "k", "ttl": 0.5, "persist": True, "version": 7},
    ),
    (words.Delete("k"), {"key": "k"}),
    (words.Incr(V, "k", None), {"key": "k"}),
    (words.Incr(V, "k", False), {"key": "k", "persist": False}),
    (words.Scan("", True), {"prefix": "", "content": True}),
    (words.Count("a"), {"prefix": "a"}),
    (words.Clear("a"), {"prefix": "a"}),
    (words.Lock("k", False), {"key": "k", "wait": False}),
    (words.Unlock("k", 3), {"key": "k", "held": 3}),
    (words.Watch("a*"), {"pattern": "a*"}),
    (words.Unwatch("a*"), {"pattern": "a*"}),
    (words.Subscribe("t"), {"topic": "t"}),
    (words.Publish(V, "t"), {"topic": "t"}),
]


def test_no_question_is_left_out() -> None:
    """The tests below know all of them; the checks stand in the order of the fields."""
    assert {form.kind for form in words.FORMS.values()} == {type(q) for q, _ in QUESTIONS}
    for form in words.FORMS.values():
        kind: Any = form.kind
        assert kind._fields == ("value",) * form.brings + tuple(form.checks)


@pytest.mark.parametrize(("question", "args"), QUESTIONS, ids=repr)
def test_a_question_is_read_as_it_was_asked(question: Any, args: dict[str, Any]) -> None:
    """With its value; one that is odd, missing or too many is a `FrameError`."""
    op = type(question).__name__.lower()
    values = [question.value] if "value" in question._fields else []
    read = words.read({"op": op, "args": args}, values)
    assert type(read) is type(question)
    assert read == question
    odd: list[tuple[dict[str, Any], list[Value]]] = [
        ({"op": op, "args": {**args, "asker": None}}, values),
        ({"op": op, "args": args, "more": 1}, values),
        ({"op": op, "args": list(args)}, values),
        ({"op": op, "args": {}}, values),
        ({"op": op, "args": args}, [V] if not values else []),
        ({"op": op, "args": args}, [V, V]),
        ({"op": op, "args": args}, [Value("?", b"")]),
        *[({"op": op, "args": {**args, name: [1]}}, values) for name in args],
    ]
    for fields, some in odd:
        with pytest.raises(FrameError, match="the store "):
            words.read(fields, some)
