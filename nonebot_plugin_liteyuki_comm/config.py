"""The plugin's settings, read from NoneBot's own configuration."""

from pydantic import BaseModel


class Config(BaseModel):
    """Keys for NoneBot's `.env`, prefix `LITEYUKI_COMM_`."""

    liteyuki_comm_require_host: bool = False
    """Refuse to load where NoneBot was not started by a LiteyukiBot main process."""
