"""A bot that does not exist, and what its API answers: all names and figures are made up."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import unquote

NOW = datetime.now(timezone.utc)


def ago(**time: float) -> str:
    """Return a time in the past as the API writes it."""
    return (NOW - timedelta(**time)).isoformat()


# ------------------------------------------------------------- a bot that does not exist


def process(name: str, target: str, **more: Any) -> dict[str, Any]:
    """Return a process, which runs and is well but for `more`."""
    uptime = more.pop("uptime", 185_400.0)
    return {
        **{"name": name, "target": target, "state": "running", "pid": 4200 + len(name)},
        **{"started_at": ago(seconds=uptime or 0), "uptime": uptime, "restarts": 0},
        **{
            "exit_code": None,
            "outcome": None,
            "outcome_zh": None,
            "cpu": 1.4,
            "cpu_seconds": 812.0,
        },
        **{"memory": 96 << 20, "loop_lag": 0.0011, "queue": 0},
        **{"depends_on": []},
        **more,
    }


def account(id: str, nickname: str, process: str, state: str, **since: float) -> dict[str, Any]:
    """Return an account."""
    kind = "Satori" if process == "second" else "OneBot V11"
    return {
        **{"adapter": kind, "id": id, "process": process, "state": state},
        **{"since": ago(**since), "nickname": nickname},
    }


PROCESSES = [
    process(
        "napcat", "./napcat.sh -q 10001", cpu=3.2, memory=241 << 20, loop_lag=None, uptime=93_000.0
    ),
    process(
        "nonebot",
        "liteyuki_core.frameworks.nonebot:run",
        cpu=6.8,
        memory=164 << 20,
        queue=3,
        restarts=1,
        exit_code=1,
        uptime=7_560.0,
    ),
    process("second", "liteyuki_core.frameworks.nonebot:run", memory=131 << 20),
    process("worker-1", "worker", cpu=41.0, memory=88 << 20, loop_lag=0.0024, queue=1),
    process("worker-2", "worker", cpu=38.5, memory=87 << 20),
    process(
        "weather",
        "weather:main",
        state="backoff",
        pid=None,
        uptime=None,
        cpu=None,
        memory=None,
        loop_lag=None,
        restarts=3,
        exit_code=137,
        queue=2,
        outcome="was ended by signal 9 (SIGKILL)",
        outcome_zh="被信号 9（SIGKILL）结束",
    ),
]
STATUS = {
    **{"version": "0.1.0", "pid": 4181, "directory": "/srv/bot", "started_at": ago(days=2.1)},
    **{
        "uptime": 185_412.0,
        "ok": False,
        "dead_letters": 2,
        "memory": 58 << 20,
        "cpu_seconds": 411.0,
    },
    "processes": PROCESSES,
    "accounts": [
        account("10001", "小雪", "nonebot", "offline", minutes=12.2),
        account("10002", "Momo", "nonebot", "online", hours=2),
        account("10010", "", "second", "online", days=2),
    ],
}


def channel(name: str, sent: int, backlog: int = 0, **more: int) -> dict[str, Any]:
    """Return a channel."""
    return {
        **{"name": name, "sent": sent, "acknowledged": sent - backlog, "redelivered": 0},
        **{"dropped": 0, "backlog": backlog, "capacity": 1024, "bytes": sent * 412, **more},
    }


CHANNELS = [
    channel("events", 48_211, 3),
    channel("jobs", 9_120, 982, redelivered=4, dropped=2),
    channel("nonebot-active", 20_417, 3, redelivered=1),
    channel("nonebot-passive", 20_398),
    channel("second-active", 8_011),
    channel("second-passive", 7_990),
    channel("weather-active", 812, 2, redelivered=6),
]
ENDS = [
    {"process": "main", "side": "owner", "receives": True, "held": 0, "waiting": 0},
    {"process": "nonebot", "side": "other", "receives": True, "held": 1, "waiting": 2},
]
LETTERS = [
    {
        "id": "a1b2c3d4",
        "channel": "jobs",
        "process": "worker-2",
        "crashes": 3,
        "size": 5_212,
        "time": ago(hours=1.4),
    },
    {
        "id": "a1b2c3d5",
        "channel": "weather-active",
        "process": "weather",
        "crashes": 3,
        "size": 96,
        "time": ago(minutes=22),
    },
]
KEYS = {
    "config/weather": {"city": "Shenzhen", "units": "metric", "hours": [7, 12, 18]},
    "cooldown/10002": 1,
    "session/group-20001": {"topic": "晚饭吃什么", "votes": 7},
    "session/group-20002": {"topic": "周末爬山", "votes": 3},
    "stats/messages": 128_405,
    "users/10001": {"name": "小雪", "level": 12},
}
SETTINGS = [
    ("LITEYUKI_LOG_LEVEL", "INFO", ".env", False),
    ("LITEYUKI_LOG_LANG", "zh", None, False),
    ("LITEYUKI_LOG_FILE", "logs/bot.log", ".env", False),
    ("LITEYUKI_PLUGINS", ["greeter", "reports"], "pyproject.toml", False),
    ("LITEYUKI_STOP_TIMEOUT", 20.0, "environment", True),
    ("LITEYUKI_MAX_MESSAGE_BYTES", 67_108_864, None, False),
    ("LITEYUKI_MAX_REDELIVERIES", 3, None, False),
    ("LITEYUKI_STORE_FILE", ".liteyuki/store.db", ".env", False),
    ("LITEYUKI_RELOAD", False, None, False),
    ("LITEYUKI_ALERT_URLS", "***", ".env", False),
    ("LITEYUKI_ALERT_AFTER", 60.0, None, False),
    ("LITEYUKI_WEB", True, ".env", False),
    ("LITEYUKI_WEB_PASSWORD", "***", ".env", False),
]
TRACEBACK = """
Traceback (most recent call last):
  File "weather.py", line 42, in fetch
    data = await client.get(url)
