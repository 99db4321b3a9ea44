"""A small Satori implementation: it sends some messages, and says which API calls come.

The first argument is the port. To each client that identifies itself it sends two messages.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import uvicorn

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

LOGIN = {
    "sn": 1,
    "status": 1,
    "adapter": "test",
    "platform": "test",
    "user": {"id": "bot", "name": "bot"},
}
IDENTIFY, READY, EVENT = 3, 4, 0


def message(number: int, content: str, channel: dict[str, Any], **more: Any) -> dict[str, Any]:
    body = {
        "sn": number,
        "type": "message-created",
        "timestamp": 1700000000000,
        "login": LOGIN,
        "channel": channel,
        "user": {"id": "u1", "name": "somebody"},
        "message": {"id": f"m{number}", "content": content},
        **more,
    }
    return {"op": EVENT, "body": body}


MESSAGES = [
    message(
        1,
        '/ping <img src="https://x/y.png"/>',
        {"id": "c1", "type": 0},
        guild={"id": "g1", "name": "guild"},
        member={"nick": "nick", "roles": [{"id": "ADMINISTRATOR"}]},
    ),
    message(2, "/ping", {"id": "d1", "type": 1}),
]


def answer(api: str, data: Any) -> tuple[int, Any]:
    match api:
        case "message.create":
            return 200, [{"id": "sent", "content": data["content"]}]
        case "user.channel.create":
            return 200, {"id": f"direct {data['user_id']}", "type": 1}
        case "user.get":
            return 200, {"id": data["user_id"], "name": "looked up"}
    return 404, {"message": "no such API"}


async def serve_events(receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    while (event := await receive())["type"] == "websocket.receive":
        if json.loads(event["text"])["op"] == IDENTIFY:
            ready = {"op": READY, "body": {"logins": [LOGIN], "proxy_urls": []}}
            for payload in (ready, *MESSAGES):
                await send({"type": "websocket.send", "text": json.dumps(payload)})


async def serve_api(path: str, receive: Receive, send: Send) -> None:
    body, more = b"", True
    while more:
        event = await receive()
        body, more = body + event.get("body", b""), event.get("more_body", False)
    api, data = path.rpartition("/")[2], json.loads(body or b"{}")
    print("called", api, json.dumps(data), flush=True)
    status, found = answer(api, data)
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(found).encode()})


async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await serve_events(receive, send)
    else:
        await serve_api(scope["path"], receive, send)


def main() -> None:
    uvicorn.run(app, port=int(sys.argv[1]), lifespan="off")
