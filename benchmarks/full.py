"""GLM-Image's full size on a laptop's memory: 17 B random weights, drawn with by `moyin generate`.

    python benchmarks/full.py [FOLDER] [--quantization int4] [--steps 2] [--size 512x512] [--keep]

Writes a checkpoint in the released layout (33 GiB, FOLDER is build/full unless given), draws one
image with one network in memory at a time, and removes it again. Prints the peak memory of that
process from opening to PNG, seconds an id and a step, and beside them the limits: the weights read
for an id at the memory's bandwidth, a step's products at the peak of a matrix product.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from moyin.backend import device, nn
from moyin.checkpoint import layout
from moyin.checkpoint.key_mapping import Names
from moyin.checkpoint.load import names_module
from moyin.checkpoint.names import scheduler
from moyin.checkpoint.processor import save_processor
from moyin.checkpoint.save import save_groups, write_json
from moyin.flow.schedule import Schedule
from moyin.models.autoencoder import Autoencoder
from moyin.models.decoder import Decoder
from moyin.models.generator import Generator
from moyin.models.glyph_encoder import GlyphEncoder
from moyin.models.semantic_tokenizer import SemanticTokenizer
from moyin.prompt.tokenizer import TextTokenizer

ROOM = 34 * 2**30
SHARD = 2 * 10**9
PROMPT = "一张红色海报，中间写着“春天”"
CODES = 16384

# `moyin generate` with a clock on its progress.
CHILD = """
import json, sys, time
from contextlib import contextmanager
sys.path.insert(0, sys.argv.pop(1))
from pipeline import peak_memory
from moyin import cli
from moyin.cli import generate

times = {}

@contextmanager
def clock():
    yield lambda stage, done, total: times.setdefault(stage, []).append(time.perf_counter())

generate.bars = clock
start = time.perf_counter()
code = cli.main(sys.argv[2:])
times["whole"] = [start, time.perf_counter()]
times["peak"] = peak_memory()
open(sys.argv[1], "w").write(json.dumps(times))
sys.exit(code)
"""


def write(folder: Path) -> None:
    """Random weights of every network, near the size that training would leave them."""
    tokenizer = TextTokenizer.train([PROMPT, "a red poster"], size=600, codes=CODES)
    v = tokenizer.vocabulary
    configs: dict[str, Any] = {
        "autoencoder": Autoencoder.Config(),
        "glyph": GlyphEncoder.Config(),
        "semantic": SemanticTokenizer.Config(),
        "generator": replace(Generator.Config(), pad_id=v.pad, image_id=v.image),
        "decoder": Decoder.Config(),
    }
    pool = torch.randn(2**26, generator=torch.Generator().manual_seed(0)).to(torch.bfloat16)
    for place in layout.WEIGHT_FOLDERS:
        shapes: dict[str, tuple[int, ...]] = {}
        config: dict[str, Any] = {}
        for network in (n for n, p in layout.FOLDERS.items() if p == place):
            names = names_module(network)
            rename = Names(names.RULES)
            with nn.empty_weights():
                module = configs[network].build()
            for name, parameter in nn.named_parameters(module).items():
                shapes[str(rename.theirs(name))] = tuple(parameter.shape)
            config |= names.to_config(configs[network])

        def tensors(
            names: list[str], shapes: Mapping[str, tuple[int, ...]] = shapes
        ) -> dict[str, torch.Tensor]:
            return {n: drawn(pool, shapes[n]) for n in names}

        write_json(folder / place / "config.json", config)
        sizes = {n: 2 * int(np.prod(shape)) for n, shape in shapes.items()}
        save_groups(folder / place, sizes, tensors, SHARD)
        print(f"{place}: {sum(sizes.values()) / 2**30:.1f} GiB", flush=True)
    save_processor(folder / "processor", tokenizer)
    for file, content in layout.byte_tokenizer().items():
        write_json(folder / "tokenizer" / file, content)
    write_json(folder / scheduler.FOLDER / "scheduler_config.json", scheduler.to_config(Schedule()))
    write_json(folder / layout.MODEL_INDEX, layout.model_index())


def drawn(pool: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    """Vectors of ones; matrices of normal numbers that keep the size of what they multiply."""
    if len(shape) == 1:
        return torch.ones(shape, dtype=torch.bfloat16)
    count, fan = int(np.prod(shape)), int(np.prod(shape[1:]))
    repeated = pool.repeat(-(-count // len(pool)))[:count]
    return (repeated / fan**0.5).view(shape)


def bandwidth() -> float:
    """Bytes a second that all threads read together, the best of five."""
    x = torch.ones(2**28)
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        x.sum()
        best = min(best, time.perf_counter() - start)
    return x.nbytes / best


def run(folder: Path, options: argparse.Namespace) -> None:
    told, out = folder / "times.json", folder / "image.png"
    command = [
        *(sys.executable, "-c", CHILD, str(Path(__file__).parent), str(told)),
        *("generate", PROMPT, "--checkpoint", str(folder)),
        *("--size", options.size, "--steps", str(options.steps)),
        *("--quantization", options.quantization),
        *("--offload", "--out", str(out)),
    ]
    subprocess.run(command, check=True)
    times = json.loads(told.read_text())
    peak = times["peak"]
    whole = times["whole"][1] - times["whole"][0]
    an_id = float(np.median(np.diff(times["tokens"])))
    steps = np.diff(times["steps"])
    bits = {"int8": 8, "int4": 4.25}[options.quantization]
    read = bits / 8 * layers(Generator.Config()) + 2 * 4096 * 16512
    speed = bandwidth()
    peak_flops = device.peak_flops(torch.bfloat16)
    height, width = (int(side) for side in options.size.split("x"))
    tokens = height * width // 256
    work = 2 * 2 * tokens * layers(Decoder.Config())
    print(f"peak memory {peak / 1e9:.2f} GB, {whole:.0f} s in all, {len(times['tokens'])} ids")
    print(
        f"{an_id:.3f} s an id; reading its weights at {speed / 1e9:.0f} GB/s: {read / speed:.3f} s"
    )
    if len(steps):
        a_step = float(np.median(steps))
        print(
            f"{a_step:.1f} s a step of two passes; its products at {peak_flops / 1e9:.0f} GFLOP/s: "
            f"{work / peak_flops:.1f} s"
        )


def layers(config: Any) -> int:
    """Weights of the matrices within the repeated layers."""
    with nn.empty_weights():
        found = nn.named_parameters(config.build())
    return sum(
        int(np.prod(p.shape))
        for n, p in found.items()
        if len(p.shape) > 1 and any(c.isdigit() for c in n.split(".")) and "modulation" not in n
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", nargs="?", type=Path, default=Path("build/full"))
    parser.add_argument("--quantization", default="int4", choices=["int8", "int4"])
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--size", default="512x512")
    parser.add_argument("--keep", action="store_true", help="leave the checkpoint there")
    options = parser.parse_args()
    folder: Path = options.folder
    print(f"{device.name()}, {device.threads()} threads, torch {device.version()}")
    try:
        if not (folder / layout.MODEL_INDEX).is_file():
            folder.mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(folder).free
            if free < ROOM:
                sys.exit(f"{folder} has {free / 2**30:.0f} GiB free, {ROOM / 2**30:.0f} are needed")
            write(folder)
        run(folder, options)
    finally:
        if not options.keep:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
