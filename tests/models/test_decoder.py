from typing import Any

import networks
import numpy as np
import pytest

from moyin import backend
from moyin.backend import autograd, nn, ops
from moyin.checkpoint.key_mapping import Names
from moyin.checkpoint.names import decoder as names
from moyin.models import decoder
from moyin.models.decoder import Decoder

CONFIG = networks.CONFIGS["decoder"]
GRIDS = [(8, 8), (4, 24), (16, 4)]
CLOSE = 1e-5


@pytest.fixture(scope="module")
def ours() -> Decoder:
    network: Decoder = networks.tiny("decoder")
    return network


@pytest.fixture(scope="module")
def theirs(ours: Decoder) -> Any:
    diffusers = pytest.importorskip("diffusers")
    if backend.NAME != "torch":
        pytest.skip("the reference runs on torch")
    reference = diffusers.GlmImageTransformer2DModel.from_config(names.to_config(CONFIG))
    rename = Names(names.RULES)
    state = {rename.theirs(n): p for n, p in nn.named_parameters(ours).items()}
    reference.load_state_dict(state, strict=True)
    return reference.eval()


def inputs(height: int, width: int, batch: int = 2, glyphs: int = 5, seed: int = 0) -> dict:
    """Everything but the drop and the mask; height and width in latents."""
    rng = np.random.default_rng(seed)
    grid = height // 2 * (width // 2)
    return {
        "latents": ops.asarray(rng.standard_normal((batch, 16, height, width)), ops.float32),
        "glyphs": ops.asarray(rng.standard_normal((batch, glyphs, 24)), ops.float32),
        "tokens": ops.asarray(rng.integers(0, networks.CODES, (batch, grid))),
        "timestep": ops.asarray([999.0, 340.0][:batch], ops.float32),
        "target_size": ops.asarray([[8 * height, 8 * width]] * batch, ops.float32),
        "crop": ops.asarray([[0, 64]] * batch, ops.float32),
    }


def run(network: Decoder, given: dict, drop: list[bool], **extra: Any) -> np.ndarray:
    with autograd.no_grad():
        dropped = ops.asarray(drop)
        return ops.numpy(networks.velocity(network, **given, tokens_dropped=dropped, **extra))


def reference(network: Any, given: dict, drop: list[bool], caches: Any = None) -> np.ndarray:
    import torch

    with torch.no_grad():
        out = network(
            hidden_states=given["latents"],
            encoder_hidden_states=given["glyphs"],
            prior_token_id=given["tokens"],
            prior_token_drop=torch.tensor(drop)[:, None].expand(given["tokens"].shape),
            timestep=given["timestep"],
            target_size=given["target_size"],
            crop_coords=given["crop"],
            kv_caches=caches,
        )
    return np.asarray(out[0])


def far(a: np.ndarray, b: np.ndarray) -> float:
    """Largest difference against the largest value."""
    return float(np.abs(a - b).max() / np.abs(b).max())


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("drop", [[False, False], [True, True], [True, False]])
def test_equals_the_reference(ours, theirs, grid, drop) -> None:
    given = inputs(*grid)
    assert far(run(ours, given, drop), reference(theirs, given, drop)) < CLOSE


def test_references_equal_the_reference(ours, theirs) -> None:
    """Two samples, each with two reference images of its own, of different shapes."""
    from diffusers.models.transformers.transformer_glm_image import GlmImageKVCache

    images = [inputs(8, 8, seed=1), inputs(4, 12, seed=2)]
    caches = GlmImageKVCache(CONFIG.layers)
    caches.set_mode("write")
    for sample in range(2):
        for image in images:
            one = {k: v[sample : sample + 1] for k, v in image.items()}
            one |= {"glyphs": one["glyphs"][:, :0], "timestep": ops.zeros((1,))}
            reference(theirs, one, [False], caches)
        caches.next_sample()
    keys = ("latents", "tokens", "target_size", "crop")
    with autograd.no_grad():
        written = decoder.concat_references(
            [ours.encode_reference(**{k: p[k] for k in keys}) for p in images]
        )
    given = inputs(8, 4, seed=3)
    caches.set_mode("read")
    expected = reference(theirs, given, [False, False], caches)
    found = run(ours, given, [False, False], references=written)
    assert far(found, expected) < CLOSE
    assert far(run(ours, given, [False, False]), expected) > 0.01


