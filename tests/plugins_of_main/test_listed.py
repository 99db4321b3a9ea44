"""Which plugins the settings and pyproject.toml list."""

from __future__ import annotations

import pytest

from tests.conftest import free_port
from tests.plugins_of_main.project import TELLS, Project, errors, loaded, told
from tests.program import STARTED, running, stopped_by_itself, write_files

FILES = dict.fromkeys(("p/a.py", "f/b.py", "g/c.py", "h/d.py"), TELLS)


@pytest.mark.parametrize(
    ("plugins", "folders"),
    [
        ("p.a, f/b.py", "g,h"),
        ('["p.a", "f/b.py"]', '["g", "h"]'),
        ('  [\n"p.a"  ,"f/b.py"]', ",g , h,"),
    ],
)
@pytest.mark.parametrize("place", ["environment", ".env"])
def test_lists_in_settings(project: Project, place: str, plugins: str, folders: str) -> None:
    """JSON as NoneBot has it, or commas; in the environment or in .env."""
    texts = {"plugins": plugins, "plugin_dirs": folders}
    lines = [f"LITEYUKI_{key.upper()}='{text}'\n" for key, text in texts.items()]
    files = {**FILES, ".env": "".join(lines) if place == ".env" else ""}
    output = project.run(files, **(texts if place == "environment" else {}))
    assert loaded(output) == ["a", "b", "c", "d"]
    assert "is no setting" not in output


def test_lists_in_pyproject(project: Project) -> None:
    """They come before those of the settings, plugins before folders; what is in both is once."""
    table = """
        [tool.liteyuki]
        plugins = ["p.a"]
        plugin_dirs = ["g"]
    """
    files = {**FILES, "pyproject.toml": table}
    output = project.run(files, plugins="f.b,p.a", plugin_dirs="h,g")
    assert told(output) == ["a", "b", "c", "d"]
    assert loaded(output) == ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    "table",
    [
        "",
        "[tool.liteyuki]\n",
        "[tool.liteyuki]\nplugins = []\n",
        "[tool.nonebot]\nplugins = ['a']\n",
    ],
)
def test_nothing_is_listed(project: Project, table: str) -> None:
    """Nothing is loaded, and nothing is said."""
    output = project.run({"pyproject.toml": table}, plugins="", plugin_dirs="[]")
    assert loaded(output) == []
    assert errors(output) == []
    assert "WARNING" not in output


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({".env": "LITEYUKI_PLUGINS=[a]"}, r"LITEYUKI_PLUGINS=[a]: Value error, this is no JSON"),
        ({".env": "LITEYUKI_PLUGINS=[1]"}, "LITEYUKI_PLUGINS=1: Input should be a valid string"),
        ({"pyproject.toml": "[tool.liteyuki]\nplugins = 'a'"}, "plugins in [tool.liteyuki] of"),
        ({"pyproject.toml": "[tool.liteyuki]\nplugin_dirs = [1]"}, "must be a list of texts"),
        ({"pyproject.toml": "[tool]\nliteyuki = 'a'"}, "[tool.liteyuki] must be a table, not 'a'"),
        ({"pyproject.toml": "[tool"}, "pyproject.toml is not TOML: "),
    ],
)
def test_lists_that_are_none(project: Project, files: dict[str, str], says: str) -> None:
    """A ConfigError names the place and what is wrong, and nothing is started."""
    output = project.run(files, code=1)
    assert "ConfigError: " in output
    assert says in output


def test_a_key_that_the_table_has_not(project: Project) -> None:
    """It is warned about, as keys of the environment are."""
    output = project.run({"pyproject.toml": "[tool.liteyuki]\nplugin = ['a']\n"})
    assert (
        "[⚠️WARNING] plugin (in [tool.liteyuki] of pyproject.toml) is no setting of LiteyukiBot: "
        "this table has plugins and plugin_dirs\n" in output
    )


def test_beside_nonebot(project: Project) -> None:
    """NoneBot reads the same .env and the same pyproject.toml, and each loads its own plugins."""
    files = {
        "of_main.py": TELLS,
        "of_nonebot.py": TELLS,
        ".env": "DRIVER=~none\nLITEYUKI_PLUGINS=of_main,of_main\n",
        "pyproject.toml": "[tool.liteyuki]\nplugins = ['of_main']\n[tool.nonebot.plugins]\n"
        "'@local' = ['of_nonebot']\n",
        "bot.py": """
            from liteyuki_core import LiteyukiBot

            if __name__ == "__main__":
                bot = LiteyukiBot()
                bot.add_process("nonebot", "liteyuki_core.frameworks.nonebot:run")
                bot.run()
        """,
    }
    write_files(project.folder, files)
    with running(project.folder, project.environment, PORT=str(free_port())) as program:
        program.wait_for_line(STARTED)
        assert told(program.output) == ["of_main", "of_nonebot"]
        assert program.stop() == 0
        assert stopped_by_itself(program), program.output
