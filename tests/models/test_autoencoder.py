"""The autoencoder against diffusers' AutoencoderKL with the same weights."""

import numpy as np
import pytest

from moyin.backend import NAME, autograd, nn, ops
from moyin.checkpoint.key_mapping import Names
from moyin.checkpoint.names import autoencoder as names
from moyin.models.autoencoder import Autoencoder

CONFIG = Autoencoder.Config(block_channels=(8, 16, 16, 24), layers_per_block=2, norm_groups=4)


def randomised() -> Autoencoder:
    model = CONFIG.build()
    draw = np.random.default_rng(0)
    for name, p in nn.named_parameters(model).items():
        scale = 0.3 if p.ndim == 1 else 1 / np.sqrt(np.prod(p.shape[1:]))
        value = draw.normal(size=tuple(p.shape)) * scale + ("norm" in name and "weight" in name)
        nn.set_parameter(p, ops.asarray(value.astype(np.float32)))
    return model


def test_equal_to_diffusers() -> None:
    diffusers = pytest.importorskip("diffusers")
    if NAME != "torch":
        pytest.skip("diffusers is PyTorch's")
    model = randomised()
    config = {k: v for k, v in names.to_config(CONFIG).items() if not k.startswith("_")}
    reference = diffusers.AutoencoderKL(**config)
    ours = nn.named_parameters(model)
    rename = Names(names.RULES)
    reference.load_state_dict({rename.theirs(n): p for n, p in ours.items()}, strict=True)
    pixels = ops.asarray(np.random.default_rng(1).uniform(-1, 1, (2, 3, 32, 48)).astype("f4"))
    with autograd.no_grad():
        mean, logvar = model.encode(pixels)
        theirs = reference.encode(pixels).latent_dist
        np.testing.assert_allclose(ops.numpy(mean), theirs.mean.numpy(), atol=1e-5)
        np.testing.assert_allclose(ops.numpy(logvar), theirs.logvar.numpy(), atol=1e-5)
        np.testing.assert_allclose(
            ops.numpy(model.decode(mean)), reference.decode(mean).sample.numpy(), atol=1e-5
        )


def test_a_latent_is_eight_pixels() -> None:
    model = CONFIG.build()
    mean, _ = model.encode(ops.zeros((1, 3, 64, 32)))
    assert tuple(mean.shape) == (1, 16, 8, 4)
    assert tuple(model.decode(mean).shape) == (1, 3, 64, 32)


def test_normalize_and_back() -> None:
    config = Autoencoder.Config(
        block_channels=(8, 8, 8, 8),
        layers_per_block=1,
        norm_groups=4,
        latents_mean=tuple(range(16)),
        latents_std=(2.0,) * 16,
    )
    model = config.build()
    normal = model.normalize(ops.ones((1, 16, 2, 2)))
    assert float(ops.numpy(normal)[0, 5, 0, 0]) == -2.0
    assert float(ops.numpy(model.denormalize(normal))[0, 5, 1, 1]) == 1.0


def test_config_survives_the_folder() -> None:
    assert names.from_config(names.to_config(CONFIG)) == CONFIG
    with pytest.raises(ValueError, match="mid_block_add_attention"):
        names.from_config(names.to_config(CONFIG) | {"mid_block_add_attention": True})
