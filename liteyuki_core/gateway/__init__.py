"""The main process's front for ASGI children: it has their connections. Inert on import."""


def channel_of(process: str) -> str:
    """Return the name of the channel on which a child is told of connections.

    A child has a gateway if there is a channel of that name.
    """
    return f"{process}-gateway"
