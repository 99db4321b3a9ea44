"""`liteyuki top`: the processes as they are, and the log of one of them, on the whole terminal."""

from __future__ import annotations

import sys

from ..control import Client
from . import output
from .group import liteyuki
from .text import t


@liteyuki.command(help=t("Show the processes and their logs live; start, stop and restart them."))
def top() -> None:
    """Show them until a key ends it, or until the bot ends."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        output.fail(t("top needs a terminal; `liteyuki status` shows the same once"))
    try:
        import textual  # noqa: F401
    except ImportError:
        command = 'python -m pip install "nonebot-plugin-liteyuki-comm[top]"'
        output.fail(t("top needs textual: {command}").format(command=command))
    found = Client().ask("GET", "/status")  # An error is said before the screen is taken.
    from .live import Live
    from .screen import Top

    live = Live(found)
    live.start()
    try:
        Top(live).run()
    finally:
        live.close()
    if live.error is not None:
        raise live.error
