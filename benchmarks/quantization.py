"""What packed weights change: ids, latents and images beside those of plain weights.

    python benchmarks/quantization.py [CHECKPOINT]

The generator reads the ids that plain float32 weights wrote and says, at every place, how likely
each id is: the divergence (KL, nats an id) of what packed weights say, and how often the likeliest
id is another. The decoder paints the same ids: error of the latents (root mean square over that of
the latents) and of the pixels (mean absolute, of 255). Sizes are those in memory.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from moyin.backend import autograd, nn, ops
from moyin.inference.pipeline import GlmImagePipeline
from moyin.inference.request import Request

PROMPTS = (
    "一张红色海报，中间写着“春天”",
    'a yellow poster with the word "TEA" in black',
    "蓝色背景，上方是白色的“山”",
    'a green sign that says "OPEN"',
)
WAYS: dict[str, dict[str, Any]] = {
    "float32": {"dtype": "float32"},
    "bfloat16": {"dtype": "bfloat16"},
    "int8": {"quantization": "int8"},
    "int4": {"quantization": "int4"},
}

Array = np.ndarray[Any, Any]


def said(pipeline: GlmImagePipeline, job: Request, ids: Any) -> Array:
    """Logarithms of probabilities [ids, codes] where `ids` were written."""
    sequence = pipeline.generator_inputs(job.prompt, job.settings)
    written = np.concatenate([g.reshape(-1) for g in (ids.preview, ids.grid) if g is not None])
    whole = np.concatenate([sequence.ids, written.astype(np.int64)])[None]
    places = np.concatenate([sequence.positions, sequence.future[:, :-1]], 1)[:, None]
    with autograd.no_grad():
        logits = pipeline.generator(
            ops.asarray(whole),
            ops.asarray(places),
            head_from=len(sequence.ids) - 1,
            dtype=getattr(ops, pipeline.dtype),
        )
        found = ops.log_softmax(ops.cast(logits[:, : len(written), : ids.codes], ops.float32))
    return np.asarray(ops.numpy(found)[0])


def size(pipeline: GlmImagePipeline) -> float:
    """Megabytes of generator and decoder in memory."""
    total = 0
    for network in (pipeline.generator, pipeline.decoder):
        for tensor in (*nn.named_parameters(network).values(), *network.buffers()):
            total += tensor.numel() * tensor.element_size()
    return total / 1e6


def main() -> None:
    place = sys.argv[1] if len(sys.argv) > 1 else None
    plain = GlmImagePipeline.from_pretrained(place, "float32")
    jobs = [Request(prompt=p, settings=plain.defaults, seed=i) for i, p in enumerate(PROMPTS)]
    ids = plain.run_generator(jobs)
    likely = [said(plain, job, i) for job, i in zip(jobs, ids, strict=True)]
    latents = plain.run_decoder(ids, jobs)
    images = [plain.decode_latents(x[None])[0].astype(float) for x in latents]
    print("           divergence  other likeliest  latents   pixels      size")
    for name, how in WAYS.items():
        pipeline = GlmImagePipeline.from_pretrained(place, **how)
        divergence, other, off, apart = [], [], [], []
        painted = pipeline.run_decoder(ids, jobs)
        for i, job in enumerate(jobs):
            found = said(pipeline, job, ids[i])
            expected = likely[i]
            divergence.append((np.exp(expected) * (expected - found)).sum(1).mean())
            other.append((expected.argmax(1) != found.argmax(1)).mean())
            off.append(np.sqrt(((painted[i] - latents[i]) ** 2).mean() / (latents[i] ** 2).mean()))
            pixels = pipeline.decode_latents(painted[i][None])[0].astype(float)
            apart.append(np.abs(pixels - images[i]).mean())
        print(
            f"{name:<10} {np.mean(divergence):11.5f} {100 * np.mean(other):14.1f} %"
            f" {100 * np.mean(off):7.2f} % {np.mean(apart):8.2f} {size(pipeline):7.1f} MB"
        )


if __name__ == "__main__":
    main()
