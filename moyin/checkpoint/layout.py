"""The released folder: which network lies where, and the small files around the weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar

from moyin.checkpoint.shards import Entry

T = TypeVar("T")

MODEL_INDEX = "model_index.json"
# Ours alone, ignored by others: native size, preferred settings, where the weights come from.
NOTES = "moyin.json"

FOLDERS = {
    "autoencoder": "vae",
    "glyph": "text_encoder",
    "semantic": "vision_language_encoder",
    "generator": "vision_language_encoder",
    "decoder": "transformer",
}
WEIGHT_FOLDERS = tuple(sorted(set(FOLDERS.values())))

# A second name for the same tensor, written by some versions and left out by others.
TIED = {"text_encoder": {"encoder.embed_tokens.weight": "shared.weight"}}

# The version of diffusers whose form its configurations have here.
VERSION = {"_diffusers_version": "0.42.1"}

# The libraries' names for weight files.
STEMS = {"vae": "diffusion_pytorch_model", "transformer": "diffusion_pytorch_model"}
DEFAULT_STEM = "model"


def without_ties(entries: Mapping[str, T], folder: str) -> dict[str, T]:
    """The tensors with second names of one tensor dropped."""
    kept = dict(entries)
    for second, first in TIED.get(folder, {}).items():
        if second in kept:
            value = kept.pop(second)
            kept.setdefault(first, value)
    return kept


# Packed weights (`checkpoint.packed`): the tensors that stand for a layer's `weight`, and what
# config.json says of them, so that no other library takes them for something else.
PACKED = {"weight_int8": "int8", "weight_int4": "int4"}
BESIDE_PACKED = ("weight_scale", "weight_zero")
QUANTIZATION = {
    "int8": {"quant_method": "moyin", "bits": 8},
    "int4": {"quant_method": "moyin", "bits": 4, "group_size": 128},
}


def packed_kind(entries: Mapping[str, Any]) -> str | None:
    """int8 or int4 where a folder's weights are packed."""
    found = {PACKED[leaf] for name in entries if (leaf := name.rpartition(".")[2]) in PACKED}
    return found.pop() if found else None


def unpacked(entries: Mapping[str, Entry]) -> dict[str, Entry]:
    """The tensors as if none were packed: `<layer>.weight` at its own shape."""
    found = {}
    for name, entry in entries.items():
        layer, _, leaf = name.rpartition(".")
        if leaf in PACKED:
            outputs, inputs = entry.shape
            inputs *= 2 if PACKED[leaf] == "int4" else 1
            found[f"{layer}.weight"] = replace(entry, shape=(outputs, inputs))
        elif leaf not in BESIDE_PACKED:
            found[name] = entry
    return found


def model_index() -> dict[str, Any]:
    """model_index.json: which library's class opens which folder."""
    return {
        "_class_name": "GlmImagePipeline",
        **VERSION,
        "processor": ["transformers", "GlmImageProcessor"],
        "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
        "text_encoder": ["transformers", "T5EncoderModel"],
        "tokenizer": ["transformers", "ByT5Tokenizer"],
        "transformer": ["diffusers", "GlmImageTransformer2DModel"],
        "vae": ["diffusers", "AutoencoderKL"],
        "vision_language_encoder": ["transformers", "GlmImageForConditionalGeneration"],
    }


def generation_config(codes: int, pad: int) -> dict[str, Any]:
    """Sampling settings for others: nothing but codes is ever to be drawn.

    codes: size of the codebook, after which the vision vocabulary has 128 marks, the image's
    start and end first; the reference's decoder fails on any of them inside a grid.
    """
    return {
        "do_sample": True,
        "temperature": 0.9,
        "top_p": 0.75,
        "eos_token_id": codes + 1,
        "pad_token_id": pad,
        "suppress_tokens": list(range(codes, codes + 128)),
    }


def byte_tokenizer() -> dict[str, dict[str, Any]]:
    """tokenizer/: ByT5's bytes, with three marks before them and 125 sentinels after.

    File name to content, as the tokenizer's own class writes them.
    """
    marks = ["<pad>", "</s>", "<unk>"]
    sentinels = [f"<extra_id_{i}>" for i in range(125)]
    ids = {s: 259 + i for i, s in enumerate(sentinels)}
    decoder = {str(i): _added(m, special=False) for i, m in enumerate(marks)}
    decoder |= {str(i): _added(s, special=True) for s, i in ids.items()}
    config = {
        "added_tokens_decoder": decoder,
        "eos_token": "</s>",
        "extra_ids": 0,
        "extra_special_tokens": sentinels,
        "model_max_length": 10**30,
        "pad_token": "<pad>",
        "tokenizer_class": "ByT5Tokenizer",
        "unk_token": "<unk>",
    }
    return {"added_tokens.json": ids, "tokenizer_config.json": config}


def _added(content: str, special: bool) -> dict[str, Any]:
    return {
        "content": content,
        "lstrip": not special,
        "normalized": not special,
        "rstrip": not special,
        "single_word": False,
        "special": special,
    }
