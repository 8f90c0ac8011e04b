"""The recipes of checkpoints/nano: some 20 M parameters, 512x512, for two CPU cores.

The stages build on each other: each one's OUT/weights is the next one's checkpoint. The embedded
weights come from several runs of them; their moyin.json names the steps and settings of each, and
docs/nano-training-log.md what was measured on the way.
"""

from __future__ import annotations

from dataclasses import replace

from moyin.data.filters.ocr_filter import OcrFilter
from moyin.data.filters.resize import ResizeFilter
from moyin.data.preparation import Preparation
from moyin.data.prepare import Images
from moyin.models.config import (
    AutoencoderConfig,
    DecoderConfig,
    GeneratorConfig,
    GlyphEncoderConfig,
    SemanticTokenizerConfig,
)
from moyin.nano.codebook_layout import CodebookLayout
from moyin.nano.config import (
    BoundaryWeightConfig,
    DecoderCodebookConfig,
    DistanceLossConfig,
    GeneratorCodebookConfig,
    GlyphWhiteningConfig,
    InkProbeConfig,
    InkProbeObjectiveConfig,
    LayoutHeadConfig,
    LayoutHeadObjectiveConfig,
    OneWayHeadsConfig,
    RelativePositionHeadsConfig,
    TokenizerObjectiveConfig,
    TruncationConfig,
)
from moyin.render.edits import EditRenderer
from moyin.render.layouts import FREE, shipped
from moyin.render.renderer import Renderer
from moyin.train.config import Optimizer, Training
from moyin.train.objectives.config import (
    AutoencoderObjectiveConfig,
    AuxiliaryConfig,
    DecoderObjectiveConfig,
    GeneratorObjectiveConfig,
    GlyphObjectiveConfig,
)

CHARACTERS = 8105  # all Chinese characters of the national table
FONT = "NotoSansSC-Bold"
LAYOUT = CodebookLayout(sides=(128, 96), words=(1, 4), letters=(4, 8))
DECODER = DecoderConfig(layers=6, heads=4, head_dim=64, time_dim=64, size_dim=32)
GENERATOR = GeneratorConfig(
    hidden=192,
    layers=6,
    heads=6,
    kv_heads=3,
    head_dim=64,
    ffn=512,
    theta=5.0,  # at 10,000 neighbouring columns differ by 0.003 of a radian: too little to learn
    rotary_sections=(4, 6, 6),
)
# One group per norm: two of 16 channels at full size would leave only a sign of a flat colour.
AUTOENCODER = AutoencoderConfig(block_channels=(16, 32, 64, 128), layers_per_block=1, norm_groups=1)


def images() -> Images:
    """Render 12,000 images with one text each, set in squares on the token grid.

    Up to four characters of 128 pixels, or up to four words of up to eight characters of 96. Seven
    tenths are Chinese, most of them characters drawn evenly. For tokenizer and decoder.
    """
    renderer = Renderer.Config(
        characters=CHARACTERS,
        chinese=0.7,
        words=0.35,
        fonts=(FONT,),
        prominent=1.0,
        prominent_characters=24,
        squares=LAYOUT.sides,
        square_words=LAYOUT.words,
        square_letters=LAYOUT.letters,
        object_share=0.0,
        backgrounds={"flat": 1.0},
    )
    return Images(renderer=renderer, count=12_000)


def sentences() -> Images:
    """Render 14,336 images for the generator, half of them English, half of real words.

    Each text is in the middle of its place; some have colours that clash, which people ask for too.
    """
    renderer = replace(
        images().renderer, spread=0.0, middle=0.12, words=0.5, chinese=0.5, clashing=0.3
    )
    return Images(renderer=renderer, count=14_336, seed=77)


def brief() -> Images:
    """Render 4,096 images for the generator whose captions say little more than the text.

    The text is in the middle, in any colours.
    """
    renderer = replace(sentences().renderer, middle=1.0, phrasings="brief")
    return Images(renderer=renderer, count=4096, seed=78)


def edits() -> Images:
    """Render 3,072 images of `sentences`, each followed by an edit: another text or another colour.

    For `objective.edit_probability` of generator and decoder.
    """
    renderer = sentences().renderer
    return Images(renderer=EditRenderer.Config(**vars(renderer), recoloured=0.4), count=6144)


def layouts() -> Images:
    """Render 20,000 images in all layouts, with free lines and all 8105 characters.

    More than nano can learn: for larger models, and for a look at what the renderer does.
    """
    weights = {FREE: 3.0} | dict.fromkeys(shipped(), 1.0)
    renderer = Renderer.Config(characters=8105, layouts=weights)
    return Images(renderer=renderer, count=20_000)


