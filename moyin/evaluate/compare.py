"""Two reports of the same suite, prompt by prompt: is the second better, and how surely?"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from moyin.evaluate import bootstrap, report
from moyin.evaluate.runner import SCORERS
from moyin.evaluate.task import total
from moyin.ocr.scores import Scores, Sums, added

RESAMPLES = 1000


def compare(first: Path, second: Path) -> dict[str, Any]:
    """The scores of both over the prompts that both have, the second's less the first's with its
    95 % interval, each draw of the bootstrap taking the same prompts of both.

    Raises ValueError for what is no report, for reports of different suites or engines, and where
    they share no prompt.
    """
    a, b = _read(first), _read(second)
    for key in ("suite", "engine"):
        if a[key] != b[key]:
            raise ValueError(
                f"{first} and {second} cannot be compared: {key} {a[key]} and {b[key]}"
            )
    if a["suite"] not in SCORERS:
        raise ValueError(f"{first} is of an unknown suite, {a['suite']}")

    def scored(sums: Mapping[str, float]) -> Scores:
        return total(SCORERS[a["suite"]], sums)

    before, after = _by_prompt(a), _by_prompt(b)
    common = [name for name in before if name in after]
    if not common:
        raise ValueError(f"{first} and {second} have no prompt in common")
    sums = [[counts[name] for name in common] for counts in (before, after)]
    scores = [scored(added(some)) for some in sums]
    differences = bootstrap.differences(sums[0], sums[1], scored, RESAMPLES)
    return {
        "suite": a["suite"],
        "engine": a["engine"],
        "reports": [str(first), str(second)],
        "prompts": len(common),
        "left_out": len(before.keys() ^ after.keys()),
        "scores": {name: [s[name] for s in scores] for name in differences},
        "differences": {name: scores[1][name] - scores[0][name] for name in differences},
        "intervals": {name: list(interval) for name, interval in differences.items()},
    }


def show(content: Mapping[str, Any], console: Console | None = None) -> None:
    """The table on stdout: a difference is certain where its interval holds no zero."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.title = f"{content['suite']}, {content['prompts']} prompts in both"
    for name in ("score", "A", "B", "B − A", "95 % interval", ""):
        table.add_column(name, justify="left" if name == "score" else "right", no_wrap=True)
    for name, (a, b) in content["scores"].items():
        low, high = content["intervals"][name]
        table.add_row(
            report.label(name),
            report.figure(name, a),
            report.figure(name, b),
            report.figure(name, content["differences"][name]),
            f"{report.figure(name, low)} to {report.figure(name, high)}",
            verdict(name, low, high),
        )
    console = console or Console()
    console.print(table)
    a, b = content["reports"]
    told = [f"A is {a}, B is {b}, both read by {content['engine']}."]
    if content["left_out"]:
        told.append(f"{content['left_out']} prompts that only one of them has are left out.")
    console.print(" ".join(told), markup=False)


def verdict(score: str, low: float, high: float) -> str:
    """`B` or `A` is better where the interval of B − A is on one side of zero."""
    if low <= 0 <= high:
        return ""
    return "B" if (low > 0) != (score in report.LOWER) else "A"


def _by_prompt(content: Mapping[str, Any]) -> dict[str, Sums]:
    return report.by_prompt((str(row["id"]), row["sums"]) for row in content["rows"])


def _read(place: Path) -> dict[str, Any]:
    """A report, by its folder or its report.json."""
    path = place / "report.json" if place.is_dir() else place
    try:
        content = json.loads(path.read_text("utf-8"))
        rows = content["rows"]
        good = all(isinstance(content[key], str) for key in ("suite", "engine"))
        good = good and all(
            isinstance(value, int | float) for row in rows for value in row["sums"].values()
        )
        good = good and all("id" in row for row in rows)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as e:
        raise ValueError(f"{place} holds no report of moyin evaluate: {e}") from None
    if not good:
        raise ValueError(f"{place} holds no report of moyin evaluate")
    return dict(content)
