"""An OCR engine that knows the perfect renders by heart and reads nothing else."""

from __future__ import annotations

from collections.abc import Sequence

from moyin.evaluate.task import Item, Suite
from moyin.ocr.detectors import foreground_box
from moyin.ocr.engine import character_views, crop
from moyin.ocr.result import OCRResult, Pixels


class Oracle:
    """Says an item's texts when it is shown its perfect render; of others, what `told` says."""

    name = "an oracle"

    def __init__(self, suite: Suite, items: Sequence[Item] | None = None) -> None:
        items = suite.items if items is None else items
        self.known = {}
        for item in items:
            image = suite.perfect(item)
            box = foreground_box(image)
            self.known[_key(image)] = item.texts
            if box:
                for view in [crop(image, box), *character_views(image, box)]:
                    self.known[_key(view)] = item.texts
        self.read_count = 0

    def read(self, image_hwc: Pixels) -> Sequence[OCRResult]:
        self.read_count += 1
        return [OCRResult(text, 1.0) for text in self.known.get(_key(image_hwc), ())]

    def recognise(self, crop_hwc: Pixels) -> OCRResult:
        self.read_count += 1
        return OCRResult(" ".join(self.known.get(_key(crop_hwc), ())), 1.0)


def _key(image_hwc: Pixels) -> bytes:
    return image_hwc.tobytes()
