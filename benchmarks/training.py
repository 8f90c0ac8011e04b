"""Training steps against a plain loop over transformers' and diffusers' modules, in the same run.

    python benchmarks/training.py [--stage decoder] [--steps 5] [--dtype float32]
                                  [--compile] [--recompute]

Generator and decoder at width 512, with the same sizes, random weights, batch, dtype and optimizer:
a forward and a backward pass, clipping, AdamW and a moving average. The plain loop is what a
training script would be: cross-entropy or squared error, autocast where the dtype is bfloat16,
`clip_grad_norm_`, `torch.optim.AdamW` and diffusers' `EMAModel`. Steps of both and products of
4096³ take turns. Seconds are the processor's own, of all threads together, so that others on the
machine disturb little; medians are printed. Memory is the most that PyTorch's allocator held, from
before the network is built to the end of the second step.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import diffusers
import torch
import torch.nn.functional as F
import transformers
from diffusers.training_utils import EMAModel

from moyin.backend import autograd, device, nn, ops, optim
from moyin.checkpoint.names import decoder as decoder_names
from moyin.checkpoint.names import generator as generator_names
from moyin.models.decoder import Decoder, DecoderInputs
from moyin.models.generator import Generator

LR, BETAS, DECAY, EMA = 1e-4, (0.9, 0.99), 0.01, 0.999
BATCH, PROMPT, IDS = 4, 64, 257  # of the generator: captions, and an image of 512x512
LATENT, GLYPHS = 64, 24  # of the decoder, which has one such image

GENERATOR = Generator.Config(
    vocab=4224,
    vision_vocab=2176,
    hidden=512,
    layers=4,
    heads=8,
    kv_heads=2,
    head_dim=64,
    ffn=1536,
    rotary_sections=(4, 6, 6),
    pad_id=4200,
    image_id=4201,
)
DECODER = Decoder.Config(
    layers=4, heads=4, head_dim=128, glyph_dim=256, time_dim=128, size_dim=64, codes=2048
)
Step = Callable[[], object]
Treat = Callable[[Any], None]  # what is done to the blocks of our network


@dataclass
class Ours:
    """What the trainer does with an objective's loss."""

    network: Any
    loss: Callable[[Any], torch.Tensor]

    def __post_init__(self) -> None:
        parameters = nn.named_parameters(self.network)
        self.optimizer = optim.AdamW(parameters, BETAS, weight_decay=DECAY)
        self.average = {n: ops.stop_gradient(p) + 0 for n, p in parameters.items()}
        self.gradient = autograd.value_and_grad(lambda: (self.loss(self.network), {}), self.network)

    def step(self) -> None:
        _, _, gradients = self.gradient()
        gradients, _ = optim.clip_by_global_norm(gradients, 1.0)
        self.optimizer.step(gradients, LR)
        optim.ema_update(self.average, self.optimizer.parameters, EMA)


@dataclass
class Plain:
    """A plain loop."""

    network: Any
    loss: Callable[[Any], torch.Tensor]
    dtype: torch.dtype

    def __post_init__(self) -> None:
        self.network.train()
        parameters = list(self.network.parameters())
        self.optimizer = torch.optim.AdamW(parameters, LR, BETAS, weight_decay=DECAY)
        self.average = EMAModel(parameters, decay=EMA)

    def step(self) -> None:
        with torch.autocast("cpu", self.dtype, enabled=self.dtype == torch.bfloat16):
            loss = self.loss(self.network)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.average.step(self.network.parameters())


def generators(dtype: torch.dtype, treat: Treat) -> dict[str, Callable[[], Step]]:
    """Makers of ours and of theirs."""
    length = PROMPT + IDS
    ids = torch.randint(2048, (BATCH, length))
    positions = torch.arange(length).expand(3, BATCH, length).contiguous()
    targets = ids[:, PROMPT:].reshape(-1)

    def ours() -> Step:
        def loss(network: Any) -> torch.Tensor:
            logits = network(ids, positions, head_from=PROMPT - 1, dtype=dtype)[:, :-1]
            return ops.mean(ops.cross_entropy(logits.reshape(-1, logits.shape[-1]), targets))

        network = GENERATOR.build()
        treat(network.layers)
        return Ours(network, loss).step

    def theirs() -> Step:
        def loss(network: Any) -> torch.Tensor:
            states = network["body"](input_ids=ids, position_ids=positions).last_hidden_state
            logits = network["head"](states[:, PROMPT - 1 : -1])
            return F.cross_entropy(logits.flatten(0, 1).float(), targets)

        config = transformers.GlmImageConfig(**generator_names.to_config(GENERATOR))
        body = transformers.models.glm_image.GlmImageTextModel(config.text_config)
        head = torch.nn.Linear(GENERATOR.hidden, GENERATOR.vision_vocab, bias=False)
        return Plain(torch.nn.ModuleDict({"body": body, "head": head}), loss, dtype).step

    return {"moyin": ours, "plain": theirs}


