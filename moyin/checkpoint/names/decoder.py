"""The decoder in the released folder: `transformer/`, diffusers' GlmImageTransformer2DModel."""

from __future__ import annotations

from typing import Any

from moyin.models.decoder import Decoder

FOLDER = "transformer"
CLASS = "GlmImageTransformer2DModel"

_TIME = "time_condition_embed"
_BLOCK = "transformer_blocks.{}"

RULES: tuple[tuple[str, str], ...] = (
    ("patches", "image_projector.proj"),
    ("glyphs.up", "glyph_projector.net.0.proj"),
    ("glyphs.down", "glyph_projector.net.2"),
    ("prior_embedding", "prior_token_embedding"),
    ("prior.up", "prior_projector.net.0.proj"),
    ("prior.down", "prior_projector.net.2"),
    ("condition.time.up", f"{_TIME}.timestep_embedder.linear_1"),
    ("condition.time.down", f"{_TIME}.timestep_embedder.linear_2"),
    ("condition.size.up", f"{_TIME}.condition_embedder.linear_1"),
    ("condition.size.down", f"{_TIME}.condition_embedder.linear_2"),
    ("blocks.{}.modulation", f"{_BLOCK}.norm1.linear"),
    ("blocks.{}.attention.q", f"{_BLOCK}.attn1.to_q"),
    ("blocks.{}.attention.k", f"{_BLOCK}.attn1.to_k"),
    ("blocks.{}.attention.v", f"{_BLOCK}.attn1.to_v"),
    ("blocks.{}.attention.out", f"{_BLOCK}.attn1.to_out.0"),
    ("blocks.{}.mlp.up", f"{_BLOCK}.ff.net.0.proj"),
    ("blocks.{}.mlp.down", f"{_BLOCK}.ff.net.2"),
    ("out_modulation", "norm_out.linear"),
    ("out", "proj_out"),
)

_KEYS = {
    "attention_head_dim": "head_dim",
    "condition_dim": "size_dim",
    "in_channels": "channels",
    "num_attention_heads": "heads",
    "num_layers": "layers",
    "patch_size": "patch",
    "prior_vq_quantizer_codebook_size": "codes",
    "text_embed_dim": "glyph_dim",
    "time_embed_dim": "time_dim",
}


def to_config(config: Decoder.Config) -> dict[str, Any]:
    """Our configuration as the released config.json."""
    ours = {theirs: getattr(config, name) for theirs, name in _KEYS.items()}
    return {"_class_name": CLASS, "out_channels": config.channels} | ours


def from_config(config: dict[str, Any]) -> Decoder.Config:
    """A released config.json as ours. Raises ValueError where it asks for what we have not."""
    if config.get("out_channels", config["in_channels"]) != config["in_channels"]:
        raise ValueError(f"{FOLDER}/config.json: out_channels must equal in_channels")
    return Decoder.Config(**{name: config[theirs] for theirs, name in _KEYS.items()})
