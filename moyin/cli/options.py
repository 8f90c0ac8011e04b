"""Command line arguments: options that are stated once in a dataclass, and `key=value`."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any, TypeVar, get_type_hints

import typer

Options = TypeVar("Options")

# How a path or a value is given by each of the verbs that take it.
Out = Annotated[str | None, typer.Option("--out", "-o", metavar="DIR", help="Output folder.")]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="KEY=VALUE", help="Any other field of the configuration."),
]


def command(options: type[Options], run: Callable[[Options], None]) -> Callable[..., None]:
    """A typer command whose parameters are the fields of the dataclass `options`."""
    hints = get_type_hints(options, include_extras=True)
    parameters = [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            annotation=hints[field.name],
            default=_default(field),
        )
        for field in dataclasses.fields(options)  # type: ignore[arg-type]
    ]

    def call(**values: Any) -> None:
        run(options(**values))

    call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    call.__doc__ = run.__doc__
    return call


def _default(field: dataclasses.Field[Any]) -> Any:
    return inspect.Parameter.empty if field.default is dataclasses.MISSING else field.default


def merge(
    overrides: Iterable[str] | None, keys: dict[str, str], **options: object
) -> tuple[list[str], dict[str, str | None]]:
    """Join options with `key=value` arguments that set the same thing.

    keys: for each option the key that it stands for, such as {"checkpoint": "tokenize.checkpoint"};
    `option=value` stands for it too. Returns the other overrides, and the value of each option or
    None. Raises ValueError where a thing is set twice, to different values.
    """
    values: dict[str, str | None] = {
        name: None if value is None else str(value) for name, value in options.items()
    }
    names = {key: name for name, key in keys.items()} | {name: name for name in options}
    others: list[str] = []
    for override in overrides or []:
        key, equals, value = override.partition("=")
        name = names.get(key) if equals else None
        if name is None:
            others.append(override)
            continue
        flag = f"--{name.replace('_', '-')}"
        if values[name] not in (None, value):
            raise ValueError(f"{flag} is {values[name]} and {override} differs: give one of them")
        values[name] = value
    return others, values


def required(value: str | None, flag: str, purpose: str) -> str:
    """ValueError that names the flag of a missing value."""
    if not value:
        raise ValueError(f"{flag} is missing: {purpose}")
    return value


def choice(value: str | None, flag: str, choices: Sequence[str]) -> None:
    """ValueError for a value that is not one of the choices."""
    if value is not None and value not in choices:
        raise ValueError(f"{flag} {value}: it must be {' or '.join(choices)}")
