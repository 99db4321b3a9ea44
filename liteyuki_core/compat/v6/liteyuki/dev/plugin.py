"""Running plugins without a main.py."""

from __future__ import annotations

from pathlib import Path

from ..bot import LiteyukiBot
from ..config import load_config_in_default


def run_plugins(*module_path: str | Path) -> None:
    """Run a bot with the project's configuration and these plugins as well."""
    config = load_config_in_default(no_waring=True)
    config["liteyuki.plugins"] = [*config.get("liteyuki.plugins", []), *module_path]
    LiteyukiBot(**config).run()
