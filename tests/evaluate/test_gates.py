from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from moyin.evaluate import diagnostics
from moyin.evaluate import pipeline_probe as chaining
from moyin.evaluate.options import Options
from moyin.evaluate.pipeline_probe import Chain, encoder_states, glyph_retrieval
from moyin.evaluate.runner import EvaluationConfig, run
from moyin.evaluate.task import Item
from moyin.inference.pipeline import GlmImagePipeline
from moyin.nano.codebook_layout import CodebookLayout
from moyin.ocr import engine
from moyin.ocr.result import OCRResult, Pixels
from moyin.train.objectives.glyph_encoder import bitmap

OPTIONS = Options(resamples=20, steps=1, preview=False)


class Parrot:
    """Says the same of every crop."""

    name = "a parrot"

    def __init__(self, word: str = "") -> None:
        self.word, self.count = word, 0

    def read(self, image_hwc: Pixels) -> list[OCRResult]:
        raise AssertionError

    def recognise(self, crop_hwc: Pixels) -> OCRResult:
        self.count += 1
        return OCRResult(self.word, 1.0)


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer glyphs, for speed."""
    monkeypatch.setattr(chaining, "CHARACTERS", 60)


def test_glyphs_are_found_by_states_that_hold_them(few: None) -> None:
    """States that are a rotation of the bitmap find it; those that know nothing do not."""
    random = np.random.default_rng(0)
    turn = np.linalg.qr(random.standard_normal((576, 576)))[0]
    full = glyph_retrieval(
        lambda known: [(bitmap(c, chaining.FONT, 24) / 255.0 @ turn)[None] for c in known]
    )
    assert np.mean([*full.values()]) > 0.6
    noise = glyph_retrieval(lambda known: [random.standard_normal((3, 64)) for _ in known])
    assert np.mean([*noise.values()]) < 0.1
    assert len(full) == len(noise) > 100


def test_states_are_those_of_the_bytes(small_checkpoint: Path) -> None:
    pipeline = GlmImagePipeline.from_pretrained(small_checkpoint)
    states = encoder_states(pipeline)
    assert [one.shape for one in states("春a")] == [(3, 24), (1, 24)]
    many = states("春a" * chaining.BATCH)
    assert len(many) == 2 * chaining.BATCH
    for one in many[::2]:
        assert np.allclose(one, states("春")[0], atol=1e-5)


SQUARES = {"squares": (256, 128)}


def item(count: int = 1) -> Item:
    return diagnostics.suite(512, count, SQUARES).items[count - 1]


def test_the_images_say_what_their_prompts_ask() -> None:
    suite = diagnostics.suite(512, 3, SQUARES)
    for one in suite.items:
        assert all(text in one.prompt for text in one.texts)
        assert suite.perfect(one).shape == (512, 512, 3)
    again = diagnostics.suite(512, 2, SQUARES)
    for one, same in zip(suite.items[:2], again.items, strict=True):
        assert one.prompt == same.prompt
        assert np.array_equal(suite.perfect(one), again.perfect(same))


def test_every_gate_is_judged_by_hand(small_checkpoint: Path) -> None:
    one = item()
    chain = Chain.of(
        GlmImagePipeline.from_pretrained(small_checkpoint),
        GlmImagePipeline.from_pretrained(small_checkpoint).defaults,
    )
    assert chain.layout is None
    blank = np.full((512, 512, 3), 255, np.uint8)
    shown = {"autoencoder": blank, "decoder": blank, "generator": blank}
    text = one.texts[0]
    glyphs = {text[0]: True} | dict.fromkeys(text[1:], False)
    found = diagnostics.judge(chain, Parrot(text), one, shown, glyphs)
    # Known places are read even where nothing stands; the generator's text must be seen first.
    known = [c for c in text if c in glyphs]
    right = {
        "autoencoder": 1,
        "decoder": 1,
        "generator": 0,
        "glyph": sum(glyphs[c] for c in known) / len(known),
    }
    assert dict(found.right) == pytest.approx(right)
    assert found.lines == ()
    best = diagnostics.ceiling(one, [text], glyphs, layout=True)
    assert set(best.right.values()) == {1.0}
    half = diagnostics.ceiling(one, [], glyphs, layout=False)
    assert half.right == {"autoencoder": 0, "decoder": 0, "generator": 0, "glyph": 1}


def test_the_tokenizer_is_held_to_the_layout() -> None:
    layout, sample = CodebookLayout(), item().truth
    true = layout.ids(sample)
    assert diagnostics.named(layout, sample, true) == 1
    wrong = true.copy()
    text = np.argwhere(true < layout.grounds)
    wrong[tuple(text[0])] += 1
    assert diagnostics.named(layout, sample, wrong) == pytest.approx(1 - 1 / len(text))
    assert diagnostics.named(layout, sample, np.full_like(true, layout.grounds)) == 0


@pytest.mark.usefixtures("few")
def test_a_whole_run_and_its_second_start(
    tmp_path: Path, small_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parrot = Parrot("和")
    monkeypatch.setattr(engine, "open_engine", lambda *names: parrot)

    def request(limit: int) -> EvaluationConfig:
        return EvaluationConfig(
            suite="gates",
            out=tmp_path,
            checkpoint=str(small_checkpoint),
            limit=limit,
            options=OPTIONS,
        )

    path = run(request(2))
    report = json.loads(path.read_text("utf-8"))
    assert (report["suite"], report["n"]) == ("gates", 2)
    assert {"autoencoder", "decoder", "generator"} <= report["scores"].keys()
    assert report["ceilings"]["autoencoder"] < 1  # a parrot reads nothing right
    assert all((tmp_path / row["thumbnail"]).is_file() for row in report["rows"])
    whole, read = path.read_bytes(), parrot.count
    (tmp_path / "gates.jsonl").open("a").write('{"key": "cut sh')
    run(request(2))
    assert path.read_bytes() == whole
    assert parrot.count == read
    with pytest.raises(ValueError, match="stand inside a checkpoint"):
        EvaluationConfig(suite="gates", out=tmp_path, images=tmp_path)
