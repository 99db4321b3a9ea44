"""The benchmarks run and print their tables; what the figures are is not tested."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest

from tests.conftest import DEADLINE, ROOT, in_full, wait_until
from tests.web.chromium import CHROMIUM

linux = pytest.mark.skipif(sys.platform != "linux", reason="it counts what /proc says")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python with `arguments` to its end."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONUTF8": "1"},
        timeout=120,
    )


@pytest.mark.long
def test_the_benchmark_prints_its_table() -> None:
    """A short run measures each side and ends by itself; a peer that is not there is named."""
    result = run("benchmarks/channels.py", "--quick", "--rows", "1345cefi")
    assert result.returncode == 0, result.stdout + result.stderr
    lines = [line for line in result.stdout.splitlines() if line.startswith("| ")]
    assert len(lines) == 2 + 8, result.stdout
    for line in lines[2:]:
        assert "failed" not in line, result.stdout
    assert [line for line in lines if "LiteyukiBot 6 not installed (--v6 FOLDER)" in line]
    assert result.stdout.count("multiprocessing.Pipe: ") == 1


@pytest.mark.long
def test_the_benchmark_of_the_store_prints_its_table() -> None:
    """A short run measures each side and ends by itself; a peer that is not there is named."""
    result = run("benchmarks/store.py", "--quick", "--rows", "1abc2567")
    assert result.returncode == 0, result.stdout + result.stderr
    lines = [line for line in result.stdout.splitlines() if line.startswith("| ")]
    assert len(lines) == 2 + 8, result.stdout
    for line in lines[2:]:
        assert "failed" not in line, result.stdout
    assert [line for line in lines if "LiteyukiBot 6 not installed (--v6 FOLDER)" in line]
    assert result.stdout.count("Manager().dict(): ") == 1


@pytest.mark.long
def test_the_benchmark_of_workers_prints_its_table() -> None:
    """A short run measures each side, with the right results, and ends by itself."""
    result = run("benchmarks/workers.py", "--quick", "--rows", "124")
    assert result.returncode == 0, result.stdout + result.stderr
    lines = [line for line in result.stdout.splitlines() if line.startswith("| ")]
    assert len(lines) == 2 + 3, result.stdout
    for line in lines[2:]:
        assert "failed" not in line, result.stdout
    assert lines[2].count(" ops/s ") == 2, result.stdout


@pytest.mark.long
def test_the_benchmark_of_clusters_prints_its_table() -> None:
    """A short run measures each side, with the right answers, and ends by itself."""
    result = run("benchmarks/cluster.py", "--quick", "--rows", "1456789d")
    assert result.returncode == 0, result.stdout + result.stderr
    lines = [line for line in result.stdout.splitlines() if line.startswith("| ")]
    assert [line[2] for line in lines[2:]] == list("1456789d"), result.stdout
    for line in lines[2:]:
        assert "failed" not in line, result.stdout
        assert "not measured" not in line, result.stdout


def test_the_benchmark_of_the_store_sees_wrong_values() -> None:
    """Stores that keep old values, mix up keys or lose additions are found out."""
    result = run("-m", "tests.children", "lax_stores")
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.splitlines() == [
        "get: right: right: wrong: right",
        "changed: right: wrong: wrong: right",
        "block: right: right: wrong: right",
        "table: right: right: wrong: right",
        "set: right: wrong: wrong: right",
        "async set: right: wrong: wrong: right",
        "incr: right: right: right: wrong",
        "incr by 4: right: right: right: wrong",
    ]


@linux
@pytest.mark.parametrize(
    "rows", ["5", pytest.param("12345abcdefghABCDEFGHI", marks=pytest.mark.long)]
)
def test_the_benchmark_of_hosting_prints_its_table(rows: str) -> None:
    """A short run has a figure in each row: every message was answered, and logged."""
    result = run("benchmarks/hosting.py", "--quick", "--rows", rows)
    assert result.returncode == 0, result.stdout + result.stderr
    lines = [line for line in result.stdout.splitlines() if line.startswith("| ")]
    assert [line[2] for line in lines[2:]] == list(rows), result.stdout
    for line in lines[2:]:
        assert "failed" not in line, result.stdout
        assert "not measured" not in line, result.stdout


@linux
@pytest.mark.long
@pytest.mark.parametrize("rows", ["123abcdefgh4"])
def test_the_benchmark_of_the_gateway_prints_its_table(rows: str) -> None:
    """A short run has a figure in each row: every message and every request was answered."""
    result = run("benchmarks/gateway.py", "--quick", "--rows", rows)
    assert result.returncode == 0, result.stdout + result.stderr
    lines = [line for line in result.stdout.splitlines() if line.startswith("| ")]
    assert [line[2] for line in lines[2:]] == list(rows), result.stdout
    for line in lines[2:]:
        assert "failed" not in line, result.stdout
        assert "not measured" not in line, result.stdout


def test_the_benchmark_of_hosting_sees_wrong_answers() -> None:
    """Answers that are wrong, missing or one too many are found out."""
    result = run("-m", "tests.children", "lax_answers")
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.splitlines() == [
        "as it should: right",
        "last as it should: right",
        "to_another_group: wrong, the bot answers",
        "of_another_text: wrong, the bot answers",
        "of_another_message: wrong, the bot answers",
        "twice: wrong, the bot answers",
        "last twice: wrong, the bot answers what was answered before",
        "never: wrong, 1 of 20 messages were not answered",
    ]


@pytest.mark.long
def test_growth_measures_each_axis(tmp_path: Path) -> None:
    """A short run has a figure for each side at each point, and draws where it can."""
    figures, picture = tmp_path / "growth.json", tmp_path / "growth.png"
    drawing = ["--picture", str(picture)] if find_spec("matplotlib") else []
    result = run("benchmarks/growth.py", "--quick", "--json", str(figures), *drawing)
    assert result.returncode == 0, result.stdout + result.stderr
    measured = json.loads(figures.read_text(encoding="utf-8"))["messages a second"]
    assert list(measured) == ["channels", "children", "bytes"]
    for axis in measured.values():
        assert {"LiteyukiBot", "Pipe"} <= set(axis["sides"])
        for points in axis["sides"].values():
            assert [len(point) for point in points] == [1] * len(axis["points"])
            assert all(figure > 0 for point in points for figure in point)
    assert not drawing or picture.read_bytes().startswith(b"\x89PNG")


@linux
def test_idle_counts_who_wakes() -> None:
    """A short run has a figure for each bot, and names the thread of NoneBot's that ticks."""
    result = run("benchmarks/idle.py", "--quick", "--rows", "25b")
    assert result.returncode == 0, result.stdout + result.stderr
    lines = [line for line in result.stdout.splitlines() if line.startswith("| ")]
    assert len(lines) == 2 + 3, result.stdout
    _, _, wakers = result.stdout.partition("\nRow b, who wakes:\n")
    assert "- NoneBot alone, MainThread: " in wakers.partition("\n\n")[0], result.stdout


