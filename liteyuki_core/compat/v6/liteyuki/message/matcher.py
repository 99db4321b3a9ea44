"""The name that 6.3.6 to 6.3.9 have for matchers."""

from ..session.matcher import EventHandler, Matcher

__all__ = ["EventHandler", "Matcher"]
