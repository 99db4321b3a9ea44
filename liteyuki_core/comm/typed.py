"""Checks data against a channel's type with pydantic, which is imported when a type is first used.

The data is only looked at; what pydantic may build meanwhile is thrown away. Some types are
described to it field by field: left to itself it does not look into a dataclass, takes a
plain tuple for a named one and a dict for a model, refuses `typing.TypedDict` before Python
3.12, and does not know other people's classes.
"""

from __future__ import annotations

import dataclasses
import re
import reprlib
import sys
import types
import typing
from collections import Counter, OrderedDict, abc, defaultdict, deque
from collections.abc import Callable
from functools import lru_cache
from typing import Annotated, Any, Final, Literal, TypeVar, Union, get_args, get_origin

from ..errors import ChannelTypeError

Check = Callable[[Any, str], None]
"""Raises `ChannelTypeError` unless the data is of the type; also takes the channel's name."""

_CONTAINERS: set[Any] = {
    *(list, dict, set, frozenset, tuple, deque, defaultdict, OrderedDict, Counter),
    *(abc.Sequence, abc.MutableSequence, abc.Mapping, abc.MutableMapping),
    *(abc.Set, abc.MutableSet),
}
_PROBLEMS = 3
_LONGEST = 200
"""How many problems an error tells, and of how many characters each part of it is at most."""


def check_for(channel: object, base: type, name: str) -> Check | None:
    """Return the check for the type that `channel` gives to the generic class `base`.

    None where it gives none, or one that everything is of. Raises `ChannelTypeError` for one
    that can't be checked.
    """
    alias = getattr(channel, "__orig_class__", None)
    given, module = _given(type(channel), get_args(alias), base)
    if not given:
        return None
    kind = given[0]
    try:
        kind = _resolve(kind, module)
        return None if kind in (Any, object) else _check(kind)
    except Exception as error:
        raise _can_not(name, kind, error) from error


def _given(cls: Any, arguments: tuple[Any, ...], base: type) -> tuple[tuple[Any, ...], str | None]:
    """Return what `cls[arguments]` gives to `base`, and the module whose class says so."""
    if cls is base:
        return arguments, None
    own = dict(zip(cls.__parameters__, arguments, strict=False))
    for parent in cls.__dict__.get("__orig_bases__", cls.__bases__):
        origin = get_origin(parent) or parent
        if isinstance(origin, type) and issubclass(origin, base):
            passed = get_args(parent)
            if passed and parent.__parameters__:
                passed = get_args(_substitute(parent, own)) if arguments else ()
            given, module = _given(origin, passed, base)
            return given, module or cls.__module__
    return (), None


def _substitute(kind: Any, own: dict[Any, Any]) -> Any:
    """Put the types of `own` in the place of their variables."""
    if isinstance(kind, TypeVar):
        return own.get(kind, kind)
    if get_origin(kind) is None or not getattr(kind, "__parameters__", ()):
        return kind
    return kind[tuple(own.get(parameter, parameter) for parameter in kind.__parameters__)]


def _resolve(kind: Any, module: str | None, own: dict[str, Any] | None = None) -> Any:
    """Look up the names in it that are given as text, in the module and in `own`."""

    def holder() -> None:
        pass

    holder.__annotations__ = {"kind": kind}
    names = vars(sys.modules[module]) if module in sys.modules else {}
    return typing.get_type_hints(holder, names, own, include_extras=True)["kind"]


def _check(kind: Any) -> Check:
    if isinstance(kind, TypeVar) or (get_origin(kind) and getattr(kind, "__parameters__", ())):
        raise TypeError("it has a type variable that nothing is given for")
    try:
        hash(kind)
    except TypeError:  # Annotated with something like a list.
        return _make_check(kind)
    return _cached_check(kind)


def _make_check(kind: Any) -> Check:
    from pydantic import TypeAdapter, ValidationError

    validate = TypeAdapter(_Description().of(kind)).validate_python

    def check(data: Any, name: str) -> None:
        try:
            validate(data, strict=True)
        except ValidationError as error:
            problems = _problems(error.errors(include_url=False, include_context=False), data)
            raise ChannelTypeError(
                f"channel {name}: expected {_readable(kind)}, got {_came(data)} ({problems}); "
                "nothing was sent",
                name,
            ) from None
        except Exception as error:
            raise _can_not(name, kind, error) from error

    return check


