"""The house rules that a machine can hold, each tried on a planted breach as well.

Which room may import which, that frameworks stay in `backend/`, that device words stay in
the backend's platforms, and that shared code uses nothing that only one framework has.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import moyin

PACKAGE = Path(moyin.__file__).parent
FILES = sorted(p.relative_to(PACKAGE).as_posix() for p in PACKAGE.rglob("*.py"))

# A room may import from itself and from the rows above its own.
ROWS = [
    {"backend"},
    {"models", "flow", "prompt"},
    {"clients"},
    {"ocr"},
    {"checkpoint"},
    {"inference"},
    {"dataset"},
    {"render"},
    {"data"},
    {"train"},
    {"evaluate", "serve", "edge"},
    {"nano"},
    {"recipes"},
    {"cli"},
]
ROW = {room: i for i, row in enumerate(ROWS) for room in row}

FRAMEWORKS = {"torch", "torch_npu", "torchvision", "mindspore", "hyper_parallel"}
REFERENCES = {"transformers", "diffusers", "accelerate", "peft"}
DEVICE_WORDS = re.compile(r"(?<![a-z])(cuda|npu|nccl|hccl|gloo)(?![a-z])", re.IGNORECASE)

# What PyTorch's tensors have and MindSpore's have not, or have otherwise. What NumPy's arrays have
# too (reshape, astype, size, copy) is left out, for shared code handles arrays as well.
FOREIGN = {
    *("backward", "detach", "requires_grad", "grad", "einsum", "cuda", "npu", "to", "cpu"),
    *("view", "expand", "permute", "contiguous", "unsqueeze", "masked_fill", "chunk", "float"),
    *("half", "double", "long", "bfloat16", "matmul", "view_as_complex", "complex64"),
    *("type_as", "new_zeros", "new_ones", "softmax", "sigmoid", "index_select"),
}
FACADE = {"ops", "nn", "autograd", "optim", "random", "device", "distributed", "io"}

Breaches = Iterator[str]


def room_of(file: str) -> str:
    """`models/glyph_encoder.py` → model, `cli.py` → cli."""
    return file.split("/")[0].removesuffix(".py")


def imported(file: str, tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and full dotted name of whatever is imported, anywhere in the file."""
    here = ["moyin", *file.split("/")[:-1]]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = here[: len(here) - node.level + 1] if node.level else []
            base = ".".join([*start, *([node.module] if node.module else [])])
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)


def in_backend(file: str) -> bool:
    return file.startswith("backend/")


def frameworks(file: str, tree: ast.AST) -> Breaches:
    """Frameworks stay in their own room of the backend, the reference libraries in the tests."""
    for line, name in imported(file, tree):
        top = name.split(".")[0]
        if top in REFERENCES:
            yield f"{file}:{line} imports {top}, which only tests may"
        if top in FRAMEWORKS and not file.startswith(f"backend/{top.split('_')[0]}/"):
            yield f"{file}:{line} imports {top}: say it through moyin.backend"
        if re.match(r"moyin\.backend\.(torch|mindspore)\b", name) and not in_backend(file):
            yield f"{file}:{line} imports {name}: shared code does not choose the backend"


def order(file: str, tree: ast.AST) -> Breaches:
    """Imports go one way through the rooms."""
    room = room_of(file)
    if room in ("__init__", "__main__"):
        return
    if room not in ROW:
        yield f"{file}: {room} is no room of the house"
        return
    for line, name in imported(file, tree):
        parts = name.split(".")
        other = parts[1] if parts[0] == "moyin" and len(parts) > 1 else room
        if other == "__version__":
            continue
        if other not in ROW:
            yield f"{file}:{line} imports {other}, which is no room of the house"
        elif other != room and ROW[other] >= ROW[room]:
            yield f"{file}:{line}: {room} imports {other}, which stands after it"


def docstrings(tree: ast.AST) -> set[int]:
    """The ids of the nodes that are docstrings or other bare strings."""
    return {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}


