"""The autoencoder in the released folder: `vae/`, diffusers' AutoencoderKL."""

from __future__ import annotations

from typing import Any

from moyin.models.autoencoder import Autoencoder

FOLDER = "vae"
CLASS = "AutoencoderKL"


def _resnet(ours: str, theirs: str) -> tuple[tuple[str, str], ...]:
    same = tuple((f"{ours}.{n}", f"{theirs}.{n}") for n in ("norm1", "conv1", "norm2", "conv2"))
    return (*same, (f"{ours}.shortcut", f"{theirs}.conv_shortcut"))


def _half(side: str) -> tuple[tuple[str, str], ...]:
    way = "down" if side == "encoder" else "up"
    ends = tuple(
        (f"{side}.{a}", f"{side}.{b}")
        for a, b in (("conv_in", "conv_in"), ("norm_out", "conv_norm_out"), ("conv_out",) * 2)
    )
    step = (f"{side}.{way}.{{}}.{way}", f"{side}.{way}_blocks.{{}}.{way}samplers.0.conv")
    blocks = _resnet(f"{side}.{way}.{{}}.blocks.{{}}", f"{side}.{way}_blocks.{{}}.resnets.{{}}")
    middle = _resnet(f"{side}.middle.{{}}", f"{side}.mid_block.resnets.{{}}")
    return (*ends, step, *blocks, *middle)


RULES: tuple[tuple[str, str], ...] = (*_half("encoder"), *_half("decoder"))


def to_config(config: Autoencoder.Config) -> dict[str, Any]:
    """Our configuration as the released config.json."""
    count = len(config.block_channels)
    return {
        "_class_name": CLASS,
        "act_fn": "silu",
        "block_out_channels": list(config.block_channels),
        "down_block_types": ["DownEncoderBlock2D"] * count,
        "force_upcast": True,
        "in_channels": 3,
        "latent_channels": config.latent_channels,
        "latents_mean": list(config.latents_mean),
        "latents_std": list(config.latents_std),
        "layers_per_block": config.layers_per_block,
        "mid_block_add_attention": False,
        "norm_num_groups": config.norm_groups,
        "out_channels": 3,
        "sample_size": 1024,
        "scaling_factor": 1.0,
        "shift_factor": None,
        "up_block_types": ["UpDecoderBlock2D"] * count,
        "use_post_quant_conv": False,
        "use_quant_conv": False,
    }


def from_config(config: dict[str, Any]) -> Autoencoder.Config:
    """A released config.json as ours. Raises ValueError where it asks for what we have not."""
    for key, must in (("mid_block_add_attention", False), ("use_quant_conv", False)):
        if config.get(key, True) != must:
            raise ValueError(f"{FOLDER}/config.json: {key} must be {must} for this autoencoder")
    return Autoencoder.Config(
        block_channels=tuple(config["block_out_channels"]),
        layers_per_block=config["layers_per_block"],
        latent_channels=config["latent_channels"],
        norm_groups=config["norm_num_groups"],
        latents_mean=tuple(config["latents_mean"]),
        latents_std=tuple(config["latents_std"]),
    )