httpx.ConnectTimeout: timed out"""
SAYINGS = {
    "zh": (
        (
            "nonebot",
            "INFO",
            "OneBot V11 10002 | Message 8841 from 30007@[群:20001] '今天天气怎么样'",
        ),
        (
            "nonebot",
            "SUCCESS",
            "nonebot | Matcher(type='message', module=weather) running complete",
        ),
        ("worker-1", "INFO", "图片已生成，用时 0.42 秒"),
        ("main", "INFO", "账号 10001 已离线"),
        ("napcat", None, "[warn] 小雪 | 账号状态变更为离线"),
        ("second", "INFO", "satori | 收到 3 条消息，已全部处理"),
        (
            "weather",
            "ERROR",
            "请求天气数据失败" + TRACEBACK,
        ),
        ("main", "WARNING", "进程 weather 已退出，退出码 137，2 秒后重启"),
        ("worker-2", "INFO", "任务 report-20261129 已完成"),
    ),
    "en": (
        (
            "nonebot",
            "INFO",
            "OneBot V11 10002 | Message 8841 from 30007@[group:20001] 'the weather?'",
        ),
        (
            "nonebot",
            "SUCCESS",
            "nonebot | Matcher(type='message', module=weather) running complete",
        ),
        ("worker-1", "INFO", "picture made in 0.42 s"),
        ("main", "INFO", "account 10001 is offline"),
        ("napcat", None, "[warn] 小雪 | account is offline now"),
        ("second", "INFO", "satori | 3 messages came, all handled"),
        (
            "weather",
            "ERROR",
            "the weather could not be fetched" + TRACEBACK,
        ),
        ("main", "WARNING", "process weather exited with code 137 and is started again in 2 s"),
        ("worker-2", "INFO", "job report-20261129 is done"),
    ),
}


def lines(language: str, count: int = 120) -> list[dict[str, Any]]:
    """Return lines of the log."""
    found = []
    for number in range(count):
        name, level, text = SAYINGS[language][number * 7 % 9]
        time = NOW - timedelta(seconds=4.3 * (count - number))
        if level is not None:
            text = f"{time.astimezone():%Y-%m-%d %H:%M:%S} [{level}] {text}"
        id = f"cafe-{number + 1}"
        found.append(
            {
                "id": id,
                "position": id,
                "time": time.isoformat(),
                "process": name,
                "level": level,
                "text": text,
            }
        )
    return found


def figures(span: str) -> dict[str, Any]:
    """Return figures that go up and down."""
    step, count = (10.0, 360) if span == "hour" else (240.0, 360)
    chance = random.Random(7)

    def curve(level: float, swing: float, noise: float) -> list[float]:
        return [
            max(0.0, level + swing * math.sin(place / 38) + chance.gauss(0, noise))
            for place in range(count)
        ]

    def series(memory: float, cpu: float, rate: float, gone: range = range(0)) -> dict[str, Any]:
        found: dict[str, list[float | None]] = {
            "memory": [*curve(memory * 2**20, memory * 2**15, memory * 2**13)],
            "cpu": [*curve(cpu, cpu / 3, cpu / 8)],
            "lag": [*curve(0.0012, 0.0003, 0.0002)],
            "messages": [*curve(rate, rate / 2, rate / 9)],
            "queue": [float(int(each)) for each in curve(rate / 3, rate / 3, rate / 5)],
        }
        for values in found.values():
            for place in gone:
                values[place] = None
        return found

    return {
        **{"step": step, "end": NOW.isoformat(), "main": series(58, 1.1, 17)},
        "processes": {
            "napcat": series(241, 3.2, 0),
            "nonebot": series(164, 6.8, 9, range(118, 122)),
            "second": series(131, 1.4, 4),
            "worker-1": series(88, 32, 2),
            "weather": series(64, 2, 0.5, range(340, 360)),
        },
    }


# ------------------------------------------------------------- what its API answers

NOTHING: dict[str, list[Any]] = {key: [] for key in ("memory", "cpu", "lag", "messages", "queue")}
EMPTY: dict[str, Any] = {
    "status": {
        **{**STATUS, "ok": True, "dead_letters": 0, "uptime": 3.2, "memory": 41 << 20},
        **{"processes": [], "accounts": []},
    },
    "log/history": {"lines": [], "more": False, "next": None, "end": "cafe-0"},
    "figures": {"step": 10.0, "end": NOW.isoformat(), "main": NOTHING, "processes": {}},
    **{"channels": [], "dead-letters": [], "store": []},
}


def answer(
    path: str, query: dict[str, str], language: str, right: str = "change", *, empty: bool = False
) -> Any:
    """Return what the API answers. An `empty` bot has just begun."""
    if empty and path in EMPTY:
        return EMPTY[path]
    if path == "session":
        return {
            **{"right": right, "csrf": "x", "language": language, "version": "0.1.0"},
            **{"life": "cafe", "node": "vps-1"},
        }
    if path.startswith("channels/"):
        found = next(each for each in CHANNELS if each["name"] == path.split("/")[1])
        return {**found, "ends": ENDS}
    if path == "store":
        return [
            {
                **{
                    "key": key,
                    "size": len(json.dumps(value)) + 5,
                    "persistent": "session" not in key,
                },
                "expires_in": 42.0 if key.startswith("cooldown") else None,
            }
            for key, value in KEYS.items()
        ]
    if path.startswith("store/"):
        key = unquote(path.removeprefix("store/"))
        about = {"key": key, "size": 64, "expires_in": None, "persistent": True}
        return {**about, "plain": True, "value": KEYS[key]}
    if path == "log/history":
        found = lines(language)
        return {"lines": found, "more": False, "next": None, "end": found[-1]["position"]}
    if path == "session/link":
        return {"url": f"http://127.0.0.1:20300/ticket/{'x' * 43}", "seconds": 3600, "port": 20300}
    if path.startswith("dead-letters/"):
        letter = next(each for each in LETTERS if each["id"] == path.split("/")[1])
        return {
            **letter,
            "plain": True,
            "value": {"job": "report", "day": "2026-11-28"},
            "text": None,
        }
    if path == "settings":
        fields = ("key", "value", "source", "changed")
        return [dict(zip(fields, each, strict=True)) for each in SETTINGS]
    if path == "figures":
        return figures(query.get("span", "hour"))
    return {"status": STATUS, "channels": CHANNELS, "dead-letters": LETTERS}[path]


def events() -> Iterator[str]:
    """Return what goes over a channel."""
    for number in range(6):
        out = number % 2 == 0
        message = {
            **{
                "time": ago(seconds=9 - number),
                "channel": "nonebot-active",
                "number": 20_411 + number,
            },
            **{"direction": "out" if out else "in", "kind": "message", "size": 40 + number},
            **{"sender": "main" if out else "nonebot", "receiver": "nonebot" if out else "main"},
            **{"form": "text", "redelivered": number == 4, "body": f"report {number}"},
        }
        yield f"event: message\ndata: {json.dumps(message)}\n\n"
