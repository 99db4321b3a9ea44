"""A Python file as the target of a child.

Tests process/child/script.py, process/spec.py.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.program import Environment, running, write_files

BOT = """
    from liteyuki_core import LiteyukiBot, ProcessStartError

    if __name__ == "__main__":
        bot = LiteyukiBot()
        {lines}
        bot.run()
"""


def bot(*lines: str) -> str:
    """Return a bot.py that does this before it runs."""
    return BOT.format(lines="\n        ".join(lines))


def test_a_file_runs_as_python_would_run_it(tmp_path: Path, environment: Environment) -> None:
    """With its arguments, its folder in sys.path, its name, and the child's channels."""
    tool = """
        import sys
        import beside
        from liteyuki_core.comm import active_channel

        if __name__ == "__main__":
            active_channel.send([sys.argv[1:], beside.X, __file__])
            sys.exit(7)
    """
    lines = (
        'bot.add_process("tool", "tools/tool.py", ("a", 1))',
        "from liteyuki_core import get_channel, logger",
        'get_channel("tool-active").on_receive()(lambda data: logger.info(f"got {data}"))',
    )
    files = {"bot.py": bot(*lines), "tools/tool.py": tool, "tools/beside.py": "X = 5"}
    write_files(tmp_path, files)
    with running(tmp_path, environment) as program:
        got = program.wait_for_line(r"got (.*)$")[1]
        assert got == f"[['a', '1'], 5, {str(tmp_path / 'tools' / 'tool.py')!r}]"
        program.wait_for_line("process tool exited with code 7")
        assert program.stop() == 0


def test_a_file_that_can_not_be_run(tmp_path: Path, environment: Environment) -> None:
    """One that is not there is refused at once; of another its own error is in the log."""
    lines = (
        'for path, kwargs in (("none.py", None), ("wrong.py", {"a": 1})):',
        '    try: bot.add_process("tool", path, (), kwargs)',
        "    except (ProcessStartError, TypeError) as error: print(type(error).__name__, error)",
        'bot.add_process("tool", "wrong.py")',
    )
    text = "\n        ".join(lines)
    main = BOT.replace("{lines}", text)
    write_files(tmp_path, {"bot.py": main, "wrong.py": "1 +"})
    with running(tmp_path, environment) as program:
        program.wait_for_line("^ProcessStartError process tool: there is no file .*none.py$")
        program.wait_for_line(
            "^TypeError process tool: wrong.py is a file, which takes args and no"
        )
        program.wait_for_line("SyntaxError")
        program.wait_for_line("process tool exited with code 1")
        assert program.stop() == 0


@pytest.mark.parametrize("target", ["module", "a.txt", ":x"])
def test_what_is_no_target(tmp_path: Path, environment: Environment, target: str) -> None:
    """The error says what a target looks like."""
    lines = (f'bot.add_process("tool", {target!r})',)
    write_files(tmp_path, {"bot.py": bot(*lines)})
    with running(tmp_path, environment) as program:
        program.wait_for_line(
            "must look like 'package.module:function', or be the path of a Python"
        )
        assert program.wait() == 1
