"""What the documentation says one can start: the example, and the containers."""

from __future__ import annotations

from pathlib import Path

import yaml

from liteyuki_core.config import Settings
from tests.conftest import ROOT, free_port
from tests.program import running

COMPOSE = ROOT / "deploy" / "compose.yaml"


def test_the_example(tmp_path: Path, environment: dict[str, str]) -> None:
    """One command starts a server and two nodes, and Ctrl+C ends them."""
    command = str(ROOT / "examples" / "cluster")
    with running(tmp_path, environment, command, NATS_PORT=str(free_port())) as program:
        program.wait_for_line("front answers: HELLO 1 FROM BACK", timeout=60)
        assert program.stop() == 0
        assert not program.found("Traceback|has not stopped"), program.output


def test_the_containers() -> None:
    """Each node has a name of its own, settings that there are, and time to stop."""
    services = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["services"]
    nodes = {name: service for name, service in services.items() if name != "nats"}
    assert [service["environment"]["LITEYUKI_NODE"] for service in nodes.values()] == list(nodes)
    for service in nodes.values():
        for key in service["environment"]:
            assert hasattr(Settings(), key.removeprefix("LITEYUKI_").lower())
        assert int(service["stop_grace_period"].removesuffix("s")) > Settings().stop_timeout + 2
        assert "nats" in service["depends_on"]
    assert "-js" in services["nats"]["command"]
