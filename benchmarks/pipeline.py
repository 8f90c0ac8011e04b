"""Whole images against diffusers' own pipeline: time by part, and peak memory.

    python benchmarks/pipeline.py [--size nano|middle|both] [--dtype float32] [--runs 3] [--compile]

Both get the same checkpoint folder, prompt, size (512×512), steps, guidance, dtype and threads, one
image at a time. Each run is a process of its own, the two in turn, so that a noisy machine
disturbs both alike; medians are printed. `nano` is the embedded checkpoint; `middle` has 0.3 B
parameters each in generator and decoder, drawn at random. Beside the times stand the limits of the
machine: an id's weights read at the memory's bandwidth, a step's products at the peak of a large
product. --compile has both compile the blocks of their decoder, during an image that is not timed.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

PROMPT = "一张红色海报，中间写着“春天”"
STEPS, GUIDANCE, SIDE = 8, 1.5, 512
NANO = Path(__file__).parents[1] / "checkpoints" / "nano"
PARTS = ("generator", "decoder", "whole")
OFFLOAD, COMPILE = " --offload", " --compile"


def ours(folder: Path, dtype: str, offload: bool, compiled: bool) -> dict[str, float]:
    from dataclasses import replace

    from moyin.inference.pipeline import GlmImagePipeline
    from moyin.inference.request import Request

    pipeline = GlmImagePipeline.from_pretrained(
        folder, dtype=dtype, offload=offload, compile=compiled
    )
    settings = replace(
        pipeline.defaults,
        height=SIDE,
        width=SIDE,
        steps=STEPS,
        guidance=GUIDANCE,
    )
    jobs = [Request(prompt=PROMPT, settings=settings)]
    if not offload:
        for name in ("generator", "glyph", "decoder", "autoencoder"):
            pipeline.networks.get(name)
    if compiled:
        pipeline.run_decoder(pipeline.run_generator(jobs), jobs)
    start = time.perf_counter()
    ids = pipeline.run_generator(jobs)
    written = time.perf_counter()
    latents = pipeline.run_decoder(ids, jobs)
    painted = time.perf_counter()
    pipeline.decode_latents(latents[0][None])
    end = time.perf_counter()
    return {"generator": written - start, "decoder": painted - written, "whole": end - start}


def theirs(folder: Path, dtype: str, compiled: bool) -> dict[str, float]:
    import diffusers
    import torch
    import transformers

    diffusers.logging.set_verbosity_error()
    transformers.logging.set_verbosity_error()
    pipe = diffusers.GlmImagePipeline.from_pretrained(folder, dtype=getattr(torch, dtype))
    pipe.set_progress_bar_config(disable=True)
    marks: dict[str, float] = {}
    generate = pipe.vision_language_encoder.generate

    def timed(*args: Any, **kwargs: Any) -> Any:
        found = generate(*args, **kwargs)
        marks["written"] = time.perf_counter()
        return found

    def stepped(_: Any, step: int, *rest: Any) -> Any:
        marks["painted"] = time.perf_counter()
        return rest[-1]

    def draw() -> None:
        pipe(
            prompt=PROMPT,
            height=SIDE,
            width=SIDE,
            num_inference_steps=STEPS,
            guidance_scale=GUIDANCE,
            callback_on_step_end=stepped,
        )

    pipe.vision_language_encoder.generate = timed
    if compiled:
        pipe.transformer.compile_repeated_blocks()
        draw()
    start = time.perf_counter()
    draw()
    end = time.perf_counter()
    return {
        "generator": marks["written"] - start,
        "decoder": marks["painted"] - marks["written"],
        "whole": end - start,
    }


def child(which: str, folder: Path, dtype: str) -> None:
    """One run, told as a line of JSON."""
    compiled = which.endswith(COMPILE)
    if which.startswith("diffusers"):
        found = theirs(folder, dtype, compiled)
    else:
        found = ours(folder, dtype, which.endswith(OFFLOAD), compiled)
    print(json.dumps(found | {"peak": peak_memory()}))


def peak_memory() -> int:
    """Bytes. Linux's getrusage begins with the peak of the process that this one came from."""
    status = Path("/proc/self/status")
    if status.is_file():
        line = next(x for x in status.read_text().splitlines() if x.startswith("VmHWM"))
        return 1024 * int(line.split()[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def one(which: str, folder: Path, dtype: str) -> dict[str, float]:
    command = [sys.executable, __file__, "--child", which, str(folder), dtype]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found: dict[str, float] = json.loads(said.strip().splitlines()[-1])
    return found


def middle(folder: Path) -> Path:
    """About 0.3 B parameters each in generator and decoder, near the size training leaves them."""
    import torch

    from moyin.backend import nn
    from moyin.checkpoint.folder import Checkpoint
    from moyin.checkpoint.save import save_checkpoint
    from moyin.models.decoder import Decoder
    from moyin.models.generator import Generator

    base = Checkpoint.open(NANO)
    small, painter = base.config("generator"), base.config("decoder")
    torch.manual_seed(0)
    networks: dict[str, Any] = {
        "generator": Generator.Config(
            vocab=small.vocab,
            vision_vocab=small.vision_vocab,
            hidden=1024,
            layers=20,
            heads=16,
            kv_heads=2,
            head_dim=64,
            ffn=4096,
            rotary_sections=(4, 6, 6),
            pad_id=small.pad_id,
            image_id=small.image_id,
        ).build(),
        "decoder": Decoder.Config(
            layers=16,
            heads=16,
            head_dim=64,
            glyph_dim=painter.glyph_dim,
            time_dim=256,
            size_dim=64,
            codes=painter.codes,
        ).build(),
    }
    for network in networks.values():
        for parameter in nn.named_parameters(network).values():
            if parameter.ndim > 1:
                torch.nn.init.normal_(parameter, std=parameter.shape[1] ** -0.5)
    count = {n: sum(p.numel() for p in m.parameters()) / 1e6 for n, m in networks.items()}
    print("middle:", ", ".join(f"{n} {c:.0f} M parameters" for n, c in count.items()))
    # Guesses pay where a large grid follows its preview; a random generator's never does.
    settings = {k: v for k, v in base.notes["settings"].items() if k != "draft"}
    return save_checkpoint(folder, networks, base=base, notes={"settings": settings})


def limits(folder: Path, dtype: str) -> tuple[float, float]:
    """Least seconds of the generator and of the decoder on this machine."""
    import torch

    from moyin.backend import device
    from moyin.checkpoint.key_mapping import Names
    from moyin.checkpoint.layout import FOLDERS
    from moyin.checkpoint.load import names_module
    from moyin.checkpoint.shards import read_folder

    counts = {}
    for network in ("generator", "decoder"):
        names = Names(names_module(network).RULES)
        entries = read_folder(folder / FOLDERS[network])
        kept = [
            int(np.prod(e.shape))
            for n, e in entries.items()
            if (o := names.ours(n)) and "embedding" not in o and "modulation" not in o
        ]
        counts[network] = sum(kept)
    x = torch.ones(2**27)
    reading = min(_seconds(x.sum) for _ in range(5))
    bandwidth = x.nbytes / reading
    peak = device.peak_flops(getattr(torch, dtype))
    ids = 2 * (SIDE // 32) ** 2
    size = {"float32": 4, "bfloat16": 2}[dtype]
    tokens = (SIDE // 16) ** 2
    print(f"memory {bandwidth / 1e9:.0f} GB/s, products {peak / 1e9:.0f} GFLOP/s in {dtype}")
    return (
        ids * counts["generator"] * size / bandwidth,
        STEPS * 2 * tokens * 2 * counts["decoder"] / peak,
    )


def _seconds(call: Any) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def compare(name: str, folder: Path, dtype: str, runs: int, compiled: bool) -> None:
    """Print a table of one checkpoint."""
    kinds = ["diffusers", "moyin", "moyin" + OFFLOAD]
    kinds += ["diffusers" + COMPILE, "moyin" + COMPILE] if compiled else []
    found: dict[str, list[dict[str, float]]] = {kind: [] for kind in kinds}
    for _ in range(runs):
        for kind in kinds:
            found[kind].append(one(kind, folder, dtype))
    middles = {
        kind: {part: statistics.median(run[part] for run in some) for part in (*PARTS, "peak")}
        for kind, some in found.items()
    }
    least = dict(zip(PARTS, limits(folder, dtype), strict=False))
    print(f"{name}, {dtype}, {STEPS} steps, medians of {runs}")
    for part in (*PARTS, "peak"):
        unit, scale = ("GB", 1e9) if part == "peak" else ("s", 1)
        reference = middles["diffusers"][part]
        line = f"  {part:<10}"
        for kind in kinds:
            value = middles[kind][part]
            ratio = value / reference if part == "peak" else reference / value
            line += f"  {kind} {value / scale:8.2f} {unit}" + (
                f" ({ratio:.2f}x)" if kind != "diffusers" else ""
            )
        if part in least:
            share = least[part] / middles["moyin"][part]
            line += f"  limit {least[part]:.2f} s, reached {100 * share:.0f} %"
        print(line)


def main() -> None:
    if "--child" in sys.argv:
        which, folder, dtype = sys.argv[2:5]
        child(which, Path(folder), dtype)
        return
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", default="nano", choices=["nano", "middle", "both"])
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--compile", action="store_true")
    options = parser.parse_args()
    how = (options.dtype, options.runs, options.compile)
    if options.size != "middle":
        compare("nano", NANO, *how)
    if options.size != "nano":
        with tempfile.TemporaryDirectory() as folder:
            made = middle(Path(folder) / "middle")
            compare("middle", made, *how)


if __name__ == "__main__":
    main()
