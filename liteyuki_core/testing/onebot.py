"""A OneBot v11 implementation as NoneBot's client: one account, connected by reverse WebSocket.

Ownership. A `OneBot` owns its connection, and the thread that connects, sends events and answers
calls. `close` ends both. The test's thread adds events to be sent, and looks at what was called.
"""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from typing import Any, NamedTuple

from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from .expected import Expected, shown
from .waiting import NOTHING, SECONDS, Waits

USER = 7000
"""Who speaks, if a test does not say."""

_SENDS = ("send_msg", "send_group_msg", "send_private_msg")
_PAUSE = 0.05
_END_SECONDS = 5.0


class Place(NamedTuple):
    """Where something is said: in a group, or to a user in private."""

    group: int | None
    user: int | None


class OneBot:
    """An account, made by `app.onebot`. The test's thread calls everything.

    `calls` has every API call of the bot, as it came. Those that send messages succeed; others
    fail unless `answers` says what they return.
    """

    def __init__(
        self,
        id: int,
        port: int,
        waits: Waits,
        scene: Callable[[], str],
        access_token: str | None,
    ) -> None:
        self.id = id
        self.calls: list[dict[str, Any]] = []
        self._url = f"ws://127.0.0.1:{port}/onebot/v11/ws"
        self._headers = {"X-Self-ID": str(id), "X-Client-Role": "Universal"}
        if access_token is not None:
            self._headers["Authorization"] = f"Bearer {access_token}"
        self._waits = waits
        self._scene = scene
        self._answers: dict[str, Any] = {}
        self._left: list[tuple[Place, str]] = []
        """What the bot has said and was not expected yet."""
        self._numbers = count(1)
        self._to_say: deque[str] = deque()
        self._closed = False
        self._refused = False
        """Whether NoneBot has refused its access token."""
        self._why = "it was never connected"
        self._connection: ClientConnection | None = None
        self._thread = threading.Thread(target=self._run, name=f"liteyuki-onebot-{id}", daemon=True)
        self._thread.start()

    def says(self, text: str, *, group: int | None = None, user: int = USER) -> Said:
        """Send a message event: a user says this in a group, or to the bot in private.

        Returns at once what the answer is expected of. It is sent when the bot is connected.
        """
        place: dict[str, Any] = {"message_type": "private", "sub_type": "friend"}
        if group is not None:
            place = {"message_type": "group", "sub_type": "normal", "group_id": group}
        self.tells(
            post_type="message",
            message_id=next(self._numbers),
            user_id=user,
            message=[{"type": "text", "data": {"text": text}}],
            raw_message=text,
            font=0,
            sender={"user_id": user, "nickname": f"user {user}"},
            **place,
        )
        return Said(self, text, Place(group, None if group is not None else user))

    def tells(self, **fields: Any) -> None:
        """Send any event, by its fields in OneBot v11. `time` and `self_id` are there already."""
        self._to_say.append(json.dumps(self._event(fields)))

    def answers(self, action: str, data: Any) -> None:
        """Have calls of an API succeed and return `data` from now on."""
        self._answers[action] = data

    def close(self) -> None:
        """Disconnect, and end the thread."""
        self._closed = True
        connection = self._connection
        if connection is not None:
            connection.close()
        self._thread.join(_END_SECONDS)

    def _event(self, fields: dict[str, Any]) -> dict[str, Any]:
        return {"time": int(time.time()), "self_id": self.id, **fields}

    # ------------------------------------------------------------- its thread

    def _run(self) -> None:
        while not self._closed:
            try:
                with connect(
                    self._url, additional_headers=self._headers, proxy=None, open_timeout=5
                ) as connection:
                    self._connection = connection
                    self._serve(connection)
            except (OSError, InvalidHandshake, ConnectionClosed) as error:
                self._why = f"it is not connected: {error}"
                if isinstance(error, InvalidStatus):
                    self._refused = error.response.status_code in (401, 403)
            self._connection = None
            time.sleep(0 if self._closed else _PAUSE)

    def _serve(self, connection: ClientConnection) -> None:
        self._why = "it is connected"
        meta = {"post_type": "meta_event", "meta_event_type": "lifecycle", "sub_type": "connect"}
        connection.send(json.dumps(self._event(meta)))
        while not self._closed:
            while self._to_say:
                connection.send(self._to_say[0])
                self._to_say.popleft()
            with suppress(TimeoutError):
                self._answer(connection, json.loads(connection.recv(timeout=_PAUSE / 5)))

    def _answer(self, connection: ClientConnection, call: dict[str, Any]) -> None:
        action, params = call["action"], call["params"]
        answer: dict[str, Any] = {"status": "ok", "retcode": 0, "echo": call.get("echo")}
        said: tuple[Place, str] | None = None
        if action in self._answers:
            answer["data"] = self._answers[action]
        elif action in _SENDS:
            answer["data"] = {"message_id": next(self._numbers)}
            group = params.get("group_id")
            user = None if group is not None else params.get("user_id")
            said = (Place(group, user), _text_of(params["message"]))
        else:
            message = f"the test has no answer to {action}: call answers({action!r}, ...)"
            answer |= {"status": "failed", "retcode": 1404, "data": None, "message": message}
        try:
            connection.send(json.dumps(answer))
        finally:
            # Last: a test that has seen it may end, and the bot would wait for the answer.
            self.calls.append(call)
            if said is not None:
                self._left.append(said)

    # ------------------------------------------------------------- what is expected

    def _is_up(self) -> bool:
        """Return whether it is connected and has sent all that was said, or never will be."""
        return self._refused or (self._connection is not None and not self._to_say)

    def expects(self, of: Said, text_or_predicate: Any, timeout: float) -> Any:
        """Wait for a text where something was said; see `Said.should_reply`."""
        __tracebackhide__ = True
        expected = Expected(text_or_predicate)

        def look() -> Any:
            for at, (place, text) in enumerate(list(self._left)):
                if place == of.place and expected.matches(text):
                    del self._left[at]
                    return text
            return NOTHING

        def late() -> Any:
            here = [text for place, text in self._left if place == of.place]
            others = [call["action"] for call in self.calls if call["action"] not in _SENDS]
            more = f"\n  it has called: {', '.join(others)}" if others else ""
            raise AssertionError(
                f"the bot {self.id} should reply to {of.text!r}, and did not within {timeout:g} s "
                f"({self._why})\n{expected.compared_with(here)}{more}\n{self._scene()}"
            )

        return self._waits.until("should_reply", look, timeout, late, self._is_up)

    def expects_nothing(self, of: Said, within: float) -> Any:
        """Wait for so many seconds, in which nothing is said; see `Said.should_not_reply`."""
        __tracebackhide__ = True

        def look() -> Any:
            here = [text for place, text in self._left if place == of.place]
            if here:
                raise AssertionError(
                    f"the bot {self.id} should not reply to {of.text!r}\n  came: {shown(here)}\n"
                    f"{self._scene()}"
                )
            return NOTHING

        return self._waits.until("should_not_reply", look, within, lambda: None, self._is_up)


class Said:
    """A message that was said, of which an answer is expected."""

    def __init__(self, bot: OneBot, text: str, place: Place) -> None:
        self._bot = bot
        self.text = text
        self.place = place

    def should_reply(self, text_or_predicate: Any, timeout: float = SECONDS) -> Any:
        """Wait until the bot says this text there, or one for which a function returns true.

        Returns the text. Segments that are no text are shown as "[image]" and so on. In an async
        test await it. Raises `AssertionError`, which shows what the bot has said instead, when
        `timeout` seconds have passed since NoneBot was connected.
        """
        __tracebackhide__ = True
        return self._bot.expects(self, text_or_predicate, timeout)

    def should_not_reply(self, within: float = 0.5) -> Any:
        """Wait for so many seconds, in which the bot may say nothing there.

        In an async test await it. Raises `AssertionError` as soon as it does.
        """
        __tracebackhide__ = True
        return self._bot.expects_nothing(self, within)


def _text_of(message: Any) -> str:
    """Return the text of a message: as OneBot has it, a text or a list of segments."""
    if isinstance(message, str):
        return message
    return "".join(
        segment["data"]["text"] if segment["type"] == "text" else f"[{segment['type']}]"
        for segment in message
    )
