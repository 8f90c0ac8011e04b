from __future__ import annotations

import pytest

from moyin.ocr.colours import COLOURS
from moyin.render import backgrounds
from moyin.render.captions import ROLES
from moyin.render.fonts import STYLES
from moyin.render.layouts import shipped
from moyin.render.phrases import KINDS

NAMES = (
    *("poster", "banner", "shop sign", "book cover", "slide", "menu", "ticket", "chat", "seal"),
    *("couplet", "blackboard", "road sign"),
)


def test_these_layouts_ship() -> None:
    assert set(shipped()) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_description_names_what_there_is(name: str) -> None:
    layout = shipped()[name]
    assert set(COLOURS) >= {*layout.colours, *layout.inks}
    assert set(backgrounds.KINDS) >= set(layout.grounds)
    assert set(STYLES) >= set(layout.styles)
    assert {"zh", "en"} >= set(layout.languages)
    assert sum(region.main for region in layout.regions) == 1
    most = sum(layout.rows[1] if region.rows else 1 for region in layout.regions)
    assert 1 <= most <= 12
    for region in layout.regions:
        assert region.kind in KINDS
        assert region.role in {*ROLES, ""}
        assert {"outline", "shadow", "gradient", "turn", "arch"} >= set(region.effects)
        assert region.align in ("left", "middle", "right")
    for panel in layout.panels:
        assert {*COLOURS, "", "ink", "bubble"} >= {panel.fill, panel.edge}
    for part in (*layout.regions, *layout.panels):
        left, top, right, bottom = part.box
        assert 0 <= left < right <= 1
        assert 0 <= top < bottom <= 1
