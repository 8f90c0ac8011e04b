"""The semantic tokenizer in the released folder: ViT and quantizer of `vision_language_encoder/`.

It shares folder and config.json with the generator: here are `vision_config` and `vq_config`.
"""

from __future__ import annotations

from typing import Any

from moyin.models.semantic_tokenizer import SemanticTokenizer

FOLDER = "vision_language_encoder"
CLASS = "GlmImageForConditionalGeneration"

_VISUAL = "model.visual"
_BLOCK = f"{_VISUAL}.blocks.{{}}"

RULES: tuple[tuple[str, str], ...] = (
    ("patch_embed", f"{_VISUAL}.patch_embed.proj"),
    ("position", f"{_VISUAL}.embeddings.position_embedding"),
    ("blocks.{}.norm1", f"{_BLOCK}.norm1"),
    ("blocks.{}.norm2", f"{_BLOCK}.norm2"),
    ("blocks.{}.attention.qkv", f"{_BLOCK}.attn.qkv"),
    ("blocks.{}.attention.out", f"{_BLOCK}.attn.proj"),
    ("blocks.{}.mlp.up", f"{_BLOCK}.mlp.fc1"),
    ("blocks.{}.mlp.down", f"{_BLOCK}.mlp.fc2"),
    ("quant_conv", "model.vqmodel.quant_conv"),
    ("codebook", "model.vqmodel.quantize.embedding"),
    ("post_quant_conv", "model.vqmodel.post_quant_conv"),
)


def to_config(config: SemanticTokenizer.Config) -> dict[str, Any]:
    """Our configuration as {"vision_config", "vq_config"} of the released config.json."""
    vision = {
        "attention_bias": True,
        "attention_dropout": 0.0,
        "depth": config.layers,
        "hidden_act": "gelu",
        "hidden_size": config.width,
        "image_size": config.table * config.patch,
        "in_channels": 3,
        "intermediate_size": config.mlp,
        "layer_norm_eps": 1e-6,
        "model_type": "glm_image_vision",
        "num_heads": config.heads,
        "patch_size": config.patch,
        "spatial_merge_size": 1,
    }
    quantizer = {
        "embed_dim": config.code_width,
        "in_channels": 3,
        "latent_channels": config.width,
        "model_type": "glm_image_vqmodel",
        "num_embeddings": config.codes,
    }
    return {"vision_config": vision, "vq_config": quantizer}


def from_config(config: dict[str, Any]) -> SemanticTokenizer.Config:
    """A released vision_language_encoder/config.json as our configuration."""
    vision, quantizer = config["vision_config"], config["vq_config"]
    return SemanticTokenizer.Config(
        width=vision["hidden_size"],
        layers=vision["depth"],
        heads=vision["num_heads"],
        mlp=vision["intermediate_size"],
        patch=vision["patch_size"],
        table=vision["image_size"] // vision["patch_size"],
        codes=quantizer["num_embeddings"],
        code_width=quantizer["embed_dim"],
    )
