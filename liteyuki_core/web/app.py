"""What the page's server answers: which path is what, who may ask, and what every answer says.

A request is refused before anything looks into it if it does not call the page by a name of its
own, comes from another site, or has no session. Below /api is the API of `control`, as it is.

Ownership. An `App` owns nothing but what it is given. It runs on the loop of the control socket.
"""

from __future__ import annotations

import hmac
import platform
from dataclasses import dataclass
from typing import Literal
from urllib.parse import parse_qs, quote

from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .. import language, log
from ..control import api
from ..language import say
from ..version import __version__
from . import entry
from .address import Address
from .password import Password, Tries
from .sessions import LINK_SECONDS, LONGEST_SECONDS, Right, Session, Sessions
from .static import File

_CSP = "; ".join(
    (
        "default-src 'none'",
        *("script-src 'self'", "style-src 'self'", "img-src 'self' data:", "connect-src 'self'"),
        *("form-action 'self'", "base-uri 'none'", "frame-ancestors 'none'"),
    )
)

_HEADERS = {
    "content-security-policy": _CSP,
    "x-content-type-options": "nosniff",
    # With "no-referrer" a browser would not say which site a form comes from.
    "referrer-policy": "same-origin",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
"""They are on every answer."""

_FOR_EVER = "public, max-age=31536000, immutable"
_READS = ("GET", "HEAD")
_SHOWN = 200
"""Characters of a path in the log."""


class Link(BaseModel):
    """What a link for somebody else is to allow."""

    model_config = ConfigDict(extra="forbid")

    right: Literal["read"]


@dataclass
class Parts:
    """What an `App` is made of."""

    control: ASGIApp
    life: str
    address: Address
    sessions: Sessions
    password: Password
    files: dict[str, File]


class App:
    """Serves the page, as an ASGI application."""

    def __init__(self, parts: Parts) -> None:
        self._control = parts.control
        self._life = parts.life
        self._address = parts.address
        self._sessions = parts.sessions
        self._password = parts.password
        self._files = parts.files
        self._tries = Tries()
        self._cookie = f"liteyuki_{parts.address.port}"
        """Its name. Browsers do not tell ports of one host from each other."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                headers.setdefault("cache-control", "no-store")
                if headers.get("content-type", "").startswith("text/event-stream"):
                    headers["x-accel-buffering"] = "no"  # A proxy is to pass on each event at once.
            await send(message)

        request = Request(scope, receive)
        try:
            answer = await self._answer(request)
        except HTTPException as error:
            answer = _refusal(request, error.status_code, error.detail)
        except ClientDisconnect:
            return
        except Exception as error:
            log.logger.opt(exception=error).error(
                say("the web page has failed: {error!r}", error=error)
            )
            answer = _refusal(request, 500, "LiteyukiBot's log says what has failed")
        await answer(scope, receive, send_with_headers)

    async def _answer(self, request: Request) -> ASGIApp:
        hosts = request.headers.getlist("host")
        if len(hosts) != 1 or not self._address.is_own(hosts[0]):
            raise HTTPException(
                421,
                "the page is not called so. Call it by 127.0.0.1 or localhost, or set "
                "LITEYUKI_WEB_URL",
            )
        path: str = request.scope["path"]
        if path.startswith("/ticket/"):
            return await self._ticket(request, path.removeprefix("/ticket/"))
        if self._address.comes_from_elsewhere(request.headers) and not _is_visit(request):
            raise HTTPException(403, "the request comes from another site")
        if path.startswith("/static/"):
            return self._static(request, path.removeprefix("/static/"))
        does = {"/": self._page, "/login": self._log_in, "/logout": self._log_out}.get(path)
        if does is not None:
            return await does(request)
        if path.startswith("/api/"):
            return await self._api(request, path.removeprefix("/api"))
        raise HTTPException(404, "there is nothing here")

    # ------------------------------------------------------------- sessions

    def _session(self, request: Request) -> Session | None:
        """Return the session that a request shows, None if it shows none."""
        found = request.cookies.get(self._cookie)
        return None if found is None else self._sessions.find(found)

    def _needed(self, request: Request, right: Right = "read") -> Session:
        """Return the session of a request that may do something. Raises `HTTPException`."""
        session = self._session(request)
        if session is None:
            raise HTTPException(401, "log in first: liteyuki web")
        if request.method in _READS:
            return session
        shown = request.headers.get("x-csrf-token", "")
        if not hmac.compare_digest(shown.encode("latin-1", "replace"), session.csrf.encode()):
            raise HTTPException(403, "the header X-CSRF-Token is missing or wrong")
        if right == "change" and session.right != "change":
            raise HTTPException(403, "this session may look and change nothing")
        return session

    def _begin(self, request: Request, right: Right, how: str) -> str:
        """Begin a session, and return the cookie for its browser."""
        secret, session = self._sessions.begin(right)
        log.logger.info(
            say(
                "web page: session {name} ({right}) was begun by {how} from {address}",
                name=session.name,
                right=say("may change") if right == "change" else say("may only look"),
                how=how,
                address=self._from(request),
            )
        )
        secure = "; Secure" if self._address.is_secure(request.headers["host"]) else ""
        return (
            f"{self._cookie}={secret}; Path=/; HttpOnly; SameSite=Strict; "
            f"Max-Age={LONGEST_SECONDS:.0f}{secure}"
        )

    async def _ticket(self, request: Request, ticket: str) -> Response:
        _check_method(request, "GET")
        right = self._sessions.redeem(ticket)
        if right is None:
            return self._entry(entry.used_ticket(), 403)
        # No redirect: who follows a link of another site to here, and is redirected, comes from
        # that site still, and the browser keeps the new cookie to itself.
        response = self._entry(
            entry.welcome(), more='<meta http-equiv="refresh" content="0;url=/">'
        )
        response.headers["set-cookie"] = self._begin(request, right, say("a link"))
        return response

    async def _log_in(self, request: Request) -> Response:
        if request.method == "GET":  # Somebody loads the page again that a wrong password has got.
            return Response(None, 303, {"location": "/"})
        _check_method(request, "POST")
        if not self._password.is_set:
            raise HTTPException(404, "there is no password")
        body = await api.body_of(request, 4 * 1024)
        given = parse_qs(body.decode("utf-8", "replace")).get("password", [""])
        client = self._from(request)
        if not self._tries.add(client):
            problem = say("Too many wrong passwords. Wait a minute.")
            return self._entry(entry.log_in(True, problem), 429, {"retry-after": "60"})
        if not await self._password.is_right(given[0]):
            log.logger.warning(
                say("web page: a wrong password was given from {address}", address=client)
            )
            return self._entry(entry.log_in(True, say("This is not the password.")), 401)
        self._tries.forget(client)
        cookie = self._begin(request, "change", say("the password"))
        return Response(None, 303, {"location": "/", "set-cookie": cookie})

    async def _log_out(self, request: Request) -> Response:
        _check_method(request, "POST")
        session = self._needed(request)
        self._sessions.end(session)
        self._log_change(request, session)
        gone = f"{self._cookie}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0"
        return JSONResponse({"done": True}, headers={"set-cookie": gone})

    # ------------------------------------------------------------- pages and files

    async def _page(self, request: Request) -> Response:
        _check_method(request, *_READS)
        if self._session(request) is None:
            return self._entry(entry.log_in(self._password.is_set))
        return HTMLResponse(self._files["index.html"].content)

    def _entry(
        self,
        content: str,
        status: int = 200,
        headers: dict[str, str] | None = None,
        more: str = "",
    ) -> Response:
        text = self._files["entry.html"].content.decode()
        lang = "zh-CN" if language.current() == "zh" else "en"
        return HTMLResponse(text.format(lang=lang, more=more, content=content), status, headers)

    def _static(self, request: Request, name: str) -> Response:
        _check_method(request, *_READS)
        file = self._files.get(name)
        if file is None or name.endswith(".html"):
            raise HTTPException(404, "there is no such file")
        headers = {"cache-control": _FOR_EVER, "vary": "accept-encoding"}
        content = file.content
        if file.packed is not None and "gzip" in request.headers.get("accept-encoding", ""):
            content = file.packed
            headers["content-encoding"] = "gzip"
        return Response(content, headers={**headers, "content-type": file.media_type})

    # ------------------------------------------------------------- the API

    async def _api(self, request: Request, path: str) -> ASGIApp:
        if path == "/session":
            _check_method(request, *_READS)
            return self._about(self._needed(request))
        session = self._needed(request, "change")
        if path == "/web":
            raise HTTPException(404, "links are made by `liteyuki web`, or at /api/session/link")
        if request.method not in _READS:
            self._log_change(request, session)
        if path == "/session/link":
            _check_method(request, "POST")
            return await self._link(request)
        return self._passed_on(session, path)

    def _passed_on(self, session: Session, path: str) -> ASGIApp:
        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            async def send_in_session(message: Message) -> None:
                if session.over:
                    raise ConnectionAbortedError("the session is over")
                self._sessions.touch(session)
                await send(message)

            raw = scope["raw_path"].removeprefix(b"/api")
            await self._control({**scope, "path": path, "raw_path": raw}, receive, send_in_session)

        return answer

    def _about(self, session: Session) -> Response:
        return JSONResponse(
            {
                "right": session.right,
                "csrf": session.csrf,
                "language": language.current(),
                "version": __version__,
                "life": self._life,
                "node": platform.node(),
            }
        )

    async def _link(self, request: Request) -> Response:
        try:
            asked = Link.model_validate_json(await api.body_of(request, 4 * 1024) or b"{}")
        except ValidationError:
            raise HTTPException(422, 'the body must be {"right": "read"}') from None
        ticket = self._sessions.new_ticket(asked.right, LINK_SECONDS)
        url = self._address.url_for(request.headers["host"])
        return JSONResponse({"url": f"{url}/ticket/{ticket}", "seconds": LINK_SECONDS})

    # ------------------------------------------------------------- the log

    def _from(self, request: Request) -> str:
        return self._address.log_name(_client(request), request.headers)

    def _log_change(self, request: Request, session: Session) -> None:
        """Log what somebody changes. What a request sends along may be secret, and is not shown."""
        path = request.scope["raw_path"].decode("ascii", "replace")[:_SHOWN]
        node = request.query_params.get("node")
        if node is not None:
            path += f"?node={quote(node)[:_SHOWN]}"
        log.logger.info(
            say(
                "web page: {verb} {path} from {address}, session {name}",
                verb=request.method,
                path=path,
                address=self._from(request),
                name=session.name,
            )
        )


def _client(request: Request) -> str:
    return request.client.host if request.client is not None else "?"


def _is_visit(request: Request) -> bool:
    """Return whether somebody has only followed a link to the page, from wherever."""
    return (
        request.method == "GET"
        and request.scope["path"] == "/"
        and "origin" not in request.headers
        and request.headers.get("sec-fetch-mode") == "navigate"
    )


def _check_method(request: Request, *allowed: str) -> None:
    if request.method not in allowed:
        raise HTTPException(405, f"here one may only {', '.join(allowed)}")


def _refusal(request: Request, status: int, why: str) -> Response:
    if request.scope["path"].startswith("/api/"):
        return api.problem(status, "HTTPError", why)
    return PlainTextResponse(f"{why}\n", status)
