"""One decoder forward against diffusers' own, with the same random weights, in the same run.

    python benchmarks/decoder_step.py

The nano size: hidden 320, 10 layers, a 512² image (1024 image tokens) and 24 glyph tokens. Runs
alternate between the two and a large square matrix product, so that a noisy machine disturbs all
alike; medians are printed, with the share of what that product reaches on the same threads.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import diffusers
import torch

from moyin.backend import device
from moyin.checkpoint.key_mapping import Names
from moyin.checkpoint.names import decoder as names
from moyin.models.decoder import Decoder, DecoderInputs

CONFIG = Decoder.Config(
    layers=10, heads=2, head_dim=160, glyph_dim=256, time_dim=64, size_dim=64, codes=2048
)
LATENT, GLYPHS, RUNS = 64, 24, 15
IMAGE = (LATENT // CONFIG.patch) ** 2


def networks(dtype: torch.dtype) -> tuple[Decoder, Any]:
    """Ours and theirs with the same weights, none of them zero."""
    torch.manual_seed(0)
    ours = CONFIG.build()
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.normal_(std=0.03)
    theirs = diffusers.GlmImageTransformer2DModel.from_config(names.to_config(CONFIG))
    rename = Names(names.RULES)
    theirs.load_state_dict({rename.theirs(n): p for n, p in ours.named_parameters()})
    return ours.to(dtype), theirs.to(dtype)


def forwards(batch: int, dtype: torch.dtype) -> dict[str, Callable[[], torch.Tensor]]:
    """One call of each network on the same inputs."""
    ours, theirs = networks(dtype)
    latents = torch.randn(batch, CONFIG.channels, LATENT, LATENT).to(dtype)
    glyphs = torch.randn(batch, GLYPHS, CONFIG.glyph_dim).to(dtype)
    prior = torch.randint(CONFIG.codes, (batch, IMAGE))
    keep = torch.zeros(batch, dtype=torch.bool)
    time_, size = torch.full((batch,), 499.0), torch.full((batch, 2), 512.0)
    crop = torch.zeros(batch, 2)

    def run_ours() -> torch.Tensor:
        inputs = DecoderInputs(
            glyphs=glyphs,
            glyph_mask=None,
            tokens=prior,
            tokens_dropped=keep,
            height=LATENT,
            width=LATENT,
        )
        conditioning = ours.conditioning(inputs, dtype)
        velocity = ours(latents, conditioning, ours.modulation(time_, size, crop, dtype))
        return torch.as_tensor(velocity)

    def run_theirs() -> torch.Tensor:
        drop = torch.zeros_like(prior, dtype=torch.bool)
        out = theirs(latents, glyphs, prior, drop, time_, size, crop, return_dict=False)
        return torch.as_tensor(out[0])

    return {
        "moyin": run_ours,
        "diffusers": run_theirs,
    }


def flops(batch: int) -> float:
    """Multiply-adds count two; norms, rotations and activations are left out."""
    d, tokens = CONFIG.dim, IMAGE + GLYPHS
    block = tokens * (24 * d * d + 4 * tokens * d) + 24 * d * CONFIG.time_dim
    ends = IMAGE * (4 * d * d + 4 * d * CONFIG.channels * CONFIG.patch**2)
    return batch * (CONFIG.layers * block + ends + GLYPHS * 2 * d * (CONFIG.glyph_dim + d))


def product(dtype: torch.dtype, size: int = 2048) -> tuple[Callable[[], torch.Tensor], float]:
    """A product of two square matrices, and the operations in it."""
    a, b = torch.randn(size, size).to(dtype), torch.randn(size, size).to(dtype)
    return lambda: a @ b, 2.0 * size**3


def seconds(call: Callable[[], torch.Tensor]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def compare(batch: int, dtype: torch.dtype) -> None:
    """Print one row for each network."""
    calls = forwards(batch, dtype)
    a, b = (call().float() for call in calls.values())
    apart = float((a - b).abs().max() / b.abs().max())
    multiply, work = product(dtype)
    taken: dict[str, list[float]] = {name: [] for name in (*calls, "product")}
    for _ in range(RUNS):
        for name, call in (*calls.items(), ("product", multiply)):
            taken[name].append(seconds(call))
    middle = {name: statistics.median(times) for name, times in taken.items()}
    peak = work / middle["product"]
    for name in calls:
        rate = flops(batch) / middle[name]
        print(
            f"{str(dtype)[6:]:9} batch {batch}  {name:10} {1e3 * middle[name]:8.1f} ms"
            f"  best {1e3 * min(taken[name]):8.1f} ms  {rate / 1e9:7.1f} GFLOP/s"
            f"  {100 * rate / peak:5.1f} % of {peak / 1e9:.0f}"
        )
    print(f"{'':18}largest difference {apart:.1e} of the largest value")


def main() -> None:
    diffusers.logging.set_verbosity_error()
    print(f"{device.name()}, {device.threads()} threads, torch {device.version()}")
    dtypes = [torch.float32] + [torch.bfloat16] * device.supports_bfloat16()
    with torch.no_grad():
        for dtype in dtypes:
            for batch in (1, 4):
                compare(batch, dtype)


if __name__ == "__main__":
    main()
