"""What is known of a plugin of the main process."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from types import ModuleType
from typing import Any


class PluginType(Enum):
    """What a plugin is for. The members are those of LiteyukiBot v6."""

    APPLICATION = "application"
    """It runs an application, such as NoneBot."""
    SERVICE = "service"
    """It serves other processes."""
    MODULE = "module"
    """Other plugins use what is in it."""
    UNCLASSIFIED = "unclassified"
    TEST = "test"


@dataclass(frozen=True)
class PluginMetadata:
    """What a plugin says about itself, in the variable `__plugin_meta__` of its module.

    `type` may be given as a `PluginType` or as its value. Raises `ValueError` for any other.
    """

    name: str
    """The name that people read. The plugin's own name is that of its module."""
    description: str = ""
    usage: str = ""
    author: str = ""
    homepage: str = ""
    type: PluginType = PluginType.UNCLASSIFIED
    extra: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "type", PluginType(self.type))


@dataclass(frozen=True, eq=False)
class Plugin:
    """A loaded plugin of the main process."""

    name: str
    """The last part of its module's name."""
    module_name: str
    """The whole name of its module."""
    module: ModuleType = field(repr=False)
    file: str | None = field(repr=False)
    """The file that was loaded, or None if the module is built into Python."""
    metadata: PluginMetadata | None = field(repr=False)
    """The module's `__plugin_meta__`, or None if it has none."""
