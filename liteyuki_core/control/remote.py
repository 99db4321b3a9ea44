"""What may be asked of another node, and how the question and the answer are written.

A question has the name of a thing and what is asked of it, as JSON. The other node looks it up in a
list that is fixed here, and asks its own API: so it answers as that does, and checks what that
checks. An answer is the status and the body of its API's.

Nothing that comes is believed: a question that is not in the list is refused, and of an answer only
what has the shape of that API's is passed on.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import to_json

from .. import log
from ..errors import LiteyukiError, NodeError
from ..language import say
from . import models
from .client import Client, ControlError, NoBot

SECONDS = 8.0
"""How long another node has to answer, beside what is waited for."""

ASKED = {
    "status": ("GET", "/status"),
    "processes": ("GET", "/processes"),
    "process": ("GET", "/processes/{name}"),
    "start": ("POST", "/processes/{name}/start"),
    "stop": ("POST", "/processes/{name}/stop"),
    "restart": ("POST", "/processes/{name}/restart"),
    "wait": ("POST", "/processes/{name}/wait"),
    "accounts": ("GET", "/accounts"),
}
"""What may be asked of another node: which call of its API that is."""

_CHANGES = ("start", "stop", "restart")
_LONGEST = 512 * 1024
"""The longest answer, in bytes."""


class Question(BaseModel):
    """What a node asks another. `node` is who asks."""

    model_config = ConfigDict(extra="forbid")

    node: str = Field(pattern=r"^[A-Za-z0-9_-]{1,32}$")
    what: str = Field(max_length=64)
    asked: dict[str, Any]


class Answer(BaseModel):
    """What its API has answered there."""

    status: int = Field(ge=100, le=599)
    body: Any


class Refused(LiteyukiError):
    """The other node has refused, as its own API does: with a status, and with a problem."""

    def __init__(self, status: int, problem: models.Problem) -> None:
        super().__init__(problem.message, status, problem)
        self.status = status
        self.problem = problem


def question(node: str, what: str, asked: BaseModel) -> bytes:
    """Return a question of the node `node`."""
    return (
        Question(node=node, what=what, asked=asked.model_dump(mode="json"))
        .model_dump_json()
        .encode()
    )


def read(node: str, answer: bytes, answers: TypeAdapter[Any]) -> Any:
    """Return what a node has answered. Raises `Refused` and `NodeError`."""
    try:
        found = Answer.model_validate_json(answer)
        if found.status == 200:
            return answers.validate_python(found.body)
        problem = models.Problem.model_validate(found.body)
    except ValidationError as error:
        where = "; ".join(
            ".".join(map(str, each["loc"])) for each in error.errors(include_input=False)[:3]
        )
        raise NodeError(
            f"node {node} has answered what can't be read here (at {where}): is it of another "
            "version?",
            node,
        ) from None
    raise Refused(found.status, problem)


def answer(data: bytes) -> bytes:
    """Ask this bot's own API what another node wants to know, and return the answer. Waits."""
    status, body = _answered(data)
    text: bytes = to_json({"status": status, "body": body})
    if len(text) > _LONGEST:
        said = f"the answer has {len(text)} bytes, and at most {_LONGEST} go to another node"
        return to_json({"status": 413, "body": _problem("NodeError", said)})
    return text


def _answered(data: bytes) -> tuple[int, Any]:
    try:
        asked = Question.model_validate_json(data)
        verb, path = ASKED[asked.what]
        fields = dict(asked.asked)
        if "{name}" in path:
            path = path.replace("{name}", _name(fields.pop("name")))
    except (ValueError, KeyError):
        return 422, _problem("ValidationError", "this can't be asked of another node")
    if asked.what in _CHANGES:
        log.logger.info(
            say(
                "node {node} has asked for this: {what} {name}",
                node=asked.node,
                what=asked.what,
                name=asked.asked["name"],
            )
        )
    seconds = fields.get("timeout", 0.0)
    try:
        found = Client().ask(
            verb,
            path,
            body=fields if verb == "POST" else None,
            timeout=seconds if isinstance(seconds, int | float) else 0.0,
        )
    except NoBot:
        return 503, _problem("NoBot", "it is about to stop")
    except ControlError as error:
        return error.status or 503, _problem(error.kind, str(error))
    return 200, found


def _name(name: object) -> str:
    """Return the name of a process as a part of a path. Raises `ValueError`."""
    if not isinstance(name, str) or "/" in name or not name.isprintable():
        raise ValueError("no name of a process")
    return name


def _problem(error: str, message: str) -> dict[str, str]:
    return {"error": error, "message": message}
