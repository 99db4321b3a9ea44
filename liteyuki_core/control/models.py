"""What the API takes and answers, as typed models. Scripts depend on their fields."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Level = Literal["TRACE", "DEBUG", "INFO", "SUCCESS", "WARNING", "ERROR", "CRITICAL"]
State = Literal["starting", "running", "stopping", "backoff", "stopped", "failed"]
Name = Annotated[str, Field(min_length=1, max_length=1024)]
Seconds = Annotated[float, Field(ge=0, le=86400, allow_inf_nan=False)]


class _Model(BaseModel):
    model_config = ConfigDict(defer_build=True)  # Few are needed in one run of the command line.


class _Asked(_Model):
    model_config = ConfigDict(extra="forbid")


# ------------------------------------------------------------- answers


class Process(_Model):
    """A child process. Times are in UTC, durations in seconds, sizes in bytes.

    `cpu` is percent of one processor, since it was last asked for or since the start. `cpu`,
    `cpu_seconds` and `memory` count all that the process has started itself. None: not known.
    `queue` is how many messages and requests wait for it, with those that it has in hand.
    `depends_on` names the processes that must run before it is started. `outcome` says in words how
    it has ended last, `outcome_zh` in Chinese.
    """

    name: str
    target: str
    state: State
    pid: int | None
    started_at: datetime | None
    uptime: float | None
    restarts: int
    exit_code: int | None
    outcome: str | None
    outcome_zh: str | None
    cpu: float | None
    cpu_seconds: float | None
    memory: int | None
    loop_lag: float | None
    queue: int
    depends_on: list[str]


class Account(_Model):
    """An account of a bot in a process. `since` says when it entered its state, in UTC.

    It is `offline` if it is connected but not logged in. `nickname` is "" where it is not known.
    `node` is the node of the cluster that has the process; None where there is no cluster.
    """

    adapter: str
    id: str
    process: str
    node: str | None = None
    state: Literal["online", "offline", "disconnected"]
    since: datetime
    nickname: str


class Status(_Model):
    """The bot and its processes. `ok` says whether all of them run, or were stopped on purpose.

    `node` is the bot's name in its cluster; None: it is in none.
    """

    version: str
    node: str | None = None
    pid: int
    directory: str
    started_at: datetime
    uptime: float
    ok: bool
    dead_letters: int
    memory: int | None
    cpu_seconds: float | None
    processes: list[Process]
    accounts: list[Account] = []


class NodeProcess(_Model):
    """A process of a node, as that has told it last. Times are in UTC, durations in seconds."""

    name: str
    state: State
    pid: int | None
    restarts: int
    started_at: datetime | None
    uptime: float | None


class Node(_Model):
    """A node of the cluster. `this` says whether it is the bot that was asked.

    `state` is `gone` if it has vanished, `stopped` if it has stopped in good order. Then it has no
    processes, and its accounts are disconnected. `ok` says whether it is not gone, and all its
    processes run or were stopped on purpose. `seen` says when it was heard of last, in UTC.
    `channels` is how many channels it has for others.
    """

    name: str
    this: bool
    state: Literal["running", "stopped", "gone"]
    ok: bool
    seen: datetime
    channels: int
    processes: list[NodeProcess]
    accounts: list[Account]


class Channel(_Model):
    """The counts of a channel or queue that has a name, both directions together."""

    name: str
    sent: int
    acknowledged: int
    redelivered: int
    dropped: int
    backlog: int
    capacity: int
    bytes: int


class End(_Model):
    """Who has an end of a channel. `side` is that of its maker, the other, or that of a queue.

    `receives` says whether it takes messages, `held` how many messages and requests it was given
    and has not handled, `waiting` how many wait for this side. `process` is None where nobody has
    the end.
    """

    process: str | None
    side: Literal["owner", "other", "queue"]
    receives: bool
    held: int
    waiting: int


class ChannelEnds(Channel):
    """The counts of a channel, and who has its ends."""

    ends: list[End]


class Message(_Model):
    """A message of a channel, as it was given to a process. It may be given again after a crash.

    `number` is its place among those in its direction. `direction` is `out` from the side that has
    made the channel, `in` to that side, and `queue` for a queue. `sender` and `receiver` are names
    of processes or `main`; a dead letter that was put back has no sender. `size` is in bytes.
    `body` is there if it was asked for and `form` is `text`: nothing is rebuilt to show it.
    """

    time: datetime
    channel: str
    number: int
    direction: Literal["out", "in", "queue"]
    kind: Literal["message", "request"]
    sender: str | None
    receiver: str
    size: int
    form: Literal["text", "bytes", "pickle"]
    redelivered: bool
    body: str | None


class DeadLetter(_Model):
    """A message that was set aside, without what is in it."""

    id: str
    channel: str
    process: str
    crashes: int
    size: int
    time: datetime


class DeadLetterContent(DeadLetter):
    """A message that was set aside. `plain` says whether `value` shows it: text, numbers, lists.

    `text` is there if it is nothing but text. Nothing is rebuilt to show it.
    """

    plain: bool
    value: Any
    text: str | None


class StoreKey(_Model):
    """A key of the store, without its value. `expires_in` is in seconds."""

    key: str
    size: int
    expires_in: float | None
    persistent: bool


class StoreValue(StoreKey):
    """A key of the store. `plain` says whether `value` shows it: it is of text, numbers, lists."""

    plain: bool
    value: Any


class Change(_Model):
    """A key of the store was set or deleted. `plain` says whether `value` shows its value now."""

    time: datetime
    key: str
    deleted: bool
    expired: bool
    size: int
    plain: bool
    value: Any


class Line(_Model):
    """A line of the log, or several that belong together. `level` is None for what is printed.

    `position` says where it stands in the log, for `before` and `after` of `/log/history`, and for
    `after` of `/log/follow`.
    """

    id: str
    position: str
    time: datetime
    process: str
    level: Level | None
    text: str


class LogPage(_Model):
    """Lines of the log, the oldest first.

    `more` says whether there may be others, farther on in the same direction: `next` is their
    `before` or `after`. What is newer than this page comes `after` its `end`, without a gap or a
    double: in `/log/history`, and, where this is the last page, in `/log/follow`.
    """

    lines: list[Line]
    more: bool
    next: str | None
    end: str


class Series(_Model):
    """Figures of a process, the oldest first, all of the same number. None: not known.

    `memory` in bytes, `cpu` in percent of one processor, `lag` of its loop in seconds, `messages`
    to it in a second, `queue` of messages and requests that wait for it. Those of the main process
    have the messages of all.
    """

    memory: list[int | None]
    cpu: list[float | None]
    lag: list[float | None]
    messages: list[float | None]
    queue: list[float | None]


class Figures(_Model):
    """Figures over some time: one in `step` seconds, the last for the time up to `end`.

    They begin when the web page was opened first.
    """

    step: float
    end: datetime
    main: Series
    processes: dict[str, Series]


class Event(_Model):
    """A process has entered a state."""

    id: str
    time: datetime
    process: str
    state: State


class Lost(_Model):
    """So much of what is followed came too quickly for this client, or before it asked again."""

    lost: int


class Setting(_Model):
    """A setting. `changed` says that it has another value by now, for the next start.

    `source` is where it is set now; None: nowhere, it is the default. A secret is shown as ***.
    """

    key: str
    value: Any
    source: str | None
    changed: bool


class PageLink(_Model):
    """A link to the web page, for one use within `seconds`. `right` is what it allows.

    `tunnel` is the command that leads to the page from another machine; None: it is reached there.
    """

    url: str
    right: Literal["change", "read"]
    seconds: float
    port: int
    tunnel: str | None


class Done(_Model):
    """What was asked for is done."""

    done: Literal[True] = True


class Existed(_Model):
    """Whether there was such a key."""

    existed: bool


class Problem(_Model):
    """What went wrong: the error's class, and what it says."""

    error: str
    message: str


