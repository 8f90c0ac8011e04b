"""What every image says of itself: how it was made, and that a machine made it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from moyin import __version__

SOFTWARE = f"Moyin {__version__}"
# IPTC's word for images made by a trained model:
# https://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia
LABEL = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
XMP_KEY = "XML:com.adobe.xmp"

_SPACES = {
    "x": "adobe:ns:meta/",
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "dc": "http://purl.org/dc/elements/1.1/",
    "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
}
# Characters that XML 1.0 cannot carry, nor PNG text the first of them.
_UNWRITABLE = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def save_png(pixels_hwc: np.ndarray[Any, Any], path: Path, facts: Mapping[str, Any]) -> None:
    """Write uint8 [H, W, 3] as a PNG with `facts` as text and the AI-generated label as XMP.

    The file appears whole or not at all. Raises OSError where it cannot be written.
    """
    check_path(path)
    info = PngInfo()
    for key, value in {**facts, "Software": SOFTWARE, "DigitalSourceType": LABEL}.items():
        info.add_itxt(key, _UNWRITABLE.sub("", str(value)))
    info.add_itxt(XMP_KEY, xmp(str(facts.get("prompt", ""))))
    part = _part(path)
    try:
        Image.fromarray(pixels_hwc).save(part, "PNG", pnginfo=info)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def check_path(path: Path) -> None:
    """Makes the parent folder. ValueError where no PNG can be written at this path."""
    if path.suffix.lower() != ".png":
        raise ValueError(f"{path}: images are written as PNG, so the name must end in .png")
    check_writable(path)


def check_writable(path: Path, option: str = "--out") -> None:
    """Makes the parent folder. ValueError, which names the option, where no file can be written."""
    if path.is_dir():
        raise ValueError(f"{path} is a folder: give {option} the name of a file")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = _part(path)
        part.touch()
        part.unlink()
    except OSError as e:
        raise ValueError(
            f"{path} cannot be written ({e.strerror}): choose another {option}"
        ) from None


def _part(path: Path) -> Path:
    """Where a file is written before it takes its place."""
    return path.with_name(f".{path.name}.{os.getpid()}.part")


def read_png(path: Path) -> dict[str, str]:
    """The text chunks of a PNG."""
    with Image.open(path) as image:
        return {str(k): str(v) for k, v in image.info.items() if isinstance(v, str)}


def xmp(description: str) -> str:
    """An XMP packet (ISO 16684-1) with software, description and digital source type."""
    for prefix, space in _SPACES.items():
        ET.register_namespace(prefix, space)
    meta = ET.Element(_name("x", "xmpmeta"))
    rdf = ET.SubElement(meta, _name("rdf", "RDF"))
    about = ET.SubElement(rdf, _name("rdf", "Description"), {_name("rdf", "about"): ""})
    ET.SubElement(about, _name("xmp", "CreatorTool")).text = SOFTWARE
    ET.SubElement(about, _name("Iptc4xmpExt", "DigitalSourceType")).text = LABEL
    choices = ET.SubElement(ET.SubElement(about, _name("dc", "description")), _name("rdf", "Alt"))
    language = {"{http://www.w3.org/XML/1998/namespace}lang": "x-default"}
    text = ET.SubElement(choices, _name("rdf", "li"), language)
    text.text = _UNWRITABLE.sub("", description)
    body = ET.tostring(meta, encoding="unicode")
    start = '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    return f'{start}{body}<?xpacket end="w"?>'


def _name(prefix: str, local: str) -> str:
    return f"{{{_SPACES[prefix]}}}{local}"
