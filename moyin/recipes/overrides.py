"""Apply `key=value` overrides to nested frozen dataclasses, checked by type.

apply(config, ["optimizer.lr=1e-4"])   a changed copy
lines(config)                          the whole configuration as overrides
"""

from __future__ import annotations

import dataclasses
import difflib
import types
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")

_BOOLEANS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def apply(config: T, overrides: Iterable[str]) -> T:
    """A copy of a frozen dataclass with each `key=value` applied, `a.b=value` in nested ones.

    Raises ValueError for an unknown key, with the nearest valid one, and for a value that does not
    have the field's type.
    """
    for override in overrides:
        key, equals, value = override.partition("=")
        if not equals or not key:
            raise ValueError(f"{override!r} is not an override: write key=value")
        try:
            config = _replace(config, key.split("."), value, key)
        except KeyError:
            raise ValueError(f"unknown key {key}{nearest(key, keys(config))}") from None
    return config


def keys(config: Any, prefix: str = "") -> Iterator[str]:
    """All dotted keys of a dataclass that take a value.

    An item of a tuple of dataclasses is named by its `kind`, as in `auxiliary.ink_probe.weight`.
    """
    for field in _fields(config):
        value = getattr(config, field)
        if dataclasses.is_dataclass(value):
            yield from keys(value, f"{prefix}{field}.")
        elif items := _items(value):
            for name, item in items.items():
                yield from keys(item, f"{prefix}{field}.{name}.")
        else:
            yield prefix + field


def lines(config: Any) -> Iterator[str]:
    """Every key with its value, as `apply` takes it."""
    for key in keys(config):
        value = config
        for part in key.split("."):
            value = _items(value)[part] if isinstance(value, tuple) else getattr(value, part)
        yield f"{key}={_format(value)}"


def nearest(name: str, known: Iterable[str]) -> str:
    """` (did you mean X?)`, or all known names where none is close.

    Names are compared whole and by their last part, so `lr` finds `optimizer.lr`.
    """
    names = sorted(known, key=lambda known_name: (known_name.count("."), known_name))
    last = {name.rpartition(".")[2]: name for name in reversed(names)}
    wanted = name.rpartition(".")[2]
    if wanted in last:
        close = [last[wanted]]
    else:
        close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
        close = close or [last[m] for m in difflib.get_close_matches(wanted, last, 1, 0.5)]
    return f" (did you mean {close[0]}?)" if close else f" (known: {', '.join(names)})"


def _fields(config: Any) -> list[str]:
    return [field.name for field in dataclasses.fields(config) if field.init]


def _items(value: Any) -> dict[str, Any]:
    """The items of a tuple of dataclasses by their kind; empty for anything else."""
    if not isinstance(value, tuple) or not all(map(dataclasses.is_dataclass, value)):
        return {}
    return {item.kind: item for item in value}


def _replace(config: Any, path: list[str], value: str, key: str) -> Any:
    """KeyError where a part of the path is no field."""
    head, rest = path[0], path[1:]
    if head not in _fields(config):
        raise KeyError(head)
    old, kind = getattr(config, head), _type_of(config, head)
    if items := _items(old):
        return dataclasses.replace(config, **{head: _replace_item(items, rest, value, key)})
    optional = value.lower() == "none" and type(None) in get_args(kind)
    nested = dataclasses.is_dataclass(old) and not (optional and not rest)
    if nested and not rest:
        raise ValueError(f"{key}: set one of its fields, {key}.{f', {key}.'.join(_fields(old))}")
    if rest and not nested:
        raise ValueError(f"{key}: {head} is {_format(old)}, which has no fields")
    new = _replace(old, rest, value, key) if rest else _parse(value, kind, key)
    try:
        return dataclasses.replace(config, **{head: new})
    except ValueError as e:
        raise ValueError(f"{key}={value}: {e}") from None


def _replace_item(items: dict[str, Any], path: list[str], value: str, key: str) -> tuple[Any, ...]:
    if len(path) < 2 or path[0] not in items:
        raise KeyError(key)
    changed = {path[0]: _replace(items[path[0]], path[1:], value, key)}
    return tuple((items | changed).values())


def _type_of(config: Any, name: str) -> Any:
    return get_type_hints(type(config))[name]


def _format(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        nested = any(isinstance(item, tuple) for item in value)
        parts = [f"({_format(item)})" if nested else _format(item) for item in value]
        return ",".join(parts)
    if isinstance(value, dict):
        return ",".join(f"{name}:{_format(item)}" for name, item in value.items())
    return str(value)


def _parse(text: str, kind: Any, key: str) -> Any:
    """`text` as a value of the annotated type."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        if type(None) in inner and text.lower() == "none":
            return None
        return _first(text, [k for k in inner if k is not type(None)], key)
    if origin is Literal:
        if text not in inner:
            raise ValueError(f"{key}={text}: it must be one of {', '.join(map(str, inner))}")
        return text
    if origin is tuple:
        return _tuple(text, inner, key)
    if isinstance(origin, type) and issubclass(dict, origin):
        return _mapping(text, inner, key)
    return _plain(text, kind, key)


def _first(text: str, kinds: list[Any], key: str) -> Any:
    for kind in kinds[:-1]:
        try:
            return _parse(text, kind, key)
        except ValueError:
            continue
    return _parse(text, kinds[-1], key)


def _tuple(text: str, inner: tuple[Any, ...], key: str) -> tuple[Any, ...]:
    nested = get_origin(inner[0]) is tuple  # whose parts have brackets of their own
    parts = _split(text if nested else text.strip("()[]"))
    if len(inner) == 2 and inner[1] is Ellipsis:
        return tuple(_parse(p, inner[0], key) for p in parts)
    if len(parts) != len(inner):
        raise ValueError(f"{key}={text}: it needs {len(inner)} values separated by commas")
    return tuple(_parse(p, k, key) for p, k in zip(parts, inner, strict=True))


def _mapping(text: str, inner: tuple[Any, ...], key: str) -> dict[Any, Any]:
    pairs = [part.rpartition(":") for part in _split(text)]
    if not all(colon for _, colon, _ in pairs):
        raise ValueError(f"{key}={text}: write name:value pairs separated by commas")
    return {_parse(name, inner[0], key): _parse(value, inner[1], key) for name, _, value in pairs}


def _split(text: str) -> list[str]:
    """The parts between those commas that stand outside of brackets."""
    parts, depth = [""], 0
    for character in text:
        depth += (character in "([") - (character in ")]")
        if character == "," and not depth:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts if part.strip()]


def _plain(text: str, kind: Any, key: str) -> Any:
    wanted = {bool: "true or false", int: "a whole number", float: "a number"}
    try:
        if kind is bool:
            return _BOOLEANS[text.lower()]
        if kind is int:
            return int(text.replace("_", ""))
        if kind in (float, str, Path):
            return kind(text)
    except (KeyError, ValueError):
        raise ValueError(f"{key}={text}: it must be {wanted[kind]}") from None
    raise ValueError(f"{key}: a value of this type cannot be given on the command line")
