"""`key=value` from the command line, put into nested frozen dataclasses and checked by type."""

from __future__ import annotations

import dataclasses
import difflib
import types
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")

_WORDS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def apply(config: T, overrides: Iterable[str]) -> T:
    """A copy of a frozen dataclass with each `key=value` in its place, `a.b=value` in nested ones.

    Raises ValueError for an unknown key, with the nearest one there is, and for a value that is
    not of the field's type.
    """
    for override in overrides:
        key, equals, value = override.partition("=")
        if not equals or not key:
            raise ValueError(f"{override!r} is no override: write key=value")
        config = _replace(config, key.split("."), value, key)
    return config


def nearest(name: str, known: Iterable[str]) -> str:
    """` (did you mean X?)`, or the names there are where none is near."""
    names = sorted(known)
    found = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f" (did you mean {found[0]}?)" if found else f" (there are: {', '.join(names)})"


def _replace(config: Any, path: list[str], value: str, key: str) -> Any:
    names = [f.name for f in dataclasses.fields(config) if f.init]
    head, rest = path[0], path[1:]
    if head not in names:
        raise ValueError(f"unknown override {key}{nearest(head, names)}")
    old = getattr(config, head)
    optional = value.lower() == "none" and type(None) in get_args(_hint(config, head))
    nested = dataclasses.is_dataclass(old) and not (optional and not rest)
    if bool(rest) != nested:
        inner = [f.name for f in dataclasses.fields(old)] if nested else []
        hint = f"it has parts: {', '.join(inner)}" if nested else f"{head} has no parts"
        raise ValueError(f"override {key}: {hint}")
    new = _replace(old, rest, value, key) if rest else _parse(value, _hint(config, head), key)
    try:
        return dataclasses.replace(config, **{head: new})
    except ValueError as e:
        raise ValueError(f"override {key}={value}: {e}") from None


def _hint(config: Any, name: str) -> Any:
    return get_type_hints(type(config))[name]


def _parse(text: str, kind: Any, key: str) -> Any:
    """`text` as a value of the annotated type."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        if type(None) in inner and text.lower() == "none":
            return None
        kinds = [k for k in inner if k is not type(None)]
        return _first(text, kinds, key)
    if origin is Literal:
        if text not in inner:
            raise ValueError(
                f"override {key}={text}: it must be one of {', '.join(map(str, inner))}"
            )
        return text
    if origin is tuple:
        return _tuple(text, inner, key)
    return _plain(text, kind, key)


def _first(text: str, kinds: list[Any], key: str) -> Any:
    for kind in kinds[:-1]:
        try:
            return _parse(text, kind, key)
        except ValueError:
            continue
    return _parse(text, kinds[-1], key)


def _tuple(text: str, inner: tuple[Any, ...], key: str) -> tuple[Any, ...]:
    parts = [p.strip() for p in text.strip("()[]").split(",") if p.strip()]
    if len(inner) == 2 and inner[1] is Ellipsis:
        return tuple(_parse(p, inner[0], key) for p in parts)
    if len(parts) != len(inner):
        raise ValueError(f"override {key}={text}: it needs {len(inner)} values with commas between")
    return tuple(_parse(p, k, key) for p, k in zip(parts, inner, strict=True))


def _plain(text: str, kind: Any, key: str) -> Any:
    wanted = {bool: "true or false", int: "a whole number", float: "a number"}
    try:
        if kind is bool:
            return _WORDS[text.lower()]
        if kind is int:
            return int(text.replace("_", ""))
        if kind in (float, str, Path):
            return kind(text)
    except (KeyError, ValueError):
        raise ValueError(f"override {key}={text}: it must be {wanted[kind]}") from None
    raise ValueError(f"override {key}: a value of this type cannot be given on the command line")
