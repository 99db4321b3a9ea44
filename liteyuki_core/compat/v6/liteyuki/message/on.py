"""The name that 6.3.6 to 6.3.9 have for what registers matchers."""

from ..session.on import (
    add_matcher,
    on_endswith,
    on_fullmatch,
    on_keywords,
    on_message,
    on_startswith,
)

__all__ = [
    "add_matcher",
    "on_endswith",
    "on_fullmatch",
    "on_keywords",
    "on_message",
    "on_startswith",
]
