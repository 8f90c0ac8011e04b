from __future__ import annotations

from pathlib import Path

import pytest


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
