"""The packages, NoneBot's store and nb-cli: that the plugin can be published and installed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.conftest import DEADLINE, ROOT, free_port
from tests.program import listing, main_process, python, running, stopped_by_itself, write_files

NAME = "nonebot-plugin-liteyuki-comm"
PACKAGES = ("liteyuki_core", "nonebot_plugin_liteyuki_comm")
SDIST, WHEEL = "*.tar.gz", "*.whl"


def call(
    command: list[str | Path],
    folder: Path,
    environment: Mapping[str, str],
    timeout: float = 6 * DEADLINE,
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        timeout=timeout,
    )


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of what is published: an sdist, and the wheel that is built from it."""
    folder = tmp_path_factory.mktemp("packages")
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT]
    built = call(build, folder, {**os.environ, "PYTHONUTF8": "1"})
    assert built.returncode == 0, built.stdout
    return folder


def package(folder: Path, kind: str) -> Path:
    """Return the one package of a kind."""
    (file,) = folder.glob(kind)
    return file


@pytest.fixture(scope="session")
def wheel(packages: Path) -> Path:
    """The project's wheel."""
    return package(packages, WHEEL)


def test_pypi_takes_the_packages(packages: Path) -> None:
    """Their metadata is valid, and PyPI can show the README."""
    assert len(list(packages.iterdir())) == 2
    check = [sys.executable, "-m", "twine", "check", "--strict", *packages.iterdir()]
    checked = call(check, packages, {**os.environ, "PYTHONUTF8": "1", "NO_COLOR": "1"})
    assert checked.returncode == 0, checked.stdout
    assert checked.stdout.count("PASSED") == 2, checked.stdout


def test_the_sdist_holds_what_is_needed(packages: Path) -> None:
    """What the wheel is built from, what starts the documented example, and no more."""
    with tarfile.open(package(packages, SDIST)) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {name.partition("/")[0] for name in names} == {
        *(*PACKAGES, "examples", "bot.py", "pyproject.toml", "PKG-INFO", ".gitignore"),
        *("LICENSE", "CHANGELOG.md", "README.md", "README.zh-CN.md"),
    }
    for folder in (*PACKAGES, "examples"):
        sources = (ROOT / folder).rglob("*.py")
        assert {path.relative_to(ROOT).as_posix() for path in sources} <= names


@pytest.mark.long
@pytest.mark.parametrize("which", [SDIST, WHEEL])
def test_the_documented_example_runs_from_it(
    packages: Path, which: str, tmp_path: Path, environment: dict[str, str]
) -> None:
    """Installed with what it depends on in a fresh environment, it prints the documented lines.

    Those who start with the sdist have the example in it. Where Python gets packages is asked.
    """
    for name in ("VIRTUAL_ENV", "PYTHONPATH", "PIP_REQUIRE_VIRTUALENV"):
        environment.pop(name, None)
    with tarfile.open(package(packages, SDIST)) as archive:
        archive.extractall(tmp_path, filter="data")
    (unpacked,) = tmp_path.iterdir()
    project = tmp_path / "project"
    project.mkdir()
    for name in ("bot.py", "pyproject.toml", "examples"):
        (unpacked / name).rename(project / name)
    shutil.rmtree(unpacked)

    venv.create(tmp_path / "fresh", with_pip=True)
    interpreter = tmp_path / "fresh" / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    install = [interpreter, "-m", "pip", "install", "--quiet", package(packages, which)]
    done = call(install, tmp_path, environment, timeout=20 * DEADLINE)
    assert done.returncode == 0, done.stdout
    where = call(
        [interpreter, "-c", "import liteyuki_core as c; print(c.__file__)"], project, environment
    )
    assert Path(where.stdout.strip()).is_relative_to(tmp_path / "fresh"), where.stdout

    environment["PORT"] = str(free_port())
    with running(project, environment, interpreter=interpreter) as program:
        for kind in ("Passive", "Active"):
            line = rf"{kind} receive: I am liteyuki main process {kind.lower()}$"
            program.wait_for_line(line)
        program.wait_for_line("Uvicorn running on")
        assert program.stop() == 0
        assert stopped_by_itself(program), program.output


