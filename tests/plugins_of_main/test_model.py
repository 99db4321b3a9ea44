"""What a plugin says about itself.

Tests plugin/model.py.
"""

from __future__ import annotations

import pytest

from liteyuki_core.plugin import PluginMetadata, PluginType
from tests.plugins_of_main.project import Project, errors, loaded


def test_the_types_are_those_of_v6() -> None:
    """By name and value."""
    assert {kind.name: kind.value for kind in PluginType} == {
        "APPLICATION": "application",
        "SERVICE": "service",
        "MODULE": "module",
        "UNCLASSIFIED": "unclassified",
        "TEST": "test",
    }


def test_only_the_name_is_needed() -> None:
    """The other fields are empty, and no two share what can be changed."""
    one, other = PluginMetadata("weather"), PluginMetadata("weather")
    assert one == other
    assert (one.description, one.usage, one.author, one.homepage) == ("", "", "", "")
    assert one.type is PluginType.UNCLASSIFIED
    assert one.extra == {}
    assert one.extra is not other.extra


def test_the_order_of_fields_and_a_type_by_its_value() -> None:
    """As design and v6 have them."""
    found = PluginMetadata("a", "b", "c", "d", "e", "service", {"f": 1})  # type: ignore[arg-type]
    assert found.type is PluginType.SERVICE
    assert (found.description, found.usage, found.author, found.homepage) == ("b", "c", "d", "e")
    with pytest.raises(ValueError, match="'servant' is not a valid PluginType"):
        PluginMetadata("a", type="servant")  # type: ignore[arg-type]


def test_metadata_is_found_in_the_module(project: Project) -> None:
    """A plugin without it is fine, one of another class is named, a wrong one fails."""
    imports = "from liteyuki_core.plugin import PluginMetadata\n"
    files = {
        "full.py": imports + "__plugin_meta__ = PluginMetadata('天气', extra={'a': 1})\n",
        "without.py": "",
        "foreign.py": "__plugin_meta__ = {'name': 'weather'}\n",
        "wrong.py": imports + "__plugin_meta__ = PluginMetadata('weather', type='servant')\n",
    }
    lines = """
        full, without, foreign = map(load_plugin, ("full", "without", "foreign"))
        assert full.metadata.name == "天气"
        assert full.metadata.extra == {"a": 1}
        assert without.metadata is None
        assert foreign.metadata is None
    """
    output = project.run(files, lines, plugins="wrong")
    assert loaded(output) == ["full", "without", "foreign"]
    assert (
        "[⚠️WARNING] plugin foreign: its __plugin_meta__ is ignored, because it is a dict and no "
        "PluginMetadata of liteyuki_core.plugin\n" in output
    )
    (error,) = errors(output)
    assert error.startswith("plugin wrong could not be loaded: ValueError: 'servant' is not")
