"""LiteyukiBot's settings: keys with the prefix LITEYUKI_, from the environment and `.env`.

Which plugins the main process loads is also said in the table `[tool.liteyuki]` of pyproject.toml.

`LiteyukiBot` reads them once, when it is made. Nothing here is kept or started. pydantic decides
what a value means. It takes half of a main process's start to import, so it is imported only for
values that are not written in the plainest way, wrong ones among them.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from functools import cache
from operator import ge, gt, le
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from annotated_types import Interval

from .comm.wire.frames import MAX_MESSAGE_BYTES
from .errors import ConfigError
from .language import Phrase, listed
from .log import FileConfig, LogConfig
from .pyproject import read_table

_PREFIX = "LITEYUKI_"
_FILE = ".env"
_PYPROJECT = "pyproject.toml"
_TABLE = "liteyuki"
_TABLE_KEYS = ("plugins", "plugin_dirs")
_LISTS = tuple(_PREFIX + name.upper() for name in _TABLE_KEYS)
"""The settings that have what all places list, and not what the last one says."""

PLUGIN_KEYS = (
    "LITEYUKI_COMM_REQUIRE_HOST",
    "LITEYUKI_COMM_FORWARD",
    "LITEYUKI_COMM_COMMANDS",
)
"""The keys in the same file that the NoneBot plugin reads."""

_SECRET_KEYS = ("TOKEN", "SECRET", "PASSWORD", "URLS", "NATS_URL")

_BOOLS = {"true": True, "false": False, "1": True, "0": False}
_NUMBERS = {int: re.compile("[0-9]{1,15}"), float: re.compile(r"[0-9]{1,15}(\.[0-9]{1,15})?")}


@dataclass(frozen=True)
class _Folded:
    """Of a text, upper and lower case are the same."""

    fold: Callable[[str], str]

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        return core_schema.no_info_before_validator_function(self._folded, handler(source))

    def _folded(self, value: Any) -> Any:
        return self.fold(value) if isinstance(value, str) else value


_UPPER = _Folded(str.upper)
_LOWER = _Folded(str.lower)


class _Listed:
    """A text is a JSON list, as NoneBot has it, or has commas between what it lists."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        return core_schema.no_info_before_validator_function(self.split, handler(source))

    def split(self, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        if not value.lstrip().startswith("["):
            return tuple(part for part in map(str.strip, value.split(",")) if part)
        try:
            return tuple(json.loads(value))
        except ValueError:
            raise ValueError("this is no JSON list; commas between names will do too") from None


_LISTED = _Listed()


@dataclass(frozen=True)
class Settings:
    """The settings of LiteyukiBot itself. NoneBot reads its own keys from the same file."""

    log_level: Annotated[
        Literal["TRACE", "DEBUG", "INFO", "SUCCESS", "WARNING", "ERROR", "CRITICAL"],
        _UPPER,
    ] = "INFO"
    log_icon: bool = True
    log_lang: Annotated[Literal["zh", "en"], _LOWER] = "zh"
    log_file: str | None = None
    """The file to which the main process writes all lines: its own and the children's."""
    log_rotation: str = "10 MB"
    """When a new file is begun, in loguru's notation."""
    log_retention: str = "10"
    """How many old files are kept, or for how long, in loguru's notation."""
    log_compression: str | None = None
    """The format of compressed old files, by its name in loguru."""
    log_json: bool = False
    """Whether each line is JSON: on standard output, and in the file unless that has its own."""
    log_file_json: bool | None = None
    """The same for the file. None: as `log_json` says."""
    start_method: Annotated[Literal["forkserver", "spawn"], _LOWER] = "forkserver"
    """How processes of children are started. Without fork servers they are spawned."""
    stop_timeout: Annotated[float, Interval(gt=0, le=3600)] = 10.0
    """Seconds that stopping everything may take."""
    hang_timeout: Annotated[float, Interval(ge=0, le=3600)] = 5.0
    """Seconds without an answer, or with a blocked loop, after which a child hangs; 0: off."""
    hang_action: Annotated[Literal["warn", "restart"], _LOWER] = "warn"
    """What is done about a child that hangs."""
    spare: bool = False
    """Whether each Python child has a spare process, which takes over quickly after a crash."""
    reload: bool = False
    """Whether a changed file restarts the processes that have loaded it."""
    max_message_bytes: Annotated[int, Interval(ge=1024, le=MAX_MESSAGE_BYTES)] = 64 * 1024 * 1024
    """The longest serialised message, in bytes."""
    max_redeliveries: Annotated[int, Interval(ge=2, le=1000)] = 3
    """A message that was being handled in so many crashes in a row is set aside.

    At least 2: after a first crash, nobody knows which message was being handled.
    """
    store_path: str | None = None
    """The SQLite file for keys of shared_memory that outlive the main process.

    Not with LITEYUKI_NATS_URL: the server keeps all keys of a cluster.
    """
    store_cache_bytes: Annotated[int, Interval(ge=0)] = 16 * 1024 * 1024
    """How many bytes of shared_memory a child keeps copies of."""
    plugins: Annotated[tuple[str, ...], _LISTED] = ()
    """The plugins of the main process: modules and paths. Those of pyproject.toml come first."""
    plugin_dirs: Annotated[tuple[str, ...], _LISTED] = ()
    """The folders whose plugins the main process loads, likewise."""
    control: bool = True
    """Whether the user's other processes may ask and command this bot, by `.liteyuki`."""
    alert_urls: Annotated[tuple[str, ...], _LISTED] = ()
    """Where alerts are sent, as URLs of apprise. They have secrets."""
    alert_after: Annotated[float, Interval(ge=0, le=86400)] = 60.0
    """An account that is not online for so many seconds is worth an alert, or a restart."""
    alert_per_hour: Annotated[int, Interval(ge=1, le=10_000)] = 20
    """How many alerts are sent in an hour at most."""
    gateway: bool = True
    """Whether NoneBot's launcher and children that were added with `gateway=True` have one."""
    gateway_wait: Annotated[float, Interval(ge=0, le=3600)] = 10.0
    """Seconds that an HTTP request waits for a child that is away."""
    v6_compat: bool = False
    """Whether `liteyuki run` puts the names of LiteyukiBot v6 in front of all others."""
    web: bool = False
    """Whether the web page is opened with the bot, and not only by `liteyuki web`."""
    web_host: str = "127.0.0.1"
    """Where the web page listens. Anything that other machines can reach needs a password."""
    web_port: Annotated[int, Interval(ge=0, le=65535)] = 0
    """Its port; 0: 20300, or the next one that is free."""
    web_password: str | None = None
    """Opens the web page without a link. Its hash is kept in `.liteyuki`."""
    web_url: str | None = None
    """How the page is called from outside, where a proxy with TLS is in front of it."""
    nats_url: str | None = None
    """The NATS server that makes several main processes one. It may have a password."""
    nats_creds: str | None = None
    """A credentials file for that server."""
    nats_ca: str | None = None
    """The certificate of who has signed the server's, as a file."""
    nats_replicas: Annotated[int, Interval(ge=1, le=5)] = 1
    """On how many servers of a NATS cluster each message is kept."""
    node: str | None = None
    """The name of this main process in the cluster."""
    node_grace: Annotated[float, Interval(ge=0, le=604_800)] = 0.0
    """After so many seconds the channels of a node that is gone are broken; 0: they wait."""
    cluster: str = "liteyuki"
    """Nodes with the same one share their channels."""

    @classmethod
    def load(cls) -> Settings:
        """Read the settings. Raises `ConfigError`, whose text names the key and the problem."""
        settings = cls._from_texts()
        lists: dict[str, Any] = {
            key: (*found, *getattr(settings, key)) for key, found in _tabled().items()
        }
        return replace(settings, **lists)

    @classmethod
    def _from_texts(cls) -> Settings:
        texts: dict[str, str | None] = {}
        for found in (*_files().values(), os.environ):
            texts.update(_read(found))
        hints = get_type_hints(cls, include_extras=True)
        given = {name: text for name in hints if (text := texts.get(_key(name)))}
        try:
            return cls(**{name: _plain(text, hints[name]) for name, text in given.items()})
        except ValueError:
            return cls._checked(given)

    @classmethod
    def _checked(cls, given: dict[str, str]) -> Settings:
        from pydantic import ValidationError

        try:
            settings: Settings = _adapter().validate_python(given)
            return settings
        except ValidationError as error:
            lines = [
                f"{key}={'***' if is_secret(key) else problem['input']}: {problem['msg']}"
                for problem in error.errors()
                for key in (_key(str(problem["loc"][0])),)
            ]
        raise ConfigError(f"{'; '.join(lines)} ({_places()})")

    @property
    def log(self) -> LogConfig:
        """Which lines the log shows, and how they look."""
        json = self.log_json if self.log_file_json is None else self.log_file_json
        both = self.log_file is not None and json != self.log_json
        return LogConfig(self.log_level, self.log_icon, self.log_lang, self.log_json, both)

    @property
    def log_to(self) -> FileConfig | None:
        """The log file and its rotation; None: there is no log file."""
        if self.log_file is None:
            return None
        return FileConfig(
            self.log_file, self.log_rotation, self.log_retention, self.log_compression
        )


def is_secret(key: str) -> bool:
    """Return whether the value of a setting has secrets, which nobody is shown."""
    return any(word in key for word in _SECRET_KEYS)


def places() -> dict[str, str]:
    """Return where each setting that is set now was found, by its key. Raises `ConfigError`."""
    found = {
        _key(name): f"[tool.{_TABLE}] of {_PYPROJECT}" for name, some in _tabled().items() if some
    }
    for place, texts in {**_files(), "the environment": os.environ}.items():
        for key in _read(texts):
            found[key] = f"{found[key]} and {place}" if key in _LISTS and key in found else place
    return found


def other_key(key: str) -> str | None:
    """Return what a key that is not ours is set to, NoneBot's for example.

    Raises `ConfigError`.
    """
    value = None
    for texts in (*_files().values(), os.environ):
        value = {name.upper(): text for name, text in texts.items()}.get(key) or value
    return value


def unknown_keys() -> list[Phrase]:
    """Return one line of text about each LITEYUKI_ key that is set and is no setting."""
    known = [*(_key(field.name) for field in fields(Settings)), *PLUGIN_KEYS]
    places: dict[str, list[object]] = {}
    for place, found in [(Phrase("the environment"), os.environ), *_files().items()]:
        for key in _read(found):
            if key not in known:
                places.setdefault(key, []).append(place)
    lines = []
    for key, where in places.items():
        near = get_close_matches(
            key.removeprefix(_PREFIX), [k.removeprefix(_PREFIX) for k in known], 1
        )
        hint = (
            Phrase("did you mean {key}?", key=_PREFIX + near[0])
            if near
            else Phrase("the settings are listed in README and .env.example")
        )
        lines.append(
            Phrase(
                "{key} (in {place}) is no setting of LiteyukiBot: {hint}",
                key=key,
                place=listed(where),
                hint=hint,
            )
        )
    lines += [
        Phrase(
            "{key} (in [tool.{table}] of {file}) is no setting of LiteyukiBot: this table has "
            "{keys}",
            key=key,
            table=_TABLE,
            file=_PYPROJECT,
            keys=listed(_TABLE_KEYS),
        )
        for key in read_table(_PYPROJECT, _TABLE)
        if key not in _TABLE_KEYS
    ]
    return lines


def _tabled() -> dict[str, list[str]]:
    """Return the lists in the table of pyproject.toml. Raises `ConfigError`."""
    table = read_table(_PYPROJECT, _TABLE)
    lists = {key: table[key] for key in _TABLE_KEYS if key in table}
    for key, found in lists.items():
        if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
            raise ConfigError(
                f"{key} in [tool.{_TABLE}] of {_PYPROJECT} must be a list of texts, not {found!r}"
            )
    return lists


def _key(name: str) -> str:
    return _PREFIX + name.upper()


def _files() -> dict[str, Mapping[str, str | None]]:
    """Return what NoneBot's files set, by file; a later one counts more. Raises `ConfigError`."""
    found = {_FILE: _file(_FILE)}
    environment = "prod"
    for texts in (found[_FILE], os.environ):
        named = {key.upper(): text for key, text in texts.items()}.get("ENVIRONMENT")
        if named:
            environment = named
    more = f"{_FILE}.{environment}"
    found[more] = _file(more)
    return found


def _file(name: str) -> Mapping[str, str | None]:
    if not os.path.isfile(name):
        return {}
    from dotenv import dotenv_values

    try:
        return dotenv_values(name, encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{name} is not UTF-8: {error}") from None


def _places() -> str:
    """Return where settings may stand, for an error."""
    files = [name for name, found in _files().items() if found or name == _FILE]
    return " or ".join(f"in {place}" for place in ("the environment", *files))


def _read(found: Mapping[str, str | None]) -> dict[str, str | None]:
    """Return what is set and begins with the prefix, by keys in upper case."""
    return {
        key.upper(): text
        for key, text in found.items()
        if text != "" and key.upper().startswith(_PREFIX)
    }


@cache
def _adapter() -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(Settings)


def _plain(text: str, hint: Any) -> Any:
    """Return what pydantic makes of a text written plainly. Raises `ValueError` for any other."""
    kind, *more = get_args(hint) if get_origin(hint) is Annotated else (hint,)
    value: Any = text
    if kind in (bool, bool | None):
        value = _BOOLS.get(text.lower())
    elif kind in _NUMBERS:
        value = kind(text) if _NUMBERS[kind].fullmatch(text) else None
    for rule in more:
        if isinstance(rule, _Folded):
            value = text = rule.fold(text)
        elif isinstance(rule, _Listed):
            value = rule.split(text)
            if not all(isinstance(item, str) for item in value):
                value = None
        elif value is not None and not _within(value, rule):
            value = None
    if value is None or (get_origin(kind) is Literal and value not in get_args(kind)):
        raise ValueError(text)
    return value


def _within(value: float, interval: Interval) -> bool:
    limits: Any = ((gt, interval.gt), (ge, interval.ge), (le, interval.le))
    return all(limit is None or holds(value, limit) for holds, limit in limits)
