"""The embedded checkpoint's recipes: some 20 M parameters, 512x512, for two CPU cores.

The stages build on each other: each one's OUT/weights is the next one's checkpoint. The embedded
weights come from shorter runs of them; their moyin.json names the steps and settings of each.
"""

from __future__ import annotations

from dataclasses import replace

from moyin.data.filters.ocr_filter import OcrFilter
from moyin.data.filters.resize import ResizeFilter
from moyin.data.preparation import Preparation
from moyin.models.autoencoder import Autoencoder
from moyin.models.decoder import Decoder
from moyin.models.generator import Generator
from moyin.models.glyph_encoder import GlyphEncoder
from moyin.models.semantic_tokenizer import SemanticTokenizer
from moyin.recipes.prepare import Images
from moyin.render.edits import EditRenderer
from moyin.render.layouts import FREE, shipped
from moyin.render.legend import Legend
from moyin.render.renderer import Renderer
from moyin.train import Optimizer, Training
from moyin.train.objectives.autoencoder import AutoencoderObjective
from moyin.train.objectives.decoder import DecoderObjective
from moyin.train.objectives.generator import GeneratorObjective
from moyin.train.objectives.glyph_encoder import GlyphObjective
from moyin.train.objectives.legend import LegendObjective
from moyin.train.objectives.planning import PlanningObjective
from moyin.train.objectives.reading import ReadingObjective

CHARACTERS = 8105  # Chinese characters that nano is taught: all of the national table
FONT = "NotoSansSC-Bold"
LEGEND = Legend(sides=(128, 96), words=(1, 4), letters=(4, 8))
DECODER = Decoder.Config(layers=6, heads=4, head_dim=64, time_dim=64, size_dim=32)
GENERATOR = Generator.Config(
    hidden=192,
    layers=6,
    heads=6,
    kv_heads=3,
    head_dim=64,
    ffn=512,
    theta=5.0,
    rotary_sections=(4, 6, 6),
)
AUTOENCODER = Autoencoder.Config(
    block_channels=(16, 32, 64, 128), layers_per_block=1, norm_groups=1
)


def images() -> Images:
    """12,000 images, each with one text: of up to four characters in squares of 128 pixels, of up
    to four words of up to eight characters in rows of squares of 96.

    They are set in squares on the grid of the semantic tokens: so an id has few places in a
    character to tell apart, and the decoder few sizes to write at.

    Seven tenths are Chinese, most of them characters drawn evenly. The embedded decoder learned
    from these; the generator learned from `sentences` in the end.
    """
    renderer = Renderer.Config(
        characters=CHARACTERS,
        chinese=0.7,
        words=0.35,
        fonts=(FONT,),
        prominent=1.0,
        prominent_characters=24,
        squares=LEGEND.sides,
        square_words=LEGEND.words,
        square_letters=LEGEND.letters,
        object_share=0.0,
        backgrounds={"flat": 1.0},
    )
    return Images(renderer=renderer, count=12_000)


def sentences() -> Images:
    """14,336 more for the generator, each text in the middle of its place, half of them English,
    and half of them words that exist.

    Which character a string holds changes no id, but how many there are does, and the text
    tokenizer has up to three ids for a rare one. Where texts stray in their place, nothing says in
    which column one begins: after 1,200 steps of planning the rows and columns were told right for
    94 % of the captions, and for 99 % after 250 on texts that do not stray.

    Of captions in held-out phrasings, a generator that was taught plain ones and a thousand
    characters got the number of characters right in 43 %, the ground in 78 % and the place in
    60 %; after these images, and half as many in plain phrasings, it was 100, 98 and 96 %.

    Of the 66 pairs of colours 38 are hard to read, and people ask for them all the same: a
    generator that had met none of these wrote brown on pink and white on grey where red and blue
    were asked for.
    """
    renderer = replace(
        images().renderer, spread=0.0, middle=0.12, words=0.5, chinese=0.5, clashing=0.3
    )
    return Images(renderer=renderer, count=14_336, seed=77)


