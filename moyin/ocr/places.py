"""The nine places of an image, and how prompts name them in English and Chinese."""

from __future__ import annotations

PLACES = (
    ("top left", "top", "top right"),
    ("left", "middle", "right"),
    ("bottom left", "bottom", "bottom right"),
)
CHINESE = {
    "top left": ("左上角", "左上方"),
    "top": ("上方", "顶部"),
    "top right": ("右上角", "右上方"),
    "left": ("左侧", "左边"),
    "middle": ("中间", "中央", "正中"),
    "right": ("右侧", "右边"),
    "bottom left": ("左下角", "左下方"),
    "bottom": ("下方", "底部"),
    "bottom right": ("右下角", "右下方"),
}
ENGLISH = {
    "top left": ("in the top left corner", "at the top left"),
    "top": ("at the top",),
    "top right": ("in the top right corner", "at the top right"),
    "left": ("on the left",),
    "middle": ("in the middle", "in the center"),
    "right": ("on the right",),
    "bottom left": ("in the bottom left corner", "at the bottom left"),
    "bottom": ("at the bottom",),
    "bottom right": ("in the bottom right corner", "at the bottom right"),
}


def place_of(box: tuple[float, float, float, float], height: int, width: int) -> str:
    """The place of a box (left, top, right, bottom) in an image of any shape: the third, in each
    direction, that contains its centre."""
    row = int((box[1] + box[3]) / 2 * 3 / height)
    column = int((box[0] + box[2]) / 2 * 3 / width)
    return PLACES[min(2, max(0, row))][min(2, max(0, column))]
