"""The page of the Python API: every public name of both packages, from its docstring.

griffe reads the code and imports nothing of it.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import griffe
from words import GENERATED, cell, document, prose, table

ROOT = Path(__file__).resolve().parents[2]
WIDTH = 88

SAYS = {
    "en": {
        "title": "Python API",
        "intro": (
            "Every public name of `liteyuki_core` and `nonebot_plugin_liteyuki_comm`: how it is "
            "called, what it waits for, from which thread it may be called, and what it raises. "
            "The errors have [a page of their own](errors.md)."
        ),
        "note": "",
        "name": "name",
        "about": "about",
        "elsewhere": "From other modules: ",
    },
    "zh": {
        "title": "Python API",
        "intro": (
            "`liteyuki_core` 和 `nonebot_plugin_liteyuki_comm` 的所有公开名字："
            "怎样调用、会等待什么、可以从哪个线程调用、会抛出什么。错误另有[一页](errors.md)。"
        ),
        "note": "说明取自代码的 docstring，是英文的；中文的讲解和例子在“指南”里。",
        "name": "名字",
        "about": "说明",
        "elsewhere": "也可以从这里导入的其他名字：",
    },
}


class Room(NamedTuple):
    """A module: the names that it shows, and the classes of what these return or are."""

    module: str
    about: dict[str, str]
    names: tuple[str, ...] = ()
    """None: those in its `__all__`."""
    more: tuple[str, ...] = ()
    """Paths of classes that only the packages themselves make."""


ROOMS = (
    Room(
        "liteyuki_core",
        {"en": "The main process, channels and the store.", "zh": "主进程、通道、共享存储。"},
        more=(
            "liteyuki_core.comm.storage.SharedMemory",
            "liteyuki_core.comm.store.listener.Change",
            "liteyuki_core.comm.workers.Workers",
            "liteyuki_core.comm.hub.letters.DeadLetter",
        ),
    ),
    Room(
        "liteyuki_core.comm",
        {"en": "What crosses processes.", "zh": "跨进程的一切。"},
    ),
    Room(
        "liteyuki_core.process",
        {"en": "Child processes and programs.", "zh": "子进程和程序。"},
    ),
    Room(
        "liteyuki_core.plugin",
        {"en": "Plugins of the main process.", "zh": "主进程插件。"},
    ),
    Room(
        "liteyuki_core.session",
        {"en": "Chat in the main process.", "zh": "在主进程里处理聊天。"},
    ),
    Room(
        "liteyuki_core.accounts",
        {"en": "What the bots are logged in as.", "zh": "机器人登录的账号。"},
        names=("Account", "AccountState"),
    ),
    Room(
        "liteyuki_core.frameworks.nonebot",
        {"en": "The launcher of NoneBot children.", "zh": "NoneBot 子进程的启动器。"},
        names=("run",),
    ),
    Room(
        "liteyuki_core.control",
        {"en": "Asking a running bot.", "zh": "查询运行中的机器人。"},
        names=("Client", "ControlError", "NoBot"),
    ),
    Room(
        "nonebot_plugin_liteyuki_comm",
        {"en": "The NoneBot plugin.", "zh": "NoneBot 插件。"},
    ),
)
HOMES = {"liteyuki_core.control": "client"}
"""Modules whose names are in one of their own modules until they are used."""


def page(language: str) -> str:
    """Return the page."""
    says = SAYS[language]
    loader = griffe.GriffeLoader(search_paths=[str(ROOT)])
    for package in ("liteyuki_core", "nonebot_plugin_liteyuki_comm"):
        loader.load(package)
    loader.resolve_aliases(external=False)
    shown: dict[str, str] = {}
    parts = [part for room in ROOMS for part in _room(room, loader, shown, language)]
    return document(f"# {says['title']}", says["intro"], says["note"], GENERATED[language], *parts)


def _room(
    room: Room, loader: griffe.GriffeLoader, shown: dict[str, str], language: str
) -> Iterator[str]:
    """Yield what is said of a module. `shown` has the names by path that were shown before."""
    says = SAYS[language]
    module = loader.modules_collection[room.module]
    names = room.names or [str(getattr(name, "name", name)) for name in module.exports or ()]
    yield f"## `{room.module}`"
    yield room.about[language]
    elsewhere, own = [], []
    for name in sorted(names, key=str.lower):
        if name.startswith("_"):
            continue
        found = _find(loader, room.module, name)
        if found.path.startswith("liteyuki_core.errors."):
            elsewhere.append(f"[`{name}`](errors.md#{name.lower()})")
        elif found.path in shown:
            elsewhere.append(f"[`{name}`](#{shown[found.path]})")
        else:
            shown[found.path] = _anchor(name)
            own.append((name, found))
    own += [(path.rpartition(".")[2], loader.modules_collection[path]) for path in room.more]
    if elsewhere and room.module != "liteyuki_core":
        yield says["elsewhere"] + " ".join(elsewhere)
    for name, found in own:
        yield from _item(name, found, language, made_by_users=found.path not in room.more)


def _find(loader: griffe.GriffeLoader, module: str, name: str) -> griffe.Object:
    """Return what a name of a module stands for."""
    home = HOMES.get(module)
    found = loader.modules_collection[f"{module}.{home}.{name}" if home else f"{module}.{name}"]
    target = found.final_target if found.is_alias else found
    if target.is_module:  # A module and what is imported from it have one name.
        target = target.members[name]
    return target  # type: ignore[return-value]


def _item(name: str, found: griffe.Object, language: str, *, made_by_users: bool) -> Iterator[str]:
    says = SAYS[language]
    yield f"### `{name}`"
    if isinstance(found, griffe.Function):
        yield _signature(name, found)
    elif isinstance(found, griffe.Class) and made_by_users:
        yield _constructor(name, found)
    yield _docstring(found)
    if not isinstance(found, griffe.Class):
        return
    fields, methods = _members(found)
    if fields:
        rows = [(f"`{each.name}`", _first_line(each)) for each in fields]
        yield table((says["name"], says["about"]), rows)
    for method in methods:
        yield f"#### `{name}.{method.name}`"
        yield _signature(method.name, method)
        yield _docstring(method)


def _members(found: griffe.Class) -> tuple[list[griffe.Object], list[griffe.Function]]:
    """Return the public fields and methods of a class, those of its public parents left out."""
    fields, methods = [], []
    for name, member in found.members.items():
        if name.startswith("_") or member.is_alias:
            continue
        if isinstance(member, griffe.Function):
            methods.append(member)
        elif isinstance(member, griffe.Attribute):
            fields.append(member)
    return fields, methods  # type: ignore[return-value]


def _constructor(name: str, found: griffe.Class) -> str:
    if any("Enum" in str(base) for base in found.bases):
        return ""
    init = found.members.get("__init__")
    if isinstance(init, griffe.Function):
        return _signature(name, init, returns=False)
    parameters = found.parameters
    if len(parameters) > 1 or "dataclass" in " ".join(map(str, found.labels)):
        return _code(f"class {name}", [each for each in map(_parameter, parameters) if each], "")
    return ""


def _signature(name: str, function: griffe.Function, *, returns: bool = True) -> str:
    parts, star = [], False
    for each in function.parameters:
        text = _parameter(each)
        if text is None:
            continue
        kind = each.kind
        if kind is griffe.ParameterKind.var_positional:
            star = True
        elif kind is griffe.ParameterKind.keyword_only and not star:
            parts.append("*")
            star = True
        parts.append(text)
    if not returns:
        return _code(f"class {name}", parts, "")
    result = f" -> {function.returns}" if function.returns else ""
    return _code(f"{'async ' if 'async' in function.labels else ''}def {name}", parts, result)


def _parameter(each: griffe.Parameter) -> str | None:
    if each.name in ("self", "cls"):
        return None
    stars = {
        griffe.ParameterKind.var_positional: "*",
        griffe.ParameterKind.var_keyword: "**",
    }.get(each.kind or griffe.ParameterKind.positional_or_keyword, "")
    text = f"{stars}{each.name}"
    if each.annotation:
        text += f": {str(each.annotation).strip(chr(39))}"
    if each.default is not None and not stars:
        default = _constant(each.default)
        text += f" = {default}" if each.annotation else f"={default}"
    return text


def _constant(default: str | griffe.Expr) -> str:
    """Return a default as code; of a number that has a name, the number."""
    found = default.resolved if isinstance(default, griffe.ExprName) else None
    value = str(getattr(found, "value", ""))
    return value if re.fullmatch(r"[\d.]+", value) else str(default)


def _code(name: str, parameters: list[str], result: str) -> str:
    """Return a signature as a block of code, on one line where it fits."""
    line = f"{name}({', '.join(parameters)}){result}"
    if len(line) > WIDTH:
        inside = "".join(f"    {each},\n" for each in parameters)
        line = f"{name}(\n{inside}){result}"
    return f"```py\n{line}\n```"


def _docstring(found: griffe.Object) -> str:
    text = inspect.cleandoc(found.docstring.value) if found.docstring else ""
    return prose(text)


def _first_line(found: griffe.Object) -> str:
    text = _docstring(found).partition("\n\n")[0].replace("\n", " ")
    kind = getattr(found, "annotation", None)
    value = getattr(found, "value", None)
    if text:
        return text
    shown = kind if kind is not None else None if str(value) == found.name else value
    return "" if shown is None else cell(f"`{shown}`")


def _anchor(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
