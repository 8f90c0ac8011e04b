"""Stages one by one, on images whose right answer is known."""

from __future__ import annotations

import io
import json

import corpus
import numpy as np
import pytest
from chat import Chat
from PIL import Image

from moyin.data.filters import run
from moyin.data.filters.blur import BlurFilter, grey_levels, sharpness
from moyin.data.filters.caption import Caption, main_colour, subject
from moyin.data.filters.caption_filter import CaptionFilter, language, level
from moyin.data.filters.decode import Decode
from moyin.data.filters.duplicates import Duplicates
from moyin.data.filters.image_hash import ImageHash, distance, phash
from moyin.data.filters.ocr_filter import OcrFilter, agreement
from moyin.data.filters.resize import ResizeFilter, buckets, center_crop
from moyin.data.filters.score import Score, quality
from moyin.data.item import Item, source_item


def item(image: np.ndarray, *captions: str, key: str = "a.png") -> Item:
    return source_item("s", key, captions=captions).with_sample(image=image)


def test_colours_survive_decoding() -> None:
    blue = Image.new("RGBA", (4, 4), (0, 0, 255, 128))
    files = {"blue.png": corpus.encoded(blue, "PNG")}
    files["grey.png"] = corpus.encoded(Image.fromarray(np.full((4, 4), 32896, np.uint16)), "PNG")
    files["turned.jpg"] = corpus.with_exif(1, orientation=6)
    decoded = Decode.Config().build()(
        [source_item("s", name, data) for name, data in files.items()]
    )
    # Half blue on white: 255 * 127 / 255 of the other channels are left.
    assert decoded[0].sample.image[0, 0].tolist() == pytest.approx([127, 127, 255], abs=1)
    assert decoded[1].sample.image[0, 0].tolist() == [128, 128, 128]
    assert decoded[2].sample.image.shape == (128, 80, 3)
    assert decoded[2].values == {"source_height": 80, "source_width": 128}


def test_buckets_have_the_area_and_the_shapes_asked_for() -> None:
    found = buckets(512, 2.0)
    assert (512, 512) in found
    assert len(found) == len(set(found))
    assert {(w, h) for h, w in found} == set(found)
    for height, width in found:
        assert height % 32 == width % 32 == 0
        assert height * width == pytest.approx(512 * 512, rel=0.05)
        assert max(height / width, width / height) <= 2
    assert buckets(96, 1.0) == [(96, 96)]


def test_an_image_comes_to_its_bucket_by_its_middle() -> None:
    image = np.zeros((600, 1300, 3), np.uint8)
    image[:, 200:1100] = 255
    (fitted,) = ResizeFilter.Config().build()([item(image)])
    assert fitted.values["bucket"] == "672x384"
    assert fitted.sample.image.shape == (384, 672, 3)
    # Scaled by 384 / 600, of which 672 show 1050 pixels: 75 of the 200 black ones on each side.
    dark = (fitted.sample.image[192, :, 0] < 128).sum()
    assert dark == pytest.approx(2 * 75 * 384 / 600, abs=2)


@pytest.mark.parametrize("shape", [(116, 233), (116, 640), (123, 301)])
def test_rounding_does_not_lead_out_of_the_image(shape: tuple[int, int]) -> None:
    # 116 / 224 * 224 is more than 116.
    image = np.zeros((*shape, 3), np.uint8)
    assert center_crop(image, (224, 288)).shape == (224, 288, 3)


@pytest.mark.parametrize(
    ("shape", "reason"),
    [((100, 100), "too small"), ((2000, 500), "too long and narrow"), ((512, 512), "")],
)
def test_what_does_not_fit_is_dropped(shape: tuple[int, int], reason: str) -> None:
    (fitted,) = ResizeFilter.Config().build()([item(np.zeros((*shape, 3), np.uint8))])
    assert fitted.reason == reason


def test_the_laplacian_of_a_chessboard() -> None:
    board = (np.indices((50, 50)).sum(0) % 2 * 255).astype(np.float32)
    # Every inner pixel differs by 255 from its four neighbours: plus or minus 1020.
    assert sharpness(board) == pytest.approx(1020, rel=0.01)
    assert sharpness(np.full((9, 9), 7, np.float32)) == 0
    grey = np.repeat(np.array([[0, 200]], np.uint8), 50, 1)[None].repeat(9, 1)[0]
    image = np.repeat(grey[:, :, None], 3, 2)
    (measured,) = BlurFilter.Config().build()([item(image)])
    assert measured.values["contrast"] == 100
    assert grey_levels(image).std() == 100


def test_a_look_is_of_the_frequencies() -> None:
    across = np.cos(np.pi * (np.arange(64) + 0.5) * 3 / 64)
    wave = np.repeat((127.5 + 100 * across)[None], 64, 0).astype(np.uint8)
    bits = np.unpackbits(np.frombuffer(bytes.fromhex(phash(np.dstack([wave] * 3))), np.uint8))
    coarse = bits[:64].reshape(8, 8)
    # Mean and third frequency across are the only ones far above all others.
    assert (coarse[0, 0], coarse[0, 3]) == (1, 1)
    assert distance("ff00", "fe01") == 2


