"""What all tests share. They run offline, and on one thread, so that they are deterministic."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

# Before NumPy or a framework is imported, which read these once.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"

import pytest

HOME = Path(__file__).parents[1]
MINDSPORE = "MOYIN_MINDSPORE_PYTHON"


@pytest.fixture(scope="session")
def reference_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small GLM-Image with random weights, built and saved by the reference libraries."""
    pytest.importorskip("diffusers")
    pytest.importorskip("transformers")
    import reference

    return reference.save(tmp_path_factory.mktemp("reference") / "small")


@pytest.fixture(scope="session")
def small_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole small checkpoint with random weights, written by us."""
    import networks

    return networks.save_all(tmp_path_factory.mktemp("checkpoint") / "small")


@pytest.fixture
def chat(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A chat endpoint on loopback (`chat.Chat`), asked without a proxy and without a key."""
    from chat import Chat

    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.delenv("MOYIN_REWRITE_KEY", raising=False)
    with Chat() as server:
        yield server


@pytest.fixture(scope="session")
def on_mindspore() -> Callable[..., str]:
    """Runs `script` with `arguments` in the environment whose Python MOYIN_MINDSPORE_PYTHON names.

    The script finds moyin and this folder's helpers, with MindSpore as the backend; what it prints
    is returned. Tests that ask for this skip where the variable is not set.
    """
    python = os.environ.get(MINDSPORE)
    if not python:
        pytest.skip(f"{MINDSPORE} is not set")
    path = os.pathsep.join([str(HOME), str(HOME / "tests")])
    environment = {**os.environ, "MOYIN_BACKEND": "mindspore", "PYTHONPATH": path}

    def run(script: str, *arguments: str | Path, timeout: float = 600) -> str:
        command = [python, "-c", script, *map(str, arguments)]
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=timeout, check=False
        )
        assert done.returncode == 0, done.stderr[-4000:]
        return done.stdout

    return run
