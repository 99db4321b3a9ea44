"""The root of v6's errors, which v6 itself never raised."""

from __future__ import annotations


class LiteyukiException(BaseException):
    """The root of v6's errors."""

    def __str__(self) -> str:
        return repr(self)
