"""Hosts that are cut off from each other without a word, in network namespaces of Linux.

The server and one node are on one side, the other node is on the other one.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.cluster.counting import SLOW, check, environment_of, numbers, wait_for_some
from tests.nats import NatsServer
from tests.program import Program, program_command, program_environment, running


class OtherHost:
    """A network namespace, and the cable to it."""

    def __init__(self) -> None:
        self.name = f"ly{os.getpid()}"
        # Of the networks that are for trying out devices: nobody is there.
        network = f"198.18.{os.getpid() % 256}"
        self.here, there = f"{network}.1", f"{network}.2"
        self._ip("netns", "add", self.name)
        self._cable = f"{self.name}a"
        self._ip("link", "add", self._cable, "type", "veth", "peer", f"{self.name}b")
        self._ip("link", "set", f"{self.name}b", "netns", self.name)
        self._ip("addr", "add", f"{self.here}/30", "dev", self._cable)
        self._ip("-n", self.name, "addr", "add", f"{there}/30", "dev", f"{self.name}b")
        self._ip("-n", self.name, "link", "set", "lo", "up")
        self._ip("-n", self.name, "link", "set", f"{self.name}b", "up")
        self.join()

    def command(self, *command: str) -> tuple[str, ...]:
        """Return what runs a command there."""
        return ("netns", "exec", self.name, *command)

    def cut(self) -> None:
        """Lose all that is sent, in both directions."""
        self._ip("link", "set", self._cable, "down")

    def join(self) -> None:
        """Undo `cut`."""
        self._ip("link", "set", self._cable, "up")

    def close(self) -> None:
        """End it."""
        subprocess.run(["ip", "link", "delete", self._cable], capture_output=True)
        subprocess.run(["ip", "netns", "delete", self.name], capture_output=True)

    def _ip(self, *arguments: str) -> None:
        try:
            subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)
        except subprocess.CalledProcessError as error:
            self.close()
            pytest.skip(f"no network namespaces here: {error.stderr.strip()}")


@pytest.fixture
def other_host() -> Iterator[OtherHost]:
    """Another host, where the system has such."""
    if shutil.which("ip") is None:
        pytest.skip("no network namespaces here: there is no `ip`")
    host = OtherHost()
    yield host
    host.close()


@pytest.mark.long
@pytest.mark.parametrize("there", ["receiving", "sending"])
def test_hosts_are_cut_off(
    tmp_path: Path, environment: dict[str, str], other_host: OtherHost, there: str
) -> None:
    """Each misses the other within 10 s; what was sent waits, and then comes once, in order."""
    server = NatsServer(tmp_path, host=other_host.here)
    server.start()
    commands = {
        "receiving": program_command("clustered:receiving"),
        "sending": program_command("clustered:sending", "0", "3000"),
    }
    interpreters = {name: command[0] for name, command in commands.items()}
    arguments = {name: tuple(command[1:]) for name, command in commands.items()}
    arguments[there] = other_host.command(*commands[there])
    interpreters[there] = "ip"
    environment = program_environment(environment_of(environment, server))
    folders = {name: tmp_path / name for name in commands}
    for folder in folders.values():
        folder.mkdir()

    def node(name: str) -> AbstractContextManager[Program]:
        return running(
            folders[name],
            environment,
            *arguments[name],
            interpreter=interpreters[name],
            LITEYUKI_NODE=name,
        )

    try:
        with node("receiving") as receiver:
            server.wait_for_channel("numbers")
            with node("sending") as sender:
                wait_for_some(receiver, 200)
                other_host.cut()
                away, here = (sender, receiver) if there == "sending" else (receiver, sender)
                here.wait_for_line(f"node {there} of the cluster is gone", timeout=12)
                away.wait_for_line("the NATS server at .* is gone", timeout=SLOW)
                other_host.join()
                sender.wait_for_line("^> all$", timeout=SLOW)
                assert sender.stop() == 0
            assert receiver.stop() == 0
            check(numbers(receiver), 0, 3000)
    finally:
        server.close()
