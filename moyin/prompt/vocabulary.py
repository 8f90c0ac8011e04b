"""The generator's id space: image codes and marks first, text shifted up behind them."""

from __future__ import annotations

from dataclasses import dataclass

RESERVED = 128  # vision ids beyond the codes: the two image marks, the rest unused


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """Where each kind of id lies. Defaults: GLM-Image's."""

    codes: int = 16384
    size: int = 168064  # all ids, text included
    pad: int = 167841
    grid_start: int = 167845
    grid_end: int = 167846
    image: int = 167855  # stands for one id of a reference image

    @property
    def image_start(self) -> int:
        return self.codes

    @property
    def image_end(self) -> int:
        """Also the end of the sequence."""
        return self.codes + 1

    @property
    def vision(self) -> int:
        """How many ids the generator can emit; text begins here."""
        return self.codes + RESERVED

    @property
    def forbidden(self) -> list[int]:
        """What it can emit but must not inside an image: no code stands for these."""
        return list(range(self.codes, self.vision))
