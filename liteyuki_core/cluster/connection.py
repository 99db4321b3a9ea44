"""The connection to the NATS server, and what a cluster needs of JetStream.

Ownership. A `Connection` owns nats-py's client. `open` and `close` are called once each. All
methods are called on one loop, which is nobody's but the cluster's: see `cluster.py`.

`open` first makes a probe that does not try again: so a wrong password or address is told at once.
After that the client connects again for ever, and what it sends meanwhile waits in its buffer.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from time import monotonic
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec
import nats
import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from .. import log
from ..errors import ClusterError
from ..language import say

OLDEST = (2, 12)
"""The oldest server that does what is asked of it here."""

LEAST_PAYLOAD = 600 * 1024
"""The longest message that the server has to take, in bytes."""

_NO_LEADER = 10008
_PROBE_SECONDS = 2
_API_SECONDS = 5.0
_INFO_SECONDS = 1.0
ELECTION_SECONDS = 20.0
"""Servers of a NATS cluster that have just started have this time to find a leader. To stand for
election they wait up to 9 seconds, and it may take two.
"""

_CLOSE_SECONDS = 1.0
_AGAIN_SECONDS = 0.2
_PING_SECONDS = 5
_PENDING_BYTES = 64 << 20


class Access(NamedTuple):
    """Where the server is, and what it is to be shown."""

    url: str
    creds: str | None
    """The path of a credentials file of NATS."""
    ca: str | None
    """The path of the certificate of who has signed the server's."""


