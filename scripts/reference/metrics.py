"""The page of the metrics: what `/metrics` gives, with its labels."""

from __future__ import annotations

import re
from datetime import datetime, timezone

from words import GENERATED, document, needed

from liteyuki_core.control import metrics, models

SAYS = {
    "en": {
        "title": "Metrics",
        "intro": (
            "Every figure of a running bot, for Prometheus. `GET /metrics` on the "
            "[control socket](http.md) returns them. Channels without a name are no labels, so the "
            "number of series stays small."
        ),
        "kind": "Kind: ",
        "labels": "Labels: ",
        "none": "none",
    },
    "zh": {
        "title": "指标",
        "intro": (
            "运行中的机器人的所有指标，供 Prometheus 使用，由[控制套接字](http.md)的 "
            "`GET /metrics` 返回。没有名字的通道不作为标签，所以时间序列的数量不会太多。"
        ),
        "kind": "类型：",
        "labels": "标签：",
        "none": "无",
    },
}


def page(language: str) -> str:
    """Return the page."""
    says = SAYS[language]
    parts = []
    text = metrics.text(_status(), [_channel()], [_node()])
    for name, about, kind in re.findall(r"# HELP (\w+) (.*)\n# TYPE \w+ (\w+)\n", text):
        sample = re.search(rf"^{name}(?:{{(.*)}})? ", text, re.MULTILINE)
        assert sample is not None, f"a figure of {name}"
        labels = re.findall(r'(\w+)="', sample[1] or "")
        parts += [
            f"## `{name}`",
            about if language == "en" else needed("metrics", name, language),
            f"- {says['kind']}{kind}\n- {says['labels']}"
            + (" ".join(f"`{label}`" for label in labels) or says["none"]),
        ]
    return document(f"# {says['title']}", says["intro"], GENERATED[language], *parts)


def _status() -> models.Status:
    """Return a bot's state that has a figure of each kind."""
    now = datetime.now(timezone.utc)
    process = models.Process.model_construct(
        name="nonebot", state="running", restarts=0, memory=1, cpu_seconds=1.0, loop_lag=0.0
    )
    account = models.Account(
        adapter="OneBot V11", id="1", process="nonebot", state="online", since=now, nickname=""
    )
    return models.Status.model_construct(
        memory=1, cpu_seconds=1.0, dead_letters=0, processes=[process], accounts=[account]
    )


def _channel() -> models.Channel:
    counts = dict.fromkeys(
        ("sent", "acknowledged", "redelivered", "dropped", "backlog", "capacity", "bytes"), 0
    )
    return models.Channel(name="nonebot-active", **counts)


def _node() -> models.Node:
    return models.Node.model_construct(name="front", state="running")
