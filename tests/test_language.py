"""The language of what an operator reads: every line of the log has its Chinese, and it is said.

Tests language.py, chinese.py.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from string import Formatter

import pytest

from liteyuki_core import language
from liteyuki_core.chinese import CHINESE
from liteyuki_core.language import Phrase, listed, say
from tests.conftest import ROOT
from tests.program import Environment, python, running, write_files

SOURCES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for folder in ("liteyuki_core", "nonebot_plugin_liteyuki_comm")
    for path in sorted((ROOT / folder).rglob("*.py"))
}

SAYS = ("say", "Phrase")
LEVELS = ("info", "success", "warning", "error", "critical", "exception", "log")
"""The logger's methods for lines that an operator reads. Those below INFO are for developers."""

PASSED_ON = {
    "liteyuki_core/bot.py: line": "a phrase of `unknown_keys`",
    "liteyuki_core/comm/hub/notes.py: text": "a phrase, noted under the lock and said after it",
    "liteyuki_core/comm/store/journal.py: text": "a phrase, in English for the error as well",
    "liteyuki_core/frameworks/nonebot.py: line": "one of two lines that were said",
    "liteyuki_core/gateway/server.py: record.getMessage().strip()": "a line of uvicorn",
    "liteyuki_core/process/child/entry.py: _raised(spec)": "a phrase, for the three who raise",
    "liteyuki_core/process/course.py: line": "the phrase that `_enter` was given",
    "liteyuki_core/process/course.py: verdict.line": "the phrase of a verdict",
    "liteyuki_core/writer.py: text": "the phrase that `_say` was given",
    "nonebot_plugin_liteyuki_comm/forward.py: line": "the said line that `_tell_once` was given",
}
"""Where a message is not said on the spot, and what it is there. Types see to the phrases."""

LANGUAGE = "liteyuki_core/language.py"
"""The one file whose templates come from others."""


def calls(source: str) -> Iterator[ast.Call]:
    """Return all calls in a source."""
    return (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))


def is_said(node: ast.expr) -> bool:
    """Return whether an expression says a template that stands there, or one of two of them."""
    if isinstance(node, ast.IfExp):
        return is_said(node.body) and is_said(node.orelse)
    return isinstance(node, ast.Call) and ast.unparse(node.func) in SAYS


def messages(source: str) -> list[ast.expr]:
    """Return what is given to our logger as messages for an operator.

    A method of the logger that is not called on the spot, but given to somebody, is one too.
    """
    tree = ast.parse(source)
    given = {node.func: node for node in ast.walk(tree) if isinstance(node, ast.Call)}
    found: list[ast.expr] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in LEVELS:
            logger = ast.unparse(node.value)
            if re.search(r"(^|\.)logger(\.opt\(.*\))?$", logger):
                call = given.get(node)
                found.append(node if call is None else call.args[node.attr == "log"])
    return found


def not_said(name: str, source: str) -> list[str]:
    """Return the messages of a file that are not said on the spot."""
    return [f"{name}: {ast.unparse(node)}" for node in messages(source) if not is_said(node)]


def templates(source: str) -> list[tuple[str, list[str]]]:
    """Return each template that a source says, and the names of the fields that it gives."""
    return [
        (ast.literal_eval(call.args[0]), [str(keyword.arg) for keyword in call.keywords])
        for call in calls(source)
        if ast.unparse(call.func) in SAYS
    ]


def fields(template: str) -> Counter[tuple[str, str | None, str | None]]:
    """Return the fields of a template with how they are converted and formatted."""
    return Counter(
        (name, conversion, form)
        for _, name, form, conversion in Formatter().parse(template)
        if name is not None
    )


def shape(template: str) -> str:
    """Return a template without the names of its fields."""
    return re.sub(r"{\w+", "{", template)


@cache
def used() -> list[tuple[str, list[str]]]:
    """Return all templates that are said, with the names of the fields that are given."""
    texts = [text for name, text in SOURCES.items() if name != LANGUAGE]
    found = [template for text in texts for template in templates(text)]
    return [*found, ("{first} and {second}", ["first", "second"])]  # Of `listed`, left out here.


# ------------------------------------------------------------- the sources


def test_every_line_for_an_operator_is_said() -> None:
    """None is logged in a language of its own, and no exception to this is left over."""
    found = {line for name, source in SOURCES.items() for line in not_said(name, source)}
    assert found == set(PASSED_ON)
    assert sum(len(messages(source)) for source in SOURCES.values()) > 80, "loggers are found"


@pytest.mark.parametrize(
    "line",
    [
        "log.logger.info(f'process {name}')",
        "log.logger.opt(exception=error).error('it failed')",
        "logger.log(level, text)",
        "log.logger.warning(str(error))",
        "log.logger.info(say('one') if one else 'two')",
        "loop.call_soon(log.logger.warning, say('one'))",
    ],
)
def test_a_line_that_is_not_said_is_found(line: str) -> None:
    """Whichever way it is logged."""
    assert len(not_said("file.py", line)) == 1
    assert not_said("file.py", "log.logger.info(say('one')); logger.debug('two')") == []


def test_every_template_has_its_chinese() -> None:
    """And the catalogue has no other."""
    assert {template for template, _ in used()} == set(CHINESE)