def decoders(dtype: torch.dtype, treat: Treat) -> dict[str, Callable[[], Step]]:
    """Makers of ours and of theirs."""
    latents, target = torch.randn(2, 1, DECODER.channels, LATENT, LATENT)
    glyphs = torch.randn(1, GLYPHS, DECODER.glyph_dim)
    prior = torch.randint(DECODER.codes, (1, (LATENT // DECODER.patch) ** 2))
    timestep, size, crop = torch.full((1,), 499.0), torch.full((1, 2), 512.0), torch.zeros(1, 2)

    def ours() -> Step:
        def loss(network: Any) -> torch.Tensor:
            drop = torch.zeros(1, dtype=torch.bool)
            inputs = DecoderInputs(
                glyphs=glyphs,
                glyph_mask=None,
                tokens=prior,
                tokens_dropped=drop,
                height=LATENT,
                width=LATENT,
            )
            conditioning = network.conditioning(inputs, dtype)
            modulation = network.modulation(timestep, size, crop, dtype)
            velocity = network(latents.to(dtype), conditioning, modulation)
            return ops.mean(ops.square(velocity.float() - target))

        network = DECODER.build()
        treat(network.blocks)
        return Ours(network, loss).step

    def theirs() -> Step:
        def loss(network: Any) -> torch.Tensor:
            drop = torch.zeros_like(prior, dtype=torch.bool)
            (said,) = network(latents, glyphs, prior, drop, timestep, size, crop, return_dict=False)
            return F.mse_loss(said.float(), target)

        config = decoder_names.to_config(DECODER)
        network = diffusers.GlmImageTransformer2DModel.from_config(config)
        return Plain(network, loss, dtype).step

    return {"moyin": ours, "plain": theirs}


@contextmanager
def allocated() -> Iterator[list[int]]:
    """The most bytes that PyTorch's allocator gave out within, beside what there was before."""
    most, cpu = [0], torch.profiler.ProfilerActivity.CPU
    with torch.profiler.profile(activities=[cpu], profile_memory=True) as profile:
        yield most
    events = profile.profiler.kineto_results.events()
    now = 0
    for event in sorted(events, key=lambda e: e.start_ns()):
        if event.name() == "[memory]":
            now += event.nbytes()
            most[0] = max(most[0], now)


def seconds(call: Step) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


def compare(name: str, makers: dict[str, Callable[[], Step]], dtype: Any, steps: int) -> None:
    """Print a row for each."""
    made, memory = {}, {}
    for who, make in makers.items():
        with allocated() as most:
            made[who] = make()
            made[who]()
            made[who]()
        memory[who] = most[0]
    work = device.count_flops(made["plain"])
    a = torch.randn(4096, 4096).to(dtype)
    taken: dict[str, list[float]] = {who: [] for who in (*made, "product")}
    for number in range(steps):
        for who, step in made.items():
            taken[who].append(seconds(step))
        if number % 2 == 0:
            taken["product"].append(seconds(lambda: a @ a))
    middle = {who: statistics.median(times) for who, times in taken.items()}
    peak = 2 * 4096**3 / min(taken["product"])
    for who in made:
        print(
            f"{name:10}{who:8}{1e3 * middle[who]:8.0f} ms a step {memory[who] / 2**20:8.0f} MiB"
            f"  {work / middle[who] / peak:5.0%} of {peak / 1e9:.0f} GFLOP/s"
        )
    faster, less = middle["plain"] / middle["moyin"], memory["moyin"] / memory["plain"]
    print(f"{name:10}{faster:.2f} times as fast in {less:.2f} of the memory", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--stage", default="both", choices=["generator", "decoder", "both"])
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--dtype", default="auto", choices=["auto", "float32", "bfloat16"])
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--recompute", action="store_true")
    options = parser.parse_args()

    def treat(blocks: Any) -> None:
        if options.compile:
            nn.compile_blocks(blocks)
        if options.recompute:
            nn.recompute_blocks(blocks)

    low = device.supports_bfloat16() if options.dtype == "auto" else options.dtype == "bfloat16"
    dtype = torch.bfloat16 if low else torch.float32
    print(f"{device.name()}, {device.threads()} threads, torch {device.version()}, {dtype}")
    torch.manual_seed(0)
    for stage, makers in (("generator", generators), ("decoder", decoders)):
        if options.stage in (stage, "both"):
            compare(stage, makers(dtype, treat), dtype, options.steps)


if __name__ == "__main__":
    main()
