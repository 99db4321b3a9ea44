"""What is sent, and how much of it: known alike to the main process and its child."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import random
import threading
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from itertools import cycle, islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENCE = 60.0
"""Seconds after which a measurement that has not ended is given up."""

UVLOOP = "LITEYUKI_BENCHMARK_UVLOOP"
"""Set in the environment of every process of a run where all loops are uvloop's."""

IN_FLIGHT = 50
"""How many requests of one loop are under way at a time."""

_POOL = 64


class NotMeasurable(Exception):
    """A peer is not installed here, or does not do what is measured; the message says which."""


def require(module: str) -> None:
    """Raise NotMeasurable unless a peer's module is installed."""
    if find_spec(module) is None:
        raise NotMeasurable('not installed (pip install -e ".[bench]")')


def end_with_parent() -> None:
    """Have this child process end when its parent has, also while it waits for a message."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, name="end-with-parent", daemon=True).start()


def choose_loop() -> None:
    """Have new event loops of this process be uvloop's if the run asks for that."""
    if UVLOOP in os.environ:
        import uvloop

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())


@dataclass(frozen=True)
class Workload:
    """One kind of message and the numbers that bound a measurement."""

    name: str
    make_pool: Callable[[], list[Any]]
    warm_up: int
    """Messages sent before the measurement; their pace decides how many are measured."""
    limit: int
    """Messages measured at most."""

    def count(self, seconds: float, took: float) -> int:
        """Return how many messages take `seconds` if the warm-up took `took` seconds."""
        return max(self.warm_up, min(self.limit, int(self.warm_up * seconds / took)))


@dataclass(frozen=True)
class Report:
    """What the child says when it has everything."""

    received: int
    size: int
    last_is_right: bool


def messages(pool: list[Any], count: int) -> Iterator[Any]:
    """Yield `count` messages, the pool over and over."""
    return islice(cycle(pool), count)


def last(pool: list[Any], count: int) -> Any:
    """Return the last of `count` messages."""
    return pool[(count - 1) % len(pool)]


def last_of_each(pool: list[Any], count: int, channels: int) -> list[Any]:
    """Return the last message of each channel when `count` messages take turns over `channels`."""
    final = count - 1
    return [pool[(final - (final - number) % channels) % len(pool)] for number in range(channels)]


def check(pool: list[Any], count: int, report: object) -> None:
    """Raise AssertionError unless the child got all of `count` messages, and the right last one."""
    expected = Report(count, sum(map(len, messages(pool, count))), True)
    if report != expected:
        raise AssertionError(f"the child reports {report}, expected {expected}")


def _texts() -> list[str]:
    rng = random.Random(1)
    letters = "abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ,.0123456789"
    return ["".join(rng.choices(letters, k=100)) for _ in range(_POOL)]


def _events() -> list[dict[str, Any]]:
    rng = random.Random(2)
    return [_event(rng, 100_000 + i) for i in range(_POOL)]


def _event(rng: random.Random, message_id: int) -> dict[str, Any]:
    """Return a OneBot v11 group message event; pickled it has about 1 kB."""
    user_id = rng.randrange(10**8, 4 * 10**9)
    picture = rng.randbytes(16).hex().upper()
    level = rng.randrange(100)
    text = f" 今天晚上八点有人一起打副本吗？缺一个治疗，来的在群里说一声，{level} 级以上就行。"
    url = (
        f"https://multimedia.nt.qq.com.cn/download?appid=1407&fileid={rng.randbytes(48).hex()}"
        f"&rkey={rng.randbytes(24).hex()}&spec=0"
    )
    return {
        "time": 1_700_000_000 + message_id,
        "self_id": 2_854_196_310,
        "post_type": "message",
        "message_type": "group",
        "sub_type": "normal",
        "message_id": message_id,
        "group_id": 700_000_000 + rng.randrange(10**6),
        "user_id": user_id,
        "anonymous": None,
        "message": [
            {"type": "at", "data": {"qq": "2854196310"}},
            {"type": "text", "data": {"text": text}},
            {"type": "image", "data": {"file": f"{picture.lower()}.image", "url": url}},
        ],
        "raw_message": f"[CQ:at,qq=2854196310]{text}[CQ:image,file={picture.lower()}.image]",
        "font": 0,
        "sender": {
            "user_id": user_id,
            "nickname": "轻雪的一位用户",
            "card": "",
            "sex": "unknown",
            "age": 0,
            "area": "",
            "level": str(rng.randrange(1, 100)),
            "role": "member",
            "title": "",
        },
    }


def _blocks(size: int) -> list[bytes]:
    rng = random.Random(3)
    return [rng.randbytes(size) for _ in range(max(2, min(_POOL, 1_000_000 // size)))]


def _of_size(size: int) -> Workload:
    at_once = 40_000_000 // size
    return Workload(
        f"{size} bytes", partial(_blocks, size), max(4, min(4_000, at_once // 10)), 10 * at_once
    )


SIZES = {size: _of_size(size) for size in (10**exponent for exponent in range(1, 8))}
"""`bytes` messages of 10 B to 10 MB."""

WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload("text", _texts, 4_000, 1_000_000),
        Workload("event", _events, 2_000, 500_000),
        Workload("block", partial(_blocks, 10_000_000), 4, 40),
        Workload("trip", _texts, 200, 20_000),
        Workload("import", list, 2, 20),
        *SIZES.values(),
    )
}
