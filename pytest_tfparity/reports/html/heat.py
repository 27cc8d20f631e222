"""Grad-CAM as pictures: each map enlarged and laid over the image, made with Pillow."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageOps

from ...result_details import GradCam, HeatMap

_SMALLEST = 192
"""Pixels that a picture is wide at least, so that maps of small images are smooth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatPictures:
    """One image: as it is, with both maps over it, and where the export looks more (red) or less (blue)."""

    image: str
    reference: str
    export: str
    difference: str
    pixelated: bool


def pictures(found: GradCam) -> HeatPictures:
    """The pictures of one image, as ``data:`` addresses. Both maps have one scale."""
    image = Image.open(io.BytesIO(base64.b64decode(found.image.partition(",")[2]))).convert("RGB")
    factor = max(1, -(-_SMALLEST // found.width))
    size = (found.width * factor, found.height * factor)
    base = ImageOps.grayscale(image.resize(size, Image.Resampling.NEAREST)).convert("RGB")
    top = max(
        [value for side in (found.reference, found.export) for row in side.rows for value in row] + [1e-30]
    )
    maps = [
        _grey([[value / top for value in row] for row in side.rows], size)
        for side in (found.reference, found.export)
    ]
    return HeatPictures(
        image=found.image,
        reference=_over(base, maps[0]),
        export=_over(base, maps[1]),
        difference=_difference(base, found.reference, found.export, top, size),
        pixelated=factor > 1,
    )


def _grey(rows: Sequence[Sequence[float]], size: tuple[int, int]) -> Image.Image:
    """Values from 0 to 1 as a grey picture of ``size``, smooth in between."""
    small = Image.new("L", (len(rows[0]), len(rows)))
    small.putdata([round(255 * min(1.0, max(0.0, value))) for row in rows for value in row])
    return small.resize(size, Image.Resampling.BICUBIC)


def _over(base: Image.Image, heat: Image.Image) -> str:
    """``heat`` over ``base``: hot where the map is large, the image itself where it is 0."""
    colours = ImageOps.colorize(heat, black="#2c105c", mid="#e8483b", white="#fcf4a3")
    return _address(Image.composite(colours, base, heat.point(lambda value: min(220, 40 + value))))


def _difference(
    base: Image.Image, reference: HeatMap, export: HeatMap, top: float, size: tuple[int, int]
) -> str:
    """Red where the export's map is larger, blue where it is smaller."""
    shapes = [(len(side.rows), len(side.rows[0])) for side in (reference, export)]
    if shapes[0] != shapes[1]:
        return ""
    rows = [
        [(of_export - of_reference) / top for of_reference, of_export in zip(*pair, strict=True)]
        for pair in zip(reference.rows, export.rows, strict=True)
    ]
    picture = base
    for sign, colour in ((1, "#e02020"), (-1, "#2060ff")):
        strength = _grey([[sign * value for value in row] for row in rows], size)
        picture = Image.composite(Image.new("RGB", size, colour), picture, strength)
    return _address(picture)


def _address(picture: Image.Image) -> str:
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}"
