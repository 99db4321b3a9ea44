"""The main process's front for ASGI children: it has their connections. Inert on import."""
