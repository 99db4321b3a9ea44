"""Calls of functions in workers, in a cluster: real main processes over a real server.

Tests comm/workers.py, comm/ends/crossing.py, process/child/worker.py.
"""

from __future__ import annotations

from pathlib import Path

from tests.nats import NatsServer
from tests.program import Environment, running_program, went_well


def test_calls_at_home(tmp_path: Path, environment: Environment, nats: NatsServer) -> None:
    """Arguments and results between processes of one node are what they are without a cluster."""
    environment |= {"LITEYUKI_NATS_URL": nats.url, "LITEYUKI_NODE": "a"}
    with running_program(tmp_path, environment, "reaching:at_home") as bot:
        went_well(bot)
        assert not bot.found("Traceback|has not stopped|is left"), bot.output
