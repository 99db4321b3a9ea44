"""The command line: `liteyuki`. It asks the bot of a directory by its control socket.

Exit codes: 0 all is well, 1 it has failed, 2 it was asked wrongly, 3 something is down, 4 no bot
runs here.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import click


def main() -> None:
    """Run the command line with the process's arguments, and end the process."""
    try:
        import click  # noqa: F401
        import rich  # noqa: F401
    except ImportError as error:
        print(
            f"the command line needs {error.name}: "
            'python -m pip install "nonebot-plugin-liteyuki-comm[cli]"',
            file=sys.stderr,
        )
        sys.exit(1)
    whole()(prog_name="liteyuki")


def whole() -> click.Group:
    """Return the group `liteyuki` with all its commands."""
    # They join it when they are imported.
    from . import (  # noqa: F401
        commands,
        doctor,
        init,
        local,
        logs,
        nodes,
        service,
        store,
        tail,
        top,
        web,
    )
    from .group import liteyuki

    return liteyuki
