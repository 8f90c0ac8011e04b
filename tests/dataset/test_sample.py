from __future__ import annotations

import json
from dataclasses import astuple, replace

import numpy as np

from moyin.dataset.sample import DrawnObject, Line, Sample


def test_everything_but_the_image_survives_json() -> None:
    image = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    box, characters = (1.0, 2.0, 3.5, 4.0), ((1.0, 2.0, 2.0, 4.0),) * 2
    line = Line("春A", box, characters, (box,) * 2, "red", "Some", "middle")
    thing = DrawnObject("a cat", "猫", (0.0, 0.0, 1.0, 1.0), "top left")
    ground = {"kind": "flat", "colour": "white"}
    sample = Sample(image, ("“春A”",), (line,), ground, (thing,), seed=3, index=9)
    text = json.dumps(sample.to_json(), ensure_ascii=False)
    again = Sample.from_json(json.loads(text), image)
    assert (again.lines, again.objects) == ((line,), (thing,))
    assert again.to_json() == sample.to_json()


def test_what_layouts_add_survives_json_and_need_not_be_there() -> None:
    box, quad = (1.0, 2.0, 3.5, 4.0), (1.0, 2.0, 3.5, 2.0, 3.5, 4.0, 1.0, 4.0)
    line = Line("春", box, (box,), (box,), "red", "Some", "middle", "title", quad, (quad,), True)
    line = replace(line, effects=("shadow",))
    image = np.zeros((4, 4, 3), np.uint8)
    sample = Sample(image, ("“春”",), (line,), {"kind": "flat"}, (), 3, 9, "menu", dropped=2)
    fields = json.loads(json.dumps(sample.to_json()))
    again = Sample.from_json(fields, image)
    assert again.lines == (line,)
    assert (again.layout, again.dropped) == ("menu", 2)
    for name in ("layout", "dropped"):
        del fields[name]
    for name in ("role", "quad", "quads", "vertical", "effects"):
        del fields["lines"][0][name]
    assert Sample.from_json(fields, image).lines == (Line(*([*astuple(line)[:7]])),)
