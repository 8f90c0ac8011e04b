"""The phrasings of Chinese captions."""

from __future__ import annotations

from moyin.render.phrasings.phrasing import Kind, Phrasing, clause, unplaced

PLAIN = (
    Phrasing(
        opening="一张{ground}，",
        line="{place}{coloured}写着{quote}",
        bare="{coloured}写着{quote}",
        thing="{place}有{object}",
        colour="用{colour}",
        link="，",
        last="，",
    ),
    Phrasing(
        opening="{ground}，",
        line="{coloured}文字{quote}在{place}",
        bare="{coloured}文字{quote}",
        thing="{object}在{place}",
        colour="{colour}",
        link="，",
        last="，",
        end="。",
    ),
    Phrasing(
        opening="画一张{ground}，",
        line="在{place}写上{coloured}{quote}",
        bare="写上{coloured}{quote}",
        thing="{place}画{object}",
        colour="{colour}的",
        link="，",
        last="，",
        end="。",
    ),
    Phrasing(
        opening="设计一张{ground}，",
        line="{place}是{coloured}{quote}",
        thing="{place}是{object}",
        colour="{colour}的",
        link="，",
        last="，",
    ),
    Phrasing(
        opening="一张{ground}，",
        line="{coloured}{noun}{quote}位于{place}",
        thing="{object}位于{place}",
        colour="{colour}的",
        link="，",
        last="，",
        end="。",
    ),
    Phrasing(
        opening="在{ground}上，",
        line="{place}印着{coloured}{noun}{quote}",
        bare="印着{coloured}{noun}{quote}",
        thing="{place}放着{object}",
        colour="{colour}",
        link="，",
        last="，",
    ),
    Phrasing(
        opening="请做一张{ground}：",
        line="{place}写{quote}{coloured}",
        thing="{place}有{object}",
        colour="，用{colour}",
        link="；",
        last="；",
        end="。",
    ),
)


def _says(line: str, thing: str, colour: str = "{colour}的", end: str = "") -> Phrasing:
    return clause(line, "", thing, colour, link="，", last="，", end=end)


KINDS = (
    Kind(
        openings=(
            "一张{ground}，",
            "{ground}，",
            "这是一张{ground}，",
            "图中是一张{ground}，",
            "画面是一张{ground}，",
            "眼前是一张{ground}，",
            "图片展示了一张{ground}，",
            "照片里是一张{ground}：",
            "看，一张{ground}，",
        ),
        clauses=(
            _says("{place}{coloured}写着{quote}", "{place}有{object}", "用{colour}"),
            _says("{coloured}{noun}{quote}在{place}", "{object}在{place}", "{colour}", "。"),
            _says("{place}是{coloured}{noun}{quote}", "{place}是{object}", end="。"),
            _says("{coloured}{noun}{quote}位于{place}", "{object}位于{place}"),
            _says("{place}印着{coloured}{noun}{quote}", "{place}放着{object}", "{colour}", "。"),
            _says("{place}有{coloured}{noun}{quote}", "{place}有{object}"),
            _says("{place}{coloured}写有{quote}", "{place}画着{object}", "以{colour}", "。"),
            _says("{place}的{noun}是{quote}{coloured}", "{place}是{object}", "，{colour}", "。"),
            _says("{quote}{coloured}写在{place}", "{object}画在{place}", "用{colour}"),
            _says("{place}可以看到{coloured}{quote}", "{place}可以看到{object}", end="。"),
            _says("{place}显示着{coloured}{noun}{quote}", "{place}出现了{object}", "{colour}"),
        ),
    ),
    Kind(
        openings=(
            "画一张{ground}，",
            "设计一张{ground}，",
            "请画一张{ground}，",
            "请做一张{ground}：",
            "请生成一张{ground}，",
            "帮我做一张{ground}，",
            "我想要一张{ground}，",
            "制作一张{ground}：",
            "绘制一张{ground}，",
            "来一张{ground}，",
            "给我画一张{ground}，",
            "需要一张{ground}，",
        ),
        clauses=(
            _says("在{place}写上{coloured}{quote}", "{place}画{object}", end="。"),
            _says("{place}写{quote}{coloured}", "{place}画上{object}", "，用{colour}"),
            _says("{place}放上{coloured}{noun}{quote}", "{place}放上{object}", end="。"),
            _says("{place}加上{coloured}{noun}{quote}", "{place}加上{object}"),
            _says("把{coloured}{quote}写在{place}", "把{object}画在{place}", end="。"),
            _says("{place}要有{coloured}{noun}{quote}", "{place}要有{object}"),
            _says("{place}{coloured}印上{quote}", "{place}配上{object}", "用{colour}", "。"),
            _says(
                "{noun}{quote}{coloured}放在{place}", "{object}放在{place}", "用{colour}，", "。"
            ),
        ),
    ),
    Kind(
        openings=("在{ground}上，", "{ground}上，", "就在{ground}上，"),
        clauses=(
            _says("{place}印着{coloured}{noun}{quote}", "{place}放着{object}", "{colour}"),
            _says("{place}{coloured}写着{quote}", "{place}有{object}", "用{colour}", "。"),
            _says("能看到{coloured}{quote}在{place}", "{object}在{place}"),
            _says("{place}题着{coloured}{quote}", "{place}画着{object}", end="。"),
        ),
    ),
    Kind(
        openings=("一张写着", "一张印有", "画一张写着", "请做一张写有", "设计一张带有"),
        clauses=(
            clause("{quote}", "", "画着{object}", "", link="、", last="、"),
            clause("{coloured}{quote}", "", "画着{object}", "{colour}的", link="、", last="、"),
            clause("{coloured}{noun}{quote}", "", "画着{object}", "{colour}", link="、", last="、"),
        ),
        end="的{ground}",
    ),
    Kind(
        openings=("{ground}：", "{ground}，文字是", "{ground}，上面写着", "一张{ground}，写的是"),
        clauses=(
            clause("{quote}", "", "还有{object}", "", link="，", last="，"),
            clause("{quote}{coloured}", "", "还有{object}", "（{colour}）", link="，", last="，"),
        ),
    ),
)


