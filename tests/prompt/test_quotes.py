import numpy as np
import pytest

from moyin.prompt.quotes import LONGEST, glyph_bytes, quoted, spans

PROMPTS = [
    "no quotes at all",
    "a sign 'Open' over a door \"Push\" and a second 'Shut'",
    "一张海报写着“你好”，旁边是「世界」和'再见'和\"谢谢\"",
    "'one' “two” \"three\" 「four」 'five'",
    "empty '' and “” and \"\" and 「」",
    "an unclosed 'quote and “another",
    "nested “outer 'inner' outer” 「“x”」",
    "over\nlines 'first\nsecond' and “一\n二”",
    "it's Don't and 'Don't walk' said the dogs' owner",
]
STRINGS = [
    [],
    [""],
    ["Hello"],
    ["Hello", "世界"],
    ["a", "二二", "three words here"],
    [" leading and trailing ", "\ttab\n", "é 🎉", "x"],
    ["长" * 700],
    ["长" * 700, "short"],
]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a sign that says 'Don't walk'", ["Don't walk"]),
        ("It's a sign, it's 'Open'", ["Open"]),
        ("the dogs' bowl says 'Rex'", ["Rex"]),
        ("a '90s poster with 'SALE'", ["SALE"]),
        ("写着'你好'的海报，还有'再见'", ["你好", "再见"]),
        ("'C'est la vie' and 'déjà l'été'", ["C'est la vie", "déjà l'été"]),
        ("“Don't” and \"It's\"", ["Don't", "It's"]),
        ("'a' “b” \"c\" 「d」 'e'", ["a", "e", "b", "c", "d"]),
        ("''", [""]),
    ],
)
def test_what_a_person_means(text, expected):
    assert quoted(text) == expected


def test_where_strings_stand():
    assert spans("写“你好”和'a'") == [(7, 8), (2, 4)]


@pytest.mark.parametrize("text", PROMPTS)
def test_exact_reading_is_the_reference_s(text):
    pipeline = pytest.importorskip("diffusers").GlmImagePipeline
    assert [quoted(text, exact=True)] == pipeline.get_glyph_texts(None, text)


@pytest.mark.parametrize("text", [p for p in PROMPTS if "it's" not in p])
def test_both_readings_agree_without_apostrophes_in_words(text):
    assert quoted(text) == quoted(text, exact=True)


def test_many_apostrophes_are_read_in_no_time():
    assert quoted("'a" * 20_000) == []


class _Seen(Exception):
    pass


class _Recorder:
    """Stands where the pipeline has its text encoder, and takes what it is given."""

    def __call__(self, ids, attention_mask):
        self.ids, self.mask = ids.numpy(), attention_mask.bool().numpy()
        raise _Seen


@pytest.mark.parametrize("strings", STRINGS)
def test_glyph_bytes_are_the_pipeline_s(strings):
    transformers = pytest.importorskip("transformers")
    reference = pytest.importorskip("diffusers").GlmImagePipeline.__new__(
        pytest.importorskip("diffusers").GlmImagePipeline
    )
    recorder = _Recorder()
    reference.__dict__.update(tokenizer=transformers.ByT5Tokenizer(), text_encoder=recorder)
    prompt = " ".join(f"“{s}”" for s in strings) or "nothing"
    with pytest.raises(_Seen):
        reference._get_glyph_embeds(prompt, device="cpu", dtype="float32")
    ids, mask = glyph_bytes(strings)
    np.testing.assert_array_equal(ids, recorder.ids)
    np.testing.assert_array_equal(mask, recorder.mask)


def test_marks_in_a_string_are_text_to_be_drawn():
    ids, _ = glyph_bytes(["</s>"])
    assert ids.tolist() == [[*(b + 3 for b in b"</s>"), 1]]


def test_a_long_string_is_cut():
    ids, mask = glyph_bytes(["x" * 5000])
    assert ids.shape == (1, LONGEST)
    assert ids[0, -1] == 1
    assert mask.all()
