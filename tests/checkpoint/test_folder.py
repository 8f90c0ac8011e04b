from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from networks import CONFIGS, all_tiny, tiny

from moyin.backend import NAME, io, nn, ops
from moyin.checkpoint.folder import Checkpoint
from moyin.checkpoint.layout import FOLDERS
from moyin.checkpoint.load import Loading
from moyin.checkpoint.save import save_checkpoint


@pytest.fixture(scope="module")
def networks() -> dict[str, Any]:
    return all_tiny()


@pytest.fixture(scope="module")
def ours(networks: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ours") / "small"
    return save_checkpoint(folder, networks, dtype="float32", notes={"size": [64, 64]})


def values(module: Any) -> dict[str, np.ndarray]:
    return {n: ops.numpy(p) for n, p in nn.named_parameters(module).items()}


def assert_same(a: Any, b: Any) -> None:
    left, right = values(a), values(b)
    assert left.keys() == right.keys()
    for name in left:
        np.testing.assert_array_equal(left[name], right[name], err_msg=name)


@pytest.mark.parametrize("network", FOLDERS)
def test_what_is_saved_is_opened(network: str, ours: Path, networks: dict[str, Any]) -> None:
    opened = Checkpoint.open(ours).network(network)
    assert opened.config == CONFIGS[network]
    assert_same(opened, networks[network])


def test_sharding_changes_files_but_no_digest(
    ours: Path, networks: dict[str, Any], tmp_path: Path
) -> None:
    many = save_checkpoint(tmp_path / "x", networks, dtype="float32", shard_bytes=100_000)
    folder = many / "vision_language_encoder"
    assert (folder / "model.safetensors.index.json").is_file()
    assert len(list(folder.glob("model-*-of-*.safetensors"))) > 2
    assert max(f.stat().st_size for f in folder.glob("*.safetensors")) < 110_000
    assert Checkpoint.open(many).digest() == Checkpoint.open(ours).digest()
    assert_same(Checkpoint.open(many).network("generator"), networks["generator"])


def test_digest_sees_weights_and_settings(ours: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(ours, tmp_path / "x"))
    before = Checkpoint.open(folder).digest()
    other = save_checkpoint(
        tmp_path / "y", {"glyph": tiny("glyph", 1)}, base=Checkpoint(ours), dtype="float32"
    )
    assert Checkpoint.open(other).digest() != before
    config = folder / "vae" / "config.json"
    config.write_text(config.read_text().replace("1.02", "1.03"))
    assert Checkpoint.open(folder).digest() != before


def test_base_gives_what_is_not_passed(ours: Path, tmp_path: Path) -> None:
    generator = tiny("generator", 1)
    folder = save_checkpoint(
        tmp_path / "x", {"generator": generator}, base=Checkpoint(ours), dtype="float32"
    )
    opened = Checkpoint.open(folder)
    assert opened.notes == {"size": [64, 64]}
    assert_same(opened.network("generator"), generator)
    assert_same(opened.network("semantic"), tiny("semantic"))


def test_one_network_alone(tmp_path: Path) -> None:
    semantic = tiny("semantic")
    opened = Checkpoint.open(save_checkpoint(tmp_path / "x", {"semantic": semantic}))
    assert [n for n in FOLDERS if opened.has(n)] == ["semantic"]
    assert opened.network("semantic").config == semantic.config
    with pytest.raises(ValueError, match="generator"):
        opened.network("generator")
    with pytest.raises(ValueError, match="holds no decoder"):
        opened.network("decoder")


def test_dtype_is_that_of_the_weights(ours: Path, networks: dict[str, Any]) -> None:
    module = Checkpoint.open(ours, Loading(dtype="bfloat16")).network("decoder")
    parameters = nn.named_parameters(module)
    assert {p.dtype for p in parameters.values()} == {ops.bfloat16}
    expected = ops.cast(networks["decoder"].out.weight, ops.bfloat16)
    np.testing.assert_array_equal(ops.numpy(parameters["out.weight"]), ops.numpy(expected))
    with pytest.raises(ValueError, match="float32 or bfloat16"):
        Loading(dtype="int3")


def test_saving_in_bfloat16_halves_the_bytes(networks: dict[str, Any], tmp_path: Path) -> None:
    opened = Checkpoint.open(save_checkpoint(tmp_path / "x", networks))
    assert {e.dtype for e in opened.entries.values()} == {"BF16"}
    found = values(opened.network("glyph"))
    for name, parameter in nn.named_parameters(networks["glyph"]).items():
        rounded = ops.numpy(ops.cast(parameter, ops.bfloat16))
        np.testing.assert_array_equal(found[name], rounded, err_msg=name)


def rewrite(folder: Path, change: Any) -> None:
    """Let `change` edit the tensors of the decoder's only file."""
    from safetensors.numpy import load_file, save_file

    file = next((folder / "transformer").glob("*.safetensors"))
    tensors = dict(load_file(file))
    change(tensors)
    save_file(tensors, file)


def test_every_fault_is_named_at_once(ours: Path, tmp_path: Path) -> None:
    def change(tensors: dict[str, np.ndarray]) -> None:
        tensors["ghost.weight"] = tensors.pop("proj_out.weight")
        tensors["proj_out.bias"] = tensors["proj_out.bias"][:-1]

    folder = Path(shutil.copytree(ours, tmp_path / "x"))
    rewrite(folder, change)
    with pytest.raises(ValueError, match=rf"^{folder}/transformer does not hold") as e:
        Checkpoint.open(folder).network("decoder")
    told = str(e.value)
    assert "missing: proj_out.weight" in told
    assert "unexpected: ghost.weight" in told
    assert "wrong shape: proj_out.bias [63] for [64]" in told
    assert told.endswith(": fetch the checkpoint again")
    assert "\n" not in told


def test_many_faults_are_counted(ours: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(ours, tmp_path / "x"))
    rewrite(folder, lambda t: [t.pop(n) for n in list(t) if n.startswith("transformer_blocks")])
    with pytest.raises(ValueError, match=r"and \d+ more\): fetch"):
        Checkpoint.open(folder).network("decoder")


def test_broken_config_is_named(ours: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(ours, tmp_path / "x"))
    (folder / "vae" / "config.json").write_text("{broken")
    with pytest.raises(ValueError, match=r"vae/config\.json"):
        Checkpoint.open(folder).network("autoencoder")
    (folder / "vae" / "config.json").write_text(json.dumps({"layers_per_block": 1}))
    with pytest.raises(ValueError, match=r"vae/config\.json"):
        Checkpoint.open(folder).network("autoencoder")


def test_missing_schedule_is_named(ours: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(ours, tmp_path / "x"))
    (folder / "scheduler" / "scheduler_config.json").unlink()
    with pytest.raises(ValueError, match=rf"^{folder}/scheduler/.* is missing: fetch it again$"):
        Checkpoint.open(folder).schedule()


def test_failed_write_leaves_the_old_folder(
    ours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(shutil.copytree(ours, tmp_path / "x"))
    before = Checkpoint.open(folder).digest()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(io, "save", full)
    with pytest.raises(OSError, match="No space"):
        save_checkpoint(folder, {"glyph": tiny("glyph", 1)})
    assert Checkpoint.open(folder).digest() == before
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


# Against the reference libraries


@pytest.mark.skipif(NAME != "torch", reason="the reference libraries run on PyTorch")
class TestReference:
    def test_they_open_ours(self, ours: Path, reference_folder: Path, tmp_path: Path) -> None:
        """from_pretrained without a missing or unexpected key, every weight bit for bit."""
        from diffusers import GlmImagePipeline

        folder = Path(shutil.copytree(ours, tmp_path / "x"))
        shutil.copytree(reference_folder / "processor", folder / "processor")
        pipeline = GlmImagePipeline.from_pretrained(folder)
        mine = Checkpoint.open(folder)
        parts = (pipeline.vae, pipeline.transformer, pipeline.text_encoder)
        theirs = {}
        for part in (*parts, pipeline.vision_language_encoder):
            theirs |= dict(part.named_parameters())
        from moyin.checkpoint.key_mapping import Names
        from moyin.checkpoint.load import names_module

        count = 0
        for network in FOLDERS:
            names = Names(names_module(network).RULES)
            for name, value in values(mine.network(network)).items():
                there = theirs[names.theirs(name)].detach().numpy()  # type: ignore[index]
                np.testing.assert_array_equal(value, there)
                count += 1
        assert count == len(theirs)

    def test_loading_reports_are_empty(self, ours: Path) -> None:
        from diffusers import AutoencoderKL, GlmImageTransformer2DModel
        from transformers import GlmImageForConditionalGeneration, T5EncoderModel

        classes = {
            "vae": AutoencoderKL,
            "transformer": GlmImageTransformer2DModel,
            "text_encoder": T5EncoderModel,
            "vision_language_encoder": GlmImageForConditionalGeneration,
        }
        for folder, kind in classes.items():
            _, report = kind.from_pretrained(ours / folder, output_loading_info=True)
            assert not any(report[k] for k in ("missing_keys", "unexpected_keys")), folder
            assert not report["mismatched_keys"], folder

    def test_sampling_settings_are_read(self, ours: Path) -> None:
        from transformers import GenerationConfig

        found = GenerationConfig.from_pretrained(ours / "vision_language_encoder")
        assert (found.temperature, found.top_p, found.do_sample) == (0.9, 0.75, True)
        assert found.suppress_tokens == list(range(40, 168))
        assert found.eos_token_id == 41

    def test_byte_tokenizer_is_theirs(self, ours: Path) -> None:
        from transformers import ByT5Tokenizer

        found = ByT5Tokenizer.from_pretrained(ours / "tokenizer")
        assert found("春 hi").input_ids == [*(b + 3 for b in "春 hi".encode()), 1]
        assert found.get_vocab() == ByT5Tokenizer().get_vocab()

    def test_scheduler_is_theirs(self, ours: Path, reference_folder: Path) -> None:
        from diffusers import FlowMatchEulerDiscreteScheduler

        mine, theirs = (
            dict(FlowMatchEulerDiscreteScheduler.from_pretrained(f / "scheduler").config)
            for f in (ours, reference_folder)
        )
        assert mine.items() >= {k: v for k, v in theirs.items() if k[0] != "_"}.items()

    def test_we_open_theirs(self, reference_folder: Path) -> None:
        """Every tensor of the four folders is read, bit for bit."""
        from safetensors.numpy import load_file

        from moyin.checkpoint.key_mapping import Names
        from moyin.checkpoint.load import names_module

        opened = Checkpoint.open(reference_folder)
        seen = 0
        for network, folder in FOLDERS.items():
            names = Names(names_module(network).RULES)
            theirs = load_file(next((reference_folder / folder).glob("*.safetensors")))
            for name, value in values(opened.network(network)).items():
                np.testing.assert_array_equal(value, theirs[names.theirs(name)])
                seen += 1
        assert seen == len(opened.entries)

    def test_theirs_and_our_copy_have_one_digest(
        self, reference_folder: Path, tmp_path: Path
    ) -> None:
        theirs = Checkpoint.open(reference_folder)
        copy = save_checkpoint(tmp_path / "x", {}, base=theirs, dtype="float32")
        assert Checkpoint.open(copy).digest() == theirs.digest()
