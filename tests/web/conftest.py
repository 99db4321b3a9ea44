"""A bot with a page."""

from __future__ import annotations

from tests.control.conftest import bot as bot
from tests.control.conftest import here as here
