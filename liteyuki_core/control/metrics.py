"""Figures of a running bot in Prometheus's text format.

See https://prometheus.io/docs/instrumenting/exposition_formats/. Channels without a name are no
labels, so the number of series stays small.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from .models import Account, Channel, Node, Status

TYPE = "text/plain; version=0.0.4; charset=utf-8"

Sample = tuple[dict[str, str], float]


def text(status: Status, channels: list[Channel], nodes: list[Node]) -> str:
    """Return all figures. `nodes` are those of the cluster."""
    of = [({"process": process.name}, process) for process in status.processes]
    main = {"process": "main"}
    families: list[tuple[str, str, str, Iterable[Sample]]] = [
        (
            "liteyuki_process_up",
            "gauge",
            "Whether a process runs and is ready.",
            [(main, 1), *((label, p.state == "running") for label, p in of)],
        ),
        (
            "liteyuki_process_restarts_total",
            "counter",
            "How often a process was started again.",
            [(label, p.restarts) for label, p in of],
        ),
        (
            "liteyuki_process_resident_memory_bytes",
            "gauge",
            "Memory of a process and of all that it has started.",
            _known([(main, status.memory), *((label, p.memory) for label, p in of)]),
        ),
        (
            "liteyuki_process_cpu_seconds_total",
            "counter",
            "Processor time of a process and of all that it has started.",
            _known([(main, status.cpu_seconds), *((label, p.cpu_seconds) for label, p in of)]),
        ),
        (
            "liteyuki_process_loop_lag_seconds",
            "gauge",
            "How late the event loop of a process was last.",
            _known((label, p.loop_lag) for label, p in of),
        ),
        (
            "liteyuki_channel_messages_total",
            "counter",
            "Messages of a channel that has a name, by what has come of them.",
            [
                ({"channel": channel.name, "event": event}, getattr(channel, event))
                for channel in channels
                for event in ("sent", "acknowledged", "redelivered", "dropped")
            ],
        ),
        (
            "liteyuki_channel_backlog",
            "gauge",
            "Messages that were sent and are not handled yet.",
            [({"channel": channel.name}, channel.backlog) for channel in channels],
        ),
        (
            "liteyuki_dead_letters",
            "gauge",
            "Messages that were set aside.",
            [({}, status.dead_letters)],
        ),
        (
            "liteyuki_account_online",
            "gauge",
            "Whether an account is connected and logged in.",
            _online(status.accounts),
        ),
        (
            "liteyuki_node_up",
            "gauge",
            "Whether a node of the cluster runs.",
            [({"node": node.name}, node.state == "running") for node in nodes],
        ),
    ]
    return "".join(line + "\n" for family in families for line in _lines(*family))


def _online(accounts: list[Account]) -> list[Sample]:
    """Return one sample for each account, also if it is in several processes."""
    found: dict[tuple[str, str], bool] = {}
    for account in accounts:
        key = (account.adapter, account.id)
        found[key] = found.get(key, False) or account.state == "online"
    return [({"adapter": key[0], "account": key[1]}, online) for key, online in found.items()]


def _known(samples: Iterable[tuple[dict[str, str], float | None]]) -> list[Sample]:
    return [(labels, value) for labels, value in samples if value is not None]


def _lines(name: str, kind: str, about: str, samples: Iterable[Sample]) -> Iterator[str]:
    yield f"# HELP {name} {about}"
    yield f"# TYPE {name} {kind}"
    for labels, value in samples:
        inside = ",".join(f'{key}="{_escaped(each)}"' for key, each in labels.items())
        yield f"{name}{{{inside}}} {float(value)!r}" if inside else f"{name} {float(value)!r}"


def _escaped(label: str) -> str:
    return label.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
