"""What the settings say about the cluster."""

from __future__ import annotations

from typing import NamedTuple

from ..config import Settings
from ..errors import ConfigError
from .connection import Access
from .subjects import NAME


class Options(NamedTuple):
    """What the settings say about the cluster."""

    access: Access
    cluster: str
    node: str
    replicas: int
    grace: float = 0.0
    """Channels of a node that is gone for so many seconds are broken. 0: they wait."""


def options_of(settings: Settings) -> Options:
    """Return what the settings say. Raises `ConfigError` if something is missing or not allowed."""
    access = Access(str(settings.nats_url), settings.nats_creds, settings.nats_ca)
    if settings.node is None:
        raise ConfigError(
            "LITEYUKI_NATS_URL needs LITEYUKI_NODE: this main process's name in the cluster"
        )
    if settings.store_path is not None:
        raise ConfigError(
            "LITEYUKI_STORE_PATH and LITEYUKI_NATS_URL are both set: the nodes of a cluster share "
            "one store, which the NATS server keeps, so there is no file; remove the path"
        )
    for key, name in (("NODE", settings.node), ("CLUSTER", settings.cluster)):
        if not NAME.fullmatch(name):
            raise ConfigError(
                f"LITEYUKI_{key}={name!r}: a name has 1 to 32 letters, digits, - or _"
            )
    return Options(
        access, settings.cluster, settings.node, settings.nats_replicas, settings.node_grace
    )