def data() -> Preparation:
    """Filter images of `inputs=FOLDER,FOLDER`, and render 12,000 in all layouts.

    Text is looked for in images whose captions quote some. All become square, as nano needs.
    """
    return Preparation(
        count=12_000,
        renderer=layouts().renderer,
        resize=ResizeFilter.Config(longest=1.0, crop=0.45),
        ocr=OcrFilter.Config(images="quoted"),
    )


def autoencoder() -> Training:
    """Train an autoencoder of 2.6 M parameters on crops of 32x32 pixels.

    At a learning rate of 3e-3 it does not learn.
    """
    return Training(
        objective=AutoencoderObjectiveConfig(
            network=AUTOENCODER, crop=32, crops=8, text_crop_probability=0.6
        ),
        optimizer=Optimizer(lr=6e-4, decay=0.0, ema=0.998),
        steps=2800,
        batch=2,
        checkpoint="none",
    )


def autoencoder_large() -> Training:
    """Continue `autoencoder` with crops of 128x128 pixels.

    The norms see whole images in use; after small crops alone colours come out too strong.
    """
    return Training(
        objective=AutoencoderObjectiveConfig(
            network=AUTOENCODER, crop=128, crops=2, text_crop_probability=0.6
        ),
        optimizer=Optimizer(lr=4e-4, warmup=20, decay=0.4, ema=0.99),
        steps=600,
        batch=2,
        fine_tune=True,
    )


def glyph() -> Training:
    """Train a glyph encoder of 6.4 M parameters on all 8105 Chinese characters and Latin ones.

    Needs no images. After 246,000 strings a linear map from new strings' states missed 9 % of the
    bitmaps' variance, and all but two of 8175 characters were found by their bitmap.
    """
    network = GlyphEncoderConfig(
        hidden=256, layers=4, heads=6, head_dim=64, ffn=1536, buckets=128, max_distance=256
    )
    return Training(
        objective=GlyphObjectiveConfig(
            network=network,
            auxiliary=(OneWayHeadsConfig(),),
            characters=CHARACTERS,
            words=4,
            longest=8,
            latin=0.25,
            side=32,
            place_weight=0.3,
        ),
        optimizer=Optimizer(lr=1.2e-3, warmup=100, decay=0.4, ema=0.995),
        steps=16_000,
        batch=32,
    )


def semantic() -> Training:
    """Train a semantic tokenizer of 2 M parameters and 8192 codes on a codebook layout.

    Needs `images`. After some 270,000 of them, over five hours of one core, it had 97 % of the
    diagnostics' text tokens right.
    """
    network = SemanticTokenizerConfig(
        width=192, layers=4, heads=4, mlp=576, table=16, codes=8192, code_width=32
    )
    return Training(
        objective=TokenizerObjectiveConfig(network=network, codebook_layout=LAYOUT),
        optimizer=Optimizer(lr=1.5e-3, warmup=100, decay=0.5, ema=0.995),
        steps=24_000,
        batch=8,
    )


def generator_layout() -> Training:
    """Train a generator of 6.7 M parameters to predict the layout that captions ask for.

    Needs a semantic tokenizer and `sentences`. After 67,000 captions, nine minutes of two cores,
    the number of columns was right for 97 % of texts of several words.
    """
    return Training(
        objective=LayoutHeadObjectiveConfig(
            network=GENERATOR, auxiliary=(*_codebook(), RelativePositionHeadsConfig(heads=2))
        ),
        optimizer=Optimizer(lr=1.5e-3, warmup=50, decay=0.5, ema=0.98),
        steps=1600,
        batch=64,
    )


def generator() -> Training:
    """Continue `generator_layout` with tokens, without previews.

    At 512x512 a preview is the image itself.
    """
    return Training(
        objective=_generator(preview=0.0),
        optimizer=Optimizer(lr=1.5e-3, warmup=100, ema=0.99),
        steps=6000,
        batch=8,
        fine_tune=True,
    )


def generator_preview() -> Training:
    """Continue `generator` with previews in half of the sequences, which it learns to copy.

    Of 50 images at a temperature of 0.5, 82 % had their text in the right place, and 94 % after
    1,450 steps more.
    """
    return Training(
        objective=_generator(preview=0.5),
        optimizer=Optimizer(lr=1.5e-3, warmup=20, decay=0.5, ema=0.99),
        steps=1500,
        batch=8,
        fine_tune=True,
    )


