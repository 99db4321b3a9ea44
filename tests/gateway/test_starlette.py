"""Law 1 of the gateway: what Starlette's own tests show behind uvicorn, they show behind it too.

The tests that get a client run twice, over a port: behind uvicorn by itself, and behind a bot's
gateway. See `tests/children/starlette_suite.py`.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
from importlib.metadata import version
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.conftest import DEADLINE, ROOT, free_port
from tests.program import Environment, main_process, running, write_files

_LONG = 20 * DEADLINE

BEHIND_UVICORN = """
    import starlette_suite
    import uvicorn


    async def lifespan(scope, receive, send):
        await receive()
        starlette_suite.begin()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})


    if __name__ == "__main__":
        uvicorn.run(starlette_suite.Suite(lifespan), port=starlette_suite.port())
"""
BEHIND_GATEWAY = """
    import nonebot
    import starlette_suite


    @nonebot.get_driver().on_startup
    async def startup():
        app = nonebot.get_app()
        app.middleware_stack = starlette_suite.Suite(app.middleware_stack)
        starlette_suite.begin()
"""


def downloaded(folder: Path) -> Path:
    """Return the archive of the sources of the Starlette that is installed."""
    wanted = f"starlette=={version('starlette')}"
    options = ["--no-deps", "--no-binary=:all:", "--no-build-isolation", f"--dest={folder}"]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "download", *options, wanted],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        timeout=6 * DEADLINE,
    )
    if done.returncode and "Retrying" in done.stdout:
        pytest.skip("pip reaches no index")
    assert done.returncode == 0, done.stdout
    (archive,) = folder.glob("*.tar.gz")
    return archive


def unpack(sources: Path, folder: Path) -> None:
    """Put the tests into a folder, and how pytest is to run them."""
    with tarfile.open(sources) as archive:
        for member in archive.getmembers():
            member.name = member.name.partition("/")[2]
            if member.name.startswith("tests/") or member.name == "pyproject.toml":
                archive.extract(member, folder, filter="data")


def found(folder: Path, environment: Environment, *arguments: str) -> dict[str, str]:
    """Run a server with the tests in it. Return what each test has led to: "" where it passes."""
    environment = {**environment, "PORT": str(free_port())}
    environment["PYTHONNODEBUGRANGES"] = "1"  # Tracebacks without parsing, see the suite.
    environment["PYTHONPATH"] = str(ROOT / "tests" / "children")
    with running(folder, environment, *arguments) as program:
        program.wait_until((folder / "found").exists, "the tests have run", _LONG)
        program.stop()
    results = {}
    for case in ElementTree.parse(folder / "found.xml").iter("testcase"):
        name = f"{case.get('classname')}.{case.get('name')}"
        results[name] = "\n".join(f"{each.tag}: {each.text}" for each in case)
    return results


@pytest.mark.long
def test_what_passes_behind_uvicorn_passes_behind_the_gateway(
    tmp_path: Path, environment: Environment
) -> None:
    """Each of Starlette's tests that has a client."""
    sources = downloaded(tmp_path)
    plain, gateway = tmp_path / "plain", tmp_path / "gateway"
    unpack(sources, plain)
    unpack(sources, gateway)
    write_files(plain, {"plain.py": BEHIND_UVICORN})
    write_files(gateway, {"bot.py": main_process(plugins=["behind"]), "behind.py": BEHIND_GATEWAY})
    expected = found(plain, environment, "plain.py")
    results = found(gateway, environment)
    passed = [name for name, what in expected.items() if not what]
    lost = {name: results.get(name, "not run") for name in passed if results.get(name, "-")}
    assert not lost, "\n\n".join(f"{name}\n{what}" for name, what in lost.items())
    assert len(passed) > len(expected) / 2
