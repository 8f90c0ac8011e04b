from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from command import Moyin
from PIL import Image

import moyin as moyin_package
from moyin.backend import nn
from moyin.inference.config import GenerationConfig
from moyin.inference.output import read_metadata
from moyin.inference.semantic_tokens import SemanticTokens


def test_generate(moyin: Moyin) -> None:
    code, out, _ = moyin("generate", "写着“春天”", "--out", "p.png", "--seed", "4")
    assert (code, out) == (0, "p.png\n")
    with Image.open("p.png") as image:
        assert image.size == (64, 64)
    text = read_metadata(Path("p.png"))
    assert text["prompt"] == "写着“春天”"
    assert (text["seed"], text["size"], text["steps"]) == ("4", "64x64", "3")


def test_n_images_and_their_ids(moyin: Moyin) -> None:
    options = ("--num-images", "2", "--no-preview", "--save-tokens", "i.npz", "--out", "p.png")
    code, out, _ = moyin("generate", "x", *options)
    assert (code, out) == (0, "p-1.png\np-2.png\n")
    for i in (1, 2):
        ids = ("--from-tokens", f"i-{i}.npz", "--out", f"q-{i}.png")
        assert moyin("generate", *ids)[0] == 0
        assert Path(f"q-{i}.png").read_bytes() == Path(f"p-{i}.png").read_bytes()


def test_options_reach_the_image(moyin: Moyin) -> None:
    options = ("--size", "96x32", "--steps", "2", "--guidance", "1", "--no-preview")
    assert moyin("generate", "x", *options, "--sampler", "ab2")[0] == 0
    text = read_metadata(Path("image.png"))
    assert (text["size"], text["steps"], text["guidance"]) == ("96x32", "2", "1.0")
    assert (text["sampler"], text["reuse"]) == ("ab2", "0.0")


def test_any_setting_may_be_changed(moyin: Moyin) -> None:
    """What has no option of its own; and what has one is not said twice."""
    changed = ("reuse=0.25", "draft=4", "--out", "a.png")
    assert moyin("generate", "a card", *changed)[0] == 0
    assert read_metadata(Path("a.png"))["reuse"] == "0.25"
    for arguments, told in (
        (("reus=1",), "did you mean reuse"),
        (("draft=-1",), "draft must be 0 or more"),
        (("steps=3", "--steps", "4"), "steps=3 contradicts an option"),
    ):
        code, _, error = moyin("generate", "a card", *arguments)
        assert code == 2
        assert told in error


def test_what_is_no_lora(moyin: Moyin) -> None:
    code, _, err = moyin("generate", "x", "--lora", "absent=0.5")
    assert code == 2
    assert err.startswith("moyin: no LoRA at absent")
    for weight in ("much", "nan", "inf"):
        code, _, err = moyin("generate", "x", "--lora", f"a={weight}")
        assert (code, err) == (2, f"moyin: --lora a={weight}: the weight must be a finite number\n")
    for again in ("a=0.4", "./a"):
        code, _, err = moyin("generate", "x", "--lora", "a=0.4", "--lora", again)
        assert code == 2
        assert "is given twice" in err


def test_the_decoders_blocks_are_compiled_on_request(
    moyin: Moyin, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    monkeypatch.setattr(nn, "compile_blocks", asked.extend)
    assert moyin("generate", "a card", "--out", "plain.png")[0] == 0
    assert not asked
    assert moyin("generate", "a card", "--compile", "--out", "a.png")[0] == 0
    assert len(asked) == 2
    assert Path("a.png").read_bytes() == Path("plain.png").read_bytes()


def test_the_memory_of_ids_is_that_of_their_size(
    moyin: Moyin, monkeypatch: pytest.MonkeyPatch
) -> None:
    def check(_: object, settings: GenerationConfig, *, decoding_only: bool) -> None:
        raise ValueError(f"too little for {settings.height}x{settings.width}: {decoding_only}")

    ids = SemanticTokens(grid=np.zeros((3, 5), np.uint16), codes=8)
    ids.save("i.npz")
    monkeypatch.setattr("moyin.inference.pipeline.GlmImagePipeline.check_memory", check)
    code, _, err = moyin("generate", "--from-tokens", "i.npz")
    assert (code, err) == (2, "moyin: too little for 96x160: True\n")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["generate", "x", "--out", "file/x.png"], "file/x.png cannot be written"),
        (
            ["generate", "x", "--num-images", "2", "--out", "file/x.png"],
            "file/x-1.png cannot be written",
        ),
        (["generate", "x", "--out", "folder.png"], "folder.png is a folder"),
        (["edit", "x", "--image", "a.png", "--out", "file/x.png"], "file/x.png cannot be written"),
        (["generate", "x", "--save-tokens", "file/x.npz"], "file/x.npz cannot be written"),
        (
            ["generate", "x", "--save-tokens", "folder.png"],
            "folder.png is a folder: give the name of a file",
        ),
        (["generate", "--prompts", "a.png", "--out", "file"], "manifest.jsonl cannot be written"),
        (["export", "--quantization", "int8", "--out", "file/x"], "file/x cannot be written"),
        (
            ["export", "dataset", "--format", "parquet", "--out", "file"],
            "file/part cannot be written",
        ),
    ],
)
def test_what_cannot_be_written_is_told_before_drawing(
    moyin: Moyin,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    told: str,
) -> None:
    monkeypatch.setattr(
        "moyin.inference.pipeline.GlmImagePipeline.from_pretrained",
        lambda *_: pytest.fail("opened"),
    )
    Path("file").touch()
    Path("a.png").touch()
    Path("folder.png").mkdir()
    code, _, err = moyin(*arguments)
    assert code == 2
    assert told in err
    assert err.count("\n") == 1
    assert not [
        path for path in Path().rglob("*") if path.name not in ("file", "a.png", "folder.png")
    ]


