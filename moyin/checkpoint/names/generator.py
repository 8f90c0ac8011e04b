"""The generator in transformers' names: the language half of the vision-language encoder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from moyin.models.generator import Generator

FOLDER = "vision_language_encoder"
CLASS = "GlmImageForConditionalGeneration"

_LAYER = "model.language_model.layers.{}"
RULES = (
    ("embedding", "model.language_model.embed_tokens"),
    ("layers.{}.attention_norm", f"{_LAYER}.input_layernorm"),
    ("layers.{}.attention.q", f"{_LAYER}.self_attn.q_proj"),
    ("layers.{}.attention.k", f"{_LAYER}.self_attn.k_proj"),
    ("layers.{}.attention.v", f"{_LAYER}.self_attn.v_proj"),
    ("layers.{}.attention.out", f"{_LAYER}.self_attn.o_proj"),
    ("layers.{}.attention_post_norm", f"{_LAYER}.post_self_attn_layernorm"),
    ("layers.{}.mlp_norm", f"{_LAYER}.post_attention_layernorm"),
    ("layers.{}.mlp.gate_up", f"{_LAYER}.mlp.gate_up_proj"),
    ("layers.{}.mlp.down", f"{_LAYER}.mlp.down_proj"),
    ("layers.{}.mlp_post_norm", f"{_LAYER}.post_mlp_layernorm"),
    ("norm", "model.language_model.norm"),
    ("head", "lm_head"),
)

# Ours and theirs where the configuration merely renames: of the layers, which are GLM-4's, and all.
BODY = {
    "hidden": "hidden_size",
    "layers": "num_hidden_layers",
    "heads": "num_attention_heads",
    "kv_heads": "num_key_value_heads",
    "head_dim": "head_dim",
    "ffn": "intermediate_size",
    "eps": "rms_norm_eps",
}
_VOCABULARIES = {"vocab": "vocab_size", "vision_vocab": "vision_vocab_size"}
_FIELDS = {**_VOCABULARIES, **BODY, "pad_id": "pad_token_id"}
_FIXED = {"hidden_act": "silu", "attention_bias": True}


def to_config(config: Generator.Config) -> dict[str, Any]:
    """What config.json says of the generator; the semantic tokenizer adds its own two parts."""
    start = config.vision_vocab - 128
    text = {theirs: getattr(config, ours) for ours, theirs in _FIELDS.items()}
    return {
        "architectures": [CLASS],
        "model_type": "glm_image",
        "image_token_id": config.image_id,
        "image_start_token_id": start,
        "image_end_token_id": start + 1,
        "tie_word_embeddings": False,
        "text_config": text
        | _FIXED
        | {
            "model_type": "glm_image_text",
            "attention_dropout": 0.0,
            "eos_token_id": start + 1,
            "initializer_range": 0.02,
            "max_position_embeddings": 131072,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": config.theta,
                "partial_rotary_factor": 2 * sum(config.rotary_sections) / config.head_dim,
                "mrope_section": list(config.rotary_sections),
            },
        },
    }


def from_config(released: Mapping[str, Any]) -> Generator.Config:
    """The generator that a config.json describes. ValueError where it is not one of ours."""
    text = dict(released.get("text_config", {}))
    missing = sorted(set(_FIELDS.values()) - {"head_dim"} - text.keys())
    if missing:
        raise ValueError(f"{FOLDER}/config.json: text_config lacks {', '.join(missing)}")
    for key, value in _FIXED.items():
        if text.get(key, value) != value:
            raise ValueError(f"{FOLDER}/config.json: {key}={text[key]!r}, only {value!r} is known")
    text.setdefault("head_dim", text["hidden_size"] // text["num_attention_heads"])
    fields = {ours: text[theirs] for ours, theirs in _FIELDS.items()}
    rope = text.get("rope_parameters") or text.get("rope_scaling") or {}
    sections = tuple(rope.get("mrope_section", Generator.Config.rotary_sections))
    config = Generator.Config(
        **fields,
        theta=float(rope.get("rope_theta", Generator.Config.theta)),
        rotary_sections=sections,
        image_id=released.get("image_token_id", Generator.Config.image_id),
    )
    turned = int(config.head_dim * rope.get("partial_rotary_factor", 1.0))
    if rope.get("rope_type", "default") != "default" or turned != 2 * sum(sections):
        raise ValueError(f"{FOLDER}/config.json: rope_parameters {rope} do not fit {config}")
    start = config.vision_vocab - 128
    if released.get("image_start_token_id", start) != start:
        raise ValueError(f"{FOLDER}/config.json: image_start_token_id must be {start}")
    return config
