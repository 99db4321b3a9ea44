"""LiteyukiBot's settings: keys with the prefix LITEYUKI_, from the environment and `.env`.

`LiteyukiBot` reads them once, when it is made. Nothing here is kept or started.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    SettingsConfigDict,
)

from .comm.wire.frames import MAX_MESSAGE_BYTES
from .errors import ConfigError
from .log import FileConfig, LogConfig

_PREFIX = "LITEYUKI_"

PLUGIN_KEYS = ("LITEYUKI_COMM_REQUIRE_HOST",)
"""The keys in the same file that the NoneBot plugin reads."""


def _upper(value: Any) -> Any:
    return value.upper() if isinstance(value, str) else value


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


class Settings(BaseSettings):
    """The settings of LiteyukiBot itself. NoneBot reads its own keys from the same file."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX,
        env_file=".env",
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        extra="ignore",
    )

    log_level: Annotated[
        Literal["TRACE", "DEBUG", "INFO", "SUCCESS", "WARNING", "ERROR", "CRITICAL"],
        BeforeValidator(_upper),
    ] = "INFO"
    log_icon: bool = True
    log_lang: Annotated[Literal["zh", "en"], BeforeValidator(_lower)] = "zh"
    log_file: str | None = None
    """The file to which the main process writes all lines: its own and the children's."""
    log_rotation: str = "10 MB"
    """When a new file is begun, in loguru's notation."""
    log_retention: str = "10"
    """How many old files are kept, or for how long, in loguru's notation."""
    log_compression: str | None = None
    """The format of compressed old files, by its name in loguru."""
    log_json: bool = False
    stop_timeout: Annotated[float, Field(gt=0, le=3600)] = 10.0
    """Seconds that stopping everything may take."""
    hang_timeout: Annotated[float, Field(ge=0, le=3600)] = 5.0
    """Seconds without an answer, or with a blocked loop, after which a child hangs; 0: off."""
    hang_action: Annotated[Literal["warn", "restart"], BeforeValidator(_lower)] = "warn"
    """What is done about a child that hangs."""
    reload: bool = False
    """Whether a changed file restarts the processes that have loaded it."""
    max_message_bytes: Annotated[int, Field(ge=1024, le=MAX_MESSAGE_BYTES)] = 64 * 1024 * 1024
    """The longest serialised message, in bytes."""
    max_redeliveries: Annotated[int, Field(ge=2, le=1000)] = 3
    """A message that was being handled in so many crashes in a row is set aside.

    At least 2: after a first crash, nobody knows which message was being handled.
    """
    store_path: str | None = None
    """The SQLite file for keys of shared_memory that outlive the main process."""
    store_cache_bytes: Annotated[int, Field(ge=0)] = 16 * 1024 * 1024
    """How many bytes of shared_memory a child keeps copies of."""

    @classmethod
    def load(cls) -> Settings:
        """Read the settings. Raises `ConfigError`, whose text names the key and the problem."""
        try:
            return cls()
        except ValidationError as error:
            lines = []
            for problem in error.errors():
                key = _PREFIX + "_".join(map(str, problem["loc"])).upper()
                lines.append(f"{key}={problem['input']!s}: {problem['msg']}")
            text = "; ".join(lines)
        except UnicodeDecodeError as error:
            text = f".env is not UTF-8: {error}"
        raise ConfigError(f"{text} (in the environment or in .env)")

    @property
    def log(self) -> LogConfig:
        """Which lines the log shows, and how they look."""
        return LogConfig(self.log_level, self.log_icon, self.log_lang, self.log_json)

    @property
    def log_to(self) -> FileConfig | None:
        """The log file and its rotation; None: there is no log file."""
        if self.log_file is None:
            return None
        return FileConfig(
            self.log_file, self.log_rotation, self.log_retention, self.log_compression
        )


def unknown_keys() -> list[str]:
    """Return one line of text about each LITEYUKI_ key that is set and is no setting."""
    known = [*(_PREFIX + name.upper() for name in Settings.model_fields), *PLUGIN_KEYS]
    places: dict[str, list[str]] = {}
    for place, source in (("the environment", EnvSettingsSource), (".env", DotEnvSettingsSource)):
        for name in source(Settings).env_vars:
            key = name.upper()
            if key.startswith(_PREFIX) and key not in known:
                places.setdefault(key, []).append(place)
    lines = []
    for key, where in places.items():
        near = get_close_matches(
            key.removeprefix(_PREFIX), [k.removeprefix(_PREFIX) for k in known], 1
        )
        hint = (
            f"did you mean {_PREFIX}{near[0]}?"
            if near
            else "the settings are listed in README and .env.example"
        )
        lines.append(f"{key} (in {' and '.join(where)}) is no setting of LiteyukiBot: {hint}")
    return lines
