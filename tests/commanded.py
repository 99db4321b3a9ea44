"""Two main processes that share a real NATS server: one is commanded from the other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.nats import NatsServer
from tests.program import Program, running_program


class Bots:
    """Two nodes, `a` and `b`, in folders of these names. Each has `echo-NODE` and `waits-NODE`."""

    def __init__(self, a: Program, b: Program) -> None:
        self.a, self.b = a, b


def started(
    folder: Path, stack: ExitStack, environment: dict[str, str], name: str, **more: str
) -> Program:
    """Start a node in a folder of its name."""
    (folder / name).mkdir(exist_ok=True)
    more = {"LITEYUKI_NODE": name, **more}
    return stack.enter_context(
        running_program(folder / name, environment, "clustered:commanded", **more)
    )


@contextmanager
def two_nodes(folder: Path, environment: dict[str, str], nats: NatsServer) -> Iterator[Bots]:
    """Run both nodes, all their processes ready, and end in good order what was not killed."""
    environment = {**environment, "LITEYUKI_NATS_URL": nats.url}
    with ExitStack() as stack:
        found = Bots(*(started(folder, stack, environment, name) for name in ("a", "b")))
        for bot in (found.a, found.b):
            bot.wait_for_line("^all run$", timeout=60)
        yield found
        for bot in (found.a, found.b):
            if bot.process.poll() is None:
                assert bot.stop() == 0, bot.output
            assert not bot.found("Traceback"), bot.output
