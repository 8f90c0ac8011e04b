"""Configurations of nano's auxiliary losses, initialisations and objectives.

Importing this module imports no framework.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from moyin.models.config import DecoderConfig, SemanticTokenizerConfig
from moyin.nano.codebook_layout import CodebookLayout
from moyin.train.objectives.config import (
    AuxiliaryConfig,
    GeneratorObjectiveConfig,
    ObjectiveConfig,
    check_probabilities,
    decoder_network_config,
)

if TYPE_CHECKING:
    from moyin.nano.boundaries import BoundaryWeight, Truncation
    from moyin.nano.distance_loss import DistanceLoss
    from moyin.nano.ink_probe import InkProbe
    from moyin.nano.ink_probe_objective import InkProbeObjective
    from moyin.nano.layout_head import LayoutHead
    from moyin.nano.layout_head_objective import LayoutHeadObjective
    from moyin.nano.tokenizer_objective import TokenizerObjective
    from moyin.train.objectives.base import Objective, Source


@dataclass(frozen=True, kw_only=True)
class CodebookConfig(AuxiliaryConfig):
    """Tokens of rendered images follow a codebook layout. A fresh network's rows of the tokens
    start with the layout's features."""

    codebook_layout: CodebookLayout

    @property
    def token_layout(self) -> CodebookLayout:
        return self.codebook_layout


@dataclass(frozen=True, kw_only=True)
class GeneratorCodebookConfig(CodebookConfig):
    """For a generator: its embedding and its head."""

    kind: str = field(default="generator_codebook", init=False)

    def init(self, network: Any, source: Source) -> None:
        from moyin.nano.initialisation import generator_codebook

        generator_codebook(network, self.codebook_layout, source.configuration("semantic").codes)


@dataclass(frozen=True, kw_only=True)
class DecoderCodebookConfig(CodebookConfig):
    """For a decoder: its embedding of the tokens."""

    kind: str = field(default="decoder_codebook", init=False)

    def init(self, network: Any, source: Source) -> None:
        from moyin.nano.initialisation import decoder_codebook

        decoder_codebook(network, self.codebook_layout)


@dataclass(frozen=True, kw_only=True)
class RelativePositionHeadsConfig(AuxiliaryConfig):
    """Attention heads of a fresh generator that start at fixed distances
    (`initialisation.relative_position_heads`). heads: of each layer."""

    kind: str = field(default="relative_position_heads", init=False)
    heads: int = 2

    def init(self, network: Any, source: Source) -> None:
        from moyin.nano.initialisation import relative_position_heads

        relative_position_heads(network, self.heads)


@dataclass(frozen=True, kw_only=True)
class OneWayHeadsConfig(AuxiliaryConfig):
    """Attention heads of a fresh glyph encoder that start with one direction
    (`initialisation.one_way_heads`)."""

    kind: str = field(default="one_way_heads", init=False)

    def init(self, network: Any, source: Source) -> None:
        from moyin.nano.initialisation import one_way_heads

        one_way_heads(network)


@dataclass(frozen=True, kw_only=True)
class GlyphWhiteningConfig(AuxiliaryConfig):
    """A fresh decoder whitens the glyph states of the dataset's strings
    (`initialisation.whiten_glyphs`)."""

    kind: str = field(default="glyph_whitening", init=False)

    def init(self, network: Any, source: Source) -> None:
        from moyin.nano.initialisation import dataset_glyph_states, whiten_glyphs

        whiten_glyphs(network, dataset_glyph_states(source))


@dataclass(frozen=True, kw_only=True)
class BoundaryWeightConfig(AuxiliaryConfig):
    """Generator: weight of the tokens that decide where text is (`boundaries.boundary_mask`)."""

    kind: str = field(default="boundary_weight", init=False)
    weight: float

    def build(self, objective: Objective) -> BoundaryWeight:
        from moyin.nano.boundaries import BoundaryWeight

        return BoundaryWeight(self.weight)