# Fragments instead of sentences.
FRAGMENTS = (
    Kind(
        openings=("{ground}，", "{ground}：", "{ground} ", "要{ground}，", "{ground}。"),
        clauses=(
            _says("{place}{coloured}{quote}", "{place}{object}", "{colour}"),
            _says("{coloured}{quote}，{place}", "{object}，{place}", "{colour}"),
            _says("{coloured}{noun}{quote}，{place}", "{object}，{place}", "{colour}"),
            _says("{quote}{coloured}，{place}", "{object}，{place}", "，{colour}"),
            _says("{place}：{quote}{coloured}", "{place}：{object}", "，{colour}"),
            _says("{quote}在{place}{coloured}", "{object}在{place}", "，{colour}"),
            _says("{place}要有{quote}{coloured}", "{place}要有{object}", "，{colour}字"),
            _says("写{quote}，{place}{coloured}", "{object}，{place}", "，{colour}"),
        ),
    ),
    Kind(
        openings=("", "写", "文字"),
        clauses=(
            _says("{quote}{coloured}，{place}", "{object}，{place}", "，{colour}"),
            _says("{quote}，{place}{coloured}", "{object}，{place}", "，{colour}"),
        ),
        end="，{ground}",
    ),
)
# Without the background, or the colour, and the place.
BRIEF = (
    Kind(
        openings=(
            "",
            "写",
            "请写",
            "写上",
            "帮我写",
            "就写",
            "画",
            "只要",
            "内容：",
            "文字是",
            "我想写",
        ),
        clauses=(
            unplaced("{quote}"),
            unplaced("{coloured}{quote}", "{colour}的"),
            unplaced("{quote}{coloured}", "，{colour}"),
        ),
    ),
    Kind(
        openings=(
            "海报，",
            "一张海报，",
            "请帮我做一张海报，",
            "生成一张图片，",
            "画一张卡片，",
            "来一张{theme}海报，",
            "一张{theme}的海报，",
            "设计一张{theme}卡片，",
            "我要一张{theme}的图片，",
        ),
        clauses=(
            unplaced("写着{quote}"),
            unplaced("上面写{quote}"),
            unplaced("内容是{quote}"),
            unplaced("上面的{noun}是{quote}"),
            unplaced("写上{coloured}{quote}", "{colour}的"),
            unplaced("印着{coloured}{noun}{quote}", "{colour}"),
            unplaced("文字是{quote}{coloured}", "，{colour}"),
        ),
    ),
    Kind(
        openings=("画一张写着", "做一张带有", "我要一张写了", "生成一张印着", "来一张有"),
        clauses=tuple(
            unplaced(line, colour, end)
            for line, colour in (("{quote}", ""), ("{coloured}{quote}", "{colour}的"))
            for end in ("的海报", "字样的图片", "的{theme}卡片")
        ),
    ),
    Kind(openings=("帮我写个", "来个", "画个"), clauses=(unplaced("{quote}"),), end="字"),
)
# Values of {theme}.
THEMES = (
    "班会",
    "婚礼",
    "春节",
    "电影",
    "饭店",
    "公园",
    "店铺",
    "会议",
    "教室",
    "开业",
    "旅行",
    "面包店",
    "咖啡店",
    "生日",
    "市集",
    "书店",
    "图书馆",
    "夏天",
    "新年",
    "学校",
    "音乐会",
    "运动会",
    "中秋",
)