@linux
@pytest.mark.long
def test_the_page_is_painted_and_costs_something() -> None:
    """A short run has a figure for each view. Whether they are reached is its exit code."""
    if CHROMIUM is None:
        pytest.skip("this system has no Chromium (CHROMIUM says where it is)")
    result = run("benchmarks/page.py", "--quick")
    assert result.returncode in (0, 1), result.stdout + result.stderr
    for figure in (r"first paint, phone +[\d.]+ s", *(f"{view} .*%" for view in ("log", "charts"))):
        assert re.search(figure, result.stdout), result.stdout


def test_a_picture_without_matplotlib_is_refused_before_measuring() -> None:
    """Who has not installed matplotlib hears at once what to install."""
    hidden = (
        "import runpy, sys; sys.modules['matplotlib'] = None; sys.path.insert(0, 'benchmarks'); "
        "sys.argv = ['growth.py', '--picture', 'growth.png']; "
        "runpy.run_path('benchmarks/growth.py', run_name='__main__')"
    )
    result = run("-c", hidden)
    assert result.returncode == 2
    assert 'pip install -e ".[bench]"' in result.stderr
    assert not result.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl+C can't be sent to one process there")
@pytest.mark.parametrize(
    "program",
    [
        "channels.py",
        *in_full("growth.py", "store.py", "workers.py"),
        *(
            pytest.param(program, marks=(linux, pytest.mark.long))
            for program in ("idle.py", "hosting.py")
        ),
    ],
)
def test_ctrl_c_ends_a_benchmark_and_its_children(program: str) -> None:
    """Interrupted in the middle it exits with 130, and no child goes on."""
    command = [sys.executable, f"benchmarks/{program}", "--repetitions", "1000"]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.DEVNULL, start_new_session=True
    ) as process:
        try:
            running = psutil.Process(process.pid)
            children = wait_until(lambda: running.children(recursive=True), "children")
            process.send_signal(signal.SIGINT)
            assert process.wait(DEADLINE) == 130
            _, alive = psutil.wait_procs(children, DEADLINE)
            assert not alive
        finally:
            process.kill()
