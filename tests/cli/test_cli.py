from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from chat import Chat
from PIL import Image

import moyin as moyin_package
from moyin.backend import nn
from moyin.cli.app import main
from moyin.inference.output import read_png
from moyin.inference.pipeline import GenerationConfig
from moyin.inference.semantic_tokens import SemanticTokens
from moyin.prompt.grid import Grid

Run = tuple[int, str, str]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_checkpoint: Path) -> None:
    """A folder of its own, and the small checkpoint as the default one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MOYIN_CHECKPOINT", str(small_checkpoint))


def moyin(capsys: pytest.CaptureFixture[str], *arguments: str) -> Run:
    code = main([*arguments])
    told = capsys.readouterr()
    return code, told.out, told.err


def test_generate(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = moyin(capsys, "generate", "写着“春天”", "--out", "p.png", "--seed", "4")
    assert (code, out) == (0, "p.png\n")
    with Image.open("p.png") as image:
        assert image.size == (64, 64)
    text = read_png(Path("p.png"))
    assert text["prompt"] == "写着“春天”"
    assert (text["seed"], text["size"], text["steps"]) == ("4", "64x64", "3")


def test_n_images_and_their_ids(capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--n", "2", "--no-preview", "--save-ids", "i.npz", "--out", "p.png")
    code, out, _ = moyin(capsys, "generate", "x", *options)
    assert (code, out) == (0, "p-1.png\np-2.png\n")
    for i in (1, 2):
        ids = ("--from-ids", f"i-{i}.npz", "--out", f"q-{i}.png")
        assert moyin(capsys, "generate", *ids)[0] == 0
        assert Path(f"q-{i}.png").read_bytes() == Path(f"p-{i}.png").read_bytes()


def test_options_reach_the_image(capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--size", "96x32", "--steps", "2", "--guidance", "1", "--no-preview")
    assert moyin(capsys, "generate", "x", *options, "--sampler", "ab2")[0] == 0
    text = read_png(Path("image.png"))
    assert (text["size"], text["steps"], text["guidance"]) == ("96x32", "2", "1.0")
    assert (text["sampler"], text["reuse"]) == ("ab2", "0.0")


def test_edit(capsys: pytest.CaptureFixture[str]) -> None:
    Image.new("RGB", (40, 60), (200, 30, 30)).save("a.png")
    Image.new("RGBA", (600, 520)).save("b.png")
    two = ("--image", "a.png", "--image", "b.png")
    options = ("--size", "96x64", "--sampler", "ab2", "--out", "p.png")
    assert moyin(capsys, "edit", "warmer", *two, *options)[0] == 0
    text = read_png(Path("p.png"))
    assert (text["size"], text["references"], text["sampler"]) == ("96x64", "2", "ab2")
    code, _, err = moyin(capsys, "edit", "warmer", "--image", "absent.png")
    assert (code, err) == (2, "moyin: no image at absent.png\n")
    assert moyin(capsys, "edit", "warmer")[0] == 2
    assert moyin(capsys, "edit", " ", "--image", "a.png")[2].startswith(
        "moyin: the prompt is empty"
    )


def rewrite(chat: Chat) -> tuple[str, ...]:
    return ("--rewrite", chat.url, "--rewrite-model", "large")


def test_rewritten_prompt(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, chat: Chat
) -> None:
    monkeypatch.setenv("MOYIN_REWRITE_KEY", "sk-0123456789")
    chat.replies = ["红底金花，正中写着“春天”"]
    options = ("--n", "2", "--save-ids", "i.npz", "--out", "p.png")
    code, out, err = moyin(capsys, "generate", "写着“春天”", *rewrite(chat), *options)
    assert (code, out) == (0, "p-1.png\np-2.png\n")
    assert err.startswith("红底金花，正中写着“春天”\n")
    assert len(chat.asked) == 1
    for name in ("p-1.png", "p-2.png"):
        text = read_png(Path(name))
        assert (text["prompt"], text["rewritten"]) == ("写着“春天”", "红底金花，正中写着“春天”")
        assert b"sk-0123456789" not in Path(name).read_bytes()
    moyin(capsys, "generate", "--from-ids", "i-1.npz", "--out", "decoded.png")
    moyin(capsys, "generate", "红底金花，正中写着“春天”", "--out", "plain.png")
    moyin(capsys, "generate", "写着“春天”", "--out", "short.png")
    names = ("p-1.png", "decoded.png", "plain.png", "short.png")
    pixels = [Image.open(name).tobytes() for name in names]
    assert pixels[0] == pixels[1] == pixels[2] != pixels[3]


def test_rewritten_edit(capsys: pytest.CaptureFixture[str], chat: Chat) -> None:
    Image.new("RGB", (40, 60), (200, 30, 30)).save("a.png")
    chat.replies = ["much warmer"]
    edit = ("edit", "warmer", "--image", "a.png", "--size", "64x64", "--out", "p.png")
    assert moyin(capsys, *edit, *rewrite(chat))[0] == 0
    text = read_png(Path("p.png"))
    assert (text["prompt"], text["rewritten"]) == ("warmer", "much warmer")


def test_rewritten_rows(capsys: pytest.CaptureFixture[str], chat: Chat) -> None:
    rows = [{"id": n, "prompt": n, "size": "32x32", "preview": False} for n in ("a", "b")]
    Path("rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    batch = ("generate", "--prompts", "rows.jsonl", "--out", "d", *rewrite(chat))
    chat.replies = ["a large a", "a large b"]
    for _ in range(2):
        assert moyin(capsys, *batch)[0] == 0
    assert len(chat.asked) == 2
    lines = [json.loads(line) for line in Path("d/manifest.jsonl").read_text().splitlines()]
    assert [(x["prompt"], x["rewritten"]) for x in lines] == [
        ("a", "a large a"),
        ("b", "a large b"),
    ]
    text = read_png(Path("d/b.png"))
    assert (text["prompt"], text["rewritten"]) == ("b", "a large b")


def test_rewriting_that_fails_is_one_line(capsys: pytest.CaptureFixture[str], chat: Chat) -> None:
    chat.replies = ["a “lamp”", "a “lamp”"]
    code, _, err = moyin(capsys, "generate", "a “sign”", *rewrite(chat))
    assert code == 2
    assert err.startswith('moyin: the rewriter\'s answer lost ["sign"] and added ["lamp"]')
    assert err.count("\n") == 1
    assert not list(Path().glob("*.png"))


def test_what_is_no_lora(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = moyin(capsys, "generate", "x", "--lora", "absent=0.5")
    assert code == 2
    assert err.startswith("moyin: no LoRA at absent")
    for weight in ("much", "nan", "inf"):
        code, _, err = moyin(capsys, "generate", "x", "--lora", f"a={weight}")
        assert (code, err) == (2, f"moyin: --lora a={weight}: the weight must be a finite number\n")
    for again in ("a=0.4", "./a"):
        code, _, err = moyin(capsys, "generate", "x", "--lora", "a=0.4", "--lora", again)
        assert code == 2
        assert "is given twice" in err


def test_batch_form_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"id": n, "prompt": n, "size": "32x32", "preview": False} for n in ("a", "b")]
    Path("rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert moyin(capsys, "generate", "--prompts", "rows.jsonl", "--out", "d")[0] == 0
    before = Path("d/a.png").stat().st_mtime_ns
    Path("d/b.png").unlink()
    again = ("--prompts", "rows.jsonl", "--out", "d", "--batch", "2")
    assert moyin(capsys, "generate", *again)[0] == 0
    assert Path("d/b.png").is_file()
    assert Path("d/a.png").stat().st_mtime_ns == before


def test_rows_edit_images(capsys: pytest.CaptureFixture[str]) -> None:
    Image.new("RGB", (40, 60), (200, 30, 30)).save("a.png")
    row = {"id": "a", "prompt": "warmer", "images": ["a.png"], "size": "96x64"}
    Path("rows.jsonl").write_text(json.dumps(row))
    assert moyin(capsys, "generate", "--prompts", "rows.jsonl", "--out", "d")[0] == 0
    edit = ("edit", "warmer", "--image", "a.png", "--size", "96x64", "--out", "p.png")
    assert moyin(capsys, *edit)[0] == 0
    assert Path("d/a.png").read_bytes() == Path("p.png").read_bytes()


def test_the_memory_of_rows_is_theirs(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not that of the size which no row has; and of as many as are drawn together."""
    asked: list[tuple[int, int, int]] = []

    def check(
        _: object, settings: GenerationConfig, references: Sequence[Grid], images: int
    ) -> None:
        asked.append((settings.height, len(references), images))
        if settings.height == 4096:
            raise ValueError("too large")

    monkeypatch.setattr("moyin.inference.pipeline.GlmImagePipeline.check_memory", check)
    Image.new("RGB", (40, 60)).save("a.png")
    rows = [
        {"id": "a", "prompt": "x", "size": "32x32"},
        {"id": "b", "prompt": "x", "size": "32x32"},
        {"id": "c", "prompt": "x", "size": "4096x4096", "images": ["a.png"]},
    ]
    Path("rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    code, _, err = moyin(
        capsys, "generate", "--prompts", "rows.jsonl", "--out", "d", "--batch", "9"
    )
    assert (code, err) == (2, "moyin: row c: too large\n")
    assert asked == [(32, 0, 3), (4096, 1, 3)]
    assert not list(Path().glob("d/*.png"))
    for options, images in (([], 1), (["--offload"], 2)):
        asked.clear()
        moyin(capsys, "generate", "x", "--n", "2", "--no-preview", *options)
        assert asked == [(64, 0, images)]