# ------------------------------------------------------------- questions


class Nothing(_Asked):
    """Nothing has to be said."""


class OfProcess(_Asked):
    """The process that is meant."""

    name: Name


class Wait(OfProcess):
    """Wait until a process is in a state, at most `timeout` seconds.

    `stopped` also ends when it has failed; `running` ends with an error then.
    """

    state: Literal["running", "stopped"] = "running"
    timeout: Seconds = 60.0


class Send(_Asked):
    """Send JSON on the channel or queue `name`, from the main process's side."""

    name: Name
    data: Any


class Tail(_Asked):
    """The messages of the channel or queue `name` from now on; with `bodies` what texts say."""

    name: Name
    bodies: bool = False


class OfChannel(_Asked):
    """The channel or queue that is meant."""

    name: Name


class Span(_Asked):
    """The last hour, or the last day."""

    span: Literal["hour", "day"] = "hour"


class OfLetter(_Asked):
    """The dead letter that is meant."""

    id: Annotated[str, Field(pattern=r"^[0-9a-f]{1,32}$")]


class Keys(_Asked):
    """The keys that begin with `prefix`, at most `limit`."""

    prefix: Annotated[str, Field(max_length=1024)] = ""
    limit: Annotated[int, Field(ge=1, le=100_000)] = 1000


class Prefix(_Asked):
    """The changes of the keys that begin with `prefix`, from now on."""

    prefix: Annotated[str, Field(max_length=1024)] = ""


class OfKey(_Asked):
    """The key that is meant."""

    key: Name


class SetKey(OfKey):
    """Set a key to JSON. After `ttl` seconds it is gone; None: never."""

    value: Any
    ttl: Annotated[float, Field(gt=0, le=1e9, allow_inf_nan=False)] | None = None


class Matching(_Asked):
    """The lines of these processes, of `level` or above, with `text`, about the account `account`.

    The main process is called `main`. Upper and lower case are the same.
    """

    process: Annotated[list[Name], Field(max_length=100)] = []
    level: Level | None = None
    text: Annotated[str, Field(max_length=1024)] = ""
    account: Annotated[str, Field(max_length=1024)] = ""


class Lines(Matching):
    """The last `lines` lines that match: of these processes, of `level` or above, with `text`.

    The main process is called `main`. Upper and lower case are the same. With `account` only lines
    in which this id of an account stands.
    """

    lines: Annotated[int, Field(ge=0, le=5000)] = 100


class Follow(Lines):
    """The last `lines` lines that match, and those to come. With `after`, all after that position.

    `Last-Event-ID` comes before `after`: so a client asks the same again, and goes on.
    """

    after: Annotated[str, Field(max_length=100)] | None = None


class History(Matching):
    """The last `lines` lines that match, of the whole log: of files that were rotated away, too.

    Those before the position `before`, or the first after `after`, or the last up to the time `at`.
    """

    lines: Annotated[int, Field(ge=0, le=5000)] = 200
    before: Annotated[str, Field(max_length=100)] | None = None
    after: Annotated[str, Field(max_length=100)] | None = None
    at: datetime | None = None


class OpenPage(_Asked):
    """Open the web page, if it is not open. With `read_only` its link is for looking only."""

    read_only: bool = False


class Events(_Asked):
    """The last `events` changes of state, and those to come."""

    events: Annotated[int, Field(ge=0, le=1000)] = 0