_cached_check = lru_cache(256)(_make_check)


class _Description:
    """Describes one type to pydantic, and to nobody else: the classes it makes are no types."""

    def __init__(self) -> None:
        self._records: dict[Any, Any] = {}
        self._begun: set[str] = set()
        self._aliases: set[Any] = set()

    def of(self, kind: Any) -> Any:
        """Return a type whose strict check by pydantic is the check for `kind`."""
        origin, arguments = get_origin(kind), get_args(kind)
        if origin is Annotated:
            return Annotated[(self.of(arguments[0]), *arguments[1:])]
        if origin in (Union, types.UnionType):
            return Union[tuple(map(self.of, arguments))]  # noqa: UP007
        if origin in _CONTAINERS and arguments:
            return origin[tuple(map(self.of, arguments))]
        if origin is Literal:
            return _exactly(kind, arguments)
        if isinstance(kind, str):  # Python 3.10 leaves the text in list["Name"] as it is.
            raise NameError(f"name {kind!r} is not looked up here; write the whole type as text")
        if isinstance(kind, typing.NewType):
            return self.of(kind.__supertype__)
        if type(kind).__name__ == "TypeAliasType" and kind not in self._aliases:
            self._aliases.add(kind)  # One that contains itself is left to pydantic there.
            return self.of(_resolve(kind.__value__, kind.__module__))
        cls = origin or kind
        if not isinstance(cls, type):
            return kind
        return self._record(kind, cls) if _is_record(cls) else _known(kind, cls)

    def _record(self, kind: Any, cls: type) -> Any:
        record = self._records.get(kind)
        if record is None:
            reference = f"{cls.__module__}.{cls.__qualname__}:liteyuki-{len(self._records)}"

            def schema(_: Any, source: Any, handler: Any) -> Any:
                return self._schema(kind, cls, reference, handler)

            members = {"__get_pydantic_core_schema__": classmethod(schema)}
            record = self._records[kind] = type(cls.__name__, (), members)
        return record

    def _schema(self, kind: Any, cls: Any, reference: str, handler: Any) -> Any:
        from pydantic_core import core_schema
        from typing_extensions import get_type_hints, is_typeddict

        if reference in self._begun:
            return core_schema.definition_reference_schema(reference)
        self._begun.add(reference)
        own = dict(zip(getattr(cls, "__parameters__", ()), get_args(kind), strict=False))
        typed_dict = is_typeddict(cls)
        if dataclasses.is_dataclass(cls):
            hints = {field.name: _field_type(cls, field) for field in dataclasses.fields(cls)}
        else:
            hints = get_type_hints(cls, localns={cls.__name__: cls}, include_extras=True)
        names = getattr(cls, "_fields", hints)
        fields = {}
        for name in names:
            hint, required = _unqualified(hints.get(name, Any))
            if required is None:
                required = not typed_dict or name in cls.__required_keys__
            described = handler.generate_schema(self.of(_substitute(hint, own)))
            fields[name] = core_schema.typed_dict_field(described, required=required)
        if typed_dict:
            return core_schema.typed_dict_schema(fields, ref=reference)

        def values(data: Any) -> dict[str, Any]:
            return {name: getattr(data, name) for name in names if hasattr(data, name)}

        return core_schema.chain_schema(
            [
                core_schema.is_instance_schema(cls),
                core_schema.no_info_plain_validator_function(values),
                core_schema.typed_dict_schema(fields),
            ],
            ref=reference,
        )


def _is_record(cls: Any) -> bool:
    """Return whether it is a TypedDict, dataclass or named tuple that leaves its check to us."""
    from typing_extensions import is_typeddict

    if any(
        hasattr(cls, f"__{name}__")
        for name in ("get_pydantic_core_schema", "pydantic_config", "pydantic_validator")
    ):
        return False
    named_tuple = issubclass(cls, tuple) and hasattr(cls, "_fields")
    return is_typeddict(cls) or dataclasses.is_dataclass(cls) or named_tuple


def _field_type(cls: Any, field: dataclasses.Field[Any]) -> Any:
    # typing.get_type_hints of the class would also look at its InitVars, which Python 3.10 refuses.
    owner: Any = next(
        base
        for base in reversed(cls.__mro__)
        if base.__dict__.get("__dataclass_fields__", {}).get(field.name) is field
    )
    own = {parameter.__name__: parameter for parameter in getattr(owner, "__type_params__", ())}
    return _resolve(field.type, owner.__module__, {**own, owner.__name__: owner})