def test_the_wheel_holds_both_packages_typed(wheel: Path) -> None:
    """Both packages with their py.typed are inside, and nothing else but the metadata."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        assert f"Name: {NAME}\n" in archive.read(metadata).decode("utf-8")
        (points,) = (name for name in names if name.endswith(".dist-info/entry_points.txt"))
        scripts = archive.read(points).decode("utf-8")
    for group in ("console_scripts", "nb_scripts"):
        assert f"[{group}]\nliteyuki = liteyuki_core.cli:main\n" in scripts
    tops = {name.partition("/")[0] for name in names}
    assert tops == {*PACKAGES, metadata.partition("/")[0]}
    for package in PACKAGES:
        assert f"{package}/py.typed" in names
        sources = (ROOT / package).rglob("*.py")
        assert {path.relative_to(ROOT).as_posix() for path in sources} <= set(names)
    page = (path for path in (ROOT / "liteyuki_core/web/page").rglob("*") if path.is_file())
    assert {path.relative_to(ROOT).as_posix() for path in page} <= set(names)


# What the store's own driver for this test does: it can be combined with anything and does
# nothing, so a plugin that connects or listens while it is loaded fails.
STORE_DRIVER = """
    from nonebot import logger
    from nonebot.drivers import ASGIMixin, HTTPClientMixin, WebSocketClientMixin
    from nonebot.drivers import Driver as BaseDriver


    def refuse(self, *args, **kwargs):
        raise NotImplementedError


    class Driver(BaseDriver, ASGIMixin, HTTPClientMixin, WebSocketClientMixin):
        type = "fake"
        logger = logger
        server_app = None
        asgi = property(refuse)
        run = setup_http_server = setup_websocket_server = refuse
        request = websocket = stream_request = get_session = refuse
"""

STORE_RUNNER = """
    import json
    import threading

    from nonebot import init, load_plugin
    from pydantic import BaseModel

    init()
    plugin = load_plugin("nonebot_plugin_liteyuki_comm")
    assert plugin is not None
    told = plugin.metadata
    assert told is not None
    assert told.config is None or issubclass(told.config, BaseModel)
    adapters = told.supported_adapters
    fields = {
        "name": told.name,
        "desc": told.description,
        "usage": told.usage,
        "type": told.type,
        "homepage": told.homepage,
        "supported_adapters": None if adapters is None else sorted(adapters),
    }
    with open("metadata.json", "w", encoding="utf-8") as file:
        json.dump(fields, file)
    assert threading.enumerate() == [threading.main_thread()]
"""


@pytest.mark.parametrize("driver", ["fake", "~none"])
def test_the_store_can_load_it(tmp_path: Path, environment: dict[str, str], driver: str) -> None:
    """NoneBot's store loads it in an empty project, and finds the metadata it shows."""
    files = {".env": f"DRIVER={driver}", "fake.py": STORE_DRIVER, "runner.py": STORE_RUNNER}
    write_files(tmp_path, files)
    done = call([sys.executable, "runner.py"], tmp_path, environment)
    assert done.returncode == 0, done.stdout
    assert "Traceback" not in done.stdout
    told = json.loads((tmp_path / "metadata.json").read_text(encoding="utf-8"))
    assert told["type"] in ("application", "library")
    assert told["homepage"].startswith("https://")
    assert told["supported_adapters"] is None
    assert all(told[field].strip() for field in ("name", "desc", "usage"))


def lend_dependencies(project: Path, interpreter: Path, environment: Mapping[str, str]) -> None:
    """Let the project's .venv see all that is installed here, but not this project itself.

    Its packages folder gets a path file that names a folder of links; editable installs need
    path files of their own, which Python does not look for there.
    """
    lent = project / "lent"
    lent.mkdir()
    for folder in map(Path, sys.path):
        if folder.name in ("site-packages", "dist-packages"):
            for entry in folder.iterdir():
                ours = entry.name.startswith((*PACKAGES, "__pycache__")) or entry.suffix == ".pth"
                if not ours and not (lent / entry.name).exists():
                    (lent / entry.name).symlink_to(entry)
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = Path(call([interpreter, "-c", code], project, environment).stdout.strip())
    (packages / "lent.pth").write_text(f"{lent}\n", encoding="utf-8")


