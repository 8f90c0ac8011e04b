"""The package outside moyin/nano/ has no word of nano's own tricks."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import moyin

PACKAGE = Path(moyin.__file__).parent
WORDS = re.compile(
    r"legend|codebook_layout|layout_head|distance_loss|boundary_(?:weight|mask)|ink_probe"
    r"|relative_position_heads|one_way_heads|looking?_back|(?-i:\bLOOKS\b)|spread_glyphs|early_states"
    r"|\btelling\b|\bplanning\b|(?:nano|wording|lines|brief|edits)-50|\bnano\b",
    re.IGNORECASE,
)
# The default checkpoint's name; above moyin/nano/, recipes and commands that name it.
ALLOWED = re.compile(r'checkpoints/nano|"checkpoints" / "nano"')
ABOVE = ("recipes/", "cli/")
# Suites of the small model that evaluate/ still holds.
SUITES = {"evaluate/nano.py", "evaluate/edits.py", "evaluate/runner.py"}


def found(file: str, text: str) -> list[str]:
    """Each line with such a word."""
    if file.startswith(("nano/", *ABOVE)) or file in SUITES:
        return []
    lines = enumerate(ALLOWED.sub("", text).splitlines(), 1)
    return [f"{file}:{number}: {line.strip()}" for number, line in lines if WORDS.search(line)]


def test_general_files_read_as_if_nano_did_not_exist() -> None:
    files = [p.relative_to(PACKAGE).as_posix() for p in sorted(PACKAGE.rglob("*.py"))]
    breaches = [b for f in files for b in found(f, (PACKAGE / f).read_text("utf-8"))]
    assert not breaches, "\n".join(breaches)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("from moyin.nano.config import InkProbeConfig", 1),
        ("x = layout_head(y)\n# the legend's rows", 2),
        ("the default is checkpoints/nano", 0),
        ("nanoseconds, planned, a layout", 0),
    ],
)
def test_a_word_is_found(text: str, count: int) -> None:
    assert len(found("train/x.py", text)) == count
    assert not found("nano/x.py", text)