@dataclass(frozen=True, kw_only=True)
class TruncationConfig(AuxiliaryConfig):
    """Generator: sequences that end with the last row of text that differs from the row above.

    probability: share of updates.
    """

    kind: str = field(default="truncation", init=False)
    probability: float

    def __post_init__(self) -> None:
        check_probabilities(self, "probability")

    def build(self, objective: Objective) -> Truncation:
        from moyin.nano.boundaries import Truncation

        return Truncation(self.probability)


@dataclass(frozen=True, kw_only=True)
class LayoutHeadConfig(AuxiliaryConfig):
    """Generator: predict the image's layout from the caption. weight: beside a token's."""

    kind: str = field(default="layout_head", init=False)
    weight: float

    def build(self, objective: Objective) -> LayoutHead:
        from moyin.nano.layout_head import LayoutHead

        return LayoutHead(objective, self.weight)


@dataclass(frozen=True, kw_only=True)
class DistanceLossConfig(AuxiliaryConfig):
    """Generator: predict the distance to the next text at every token. weight: beside a
    token's."""

    kind: str = field(default="distance_loss", init=False)
    weight: float

    def build(self, objective: Objective) -> DistanceLoss:
        from moyin.nano.distance_loss import DistanceLoss

        return DistanceLoss(objective.network.config.hidden, self.weight)


@dataclass(frozen=True, kw_only=True)
class InkProbeConfig(AuxiliaryConfig):
    """Decoder: predict the ink under each image token after the first `after_blocks` blocks.

    It keeps what `InkProbeObjective` taught these blocks.
    """

    kind: str = field(default="ink_probe", init=False)
    weight: float
    after_blocks: int = 2

    def build(self, objective: Objective) -> InkProbe:
        from moyin.nano.ink_probe import InkProbe

        return InkProbe(objective.network.config, self.weight, self.after_blocks)


@dataclass(frozen=True, kw_only=True)
class LayoutHeadObjectiveConfig(GeneratorObjectiveConfig):
    """The layout head's loss alone, before any token is learned.

    It reads captions and builds a fresh network as its base class says.
    """

    def build(self, source: Source, start: Any) -> LayoutHeadObjective:
        from moyin.nano.layout_head_objective import LayoutHeadObjective

        return LayoutHeadObjective.create(self, source, start)


@dataclass(frozen=True, kw_only=True)
class InkProbeObjectiveConfig(ObjectiveConfig):
    """The decoder's first blocks learn what ink lies under each image token.

    after_blocks: number of blocks that are trained. crop: side in semantic tokens.
    noise_weight: weight of the noise's reconstruction. auxiliary: must hold a `CodebookConfig`.
    """

    stage: ClassVar[str] = "decoder"
    network: DecoderConfig = field(default_factory=DecoderConfig)
    crop: int = 4
    text_crop_probability: float = 1.0
    after_blocks: int = 2
    noise_weight: float = 0.1

    def __post_init__(self) -> None:
        if self.token_layout is None:
            raise ValueError("auxiliary lacks a codebook layout")
        if not 1 <= self.after_blocks <= self.network.layers:
            raise ValueError(
                f"after_blocks={self.after_blocks} of a network of {self.network.layers}"
            )

    def network_config(self, source: Source) -> DecoderConfig:
        return decoder_network_config(self.network, source)

    def build(self, source: Source, start: Any) -> InkProbeObjective:
        from moyin.nano.ink_probe_objective import InkProbeObjective

        return InkProbeObjective.create(self, source, start)


@dataclass(frozen=True, kw_only=True)
class TokenizerObjectiveConfig(ObjectiveConfig):
    """The semantic tokenizer learns to predict the tokens of a codebook layout.

    text_weight: of tokens with text; those of the ground have 1. places: tokens of an image in the
    loss, those with text first, except for an eighth.
    """

    stage: ClassVar[str] = "semantic"
    network: SemanticTokenizerConfig = field(default_factory=SemanticTokenizerConfig)
    codebook_layout: CodebookLayout = field(default_factory=CodebookLayout)
    text_weight: float = 4.0
    places: int = 96

    def network_config(self, source: Source) -> SemanticTokenizerConfig:
        return self.network

    def build(self, source: Source, start: Any) -> TokenizerObjective:
        from moyin.nano.tokenizer_objective import TokenizerObjective

        return TokenizerObjective.create(self, source, start)
