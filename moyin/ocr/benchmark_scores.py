"""Scores of published benchmarks, by their own formulas.

Each is a `scores.Scorer`. Sources: CVTG-2K, Du et al. 2025 (TextCrafter); LongText-Bench, Geng et
al. 2025 (X-Omni); OneIG-Bench, Chang et al. 2025; one character an image, Qwen-Image's report
(Wu et al. 2025). Where a paper and its evaluator
differ, the evaluator is followed. As there, a score without any requested text is 0.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Mapping, Sequence

from moyin.ocr.scores import Scorer, Scores, Sums, Texts, levenshtein, plain, share

# LongText-Bench and OneIG keep basic Chinese characters, digits, Latin letters and the accented
# letters of French. Everything else, 〇 and supplementary planes included, is dropped.
_KEPT = "\u4e00-\u9fa5a-zA-Z0-9àâäéèêëîïôöùûüçÀÂÄÉÈÊËÎÏÔÖÙÛÜÇ"
_DROPPED = re.compile(rf"[^{_KEPT}\s]")
_CHINESE = re.compile("[\u4e00-\u9fff]")
_QUOTED = re.compile(r"'(.*?)'")
LONGEST_EDIT = {"en": 100, "zh": 50}  # OneIG's M


def cvtg_words(prompt: str) -> list[str]:
    """The words CVTG-2K requests: strings in single quotes, lower-cased, split at blanks. An
    apostrophe counts as a quotation mark."""
    return [word for text in _QUOTED.findall(prompt) for word in text.lower().split()]


def count_cvtg(asked: Texts, read: Texts) -> Sums:
    """asked: words (`cvtg_words`); read: lines, which are split into words."""
    words = [word for line in read for word in line.lower().split()] or [""]
    return {
        "words": float(len(asked)),
        "words found": float(sum(word in words for word in asked)),
        "words near": sum(_closeness(word, words) for word in asked),
    }


def _closeness(word: str, read: Sequence[str]) -> float:
    (best,) = difflib.get_close_matches(word, read, n=1, cutoff=0)
    return 1 - levenshtein(word, best) / (max(len(word), len(best)) + 1e-5)


def total_cvtg(sums: Mapping[str, float]) -> Scores:
    """word_accuracy: share of the requested words that are among the recognised words of their
    image; a word requested twice and written once counts twice. ned: mean over the requested words
    of 1 − edit distance to the closest recognised word / (longer length + 1e-5)."""
    words = sums.get("words", 0)
    return {
        "word_accuracy": share(sums.get("words found", 0), words, empty=0.0),
        "ned": share(sums.get("words near", 0), words, empty=0.0),
    }


def longtext(language: str) -> Scorer:
    """LongText-Bench's `text`: the share of the requested words (zh: characters) that were
    recognised, as multisets, over all images."""

    def parts(texts: Texts) -> Counter[str]:
        kept = _DROPPED.sub("", " ".join(texts))
        return Counter(kept.lower().split() if language == "en" else "".join(kept.split()))

    def count(asked: Texts, read: Texts) -> Sums:
        requested, recognised = parts(asked), parts(read)
        return {
            "parts": float(requested.total()),
            "parts found": float((requested & recognised).total()),
        }

    def total(sums: Mapping[str, float]) -> Scores:
        return {"text": share(sums.get("parts found", 0), sums.get("parts", 0), empty=0.0)}

    return Scorer(count, total)


def oneig(language: str) -> Scorer:
    """OneIG's text scores. asked: the file's `text_content` as one string.

    ed: mean edit distance, lower is better; cr: share of images with distance 0; wac: share of the
    requested words (characters if the requested text is Chinese) that were recognised, over all
    images; text: 1 − min(M, ed)·(1 − cr)·(1 − wac)/M.
    """
    longest = LONGEST_EDIT[language]

    def count(asked: Texts, read: Texts) -> Sums:
        requested, recognised = _oneig_plain(" ".join(asked)), _oneig_plain("\n".join(read))
        distance = levenshtein(recognised, requested)
        chinese = _CHINESE.search(requested)
        first, second = (Counter(t if chinese else t.split()) for t in (requested, recognised))
        return {
            "texts": 1.0,
            "edits": float(distance),
            "complete": float(distance == 0),
            "parts": float(first.total()),
            "parts found": float((first & second).total()),
        }

    def total(sums: Mapping[str, float]) -> Scores:
        texts = sums.get("texts", 0)
        ed = share(sums.get("edits", 0), texts, empty=0.0)
        cr = share(sums.get("complete", 0), texts, empty=0.0)
        wac = share(sums.get("parts found", 0), sums.get("parts", 0), empty=0.0)
        text = 1 - min(longest, ed) * (1 - cr) * (1 - wac) / longest
        return {"text": text, "ed": ed, "cr": cr, "wac": wac}

    return Scorer(count, total)


def _oneig_plain(text: str) -> str:
    """Keeps case. Removes blanks if there is any Chinese, else collapses them."""
    words = _DROPPED.sub("", text).split()
    return "".join(words) if _CHINESE.search("".join(words)) else " ".join(words)


def count_character(asked: Texts, read: Texts) -> Sums:
    """An image is right if exactly the one requested character was recognised."""
    right = plain("".join(asked)) == plain("".join(read))
    return {"asked": 1.0, "right": float(right)}


def total_character(sums: Mapping[str, float]) -> Scores:
    """accuracy: the share of right images."""
    return {"accuracy": share(sums.get("right", 0), sums.get("asked", 0), empty=0.0)}


cvtg = Scorer(count_cvtg, total_cvtg)
one_character = Scorer(count_character, total_character)