STORE_ENTRY = {
    "module_name": "nonebot_plugin_liteyuki_comm",
    "project_link": NAME,
    "name": "轻雪通信",
    "desc": "channels",
    "author": "LiteyukiStudio",
    "homepage": "https://github.com/LiteyukiStudio/nonebot-plugin-liteyuki-comm",
    "tags": [],
    "time": "2026-01-01T00:00:00Z",
    "version": "0.1.0",
}

TELL_WHERE = """
    import liteyuki_core
    from liteyuki_core import logger
    from nonebot import require

    logger.info(f"core: {liteyuki_core.__file__}")
    logger.info(f"plugin: {require('nonebot_plugin_liteyuki_comm').__file__}")
"""


@pytest.mark.skipif(
    sys.platform in ("win32", "darwin"), reason="nb-cli finds its cache by XDG_CACHE_HOME only here"
)
def test_nb_cli_installs_it(wheel: Path, tmp_path: Path, environment: dict[str, str]) -> None:
    """`nb plugin install` puts the wheel into the project's .venv and the plugin on its list."""
    project = tmp_path / "project"
    write_files(
        project,
        {
            "pyproject.toml": '[project]\nname = "scratch"\nversion = "0"\n' + listing("where"),
            "bot.py": main_process(),
            "where.py": TELL_WHERE,
            "../cache/nb-cli/plugins.json": json.dumps([STORE_ENTRY]),
        },
    )
    for name in ("VIRTUAL_ENV", "PYTHONPATH", "PIP_REQUIRE_VIRTUALENV"):
        environment.pop(name, None)
    for scheme in ("http", "https", "all"):  # Whoever asks the network fails at once.
        for name in (f"{scheme}_proxy", f"{scheme.upper()}_PROXY"):
            environment[name] = "http://127.0.0.1:9"
    environment["XDG_CACHE_HOME"] = str(tmp_path / "cache")
    environment["PORT"] = str(free_port())
    venv.create(project / ".venv", symlinks=True)
    interpreter = project / ".venv" / "bin" / "python"
    lend_dependencies(project, interpreter, environment)
    find = f"import importlib.util as u; print([u.find_spec(name) for name in {PACKAGES}])"
    assert call([interpreter, "-c", find], project, environment).stdout == "[None, None]\n"

    install = ["plugin", "install", NAME, "--", "--no-index", "--find-links", str(wheel.parent)]
    done = call([sys.executable, "-m", "nb_cli", *install], project, environment)
    assert done.returncode == 0, done.stdout
    assert f"Successfully installed {NAME}-0.1.0" in done.stdout

    shown = call([interpreter, "-m", "pip", "show", "--files", NAME], project, environment).stdout
    assert f"Location: {project / '.venv'}" in shown
    assert "Editable" not in shown
    assert "liteyuki_core/py.typed" in shown
    read = """
        import json
        import tomlkit

        with open("pyproject.toml", encoding="utf-8") as file:
            print(json.dumps(tomlkit.load(file).unwrap()))
    """
    table = json.loads(python(read, project, environment).stdout)
    assert table["tool"]["nonebot"]["plugins"] == {
        "@local": ["where"],
        NAME: ["nonebot_plugin_liteyuki_comm"],
    }
    assert table["project"]["dependencies"] == [f"{NAME}>=0.1.0"]

    with running(project, environment, interpreter=interpreter) as program:
        program.wait_for_line(r'Succeeded to load plugin "nonebot_plugin_liteyuki_comm"')
        for what in ("core", "plugin"):
            where = program.wait_for_line(rf"\] {what}: (.*)$")[1]
            assert Path(where).is_relative_to(project / ".venv")
        program.wait_for_line("Uvicorn running on")
        assert program.stop() == 0
        assert stopped_by_itself(program), program.output
