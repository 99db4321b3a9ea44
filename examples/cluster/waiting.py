"""Waits for the NATS server that the example has started at this moment."""

import os
import socket
import time
from urllib.parse import urlsplit


def wait_for_server() -> None:
    """Wait until it accepts connections, at most 10 seconds."""
    address = urlsplit(os.environ["LITEYUKI_NATS_URL"])
    for _ in range(100):
        try:
            socket.create_connection((address.hostname, address.port), 1).close()
            return
        except OSError:
            time.sleep(0.1)
