"""Configurations: validation, and that they import no framework."""

import subprocess
import sys
from typing import Any

import pytest

from moyin.models import config

MODULES = ("moyin.models.config", "moyin.flow.schedule", "moyin.flow.samplers")


@pytest.mark.parametrize("module", [*MODULES, "moyin.flow.guidance"])
def test_no_framework_is_imported(module: str) -> None:
    code = f"import sys, {module}; print(*{{n.split('.')[0] for n in sys.modules}} & FRAMEWORKS)"
    frameworks = "FRAMEWORKS = {'torch', 'mindspore'}; "
    run = subprocess.run([sys.executable, "-c", frameworks + code], capture_output=True, text=True)
    assert (run.returncode, run.stdout.strip()) == (0, ""), run.stderr


@pytest.mark.parametrize(
    ("kind", "fields", "message"),
    [
        (config.AutoencoderConfig, {"norm_groups": 48}, "multiples of norm_groups=48"),
        (config.DecoderConfig, {"head_dim": 6}, "head_dim=6"),
        (config.GeneratorConfig, {"kv_heads": 3}, "kv_heads=3"),
        (config.GeneratorConfig, {"head_dim": 32}, "rotate 64 channels"),
        (config.GlyphEncoderConfig, {"buckets": 30}, "buckets=30"),
        (config.SemanticTokenizerConfig, {"heads": 5}, "heads=5"),
    ],
)
def test_impossible_sizes_are_refused(kind: Any, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kind(**fields)


def test_build_makes_the_network() -> None:
    encoder = config.GlyphEncoderConfig(hidden=8, layers=1, heads=2, head_dim=4, ffn=8).build()
    assert type(encoder).__name__ == "GlyphEncoder"
    assert type(encoder).Config is config.GlyphEncoderConfig
