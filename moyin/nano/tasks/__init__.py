"""What nano adds to evaluation: importing this registers it."""

from __future__ import annotations

from moyin.evaluate import token_layouts
from moyin.nano.codebook_layout import recorded_layout

token_layouts.register(recorded_layout)
