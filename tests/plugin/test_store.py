"""The store in a NoneBot child: at import, in hooks, on its loop, in threads, at shutdown."""

from __future__ import annotations

from ast import literal_eval
from pathlib import Path

from tests.conftest import free_port
from tests.program import running_program


def test_it_is_used_from_everywhere(tmp_path: Path, environment: dict[str, str]) -> None:
    """At import, in hooks of both kinds, on the loop's thread, in threads, at shutdown."""
    environment["PORT"] = str(free_port())
    with running_program(tmp_path, environment, "store_nonebot") as program:
        program.wait_for_line("all is there")
        program.wait_for_line("Uvicorn running on")
        assert program.stop() == 0
        (left,) = program.found(r"left: (.*)$")
        assert literal_eval(left[1]) == {
            "sync hook": 1,
            "async hook": ["main"],
            "on the loop": 199,
            "locked": True,
            "threads": 200,
            "shutdown": "async sync",
        }
        assert not program.found("ERROR|Traceback"), program.output
