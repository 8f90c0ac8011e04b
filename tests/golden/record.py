"""Record what Moyin computes now: `python tests/golden/record.py OUT [--only PART] [--backend B]`.

Everything goes through the command line, whose names stand in the table below.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

HERE = Path(__file__).resolve().parent
HOME = HERE.parents[1]
DATA = HERE / "data"  # what is committed

# The names of the command line: where one is changed, it is changed here.
MAIN = "from moyin.cli import main"
NANO = f"--checkpoint={HOME / 'checkpoints' / 'nano'}"
GENERATE, EDIT, PREPARE, TRAIN = "generate", "edit", "prepare", "train"
EVALUATE, EXPORT = "evaluate", "export"
OUT, SEED, SIZE, COUNT, IMAGE = "--out", "--seed", "--size", "--num-images", "--image"
IDS = "--save-tokens"
TARS = ("--format", "webdataset")
FEW, ONCE = "--limit", ("--seeds", "1")
METRICS = "metrics.jsonl"
EACH_STEP = ("steps=10", "log_every=1")
PICTURES, FILTERED = "smoke/images", "smoke/data"
STAGES = ("autoencoder", "glyph", "semantic", "generator", "decoder")
# What a metrics file says of the machine, not of the networks.
MACHINE = {"step", "images_per_s", "memory_gib", "share_of_peak"}

# Names within a dataset. Digests are of the values alone, in this order.
LINE = ("text", "box", "characters", "squares", "colour", "font", "place", "role", "vertical")
LINE += ("effects", "quad", "quads")
OBJECT = ("name", "chinese", "box", "place")
# A column's name now, and the one it was recorded by.
COLUMNS = {"pixel_hash": "pixels", "phash": "look", "ocr_text": "read"}

FIRST = "red"  # the picture that is edited
PROMPTS: dict[str, tuple[str, ...]] = {
    FIRST: (GENERATE, "一张红色海报，中间写着“春天”", SEED, "0"),
    "yellow": (GENERATE, 'a yellow poster with the word "TEA" in black', SEED, "7"),
    "blue": (GENERATE, 'a blue poster that says "HELLO" in white', SEED, "1", COUNT, "2"),
    "small": (GENERATE, "帮我写个“静”字", SEED, "2", SIZE, "384x384"),
    "high": (GENERATE, "Write 'OPEN'", SEED, "4", SIZE, "384x512"),
    "edited": (EDIT, "把中间的文字换成“新年”", SEED, "3"),
}
# MindSpore takes a second and a half for a picture's latents, so there are few.
TRAINED_ON = "count=16"
KEPT = "count=243"  # and the photographs that ship
# bf16 differs between processors; float32 hardly does.
DTYPES = {"torch": ("float32", "bfloat16"), "mindspore": ("float32",)}
SUITES = {"nano-50": (FEW, "5", *ONCE), "gates": (FEW, "4")}
PARTS = ("images", "losses", "data", "scores")

RUNNER = f"""
import json, sys
{MAIN}
for arguments in json.load(sys.stdin):
    code = main(arguments)
    if code:
        sys.exit(code)
"""


def moyin(commands: Sequence[Sequence[str]], backend: str = "torch") -> None:
    """Run these command lines one after another, in one process on one thread."""
    own = {"MOYIN_CHECKPOINT", "MOYIN_DEVICE"}
    environment = {name: value for name, value in os.environ.items() if name not in own}
    environment |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(HOME)}
    environment |= {"MOYIN_BACKEND": backend}
    if backend == "torch":
        environment["MOYIN_DEVICE"] = "cpu"
    python = os.environ["MOYIN_MINDSPORE_PYTHON"] if backend == "mindspore" else sys.executable
    done = subprocess.run(
        [python, "-c", RUNNER],
        input=json.dumps([list(map(str, command)) for command in commands]),
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"a command failed:\n{done.stderr[-4000:]}")


def images(out: Path, backend: str, work: Path) -> None:
    """The pictures of `PROMPTS`, and their ids."""
    committed = DATA / "images" / f"{FIRST}.png"
    edited = committed if committed.exists() else work / f"{FIRST}.png"
    commands = []
    for name, command in PROMPTS.items():
        more = [IMAGE, str(edited)] if command[0] == EDIT else []
        files = [OUT, str(work / f"{name}.png"), IDS, str(work / f"{name}.npz")]
        commands.append([*command, NANO, *more, *files])
    moyin(commands, backend)
    ids = {}
    for path in sorted(work.glob("*.npz")):
        with np.load(path) as parts:
            grids = ("grid", "preview")
            ids[path.stem] = {n: parts[n].tolist() if n in parts else None for n in grids}
        with Image.open(path.with_suffix(".png")) as picture:  # without its metadata
            Image.fromarray(np.asarray(picture)).save(out / f"{path.stem}.png", optimize=True)
    write(out / "ids.json", ids)


def losses(out: Path, backend: str, work: Path, dtypes: Sequence[str] = ()) -> None:
    """The metrics of ten updates of each stage, each of which takes the former one's weights."""
    moyin([[PREPARE, PICTURES, OUT, str(work / "store"), TRAINED_ON]])
    for dtype in dtypes or DTYPES[backend]:
        # A copy each, for the stages add columns to it that depend on the networks before them.
        store = shutil.copytree(work / "store", work / dtype / "store")
        commands, before = [], []
        for stage in STAGES:
            to = work / dtype / stage
            where = [f"data={store}", f"out={to}", f"dtype={dtype}", *before]
            commands.append([TRAIN, f"smoke/{stage}", *where, *EACH_STEP])
            before = [f"checkpoint={to / 'weights'}"]
        moyin(commands, backend)
        write(out / "processor.json", {"recorded on": [processor()]})
        write(
            out / f"{backend}.{dtype}.json",
            {stage: metrics(work / dtype / stage / METRICS) for stage in STAGES},
        )


