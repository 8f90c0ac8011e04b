"""What a checkpoint was trained for, as the field `trained_for` of its moyin.json says.

    "trained_for": {
      "sizes": ["512x512"],             WIDTHxHEIGHT; absent: any size
      "needs_quoted_text": true,        it writes only what the prompt quotes
      "max_texts": 1,                   quoted strings of an image; absent: any number
      "max_references": 1,              images of an edit, 0 for none; absent: any number
      "references": "posters as it draws them"
    }

A request outside of it is generated all the same; `request_warnings` says what is outside.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from moyin.inference.request import Request
from moyin.prompt.grid import format_size, parse_size
from moyin.prompt.quotes import quoted


@dataclass(frozen=True, kw_only=True)
class TrainingScope:
    """The fields of `trained_for`; the defaults set no limits."""

    sizes: tuple[str, ...] = ()
    needs_quoted_text: bool = False
    max_texts: int | None = None
    max_references: int | None = None
    references: str = "images"

    @classmethod
    def from_notes(cls, notes: Mapping[str, Any]) -> TrainingScope:
        """From moyin.json. ValueError for a field that does not exist or a size that is none."""
        given = notes.get("trained_for", {})
        names = [field.name for field in fields(cls)]
        if not isinstance(given, dict) or not given.keys() <= set(names):
            raise ValueError(f"moyin.json: trained_for must hold only {', '.join(names)}")
        sizes = tuple(parse_size(str(size)).size for size in given.get("sizes", ()))
        return cls(**{**given, "sizes": sizes})


def request_warnings(scope: TrainingScope, request: Request) -> list[str]:
    """One plain sentence for each way in which the request leaves the training scope."""
    settings, references = request.settings, len(request.references)
    texts = len(quoted(request.prompt, settings.exact_quotes))
    # An edit may quote the text that is there and the one that replaces it.
    max_texts = scope.max_texts and scope.max_texts * (2 if references else 1)
    warnings = []
    size = format_size(settings.height, settings.width)
    if scope.sizes and size not in scope.sizes:
        warnings.append(f"size {size}: this model was trained at {_listed(scope.sizes)} only")
    if scope.needs_quoted_text and not texts:
        warnings.append("no quoted text: this model writes only what is quoted")
    if max_texts is not None and texts > max_texts:
        warnings.append(f"{texts} quoted texts: this model was trained with at most {max_texts}")
    if scope.max_references is not None and references > scope.max_references:
        limit = f"at most {scope.max_references}" if scope.max_references else "none"
        warnings.append(f"{references} reference images: this model was trained with {limit}")
    for reference in request.references if scope.sizes else ():
        rows, columns = reference.grid.shape
        size = format_size(32 * rows, 32 * columns)
        if size not in scope.sizes:
            warnings.append(
                f"a reference image of {size}: this model edits {scope.references} only, "
                f"{_listed(scope.sizes)}"
            )
    return warnings


def _listed(sizes: tuple[str, ...]) -> str:
    return " or ".join(sizes)
