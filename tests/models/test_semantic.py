"""The semantic tokenizer against transformers' vision model and quantizer."""

from typing import Any

import numpy as np
import pytest

from moyin.backend import NAME, autograd, nn, ops
from moyin.checkpoint.key_mapping import Names
from moyin.checkpoint.names import semantic as names
from moyin.inference.image_processor import preprocess
from moyin.models.semantic_tokenizer import SemanticTokenizer, bilinear

CONFIG = SemanticTokenizer.Config(
    width=32, layers=2, heads=2, mlp=48, table=6, codes=64, code_width=16
)


def randomised() -> SemanticTokenizer:
    model = CONFIG.build()
    draw = np.random.default_rng(0)
    for name, p in nn.named_parameters(model).items():
        scale = 0.3 if p.ndim == 1 else 1 / np.sqrt(np.prod(p.shape[1:]))
        value = draw.normal(size=tuple(p.shape)) * scale
        value += "norm" in name and name.endswith("weight")
        nn.set_parameter(p, ops.asarray(value.astype(np.float32)))
    return model


def reference(model: SemanticTokenizer) -> Any:
    """transformers' whole model at a small size with these weights in its visual half."""
    transformers = pytest.importorskip("transformers")
    if NAME != "torch":
        pytest.skip("transformers is PyTorch's")
    text = {
        "hidden_size": 32,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 16,
        "vocab_size": 64 + 128 + 32,
        "vision_vocab_size": 64 + 128,
        "pad_token_id": 200,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 10000.0,
            "partial_rotary_factor": 0.5,
            "mrope_section": [1, 1, 2],
        },
    }
    config = transformers.GlmImageConfig(text_config=text, **names.to_config(CONFIG))
    whole = transformers.GlmImageForConditionalGeneration(config).eval()
    rename = Names(names.RULES)
    theirs = {rename.theirs(n): p for n, p in nn.named_parameters(model).items()}
    left = whole.load_state_dict(theirs, strict=False)
    assert not left.unexpected_keys
    assert not [k for k in left.missing_keys if "visual" in k or "vqmodel" in k]
    return whole


@pytest.mark.parametrize("size", [(64, 64), (96, 48), (32, 112)])
def test_ids_equal_transformers(size: tuple[int, int]) -> None:
    model = randomised()
    whole = reference(model)
    h, w = size[0] // 16, size[1] // 16
    pixels = np.random.default_rng(1).normal(size=(3, *size)).astype(np.float32)
    patches = pixels.reshape(3, h, 16, w, 16).transpose(1, 3, 0, 2, 4).reshape(h * w, -1)
    with autograd.no_grad():
        states = whole.model.visual(ops.asarray(patches), grid_thw=ops.asarray([[1, h, w]]))
        theirs = states.last_hidden_state.T.reshape(1, 32, h, w)
        ours = model.features(ops.asarray(pixels[None]))
        np.testing.assert_allclose(ops.numpy(ours), theirs.numpy(), atol=2e-5)
        ids = whole.model.vqmodel.encode(theirs).image_tokens.reshape(h, w)
        np.testing.assert_array_equal(ops.numpy(model.encode(ops.asarray(pixels[None])))[0], ids)
    assert len(np.unique(ids)) > 3


@pytest.mark.parametrize("size", [(512, 512), (600, 1000), (96, 200), (2100, 700)])
def test_pixels_equal_transformers(size: tuple[int, int]) -> None:
    module = pytest.importorskip("transformers.models.glm_image.image_processing_pil_glm_image")
    process = module.GlmImageImageProcessorPil(
        patch_size=16,
        merge_size=1,
        temporal_patch_size=1,
        size={"shortest_edge": 512 * 512, "longest_edge": 2048 * 2048},
    )
    image = np.random.default_rng(2).integers(0, 256, (*size, 3)).astype(np.uint8)
    theirs = process([image], return_tensors="np")
    ours = preprocess(image)
    _, h, w = theirs["image_grid_thw"][0]
    assert ours.shape == (3, 16 * h, 16 * w)
    patches = ours.reshape(3, h, 16, w, 16).transpose(1, 3, 0, 2, 4).reshape(h * w, -1)
    np.testing.assert_allclose(patches, theirs["pixel_values"], atol=2e-5)


def test_images_that_cannot_be_tokenized() -> None:
    with pytest.raises(ValueError, match="too small"):
        preprocess(np.zeros((8, 64, 3), np.uint8))
    with pytest.raises(ValueError, match="4 to 1"):
        preprocess(np.zeros((64, 512, 3), np.uint8))


def test_bilinear_weights_by_hand() -> None:
    np.testing.assert_array_equal(bilinear(3, 3), np.eye(3))
    # Two centres over four entries lie half-way between the first and the last pair.
    np.testing.assert_allclose(bilinear(2, 4), [[0.5, 0.5, 0, 0], [0, 0, 0.5, 0.5]])
    # Four centres over two: the outer ones fall outside and take the border.
    np.testing.assert_allclose(bilinear(4, 2), [[1, 0], [0.75, 0.25], [0.25, 0.75], [0, 1]])