def brief() -> Images:
    """4,096 more for the generator, as people ask who say no more than what is to be written, or
    its colour: it stands in the middle then, in any colours.

    Where some of those captions that name no place were of texts in any, a generator that wrote of
    50 sentences 99 % as asked wrote nothing at all for seven of twenty such requests: in no place
    was it likely enough that the text begins.
    """
    renderer = replace(sentences().renderer, middle=1.0, phrasings="brief")
    return Images(renderer=renderer, count=4096, seed=78)


def edits() -> Images:
    """3,072 of `sentences`, each followed by an edit of it: another text in its place, or another
    colour. `objective.edits` has generator and decoder learn from them.

    A reference's colours and place, and how long its text is, are in its ids; that a recoloured
    poster is to have its text there, a plan told from captions alone did not say: 6 % of such
    posters had it in its place.
    """
    renderer = sentences().renderer
    return Images(renderer=EditRenderer.Config(**vars(renderer), recoloured=0.4), count=6144)


def layouts() -> Images:
    """20,000 images in all layouts and with lines placed freely, and all 8105 characters.

    More than nano can learn: it is for larger models, and to see what the renderer does.
    """
    weights = {FREE: 3.0} | dict.fromkeys(shipped(), 1.0)
    renderer = Renderer.Config(characters=8105, layouts=weights)
    return Images(renderer=renderer, count=20_000)


def data() -> Preparation:
    """12,000 rendered images in every layout, and what `inputs=FOLDER,FOLDER` holds before them,
    filtered; text is looked for in images whose captions quote some. All become square, for the
    stages of nano take images of one size."""
    return Preparation(
        count=12_000,
        renderer=layouts().renderer,
        resize=ResizeFilter.Config(longest=1.0, crop=0.45),
        ocr=OcrFilter.Config(images="quoted"),
    )


def autoencoder() -> Training:
    """2.6 M parameters on 32x32 crops.

    One group a norm: with sixteen channels at full size, two channels a group would leave of a
    flat colour nothing but a sign. At a rate of 3e-3 it does not learn.
    """
    return Training(
        objective=AutoencoderObjective.Config(network=AUTOENCODER, crop=32, crops=8, on_text=0.6),
        optimizer=Optimizer(lr=6e-4, decay=0.0, ema=0.998),
        steps=2800,
        batch=2,
        checkpoint="none",
    )


def autoencoder_large() -> Training:
    """Goes on from `autoencoder` with crops of 128x128.

    The norms see whole images in use: after small crops alone, colours come out too strong.
    """
    return Training(
        objective=AutoencoderObjective.Config(network=AUTOENCODER, crop=128, crops=2, on_text=0.6),
        optimizer=Optimizer(lr=4e-4, warmup=20, decay=0.4, ema=0.99),
        steps=600,
        batch=2,
        fine_tune=True,
    )


