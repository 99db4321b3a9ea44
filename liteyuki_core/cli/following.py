"""What goes on in the bot, shown as it comes, until Ctrl+C or until the bot ends."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from ..control import Client
from .output import warn
from .text import t


def follow(path: str, query: Any, show: Callable[[dict[str, Any]], object], lost: str) -> None:
    """Show what comes on a stream. `lost` says how much was lost, with `{count}` in it."""
    try:
        for sent in Client().follow(path, query=query):
            if sent.kind == "lost":
                warn(lost.format(count=sent.data["lost"]))
            else:
                show(sent.data)
    except KeyboardInterrupt:
        return
    warn(t("the bot has ended"))


def clock(time: str) -> str:
    """Return the time of the day here, of a time that the API has given."""
    return (
        datetime.fromisoformat(time.replace("Z", "+00:00"))
        .astimezone()
        .strftime("%H:%M:%S.%f")[:-3]
    )
