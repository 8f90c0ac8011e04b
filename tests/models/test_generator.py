import numpy as np
import pytest

from moyin import backend
from moyin.backend import autograd, nn, ops
from moyin.checkpoint.key_mapping import Names
from moyin.checkpoint.names import generator as names
from moyin.models.generator import Generator, visible

SMALL = Generator.Config(
    vocab=400,
    vision_vocab=192,
    hidden=48,
    layers=3,
    heads=6,
    kv_heads=2,
    head_dim=16,
    ffn=80,
    theta=100.0,
    rotary_sections=(1, 1, 2),
    pad_id=399,
    image_id=398,
)


def _theirs(config):
    """The reference with every weight random, and ours with the same weights."""
    transformers = pytest.importorskip("transformers")
    if backend.NAME != "torch":
        pytest.skip("the reference runs on torch")
    import torch

    torch.manual_seed(0)
    released = names.to_config(config)
    del released["model_type"]
    released["vision_config"] = {"depth": 1, "hidden_size": 16, "num_heads": 2}
    released["vq_config"] = {"embed_dim": 8, "num_embeddings": 64, "latent_channels": 16}
    reference = transformers.GlmImageForConditionalGeneration(
        transformers.GlmImageConfig(**released)
    ).eval()
    ours, rename = config.build(), Names(names.RULES)
    found = dict(reference.named_parameters())
    for name, parameter in nn.named_parameters(ours).items():
        target = found[rename.theirs(name)]
        with torch.no_grad():
            if target.ndim > 1:
                target.copy_(torch.randn_like(target) / target.shape[1] ** 0.5)
            else:
                target.add_(torch.randn_like(target) * 0.3)
        nn.set_parameter(parameter, target)
    return reference, ours


def _batch(batch=2, length=20, seed=0):
    rng = np.random.default_rng(seed)
    ids = ops.asarray(rng.integers(0, 390, (batch, length)))
    positions = ops.asarray(rng.integers(0, 60, (3, batch, length)))
    mask = np.ones((batch, length), dtype=bool)
    mask[0, :7] = False
    return ids, positions, mask


def _numpy(x):
    return ops.numpy(x)


@pytest.mark.parametrize("padded", [False, True])
def test_logits_are_the_reference_s_at_every_position(padded):
    reference, ours = _theirs(SMALL)
    ids, positions, mask = _batch()
    mask = mask if padded else np.ones_like(mask)
    attention_mask = ops.asarray(mask.astype(np.int64))
    with autograd.no_grad():
        expected = reference(
            input_ids=ids, position_ids=positions, attention_mask=attention_mask
        ).logits
        logits = ours(ids, positions, ops.asarray(mask) if padded else None)
    assert np.abs(_numpy(logits - expected)[mask]).max() < 1e-4
    assert np.abs(_numpy(expected)).max() > 1


@pytest.mark.parametrize("padded", [False, True])
def test_steps_with_a_cache_are_the_reference_s(padded):
    reference, ours = _theirs(SMALL)
    ids, positions, mask = _batch()
    mask = mask if padded else np.ones_like(mask)
    attention_mask = ops.asarray(mask.astype(np.int64))
    real = ops.asarray(mask) if padded else None
    cache, past = ours.new_cache(2, 20), None
    stops = [9, 12, *range(13, 21)]
    with autograd.no_grad():
        for start, stop in zip([0, *stops], stops, strict=False):
            here, places = ids[:, start:stop], positions[:, :, start:stop]
            out = reference(
                input_ids=here,
                position_ids=places,
                attention_mask=attention_mask[:, :stop],
                past_key_values=past,
                use_cache=True,
            )
            past = out.past_key_values
            logits = ours.step(here, places, cache, start, real)
            assert np.abs(_numpy(logits - out.logits[:, -1:])).max() < 1e-4


def test_generation_is_the_reference_s(tmp_path):
    """Greedy ids, through the reference's own positions and loop."""
    reference, ours = _theirs(SMALL)
    ids = ops.asarray(np.array([[300, 301, 302, 64]]))
    import torch

    grids = torch.tensor([[1, 2, 3], [1, 2, 2]])
    theirs = reference.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        image_grid_thw=grids,
        images_per_sample=torch.tensor([2]),
        max_new_tokens=10,
        do_sample=False,
        suppress_tokens=list(range(64, 192)),
    )
    b = [0, 0, 1, 1], [0, 1, 0, 1]
    c = [0, 0, 0, 1, 1, 1], [0, 1, 2, 0, 1, 2]
    future = np.stack(
        [
            np.array([4] * 4 + [6] * 6),
            np.concatenate([4 + np.array(b[0]), 6 + np.array(c[0])]),
            np.concatenate([4 + np.array(b[1]), 6 + np.array(c[1])]),
        ]
    )[:, None]
    cache = ours.new_cache(1, 14)
    written = []
    with autograd.no_grad():
        prefix = ops.asarray(np.tile(np.arange(4), (3, 1, 1)))
        logits = ours.step(ids, prefix, cache, 0)
        for i in range(10):
            written.append(int(_numpy(logits)[0, 0, :64].argmax()))
            here = ops.asarray(np.array([written[-1:]]))
            logits = ours.step(here, ops.asarray(future[:, :, i : i + 1]), cache, 4 + i)
    assert theirs[0, 4:].tolist() == written
    assert len(set(written)) > 1


