"""A OneBot implementation: it connects by reverse WebSocket, once, and notes what it sees."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.conftest import DEADLINE, wait_until

GROUP = 5000
V11, V12 = 11, 12


class Client:
    """One account. Use it as a context manager; a thread reads and answers calls meanwhile."""

    def __init__(
        self,
        address: str,
        account: int = 10001,
        *,
        version: int = V11,
        token: str | None = None,
        answers: Callable[[dict[str, Any]], Any] | None = None,
    ) -> None:
        self.account = account
        self.version = version
        self.calls: list[dict[str, Any]] = []
        """The API calls, in the order in which they came."""
        self.closed: tuple[int, str] | None = None
        self.answers = answers or (lambda call: {"message_id": "1", "time": 1.0})
        """Returns the data of the answer to a call; raises KeyError to give none."""
        headers = {"X-Self-ID": str(account), "X-Client-Role": "Universal"}
        if version == V12:
            headers = {"Sec-WebSocket-Protocol": "12.test"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        self._connecting = connect(
            f"ws://{address}/onebot/v{version}/ws",
            additional_headers=headers,
            proxy=None,
            open_timeout=DEADLINE,
        )
        self._connection: ClientConnection
        self._thread = threading.Thread(target=self._run, name="client")

    def __enter__(self) -> Client:
        self._connection = self._connecting.__enter__()
        if self.version == V11:
            self.tell(post_type="meta_event", meta_event_type="lifecycle", sub_type="connect")
        else:
            version = {"impl": "test", "version": "1", "onebot_version": "12"}
            self.tell(type="meta", detail_type="connect", sub_type="", version=version)
            bots = [{"self": self._self(), "online": True}]
            status = {"good": True, "bots": bots}
            self.tell(type="meta", detail_type="status_update", sub_type="", status=status)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._connecting.__exit__(None, None, None)
        self._thread.join(DEADLINE)

    def _self(self) -> dict[str, str]:
        return {"platform": "test", "user_id": str(self.account)}

    # ------------------------------------------------------------- what it says

    def send(self, frame: str | bytes) -> None:
        """Send a frame."""
        self._connection.send(frame)

    def tell(self, /, **fields: Any) -> None:
        """Send one event."""
        about: dict[str, Any] = {"time": int(time.time()), "self_id": self.account}
        if self.version == V12:
            about = {"id": str(time.monotonic_ns()), "time": time.time()}
        self.send(json.dumps({**about, **fields}))

    def say(self, text: str, number: int = 1, group: int = GROUP) -> None:
        """Send a message of a group."""
        message = [{"type": "text", "data": {"text": text}}]
        if self.version == V12:
            self.tell(
                type="message",
                detail_type="group",
                sub_type="",
                self=self._self(),
                message_id=str(number),
                message=message,
                alt_message=text,
                user_id="7000",
                group_id=str(group),
            )
            return
        self.tell(
            post_type="message",
            message_type="group",
            sub_type="normal",
            message_id=number,
            group_id=group,
            user_id=7000,
            anonymous=None,
            message=message,
            raw_message=text,
            font=0,
            sender={"user_id": 7000, "nickname": "tester"},
        )

    # ------------------------------------------------------------- what it sees

    def _run(self) -> None:
        try:
            while True:
                frame = self._connection.recv()
                call = json.loads(frame)
                try:
                    self._take(call)
                finally:
                    self.calls.append(call)  # Who has seen it may end this: it is answered.
        except ConnectionClosed as error:
            self.closed = (0, "") if error.rcvd is None else (error.rcvd.code, error.rcvd.reason)

    def _take(self, call: dict[str, Any]) -> None:
        try:
            data = self.answers(call)
        except KeyError:
            return
        self.answer(call["echo"], data)

    def answer(self, echo: Any, data: Any) -> None:
        """Answer a call."""
        self.send(
            json.dumps({"status": "ok", "retcode": 0, "data": data, "message": "", "echo": echo})
        )

    @property
    def said(self) -> list[tuple[str, int]]:
        """What the bot has sent to groups: text and pid, in order."""
        found = []
        for call in list(self.calls):
            if call["action"] in ("send_group_msg", "send_msg", "send_message"):
                message = call["params"]["message"]
                text = message if isinstance(message, str) else message[0]["data"]["text"]
                words, _, pid = text.rpartition("|")
                found.append((words, int(pid)))
        return found

    @property
    def texts(self) -> list[str]:
        """What the bot has sent to groups, without the pids."""
        return [text for text, _ in self.said]

    def wait_as_long_as_it_speaks(self, is_done: Callable[[], bool], what: str) -> None:
        """Wait until something holds, however slow the bot is, if only it goes on calling APIs."""
        while not is_done():
            wait_until(self._calls_more_than(len(self.calls), is_done), what, 3 * DEADLINE)

    def _calls_more_than(self, count: int, is_done: Callable[[], bool]) -> Callable[[], bool]:
        return lambda: len(self.calls) > count or is_done()

    def wait_for(self, *texts: str, timeout: float = DEADLINE) -> None:
        """Wait until the bot has sent all of these."""
        wait_until(
            lambda: set(texts) <= set(self.texts), f"{texts[:3]}..., not {self.texts[-3:]}", timeout
        )
