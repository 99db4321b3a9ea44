"""Three NATS servers that are one cluster of their own: one of them may die."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import free_port
from tests.nats import NatsServer
from tests.nodes import OneNode
from tests.pair import in_thread


@pytest.mark.long
def test_one_server_of_three_is_killed(tmp_path: Path) -> None:
    """With three replicas nothing is lost, nothing comes twice, and all comes in order."""
    ports = [free_port() for _ in range(3)]
    routes = ", ".join(f"nats://127.0.0.1:{port}" for port in ports)
    servers = []
    for number, port in enumerate(ports):
        folder = tmp_path / str(number)
        folder.mkdir()
        cluster = f"cluster {{ name: c, listen: 127.0.0.1:{port}, routes: [{routes}] }}"
        servers.append(NatsServer(folder, f"server_name: s{number}\n{cluster}"))
    for server in servers:
        server.start()
    try:
        urls = [server.url for server in servers]
        first = OneNode(",".join(urls), "a", "t", replicas=3)
        second = OneNode(",".join(urls[::-1]), "b", "t", replicas=3)
        made = first.make("jobs", 64)
        got = second.get("jobs")
        sender = in_thread(lambda: [got.send(number, 60) for number in range(3000)])
        came = []
        for number in range(3000):
            if number == 500:
                servers[0].kill()
            came.append(made.receive(60))
        sender.join()
        assert came == list(range(3000))
        made.send("answer")
        assert got.receive(30) == "answer"
        first.close()
        second.close()
    finally:
        for server in servers:
            server.close()
