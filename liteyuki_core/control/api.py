"""The API: which path is which method of `Control`, and how it is asked over HTTP.

All is JSON. What is asked stands in the path, in the query of a GET, and in the body of anything
else. An error is a `Problem`. Its status says of which kind: 404 there is no such thing, 409 it
can't be done now, 422 it was asked wrongly, 504 it was not done in time.

With `?node=NAME` some of it is asked of another node of the cluster, whose API answers: see
`remote.py`.
"""

from __future__ import annotations

import asyncio
import hmac
import inspect
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Executor, Future
from datetime import datetime
from typing import Any, NamedTuple

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.json_schema import models_json_schema
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from .. import log
from ..errors import (
    ChannelNotFound,
    ChannelTypeError,
    LiteyukiError,
    MessageTooLarge,
    NodeNotFound,
    ProcessNotFound,
    SendError,
)
from ..language import say
from ..version import __version__
from . import metrics, models, remote
from .control import Control, NotFound
from .lines import Reading, as_text
from .peeking import changes, messages
from .stream import Stream, gone, number_after

_BODY_BYTES = 1024 * 1024
_BODY_SECONDS = 10.0
_LINES = 5000


class Call(NamedTuple):
    """One thing that may be asked: its method and path, what is asked, and what is answered."""

    verb: str
    path: str
    does: Callable[..., Any]
    takes: type[BaseModel]
    answers: Any
    waits: bool = False
    """Whether it waits for the disk: it is done on another thread."""


CALLS = (
    Call("GET", "/status", Control.status, models.Nothing, models.Status),
    Call("GET", "/processes", Control.processes, models.Nothing, list[models.Process]),
    Call("GET", "/processes/{name}", Control.process, models.OfProcess, models.Process),
    Call("POST", "/processes/{name}/start", Control.start, models.OfProcess, models.Process),
    Call("POST", "/processes/{name}/stop", Control.stop, models.OfProcess, models.Process),
    Call("POST", "/processes/{name}/restart", Control.restart, models.OfProcess, models.Process),
    Call("POST", "/processes/{name}/wait", Control.wait, models.Wait, models.Process),
    Call("GET", "/accounts", Control.accounts, models.Nothing, list[models.Account]),
    Call("GET", "/nodes", Control.nodes, models.Nothing, list[models.Node]),
    Call("GET", "/figures", Control.figures_of, models.Span, models.Figures),
    Call("GET", "/channels", Control.channels, models.Nothing, list[models.Channel]),
    Call("GET", "/channels/{name}", Control.channel, models.OfChannel, models.ChannelEnds),
    Call("POST", "/channels/{name}/send", Control.send, models.Send, models.Done),
    Call("GET", "/dead-letters", Control.dead_letters, models.Nothing, list[models.DeadLetter]),
    Call(
        "GET",
        "/dead-letters/{id}",
        Control.dead_letter,
        models.OfLetter,
        models.DeadLetterContent,
    ),
    Call("POST", "/dead-letters/{id}/put-back", Control.put_back, models.OfLetter, models.Done),
    Call("POST", "/dead-letters/{id}/discard", Control.discard, models.OfLetter, models.Done),
    Call("GET", "/store", Control.store_keys, models.Keys, list[models.StoreKey]),
    Call("GET", "/store/{key:path}", Control.store_get, models.OfKey, models.StoreValue),
    Call("PUT", "/store/{key:path}", Control.store_set, models.SetKey, models.Done),
    Call("DELETE", "/store/{key:path}", Control.store_delete, models.OfKey, models.Existed),
    Call("GET", "/log", Control.log, models.Lines, list[models.Line]),
    Call("GET", "/log/history", Control.log_history, models.History, models.LogPage, True),
    Call("GET", "/settings", Control.settings, models.Nothing, list[models.Setting]),
    Call("POST", "/web", Control.open_page, models.OpenPage, models.PageLink),
    Call("POST", "/shutdown", Control.shutdown, models.Nothing, models.Done),
)

_JSON = "application/json"
_EVENTS = "text/event-stream"
_FOLLOWED: tuple[tuple[str, type[BaseModel], str], ...] = (
    ("/log/follow", models.Follow, _EVENTS),
    ("/log/download", models.Matching, "text/plain"),
    ("/events", models.Events, _EVENTS),
    ("/channels/{name}/tail", models.Tail, _EVENTS),
    ("/store-changes", models.Prefix, _EVENTS),
    ("/metrics", models.Nothing, "text/plain"),
)
"""What is not answered as JSON."""

