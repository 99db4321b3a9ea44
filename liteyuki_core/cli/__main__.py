"""`python -m liteyuki_core.cli` is `liteyuki`, where scripts are not on the path."""

from __future__ import annotations

from . import main

main()
