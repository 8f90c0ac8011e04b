import json

import pytest

from moyin.checkpoint.processor import save_processor
from moyin.prompt.tokenizer import TextTokenizer

TEXT = "A sign 'Don't walk' 写着“龘齉，2024年” 🎉\n  end"


def test_text_survives(tokenizer):
    assert tokenizer.decode(tokenizer.encode(TEXT)) == TEXT


def test_ids_spell_the_characters_they_span(tokenizer):
    spans = tokenizer.spans(TEXT)
    assert len(spans) == len(tokenizer.encode(TEXT))
    rare = TEXT.index("龘")
    assert spans.count((rare, rare + 1)) > 1  # it is spelt in bytes
    whole = [i for i, (a, b) in enumerate(spans) if TEXT[a:b].isascii()]
    for i in whole:
        assert tokenizer.decode(tokenizer.encode(TEXT)[i : i + 1]) == TEXT[slice(*spans[i])]


def test_text_lies_behind_the_vision_ids(tokenizer):
    vocabulary = tokenizer.vocabulary
    ids = tokenizer.encode(TEXT)
    assert min(ids) >= vocabulary.vision == 64 + 128
    assert max(ids) < vocabulary.pad
    assert vocabulary.image == vocabulary.size - 1 < 64 + 128 + 400


def test_no_merge_crosses_a_character(tokenizer):
    alone = [tokenizer.encode(c) for c in "一张海报"]
    assert tokenizer.encode("一张海报") == [i for ids in alone for i in ids]
    assert all(len(ids) == 1 for ids in alone)
    assert tokenizer.encode("2024") == [tokenizer.encode(d)[0] for d in "2024"]


@pytest.mark.parametrize(
    "sign",
    [
        "“open”",
        '"open"',
        "'open'",
        "「open」",
        "it's \"x\", 'open'",
        "“a”, “open”",
        "牛「牛2open」",
    ],
)
def test_quoted_letters_stand_alone(sign):
    tokenizer = TextTokenizer.train(["open the door, it's open"] * 9, size=290)
    text = f"open {sign} open"
    pieces = [text[a:b] for a, b in tokenizer.spans(text)]
    assert (pieces[0], pieces[-1]) == ("open", " open")
    at = next(i for i, p in enumerate(pieces) if p == "o")
    assert pieces[at : at + 4] == ["o", "p", "e", "n"]


def test_training_is_deterministic(folder, tmp_path):
    texts = ["one two three", "一二三四", "two three four"] * 5
    for name in ("a", "b"):
        save_processor(tmp_path / name, TextTokenizer.train(texts, size=300, codes=8))
    a, b = ((tmp_path / n / "tokenizer.json").read_bytes() for n in ("a", "b"))
    assert a == b


def test_too_small_a_vocabulary_is_refused():
    with pytest.raises(ValueError, match="one for each byte"):
        TextTokenizer.train(["x"], size=100)


def test_a_saved_folder_opens_as_it_was(tokenizer, folder, tmp_path):
    again = TextTokenizer.open(folder)
    assert again.vocabulary == tokenizer.vocabulary
    assert again.special_tokens == tokenizer.special_tokens
    assert again.encode(TEXT) == tokenizer.encode(TEXT)
    save_processor(tmp_path, again)
    for file in folder.iterdir():
        assert (tmp_path / file.name).read_bytes() == file.read_bytes()


def test_marks_are_found_where_older_files_have_them(folder, tmp_path):
    config = json.loads((folder / "tokenizer_config.json").read_text())
    nested = {n: config.pop(n) for n in ("image_token", "grid_bos_token", "grid_eos_token")}
    config["pad_token"] = {"content": config["pad_token"], "special": True}
    config["extra_special_tokens"] = nested
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    (tmp_path / "tokenizer.json").write_bytes((folder / "tokenizer.json").read_bytes())
    assert TextTokenizer.open(tmp_path).vocabulary == TextTokenizer.open(folder).vocabulary


def test_an_incomplete_folder_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"tokenizer\.json is missing"):
        TextTokenizer.open(tmp_path)


def test_transformers_reads_the_same_ids(tokenizer, folder):
    transformers = pytest.importorskip("transformers")
    reference = transformers.AutoTokenizer.from_pretrained(folder)
    assert reference(TEXT).input_ids == tokenizer.encode(TEXT)
    assert reference.bos_token_id == tokenizer.vocabulary.image_start
    assert reference.eos_token_id == tokenizer.vocabulary.image_end
    assert reference.pad_token_id == tokenizer.vocabulary.pad
    assert reference.padding_side == "left"