def processor() -> str:
    """This machine's kind of processor, which decides in what order sums are taken."""
    try:
        lines = Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()
    except OSError:
        return platform.processor()
    told = {key.strip(): value.strip() for key, _, value in (x.partition(":") for x in lines)}
    wide = "AVX-512" if "avx512f" in told.get("flags", "").split() else "narrower"
    return " ".join([*(told.get(k, "") for k in ("vendor_id", "cpu family", "model")), wide])


def metrics(path: Path) -> dict[str, list[float | None]]:
    """What a training wrote at every step, by name."""
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    names = sorted({name for row in rows for name in row} - MACHINE)
    return {name: [row.get(name) for row in rows] for name in names}


def data(out: Path, backend: str, work: Path) -> None:
    """Digests of what is in the rows of two datasets, whatever the files are."""
    for name, recipe, more in (("pictures", PICTURES, ()), ("filtered", FILTERED, (KEPT,))):
        store, tars = work / name, work / f"{name}-tars"
        make = [PREPARE, recipe, OUT, str(store), *more]
        moyin([make, [EXPORT, str(store), *TARS, OUT, str(tars)]])
        columns: dict[str, list[str]] = {}
        for tar in sorted(tars.glob("*.tar")):
            for column, digest in rows(tar):
                columns.setdefault(column, []).append(digest)
        whole = {n: hashlib.sha256("".join(c).encode()).hexdigest() for n, c in columns.items()}
        # The first digits say which row differs, and the whole that there is none.
        found = {
            column: {"rows": len(c), "whole": whole[column], "each": " ".join(d[:6] for d in c)}
            for column, c in sorted(columns.items())
        }
        write(out / f"{name}.json", found)


def rows(path: Path) -> list[tuple[str, str]]:
    """Column and digest of every cell of an exported shard."""
    found = []
    with tarfile.open(path) as tar:
        for member in tar:
            file = tar.extractfile(member)
            content = file.read() if file is not None else b""
            suffix = member.name.partition(".")[2]
            if suffix == "png":
                with Image.open(io.BytesIO(content)) as picture:
                    pixels = np.asarray(picture.convert("RGB"))
                found.append(("picture", digest(str(pixels.shape).encode() + pixels.tobytes())))
            elif suffix == "json":
                meta = json.loads(content)
                parts = {
                    "captions": meta["captions"],
                    "lines": [[line[name] for name in LINE] for line in meta["lines"]],
                    "background": sorted(meta["background"].values()),
                    "objects": [[thing[name] for name in OBJECT] for thing in meta["objects"]],
                }
                found += [(name, digest(text(value))) for name, value in parts.items()]
            elif suffix == "values.json":
                values = json.loads(content)
                found += [(COLUMNS.get(n, n), digest(text(value))) for n, value in values.items()]
    return found


def text(value: Any) -> bytes:
    """A JSON value as text; the ninth digit of a mean may depend on the processor."""

    def rounded(part: Any) -> Any:
        if isinstance(part, float):
            return f"{part:.8g}"
        if isinstance(part, list):
            return [rounded(each) for each in part]
        return {k: rounded(v) for k, v in part.items()} if isinstance(part, dict) else part

    return json.dumps(rounded(value), ensure_ascii=False, sort_keys=True).encode()


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def scores(out: Path, backend: str, work: Path) -> None:
    """What a few pictures of two suites score, and what was read in each."""
    for suite, options in SUITES.items():
        moyin([[EVALUATE, suite, NANO, OUT, str(work / suite), *options]], backend)
        report = json.loads((work / suite / "report.json").read_text("utf-8"))
        kept = ("id", "asked", "read", "wrong", "score")
        found = {name: report[name] for name in ("scores", "ceilings")}
        found["rows"] = [{name: row[name] for name in kept} for row in report["rows"]]
        write(out / f"{suite}.json", found)


def write(path: Path, content: Any) -> None:
    """JSON with one line for each thing within its parts; a float's text is exact."""
    lines = []
    for name, part in content.items():
        inner = part.items() if isinstance(part, dict) else enumerate(part)
        said = [(json.dumps(k), json.dumps(v, ensure_ascii=False)) for k, v in inner]
        named = isinstance(part, dict)
        body = ",\n".join(f"  {k}: {v}" if named else f"  {v}" for k, v in said)
        opened, closed = "{}" if named else "[]"
        lines.append(f" {json.dumps(name)}: {opened}\n{body}\n {closed}")
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", "utf-8")


RECORD: dict[str, Callable[..., None]] = {
    "images": images,
    "losses": losses,
    "data": data,
    "scores": scores,
}


def record(part: str, out: Path, backend: str = "torch", **more: Any) -> Path:
    """Record one part into OUT/<part>, which is returned."""
    folder = out / part
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as work:
        RECORD[part](folder, backend, Path(work), **more)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--only", choices=PARTS)
    parser.add_argument("--backend", choices=("torch", "mindspore"), default="torch")
    asked = parser.parse_args()
    # On MindSpore the losses alone are recorded unless another part is asked for.
    every = PARTS if asked.backend == "torch" else ("losses",)
    for part in (asked.only,) if asked.only else every:
        print(record(part, asked.out.resolve(), asked.backend))


if __name__ == "__main__":
    main()
