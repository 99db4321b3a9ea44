"""A spare process takes over when its child crashes: it has imported what does not change.

Tests process/child/spare.py.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.children import acting
from tests.program import Environment, Program, running, write_files

BOT = """
    from liteyuki_core import LiteyukiBot
    from liteyuki_core.process import RestartPolicy

    if __name__ == "__main__":
        bot = LiteyukiBot()
        bot.add_process("child", "work:serve", restart=RestartPolicy(backoff=0.01))
        bot.run()
"""

WORK = """
    import os
    import sys

    from liteyuki_core.comm import active_channel
    from tests.children.acting import say

    say("has" if "websockets.frames" in sys.modules else "lacks", "websockets", os.getpid())

    def serve():
        import websockets.frames

        say("serves", os.getpid())
        active_channel.receive()
"""


@pytest.fixture
def program(tmp_path: Path, environment: Environment) -> Iterator[Program]:
    """A bot whose child imports a library when it is called."""
    write_files(tmp_path, {"bot.py": BOT, "work.py": WORK})
    with running(
        tmp_path, environment, LITEYUKI_SPARE="true", LITEYUKI_LOG_LEVEL="DEBUG"
    ) as started:
        yield started


def spare_of(program: Program, number: int = 1) -> int:
    """Wait for a spare process, and return its pid."""
    return int(program.wait_for_line(r"process child has a spare one \(pid (\d+)\)", number)[1])


def test_it_takes_over_with_the_libraries_imported(program: Program) -> None:
    """It has not imported the user's own code before that, and has a spare one in its turn."""
    first = int(program.wait_for_line(r"serves (\d+)")[1])
    spare = spare_of(program)
    assert program.found(f"lacks websockets {first}")
    assert not program.found(f"websockets {spare}")
    acting.kill(first)
    program.wait_for_line(f"serves {spare}")
    assert program.found(f"has websockets {spare}")
    program.wait_for_line("process child is ready", 2)
    second = spare_of(program, 2)
    assert len(program.found("serves ")) == 2
    assert program.stop() == 0
    assert not any(map(psutil.pid_exists, (first, spare, second)))


def test_a_spare_one_that_dies(program: Program) -> None:
    """It is said, and the child's next process is made as usual."""
    first = int(program.wait_for_line(r"serves (\d+)")[1])
    acting.kill(spare_of(program))
    program.wait_for_line("process child has no spare one until it is started anew, because it was")
    acting.kill(first)
    program.wait_for_line("serves ", 2)
    assert program.stop() == 0


def test_what_it_may_import(tmp_path: Path) -> None:
    """Modules of installed packages, but for those that are loaded in a way of their own."""
    code = """
        import importlib.util
        import sys

        import websockets.frames
        import own
        from liteyuki_core.process.child.spare import imported, preload

        spec = importlib.util.find_spec("websockets")
        class Loader(type(spec.loader)): ...
        found = imported()
        assert {"websockets", "websockets.frames"} <= set(found)
        assert "own" not in found and "os" not in found
        sys.modules["websockets"].__spec__.loader = Loader("websockets", spec.origin)
        assert not any(name.startswith("websockets") for name in imported())
        preload(["no_such_module", "own", "websockets.headers"])
        assert "websockets.headers" in sys.modules
    """
    write_files(tmp_path, {"own.py": "", "test.py": code})
    subprocess.run([sys.executable, "test.py"], cwd=tmp_path, check=True, timeout=60)