def _exactly(kind: Any, members: tuple[Any, ...]) -> Any:
    """Return a Literal that does not take True for 1."""
    from pydantic import BeforeValidator
    from pydantic_core import PydanticCustomError

    def check(data: Any) -> Any:
        if isinstance(data, int | float) and not any(
            type(data) is type(member) and data == member for member in members
        ):
            expected = " or ".join(map(repr, members))
            raise PydanticCustomError("literal_error", f"Input should be {expected}")
        return data

    return Annotated[kind, BeforeValidator(check)]


def _known(kind: Any, cls: type) -> Any:
    """Return `kind` if pydantic knows it, else what only looks at the class.

    A model's instances are what its class allows, so there the class is enough too.
    """
    from pydantic import InstanceOf, TypeAdapter
    from pydantic.errors import PydanticSchemaGenerationError

    if not hasattr(cls, "__pydantic_validator__"):
        try:
            TypeAdapter(kind)
            return kind
        except PydanticSchemaGenerationError:
            isinstance(None, cls)  # Raises for a protocol that can't be looked for.
    return InstanceOf[cls]  # type: ignore[misc, valid-type]


def _unqualified(hint: Any) -> tuple[Any, bool | None]:
    """Return the type in Required, NotRequired and the like, and whether they require it."""
    import typing_extensions

    required = None
    qualifiers: dict[Any, bool | None] = {
        typing_extensions.Required: True,
        typing_extensions.NotRequired: False,
        getattr(typing_extensions, "ReadOnly", None): None,
        Final: None,
    }
    while (origin := get_origin(hint)) is not None and origin in qualifiers:
        if qualifiers[origin] is not None:
            required = qualifiers[origin]
        hint = get_args(hint)[0]
    return hint, required


# ------------------------------------------------------------- what errors say


def _can_not(name: str, kind: Any, error: Exception) -> ChannelTypeError:
    why = _short(str(error).split("\n")[0])
    return ChannelTypeError(
        f"channel {name}: data can't be checked against {_readable(kind)}: {why}; give another "
        "type, or make the channel with type_check=False",
        name,
    )


def _readable(kind: Any) -> str:
    if isinstance(kind, type) and get_origin(kind) is None:
        return "None" if kind is type(None) else kind.__qualname__
    return _short(re.sub(r"\btyping(_extensions)?\.", "", repr(kind)))


def _problems(problems: list[Any], data: Any) -> str:
    said: list[str] = []
    # In a union the branch that went furthest into the data is the one that was meant.
    for problem in sorted(problems, key=lambda problem: -len(problem["loc"])):
        missing = problem["type"] == "missing"
        place = _place(data, problem["loc"], missing)
        told = _short(problem["msg"][:1].lower() + problem["msg"][1:])
        if place:
            came = "" if missing else f", not {_came(problem['input'])}"
            told = f"at {place}: {told}{came}"
        if told in said:
            continue
        if len(said) == _PROBLEMS:
            said.append("and more")
            break
        said.append(told)
    return "; ".join(said)


def _place(data: Any, location: tuple[Any, ...], missing: bool) -> str:
    """Return where in `data` that is. Names of a union's branches are no places."""
    place = ""
    value = data
    for i, part in enumerate(location):
        if isinstance(value, abc.Mapping) and part in value:
            place += f"[{reprlib.repr(part)}]"
            value = value[part]
        elif isinstance(value, list | tuple | deque) and isinstance(part, int):
            place += f"[{part}]"
            value = value[part]
        elif (dataclasses.is_dataclass(value) or isinstance(value, tuple)) and hasattr(value, part):
            place += f".{part}"
            value = getattr(value, part)
        elif part == "[key]":
            place += " (the key)"
        elif missing and i == len(location) - 1:
            place += f"[{reprlib.repr(part)}]"
    return _short(place)


def _came(value: Any) -> str:
    kind = type(value)
    if value is None:
        return "None"
    if kind in (bool, float, str) or (kind is int and value.bit_length() < 100):
        return f"{kind.__name__} {reprlib.repr(value)}"
    return _short(kind.__qualname__)


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
