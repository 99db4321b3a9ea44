"""The page of the settings: what can be set, to what, and what it is for."""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from annotated_types import Interval
from nonebot.config import Config as NoneBotConfig
from words import GENERATED, about, document, needed, sentence

from liteyuki_core.config import PLUGIN_KEYS, Settings

NONEBOT_KEYS = ("HOST", "PORT", "DRIVER", "LOG_LEVEL", "ONEBOT_ACCESS_TOKEN")

SAYS = {
    "en": {
        "title": "Settings",
        "intro": (
            "Every setting, its default, what it may be and what it is for. They come from "
            "environment variables, or from the file `.env` in the directory you start in; the "
            "environment comes first. `.env.{ENVIRONMENT}` (`.env.prod` where nothing else is "
            "said) counts more than `.env`. A `LITEYUKI_` key that is not known is warned about at "
            "the start. `liteyuki config explain` shows what each one is now, and where it comes "
            "from."
        ),
        "ours": "LiteyukiBot's own",
        "plugin": "The NoneBot plugin's",
        "plugin intro": (
            "They stand in NoneBot's configuration; `nonebot_plugin_liteyuki_comm` reads them."
        ),
        "nonebot": "NoneBot's",
        "nonebot intro": (
            "Those that one needs; [all of them](https://nonebot.dev/docs/appendices/config)."
        ),
        "default": "Default: ",
        "none": "empty",
        "allowed": "Allowed: ",
        "unit": "Unit: ",
        "seconds": "seconds",
        "bytes": "bytes",
        "from": "from {low} to {high}",
        "over": "over {low}, up to {high}",
        "above": "{low} and above",
    },
    "zh": {
        "title": "配置项",
        "intro": (
            "所有配置项的默认值、可选值和用途。"
            "配置来自环境变量，或启动目录下的 `.env` 文件，环境变量优先；"
            "`.env.{ENVIRONMENT}`（不指定时为 `.env.prod`）比 `.env` 优先。"
            "启动时会对未知的 `LITEYUKI_` 配置项给出警告。"
            "`liteyuki config explain` 显示每项现在的值及其来源。"
        ),
        "ours": "LiteyukiBot 的配置项",
        "plugin": "NoneBot 插件的配置项",
        "plugin intro": "写在 NoneBot 的配置里，由 `nonebot_plugin_liteyuki_comm` 读取。",
        "nonebot": "NoneBot 的配置项",
        "nonebot intro": "只列常用的，见[全部配置项](https://nonebot.dev/docs/appendices/config)。",
        "default": "默认值：",
        "none": "空",
        "allowed": "可选值：",
        "unit": "单位：",
        "seconds": "秒",
        "bytes": "字节",
        "from": "{low} 到 {high}",
        "over": "大于 {low}，不超过 {high}",
        "above": "不小于 {low}",
    },
}


def page(language: str) -> str:
    """Return the page."""
    says = SAYS[language]
    hints = get_type_hints(Settings, include_extras=True)
    ours = [
        _setting(f"LITEYUKI_{field.name.upper()}", field.default, hints[field.name], language)
        for field in fields(Settings)
        if field.default is not MISSING
    ]
    plugin = _plugin_fields()
    assert set(plugin) == set(PLUGIN_KEYS)
    theirs = [
        _setting(key, field.default, field.annotation, language) for key, field in plugin.items()
    ]
    nonebot = [_setting(key, _of_nonebot(key), None, language) for key in NONEBOT_KEYS]
    return document(
        f"# {says['title']}",
        says["intro"],
        GENERATED[language],
        f"## {says['ours']}",
        *ours,
        f"## {says['plugin']}",
        says["plugin intro"],
        *theirs,
        f"## {says['nonebot']}",
        says["nonebot intro"],
        *nonebot,
    )


def _setting(key: str, default: Any, hint: Any, language: str) -> str:
    says, said = SAYS[language], about("settings", key)
    lines = [
        says["default"] + (f"`{text}`" if (text := _text(default)) else says["none"]),
        says["allowed"]
        + (_allowed(hint, language) or needed("settings", key, "allowed")[language]),
    ]
    if "unit" in said:
        lines.append(says["unit"] + says[said["unit"]])
    return document(
        f"### `{key}`",
        sentence(needed("settings", key, language)),
        "\n".join(f"- {line}" for line in lines),
    )


def _text(default: Any) -> str:
    """Return a default as it would stand in `.env`; "" for none."""
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, float):
        return f"{default:g}"
    return "" if default in (None, ()) else str(default)


def _allowed(hint: Any, language: str) -> str:
    """Return what the type of a setting allows; "" where a type does not say it."""
    kind, *rules = get_args(hint) if get_origin(hint) is Annotated else (hint,)
    if kind in (bool, bool | None):
        return "`true` `false`"
    if get_origin(kind) is Literal:
        return " ".join(f"`{value}`" for value in get_args(kind))
    for rule in rules:
        if isinstance(rule, Interval):
            low: Any = rule.gt if rule.ge is None else rule.ge
            form = "above" if rule.le is None else "from" if rule.gt is None else "over"
            return SAYS[language][form].format(low=low, high=rule.le)
    return ""


def _plugin_fields() -> dict[str, Any]:
    """Return the settings of the plugin, which can't be imported without NoneBot running."""
    from importlib.util import module_from_spec, spec_from_file_location
    from pathlib import Path

    path = Path(__file__).parents[2] / "nonebot_plugin_liteyuki_comm" / "config.py"
    spec = spec_from_file_location("config_of_the_plugin", path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return {name.upper(): field for name, field in module.Config.model_fields.items()}


def _of_nonebot(key: str) -> Any:
    """Return a default of NoneBot's; None for what an adapter reads."""
    field = NoneBotConfig.model_fields.get(key.lower())
    return None if field is None else field.default