def test_a_prompt_that_cannot_be_read_is_told_before_any_is_drawn(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = [{"id": "a", "prompt": "x"}, {"id": "b", "prompt": "x " * 4000}]
    Path("rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    code, _, err = moyin(capsys, "generate", "--prompts", "rows.jsonl", "--out", "d")
    assert code == 2
    assert "row b: the prompt is" in err
    assert "shorten it to 2048" in err
    assert not list(Path().glob("d/*.png"))


def test_the_memory_of_ids_is_that_of_their_size(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def check(_: object, settings: GenerationConfig, *, painted_only: bool) -> None:
        raise ValueError(f"too little for {settings.height}x{settings.width}: {painted_only}")

    ids = SemanticTokens(grid=np.zeros((3, 5), np.uint16), codes=8)
    ids.save("i.npz")
    monkeypatch.setattr("moyin.inference.pipeline.GlmImagePipeline.check_memory", check)
    code, _, err = moyin(capsys, "generate", "--from-ids", "i.npz")
    assert (code, err) == (2, "moyin: too little for 96x160: True\n")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["generate", "x", "--out", "file/x.png"], "file/x.png cannot be written"),
        (["generate", "x", "--n", "2", "--out", "file/x.png"], "file/x-2.png cannot be written"),
        (["generate", "x", "--out", "folder.png"], "folder.png is a folder"),
        (["edit", "x", "--image", "a.png", "--out", "file/x.png"], "file/x.png cannot be written"),
        (["generate", "x", "--save-ids", "file/x.npz"], "choose another --save-ids"),
        (["generate", "x", "--save-ids", "folder.png"], "give --save-ids the name of a file"),
        (["generate", "--prompts", "rows", "--out", "file"], "choose another --out"),
        (["export", "--weights", "int8", "--out", "file/x"], "file/x cannot be written"),
        (["export", "dataset", "--format", "parquet", "--out", "file"], "choose another --out"),
    ],
)
def test_what_cannot_be_written_is_told_before_drawing(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    told: str,
) -> None:
    monkeypatch.setattr(
        "moyin.inference.pipeline.GlmImagePipeline.open", lambda *_: pytest.fail("opened")
    )
    Path("file").touch()
    Path("folder.png").mkdir()
    code, _, err = moyin(capsys, *arguments)
    assert code == 2
    assert told in err
    assert err.count("\n") == 1
    assert not [path for path in Path().rglob("*") if path.name not in ("file", "folder.png")]


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 9 bytes"),
        RuntimeError("CUDA out of memory. Tried to allocate 9 GiB"),
    ],
)
def test_memory_that_runs_out_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("moyin.inference.pipeline.GlmImagePipeline.draw", fail)
    code, _, err = moyin(capsys, "generate", "x")
    assert code == 2
    assert err.splitlines()[-1].startswith("moyin: memory ran out: draw with --offload")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["generate"], "say what to draw"),
        (["generate", "  "], "the prompt is empty"),
        (["generate", "x " * 4000], "shorten it to"),
        (["generate", "x", "--size", "512x500"], "height 500: it must be a multiple of 32"),
        (["generate", "x", "--size", "big"], "WIDTHxHEIGHT"),
        (["generate", "x", "--size", "32x32", "--set", "width=64"], "--size goes without"),
        (["generate", "x", "--steps", "0"], "steps"),
        (["generate", "x", "--sampler", "eular"], "sampler must be euler or ab2, not eular"),
        (["generate", "x", "--top-p", "2"], "top_p"),
        (["generate", "x", "--out", "x.gif"], "must end in .png"),
        (["generate", "x", "--checkpoint", "/nowhere"], "no checkpoint folder at /nowhere"),
        (["generate", "x", "--dtype", "int4"], "float32 or bfloat16"),
        (["generate", "x", "--sizes", "1"], "--sizes"),
        (["generate", "--from-ids", "absent.npz"], "no semantic tokens at absent.npz"),
        (["generate", "--from-ids", "x", "--set", "height=64"], "--from-ids goes without"),
        (["generate", "x", "--rewrite", "http://127.0.0.1/v1"], "--rewrite-model NAME go together"),
        (["generate", "x", "--rewrite-model", "large"], "--rewrite-model NAME go together"),
        (["generate", "x", "--rewrite", "file:///x", "--rewrite-model", "m"], "http or https"),
        (
            ["generate", "--from-ids", "x", "--rewrite", "http://x", "--rewrite-model", "m"],
            "--from-ids goes without",
        ),
        (["generate", "x", "--prompts", "rows.jsonl"], "goes without PROMPT"),
        (["generate", "x", "--batch", "3"], "--batch goes with --prompts"),
        (["generate", "x", "--merge"], "--merge goes with --lora"),
        (["generate", "--prompts", "rows.jsonl"], "--out DIR"),
        (["generate", "--prompts", "absent.jsonl", "--out", "d"], "absent.jsonl cannot be read"),
        (["train", "smoke/decodr"], "did you mean smoke/decoder"),
        (["train", "smoke/decoder", "stesp=3"], "did you mean steps"),
        (["train", "smoke/decoder", "steps=many"], "a whole number"),
        (["prepare", "smoke/image", "--out", "s"], "did you mean smoke/images"),
        (["inspect", "/nowhere"], "nothing at /nowhere"),
        (["inspect", "/"], "no checkpoint"),
        (["draw"], "draw"),
    ],
)
def test_bad_input_is_one_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str], told: str
) -> None:
    code, _, err = moyin(capsys, *arguments)
    assert code == 2
    assert told in err
    assert err.startswith("moyin: ")
    assert err.count("\n") == 1


