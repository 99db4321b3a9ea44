"""What can be asked of the store: each question is read as it was asked, and nothing else is."""

from __future__ import annotations

from typing import Any

import pytest

from liteyuki_core.comm.store import question
from liteyuki_core.comm.store.value import Value
from liteyuki_core.errors import FrameError

V = Value("i", b"0x1")
QUESTIONS: list[tuple[question.OfMore, dict[str, Any]]] = [
    (question.Scan("", True), {"prefix": "", "content": True}),
    (question.Count("a"), {"prefix": "a"}),
    (question.Clear("a"), {"prefix": "a"}),
    (question.Lock("k", False), {"key": "k", "wait": False}),
    (question.Unlock("k", 3), {"key": "k", "held": 3}),
    (question.Watch("a*"), {"pattern": "a*"}),
    (question.Unwatch("a*"), {"pattern": "a*"}),
    (question.Subscribe("t"), {"topic": "t"}),
    (question.Publish(V, "t"), {"topic": "t"}),
]


def test_no_question_is_left_out() -> None:
    """The tests below know all of them; the checks stand in the order of the fields."""
    assert {form.kind for form in question.FORMS.values()} == {type(q) for q, _ in QUESTIONS}
    for form in question.FORMS.values():
        kind: Any = form.kind
        assert kind._fields == ("value",) * form.brings + tuple(form.checks)


@pytest.mark.parametrize(("asked", "args"), QUESTIONS, ids=repr)
def test_a_question_is_read_as_it_was_asked(asked: Any, args: dict[str, Any]) -> None:
    """With its value; one that is odd, missing or too many is a `FrameError`."""
    op = type(asked).__name__.lower()
    values = [asked.value] if "value" in asked._fields else []
    assert question.write(asked) == ({"op": op, "args": args}, values)
    read = question.read({"op": op, "args": args}, values)
    assert type(read) is type(asked)
    assert read == asked
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
            question.read(fields, some)
