"""Texts for the regions of a layout, such as dishes, prices and street names, from patterns.

In a pattern, {w} is a random word by frequency, {W} the same in title case, {n} a number up to 99;
other names are lists of LISTS or forms of `_number`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from moyin.render import assets
from moyin.render.text import chinese, english, pick

LANGUAGES = ("zh", "en")
HALF = 40  # rank of words half as frequent as the first
_LISTS = {
    "cook": "红烧 清蒸 麻辣 糖醋 干锅 凉拌 香煎 宫保 葱爆 白灼 酱香 水煮",
    "food": "鱼 排骨 豆腐 茄子 鸡丁 牛肉 土豆丝 青菜 虾仁 羊肉 木耳 冬瓜",
    "shop": "书店 茶馆 面馆 超市 药房 花店 咖啡 烤鸭店 水果店 文具 照相馆 包子铺",
    "way": "路 街 大道 桥 公园 机场 车站 隧道 码头 广场",
    "surname": "李 王 张 刘 陈 杨 赵 黄 周 吴 徐 孙 胡 朱 高 林 何 郭 马 罗",
    "given": "明 华 丽 伟 芳 强 静 文 敏 磊 洋 艳 勇 杰 娟 涛 超 梅 宁 海 春 雪 安 平",
    "Cook": "Fried Steamed Spicy Grilled Roast Braised Baked Cold Smoked Crispy",
    "Food": "Fish Tofu Rice Noodles Chicken Beef Eggplant Prawns Lamb Mushrooms Duck",
    "Shop": "Books Cafe Bakery Flowers Market Pharmacy Tea Hotel Records Bikes Tailors",
    "Way": "Road Street Avenue Bridge Park Square Lane Hill Station Harbour",
    "First": "Anna Ben Clara David Emma Frank Grace Henry Iris Jack Kate Leo Mary Noah",
    "Last": "Smith Jones Brown Taylor Wilson Clark Hall Young King Wright Scott Green",
    "Month": "Jan Feb Mar Apr May June July Aug Sept Oct Nov Dec",
}
LISTS = {name: tuple(words.split()) for name, words in _LISTS.items()}
KINDS: dict[str, dict[str, tuple[str, ...]]] = {
    "title": {
        "zh": ("{w}", "{w}{w}", "{w}之{w}", "{w}与{w}", "{w}节", "{w}展", "新{w}", "我的{w}"),
        "en": ("{W}", "{W} {W}", "The {W}", "{W} of {W}", "{W} and {W}", "New {W}", "My {W}"),
    },
    "slogan": {
        "zh": ("让{w}更美好", "{w}从{w}开始", "{w}{w}，{w}{w}", "热烈庆祝{w}{w}", "为{w}加油"),
        "en": ("{W} for everyone", "The best {w} in town", "More {w}, more {w}", "We love {w}"),
    },
    "shop": {
        "zh": ("{w}{shop}", "老{surname}{shop}", "{surname}家{shop}", "{w}{w}店"),
        "en": ("{W} {Shop}", "The {W} {Shop}", "{Last} {Shop}", "{W} and {W}"),
    },
    "dish": {
        "zh": ("{cook}{food}", "{cook}{food}", "{food}炒{food}", "{w}{food}"),
        "en": ("{Cook} {Food}", "{Cook} {Food}", "{Food} with {w}", "{W} {Food}"),
    },
    "price": {"zh": ("{n}元", "{n}.00元", "{n}元/份"), "en": ("${n}", "${n}.50", "{n}.00")},
    "date": {
        "zh": ("{month}月{day}日", "{year}年{month}月{day}日", "{year}.{month}.{day}"),
        "en": ("{Month} {day}", "{day} {Month} {year}", "{Month} {day}, {time}", "Friday {time}"),
    },
    "phone": {"zh": ("电话：{phone}", "订座 {phone}", "{phone}"), "en": ("Tel {phone}", "{phone}")},
    "person": {"zh": ("{surname}{given}{given}", "{surname}{given}"), "en": ("{First} {Last}",)},
    "press": {"zh": ("{w}出版社", "{w}书局"), "en": ("{W} Press", "{W} Books")},
    "road": {"zh": ("{w}{way}", "{w}{way}", "{w}{w}"), "en": ("{W} {Way}", "{W} {Way}", "{W}")},
    "distance": {
        "zh": ("{n} km", "{hundreds} m", "{n}公里", "{hundreds}米"),
        "en": ("{n} km", "{hundreds} m", "{n} mi"),
    },
    "message": {
        "zh": ("你在{w}吗？", "我到{w}了", "好的！", "{w}怎么样？", "{time}见", "今天去{w}吧"),
        "en": ("Are you at the {w}?", "On my way", "See you at {time}", "OK!", "No {w} today"),
    },
    "point": {
        "zh": ("{w}与{w}", "提高{w}水平", "加强{w}管理", "{w}的{w}", "关于{w}", "{w}增长{n}%"),
        "en": ("{W} and {w}", "More {w}", "Plan the {w}", "{W} in {year}", "{W}: up {n}%"),
    },
    "page": {"zh": ("{n}", "第{n}页"), "en": ("{n}", "Page {n}")},
    "seat": {"zh": ("{n}排{n}座", "{n}号"), "en": ("Row {n} Seat {n}", "Seat {n}")},
    "code": {"zh": ("{code}", "编号{code}"), "en": ("{code}", "No. {code}")},
    "note": {
        "zh": ("欢迎光临", "敬请期待", "仅限今日", "免费入场", "请勿拍照", "每日{time}开门"),
        "en": ("Welcome", "Free entry", "One day only", "Open daily from {time}", "Thank you"),
    },
    "seal": {"zh": ("{surname}{given}之印", "{w}{w}", "{surname}{given}", "{w}"), "en": ("{W}",)},
    "motto": {"zh": ("{w}{w}",), "en": ("{W} {W}",)},
    "verse": {"zh": ("{w}{w}{w}{given}", "{w}{w}{given}", "{w}{given}{w}{w}"), "en": ("{W} {w}",)},
}  # fmt: skip


@dataclass(frozen=True)
class Phrases:
    """Random texts of the `count` most frequent Chinese characters."""

    count: int

    def __call__(self, kind: str, language: str, random: np.random.Generator) -> str:
        """A text of a kind in KINDS, in language zh or en."""
        for _ in range(20):
            text = self._fill(pick(KINDS[kind][language], random), language, random)
            if _hanzi(self.count).issuperset(re.findall("[一-鿿]", text)):
                return text[0].upper() + text[1:]
        # With few characters, no pattern may be possible.
        return chinese(self.count, 4, 1.0, random)

    def _fill(self, pattern: str, language: str, random: np.random.Generator) -> str:
        return re.sub(r"\{(\w+)\}", lambda match: self._part(match[1], language, random), pattern)

    def _part(self, name: str, language: str, random: np.random.Generator) -> str:
        if name in LISTS:
            return pick(LISTS[name], random)
        if name in ("w", "W"):
            words = _chinese_words(self.count) if language == "zh" else _english_words()
            word = frequent(words, random) if words else english(6, 1.0, random)
            return word.title() if name == "W" else word
        return _number(name, random)


def frequent(words: Sequence[str], random: np.random.Generator) -> str:
    """A random word of a list sorted by frequency. The probability of rank r is proportional to
    1 / (r + HALF), Zipf's law with Mandelbrot's shift."""
    rank = HALF * ((1 + len(words) / HALF) ** random.random() - 1)
    return words[min(int(rank), len(words) - 1)]


@cache
def _hanzi(count: int) -> frozenset[str]:
    return frozenset(assets.frequent_characters()[:count])


@cache
def _chinese_words(count: int) -> tuple[str, ...]:
    words = (word for word in assets.chinese_words() if len(word) == 2)
    return tuple(word for word in words if _hanzi(count).issuperset(word))


@cache
def _english_words() -> tuple[str, ...]:
    return tuple(word.lower() for word in assets.english_words() if len(word) <= 8)


def _number(name: str, random: np.random.Generator) -> str:
    def between(low: int, high: int) -> int:
        return int(random.integers(low, high))

    forms = {
        "n": lambda: f"{between(2, 100)}",
        "hundreds": lambda: f"{between(1, 10)}00",
        "year": lambda: f"{between(1990, 2040)}",
        "month": lambda: f"{between(1, 13)}",
        "day": lambda: f"{between(1, 29)}",
        "time": lambda: f"{between(7, 23)}:{between(0, 12) * 5:02d}",
        "phone": lambda: f"{between(100, 1000)}-{between(1000, 10000)}",
        "code": lambda: f"{between(10000, 100000)}",
    }
    return forms[name]()
