"""A vision-language model that writes captions, behind a server with OpenAI's chat completions."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from moyin.clients.chat import Chat, message

Pixels = np.ndarray[Any, np.dtype[np.uint8]]  # [H, W, 3] RGB

SYSTEM = """\
You write captions from which a picture generator learns. Say what the picture shows: the subject, \
its surroundings, colours, layout and style, in one paragraph of at most 80 words. Copy every text \
that can be read in the picture exactly, character by character, in double quotation marks, and \
say where it stands and how it looks; put nothing else in quotation marks.
Answer with two lines and nothing else: the caption in English, and the same in Chinese."""


@dataclass(frozen=True, kw_only=True)
class Captioner(Chat):
    """Asks for an English and a Chinese caption of an image."""

    KEY: ClassVar[str] = "MOYIN_CAPTION_KEY"
    NAME: ClassVar[str] = "captioner"
    WITHOUT: ClassVar[str] = "leave caption.url out"

    def __call__(self, image: Pixels) -> tuple[str, ...]:
        """The lines of the answer. ValueError where the endpoint gives none."""
        content = io.BytesIO()
        Image.fromarray(image).save(content, "PNG")
        data = base64.b64encode(content.getvalue()).decode()
        shown = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}
        answer = self.ask([message("system", SYSTEM), message("user", [shown])])
        return tuple(line.strip() for line in answer.splitlines() if line.strip())
