import numpy as np
import pytest

from moyin import backend
from moyin.prompt.generator_inputs import (
    generation_sequence,
    left_padded,
    right_padded,
    training_sequence,
)
from moyin.prompt.grid import Grid

PROMPT = "A poster with 'Hello' 写着“你好” 12"
SIZES = [(512, 512), (256, 256), (1152, 768), (64, 96), (1024, 2048), (32, 512)]


def _reference(folder):
    """transformers' processor, and a model just large enough to ask it for positions."""
    transformers = pytest.importorskip("transformers")
    if backend.NAME != "torch":
        pytest.skip("the reference runs on torch")
    from transformers.models.glm_image.image_processing_pil_glm_image import (
        GlmImageImageProcessorPil,
    )

    processor = transformers.GlmImageProcessor.from_pretrained(folder)
    assert isinstance(processor.image_processor, GlmImageImageProcessorPil)
    tokenizer = processor.tokenizer
    tiny = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 16}
    config = transformers.GlmImageConfig(
        text_config=tiny
        | {
            "vocab_size": len(tokenizer),
            "vision_vocab_size": 192,
            "num_hidden_layers": 1,
            "num_key_value_heads": 1,
            "pad_token_id": tokenizer.pad_token_id,
            "eos_token_id": tokenizer.eos_token_id,
        },
        vision_config={"depth": 1, "hidden_size": 16, "num_heads": 2, "intermediate_size": 16},
        vq_config={"embed_dim": 8, "num_embeddings": 64, "latent_channels": 16},
        image_token_id=processor.image_token_id,
        image_start_token_id=tokenizer.bos_token_id,
        image_end_token_id=tokenizer.eos_token_id,
    )
    return processor, transformers.GlmImageForConditionalGeneration(config).model


def _inputs(processor, prompts, height, width, images=()):
    images = [{"type": "image", "image": image} for image in images]
    messages = [
        [{"role": "user", "content": [*images, {"type": "text", "text": prompt}]}]
        for prompt in prompts
    ]
    return processor.apply_chat_template(
        messages,
        tokenize=True,
        padding=len(prompts) > 1,
        target_h=height,
        target_w=width,
        return_dict=True,
        return_tensors="pt",
    )


def _positions(model, inputs):
    positions, _ = model.get_rope_index(
        inputs["input_ids"],
        image_grid_thw=inputs["image_grid_thw"],
        images_per_sample=inputs["images_per_sample"],
        attention_mask=inputs["attention_mask"],
    )
    return positions.numpy(), model._cached_decode_position_ids.numpy()


def test_text_to_image_is_the_processor_s(tokenizer, folder):
    processor, model = _reference(folder)
    for height, width in SIZES:
        ours = generation_sequence(tokenizer, PROMPT, Grid.of_pixels(height, width))
        inputs = _inputs(processor, [PROMPT], height, width)
        np.testing.assert_array_equal(inputs["input_ids"][0], ours.ids)
        positions, future = _positions(model, inputs)
        np.testing.assert_array_equal(positions[:, 0], ours.positions)
        np.testing.assert_array_equal(future[0], ours.future)
        sizes = [[1, g.rows, g.columns] for g in reversed(ours.grids)]
        assert inputs["image_grid_thw"].tolist() == sizes
        assert ours.future.shape[1] == ours.count + 1


def test_a_padded_batch_is_the_processor_s(tokenizer, folder):
    processor, model = _reference(folder)
    prompts = [PROMPT, "short", "一张海报"]
    large = Grid.of_pixels(1152, 768)
    sequences = [generation_sequence(tokenizer, p, large) for p in prompts]
    ids, positions, mask = left_padded(sequences, tokenizer.vocabulary.pad)
    inputs = _inputs(processor, prompts, large.height, large.width)
    np.testing.assert_array_equal(inputs["input_ids"], ids)
    np.testing.assert_array_equal(inputs["attention_mask"].bool(), mask)
    theirs, future = _positions(model, inputs)
    np.testing.assert_array_equal(theirs, positions)
    np.testing.assert_array_equal(future, np.stack([s.future for s in sequences]))