def test_one_reference_serves_a_batch(ours) -> None:
    image, given = inputs(4, 4, batch=1, seed=1), inputs(8, 4)
    keys = ("latents", "tokens", "target_size", "crop")
    with autograd.no_grad():
        shared = ours.encode_reference(**{k: image[k] for k in keys})
        each = ours.encode_reference(**{k: ops.repeat(image[k], 2, 0) for k in keys})
    a, b = (run(ours, given, [False, False], references=r) for r in (shared, each))
    assert far(a, b) < CLOSE


@pytest.mark.parametrize("referenced", [False, True])
def test_padded_glyphs_change_nothing(ours, referenced) -> None:
    given = inputs(8, 4, batch=1)
    extra = {}
    if referenced:
        keys = ("latents", "tokens", "target_size", "crop")
        with autograd.no_grad():
            extra = {"references": ours.encode_reference(**{k: given[k] for k in keys})}
    alone = run(ours, given, [False], **extra)
    padding = ops.full((1, 3, 24), 7.0)
    padded = given | {"glyphs": ops.concat([given["glyphs"], padding], 1)}
    mask = ops.asarray([[True] * 5 + [False] * 3])
    assert far(run(ours, padded, [False], glyph_mask=mask, **extra), alone) < CLOSE
    assert far(run(ours, padded, [False], **extra), alone) > 1e-3


def test_a_mask_without_padding_changes_nothing(ours) -> None:
    given = inputs(8, 4, batch=1)
    mask = ops.ones((1, 5), ops.bool_)
    assert far(run(ours, given, [False], glyph_mask=mask), run(ours, given, [False])) < CLOSE


def test_the_order_of_glyphs_does_not_matter(ours) -> None:
    given = inputs(8, 4)
    turned = given | {"glyphs": ops.take(given["glyphs"], ops.asarray([4, 2, 0, 1, 3]), 1)}
    assert far(run(ours, turned, [False, False]), run(ours, given, [False, False])) < CLOSE


def test_patches_go_back() -> None:
    x = ops.asarray(np.arange(2 * 3 * 4 * 6), ops.float32)
    x = ops.reshape(x, (2, 3, 4, 6))
    patches = decoder.patchify(x, 2)
    assert ops.numpy(patches[0, 1]).tolist() == [2, 3, 8, 9, 26, 27, 32, 33, 50, 51, 56, 57]
    np.testing.assert_array_equal(ops.numpy(decoder.unpatchify(patches, 2, 4, 6)), ops.numpy(x))


def test_upsampled_tokens_by_hand() -> None:
    tokens = ops.asarray(np.array([[[3, 5]], [[7, 9]]]))
    expected = [[3, 3, 5, 5, 3, 3, 5, 5], [7, 7, 9, 9, 7, 7, 9, 9]]
    assert ops.numpy(decoder.upsample_tokens(tokens)).tolist() == expected


def test_a_fresh_network_is_still_but_learns() -> None:
    """AdaLN and the head start at zero: nothing comes out, and the head gets a gradient."""
    network, given = CONFIG.build(), inputs(4, 4)
    dropped = ops.asarray([False, False])

    def loss(x):
        return ops.mean(
            ops.square(networks.velocity(network, **given, tokens_dropped=dropped) - x)
        ), None

    value, _, gradients = autograd.value_and_grad(loss, network)(given["latents"])
    assert not np.any(run(network, given, [False, False]))
    assert float(ops.numpy(value)) > 0
    assert np.abs(ops.numpy(gradients["out.weight"])).max() > 0


def test_gradients_reach_every_weight(ours) -> None:
    given = inputs(4, 4)
    dropped = ops.asarray([False, False])

    def loss(x):
        return ops.mean(
            ops.square(networks.velocity(network, **given, tokens_dropped=dropped) - x)
        ), None

    network = ours
    _, _, gradients = autograd.value_and_grad(loss, network)(given["latents"])
    still = [n for n, g in gradients.items() if not np.any(ops.numpy(g))]
    assert set(gradients) == set(nn.named_parameters(network))
    assert not still


def test_configuration_there_and_back() -> None:
    assert names.from_config(names.to_config(CONFIG)) == CONFIG
    with pytest.raises(ValueError, match="out_channels"):
        names.from_config(names.to_config(CONFIG) | {"out_channels": 8})
