"""What plugins say about themselves, with v6's tolerance."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from liteyuki_core.plugin import PluginMetadata as CoreMetadata
from liteyuki_core.plugin import PluginType
from liteyuki_core.plugin.model import Plugin

__all__ = ["Plugin", "PluginMetadata", "PluginType"]

_NAMES = ("__plugin_metadata__", "__liteyuki_plugin_meta__", "__plugin_meta__")
"""The variables that may hold it. The first that is there counts."""


def _type_of(given: Any) -> PluginType:
    try:
        return PluginType(getattr(given, "value", given))
    except ValueError:
        return PluginType.UNCLASSIFIED


class PluginMetadata(CoreMetadata):
    """What a plugin says about itself. Unknown fields are ignored, and so is an unknown type."""

    def __init__(
        self,
        name: str = "",
        description: str = "",
        usage: str = "",
        type: Any = PluginType.UNCLASSIFIED,
        author: str = "",
        homepage: str = "",
        extra: dict[str, Any] | None = None,
        **ignored: Any,
    ) -> None:
        super().__init__(name, description, usage, author, homepage, _type_of(type), extra or {})


def metadata_of(name: str, module: ModuleType) -> CoreMetadata | None:
    """Return what a plugin says about itself, whatever class it says that with."""
    there = vars(module)
    found = next((there[each] for each in _NAMES if there.get(each) is not None), None)
    if found is None or isinstance(found, CoreMetadata):
        return found
    texts = ("name", "description", "usage", "author", "homepage")
    said = {each: str(getattr(found, each, None) or "") for each in texts}
    extra = getattr(found, "extra", None)
    return PluginMetadata(
        **{**said, "name": said["name"] or name},
        type=getattr(found, "type", None),
        extra=dict(extra) if isinstance(extra, dict) else {},
    )
