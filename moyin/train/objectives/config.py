"""Configurations of the five objectives and of what may be added to them.

Importing this module imports no framework: `build()` imports the objective it makes.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

from moyin.models.config import (
    AutoencoderConfig,
    DecoderConfig,
    GeneratorConfig,
    GlyphEncoderConfig,
    SemanticTokenizerConfig,
)
from moyin.prompt.vocabulary import RESERVED

if TYPE_CHECKING:
    from moyin.dataset.tokens import TokenLayout
    from moyin.train.auxiliary import Auxiliary
    from moyin.train.objectives.autoencoder import AutoencoderObjective
    from moyin.train.objectives.base import Objective, Source
    from moyin.train.objectives.decoder import DecoderObjective
    from moyin.train.objectives.generator import GeneratorObjective
    from moyin.train.objectives.glyph_encoder import GlyphObjective
    from moyin.train.objectives.semantic_tokenizer import SemanticObjective


@dataclass(frozen=True, kw_only=True)
class AuxiliaryConfig:
    """Configuration of an `Auxiliary`; subclasses name themselves by `kind`.

    An auxiliary may add a loss, change the start of a fresh network, or replace the semantic
    tokenizer; each method's default does nothing.
    """

    kind: str = field(default="", init=False)

    @property
    def token_layout(self) -> TokenLayout | None:
        """Tokens of rendered images by rule, in place of the semantic tokenizer's."""
        return None

    def init(self, network: Any, source: Source) -> None:
        """Overwrite parameters of a fresh network, after it was built."""

    def build(self, objective: Objective) -> Auxiliary:
        """The auxiliary of an objective whose `network` is set. Its parameters are trained beside
        the network's and are not part of the checkpoint."""
        from moyin.train.auxiliary import Auxiliary

        return Auxiliary()


@dataclass(frozen=True, kw_only=True)
class ObjectiveConfig:
    """The stage's part of a recipe. auxiliary: extra losses, in this order."""

    stage: ClassVar[str]
    auxiliary: tuple[AuxiliaryConfig, ...] = ()

    def network_config(self, source: Source) -> Any:
        """Sizes of the network that this stage builds when it starts with fresh weights."""
        raise NotImplementedError

    def build(self, source: Source, start: Any) -> Objective:
        """start: the network to continue from, or None for fresh weights."""
        raise NotImplementedError

    @property
    def token_layout(self) -> TokenLayout | None:
        """The token layout of the first auxiliary that has one."""
        layouts = (auxiliary.token_layout for auxiliary in self.auxiliary)
        return next((layout for layout in layouts if layout is not None), None)

    def fresh_network(self, source: Source) -> Any:
        """A network with fresh weights, initialised by the auxiliaries."""
        network = self.network_config(source).build()
        self.init(network, source)
        return network

    def init(self, network: Any, source: Source) -> None:
        """Let each auxiliary initialise a fresh network."""
        for auxiliary in self.auxiliary:
            auxiliary.init(network, source)


@dataclass(frozen=True, kw_only=True)
class AutoencoderObjectiveConfig(ObjectiveConfig):
    """Crops of images through the autoencoder.

    crop: side in pixels. crops: number per image. text_crop_probability: share of crops centred
    on a line of text. encoder: train the encoder too; otherwise latents keep their values and only
    the reconstruction improves.
    """

    stage: ClassVar[str] = "autoencoder"
    network: AutoencoderConfig = field(default_factory=AutoencoderConfig)
    crop: int = 64
    crops: int = 8
    text_crop_probability: float = 0.5
    kl_weight: float = 1e-6
    encoder: bool = True

    def __post_init__(self) -> None:
        if self.crop < 1 or self.crop % self.network.factor:
            raise ValueError(f"crop={self.crop} must be a multiple of {self.network.factor}")

    def network_config(self, source: Source) -> AutoencoderConfig:
        return self.network

    def build(self, source: Source, start: Any) -> AutoencoderObjective:
        from moyin.train.objectives.autoencoder import AutoencoderObjective

        return AutoencoderObjective.create(self, source, start)


@dataclass(frozen=True, kw_only=True)
class GlyphObjectiveConfig(ObjectiveConfig):
    """Bitmaps of the characters of random strings, from the glyph encoder's states.

    characters: number of Chinese characters, most frequent first, beside Latin ones. side: of the
    bitmap, in pixels. words: most words per string. longest: most characters per word. latin: share
    of updates whose strings are Latin except for one character. font: whose shapes are learned.
    place_weight: weight of the positions' cross-entropy.
    """

    stage: ClassVar[str] = "glyph"
    network: GlyphEncoderConfig = field(default_factory=GlyphEncoderConfig)
    characters: int = 8105
    side: int = 24
    words: int = 1
    longest: int = 6
    latin: float = 0.0
    font: str = "NotoSansSC-Bold"
    place_weight: float = 0.05

    def network_config(self, source: Source) -> GlyphEncoderConfig:
        return self.network

    def build(self, source: Source, start: Any) -> GlyphObjective:
        from moyin.train.objectives.glyph_encoder import GlyphObjective

        return GlyphObjective(self, start or self.fresh_network(source))


