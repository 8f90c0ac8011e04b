from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import moyin
from moyin.backend import NAME, device, ops

HOME = Path(moyin.__file__).parents[1]


def test_the_device_describes_itself() -> None:
    device.synchronize()
    assert device.name() == device.name().lower()
    assert device.is_accelerator() == (device.name() != "cpu")
    assert device.threads() >= 1
    assert device.version()[0].isdigit()


def test_peak_memory_is_in_bytes() -> None:
    held = ops.asarray(np.ones(2**24, np.float32))
    assert 2**26 <= device.peak_memory() < 2**38
    assert held.shape == (2**24,)


def test_flops_are_those_of_the_products() -> None:
    a = ops.ones((8, 16))
    found = device.count_flops(lambda: ops.matmul(a, ops.transpose(a, 0, 1)))
    assert found == 2 * 8 * 8 * 16 if NAME == "torch" else math.isnan(found)
    assert 1e6 < device.peak_flops(ops.float32, 64) < 1e18


@pytest.mark.skipif(NAME != "torch", reason="nothing counts them")
def test_flops_are_those_of_attention_too() -> None:
    """Two products forwards, and five backwards, since the scores are made again."""
    q, k, v = (ops.asarray(np.ones((1, 2, 6, 4), np.float32)) for _ in range(3))
    q.requires_grad_()

    def run() -> None:
        ops.sum(ops.attention(q, k, v, causal=True)).backward()

    assert device.count_flops(run) == (2 + 5) * 2 * (2 * 6 * 6 * 4)


def ask(script: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(HOME), **variables}
    return subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False
    )


def test_device_and_threads_can_be_chosen() -> None:
    script = "from moyin.backend import device as d; d.set_threads(1); print(d.name(), d.threads())"
    done = ask(script, MOYIN_DEVICE="cpu", OMP_NUM_THREADS="2")
    assert done.stdout.split() == ["cpu", "1"], done.stderr


def test_an_unknown_backend_is_refused() -> None:
    done = ask("import moyin.backend", MOYIN_BACKEND="abacus")
    assert "MOYIN_BACKEND=abacus: it must be torch or mindspore" in done.stderr


@pytest.mark.skipif(NAME != "mindspore", reason="PyTorch refuses by itself")
def test_an_unknown_device_is_refused() -> None:
    done = ask("from moyin.backend import ops", MOYIN_DEVICE="abacus")
    assert "MOYIN_DEVICE=abacus: on MindSpore it must be cpu or npu" in done.stderr


HELD = """
import sys
import numpy as np
import psutil
from moyin.backend import device, ops

if sys.argv[1] == "spare":
    device.spare_memory()


def block(mebibytes):
    return ops.zeros((mebibytes, 2**18)) + 1


block(24)  # once it is freed, glibc keeps smaller ones
large = block(16)
above = [ops.asarray(np.ones(2**14, np.float32)) + 1 for _ in range(64)]
before = psutil.Process().memory_info().rss
del large
print(before - psutil.Process().memory_info().rss)
"""


@pytest.mark.skipif(NAME != "torch" or sys.platform != "linux", reason="of glibc's allocator")
def test_spared_memory_is_given_back_at_once() -> None:
    given = {
        way: int(subprocess.check_output([sys.executable, "-c", HELD, way], text=True))
        for way in ("keep", "spare")
    }
    assert given["keep"] < 2**20
    assert given["spare"] > 0.9 * 2**24


def test_counting_does_not_import_the_compiler() -> None:
    script = (
        "import sys; from moyin.backend import device as d, ops; a = ops.ones((8, 16)); "
        "d.count_flops(lambda: ops.matmul(a, ops.transpose(a, 0, 1))); "
        "print('torch._dynamo' in sys.modules)"
    )
    assert ask(script).stdout.split() == ["False"]
