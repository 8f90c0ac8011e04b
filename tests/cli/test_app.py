from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from command import Moyin
from PIL import Image

import moyin as moyin_package


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["generate"], "say what to draw"),
        (["generate", "  "], "the prompt is empty"),
        (["generate", "x " * 4000], "shorten it to"),
        (["generate", "x", "--size", "512x500"], "height 500: it must be a multiple of 32"),
        (["generate", "x", "--size", "big"], "WIDTHxHEIGHT"),
        (["generate", "x", "--size", "32x32", "width=64"], "width=64 contradicts an option"),
        (["generate", "x", "--steps", "0"], "steps"),
        (["generate", "x", "--sampler", "eular"], "sampler must be euler or ab2, not eular"),
        (["generate", "x", "--top-p", "2"], "top_p"),
        (["generate", "x", "--out", "x.gif"], "x.gif: the name of an image ends in .png, .jpg"),
        (["generate", "x", "--checkpoint", "/nowhere"], "no checkpoint folder at /nowhere"),
        (["generate", "x", "--dtype", "int4"], "float32 or bfloat16"),
        (["generate", "x", "--sizes", "1"], "--sizes"),
        (["generate", "--from-tokens", "absent.npz"], "no semantic tokens at absent.npz"),
        (["generate", "--from-tokens", "x", "height=64"], "--from-tokens excludes"),
        (["generate", "x", "--rewrite", "http://127.0.0.1/v1"], "--rewrite-model NAME go together"),
        (["generate", "x", "--rewrite-model", "large"], "--rewrite-model NAME go together"),
        (["generate", "x", "--rewrite", "file:///x", "--rewrite-model", "m"], "http or https"),
        (
            ["generate", "--from-tokens", "x", "--rewrite", "http://x", "--rewrite-model", "m"],
            "--from-tokens excludes",
        ),
        (["generate", "x", "--prompts", "rows.jsonl"], "--prompts excludes a PROMPT"),
        (["generate", "x", "--batch", "3"], "--batch needs --prompts"),
        (["generate", "x", "--merge"], "--merge needs --lora"),
        (["generate", "--prompts", "rows.jsonl"], "--out FOLDER"),
        (["generate", "--prompts", "absent.jsonl", "--out", "d"], "absent.jsonl cannot be read"),
        (["train", "smoke/decodr"], "did you mean smoke/decoder"),
        (["train", "smoke/decoder", "stesp=3"], "did you mean steps"),
        (["train", "smoke/decoder", "steps=many"], "a whole number"),
        (["prepare", "smoke/image", "--out", "s"], "did you mean smoke/images"),
        (["inspect", "/nowhere"], "/nowhere does not exist"),
        (["inspect", "/"], "neither a checkpoint nor"),
        (["draw"], "draw"),
    ],
)
def test_bad_input_is_one_line(moyin: Moyin, arguments: list[str], told: str) -> None:
    code, _, err = moyin(*arguments)
    assert code == 2
    assert told in err
    assert err.startswith("moyin: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 9 bytes"),
        RuntimeError("CUDA out of memory. Tried to allocate 9 GiB"),
    ],
)
def test_memory_that_runs_out_is_one_line(
    moyin: Moyin, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("moyin.inference.pipeline.GlmImagePipeline.run", fail)
    code, _, err = moyin("generate", "x")
    assert code == 2
    assert err.splitlines()[-1].startswith("moyin: out of memory: generate with --offload")


def test_full_disk_is_one_line(moyin: Moyin, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    code, _, err = moyin("generate", "x", "--no-preview", "--steps", "1")
    assert code == 2
    assert "no space left on disk" in err
    assert list(Path().glob("*.png")) == []


def test_interrupt_is_quiet(moyin: Moyin, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("moyin.inference.pipeline.GlmImagePipeline.run", stop)
    code, _, err = moyin("generate", "x")
    assert code == 130
    assert "Traceback" not in err
    assert list(Path().glob("*.png")) == []


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


def test_version(moyin: Moyin) -> None:
    assert moyin("--version") == (0, f"moyin {moyin_package.__version__}\n", "")
    command = [sys.executable, "-m", "moyin", "--version"]
    home = Path(moyin_package.__file__).parent.parent
    printed = subprocess.run(command, capture_output=True, text=True, check=True, cwd=home).stdout
    assert printed == f"moyin {moyin_package.__version__}\n"
