import numpy as np
import pytest

from moyin import backend
from moyin.backend import autograd, nn, ops
from moyin.checkpoint.key_mapping import Names
from moyin.checkpoint.names import glyph as names
from moyin.models.glyph_encoder import GlyphEncoder, bucket_table

SMALL = GlyphEncoder.Config(hidden=40, layers=3, heads=2, head_dim=12, ffn=50)


def _theirs(config):
    """The reference with every weight random, and ours with the same weights."""
    transformers = pytest.importorskip("transformers")
    if backend.NAME != "torch":
        pytest.skip("the reference runs on torch")
    import torch

    torch.manual_seed(0)
    released = names.to_config(config)
    del released["model_type"]
    reference = transformers.T5EncoderModel(transformers.T5Config(**released)).eval()
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


def _strings(lengths=(300, 9, 150)):
    rng = np.random.default_rng(0)
    ids = rng.integers(3, 259, (len(lengths), max(lengths)))
    return ids, np.arange(max(lengths)) < np.array(lengths)[:, None]


def test_states_are_the_reference_s():
    reference, ours = _theirs(SMALL)
    ids, mask = _strings()
    with autograd.no_grad():
        attention_mask = ops.asarray(mask.astype(np.int64))
        expected = reference(ops.asarray(ids), attention_mask).last_hidden_state
        states = ours(ops.asarray(ids), ops.asarray(mask))
    assert np.abs(ops.numpy(states - expected)[mask]).max() < 1e-5
    assert np.abs(ops.numpy(expected)).max() > 1


def test_a_string_does_not_see_its_neighbours():
    model = SMALL.build()
    ids, mask = _strings((12, 5))
    with autograd.no_grad():
        together = ops.numpy(model(ops.asarray(ids), ops.asarray(mask)))
        alone = ops.numpy(model(ops.asarray(ids[1:, :5]), ops.asarray(mask[1:, :5])))
    np.testing.assert_allclose(together[1, :5], alone[0], atol=1e-5)


def test_buckets_are_the_reference_s():
    t5 = pytest.importorskip("transformers.models.t5.modeling_t5")
    if backend.NAME != "torch":
        pytest.skip("the reference runs on torch")
    import torch

    for length, buckets, furthest in ((2048, 32, 128), (300, 8, 20)):
        signed = torch.arange(length)[None, :] - torch.arange(length)[:, None]
        expected = t5.T5Attention._relative_position_bucket(
            signed, num_buckets=buckets, max_distance=furthest
        )
        np.testing.assert_array_equal(bucket_table(length, buckets, furthest), expected)


def test_buckets_by_hand():
    # Four buckets a side: distances 0 and 1 alone, then two logarithmic ones up to 8 = 2 * 4.
    row = bucket_table(10, 8, 8)[0]
    assert row.tolist() == [0, 5, 6, 6, 7, 7, 7, 7, 7, 7]
    assert bucket_table(10, 8, 8)[:, 0].tolist() == [0, 1, 2, 2, 3, 3, 3, 3, 3, 3]


def test_it_learns_and_starts_calm():
    model = SMALL.build()
    ids, mask = _strings((12, 5))

    def loss_fn(ids, mask):
        return ops.mean(ops.square(model(ids, mask) - 1.0)), None

    loss, _, gradients = autograd.value_and_grad(loss_fn, model)(
        ops.asarray(ids), ops.asarray(mask)
    )
    assert gradients.keys() == nn.named_parameters(model).keys()
    assert float(ops.numpy(loss)) < 4
    assert all(np.isfinite(ops.numpy(g)).all() and ops.numpy(g).any() for g in gradients.values())


@pytest.mark.skipif(backend.NAME != "torch", reason="bfloat16 products need more than a CPU there")
def test_it_computes_in_the_dtype_asked_for():
    model = SMALL.build()
    ids, mask = (ops.asarray(x) for x in _strings((12, 5)))
    with autograd.no_grad():
        exact, short = model(ids, mask), model(ids, mask, dtype=ops.bfloat16)
    assert short.dtype == ops.bfloat16
    assert 0 < np.abs(ops.numpy(short) - ops.numpy(exact)).max() < 0.2


def test_configuration_goes_there_and_back():
    for config in (SMALL, GlyphEncoder.Config()):
        assert names.from_config(names.to_config(config)) == config


def test_names_and_shapes_are_glm_image_s():
    transformers = pytest.importorskip("transformers")
    if backend.NAME != "torch":
        pytest.skip("the reference runs on torch")
    import torch

    released = names.to_config(GlyphEncoder.Config())
    del released["model_type"]
    with torch.device("meta"):
        reference = transformers.T5EncoderModel(transformers.T5Config(**released))
        ours = GlyphEncoder.Config().build()
    rename = Names(names.RULES)
    found = {rename.theirs(n): p.shape for n, p in nn.named_parameters(ours).items()}
    assert found == {n: p.shape for n, p in reference.named_parameters()}


def test_another_model_is_refused():
    with pytest.raises(ValueError, match="only 'gated-gelu' is known"):
        names.from_config(names.to_config(SMALL) | {"feed_forward_proj": "relu"})
    with pytest.raises(ValueError, match="lacks d_ff, d_kv"):
        names.from_config({})