def test_copies_are_found_and_others_are_not() -> None:
    first = corpus.photograph(1, 512, 512)
    small = first.resize((300, 300))
    jpeg = Image.open(io.BytesIO(corpus.encoded(first, "JPEG", quality=60)))
    images = {
        "first": first,
        "same": first,
        "jpeg": jpeg,
        "small": small,
        "dim": first.point(lambda level: level * 0.8),
        "other": corpus.photograph(2, 512, 512),
        "mirrored": first.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    }
    seen = [item(np.array(image), key=name) for name, image in images.items()]
    known = Duplicates.Config().build()
    decided = [known(one) for one in ImageHash.Config().build()(seen)]
    known.close()
    reasons = {one.key: one.reason for one in decided}
    assert reasons == {
        "first": "",
        "same": "exact copy",
        "jpeg": "near copy",
        "small": "near copy",
        "dim": "near copy",
        "other": "",
        "mirrored": "",
    }
    assert decided[1].detail == "of s/first"
    assert all(one.detail.startswith("of s/first, ") for one in decided[2:5])


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("a red cat", "en"),
        ("一只红色的猫", "zh"),
        ('写着"SALE TODAY ONLY"的海报', "zh"),
        ('a poster with the words "春天的花园里"', "en"),
        ("красный кот", "other"),
        ("赤い猫がいる", "other"),
        ("123 !?", "other"),
    ],
)
def test_languages(text: str, spoken: str) -> None:
    assert language(text) == spoken


def test_captions_are_cleaned_and_judged() -> None:
    stage = CaptionFilter.Config(longest=12).build()
    black = np.zeros((4, 4, 3), np.uint8)
    clean, foreign, none = stage(
        [
            item(black, " a\x00 red\tcat ", "a red cat", "much too long a sentence"),
            item(black, "красный кот"),
            item(black, "\x1b", ""),
        ]
    )
    assert clean.sample.captions == ("a red cat", "much too")
    assert clean.values["language"] == "en"
    assert (foreign.reason, none.reason) == ("caption in another language", "no caption")


def test_levels_of_characters() -> None:
    # 一 is of the first level, 艿 of the second, 㐱 of none; checked in the published table.
    assert [level(text) for text in ("abc", "一", "一艿", "㐱")] == [0, 1, 2, 4]


def test_agreement_by_hand() -> None:
    assert agreement("SALE", "sale now") == (4 / 7, 1.0)
    assert agreement("春天", "春") == (1.0, 0.5)
    assert agreement("", "春") == (0.0, -1.0)
    assert agreement("春", "") == (-1.0, 0.0)


def test_text_is_read_and_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    from moyin.ocr import paddle
    from moyin.ocr.result import OCRLine

    lines = [OCRLine("SALE", 0.9, (0, 0, 1, 1)), OCRLine("noise", 0.2, (0, 0, 1, 1))]
    monkeypatch.setattr(paddle, "read", lambda image: lines)
    stage = OcrFilter.Config(images="quoted", recall=0.6).build()
    black = np.zeros((4, 4, 3), np.uint8)
    told = [item(black, 'a sign "SALE"'), item(black, 'a sign "OPENING"'), item(black, "a sign")]
    right, wrong, unread = stage(told)
    assert (right.values["ocr_text"], right.values["text_recall"]) == ("SALE", 1.0)
    assert wrong.reason == "text not found"
    assert unread.values == {"ocr_text": "", "text_precision": -1.0, "text_recall": -1.0}


def test_captions_without_a_captioner() -> None:
    red = np.full((64, 64, 3), (208, 32, 36), np.uint8)
    stage = Caption.Config().build()
    named, nameless = stage([item(red, key="x/red-fox_02.png"), item(red, key="IMG_0012.jpg")])
    assert all("red fox" in caption for caption in named.sample.captions)
    english, chinese = nameless.sample.captions
    assert "something mostly red" in english
    assert "红色" in chinese
    assert subject("photos/DSC-0001.jpg") == ""
    assert main_colour(red) == "red"
    has = item(red, "mine")
    assert stage([has]) == [has]


def test_a_captioner_is_shown_the_image() -> None:
    image = np.array(corpus.photograph(1))
    with Chat() as chat:
        chat.replies = ["a chart\n一张图"]
        stage = Caption.Config(url=chat.url, model="seer").build()
        (captioned,) = stage([item(image)])
    assert captioned.sample.captions == ("a chart", "一张图")
    body = json.dumps(chat.asked[0].body)
    assert "data:image/png;base64," in body
    (dropped,) = stage([item(image)])
    assert (dropped.stage, dropped.reason) == ("caption", "captioner failed")
    assert dropped.detail.startswith("the captioner at http://127.0.0.1")


def test_quality_by_hand() -> None:
    measured = item(np.zeros((4, 4, 3), np.uint8)).with_values(
        contrast=32.0, sharpness=48.0, text_precision=-1.0, text_recall=-1.0
    )
    assert quality(measured) == pytest.approx(0.5**0.5)
    read = measured.with_values(text_precision=0.5, text_recall=1.0)
    assert quality(read) == pytest.approx(0.25**0.25)
    (scored,) = Score.Config(minimum=0.8).build()([measured])
    assert (scored.reason, scored.stage) == ("low quality", "score")


def test_a_stage_sees_only_what_is_kept() -> None:
    class Count:
        name = "count"

        def __call__(self, items):
            self.seen = [one.key for one in items]
            return [one.drop(self.name, "odd") if one.key == "b" else one for one in items]

    first, second = Count(), Count()
    black = np.zeros((1, 1, 3), np.uint8)
    results = run([first, second], [item(black, key=key) for key in "abc"])
    assert (first.seen, second.seen) == (["a", "b", "c"], ["a", "c"])
    assert [one.key for one in results] == ["a", "b", "c"]