def generator_truncated() -> Training:
    """Continue `generator_preview`; most updates end with the last row of text that differs.

    Captions whose text was in the right place went from 70 % to 98 %, and 60 of 60 held-out
    sentences of up to four characters were laid out as asked.
    """
    return Training(
        objective=_generator(preview=0.15, truncation=(TruncationConfig(probability=0.6),)),
        optimizer=Optimizer(lr=8e-4, warmup=20, decay=0.5, ema=0.985),
        steps=1100,
        batch=16,
        fine_tune=True,
    )


def decoder_ink() -> Training:
    """Train the first two of a decoder's six blocks, 7 M parameters in all, to predict ink.

    Needs a glyph encoder and `images`, in squares of 128 pixels alone. After 911 steps, 25 minutes
    of one core, 28 % of the variance of Chinese ink in new images was missed, and 18 % of Latin.
    """
    return Training(
        objective=InkProbeObjectiveConfig(
            network=DECODER,
            auxiliary=(DecoderCodebookConfig(codebook_layout=LAYOUT), GlyphWhiteningConfig()),
            after_blocks=2,
            crop=4,
        ),
        optimizer=Optimizer(lr=3e-3, warmup=50, decay=0.5, ema=0.98),
        steps=800,
        batch=48,
    )


def decoder() -> Training:
    """Continue `decoder_ink` with crops of 128x128 pixels; needs an autoencoder too.

    The squared error at pure noise on text never seen (variance 3.4) was 1.64 after 32,000 crops,
    1.07 after 104,000 and 0.80 in the end. Half an hour of one core makes 28,000 crops.
    """
    return Training(
        objective=_decoder(crop=4, text_crop_probability=0.85),
        optimizer=Optimizer(lr=1.2e-3, warmup=50, ema=0.995),
        steps=20_000,
        batch=16,
        fine_tune=True,
    )


def decoder_large() -> Training:
    """Continue `decoder` with crops of 256x256 pixels, text counting eight times.

    Attention among eighty tokens does not carry over to a thousand. After 9,600 crops, 20 minutes
    of two cores, OCR read 54 of 56 single characters in place of 24.
    """
    return Training(
        objective=_decoder(crop=8, text_crop_probability=1.0, text_weight=8.0),
        optimizer=Optimizer(lr=1.2e-3, warmup=20, ema=0.99),
        steps=2400,
        batch=8,
        fine_tune=True,
    )


def decoder_whole() -> Training:
    """Continue `decoder_large` with whole images.

    After 1,680 images, 38 minutes of one core, OCR read 94 % of the characters of fifty prompts in
    place of 91 %.
    """
    return Training(
        objective=_decoder(crop=0, text_weight=12.0),
        optimizer=Optimizer(lr=8e-4, warmup=20, decay=0.5, ema=0.99),
        steps=400,
        batch=4,
        fine_tune=True,
    )


def _codebook() -> tuple[AuxiliaryConfig, ...]:
    return (GeneratorCodebookConfig(codebook_layout=LAYOUT),)


def _generator(
    preview: float, truncation: tuple[AuxiliaryConfig, ...] = ()
) -> GeneratorObjectiveConfig:
    return GeneratorObjectiveConfig(
        network=GENERATOR,
        auxiliary=(
            *_codebook(),
            BoundaryWeightConfig(weight=6.0),
            *truncation,
            LayoutHeadConfig(weight=48.0),
            DistanceLossConfig(weight=1.0),
        ),
        preview_probability=preview,
        preview_weight=1.0,
    )


def _decoder(
    crop: int, text_crop_probability: float = 0.7, text_weight: float = 1.0
) -> DecoderObjectiveConfig:
    return DecoderObjectiveConfig(
        network=DECODER,
        auxiliary=(
            DecoderCodebookConfig(codebook_layout=LAYOUT),
            GlyphWhiteningConfig(),
            InkProbeConfig(weight=30.0),
        ),
        crop=crop,
        text_crop_probability=text_crop_probability,
        text_weight=text_weight,
        condition_dropout=0.05,
        time_mean=2.5,
        time_std=2.0,
    )


RECIPES = (
    images,
    sentences,
    brief,
    edits,
    layouts,
    data,
    autoencoder,
    autoencoder_large,
    glyph,
    semantic,
    generator_layout,
    generator,
    generator_preview,
    generator_truncated,
    decoder_ink,
    decoder,
    decoder_large,
    decoder_whole,
)