class Refused(Exception):
    """The server has answered that it does not do it. `code` is JetStream's error code."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class Connection:
    """One node's connection. `on_again` is called on the loop when it is there again."""

    def __init__(self, access: Access, name: str, on_again: Callable[[], object]) -> None:
        self._access = access
        self._name = name
        self._on_again = on_again
        self._client = Client()
        self._lost = False
        self._there = asyncio.Event()

    @property
    def shown(self) -> str:
        """The server's address as the log may show it."""
        return without_password(self._access.url)

    async def open(self) -> None:
        """Connect. Raises `ClusterError`, within seconds."""
        options = self._options()
        probe = Client()
        heard: list[Exception] = []

        async def hear(error: Exception) -> None:
            heard.append(error)

        try:
            connecting = probe.connect(
                **options,
                allow_reconnect=False,
                connect_timeout=_PROBE_SECONDS,
                max_reconnect_attempts=0,
                error_cb=hear,
            )
            # By itself it would look for other servers for ever.
            await asyncio.wait_for(connecting, 2 * _PROBE_SECONDS)
            self._client = probe
            await self._check()
        except ClusterError:
            raise
        except Exception as error:
            raise ClusterError(self._why(heard[-1] if heard else error)) from error
        finally:
            await _end(probe)
        self._client = Client()
        await self._client.connect(
            **options,
            connect_timeout=_PROBE_SECONDS,
            max_reconnect_attempts=-1,
            reconnect_time_wait=_AGAIN_SECONDS,  # type: ignore[arg-type]
            ping_interval=_PING_SECONDS,
            max_outstanding_pings=2,
            pending_size=_PENDING_BYTES,
            error_cb=self._failed,
            disconnected_cb=self._disconnected,
            reconnected_cb=self._reconnected,
        )
        self._there.set()

    async def close(self) -> None:
        """Send what waits to be sent, if the server is there, and end."""
        try:
            if self._client.is_connected:
                await asyncio.wait_for(self._client.flush(1), 1.5)
        except Exception:  # It is about to end anyway.
            pass
        self._lost = True
        await _end(self._client)

    @property
    def is_there(self) -> bool:
        """Whether the server is there, as far as is known."""
        return self._client.is_connected

    @property
    def max_payload(self) -> int:
        """The longest message that the server takes, in bytes."""
        return self._client.max_payload

    async def subscribe(
        self, subject: str, take: Callable[[Msg], Awaitable[None]]
    ) -> Callable[[], Awaitable[None]]:
        """Have `take` called with each message on a subject, one after another.

        Return what ends that.
        """
        subscription = await self._client.subscribe(
            subject, cb=take, pending_msgs_limit=-1, pending_bytes_limit=-1
        )
        await self._client.flush()
        return subscription.unsubscribe

    async def tell(self, subject: str, body: bytes, reply: str = "") -> None:
        """Send something that is lost if nobody listens; `reply` is told if nobody does."""
        await self._client.publish(subject, body, reply)

    async def request(self, subject: str, body: bytes, timeout: float) -> bytes:
        """Send something that is answered. Raises `NoRespondersError` if nobody listens."""
        answer = await self._client.request(subject, body, timeout)
        return answer.data

    async def there(self) -> None:
        """Wait until it is connected."""
        await self._there.wait()

    async def flush(self) -> None:
        """Wait until the server has what was sent."""
        await self._client.flush()

    async def ask(
        self, subject: str, body: Mapping[str, Any], timeout: float = _API_SECONDS
    ) -> dict[str, Any]:
        """Ask JetStream's API. Raises `Refused`, `asyncio.TimeoutError`, `nats.errors.Error`."""
        answer = await self._client.request(
            f"$JS.API.{subject}", msgspec.json.encode(body) if body else b"", timeout
        )
        return _read(answer)

    async def publish(
        self, subject: str, body: bytes, headers: Mapping[str, str], timeout: float = 2.0
    ) -> int:
        """Put something on a stream; return its number there. Raises what `ask` raises."""
        return (await self.put(subject, body, headers, timeout))[0]

    async def put(
        self, subject: str, body: bytes, headers: Mapping[str, str], timeout: float = 2.0
    ) -> tuple[int, bool]:
        """Do what `publish` does; return also whether its Nats-Msg-Id was on the stream before."""
        answer = await self._client.request(subject, body, timeout, headers=dict(headers))
        read = _read(answer)
        return int(read["seq"]), bool(read.get("duplicate"))

    # ------------------------------------------------------------- inside

    def _options(self) -> dict[str, Any]:
        access = self._access
        options: dict[str, Any] = {
            "servers": [each.strip() for each in access.url.split(",")],
            "name": self._name,
        }
        if access.creds is not None:
            options["user_credentials"] = access.creds
        if access.ca is not None or access.url.startswith("tls:"):
            try:
                options["tls"] = ssl.create_default_context(cafile=access.ca)
            except (OSError, ssl.SSLError) as error:
                raise ClusterError(
                    f"LITEYUKI_NATS_CA={access.ca} is no file of certificates: {error}"
                ) from error
        return options

    async def _check(self) -> None:
        version = self._client.connected_server_version
        if (version.major, version.minor) < OLDEST:
            raise ClusterError(
                f"the NATS server at {self.shown} is {version.major}.{version.minor}."
                f"{version.patch}; {'.'.join(map(str, OLDEST))} or newer is needed"
            )
        if self.max_payload < LEAST_PAYLOAD:
            raise ClusterError(
                f"the NATS server at {self.shown} takes messages of up to "
                f"{self.max_payload} bytes; its max_payload must be {LEAST_PAYLOAD} or more, and "
                "is 1 MB unless it is set"
            )
        until = monotonic() + ELECTION_SECONDS
        while not await self._has_jetstream():
            if monotonic() > until:
                raise ClusterError(
                    f"the servers at {self.shown} do not agree on who leads them: JetStream does "
                    "not answer"
                )

    async def _has_jetstream(self) -> bool:
        """Return whether JetStream is ready. Raises `ClusterError` if there is none."""
        try:
            await self.ask("INFO", {}, _INFO_SECONDS)
        except nats.errors.NoRespondersError as error:
            raise ClusterError(
                f"the NATS server at {self.shown} has no JetStream: start it with `-js`, or with "
                "`jetstream {}` in its configuration"
            ) from error
        except nats.errors.TimeoutError:
            return False
        except Refused as error:
            if error.code == _NO_LEADER:
                return False
            raise ClusterError(
                f"the NATS server at {self.shown} gives this account no JetStream: {error}"
            ) from error
        return True

    def _why(self, error: Exception) -> str:
        where = f"the NATS server at {self.shown}"
        text = str(error).removeprefix("nats: ").strip("'") or type(error).__name__
        if isinstance(error, ssl.SSLError) or isinstance(error.__cause__, ssl.SSLError):
            return (
                f"{where} is not believed to be who it says: {text}; LITEYUKI_NATS_CA names the "
                "certificate of who has signed its own"
            )
        if "authorization" in text.lower() or "authentication" in text.lower():
            return (
                f"{where} does not let this node in: {text}; user and password belong into "
                "LITEYUKI_NATS_URL=nats://USER:PASSWORD@HOST:PORT, a credentials file into "
                "LITEYUKI_NATS_CREDS"
            )
        return f"{where} can't be reached: {text}; LITEYUKI_NATS_URL says where it is"

    async def _failed(self, error: Exception) -> None:
        log.logger.debug(f"NATS: {error!r}")

    async def _disconnected(self) -> None:
        self._there.clear()
        if not self._lost:
            self._lost = True
            log.logger.warning(
                say(
                    "the NATS server at {url} is gone: what needs other nodes waits until it is "
                    "back",
                    url=self.shown,
                )
            )

    async def _reconnected(self) -> None:
        self._there.set()
        self._lost = False
        log.logger.info(say("the NATS server at {url} is back", url=self.shown))
        self._on_again()


def without_password(url: str) -> str:
    """Return one or several addresses without what is secret."""
    shown = []
    for each in url.split(","):
        parts = urlsplit(each.strip())
        host = parts.netloc.rpartition("@")[2]
        shown.append(f"{parts.scheme}://{host}" if host else each.strip().rpartition("@")[2])
    return ",".join(shown)


async def _end(client: Client) -> None:
    """Close a client. One whose TLS has failed would wait for the other side for ever."""
    with suppress(asyncio.TimeoutError, nats.errors.Error, OSError):
        await asyncio.wait_for(client.close(), _CLOSE_SECONDS)


def _read(answer: Msg) -> dict[str, Any]:
    read: dict[str, Any] = msgspec.json.decode(answer.data, type=dict[str, Any])
    error = read.get("error")
    if error is not None:
        raise Refused(int(error.get("err_code", 0)), str(error.get("description", error)))
    return read
