"""v6's configuration files, as one flat dict: `{"a": {"b": 1}}` is there as `a.b` too."""

from __future__ import annotations

import copy
import json
import os
import sys
from collections.abc import Callable
from typing import Any

from liteyuki_core.language import say

from .log import logger

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Config = dict[str, Any]

_DEFAULT = ("config.yaml", "config.toml", "config.json", "config.yml")
"""The files of a project, the strongest last."""


def flat_config(config: Config) -> Config:
    """Return a configuration with each nested value also under a dotted key."""
    flat = copy.deepcopy(config)
    for key, value in config.items():
        if isinstance(value, dict):
            flat.update({f"{key}.{inner}": each for inner, each in flat_config(value).items()})
    return flat


def _read_yaml(path: str) -> Any:
    try:
        import yaml
    except ModuleNotFoundError as error:
        raise ImportError(
            f"{path} is YAML, and PyYAML is not installed: "
            "pip install 'nonebot-plugin-liteyuki-comm[v6]'"
        ) from error
    with open(path, encoding="utf-8") as file:
        return yaml.safe_load(file)


def _read_json(path: str) -> Any:
    with open(path, encoding="utf-8") as file:
        return json.loads(file.read())


def _read_toml(path: str) -> Any:
    with open(path, "rb") as file:
        return tomllib.load(file)


_READERS: dict[str, Callable[[str], Any]] = {
    ".yaml": _read_yaml,
    ".yml": _read_yaml,
    ".json": _read_json,
    ".toml": _read_toml,
}


def _table(path: str, reader: Callable[[str], Any]) -> Config:
    found = reader(path)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise ValueError(f"{path} must hold keys and values, not a {type(found).__name__}")
    return found


def load_from_yaml(file_: str) -> Config:
    """Return what a YAML file says, flat. Needs the extra `v6`."""
    return flat_config(_table(file_, _read_yaml))


def load_from_json(file_: str) -> Config:
    """Return what a JSON file says, flat."""
    return flat_config(_table(file_, _read_json))


def load_from_toml(file_: str) -> Config:
    """Return what a TOML file says, flat."""
    return flat_config(_table(file_, _read_toml))


def load_from_files(*files: str, no_warning: bool = False) -> Config:
    """Return what several files say, flat. Later ones win."""
    config: Config = {}
    for path in files:
        reader = _READERS.get(os.path.splitext(path)[1])
        if not os.path.exists(path):
            if not no_warning:
                logger.warning(say("there is no configuration file {path}", path=path))
        elif reader is None:
            if not no_warning:
                logger.warning(
                    say(
                        "{path} is no configuration file: .yaml, .yml, .json and .toml are",
                        path=path,
                    )
                )
        else:
            config.update(flat_config(_table(path, reader)))
    return config


def load_configs_from_dirs(*directories: str, no_waring: bool = False) -> Config:
    """Return what the files of some folders say, flat, by name. Later ones win."""
    config: Config = {}
    for folder in directories:
        if not os.path.isdir(folder):
            if not no_waring:
                logger.warning(
                    say("there is no folder {folder} of configuration files", folder=folder)
                )
            continue
        paths = [os.path.join(folder, name) for name in sorted(os.listdir(folder))]
        found = [path for path in paths if os.path.splitext(path)[1] in _READERS]
        config.update(load_from_files(*found, no_warning=no_waring))
    return config


def load_config_in_default(no_waring: bool = False) -> Config:
    """Return the project's configuration: the folder `config`, then `config.*` beside it."""
    config = load_configs_from_dirs("config", no_waring=no_waring)
    config.update(load_from_files(*_DEFAULT, no_warning=no_waring))
    return config


class Loader:
    """The configuration of several sources, as branch v6 gathers it: not flat."""

    def __init__(self) -> None:
        self.config: Config = {}

    def load_from_yaml(self, fp: str) -> Loader:
        """Add what a YAML file says."""
        return self._add(_table(fp, _read_yaml))

    def load_from_toml(self, fp: str) -> Loader:
        """Add what a TOML file says."""
        return self._add(_table(fp, _read_toml))

    def load_from_json(self, fp: str) -> Loader:
        """Add what a JSON file says."""
        return self._add(_table(fp, _read_json))

    def load_from_env(self, prefix: str = "") -> Loader:
        """Add the environment variables that begin with `prefix`, without it."""
        found = os.environ.items()
        return self._add({k.removeprefix(prefix): v for k, v in found if k.startswith(prefix)})

    def merge(self, loader: Loader) -> Loader:
        """Add what another loader has."""
        return self._add(loader.config)

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of a key."""
        return self.config.get(key, default)

    def _add(self, config: Config) -> Loader:
        self.config.update(config)
        return self

    def __repr__(self) -> str:
        return f"Loader(config={self.config})"
