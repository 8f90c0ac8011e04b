"""The files of a checkpoint's processor/ folder, as transformers' GlmImageProcessor reads them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from moyin.prompt.tokenizer import TextTokenizer

# CLIP's channel statistics (Radford et al. 2021), by which reference images are normalized.
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)

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

# How transformers prepares a reference image.
PREPROCESSOR = {
    "processor_class": "GlmImageProcessor",
    "image_processor_type": "GlmImageImageProcessor",
    "do_convert_rgb": True,
    "do_normalize": True,
    "do_rescale": True,
    "do_resize": True,
    "image_mean": list(CLIP_MEAN),
    "image_std": list(CLIP_STD),
    "merge_size": 1,
    "patch_size": 16,
    "resample": 3,
    "rescale_factor": 1 / 255,
    "size": {"longest_edge": 2048 * 2048, "shortest_edge": 512 * 512},
    "temporal_patch_size": 1,
}


def save_processor(folder: Path, tokenizer: TextTokenizer) -> None:
    """Write the text tokenizer, the preprocessor's settings and the chat template."""
    folder.mkdir(parents=True, exist_ok=True)
    special = tokenizer.special_tokens
    template = CHAT_TEMPLATE.replace("<START>", special.bos_token)
    template = template.replace("<END>", special.eos_token)
    template = template.replace("<IMAGE>", special.image_token)
    config = vars(special) | {
        "padding_side": "left",
        "processor_class": "GlmImageProcessor",
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": False,
        "model_max_length": 131072,
    }
    files = {
        "tokenizer.json": tokenizer.to_json(),
        "tokenizer_config.json": json.dumps(config, indent=2, sort_keys=True),
        "preprocessor_config.json": json.dumps(PREPROCESSOR, indent=2, sort_keys=True),
        "chat_template.jinja": template,
    }
    for name, text in files.items():
        (folder / name).write_text(text.rstrip("\n") + "\n", encoding="utf-8")