_REMOTE = {call: what for what, call in remote.ASKED.items()}
"""By method and path: what is asked of another node, and what that is called then."""

_NOT_FOUND = (ProcessNotFound, ChannelNotFound, NodeNotFound, NotFound)
_WRONG = (ValueError, TypeError, SendError, ChannelTypeError, MessageTooLarge)


class Api:
    """Serves a `Control`. It runs on the server's loop, `loop` is LiteyukiBot's.

    `ended` is set when streams are to end. `threads` do what waits for the disk. With a `token`,
    who does not show it gets nothing.
    """

    def __init__(
        self,
        control: Control,
        loop: Callable[[], asyncio.AbstractEventLoop | None],
        ended: asyncio.Event,
        threads: Executor,
        token: str | None = None,
    ) -> None:
        self._control = control
        self._threads = threads
        self._loop = loop
        self._ended = ended
        self._token = token
        self._document: bytes | None = None
        self._application = self._routed()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, as an ASGI application."""
        if self._token is not None:
            shown = dict(scope["headers"]).get(b"authorization", b"")
            if not hmac.compare_digest(shown, f"Bearer {self._token}".encode()):
                refusal = problem(401, "HTTPError", "the token is missing or wrong")
                await refusal(scope, receive, send)
                return
        await self._application(scope, receive, send)

    def _routed(self) -> Starlette:
        routes = [
            Route(call.path, self._guarded(self._call(call)), methods=[call.verb]) for call in CALLS
        ]
        for path, does in (
            ("/log/follow", self._follow_log),
            ("/log/download", self._download_log),
            ("/events", self._follow_events),
            ("/channels/{name}/tail", self._follow_channel),
            ("/store-changes", self._follow_store),
            ("/metrics", self._metrics),
            ("/openapi.json", self._openapi),
        ):
            routes.append(Route(path, self._guarded(does), methods=["GET"]))
        found = Starlette(routes=routes, exception_handlers={HTTPException: self._refused})
        found.router.redirect_slashes = False
        return found

    # ------------------------------------------------------------- one request

    def _guarded(
        self, does: Callable[[Request], Awaitable[Response]]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            try:
                return await does(request)
            except (HTTPException, ClientDisconnect):
                raise
            except ValidationError as error:
                about = "; ".join(
                    f"{'.'.join(map(str, each['loc'])) or 'it'}: {each['msg']}"
                    for each in error.errors(include_input=False, include_url=False)
                )
                return problem(422, "ValidationError", about)
            except Exception as error:
                return self._failed(error)

        return endpoint

    def _failed(self, error: Exception) -> Response:
        status = 409
        if isinstance(error, remote.Refused):
            return problem(error.status, error.problem.error, error.problem.message)
        if isinstance(error, _NOT_FOUND):
            status = 404
        elif isinstance(error, asyncio.TimeoutError | TimeoutError):
            status = 504
        elif isinstance(error, _WRONG):
            status = 422
        elif not isinstance(error, LiteyukiError):
            log.logger.opt(exception=error).error(
                say("the control API has failed: {error!r}", error=error)
            )
            return problem(500, "InternalError", "LiteyukiBot's log says what has failed")
        return problem(status, type(error).__name__, str(error))

    async def _refused(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return problem(error.status_code, "HTTPError", error.detail)

    def _call(self, call: Call) -> Callable[[Request], Awaitable[Response]]:
        answers = TypeAdapter(call.answers)
        is_async = inspect.iscoroutinefunction(call.does)
        what = _REMOTE.get((call.verb, call.path))

        async def endpoint(request: Request) -> Response:
            node = request.query_params.get("node")
            if node is not None and what is None:
                raise HTTPException(422, "this can't be asked of another node")
            has_body = call.verb in ("POST", "PUT")
            asked = await _asked(request, call.takes, has_body=has_body, beside=node is not None)
            if node is not None and what is not None and self._control.is_other(node):
                found = await self._of_node(node, what, asked, answers, request)
            elif call.waits:
                found = await self._on_thread(call.does, self._control, asked)
            else:
                found = call.does(self._control, asked)
                if is_async:
                    found = await self._on_bot_loop(found, request)
            return Response(answers.dump_json(found), media_type=_JSON)

        return endpoint

    async def _on_thread(self, does: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._threads, does, *arguments)

    async def _on_bot_loop(self, call: Any, request: Request) -> Any:
        """Return what a call on LiteyukiBot's loop returns. Who has gone is waited for no more."""
        loop = self._loop()
        try:
            if loop is None:
                raise RuntimeError("it does not run")
            running = asyncio.run_coroutine_threadsafe(call, loop)
        except RuntimeError:
            call.close()
            raise HTTPException(503, "the bot has stopped, or does not run yet") from None
        return await self._of_other_loop(running, request)

    async def _of_node(
        self, node: str, what: str, asked: BaseModel, answers: TypeAdapter[Any], request: Request
    ) -> Any:
        """Return what another node answers."""
        seconds = remote.SECONDS + getattr(asked, "timeout", 0.0)
        question = remote.question(str(self._control.node), what, asked)
        asking = self._control.ask_node(node, question, seconds)
        return remote.read(node, await self._of_other_loop(asking, request), answers)

    async def _of_other_loop(self, running: Future[Any], request: Request) -> Any:
        """Return what comes of something on another loop. Who has gone is waited for no more."""
        answer = asyncio.ensure_future(asyncio.wrap_future(running))
        leaving = asyncio.ensure_future(gone(request.receive))
        try:
            await asyncio.wait({answer, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not answer.done():
                raise HTTPException(499, "the client has gone")
            return answer.result()
        finally:
            leaving.cancel()
            answer.cancel()

    # ------------------------------------------------------------- streams

    async def _follow_log(self, request: Request) -> Response:
        asked = await _asked(request, models.Follow, has_body=False)
        ring, life = self._control.lines, self._control.life
        reading = Reading(life, asked)
        number = number_after(request.headers.get("last-event-id"), life)
        if number is None and asked.after is not None:
            number = self._control.log_number(asked.after)
        if number is not None:
            # Those that it has: lines after them may have no level of their own.
            reading.read([entry for entry in ring.after(0)[0] if entry.number <= number])
            return Stream(ring, number, reading.read, self._ended)
        entries, _ = ring.after(0)
        shown = reading.read(entries)
        first = shown[len(shown) - min(len(shown), asked.lines) :]
        last = entries[-1].number if entries else 0
        return Stream(ring, last, reading.read, self._ended, first)

    async def _download_log(self, request: Request) -> Response:
        asked = await _asked(request, models.Matching, has_body=False)
        wanted = models.History(
            **asked.model_dump(), lines=_LINES, after=self._control.log_beginning()
        )
        first = await self._on_thread(self._control.log_history, wanted)

        async def text() -> AsyncIterator[str]:
            page = first
            while True:
                yield "".join(map(as_text, page.lines))
                if not page.more or self._ended.is_set():
                    return
                wanted.after = page.next
                page = await self._on_thread(self._control.log_history, wanted)

        name = f"liteyuki-{datetime.now():%Y%m%d-%H%M%S}.log"
        headers = {"content-disposition": f'attachment; filename="{name}"'}
        return StreamingResponse(text(), headers=headers, media_type="text/plain")

    async def _follow_events(self, request: Request) -> Response:
        asked = await _asked(request, models.Events, has_body=False)
        ring = self._control.states
        number = number_after(request.headers.get("last-event-id"), self._control.life)
        if number is None:
            number = max(0, ring.last - asked.events)
        return Stream(ring, number, self._control.events_of, self._ended)

    async def _follow_channel(self, request: Request) -> Response:
        asked = await _asked(request, models.Tail, has_body=False)
        source = self._control.tail(asked)
        return Stream(source, 0, lambda entries: messages(asked, entries), self._ended)

    async def _follow_store(self, request: Request) -> Response:
        asked = await _asked(request, models.Prefix, has_body=False)
        return Stream(self._control.store_watch(asked), 0, changes, self._ended)

    # ------------------------------------------------------------- documents

    async def _metrics(self, request: Request) -> Response:
        control = self._control
        text = metrics.text(control.status(), control.channels(), control.nodes())
        return Response(text, media_type=metrics.TYPE)

    async def _openapi(self, request: Request) -> Response:
        if self._document is None:
            self._document = openapi()
        return Response(self._document, media_type=_JSON)


async def _asked(
    request: Request, takes: type[BaseModel], *, has_body: bool, beside: bool = False
) -> Any:
    """Return what a request asks. Raises `ValidationError` and `HTTPException`.

    With `beside` the query has a `node` that belongs to no model.
    """
    fields: dict[str, Any] = {}
    if has_body:
        body = await body_of(request)
        if body:
            try:
                found = TypeAdapter(dict[str, Any]).validate_json(body)
            except ValidationError:
                raise HTTPException(422, "the body is no JSON object") from None
            fields.update(found)
    else:
        for key, value in request.query_params.multi_items():
            if beside and key == "node":
                continue
            many = takes.model_fields.get(key)
            if many is not None and many.annotation == list[models.Name]:
                fields.setdefault(key, []).append(value)
            else:
                fields[key] = value
    return takes.model_validate({**fields, **request.path_params})


async def body_of(request: Request, most: int = _BODY_BYTES) -> bytes:
    """Return a request's body. Raises `HTTPException` if it is too long, or does not come."""

    async def read() -> bytes:
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > most:
                raise HTTPException(413, f"a body has at most {most} bytes")
        return body

    try:
        return await asyncio.wait_for(read(), _BODY_SECONDS)
    except asyncio.TimeoutError:
        raise HTTPException(408, f"the body did not come within {_BODY_SECONDS:g} s") from None


def problem(status: int, error: str, message: str) -> Response:
    """Return the answer that says what went wrong."""
    body = models.Problem(error=error, message=message).model_dump_json()
    return Response(body, status, media_type=_JSON)


def openapi() -> bytes:
    """Return the OpenAPI document of all calls, as JSON."""
    from pydantic_core import to_json

    adapters = {call: TypeAdapter(call.answers) for call in CALLS}
    kinds: set[type[BaseModel]] = {models.Problem, models.Line, models.Event, models.Lost}
    kinds |= {call.takes for call in CALLS} | {models.Message, models.Change}
    kinds |= {takes for _, takes, _ in _FOLLOWED}
    template = "#/components/schemas/{model}"
    _, found = models_json_schema([(kind, "validation") for kind in kinds], ref_template=template)
    schemas = found["$defs"]
    wrong = _answer("what went wrong", _JSON, {"$ref": "#/components/schemas/Problem"})
    paths: dict[str, Any] = {}
    for call, adapter in adapters.items():
        schema = adapter.json_schema(ref_template=template, mode="serialization")
        schemas.update(schema.pop("$defs", {}))
        asked = _takes(call.path, call.verb, call.takes, schemas)
        if (call.verb, call.path) in _REMOTE:
            asked["parameters"] = [*asked.get("parameters", ()), _NODE]
        paths.setdefault(call.path.replace(":path", ""), {})[call.verb.lower()] = {
            "operationId": call.does.__name__,
            "summary": (inspect.getdoc(call.does) or "").partition("\n")[0],
            **asked,
            "responses": {"200": _answer("what was asked for", _JSON, schema), "default": wrong},
        }
    for path, takes, media in _FOLLOWED:
        paths[path] = {
            "get": {
                "operationId": re.sub(r"\W+", "_", path).strip("_"),
                **_takes(path, "GET", takes, schemas),
                "responses": {
                    "200": _answer("as it comes", media, {"type": "string"}),
                    "default": wrong,
                },
            }
        }
    return to_json(
        {
            "openapi": "3.1.0",
            "info": {"title": "LiteyukiBot control", "version": __version__},
            "paths": paths,
            "components": {"schemas": schemas},
        }
    )


_NODE = {"name": "node", "in": "query", "required": False, "schema": {"type": "string"}}
"""The node of the cluster that is asked, in place of this bot."""


def _takes(path: str, verb: str, takes: type[BaseModel], schemas: dict[str, Any]) -> dict[str, Any]:
    schema = schemas[takes.__name__]
    inside = {name for name in schema.get("properties", {}) if f"{{{name}" in path}
    rest = {k: v for k, v in schema.get("properties", {}).items() if k not in inside}
    required = set(schema.get("required", ()))
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": schema["properties"][name]}
        for name in sorted(inside)
    ]
    if verb in ("GET", "DELETE"):
        parameters += [
            {"name": name, "in": "query", "required": name in required, "schema": each}
            for name, each in rest.items()
        ]
        return {"parameters": parameters} if parameters else {}
    body = {
        "type": "object",
        "properties": rest,
        "required": sorted(required - inside),
        "additionalProperties": False,
    }
    return {
        "parameters": parameters,
        "requestBody": {
            "required": bool(required - inside),
            "content": {"application/json": {"schema": body}},
        },
    }


def _answer(about: str, media: str, schema: Any) -> dict[str, Any]:
    return {"description": about, "content": {media: {"schema": schema}}}
