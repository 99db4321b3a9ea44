"""Requests of all kinds to a running bot, made of its OpenAPI document; each answer is as it says.

Tests control/api.py, control/models.py.
"""

from __future__ import annotations

import http.client
import json
from contextlib import suppress

import httpx
import pytest
import schemathesis
from hypothesis import given
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode

from liteyuki_core.control import Client, address
from liteyuki_core.control.api import openapi
from tests.fuzzed import CHECK, examples, request_of
from tests.program import Program

SCHEMA = schemathesis.openapi.from_dict(json.loads(openapi()))
OPERATIONS = {
    f"{found.method.upper()} {found.path}": found
    for result in SCHEMA.get_all_operations()
    for found in [result.ok()]
    if found.path != "/shutdown"  # After it nobody answers.
}
NAMES = ("waits", "works", "waits-active", "work", "custom")
"""What there is of each kind."""


class Transport(httpx.BaseTransport):
    """Sends a request over the control socket. Of an answer without an end it takes the head."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send it, and return the answer."""
        connection = http.client.HTTPConnection("localhost")
        connection.sock, token = address.connect(20.0)
        with connection.sock:
            headers = {key: value for key, value in request.headers.items() if key != "connection"}
            if token is not None:
                headers["Authorization"] = f"Bearer {token}"
            path = request.url.raw_path.decode()
            with suppress(BrokenPipeError, ConnectionResetError):  # It may answer before it has
                connection.request(request.method, path, request.read(), headers)  # the body.
            answer = connection.getresponse()
            endless = answer.headers["content-type"].startswith("text/event-stream")
            body = b"" if endless else answer.read()
            stream = httpx.ByteStream(body)
            return httpx.Response(
                answer.status, headers=answer.headers.items(), stream=stream, request=request
            )


def call(client: httpx.Client, case: Case) -> httpx.Response:
    """Send one case."""
    found = request_of(case, "http://localhost")
    if "params" in found:
        found["params"] = {key: value for key, value in found["params"].items() if value != []}
    return client.request(**found)


def fuzz(client: httpx.Client, name: str, mode: GenerationMode, most: int) -> int:
    """Try one operation, and return how many requests that were."""
    tried = 0
    cases = OPERATIONS[name].as_strategy(generation_mode=mode)

    @examples(most)
    @given(case=cases, known=st.sampled_from((None, *NAMES)))
    def one(case: Case, known: str | None) -> None:
        nonlocal tried
        if known is not None and "{name}" in name:
            case.path_parameters["name"] = known
        if name.endswith("/wait") and isinstance(case.body, dict):
            case.body["timeout"] = 0.01
        try:
            response = call(client, case)
        except httpx.InvalidURL:
            return  # It is too long for the client.
        case.validate_response(response, checks=CHECK)
        assert response.status_code in (200, 404, 405, 409, 413, 422, 504), response.text
        tried += 1

    one()
    return tried


@pytest.mark.parametrize(
    ("mode", "most"),
    [
        pytest.param(GenerationMode.NEGATIVE, 20, id="negative"),
        pytest.param(GenerationMode.NEGATIVE, 50, id="negative, more", marks=pytest.mark.long),
        pytest.param(GenerationMode.POSITIVE, 50, id="positive", marks=pytest.mark.long),
    ],
)
def test_every_answer_is_as_the_document_says(
    bot: Program, mode: GenerationMode, most: int
) -> None:
    """Right requests and wrong ones, also of names that there are; the bot runs on."""
    wanted = [
        name
        for name, operation in OPERATIONS.items()
        if mode is GenerationMode.POSITIVE or operation.query or operation.body
    ]
    with httpx.Client(transport=Transport()) as client:
        tried = [fuzz(client, name, mode, most) for name in wanted]
    assert min(tried) >= 1
    assert sum(tried) > 3 * len(wanted)
    assert Client().ask("GET", "/status")["pid"] == bot.process.pid
    assert not bot.found("the control API has failed")