def glyph() -> Training:
    """6.4 M parameters, all 8105 characters and the Latin ones.

    The decoder learns no stroke that is not in the states. A network with ffn=704, taught the
    thousand most frequent characters in 318,000 strings of up to four, left 2 % of the variance of
    their 32x32 bitmaps in new strings unread to a linear map; of all 8105, by these bitmaps, 10 %
    were found. Of 8105 drawn evenly 31 % was unread after 26,000 strings and 22 % after 87,000.
    There ffn grew to 1536, the new columns of its last map zero: 10 % after 86,000 more, 7 % after
    144,000 and 3 % after 246,000, the rate going down over the last 134,000; of new strings 9 %,
    and all but two of 8175 glyphs are found.

    Nor does it put a letter where it belongs unless the state says which of its word it is. One in
    sixteen of those strings was Latin: one map told which of four a Chinese character is in 99 %,
    and the second and third letters of a word in 83 and 66 %. Up to 24 characters in one string are
    not counted (0.85 nats after 180,000 more), letters in words are: from four heads that look both
    ways alike, letter and word still cost 1.45 nats after 110,000 strings, a third of them Latin;
    with three set to look one way, 0.48 after 190,000 more, and the fifth to eighth letter was told
    in 0 to 86 %, the third word in 38 %. Two heads more (falls of 0.2 and 0.07 a byte) and lengths
    drawn towards the longest: 0.05 after another 190,000, half an hour of one core, and of new
    English words each letter up to the eighth and each word up to the fourth is told in 91 to
    100 %.
    """
    network = GlyphEncoder.Config(
        hidden=256, layers=4, heads=6, head_dim=64, ffn=1536, buckets=128, max_distance=256
    )
    return Training(
        objective=GlyphObjective.Config(
            network=network,
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
    """2 M parameters, 8192 codes, of which the legend uses 8104.

    Colours come first, then the row and column in a character's square, last which character of its
    line it is: that was right for 39 % of the ids with text after 8,000 images, 72 % after
    20,000 and 99 % after 34,000, rows and columns then for 85 and 95 %; all of it for 69 %, and
    for 64 % in images not seen before. Over an hour of one core, and half of the steps at a
    rate going down. That was with 4096 codes, for squares of 128 pixels; 12,800 images more, with
    twice the codes and rows of words, made it 50 % of these, and 64 % of the gate's, 48,000 more,
    of 50,000 different ones, 85 % of the gate's, 96,000 more 96.7 and another 26,400 97.1, two
    hours of one core. While the rate is high little of that shows: after half of these 96,000 87 %
    of the images that it learned from, 98 % at the end.
    """
    network = SemanticTokenizer.Config(
        width=192, layers=4, heads=4, mlp=576, table=16, codes=8192, code_width=32
    )
    return Training(
        objective=LegendObjective.Config(network=network, legend=LEGEND),
        optimizer=Optimizer(lr=1.5e-3, warmup=100, decay=0.5, ema=0.995),
        steps=24_000,
        batch=8,
    )


def generator_planning() -> Training:
    """6.7 M parameters, which learn to read captions: where text is to be, and how much of it.

    How many columns the text takes up was a guess after 13,000 captions, 30 % right, where only the
    mark told it; where each id told which character it is, too, 60 % were right after 16,000, and
    77 % after 33,000. By then Chinese was counted and English was not, whose words were single
    ids; with letters apart, 87 % were right 2,000 captions later.

    Colours must be told too: a generator that wrote the right ground in 96 % of images had
    forgotten it after a plan without. Told beside 4,000 sequences, it was right in all of 50.

    Of texts in several words, told after the last of six layers, the number of columns was right in
    95 %, and the ids written in 70 % (up to four characters 73 %, five to eight 63 %): no later id
    could look at it. Told after the fourth, in 72 % after 45,000 captions beside ids, where the
    fifth letter of a word and the later ones were told apart in 80 %. With two more heads that look
    back (`look_back`), 67,000 captions of nothing else, nine minutes of two cores, made that 97 %,
    and of new texts every letter was told, and each word but the fourth (15 of 21).

    With the columns of each row among the facts, 64,000 captions more: for captions in held-out
    phrasings every row was told, of more than eight characters the second to fourth in 81 to 90 %.
    Edits (`objective.edits`, three fifths of the updates, 22,000 prompts): another text was planned
    as well after 340 steps; of a recoloured one the colour, but its row in 40 % and its column in
    55 %, for nothing but the reference says these. With its facts told at the mark that ends it,
    300 steps on, these were told there in 68 and 81 %, and 64 and 42 % at the image's mark.

    English lengths were known by heart. After 45,000 captions at half the rate, of which some had
    invented words, the second of two words' length was right in 99 % where they were among the 720
    that the images had before, and in 81 % where they were invented. At this rate, with 0.6 of
    the captions in several invented words, 38,000 more made both 100 %, and the third of three
    words 100 and 97 %; the third of four was right in 20 and 60 %.
    """
    return Training(
        objective=PlanningObjective.Config(network=GENERATOR, legend=LEGEND, looking_back=2),
        optimizer=Optimizer(lr=1.5e-3, warmup=50, decay=0.5, ema=0.98),
        steps=1600,
        batch=64,
    )


def generator() -> Training:
    """Goes on from `generator_planning`, without previews, which at 512x512 are the image itself.

    theta is 5, where GLM-Image has 10,000: the columns get the slowest turns, and at 10,000 those
    of neighbours differ by 0.003 of a radian, so that a network of this size does not find the id
    above. With 10,000, after 6,400 sequences, the first text id of a row cost 8.5 nats wherever it
    stood; with 5 (and four heads for two), after 10,400, it cost 0.002 below another.
    """
    return Training(
        objective=_writing(preview=0.0),
        optimizer=Optimizer(lr=1.5e-3, warmup=100, ema=0.99),
        steps=6000,
        batch=8,
        fine_tune=True,
    )


def generator_preview() -> Training:
    """Goes on from `generator`, half of the sequences with previews: it learns to copy them.

    Of 50 images at a temperature of 0.5, 82 % had their text where it belongs, though each plan
    named that place; 1,450 steps more, 0.3 of them with previews, and it was 94 %, and 86 % of
    200 images with other seeds among them.
    """
    return Training(
        objective=_writing(preview=0.5),
        optimizer=Optimizer(lr=1.5e-3, warmup=20, decay=0.5, ema=0.99),
        steps=1500,
        batch=8,
        fine_tune=True,
    )


def generator_opening() -> Training:
    """Goes on from `generator_preview`, most updates ending with the last row of text that differs.

    Nearly all ids of an image repeat the one above or beside them; where its text begins is
    decided once. Of 57 captions that name a place it was right for 70 % after 300 steps of 8 whole
    sequences. With all before the text weighed as much as its edges, 100 steps on, for 49 %, as a
    quarter had no text any more; 150 steps of 24 openings later for 89 %, at the end for 98 %.
    Places at the left and right still went to the middle, where a third of the texts had stood;
    170 steps on places drawn nearly evenly (`renderer.middle=0.05`) took the share of nano-50's
    that are right from 90 to 94 %.

    Of texts in rows of words (24 images of up to four words, not seen before) the letters cost
    3.3 nats an image after 31,000 sequences without `ahead`, and all ids 11; 11,000 sequences
    with it later, 0.4 and 6.4.

    From the plan that counts (`generator_planning`), 17,600 sequences later the ids of held-out
    sentences were arranged as asked in 60 of 60 with up to four characters and 56 of 60 with five
    to eight; where openings ended with the first row of text, in 2 of 60 with several words, whose
    later rows were begun by guess.

    Given all ids before, the ends of rows were right in new English texts, and of the grounds
    before their second rows' text 66 %: only where it began weighed more, and it began too soon.
    Weighed as much (`telling`), 78 % were right before and 88 % after 120 updates.

    Edits are forgotten where an update has few: after 800 with half of one each (`edits=0.2`, a
    fifth of the images in pairs) a recoloured text stood in its old place in 3 of 16 posters, 7
    before them; after 1,020 with two (0.35, two fifths in pairs, most of them recoloured) in 9.
    """
    return Training(
        objective=_writing(preview=0.15, opening=0.6),
        optimizer=Optimizer(lr=8e-4, warmup=20, decay=0.5, ema=0.985),
        steps=1100,
        batch=16,
        fine_tune=True,
    )


def _writing(preview: float, opening: float = 0.0) -> GeneratorObjective.Config:
    return GeneratorObjective.Config(
        network=GENERATOR,
        legend=LEGEND,
        edges=6.0,
        plan=48.0,
        ahead=1.0,
        preview=preview,
        preview_weight=1.0,
        opening=opening,
    )


def decoder_reading() -> Training:
    """7 M parameters, of which the first two blocks learn what ink lies under a token.

    In squares of 128 pixels alone: with those of 256 beside them there are five times as many
    places to look at. On images not seen before, 911 steps of 48 crops, 25 minutes of one core,
    left 28 % of the variance of Chinese ink unread and 18 % of Latin; one linear map from the glyph
    states leaves 22 % of a bitmap. Without `carried` the latents drowned in it: of the velocity, a
    linear map could tell a quarter.
    """
    return Training(
        objective=ReadingObjective.Config(network=DECODER, blocks=2, crop=4, legend=LEGEND),
        optimizer=Optimizer(lr=3e-3, warmup=50, decay=0.5, ema=0.98),
        steps=800,
        batch=48,
    )


def decoder() -> Training:
    """Goes on from `decoder_reading` with crops of 128x128 pixels, which stand for whole images.

    Four heads: normalised queries and keys of 32 channels hardly single out one token of eighty.
    Without `reading`, 500 steps of 16 crops wiped out all that had been learned of the ink.

    On text that was never seen (variance 3.4 in latents), the squared error at pure noise, with
    the right glyphs and with others: after 32,000 crops 1.64 and 2.24, after 72,000 1.22 and 2.26,
    after 104,000 1.07 and 2.35, and it was falling still. Half an hour of one core brings 28,000.
    After 122,000, with the rate going down over the last 40 %, a person saw which letters were
    meant, and OCR read few. Painted in 1, 2, 4, 8 and 16 steps these images erred the more the
    more steps they took: ids and glyphs say all of them, so the first step must be right. Up to
    there `reading` was 10 and times were drawn with 1.5 and 1.7. 19,000 crops more, then, with the
    glyph encoder's finer states and the settings below, another 29,000 took the error from 1.02 to
    0.94, and 23,000 more to 0.89. With twice as many different images (4,352), 32,000 more took
    it to 0.80.
    """
    return Training(
        objective=_painting(crop=4, on_text=0.85),
        optimizer=Optimizer(lr=1.2e-3, warmup=50, ema=0.995),
        steps=20_000,
        batch=16,
        fine_tune=True,
    )


def decoder_large() -> Training:
    """Goes on from `decoder` with crops of 256x256 pixels, text counting eight times in them.

    Whatever it was told of the whole image, a network that saw eighty tokens at a time does not
    attend well among a thousand: of text never seen, the squared error at pure noise (median of 32
    images) was 0.36 in crops of 128x128, 0.48 in 256x256 and 0.90 in whole images. After 800
    crops of 256x256 it was 0.46, 0.30 and 0.45, after 9,600, 20 minutes of two cores, 0.44, 0.23
    and 0.30, and OCR read 54 of 56 single characters in place of 24.

    Of rows of words in squares of 96 it painted neither late letters nor late words while the glyph
    states did not tell them apart (`glyph`). From states that do, 22,000 crops of 128x128, ten
    minutes of one core, and 1,600 of 256x256 were enough for four words of eight letters to be
    read.

    From states that tell all 8105 characters, 77,000 crops of 128x128 and 9,600 of 256x256, 56
    minutes of one core, had OCR read 58 % of 45 single characters of all three levels, in place of
    12; 3,000 large crops with edits and 640 whole images later, 69 % of 150.
    """
    return Training(
        objective=_painting(crop=8, on_text=1.0, text=8.0),
        optimizer=Optimizer(lr=1.2e-3, warmup=20, ema=0.99),
        steps=2400,
        batch=8,
        fine_tune=True,
    )


def decoder_whole() -> Training:
    """Goes on from `decoder_large` with whole images.

    The errors that `decoder_large` names went from 0.49, 0.21 and 0.31 to 0.55, 0.24 and 0.21 in
    1,680 images, 38 minutes of one core, where 9,600 large crops before them had changed the last
    by nothing. Of fifty prompts OCR then read 94 % of the characters in place of 91.
    """
    return Training(
        objective=_painting(crop=0, text=12.0),
        optimizer=Optimizer(lr=8e-4, warmup=20, decay=0.5, ema=0.99),
        steps=400,
        batch=4,
        fine_tune=True,
    )


def _painting(crop: int, on_text: float = 0.7, text: float = 1.0) -> DecoderObjective.Config:
    return DecoderObjective.Config(
        network=DECODER,
        crop=crop,
        on_text=on_text,
        text=text,
        drop=0.05,
        time_mean=2.5,
        time_std=2.0,
        legend=LEGEND,
        reading=30.0,
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
    generator_planning,
    generator,
    generator_preview,
    generator_opening,
    decoder_reading,
    decoder,
    decoder_large,
    decoder_whole,
)