def test_truncated_checkpoint_is_one_line(
    moyin: Moyin, small_checkpoint: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(small_checkpoint, tmp_path / "broken"))
    file = folder / "transformer" / "diffusion_pytorch_model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    code, _, err = moyin("generate", "x", "--checkpoint", str(folder), "--no-preview")
    assert code == 2
    assert str(file) in err
    assert err.strip().splitlines()[-1].startswith("moyin: ")


def test_drawing_loads_what_drawing_needs(tmp_path: Path) -> None:
    """What other verbs work with costs seconds and tens of megabytes."""
    code = (
        "import sys; from moyin.cli import main; code = main(['generate', 'a card', "
        "'reuse=0.1', '--steps', '1']); print({m.partition('.')[0] for m in sys.modules}); "
        "print(sorted(m for m in sys.modules if m.startswith('moyin.'))); sys.exit(code)"
    )
    home = str(Path(moyin_package.__file__).parent.parent)
    environment = os.environ | {"PYTHONPATH": home}
    command = [sys.executable, "-c", code]
    out = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    packages, own = out.stdout.splitlines()[-2:]
    assert "'torch'" in packages or "'mindspore'" in packages
    others = "diffusers fastapi fontTools huggingface_hub jinja2 onnx onnxruntime pyarrow scipy"
    for heavy in (*others.split(), "tensorboard", "transformers"):
        assert f"'{heavy}'" not in packages
    for room in ("data", "train", "evaluate"):
        assert f"'moyin.{room}" not in own


@pytest.mark.parametrize("ending", ["jpg", "webp"])
def test_the_ending_chooses_the_format(moyin: Moyin, ending: str) -> None:
    assert moyin("generate", "x", "-o", f"p.{ending}", "--seed", "4")[0] == 0
    with Image.open(f"p.{ending}") as image:
        assert image.format == {"jpg": "JPEG", "webp": "WEBP"}[ending]
    assert read_metadata(Path(f"p.{ending}"))["seed"] == "4"


def test_nothing_is_overwritten_unless_forced(moyin: Moyin) -> None:
    assert moyin("generate", "x", "--seed", "1", "--save-tokens", "t.npz")[0] == 0
    before = Path("image.png").read_bytes()
    for arguments, name in (
        ((), "image.png"),
        (("-o", "b.png", "--save-tokens", "t.npz"), "t.npz"),
    ):
        code, _, err = moyin("generate", "x", *arguments)
        assert (code, err.count("\n")) == (2, 1)
        assert f"{name} exists" in err
        assert "--force" in err
    Path("p-2.png").touch()
    assert "p-2.png exists" in moyin("generate", "x", "-n", "2", "-o", "p.png")[2]
    assert Path("image.png").read_bytes() == before
    assert moyin("generate", "x", "--seed", "2", "--force")[0] == 0
    assert Path("image.png").read_bytes() != before


def test_key_value_arguments_stand_for_options(moyin: Moyin) -> None:
    assert moyin("generate", "x", "--steps", "2", "--top-p", "0.5", "-o", "a.png")[0] == 0
    same = ("steps=2", "top_p=0.5", "out=b.png", "size=64x64", "seed=0")
    assert moyin("generate", "x", *same)[0] == 0
    assert Path("a.png").read_bytes() == Path("b.png").read_bytes()
    assert moyin("generate", "x", "--save-tokens", "t.npz", "-o", "c.png")[0] == 0
    assert moyin("generate", "steps=2", "--from-tokens", "t.npz", "-o", "d.png")[0] == 0
    assert read_metadata(Path("d.png"))["steps"] == "2"
    assert "--seed is 1 and seed=2 differs" in moyin("generate", "x", "--seed", "1", "seed=2")[2]
