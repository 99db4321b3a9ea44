"""The texts of alerts, in English and Chinese, as LITEYUKI_LOG_LANG says. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Lang = Literal["zh", "en"]

_TEXTS: Mapping[Lang, Mapping[str, str]] = {
    "en": {
        "account": "account {name} ({adapter}, process {process})",
        "offline": "{account} has been offline for {time}: it is connected, but not logged in.",
        "disconnected": "{account} has been disconnected for {time}, though its process runs.",
        "back": "{account} is online again, after {time}.",
        "failed": "Process {process} has failed and is not started again: {outcome}.",
        "memory": "Process {process} is restarted: it had more memory than its limit, {limit}.",
        "letter": "A message on channel {channel} is set aside: process {process} has crashed "
        "{crashes} times in a row while it handled it. See: liteyuki dead-letters",
        "gone": "Node {node} of the cluster has been gone for {time}: what is sent to it waits.",
        "node back": "Node {node} of the cluster is back, after {time}.",
        "no server": "The NATS server of the cluster has been away for {time}: what is sent to "
        "other nodes waits.",
        "server back": "The NATS server of the cluster is back, after {time}.",
        "of node": "Node {node}: {text}",
        "more": "And {count} more: at most {limit} alerts an hour are sent. See the log.",
        "unknown": "the log says why",
        "seconds": "{count} s",
        "minutes": "{count} min",
        "hours": "{count} h",
    },
    "zh": {
        "account": "账号 {name}（{adapter}，进程 {process}）",
        "offline": "{account}已离线 {time}：连接正常，但账号没有登录。",
        "disconnected": "{account}已断开连接 {time}，而它的进程仍在运行。",
        "back": "{account}恢复在线，此前中断了 {time}。",
        "failed": "进程 {process} 已失败，不会再自动启动：{outcome}。",
        "memory": "进程 {process} 的内存超过了上限 {limit}，已重启。",
        "letter": "通道 {channel} 的一条消息被搁置：进程 {process} 处理它时连续崩溃 {crashes} 次。"
        "查看：liteyuki dead-letters",
        "gone": "集群的节点 {node} 已失联 {time}，发给它的消息会等它回来。",
        "node back": "集群的节点 {node} 恢复了，此前失联 {time}。",
        "no server": "集群的 NATS 服务器已断开 {time}，发往其他节点的消息会等它恢复。",
        "server back": "集群的 NATS 服务器恢复了，此前断开 {time}。",
        "of node": "节点 {node}：{text}",
        "more": "另有 {count} 条告警没有发送：每小时最多发送 {limit} 条，详情见日志。",
        "unknown": "原因见日志",
        "seconds": "{count} 秒",
        "minutes": "{count} 分钟",
        "hours": "{count} 小时",
    },
}


def text(lang: Lang, key: str, **fields: object) -> str:
    """Return a text in a language."""
    return _TEXTS[lang][key].format(**fields)


def in_words(lang: Lang, seconds: float) -> str:
    """Return a duration for people, in one unit."""
    whole = round(seconds)
    if whole < 120:
        return text(lang, "seconds", count=whole)
    if whole < 7200:
        return text(lang, "minutes", count=whole // 60)
    return text(lang, "hours", count=whole // 3600)
