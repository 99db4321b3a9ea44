"""Describes types to pydantic, which is imported when the first type is described.

Some types are described field by field, because pydantic's own check of them does not fit. It does
not look into a dataclass. It accepts a plain tuple for a named tuple, a dict for a model and True
for `Literal[1]`. It refuses `typing.TypedDict` before Python 3.12, and does not know classes of
users. A type that contains such a type is described too.
"""

from __future__ import annotations

import dataclasses
import sys
import types
import typing
from collections import Counter, OrderedDict, abc, defaultdict, deque
from typing import Annotated, Any, Final, Literal, TypeVar, Union, get_args, get_origin

_CONTAINERS: set[Any] = {
    *(list, dict, set, frozenset, tuple, deque, defaultdict, OrderedDict, Counter),
    *(abc.Sequence, abc.MutableSequence, abc.Mapping, abc.MutableMapping),
    *(abc.Set, abc.MutableSet),
}


def substitute(kind: Any, own: dict[Any, Any]) -> Any:
    """Put the types of `own` in place of their type variables."""
    if isinstance(kind, TypeVar):
        return own.get(kind, kind)
    if get_origin(kind) is None or not getattr(kind, "__parameters__", ()):
        return kind
    return kind[tuple(own.get(parameter, parameter) for parameter in kind.__parameters__)]


def resolve(kind: Any, module: str | None, own: dict[str, Any] | None = None) -> Any:
    """Return `kind` with its names that are written as text looked up in the module and `own`."""

    def holder() -> None:
        pass

    holder.__annotations__ = {"kind": kind}
    names = vars(sys.modules[module]) if module in sys.modules else {}
    return typing.get_type_hints(holder, names, own, include_extras=True)["kind"]


class Description:
    """Describes one type to pydantic. The classes that it makes are for pydantic only."""

    def __init__(self) -> None:
        self._records: dict[Any, Any] = {}
        self._begun: set[str] = set()

    def of(self, kind: Any) -> Any:
        """Return a type whose strict check by pydantic is the check for `kind`."""
        origin, arguments = get_origin(kind), get_args(kind)
        if origin is Annotated:
            kind_and_more = (self.of(arguments[0]), *arguments[1:])
            return Annotated[kind_and_more]
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
        cls = origin or kind
        if _is_alias(cls):
            return self._record(kind, cls)
        if not isinstance(cls, type):
            return kind
        return self._record(kind, cls) if _is_record(cls) else _known(kind, cls)

    def _record(self, kind: Any, cls: Any) -> Any:
        """Return a class that stands for `kind`, which may contain itself."""
        record = self._records.get(kind)
        if record is None:
            reference = f"{cls.__module__}.{cls.__name__}:liteyuki-{len(self._records)}"

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
        if _is_alias(cls):
            value = substitute(resolve(cls.__value__, cls.__module__), own)
            return core_schema.chain_schema(
                [handler.generate_schema(self.of(value))], ref=reference
            )
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
            described = handler.generate_schema(self.of(substitute(hint, own)))
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


def _is_alias(kind: Any) -> bool:
    # typing and typing_extensions may each have such a class.
    return type(kind).__name__ == "TypeAliasType"


def _is_record(cls: Any) -> bool:
    """Return whether `cls` is a TypedDict, dataclass or named tuple without a schema of its own."""
    from typing_extensions import is_typeddict

    if any(
        hasattr(cls, f"__{name}__")
        for name in ("get_pydantic_core_schema", "pydantic_config", "pydantic_validator")
    ):
        return False
    named_tuple = issubclass(cls, tuple) and hasattr(cls, "_fields")
    return is_typeddict(cls) or dataclasses.is_dataclass(cls) or named_tuple


def _field_type(cls: Any, field: dataclasses.Field[Any]) -> Any:
    # `get_type_hints` of the class would also look up its InitVars, which Python 3.10 refuses.
    owner: Any = next(
        base
        for base in reversed(cls.__mro__)
        if base.__dict__.get("__dataclass_fields__", {}).get(field.name) is field
    )
    own = {parameter.__name__: parameter for parameter in getattr(owner, "__type_params__", ())}
    return resolve(field.type, owner.__module__, {**own, owner.__name__: owner})


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
    """Return `kind` if pydantic knows it, else a type whose check only looks at the class.

    For a pydantic model the check of the class is enough: the model has checked its own fields.
    """
    from pydantic import InstanceOf, TypeAdapter
    from pydantic.errors import PydanticSchemaGenerationError

    if not hasattr(cls, "__pydantic_validator__"):
        try:
            TypeAdapter(kind)
            return kind
        except PydanticSchemaGenerationError:
            isinstance(None, cls)  # Raises for a protocol that `isinstance` can't check.
    return InstanceOf[cls]  # type: ignore[misc, valid-type]


def _unqualified(hint: Any) -> tuple[Any, bool | None]:
    """Return the type inside Required, NotRequired and the like, and whether it is required."""
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
