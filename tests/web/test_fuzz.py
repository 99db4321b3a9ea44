"""Requests of all kinds to what the page adds to the control API; each answer is as it should be.

Who has no session gets nothing by any of them. The API itself is tried in `tests/control`.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import given
from schemathesis import Case, GenerationMode

from liteyuki_core.control import Client
from tests.conftest import in_full
from tests.fuzzed import CHECK, examples, request_of
from tests.program import Program
from tests.web.browser import Browser, opened, stranger


def answer(media: str, **properties: str) -> dict[str, Any]:
    """Return what an answer is: its media type, and the types of its fields."""
    schema: dict[str, Any] = {"type": "string"}
    if properties:
        fields = {name: {"type": kind} for name, kind in properties.items()}
        schema = {"type": "object", "required": list(fields), "properties": fields}
    return {"description": "", "content": {media: {"schema": schema}}}


JSON, HTML, TEXT = "application/json", "text/html", "text/plain"
PROBLEM = answer(JSON, error="string", message="string")
NAME = {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}
RIGHT = {
    "type": "object",
    "properties": {"right": {"enum": ["read"]}},
    "required": ["right"],
    "additionalProperties": False,
}
PASSWORD = {"type": "object", "properties": {"password": {"type": "string"}}}
DOCUMENT = {
    "openapi": "3.1.0",
    "info": {"title": "what the page adds", "version": "1"},
    "paths": {
        "/": {"get": {"responses": {"200": answer(HTML)}}},
        "/ticket/{name}": {
            "get": {"parameters": [NAME], "responses": {"403": answer(HTML), "404": answer(TEXT)}}
        },
        "/static/{name}": {"get": {"parameters": [NAME], "responses": {"404": answer(TEXT)}}},
        "/login": {
            "post": {
                "requestBody": {
                    "content": {"application/x-www-form-urlencoded": {"schema": PASSWORD}}
                },
                "responses": {"404": answer(TEXT), "413": answer(TEXT)},
            }
        },
        "/logout": {
            "post": {"responses": {"200": answer(JSON, done="boolean"), "401": answer(TEXT)}}
        },
        "/api/session": {
            "get": {
                "responses": {
                    "200": answer(JSON, right="string", csrf="string", life="string"),
                    "401": PROBLEM,
                }
            }
        },
        "/api/session/link": {
            "post": {
                "requestBody": {"content": {JSON: {"schema": RIGHT}}},
                "responses": {
                    "200": answer(JSON, url="string", seconds="number"),
                    **dict.fromkeys(("401", "413", "422"), PROBLEM),
                },
            }
        },
    },
}
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
OPERATIONS = {
    f"{found.method.upper()} {found.path}": found
    for result in SCHEMA.get_all_operations()
    for found in [result.ok()]
}


def call(client: httpx.Client, browser: Browser, case: Case) -> httpx.Response:
    """Send one case, with what the browser has."""
    found = request_of(case, f"http://127.0.0.1:{browser.port}")
    found["headers"] = {**dict(found.get("headers") or {}), **browser.headers()}
    return client.request(**found)


@pytest.mark.parametrize("session", [True, False])
@pytest.mark.parametrize("mode", [GenerationMode.NEGATIVE, GenerationMode.POSITIVE])
@pytest.mark.parametrize("most", [10, *in_full(60)])
def test_every_answer_is_as_it_should_be(
    bot: Program, session: bool, mode: GenerationMode, most: int
) -> None:
    """Whatever is asked, and with a session or without; the bot runs on."""
    browser = opened() if session else stranger()
    tried = 0
    for name, operation in OPERATIONS.items():
        if mode is GenerationMode.NEGATIVE and not operation.body:
            continue
        if session and name == "POST /logout":
            continue  # It would be the last that anything is answered to.
        cases = operation.as_strategy(generation_mode=mode)

        @examples(most)
        @given(case=cases)
        def one(case: Case) -> None:
            nonlocal tried
            with httpx.Client(verify=False) as client, suppress(httpx.InvalidURL):
                response = call(client, browser, case)
                case.validate_response(response, checks=CHECK)
                assert "set-cookie" not in response.headers
                if not session and case.operation.path.startswith("/api"):
                    assert response.status_code == 401
                tried += 1

        one()
    assert tried > 10
    assert Client().ask("GET", "/status")["pid"] == bot.process.pid
    assert not bot.found("the control API has failed|control socket is closed")
