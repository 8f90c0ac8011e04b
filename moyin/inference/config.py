"""How an image is generated: size, token sampling and denoising. Imports no framework."""

from __future__ import annotations

import dataclasses
import math
import numbers
import operator
from dataclasses import dataclass
from typing import Any, Self, TypeVar

import numpy as np

from moyin.flow.samplers import SAMPLERS
from moyin.prompt.grid import Grid

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class TokenSampling:
    """How the generator samples semantic tokens; requests with equal ones are sampled together.

    temperature: 0 takes the likeliest token. top_p, top_k (0: all): truncation of the
    distribution. token_guidance: classifier-free guidance of the logits; 1 disables it. draft: how
    many tokens are guessed and checked at once (`inference.speculative`); it changes the time and
    not the tokens.

    ValueError for a value of another type or out of its range.
    """

    temperature: float = 0.9
    top_p: float = 0.75
    top_k: int = 0
    token_guidance: float = 1.0
    draft: int = 0

    def __post_init__(self) -> None:
        _convert_fields(self)
        _at_least(self, temperature=0, top_k=0, draft=0)
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p must be above 0 and at most 1, not {self.top_p}")


@dataclass(frozen=True, kw_only=True)
class FlowSampling:
    """How the decoder denoises; requests with equal ones and of one size are denoised together.

    steps: calls of the decoder. guidance: classifier-free guidance; 1 disables it. sampler: a name
    in `flow.samplers`. reuse: relative-change threshold of the first-block cache
    (`models.first_block_cache`); 0 disables it.

    ValueError for a value of another type or out of its range.
    """

    steps: int = 50
    guidance: float = 1.5
    sampler: str = "euler"
    reuse: float = 0.0

    def __post_init__(self) -> None:
        _convert_fields(self)
        _at_least(self, steps=1, reuse=0)
        if self.sampler not in SAMPLERS:
            raise ValueError(f"sampler must be {' or '.join(SAMPLERS)}, not {self.sampler}")


@dataclass(frozen=True, kw_only=True)
class GenerationConfig(TokenSampling, FlowSampling):
    """Everything that a checkpoint prefers and a caller may change; defaults are GLM-Image's.

    The fields of both samplings stand beside those of the image, so that one flat list of names
    serves keyword arguments, JSON rows and key=value overrides.

    height, width: pixels, multiples of 32. preview: whether the tokens of a small image are
    generated first. exact_quotes: read quotation marks as GLM-Image's own pipeline does, for which
    every apostrophe is one.

    ValueError for a value of another type or out of its range. NumPy's numbers are accepted.
    """

    height: int = 1024
    width: int = 1024
    preview: bool = True
    exact_quotes: bool = False

    def __post_init__(self) -> None:
        TokenSampling.__post_init__(self)
        FlowSampling.__post_init__(self)
        Grid.of_pixels(self.height, self.width)

    @property
    def grid(self) -> Grid:
        """The grid of semantic tokens."""
        return Grid.of_pixels(self.height, self.width)

    @property
    def token_sampling(self) -> TokenSampling:
        """The part that the generator needs."""
        return _part(TokenSampling, self)

    @property
    def flow_sampling(self) -> FlowSampling:
        """The part that the decoder needs."""
        return _part(FlowSampling, self)

    def replace(self, **changes: Any) -> Self:
        """A copy with these fields changed. ValueError for a field that does not exist."""
        names = [field.name for field in dataclasses.fields(self)]
        for name in sorted(changes.keys() - set(names)):
            raise ValueError(f"no setting {name} (there are: {', '.join(names)})")
        return dataclasses.replace(self, **changes)


def _part(kind: type[T], config: GenerationConfig) -> T:
    names = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
    return kind(**{name: getattr(config, name) for name in names})


def _at_least(config: Any, **limits: int) -> None:
    for name, limit in limits.items():
        value = getattr(config, name)
        if value < limit:
            bound = f"at least {limit}" if limit else "0 or more"
            raise ValueError(f"{name} must be {bound}, not {value}")


def _convert_fields(config: Any) -> None:
    """Each field as a Python number of its declared type. ValueError where it is of another."""
    for field in dataclasses.fields(config):
        convert, words = _CONVERSIONS[str(field.type)]
        value = getattr(config, field.name)
        try:
            converted = convert(value)
        except TypeError:
            raise ValueError(f"{field.name} must be {words}, not {value!r}") from None
        object.__setattr__(config, field.name, converted)


def _integer(value: Any) -> int:
    if _is_bool(value):
        raise TypeError
    return operator.index(value)


def _finite(value: Any) -> float | int:
    """Whole numbers stay whole, so that they are written to JSON as they were read."""
    if _is_bool(value) or not isinstance(value, numbers.Real):
        raise TypeError
    number = operator.index(value) if isinstance(value, numbers.Integral) else float(value)
    if not math.isfinite(number):
        raise TypeError
    return number


def _boolean(value: Any) -> bool:
    if not _is_bool(value):
        raise TypeError
    return bool(value)


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return str(value)


def _is_bool(value: Any) -> bool:
    return isinstance(value, bool | np.bool_)


_CONVERSIONS = {
    "int": (_integer, "a whole number"),
    "float": (_finite, "a finite number"),
    "bool": (_boolean, "true or false"),
    "str": (_string, "a name"),
}
