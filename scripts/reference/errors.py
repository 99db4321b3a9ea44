"""The page of the errors: what each one means, what it is too, and when one gets it."""

from __future__ import annotations

import builtins
import inspect

from words import GENERATED, document, needed, prose, sentence, table

from liteyuki_core import errors

SAYS = {
    "en": {
        "title": "Errors",
        "intro": (
            "Every error of `liteyuki_core`, and when you get it. All are in `liteyuki_core` and "
            "`liteyuki_core.errors`, derive from `LiteyukiError`, and survive pickle. Where the "
            "standard library has a class for the same situation, that class is a parent too: "
            "`except TimeoutError` works as expected."
        ),
        "also": "It is also a {parents}.",
        "when": "When: ",
        "attribute": "attribute",
        "meaning": "meaning",
        "and": " and a ",
    },
    "zh": {
        "title": "错误",
        "intro": (
            "`liteyuki_core` 的所有错误，以及什么时候出现。它们都可以从 `liteyuki_core` 和 "
            "`liteyuki_core.errors` 导入，都是 `LiteyukiError` 的子类，都能用 pickle 序列化。"
            "标准库有对应的类时，同时也是它的子类，所以 `except TimeoutError` 也能用。"
        ),
        "also": "同时也是 {parents}。",
        "when": "什么时候出现：",
        "attribute": "属性",
        "meaning": "含义",
        "and": " 和 ",
    },
}


def page(language: str) -> str:
    """Return the page."""
    says = SAYS[language]
    classes = [value for name, value in vars(errors).items() if name in errors.__all__]
    return document(
        f"# {says['title']}",
        says["intro"],
        GENERATED[language],
        *(_error(each, language) for each in classes),
    )


def _error(error: type[Exception], language: str) -> str:
    says = SAYS[language]
    parents = [
        f"`{parent.__name__}`"
        for parent in error.__bases__
        if parent is not Exception
        and (parent.__name__ in errors.__all__ or hasattr(builtins, parent.__name__))
    ]
    also = says["also"].format(parents=says["and"].join(parents)) if parents else ""
    attributes = [
        (f"`{name}`", prose(sentence(inspect.getdoc(value) or "")))
        for name, value in vars(error).items()
        if isinstance(value, property) and not name.startswith("_")
    ]
    text = prose(inspect.getdoc(error) or "") if language == "en" else ""
    when = sentence(needed("errors", error.__name__, language))
    return document(
        f"## `{error.__name__}`",
        text,
        says["when"] + when[0].lower() + when[1:] if when != text else "",
        also,
        table((says["attribute"], says["meaning"]), attributes) if attributes else "",
    )