def test_truncated_checkpoint_is_one_line(
    capsys: pytest.CaptureFixture[str], small_checkpoint: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(small_checkpoint, tmp_path / "broken"))
    file = folder / "transformer" / "diffusion_pytorch_model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    code, _, err = moyin(capsys, "generate", "x", "--checkpoint", str(folder), "--no-preview")
    assert code == 2
    assert str(file) in err
    assert err.strip().splitlines()[-1].startswith("moyin: ")


def test_full_disk_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    code, _, err = moyin(capsys, "generate", "x", "--no-preview", "--steps", "1")
    assert code == 2
    assert "no room on disk" in err
    assert list(Path().glob("*.png")) == []


def test_inspect_checkpoint(capsys: pytest.CaptureFixture[str], small_checkpoint: Path) -> None:
    from moyin.checkpoint.folder import Checkpoint

    code, out, _ = moyin(capsys, "inspect", str(small_checkpoint))
    lines = out.splitlines()
    assert code == 0
    assert lines[-1] == f"digest {Checkpoint.open(small_checkpoint).digest()}"
    assert [line.split()[0] for line in lines[1:6]] == [
        "autoencoder",
        "glyph",
        "semantic",
        "generator",
        "decoder",
    ]
    assert "settings.steps 3" in lines


def test_inspect_training_state(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    from moyin.backend import ops
    from moyin.train import training_state

    tensors = {"weights.a": ops.ones((2, 3)), "average.a": ops.ones((2, 3))}
    for out in ("one", "two"):
        training_state.save(
            tmp_path / out, 7, tensors, {"stage": "glyph", "training": {"out": out}}
        )
    reports = [moyin(capsys, "inspect", str(tmp_path / out))[1] for out in ("one", "two")]
    assert "step 7" in reports[0].splitlines()
    assert "stage glyph" in reports[0].splitlines()
    digests = {r.splitlines()[-1] for r in reports}
    assert len(digests) == 1
    assert digests.pop().startswith("digest ")


def test_inspect_dataset(capsys: pytest.CaptureFixture[str]) -> None:
    assert moyin(capsys, "prepare", "smoke/images", "count=2", "--out", "s")[0] == 0
    code, out, _ = moyin(capsys, "inspect", "s")
    lines = out.splitlines()
    assert code == 0
    assert any(line.split()[:3] == ["image", "2", "rows"] for line in lines)
    assert "seed 0" in lines
    assert re.fullmatch("digest [0-9a-f]{64}", lines[-1])


def test_interrupt_is_quiet(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("moyin.inference.pipeline.GlmImagePipeline.draw", stop)
    code, _, err = moyin(capsys, "generate", "x")
    assert code == 130
    assert "Traceback" not in err
    assert list(Path().glob("*.png")) == []


def test_doctor_tells_what_mends(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from moyin.cli import doctor

    known = doctor._version
    monkeypatch.setattr(doctor, "_version", lambda p: None if p == "torch" else known(p))
    code, out, _ = moyin(capsys, "doctor")
    assert code == 0
    assert "pip install 'moyin[torch]'" in out
    assert "default checkpoint" in out


def test_help_is_quick_and_loads_no_framework() -> None:
    code = "import sys; from moyin.cli import main; main(['--help']); print(sorted(sys.modules))"
    home = Path(moyin_package.__file__).parent.parent
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=home
    )
    loaded = out.stdout.splitlines()[-1]
    assert "generate" in out.stdout
    for heavy in ("'torch'", "'mindspore'", "'numpy'", "'huggingface_hub'"):
        assert heavy not in loaded


def test_drawing_loads_what_drawing_needs(tmp_path: Path) -> None:
    """What other verbs work with costs seconds and tens of megabytes."""
    code = (
        "import sys; from moyin.cli import main; code = main(['generate', 'a card', '--set', "
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


def test_any_setting_may_be_changed(capsys: pytest.CaptureFixture[str]) -> None:
    """What has no option of its own; and what has one is not said twice."""
    changed = ("--set", "reuse=0.25", "--set", "draft=4", "--out", "a.png")
    assert moyin(capsys, "generate", "a card", *changed)[0] == 0
    assert read_png(Path("a.png"))["reuse"] == "0.25"
    for arguments, told in (
        (("--set", "reus=1"), "did you mean reuse"),
        (("--set", "draft=-1"), "draft must be 0 or more"),
        (("--set", "steps=3", "--steps", "4"), "steps has an option of its own"),
    ):
        code, _, error = moyin(capsys, "generate", "a card", *arguments)
        assert code == 2
        assert told in error


def test_the_decoders_blocks_are_compiled_on_request(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    monkeypatch.setattr(nn, "compile_blocks", asked.extend)
    assert moyin(capsys, "generate", "a card", "--out", "plain.png")[0] == 0
    assert not asked
    assert moyin(capsys, "generate", "a card", "--compile", "--out", "a.png")[0] == 0
    assert len(asked) == 2
    assert Path("a.png").read_bytes() == Path("plain.png").read_bytes()
