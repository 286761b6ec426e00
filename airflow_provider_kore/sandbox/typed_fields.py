"""Check the values of a dataclass against its annotations, for values that come from JSON."""

from collections.abc import Mapping
from dataclasses import fields
from types import UnionType
from typing import TYPE_CHECKING, Literal, get_args, get_origin, get_type_hints

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def check_types(instance: "DataclassInstance") -> None:
    """Raise ``ValueError`` that names the first field whose value its annotation does not allow."""
    hints = get_type_hints(type(instance))
    for field in fields(instance):
        if not _fits(getattr(instance, field.name), hints[field.name]):
            raise ValueError(f"{field.name} must be {_describe(hints[field.name])}")


def check_names(cls: "type[DataclassInstance]", values: Mapping[str, object]) -> None:
    """Raise ``ValueError`` that names the keys that are no fields of this dataclass."""
    unknown = values.keys() - {field.name for field in fields(cls)}
    if unknown:
        raise ValueError(f"unknown: {', '.join(sorted(unknown))}")


def _fits(value: object, hint: object) -> bool:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return any(type(value) is type(choice) and value == choice for choice in arguments)
    if isinstance(hint, UnionType):
        return any(_fits(value, choice) for choice in arguments)
    if origin is tuple:
        return isinstance(value, tuple) and all(_fits(item, arguments[0]) for item in value)
    if origin is dict:
        return isinstance(value, dict) and all(
            _fits(key, arguments[0]) and _fits(item, arguments[1]) for key, item in value.items()
        )
    if hint in (int, float):  # a bool is an int in Python, but not in JSON
        return isinstance(value, int if hint is int else (int, float)) and not isinstance(value, bool)
    return isinstance(hint, type) and isinstance(value, hint)


def _describe(hint: object) -> str:
    if get_origin(hint) is Literal:
        return "one of " + ", ".join(repr(choice) for choice in get_args(hint))
    return hint.__name__ if isinstance(hint, type) and not get_args(hint) else str(hint)
