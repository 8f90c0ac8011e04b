"""The glyph encoder under transformers' names: T5EncoderModel with a gated gelu."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from moyin.models.glyph_encoder import GlyphEncoder

FOLDER = "text_encoder"
CLASS = "T5EncoderModel"

_LAYER = "encoder.block.{}.layer"
RULES = (
    ("embedding", "shared"),
    ("distance_bias", "encoder.block.0.layer.0.SelfAttention.relative_attention_bias"),
    ("layers.{}.attention_norm", f"{_LAYER}.0.layer_norm"),
    ("layers.{}.attention.q", f"{_LAYER}.0.SelfAttention.q"),
    ("layers.{}.attention.k", f"{_LAYER}.0.SelfAttention.k"),
    ("layers.{}.attention.v", f"{_LAYER}.0.SelfAttention.v"),
    ("layers.{}.attention.out", f"{_LAYER}.0.SelfAttention.o"),
    ("layers.{}.mlp_norm", f"{_LAYER}.1.layer_norm"),
    ("layers.{}.gate", f"{_LAYER}.1.DenseReluDense.wi_0"),
    ("layers.{}.up", f"{_LAYER}.1.DenseReluDense.wi_1"),
    ("layers.{}.down", f"{_LAYER}.1.DenseReluDense.wo"),
    ("norm", "encoder.final_layer_norm"),
)

_FIELDS = {
    "vocab": "vocab_size",
    "hidden": "d_model",
    "layers": "num_layers",
    "heads": "num_heads",
    "head_dim": "d_kv",
    "ffn": "d_ff",
    "buckets": "relative_attention_num_buckets",
    "max_distance": "relative_attention_max_distance",
    "eps": "layer_norm_epsilon",
}
_FIXED = {"feed_forward_proj": "gated-gelu"}


def to_config(config: GlyphEncoder.Config) -> dict[str, Any]:
    """What config.json says of the encoder."""
    return {
        "architectures": [CLASS],
        "model_type": "t5",
        **{theirs: getattr(config, ours) for ours, theirs in _FIELDS.items()},
        **_FIXED,
        "dropout_rate": 0.0,
        "is_encoder_decoder": False,
        "use_cache": False,
        "pad_token_id": 0,
        "eos_token_id": 1,
        "tie_word_embeddings": False,
        "tokenizer_class": "ByT5Tokenizer",
    }


def from_config(released: Mapping[str, Any]) -> GlyphEncoder.Config:
    """The encoder that a config.json describes. ValueError where it is not one of ours."""
    missing = sorted(set(_FIELDS.values()) - released.keys())
    if missing:
        raise ValueError(f"{FOLDER}/config.json lacks {', '.join(missing)}")
    for key, value in _FIXED.items():
        if released.get(key) != value:
            found = released.get(key)
            raise ValueError(f"{FOLDER}/config.json: {key}={found!r}, only {value!r} is known")
    return GlyphEncoder.Config(**{ours: released[theirs] for ours, theirs in _FIELDS.items()})
