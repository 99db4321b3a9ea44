"""Sessions over a real link, with a child's side that forwards what a test says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from liteyuki_core.comm import Channel, current
from liteyuki_core.process.state import ChildProcess, ProcessState
from liteyuki_core.session import Bot, MessageEvent, Scene, User
from liteyuki_core.session import current as session_current
from liteyuki_core.session.exchange import Connected, Forwarded, Request, Send, channel_of
from liteyuki_core.session.sessions import Sessions
from tests.conftest import DEADLINE, wait_until
from tests.pair import Pair

ADAPTER = "OneBot V11"
SELF = "10001"


def told(
    text: str,
    *,
    user: str = "u",
    scene: str = "1",
    kind: str = "group",
    id: str = "",
    bot: str = SELF,
    to_me: bool = False,
    superuser: bool = False,
    starts: tuple[str, ...] = ("/",),
    separators: tuple[str, ...] = (".",),
    segments: list[tuple[str, dict[str, Any]]] | None = None,
) -> Forwarded:
    """Return a message event as a child forwards it."""
    return Forwarded(
        adapter=ADAPTER,
        bot=bot,
        scene=(kind, scene, ""),
        user=(user, f"name of {user}", "member", superuser),
        segments=[("text", {"text": text})] if segments is None else segments,
        text=text,
        raw={"raw_message": text},
        time=1.0,
        id=id,
        to_me=to_me,
        address=None,
        starts=starts,
        separators=separators,
    )


def made(text: str = "", superuser: bool = False) -> MessageEvent:
    """Return an event that was made by hand."""
    bot, scene, user = Bot(ADAPTER, SELF, "w"), Scene("group", "1"), User("u", superuser=superuser)
    return MessageEvent(ADAPTER, bot, scene, user, [], text, {}, 0.0)


class Child:
    """A child's side: it forwards messages, and notes what it is asked to do."""

    def __init__(self, pair: Pair, process: str = "w") -> None:
        context = pair.child if process == "w" else pair.another(process)
        name = channel_of(process)
        wait_until(lambda: name in context.port.names(), f"{name} is known")
        self.channel: Channel[Any] = Channel._of(context.get(name))
        self.requests: list[Request] = []
        self.does: Callable[[Request], Any] = lambda request: {"message_id": 1}
        """What an API returns or raises."""

        @self.channel.on_request()
        async def answer(request: Request) -> Any:
            self.requests.append(request)
            done = self.does(request)
            return await done if asyncio.iscoroutine(done) else done

    def say(self, text: str, **more: Any) -> None:
        """Forward a message."""
        self.channel.send(told(text, **more), DEADLINE)

    def connect(self, bot: str = SELF) -> None:
        """Tell that a bot has connected."""
        self.channel.send(Connected(ADAPTER, bot), DEADLINE)

    def sent(self) -> list[str]:
        """Return the texts that were sent, in order."""
        return [
            "".join(data.get("text", f"[{kind}]") for kind, data in request.segments)
            for request in self.requests
            if isinstance(request, Send)
        ]


class Chat:
    """A main process's sessions, and the child "w"."""

    def __init__(self, pair: Pair) -> None:
        self.pair = pair
        self.children = {"w": ChildProcess("w", "tests:child")}
        self.children["w"].state = ProcessState.RUNNING
        self.sessions = Sessions(pair.main.dispatcher, self.children)
        self.handled: list[str] = []
        """What handlers of this test have noted."""

    def child(self, process: str = "w") -> Child:
        """Return a child's side. A handler must be registered."""
        return Child(self.pair, process)

    def add_child(self, process: str) -> None:
        """Add one more child."""
        child = self.children[process] = ChildProcess(process, "tests:child")
        child.state = ProcessState.RUNNING
        self.sessions.add_process(process)

    def state(self, state: ProcessState, process: str = "w") -> None:
        """Have a child enter a state, as the supervisor tells it."""
        self.children[process].state = state
        self.on_loop(lambda: self.sessions.process_state(process, state))

    def on_loop(self, call: Callable[[], Any]) -> Any:
        """Call something on the loop that handlers run on, and return what it returns."""

        async def do() -> Any:
            return call()

        loop = self.pair.main.dispatcher.loop
        return asyncio.run_coroutine_threadsafe(do(), loop).result(DEADLINE)

    def note(self, event: MessageEvent) -> None:
        """Note the text of an event."""
        self.handled.append(event.text)

    def until(self, *handled: str) -> None:
        """Wait until exactly these were noted, in this order."""
        wait_until(lambda: len(self.handled) >= len(handled), f"{handled}, not {self.handled}")
        assert self.handled == list(handled)


@contextmanager
def chatting_pair() -> Iterator[Chat]:
    """Have this process be a main process with sessions."""
    pair = Pair()
    current.install(pair.main)
    chat = Chat(pair)
    session_current.install(chat.sessions)
    try:
        yield chat
        if pair.main.dispatcher.bound is not None:
            chat.on_loop(chat.sessions.close)
    finally:
        session_current.uninstall(chat.sessions)
        current.uninstall(pair.main)
        pair.close()