def test_head_from_cuts_only_the_head():
    model = SMALL.build()
    ids, positions, _ = _batch()
    with autograd.no_grad():
        whole, part = model(ids, positions), model(ids, positions, head_from=13)
    np.testing.assert_allclose(_numpy(whole)[:, 13:], _numpy(part), atol=1e-5)


def test_padding_changes_nothing():
    model = SMALL.build()
    ids, positions, mask = _batch()
    with autograd.no_grad():
        padded = model(ids, positions, ops.asarray(mask))
        alone = model(ids[:1, 7:], positions[:, :1, 7:])
    np.testing.assert_allclose(_numpy(padded)[:1, 7:], _numpy(alone), atol=1e-4)
    assert np.isfinite(_numpy(padded)).all()


def test_what_is_visible_by_hand():
    assert visible(None, 0, 5) is None
    assert visible(None, 7, 1) is None
    later = visible(None, 2, 2)
    assert _numpy(later)[0, 0].tolist() == [[1, 1, 1, 0], [1, 1, 1, 1]]
    mask = visible(ops.asarray(np.array([[False, False, True]])), 0, 3)
    assert _numpy(mask)[0, 0].tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    last = visible(ops.asarray(np.array([[False, True, True, True]])), 2, 1)
    assert _numpy(last)[0, 0].tolist() == [[0, 1, 1]]


@pytest.mark.skipif(backend.NAME != "torch", reason="bfloat16 products need more than a CPU there")
def test_it_computes_in_the_dtype_asked_for():
    model = SMALL.build()
    ids, positions, _ = _batch()
    with autograd.no_grad():
        exact = model(ids, positions)
        short = model(ids, positions, dtype=ops.bfloat16)
        cache = model.new_cache(2, 20, ops.bfloat16)
        step = model.step(ids, positions, cache, 0)
    assert short.dtype == step.dtype == ops.bfloat16
    assert 0 < np.abs(_numpy(short) - _numpy(exact)).max() < 0.5
    np.testing.assert_allclose(_numpy(step), _numpy(short)[:, -1:], atol=0.1)


def test_it_learns():
    model = SMALL.build()
    ids, positions, _ = _batch()
    targets = ops.asarray(np.arange(40) % 192)

    def loss_fn(ids, positions):
        logits = model(ids, positions)
        return ops.mean(ops.cross_entropy(ops.reshape(logits, (40, 192)), targets)), None

    loss, _, gradients = autograd.value_and_grad(loss_fn, model)(ids, positions)
    assert gradients.keys() == nn.named_parameters(model).keys()
    assert np.log(192) - 1 < float(_numpy(loss)) < np.log(192) + 2
    assert all(np.isfinite(_numpy(g)).all() and _numpy(g).any() for g in gradients.values())


def test_configuration_goes_there_and_back():
    for config in (SMALL, Generator.Config()):
        assert names.from_config(names.to_config(config)) == config


def test_names_and_shapes_are_glm_image_s():
    transformers = pytest.importorskip("transformers")
    if backend.NAME != "torch":
        pytest.skip("the reference runs on torch")
    import torch

    with torch.device("meta"):
        reference = transformers.GlmImageForConditionalGeneration(transformers.GlmImageConfig())
        ours = Generator.Config().build()
    rename = Names(names.RULES)
    found = {rename.theirs(n): p.shape for n, p in nn.named_parameters(ours).items()}
    language = {
        n: p.shape for n, p in reference.named_parameters() if "visual" not in n and "vq" not in n
    }
    assert found == language
    released = names.to_config(Generator.Config())
    for part, config in ((released, reference.config), (released["text_config"], None)):
        config = config or reference.config.text_config
        for key in part.keys() - {"architectures", "text_config", "rope_parameters", "head_dim"}:
            assert part[key] == getattr(config, key), key


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden_act": "gelu"}, "only 'silu' is known"),
        ({"attention_bias": False}, "only True is known"),
        ({"rope_parameters": {"partial_rotary_factor": 1.0, "mrope_section": [1, 1, 2]}}, "fit"),
    ],
)
def test_another_model_is_refused(change, message):
    released = names.to_config(SMALL)
    released["text_config"] |= change
    with pytest.raises(ValueError, match=message):
        names.from_config(released)


def test_an_incomplete_configuration_is_refused():
    with pytest.raises(ValueError, match=r"text_config lacks hidden_size, .*vocab_size"):
        names.from_config({})
