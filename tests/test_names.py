"""The names before lines: one width for all, and colours that tell them apart."""

from __future__ import annotations

from liteyuki_core.names import Names


def test_all_names_have_the_width_of_the_longest() -> None:
    """Of those that are known, main's among them. Wide characters take two columns."""
    names = Names(coloured=False)
    names.add("a")
    assert [names.plain(name) for name in ("main", "a")] == ["main | ", "a    | "]
    names.add("nonebot")
    names.add("机器")
    assert [names.before(name) for name in ("main", "a", "nonebot", "机器")] == [
        "main    | ",
        "a       | ",
        "nonebot | ",
        "机器    | ",
    ]
    assert names.under("机器") == names.under("nonebot") == " " * len("nonebot | ")


def test_a_very_long_name() -> None:
    """Is whole, and makes others no wider than 16 columns."""
    names = Names(coloured=False)
    names.add("a_name_of_21_columns_")
    assert names.plain("main") == "main" + " " * 12 + " | "
    assert names.plain("a_name_of_21_columns_") == "a_name_of_21_columns_ | "
    assert names.under("a_name_of_21_columns_") == " " * 24


def test_colours() -> None:
    """Each child has its own, as long as there are any; main has none."""
    names = Names(coloured=True)
    children = [f"child-{number}" for number in range(10)]
    for name in children:
        names.add(name)
    shown = [names.before(name) for name in children]
    assert len({text.partition("m")[0] for text in shown}) == 8
    assert all(text.endswith("\x1b[0m") for text in shown)
    assert names.before("main") == names.plain("main") == "main    | "
    assert names.plain("child-0") == "child-0 | "
    assert names.before("unknown") == "unknown | "
