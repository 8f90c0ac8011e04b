"""The generator's id space: image codes, then reserved vision ids, then text."""

from __future__ import annotations

from dataclasses import dataclass

RESERVED = 128  # vision ids beyond the codes: image start, image end, the rest unused


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """Where each kind of id lies; the defaults are GLM-Image's."""

    codes: int = 16384
    size: int = 168064  # all ids, text included
    pad: int = 167841
    grid_start: int = 167845
    grid_end: int = 167846
    image: int = 167855  # placeholder of a reference image's tokens

    @property
    def image_start(self) -> int:
        return self.codes

    @property
    def image_end(self) -> int:
        """Also the end of the sequence."""
        return self.codes + 1

    @property
    def vision(self) -> int:
        """The number of ids that the generator can emit; text begins here."""
        return self.codes + RESERVED
