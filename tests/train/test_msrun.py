"""Two processes that msrun starts train as one does, on MindSpore."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from moyin.train import training_state

HOME = Path(__file__).parents[2]
MINDSPORE = "MOYIN_MINDSPORE_PYTHON"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not os.environ.get(MINDSPORE), reason=f"{MINDSPORE} is not set"),
]

SETTINGS = (
    *("checkpoint=none", "objective.characters=10", "objective.side=8", "objective.longest=3"),
    *("objective.network.hidden=24", "objective.network.heads=3", "objective.network.head_dim=8"),
    *("objective.network.ffn=40", "batch=4", "accumulate=2", "steps=3", "threads=1"),
)


def test_two_are_as_one(tmp_path: Path) -> None:
    """The same weights, averages and moments, but for the order of sums."""
    python = Path(os.environ[MINDSPORE])
    environment = os.environ | {"MOYIN_BACKEND": "mindspore", "PYTHONPATH": str(HOME)}
    environment["PATH"] = os.pathsep.join([str(python.parent), environment["PATH"]])
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    train = ["python", "-m", "moyin", "train", "smoke/glyph", *SETTINGS]
    launch = ["msrun", "--worker_num=2", "--local_worker_num=2", f"--master_port={port}"]
    launch += [f"--log_dir={tmp_path / 'logs'}", "--join=True"]
    found = []
    for name, command in (("one", train), ("two", [*launch, *train])):
        done = subprocess.run(
            [*command, f"out={tmp_path / name}"],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=1800,  # a busy machine takes five minutes for one
            check=False,
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
        newest = training_state.newest(tmp_path / name)
        assert newest is not None
        found.append(load_file(newest[1]))
    one, two = found
    assert one.keys() == two.keys()
    for name, x in one.items():
        np.testing.assert_allclose(two[name], x, rtol=1e-4, atol=1e-6, err_msg=name)
