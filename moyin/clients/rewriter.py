"""A language model enlarges the prompt before the generator reads it, as GLM-Image recommends."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import ClassVar

from moyin.clients.chat import Chat, message
from moyin.prompt.quotes import quoted

SYSTEM = """\
You write prompts for a picture generator. Describe the picture that the user asks for in more \
detail, as if you saw it finished: the background, the colours, the layout, and for every string \
of text in it the place, the size, the colour and the typeface. Invent what is left open, and \
change nothing that is given.
Write in the language of the user's prompt, one paragraph of at most 200 words.
A string in quotation marks ('…', “…”, "…" or 「…」) is text to be drawn. Keep every such string \
exactly, character by character, in its quotation marks, as often as it stands there and in the \
order given. Put nothing else in quotation marks.
Answer with the new prompt alone: no greeting, no explanation, no quotation marks around it."""


@dataclass(frozen=True, kw_only=True)
class Rewriter(Chat):
    """A model that is asked for prompts.

    retries: how often it is asked again where quoted strings were lost.
    """

    KEY: ClassVar[str] = "MOYIN_REWRITE_KEY"
    NAME: ClassVar[str] = "rewriter"
    WITHOUT: ClassVar[str] = "draw without rewriting"

    retries: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.retries < 0:
            raise ValueError(f"retries must be 0 or more, not {self.retries}")

    def __call__(self, prompt: str, exact: bool = False) -> str:
        """The enlarged prompt, whose quoted strings are those of `prompt`.

        exact: how quotation marks are read, as in `quotes.quoted`. Raises ValueError where the
        strings differ at the last try too, and where the endpoint gives no answer.
        """
        wanted = Counter(quoted(prompt, exact))
        messages = [message("system", SYSTEM), message("user", prompt)]
        fault = ""
        for _ in range(1 + self.retries):
            answer = self.ask(messages)
            fault = _fault(wanted, Counter(quoted(answer, exact)))
            if not fault:
                return answer
            correction = (
                f"Your answer {fault}. Write it again: every quoted string of my prompt exactly, "
                "nothing else in quotation marks, and the prompt alone."
            )
            messages += [message("assistant", answer), message("user", correction)]
        raise ValueError(
            f"the rewriter's answer {fault}, after {1 + self.retries} tries: "
            "draw without rewriting, or ask another model"
        )


def _fault(wanted: Counter[str], found: Counter[str]) -> str:
    """`lost ["a"] and added ["b"]`, or nothing."""
    differences = {"lost": wanted - found, "added": found - wanted}
    return " and ".join(
        f"{verb} {json.dumps([*strings.elements()], ensure_ascii=False)}"
        for verb, strings in differences.items()
        if strings
    )
