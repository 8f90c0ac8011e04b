"""Text ids: byte-level BPE (Sennrich et al. 2016; Radford et al. 2019), in GLM-Image's id space."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from moyin.prompt.vocabulary import RESERVED, Vocabulary

CHAT_TEMPLATE = """\
{%- macro image() -%}<START><IMAGE><END>{%- endmacro -%}
{%- for message in messages -%}
{%- if message.content is string -%}
{{- message.content -}}
{%- else -%}
{%- for part in message.content -%}
{{- image() if part.type == 'image' else part.text -}}
{%- endfor -%}
{%- endif -%}
{%- endfor -%}
"""

# How transformers is to prepare a reference image.
PREPROCESSOR = {
    "processor_class": "GlmImageProcessor",
    "image_processor_type": "GlmImageImageProcessor",
    "do_convert_rgb": True,
    "do_normalize": True,
    "do_rescale": True,
    "do_resize": True,
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
    "merge_size": 1,
    "patch_size": 16,
    "resample": 3,
    "rescale_factor": 1 / 255,
    "size": {"longest_edge": 2048 * 2048, "shortest_edge": 512 * 512},
    "temporal_patch_size": 1,
}

# A letter before which a quotation is open: its closing mark comes before any other of its kind, or
# an odd number of straight marks is still to come. Apostrophes inside words are none.
_NO_MARK = r"(?>(?:[^']|(?<=\p{Latin})'(?=\p{Latin}))*)"
_QUOTED_LETTER = (
    r"\p{L}(?=[^“”]*”|[^「」]*」"
    r'|[^"]*+"(?:[^"]*+"[^"]*+")*+[^"]*+$'
    rf"|{_NO_MARK}'(?:{_NO_MARK}'{_NO_MARK}')*+{_NO_MARK}$)"
)


@dataclass(frozen=True, kw_only=True)
class Marks:
    """The strings of the ids that shape a sequence; the fields are tokenizer_config.json's."""

    bos_token: str
    eos_token: str
    pad_token: str = "<|endoftext|>"
    grid_bos_token: str = "<sop>"
    grid_eos_token: str = "<eop>"
    image_token: str = "<|image|>"


class TextTokenizer:
    """Text ↔ ids, and the vocabulary they belong to."""

    def __init__(self, tokenizer: Tokenizer, marks: Marks) -> None:
        self._tokenizer = tokenizer
        self.marks = marks
        self.vocabulary = Vocabulary(
            codes=self._id(marks.bos_token),
            size=tokenizer.get_vocab_size(),
            pad=self._id(marks.pad_token),
            grid_start=self._id(marks.grid_bos_token),
            grid_end=self._id(marks.grid_eos_token),
            image=self._id(marks.image_token),
        )
        if self._id(marks.eos_token) != self.vocabulary.image_end:
            raise ValueError(f"{marks.eos_token} must be the id after {marks.bos_token}")

    @classmethod
    def open(cls, folder: Path) -> TextTokenizer:
        """Read a checkpoint's processor/ folder."""
        for name in ("tokenizer.json", "tokenizer_config.json"):
            if not (folder / name).is_file():
                raise ValueError(f"{folder / name} is missing: is this a checkpoint's processor/?")
        config = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
        extra = config.get("extra_special_tokens")
        config = (extra if isinstance(extra, dict) else {}) | config
        marks = {n: _content(config[n]) for n in Marks.__dataclass_fields__ if n in config}
        if not {"bos_token", "eos_token"} <= marks.keys():
            raise ValueError(f"{folder}/tokenizer_config.json names no bos_token and eos_token")
        return cls(Tokenizer.from_file(str(folder / "tokenizer.json")), Marks(**marks))

    @classmethod
    def train(cls, texts: Iterable[str], size: int = 2048, codes: int = 16384) -> TextTokenizer:
        """Learn at most `size` text ids, marks included, behind `codes` image codes.

        Han characters and digits stand alone, so that no merge crosses them and a character is
        spelt the same wherever it stands; so do letters inside quotes, since how many of them are
        to be drawn, and which is which, must be seen.
        """
        marks = Marks(bos_token=_vision(codes), eos_token=_vision(codes + 1))
        text_marks = [
            marks.pad_token,
            marks.grid_bos_token,
            marks.grid_eos_token,
            marks.image_token,
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
        return cls(_shifted(tokenizer, codes, text_marks), marks)

    def save(self, folder: Path) -> None:
        """Write a processor/ folder that transformers' GlmImageProcessor opens too."""
        folder.mkdir(parents=True, exist_ok=True)
        marks = self.marks
        template = CHAT_TEMPLATE.replace("<START>", marks.bos_token)
        template = template.replace("<END>", marks.eos_token)
        template = template.replace("<IMAGE>", marks.image_token)
        config = vars(marks) | {
            "padding_side": "left",
            "processor_class": "GlmImageProcessor",
            "tokenizer_class": "PreTrainedTokenizerFast",
            "clean_up_tokenization_spaces": False,
            "model_max_length": 131072,
        }
        files = {
            "tokenizer.json": self._tokenizer.to_str(pretty=True),
            "tokenizer_config.json": json.dumps(config, indent=2, sort_keys=True),
            "preprocessor_config.json": json.dumps(PREPROCESSOR, indent=2, sort_keys=True),
            "chat_template.jinja": template,
        }
        for name, text in files.items():
            (folder / name).write_text(text.rstrip("\n") + "\n", encoding="utf-8")

    def encode(self, text: str) -> list[int]:
        """Ids; the marks, where they occur in `text`, become theirs."""
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def spans(self, text: str) -> list[tuple[int, int]]:
        """The characters of `text`, first and behind the last, that each of its ids spells."""
        found = self._tokenizer.encode(text, add_special_tokens=False).offsets
        return [(int(start), int(stop)) for start, stop in found]

    def decode(self, ids: Sequence[int]) -> str:
        """Text, with the marks left in."""
        return str(self._tokenizer.decode([int(i) for i in ids], skip_special_tokens=False))

    def _id(self, token: str) -> int:
        found = self._tokenizer.token_to_id(token)
        if found is None:
            raise ValueError(f"tokenizer.json has no token {token!r}")
        return int(found)


def _content(token: Any) -> str:
    return str(token["content"] if isinstance(token, dict) else token)


def _vision(index: int) -> str:
    return f"<|dit_token_{index}|>"


def _shifted(tokenizer: Tokenizer, codes: int, text_marks: list[str]) -> Tokenizer:
    """The trained tokens moved behind the vision ids, and all marks made special."""
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
