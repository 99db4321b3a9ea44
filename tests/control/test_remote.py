"""What goes to another node and what comes back: nothing of it is believed.

Tests control/remote.py. Two nodes that talk so are among the tests of the command line.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from liteyuki_core.control import models, remote
from liteyuki_core.control.api import CALLS
from liteyuki_core.errors import NodeError
from tests.program import Program

ACCOUNTS: TypeAdapter[list[models.Account]] = TypeAdapter(list[models.Account])


def asked(what: str, **fields: Any) -> tuple[int, Any]:
    """Return what the bot of this directory answers another node."""
    question = json.dumps({"node": "b", "what": what, "asked": fields}).encode()
    found = json.loads(remote.answer(question))
    return found["status"], found["body"]


def test_the_list_is_of_calls() -> None:
    """Each thing in it is a call, under the name of its method; nothing that reads or sets data."""
    calls = {(call.verb, call.path): call.does.__name__ for call in CALLS}
    assert {what: calls[call] for what, call in remote.ASKED.items()} == {
        what: what for what in remote.ASKED
    }
    assert all(
        path.startswith(("/status", "/processes", "/accounts"))
        for _, path in (remote.ASKED.values())
    )


def test_the_way_there_and_back(bot: Program) -> None:
    """A question is answered by the bot's own API, a refusal too."""
    status, found = asked("process", name="echo")
    assert (status, found["name"]) == (200, "echo")
    assert asked("process", name="none")[0] == 404
    assert asked("wait", name="echo", state="running", timeout=1e9)[0] == 422
    question = remote.question("b", "restart", models.OfProcess(name="none"))
    with pytest.raises(remote.Refused, match="no process is named 'none'") as caught:
        remote.read("a", remote.answer(question), TypeAdapter(models.Process))
    assert (caught.value.status, caught.value.problem.error) == (404, "ProcessNotFound")


def test_no_bot(here: Path) -> None:
    """A bot that is about to stop has no control socket any more."""
    assert asked("status")[0] == 503


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\xff",
        b"[]",
        b'{"status": 200}',
        b'{"status": 7, "body": []}',
        b'{"status": 200, "body": {}}',
        b'{"status": 200, "body": [{"adapter": "x"}]}',
        b'{"status": 404, "body": "gone"}',
        b"[" * 100_000,
    ],
)
def test_answers_of_a_stranger(answer: bytes) -> None:
    """What has not the shape of an answer is an error that names the node."""
    with pytest.raises(NodeError, match="node x has answered what can't be read") as caught:
        remote.read("x", answer, ACCOUNTS)
    assert caught.value.node == "x"


def test_an_answer_that_is_too_long(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not go: who asks is told how long it is."""

    def ask(self: object, *arguments: object, **more: object) -> list[str]:
        return ["x" * 600_000]

    monkeypatch.setattr(remote.Client, "ask", ask)
    status, problem = asked("processes")
    assert status == 413
    assert "bytes" in problem["message"]
