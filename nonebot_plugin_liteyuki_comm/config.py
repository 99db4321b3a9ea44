"""The plugin's settings, read from NoneBot's own configuration."""

from pydantic import BaseModel


class Config(BaseModel):
    """Keys in NoneBot's `.env`, with the prefix `LITEYUKI_COMM_`."""

    liteyuki_comm_require_host: bool = False
    """Refuse to load if NoneBot was not started by a LiteyukiBot main process."""
    liteyuki_comm_forward: bool = False
    """Forward message events to the main process, whose plugins handle them."""
    liteyuki_comm_commands: bool = True
    """Answer the chat command `liteyuki` of SUPERUSERS."""
