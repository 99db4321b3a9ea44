"""What a method does, for those who change a method of another library and must know all of it."""

from __future__ import annotations


def names_in(method: object) -> set[str]:
    """Return all names of functions, attributes and globals that a method written in Python uses.

    Of anything else it returns one that nobody knows.
    """
    code = getattr(method, "__code__", None)
    return {"unknown"} if code is None else set(code.co_names)
