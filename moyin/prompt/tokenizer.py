"""The text tokenizer: byte-level BPE (Sennrich et al. 2016; Radford et al. 2019), in GLM-Image's
id space."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from moyin.prompt.vocabulary import RESERVED, Vocabulary

# A letter before which a quotation is open: its closing mark comes before any other of its kind, or
# an odd number of straight special is still to come. Apostrophes inside words are none.
_NO_MARK = r"(?>(?:[^']|(?<=\p{Latin})'(?=\p{Latin}))*)"
_QUOTED_LETTER = (
    r"\p{L}(?=[^“”]*”|[^「」]*」"
    r'|[^"]*+"(?:[^"]*+"[^"]*+")*+[^"]*+$'
    rf"|{_NO_MARK}'(?:{_NO_MARK}'{_NO_MARK}')*+{_NO_MARK}$)"
)


@dataclass(frozen=True, kw_only=True)
class SpecialTokens:
    """The tokens that structure a sequence; the fields are those of tokenizer_config.json."""

    bos_token: str
    eos_token: str
    pad_token: str = "<|endoftext|>"
    grid_bos_token: str = "<sop>"
    grid_eos_token: str = "<eop>"
    image_token: str = "<|image|>"


class TextTokenizer:
    """Text ↔ token ids, and the vocabulary they belong to."""

    def __init__(self, tokenizer: Tokenizer, special_tokens: SpecialTokens) -> None:
        self._tokenizer = tokenizer
        self.special_tokens = special = special_tokens
        self.vocabulary = Vocabulary(
            codes=self._id(special.bos_token),
            size=tokenizer.get_vocab_size(),
            pad=self._id(special.pad_token),
            grid_start=self._id(special.grid_bos_token),
            grid_end=self._id(special.grid_eos_token),
            image=self._id(special.image_token),
        )
        if self._id(special.eos_token) != self.vocabulary.image_end:
            raise ValueError(f"{special.eos_token} must be the id after {special.bos_token}")

    @classmethod
    def open(cls, folder: Path) -> TextTokenizer:
        """Read a checkpoint's processor/ folder. ValueError where a file or a field is missing."""
        for name in ("tokenizer.json", "tokenizer_config.json"):
            if not (folder / name).is_file():
                raise ValueError(f"{folder / name} is missing: is this a checkpoint's processor/?")
        config = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
        extra = config.get("extra_special_tokens")
        config = (extra if isinstance(extra, dict) else {}) | config
        names = [field.name for field in fields(SpecialTokens)]
        tokens = {name: _content(config[name]) for name in names if name in config}
        if not {"bos_token", "eos_token"} <= tokens.keys():
            raise ValueError(f"{folder}/tokenizer_config.json names no bos_token and eos_token")
        return cls(Tokenizer.from_file(str(folder / "tokenizer.json")), SpecialTokens(**tokens))

    @classmethod
    def train(cls, texts: Iterable[str], size: int = 2048, codes: int = 16384) -> TextTokenizer:
        """Learn at most `size` text tokens, special ones included, behind `codes` image codes.

        Han characters and digits are tokens of their own: no merge crosses them, so a character is
        spelt the same everywhere. So are letters inside quotes, since the model must see how many
        of them there are and which.
        """
        special = SpecialTokens(bos_token=_vision(codes), eos_token=_vision(codes + 1))
        text_marks = [
            special.pad_token,
            special.grid_bos_token,
            special.grid_eos_token,
            special.image_token,
        ]
        if size < 256 + len(text_marks):
            raise ValueError(f"size {size}: at least {256 + len(text_marks)}, one for each byte")
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [
                # First, since each sees only the piece that those before it left.
                pre_tokenizers.Split(Regex(_QUOTED_LETTER), "isolated"),
                pre_tokenizers.Split(Regex(r"\p{Han}"), "isolated"),
                pre_tokenizers.Digits(individual_digits=True),
                pre_tokenizers.ByteLevel(add_prefix_space=False),
            ]
        )
        tokenizer.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=size - len(text_marks),
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        )
        tokenizer.train_from_iterator(texts, trainer)
        return cls(_shifted(tokenizer, codes, text_marks), special)

    def to_json(self) -> str:
        """The content of tokenizer.json."""
        return str(self._tokenizer.to_str(pretty=True))

    def encode(self, text: str) -> list[int]:
        """Token ids; a special token in `text` becomes its own id."""
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def spans(self, text: str) -> list[tuple[int, int]]:
        """First character of `text`, and the one behind the last, of each of its tokens."""
        offsets = self._tokenizer.encode(text, add_special_tokens=False).offsets
        return [(int(start), int(stop)) for start, stop in offsets]

    def decode(self, ids: Sequence[int]) -> str:
        """Text, special tokens included."""
        return str(self._tokenizer.decode([int(i) for i in ids], skip_special_tokens=False))

    def _id(self, token: str) -> int:
        token_id = self._tokenizer.token_to_id(token)
        if token_id is None:
            raise ValueError(f"tokenizer.json has no token {token!r}")
        return int(token_id)


def _content(token: Any) -> str:
    return str(token["content"] if isinstance(token, dict) else token)


def _vision(index: int) -> str:
    return f"<|dit_token_{index}|>"


def _shifted(tokenizer: Tokenizer, codes: int, text_marks: list[str]) -> Tokenizer:
    """The trained tokens moved behind the vision ids, and all special tokens marked as such."""
    state = json.loads(tokenizer.to_str())
    vision = [_vision(i) for i in range(codes + RESERVED)]
    trained = sorted(state["model"]["vocab"], key=state["model"]["vocab"].__getitem__)
    vocab = {token: i for i, token in enumerate([*vision, *trained, *text_marks])}
    state["model"]["vocab"] = vocab
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    state["added_tokens"] = [
        {"id": vocab[token], "content": token, "special": True} | flags
        for token in [_vision(codes), _vision(codes + 1), *text_marks]
    ]
    return Tokenizer.from_str(json.dumps(state))
