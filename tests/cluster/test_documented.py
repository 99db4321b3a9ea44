"""The documented example between two main processes that share a NATS server."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.conftest import ROOT, free_port
from tests.nats import NatsServer
from tests.program import ACTIVE, PASSIVE, listing, running, stopped_by_itself, write_files

MAIN = """
from liteyuki_core import LiteyukiBot

if __name__ == "__main__":
    bot = LiteyukiBot()
    bot.run()
"""

NONEBOT = """
from liteyuki_core import LiteyukiBot

if __name__ == "__main__":
    bot = LiteyukiBot()
    bot.add_process("nonebot", "liteyuki_core.frameworks.nonebot:run")
    bot.run()
"""


def test_the_example_across_nodes(
    tmp_path: Path, environment: dict[str, str], nats: NatsServer
) -> None:
    """Its main half on one node, its NoneBot half on another one: neither knows the difference."""
    for name in ("front", "back"):
        (tmp_path / name).mkdir()
    shutil.copytree(ROOT / "examples", tmp_path / "front" / "examples")
    shutil.copytree(ROOT / "examples", tmp_path / "back" / "examples")
    write_files(tmp_path / "front", {"bot.py": NONEBOT})
    write_files(
        tmp_path / "front", {"pyproject.toml": listing("examples.documented.nonebot_plugin")}
    )
    write_files(tmp_path / "back", {"bot.py": MAIN})
    del environment["LITEYUKI_LOG_LANG"]  # The documented line is that of the default.
    environment |= {
        "PORT": str(free_port()),
        "LITEYUKI_NATS_URL": nats.url,
        "LITEYUKI_CLUSTER": "documented",
    }
    with running(tmp_path / "front", environment, LITEYUKI_NODE="front") as front:
        front.wait_for_line("Uvicorn running on", timeout=60)
        with running(
            tmp_path / "back",
            environment,
            LITEYUKI_NODE="back",
            LITEYUKI_PLUGINS="examples.documented.main_process",
        ) as back:
            for pattern in (PASSIVE, ACTIVE):
                front.wait_for_line(pattern, 2, timeout=60)
            assert back.stop() == 0
        assert front.stop() == 0
        assert stopped_by_itself(front)
