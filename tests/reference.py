"""A small GLM-Image made of the reference libraries' own classes, with every weight random.

Zero-initialised gates and unit norms would hide mistakes, so all parameters are drawn anew.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

CODES, TEXT = 40, 300
TEMPLATE = (
    "{% for m in messages %}{% for c in m['content'] %}"
    "{% if c['type'] == 'image' %}<|image_start|><|image|><|image_end|>"
    "{% else %}{{ c['text'] }}{% endif %}"
    "{% endfor %}{% endfor %}"
)
SPECIAL = ["<|image_start|>", "<|image_end|>", "<|pad|>", "<sop>", "<eop>", "<|image|>"]


def build() -> Any:
    """A diffusers GlmImagePipeline: 40 codes, widths of 32, seeded."""
    import torch
    from diffusers import GlmImagePipeline

    torch.manual_seed(0)
    parts = {
        "tokenizer": _bytes(),
        "processor": _processor(),
        "text_encoder": _glyph(),
        "vision_language_encoder": _generator(),
        "vae": _autoencoder(),
        "transformer": _decoder(),
        "scheduler": _scheduler(),
    }
    for part in parts.values():
        if isinstance(part, torch.nn.Module):
            _draw(part)
    return GlmImagePipeline(**parts)


def save(folder: Path) -> Path:
    """The same pipeline as save_pretrained writes it."""
    build().save_pretrained(folder)
    return folder


def _draw(module: Any) -> None:
    import torch

    for name, parameter in module.named_parameters():
        with torch.no_grad():
            spread = 0.3 if parameter.ndim > 1 else 0.1
            if name.endswith(("q_proj.weight", "k_proj.weight")):
                spread *= 1.5  # of the generator, whose greedy walks would else end in one id
            fan = parameter[0].numel() if parameter.ndim > 1 else 1
            centre = 1.0 if parameter.ndim == 1 and "norm" in name and "weight" in name else 0.0
            parameter.copy_(centre + torch.randn_like(parameter) * spread * 3 / max(fan, 9) ** 0.5)


def _bytes() -> Any:
    from transformers import ByT5Tokenizer

    return ByT5Tokenizer()


def _processor() -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import GlmImageProcessor, PreTrainedTokenizerFast
    from transformers.models.glm_image.image_processing_pil_glm_image import (
        GlmImageImageProcessorPil,
    )

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {f"<code_{i}>": i for i in range(CODES + 128)}
    vocabulary["<|image_start|>"] = vocabulary.pop(f"<code_{CODES}>")
    vocabulary["<|image_end|>"] = vocabulary.pop(f"<code_{CODES + 1}>")
    vocabulary |= {c: CODES + 128 + i for i, c in enumerate(alphabet)}
    vocabulary |= {s: CODES + 128 + 256 + i for i, s in enumerate(SPECIAL[2:])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(SPECIAL)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<|image_start|>",
        eos_token="<|image_end|>",
        pad_token="<|pad|>",
        padding_side="left",
        extra_special_tokens={
            "image_token": "<|image|>",
            "grid_bos_token": "<sop>",
            "grid_eos_token": "<eop>",
        },
    )
    images = GlmImageImageProcessorPil(
        patch_size=16,
        merge_size=1,
        temporal_patch_size=1,
        size={"shortest_edge": 512 * 512, "longest_edge": 2048 * 2048},
    )
    return GlmImageProcessor(image_processor=images, tokenizer=fast, chat_template=TEMPLATE)


def _generator() -> Any:
    from transformers import GlmImageConfig, GlmImageForConditionalGeneration

    pad = CODES + 128 + 256
    config = GlmImageConfig(
        text_config={
            "vocab_size": CODES + 128 + TEXT,
            "vision_vocab_size": CODES + 128,
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "head_dim": 16,
            "pad_token_id": pad,
            "eos_token_id": CODES + 1,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 10000.0,
                "partial_rotary_factor": 0.5,
                "mrope_section": [1, 1, 2],
            },
        },
        vision_config={
            "depth": 2,
            "hidden_size": 32,
            "num_heads": 2,
            "intermediate_size": 48,
            "image_size": 128,
        },
        vq_config={"embed_dim": 24, "num_embeddings": CODES, "latent_channels": 32},
        image_token_id=pad + 3,
        image_start_token_id=CODES,
        image_end_token_id=CODES + 1,
    )
    model = GlmImageForConditionalGeneration(config).eval()
    model.generation_config.suppress_tokens = list(range(CODES, CODES + 128))
    return model


def _glyph() -> Any:
    from transformers import T5Config, T5EncoderModel

    config = T5Config(
        vocab_size=384,
        d_model=24,
        d_kv=8,
        d_ff=40,
        num_layers=2,
        num_heads=3,
        feed_forward_proj="gated-gelu",
        is_encoder_decoder=False,
    )
    return T5EncoderModel(config).eval()


def _autoencoder() -> Any:
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        block_out_channels=(8, 8, 16, 16),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        latent_channels=16,
        norm_num_groups=4,
        sample_size=256,
        use_quant_conv=False,
        use_post_quant_conv=False,
        mid_block_add_attention=False,
        latents_mean=[0.01 * i for i in range(16)],
        latents_std=[1 + 0.02 * i for i in range(16)],
    ).eval()


def _decoder() -> Any:
    from diffusers import GlmImageTransformer2DModel

    return GlmImageTransformer2DModel(
        num_layers=2,
        attention_head_dim=16,
        num_attention_heads=2,
        text_embed_dim=24,
        time_embed_dim=16,
        condition_dim=8,
        prior_vq_quantizer_codebook_size=CODES,
    ).eval()


def _scheduler() -> Any:
    from diffusers import FlowMatchEulerDiscreteScheduler

    return FlowMatchEulerDiscreteScheduler(
        use_dynamic_shifting=True,
        base_shift=0.25,
        max_shift=0.75,
        base_image_seq_len=256,
        time_shift_type="linear",
    )
