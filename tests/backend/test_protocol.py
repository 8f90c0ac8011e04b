"""Both backends offer what the protocol lists, no more and no less, under the same signatures.

mypy checks the types; that the names of parameters and their defaults agree is checked here, on
the sources, so that neither framework need be installed.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import moyin
from moyin.backend import protocol

ROOM = Path(moyin.__file__).parent / "backend"
PARTS = {
    "Ops": "ops",
    "Nn": "nn",
    "Autograd": "autograd",
    "Optim": "optim",
    "Random": "random",
    "Device": "device",
    "Distributed": "distributed",
    "Io": "io",
}

Signature = list[tuple[str, str | None]]


def signature(function: ast.FunctionDef) -> Signature:
    """Parameter names, self left out, each with the source of its default."""
    names = [a.arg for a in function.args.args if a.arg != "self"]
    defaults = [ast.unparse(d) for d in function.args.defaults]
    return list(zip(names, [None] * (len(names) - len(defaults)) + defaults, strict=True))


def offered(source: str) -> dict[str, Signature | None]:
    """Public functions and classes of a module or a protocol; None where there is no def."""
    out: dict[str, Signature | None] = {}
    body = ast.parse(source).body
    for node in body:
        if isinstance(node, ast.FunctionDef):
            out[node.name] = signature(node)
        elif isinstance(node, ast.ClassDef):
            made = [f for f in node.body if isinstance(f, ast.FunctionDef) and f.name == "__init__"]
            out[node.name] = signature(made[0]) if made else None
    listed = [
        n for n in body if isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == "__all__"
    ]
    for node in listed:
        out |= dict.fromkeys(set(ast.literal_eval(node.value)) - out.keys())
    return {n: s for n, s in out.items() if not n.startswith("_")}


def promised(name: str) -> dict[str, Signature | None]:
    tree = ast.parse((ROOM / "protocol.py").read_text())
    (room,) = [n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == name]
    out: dict[str, Signature | None] = {}
    for node in room.body:
        if isinstance(node, ast.FunctionDef):
            out[node.name] = signature(node)
    return out


@pytest.mark.parametrize("backend", ["torch", "mindspore"])
@pytest.mark.parametrize("name", PARTS)
def test_a_backend_offers_what_is_promised(name: str, backend: str) -> None:
    given = offered((ROOM / backend / f"{PARTS[name]}.py").read_text())
    wanted = promised(name)
    types = {"Module", "ModuleList", "Parameter"} if name == "Nn" else set()
    extra = {"no_grad"} if name == "Autograd" else set()
    assert given.keys() - types - extra == wanted.keys() - extra
    for function, expected in wanted.items():
        found = given.get(function)
        if found is None or expected is None:
            continue
        assert [n for n, _ in found] == [n for n, _ in expected], function
        for (parameter, f), (_, e) in zip(found, expected, strict=True):
            assert (f is None) == (e is None), f"{function}: {parameter}"
            assert e in (None, "...", f), f"{function}: the default of {parameter}"


def test_the_protocol_explains_everything() -> None:
    for name in PARTS:
        for method, function in vars(getattr(protocol, name)).items():
            if callable(function) and not method.startswith("_"):
                assert function.__doc__, f"{name}.{method} has no docstring"


def test_a_missing_function_is_noticed() -> None:
    assert offered("def a(x, y=1): pass\nclass B:\n    def __init__(self, z): pass") == {
        "a": [("x", None), ("y", "1")],
        "B": [("z", None)],
    }
