"""Moyin's filters against data-juicer's on the same images: processor time per image.

    python benchmarks/filtering.py --data-juicer PYTHON [--images 400]

data-juicer runs in its own environment, given by its Python (`pip install py-data-juicer aiohttp
opencv-python-headless PyWavelets matplotlib scikit-learn`, `pip install --no-deps imagededup`, and
torch and torchvision, which imagededup imports). The images are rendered, 512x512, JPEG files with
a caption each; every tenth is a copy. Both programs decode them and drop images that are too small
or too narrow, captions that are too short or too long, and copies by a perceptual hash. Moyin also
measures blur, contrast, language and character levels, finds near copies, and writes the kept
images as PNG with a manifest; data-juicer writes a list of names. Both use one process. The start
is excluded by subtracting a run of a quarter of the images.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

SIZE, ROUNDS = 512, 3
CHAIN = [
    {"image_shape_filter": {"min_width": 256, "min_height": 256}},
    {"image_aspect_ratio_filter": {"min_ratio": 0.33, "max_ratio": 3.0}},
    {"text_length_filter": {"min_len": 2, "max_len": 2000}},
    {"image_deduplicator": {"method": "phash"}},
]


def make(folder: Path, count: int) -> Path:
    """Images with captions, as both read them: files side by side, and a list of them."""
    from moyin.render.renderer import Renderer

    folder.mkdir()
    draw = Renderer.Config(size=SIZE).build()
    rows = []
    for number in range(count):
        path = folder / f"{number:05d}.jpg"
        if number % 10 == 9:
            shutil.copy(folder / f"{number - 1:05d}.jpg", path)
        else:
            sample = draw(0, number)
            Image.fromarray(sample.image).save(path, quality=90)
        path.with_suffix(".txt").write_text(sample.captions[0], "utf-8")
        mark = "<__dj__image>"
        rows.append({"images": [str(path)], "text": f"{mark} {sample.captions[0]}"})
    listed = folder.with_suffix(".jsonl")
    listed.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows), "utf-8")
    return folder


def moyin(folder: Path, out: Path) -> list[str]:
    fields = [f"inputs={folder}", "count=0", "workers=1", "resize.size=512", "resize.longest=3"]
    # The recipe's chain but for OCR, which has no counterpart.
    fields += ["ocr.images=none"]
    return [
        *(sys.executable, "-m", "moyin", "prepare", "nano/data"),
        *("--out", str(out / "dataset"), *fields),
    ]


def data_juicer(python: str, folder: Path, out: Path) -> list[str]:
    config = out / "chain.json"
    config.write_text(
        json.dumps(
            {
                "project_name": "chain",
                "dataset_path": str(folder.with_suffix(".jsonl")),
                "export_path": str(out / "kept.jsonl"),
                "np": 1,
                "use_cache": False,
                "open_monitor": False,
                "op_fusion": True,
                "process": CHAIN,
            }
        )
    )
    return [python, "-m", "data_juicer.tools.process_data", "--config", str(config)]


def seconds(command: list[str]) -> float:
    """Processor time of a process and its workers."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        command,
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-juicer", required=True)
    parser.add_argument("--images", type=int, default=400)
    options = parser.parse_args()
    few, many = options.images // 4, options.images
    took: dict[str, list[tuple[float, float]]] = {"Moyin": [], "data-juicer": []}
    with tempfile.TemporaryDirectory() as root:
        folders = [make(Path(root) / f"images{n}", n) for n in (few, many)]
        for turn in range(ROUNDS):
            for name, times in took.items():
                found = []
                for folder in folders:
                    out = Path(root) / f"{name}-{turn}-{folder.name}"
                    out.mkdir()
                    command = (
                        moyin(folder, out)
                        if name == "Moyin"
                        else data_juicer(options.data_juicer, folder, out)
                    )
                    found.append(seconds(command))
                times.append((found[0], found[1]))
    each = {}
    for name, times in took.items():
        each[name] = statistics.median((b - a) / (many - few) for a, b in times)
        whole = statistics.median(b for _, b in times)
        print(f"{name}: {1000 * each[name]:.1f} ms an image, {whole:.1f} s for {many} in all")
    print(f"ratio {each['data-juicer'] / each['Moyin']:.2f}")


if __name__ == "__main__":
    main()