@dataclass(frozen=True, kw_only=True)
class SemanticObjectiveConfig(ObjectiveConfig):
    """Thumbnails and text layout, from the semantic tokenizer's codes.

    head_layers: of the transformer that reads the codes. layout_weight: weight of the layout's
    error. noise: its length, where a code has length 1. fit: number of images that the codebook is
    fitted to. rounds: of k-means.
    """

    stage: ClassVar[str] = "semantic"
    network: SemanticTokenizerConfig = field(default_factory=SemanticTokenizerConfig)
    head_layers: int = 2
    layout_weight: float = 1.0
    noise: float = 0.4
    fit: int = 1000
    rounds: int = 20

    def network_config(self, source: Source) -> SemanticTokenizerConfig:
        return self.network

    def build(self, source: Source, start: Any) -> SemanticObjective:
        from moyin.train.objectives.semantic_tokenizer import SemanticObjective

        return SemanticObjective(self, source, start or self.fresh_network(source))


@dataclass(frozen=True, kw_only=True)
class GeneratorObjectiveConfig(ObjectiveConfig):
    """Next-token prediction on captions and semantic tokens.

    network: its vocabulary fields are replaced by the text tokenizer's. text_vocab_size: of the
    text tokenizer, which is trained here unless the checkpoint has one for the same number of
    semantic tokens. preview_probability: share of sequences with a preview grid. preview_weight:
    loss weight of a preview token; other image tokens have 1. edit_probability: share of updates
    in which images that are edits of others are learned as edits, with the other image first.
    condition_dropout: share of sequences without a caption, for classifier-free guidance.
    language_model: folder of a GLM-4-0414 model whose weights a fresh generator starts from.
    freeze_text: keep the embeddings of text ids fixed.
    """

    stage: ClassVar[str] = "generator"
    network: GeneratorConfig = field(default_factory=GeneratorConfig)
    text_vocab_size: int = 2048
    preview_probability: float = 0.5
    preview_weight: float = 1.5
    edit_probability: float = 0.0
    condition_dropout: float = 0.0
    language_model: str = ""
    freeze_text: bool = False

    def __post_init__(self) -> None:
        check_probabilities(self, "preview_probability", "edit_probability", "condition_dropout")

    def network_config(self, source: Source) -> GeneratorConfig:
        vision = source.configuration("semantic").codes + RESERVED
        vocab = vision + self.text_vocab_size
        return replace(self.network, vocab=vocab, vision_vocab=vision)

    def build(self, source: Source, start: Any) -> GeneratorObjective:
        from moyin.train.objectives.generator import GeneratorObjective

        return GeneratorObjective.create(self, source, start)


@dataclass(frozen=True, kw_only=True)
class DecoderObjectiveConfig(ObjectiveConfig):
    """Flow matching of latents, given semantic tokens and glyph states.

    network: `codes` and `glyph_dim` are replaced by those of the checkpoint's networks. crop: side
    in semantic tokens, 0 for whole images. condition_dropout: share of samples without any
    condition. token_dropout, glyph_dropout, reference_dropout: further shares, each drawn
    independently, without tokens, quoted strings or reference image. edit_probability: share of
    updates in which images that are edits of others are learned with those as references.
    text_weight: loss weight of latents under text, relative to others in the image.
    text_crop_probability: share of crops that lie on a line of text. time_mean, time_std: of the
    normal variable whose sigmoid is the time; None for what the network was last trained with, or
    0 and 1.
    """

    stage: ClassVar[str] = "decoder"
    network: DecoderConfig = field(default_factory=DecoderConfig)
    crop: int = 0
    condition_dropout: float = 0.1
    token_dropout: float = 0.0
    glyph_dropout: float = 0.0
    reference_dropout: float = 0.0
    edit_probability: float = 0.0
    text_weight: float = 1.0
    text_crop_probability: float = 0.7
    time_mean: float | None = None
    time_std: float | None = None

    def __post_init__(self) -> None:
        dropouts = ("condition", "token", "glyph", "reference")
        check_probabilities(self, *(f"{name}_dropout" for name in dropouts), "edit_probability")
        if self.text_weight <= 0:
            raise ValueError(f"text_weight={self.text_weight} must be above 0")

    def network_config(self, source: Source) -> DecoderConfig:
        return decoder_network_config(self.network, source)

    def build(self, source: Source, start: Any) -> DecoderObjective:
        from moyin.train.objectives.decoder import DecoderObjective

        return DecoderObjective.create(self, source, start)


def decoder_network_config(network: DecoderConfig, source: Source) -> DecoderConfig:
    """Sizes of a decoder for the checkpoint's semantic tokenizer and glyph encoder."""
    codes = source.configuration("semantic").codes
    width = source.configuration("glyph").hidden
    return replace(network, codes=codes, glyph_dim=width)


def check_probabilities(config: Any, *names: str) -> None:
    """ValueError where one of these fields is not within 0 and 1."""
    for name in names:
        if not 0 <= getattr(config, name) <= 1:
            raise ValueError(f"{name}={getattr(config, name)} must be within 0 and 1")