def test_editing_is_the_processor_s(tokenizer, folder):
    processor, model = _reference(folder)
    from PIL import Image

    shapes = [(16, 24), (20, 16)]
    images = [Image.new("RGB", (columns * 32, rows * 32)) for rows, columns in shapes]
    inputs = _inputs(processor, [PROMPT], 512, 768, images)
    theirs = inputs["input_ids"][0].numpy()
    places = theirs == tokenizer.vocabulary.image
    references = [np.full(shape, i) for i, shape in enumerate(shapes)]
    ours = generation_sequence(tokenizer, PROMPT, Grid.of_pixels(512, 768), references=references)
    theirs[places] = [0] * 384 + [1] * 320
    np.testing.assert_array_equal(theirs, ours.ids)
    positions, future = _positions(model, inputs)
    np.testing.assert_array_equal(positions[:, 0], ours.positions)
    np.testing.assert_array_equal(future[0], ours.future)
    assert ours.grids == (Grid(16, 24),)


def test_without_preview_by_hand(tokenizer):
    v = tokenizer.vocabulary
    ours = generation_sequence(tokenizer, "12", Grid(2, 3), preview=False)
    size = [v.grid_start, *tokenizer.encode("2 3"), v.grid_end]
    assert ours.ids.tolist() == [*tokenizer.encode("12"), *size, v.image_start]
    b = len(ours.ids)
    assert (ours.positions == np.arange(b)).all()
    assert ours.future.tolist() == [
        [b, b, b, b, b, b, b + 3],
        [b, b, b, b + 1, b + 1, b + 1, b + 3],
        [b, b + 1, b + 2, b, b + 1, b + 2, b + 3],
    ]


def test_training_continues_what_generation_begins(tokenizer):
    large = np.arange(6 * 4).reshape(6, 4)
    preview = np.full((19, 13), 7)
    for small in (preview, None):
        e = training_sequence(tokenizer, PROMPT, large, small, preview_weight=2.0)
        prefix = generation_sequence(tokenizer, PROMPT, Grid(6, 4), small is not None)
        assert e.start == len(prefix.ids)
        assert e.ids[: e.start].tolist() == prefix.ids.tolist()
        np.testing.assert_array_equal(e.positions[:, : e.start], prefix.positions)
        np.testing.assert_array_equal(e.positions[:, e.start :], prefix.future)
        before = 0 if small is None else 19 * 13
        assert e.ids[e.start + before :].tolist() == [*range(24), tokenizer.vocabulary.image_end]
        assert e.weights.tolist() == [0.0] * e.start + [2.0] * before + [1.0] * 25


def test_editing_examples_learn_nothing_of_the_reference(tokenizer):
    reference, large = np.full((2, 2), 5), np.full((3, 2), 6)
    e = training_sequence(tokenizer, "x", large, references=[reference])
    assert e.ids[1:5].tolist() == [5] * 4
    assert (e.ids[e.weights > 0] == [6] * 6 + [tokenizer.vocabulary.image_end]).all()


def test_examples_are_padded_behind(tokenizer):
    large = np.zeros((2, 2), dtype=np.int64)
    examples = [training_sequence(tokenizer, p, large) for p in ("12", "1234")]
    ids, positions, weights = right_padded(examples, tokenizer.vocabulary.pad)
    short = len(examples[0].ids)
    assert ids.shape == weights.shape == positions.shape[1:] == (2, short + 2)
    assert (ids[0, short:] == tokenizer.vocabulary.pad).all()
    assert weights.sum() == 2 * (4 + 1)
    assert (ids[1] == examples[1].ids).all()


@pytest.mark.parametrize("prompt", ["", "  \n"])
def test_an_empty_prompt_is_refused(tokenizer, prompt):
    with pytest.raises(ValueError, match="empty"):
        generation_sequence(tokenizer, prompt, Grid(2, 2))


def test_a_long_prompt_is_refused(tokenizer):
    with pytest.raises(ValueError, match="20 tokens long: shorten it to 10"):
        generation_sequence(tokenizer, "1" * 20, Grid(2, 2), limit=10)


@pytest.mark.parametrize("token", ["<sop>", "<|image|>", "<|dit_token_65|>", "<|endoftext|>"])
def test_a_special_token_in_the_prompt_is_refused(tokenizer, token):
    with pytest.raises(ValueError, match="special token of the sequence format"):
        generation_sequence(tokenizer, f"a {token} b", Grid(2, 2))


def test_a_preview_of_another_size_is_refused(tokenizer):
    large = np.zeros((16, 16), dtype=np.int64)
    with pytest.raises(ValueError, match="must be"):
        training_sequence(tokenizer, "x", large, large[:8, :8])