def test_the_chinese_has_the_same_fields() -> None:
    """With the same formats, each as often as it takes; the English code gives them all."""
    names = {template: {name for name, _, _ in fields(template)} for template in CHINESE}
    assert {text for text in CHINESE if set(fields(CHINESE[text])) != set(fields(text))} == set()
    assert {text for text, names_given in used() if set(names_given) != names.get(text)} == set()


def test_no_two_entries_say_the_same() -> None:
    """Two templates that differ in the names of their fields alone are one."""
    shapes = Counter(map(shape, CHINESE))
    assert [found for found, count in shapes.items() if count > 1] == []
    assert shape("{a!r} of {b:.1f} s") == shape("{c!r} of {d:.1f} s") != shape("{c} of {d:.1f} s")


# ------------------------------------------------------------- what is said


@pytest.fixture
def chinese() -> Iterator[None]:
    """Say everything in Chinese."""
    before = language._language
    language.use("zh")
    yield
    language._language = before


def test_what_is_said_in_chinese(chinese: None) -> None:
    """With its fields, those that are phrases in Chinese too."""
    assert say("process {name} is to stop", name="a{b}") == "进程 a{b} 即将停止"
    line = Phrase("process {name} {what}", name="w", what=Phrase("exited with code {code}", code=3))
    assert str(line) == "进程 w 已退出，退出码 3"
    assert (
        say("LiteyukiBot stops: {why}", why=line) == "LiteyukiBot 开始停止：进程 w 已退出，退出码 3"
    )
    assert str(listed(["a", Phrase("the main process"), "c"])) == "a 和 主进程 和 c"


def test_programs_read_english(chinese: None) -> None:
    """Whatever the operator's language is."""
    line = Phrase("process {name} {what}", name="w", what=Phrase("exited with code {code}", code=3))
    assert line.english == "process w exited with code 3"
    assert say("a line of tomorrow, {name}", name="w") == "a line of tomorrow, w"


def test_a_phrase_is_said_when_it_is_shown(chinese: None) -> None:
    """So it may be made under a lock, and before the language is known."""
    line = Phrase("LiteyukiBot has stopped")
    assert str(line) == "LiteyukiBot 已停止"
    language.use("en")
    assert f"{line}" == "LiteyukiBot has stopped"


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({}, "LiteyukiBot 已停止"),
        ({"LITEYUKI_LOG_LANG": "EN"}, "LiteyukiBot has stopped"),
        ({"LITEYUKI_LOG_LANG": "xx"}, "LiteyukiBot 已停止"),
    ],
)
def test_the_environment_says_which(
    tmp_path: Path, environment: Environment, more: Environment, said: str
) -> None:
    """Until the log is set up; and Chinese is imported by whoever says something in it."""
    del environment["LITEYUKI_LOG_LANG"]
    result = python(
        """
        import sys
        from liteyuki_core.language import say
        before = "liteyuki_core.chinese" in sys.modules
        print(say("LiteyukiBot has stopped"), before, "liteyuki_core.chinese" in sys.modules)
        """,
        tmp_path,
        environment,
        **more,
    )
    assert result.stdout.strip() == f"{said} False {'已' in said}"


_BOT = """
import sys

from liteyuki_core import LiteyukiBot, get_channel, shared_memory
from liteyuki_core.comm import passive_channel
from liteyuki_core.process import RestartPolicy

def crashes():
    if shared_memory.incr("lives") < 3:
        sys.exit(7)
    passive_channel.send("up")
    for _ in passive_channel:
        pass

def can_not():
    sys.exit(3)

if __name__ == "__main__":
    bot = LiteyukiBot()
    bot.add_process("w", crashes, restart=RestartPolicy(backoff=0.01))
    bot.add_process("unable", can_not)
    bot.on_before_start(lambda: {}[0])

    over = set()

    def ended(what):
        over.add(what)
        if len(over) == 2:
            bot.stop()

    get_channel("w-passive").on_receive()(ended)
    bot.on_process_state(lambda name, state: state.value == "failed" and ended(name))

    bot.run()
"""


def test_a_bot_speaks_chinese(tmp_path: Path, environment: Environment) -> None:
    """Every line of main's, of a child that crashes, is started again, and is stopped."""
    write_files(tmp_path, {"bot.py": _BOT})
    with running(
        tmp_path, environment, LITEYUKI_LOG_LANG="zh", LITEYUKI_LOG_LEVLE="x", LITEYUKI_LOG_ICON="0"
    ) as bot:
        assert bot.wait() == 0, bot.output
    for line in (
        r"\[信息\] 进程 w 已启动（pid \d+）$",
        r"\[错误\] 进程 w 已退出，退出码 7；原因见上方它自己的日志；[\d.]+ 秒后重启（第 1 次，60 ",
        r"\[错误\] 进程 unable 已退出，退出码 3；.*；它没能启动，不再重启：修好之后",
        r"\[信息\] 进程 w 已就绪，启动用了 \d\.\d\d 秒$",
        r"\[信息\] LiteyukiBot 开始停止：收到停止请求$",
        r"\[警告\] LiteyukiBot 没有 LITEYUKI_LOG_LEVLE 这项设置（出现在 环境变量）：你要写的是 ",
        r"\[信息\] LiteyukiBot 已停止$",
    ):
        assert bot.found(line), (line, bot.output)
    said = bot.found(r"\[(?:信息|警告|错误|严重)\] (.*)$")
    assert len(said) > 12
    assert [line[1] for line in said if re.search("[A-Za-z]{2,} [a-z]{2,}", line[1])] == []
