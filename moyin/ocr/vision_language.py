"""A vision-language model as OCR engine, behind a chat endpoint that takes images."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Sequence

from PIL import Image

from moyin.clients.http import Refused, Server
from moyin.ocr.result import OCRResult, Pixels

KEY = "MOYIN_VISION_KEY"
NOTHING = "NO TEXT"
ASK = (
    "Copy all text that stands in this image, line by line from top to bottom, exactly as it is "
    "written, mistakes included. Answer with the text alone, each line once. If there is no text, "
    f"answer {NOTHING}."
)
# What a reasoning model writes first where its server does not take it out.
_THOUGHTS = re.compile(r"\A\s*<think>.*?(?:</think>|\Z)", re.DOTALL)


class VisionLanguageOCR:
    """Asks `{url}/chat/completions` once an image, at temperature 0.

    Raises ValueError as `remote.Server` does; a model that writes no text is `Refused`.
    """

    def __init__(self, *, url: str, model: str, server: Server | None = None) -> None:
        self.model = model
        self.server = server or Server(url=url, key=KEY)
        self.name = f"{model} (vision-language model)"

    def read(self, image_hwc: Pixels) -> Sequence[OCRResult]:
        """The lines it writes; it gives no boxes, and its confidence is always 1."""
        return [OCRResult(line, 1.0) for line in self._ask(image_hwc)]

    def recognise(self, crop_hwc: Pixels) -> OCRResult:
        return OCRResult(" ".join(self._ask(crop_hwc)), 1.0)

    def _ask(self, image_hwc: Pixels) -> list[str]:
        png = io.BytesIO()
        Image.fromarray(image_hwc).save(png, "PNG", compress_level=1)
        data = "data:image/png;base64," + base64.b64encode(png.getvalue()).decode()
        content = [
            {"type": "image_url", "image_url": {"url": data}},
            {"type": "text", "text": ASK},
        ]
        messages = [{"role": "user", "content": content}]
        request = {"model": self.model, "messages": messages, "temperature": 0}
        answer = self.server.post("chat/completions", request)
        try:
            said = answer["choices"][0]["message"]["content"]
        except (KeyError, IndexError, TypeError):
            said = None
        if not isinstance(said, str):
            raise Refused(f"{self.server.url} gives no choices: check address and model")
        text = _THOUGHTS.sub("", said).strip()
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        return [] if text.strip(" .'\"").upper() == NOTHING else lines