def device_words(file: str, tree: ast.AST) -> Breaches:
    """Only `backend/torch/platforms/` and `backend/mindspore/device.py` name a device or its
    communication library."""
    if re.fullmatch(r"backend/torch/platforms/\w+\.py|backend/mindspore/device\.py", file):
        return
    prose = docstrings(tree)
    for node in ast.walk(tree):
        said = ""
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            said = node.value if id(node) not in prose else ""
        elif isinstance(node, ast.Attribute):
            said = node.attr
        elif isinstance(node, ast.Name):
            said = node.id
        if found := DEVICE_WORDS.search(said):
            yield f"{file}:{getattr(node, 'lineno', 0)} says {found.group()}"
    for line, name in imported(file, tree):
        if found := DEVICE_WORDS.search(name):
            yield f"{file}:{line} imports {name}"


def uses_tensors(file: str, tree: ast.AST) -> bool:
    return not in_backend(file) and any(
        name.startswith("moyin.backend") for _, name in imported(file, tree)
    )


def written_through(node: ast.AST) -> list[ast.Subscript]:
    """x[1:] = …, x[:, 0] = … and x[…] += …, but not entry = d[key]."""
    targets = node.targets if isinstance(node, ast.Assign) else []
    targets = [node.target] if isinstance(node, ast.AugAssign) else targets
    found = [t for t in targets if isinstance(t, ast.Subscript)]
    return [t for t in found if isinstance(t.slice, ast.Slice | ast.Tuple)]


def shared(file: str, tree: ast.AST) -> Breaches:
    """Code that knows tensors only through the facade asks of them only what both have."""
    if not uses_tensors(file, tree):
        return
    pure = room_of(file) in ("models", "flow")
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 0)
        if isinstance(node, ast.Attribute):
            owner = node.value.id if isinstance(node.value, ast.Name) else ""
            in_place = re.fullmatch(r"[a-z]\w*[a-z]_", node.attr) and node.attr != "bool_"
            # NumPy has an einsum too; where no network is, arrays may use it.
            foreign = node.attr in FOREIGN and not (owner == "np" and not pure)
            if owner not in FACADE and (in_place or foreign):
                yield f"{file}:{line} uses .{node.attr}"
        if isinstance(node, ast.Constant) and isinstance(node.value, complex):
            yield f"{file}:{line} uses complex numbers"
        if pure and written_through(node):
            yield f"{file}:{line} writes into a tensor"


LINTS: list[Callable[[str, ast.AST], Breaches]] = [frameworks, order, device_words, shared]


@pytest.mark.parametrize("lint", LINTS, ids=lambda lint: lint.__name__)
def test_the_house_keeps(lint: Callable[[str, ast.AST], Breaches]) -> None:
    breaches = [b for f in FILES for b in lint(f, ast.parse((PACKAGE / f).read_text("utf-8")))]
    assert not breaches, "\n".join(breaches)


def test_every_file_is_looked_at() -> None:
    assert {"backend/protocol.py", "backend/torch/ops.py", "backend/mindspore/ops.py"} < set(FILES)
    assert {room_of(f) for f in FILES} - {"__init__", "__main__"} <= ROW.keys()


TENSORS = "from moyin.backend import ops\n"

PLANTED = [
    (frameworks, "models/x.py", "import torch"),
    (frameworks, "train/x.py", "def f():\n    from torch.nn import functional"),
    (frameworks, "flow/x.py", "import mindspore.nn as nn"),
    (frameworks, "backend/torch/x.py", "import mindspore"),
    (frameworks, "backend/mindspore/x.py", "from torch import Tensor"),
    (frameworks, "backend/x.py", "import torch"),
    (frameworks, "inference/x.py", "from moyin.backend.torch import ops"),
    (frameworks, "inference/x.py", "from moyin.backend import mindspore"),
    (frameworks, "serve/x.py", "import diffusers"),
    (order, "backend/x.py", "from moyin.models import glyph_encoder"),
    (order, "models/x.py", "from moyin.flow import path"),
    (order, "models/x.py", "import moyin.checkpoint.folder"),
    (order, "prompt/x.py", "from ..render import renderer"),
    (order, "data/x.py", "def f():\n    from moyin.train.trainer import Trainer"),
    (order, "evaluate/x.py", "from moyin import cli"),
    (order, "train/x.py", "from moyin.attic import old"),
    (order, "attic/x.py", ""),
    (device_words, "models/x.py", "x = 'cuda:0'"),
    (device_words, "backend/torch/x.py", "init('nccl')"),
    (device_words, "backend/torch/ops.py", "torch.cuda.synchronize()"),
    (device_words, "backend/torch/device.py", "kind = 'npu'"),
    (device_words, "serve/x.py", "os.environ['CUDA_VISIBLE_DEVICES']"),
    (device_words, "backend/mindspore/x.py", "init(f'{a} hccl')"),
    (device_words, "backend/torch/x.py", "import torch_npu"),
    (shared, "train/x.py", TENSORS + "loss.backward()"),
    (shared, "models/x.py", TENSORS + "y = x.detach()"),
    (shared, "models/x.py", TENSORS + "y = x.to(ops.float32)"),
    (shared, "models/x.py", TENSORS + "y = x.view(2, 3)"),
    (shared, "models/x.py", TENSORS + "y = f(x).unsqueeze(0)"),
    (shared, "flow/x.py", TENSORS + "y = x.add_(1)"),
    (shared, "flow/x.py", TENSORS + "y = numpy.einsum('ij->ji', x)"),
    (shared, "flow/x.py", TENSORS + "y = x * 1j"),
    (shared, "flow/x.py", TENSORS + "x[:, 1] = 0"),
    (shared, "models/x.py", TENSORS + "x[1:] += 2"),
]


@pytest.mark.parametrize(("lint", "file", "source"), PLANTED)
def test_a_breach_is_found(
    lint: Callable[[str, ast.AST], Breaches], file: str, source: str
) -> None:
    assert list(lint(file, ast.parse(source)))


ALLOWED = [
    (frameworks, "backend/torch/x.py", "import torch\nfrom torch import nn"),
    (frameworks, "backend/torch/x.py", "import torch_npu"),
    (frameworks, "models/x.py", "from moyin.backend import nn, ops"),
    (frameworks, "backend/protocol.py", "from moyin.backend.torch import ops"),
    (order, "cli/app.py", "from moyin.recipes import smoke\nfrom moyin.backend import ops"),
    (order, "models/x.py", "from moyin.models import rope\nfrom . import autoencoder"),
    (order, "checkpoint/x.py", "from moyin import __version__"),
    (device_words, "backend/torch/platforms/x.py", "torch.cuda.is_available() or 'nccl'"),
    (device_words, "backend/mindspore/device.py", "name = 'npu'"),
    (device_words, "models/x.py", '"""Not tried on CUDA."""\n# cuda\nx = "barracuda input"'),
    (shared, "models/x.py", TENSORS + "d[key] = ops.permute(x[:, None, 1:], (0, 1))"),
    (shared, "inference/x.py", TENSORS + "array[:, 1] = ops.bool_"),
    (shared, "data/x.py", "array.view('u2')"),
    (shared, "data/x.py", TENSORS + "array.astype(int).reshape(3, array.size)"),
    (shared, "backend/torch/x.py", TENSORS + "x.detach()"),
]


@pytest.mark.parametrize(("lint", "file", "source"), ALLOWED)
def test_what_is_allowed_passes(
    lint: Callable[[str, ast.AST], Breaches], file: str, source: str
) -> None:
    assert not list(lint(file, ast.parse(source)))


def test_no_two_test_files_have_one_name() -> None:
    """pytest imports them by their names alone."""
    names = [path.name for path in Path(__file__).parent.rglob("test_*.py")]
    assert len(names) == len(set(names))
