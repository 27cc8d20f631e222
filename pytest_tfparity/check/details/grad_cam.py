"""Grad-CAM of both sides: where in an image each of them sees what it answers.

The mean gradient of a channel is its weight; the weighted sum of the activations, where it is positive, is the
map. See Selvaraju et al., Grad-CAM (2017), https://arxiv.org/abs/1610.02391, equations 1 and 2.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from ...errors import ModelError
from ...formats.format import Role
from ...graph.graph import Array
from ...result_details import GradCam, HeatMap
from ...runtime.images import encoded_image
from ...settings.spec import GradCamSpec
from ..pair import Pair
from .numbers import short

MOST_IMAGES = 4
MOST_CLASSES = 3
"""What a page shows: each image and class is a row of three pictures, kept in report.json too."""
_SIDE = 224
"""Pixels that an image of the report is wide or high at most: the input of most image networks, shown as it is."""

GradCamArrays: TypeAlias = tuple[Array, Array, Array]
"""Image, activations, gradients."""


def grad_cam(
    pair: Pair,
    spec: GradCamSpec,
    inputs: Mapping[str, Array],
    expected: Mapping[str, Array],
    answers: Mapping[str, Array],
) -> tuple[GradCam, ...]:
    """The maps of the first images of the batch. Raises ModelError where the tensors are no images."""
    reference, export = _tensors(pair, spec, "reference", inputs), _tensors(pair, spec, "export", inputs)
    classes = {
        "reference": _classes(pair, "reference", expected),
        "export": _classes(pair, "export", answers),
    }
    return tuple(_maps(reference, export, classes))


def heat_maps(activations: Array, gradients: Array) -> npt.NDArray[np.float64]:
    """The maps [N, height, width] of activations and gradients, both [N, height, width, channels]."""
    weights = gradients.astype(np.float64).mean(axis=(1, 2), keepdims=True)
    weighted: npt.NDArray[np.float64] = (activations.astype(np.float64) * weights).sum(axis=3)
    return np.maximum(weighted, 0.0)


def _tensors(pair: Pair, spec: GradCamSpec, role: Role, inputs: Mapping[str, Array]) -> GradCamArrays:
    names = [getattr(getattr(spec, what), role) for what in ("image", "activations", "gradients")]
    feeds = {getattr(entry, role): np.asarray(inputs[entry.reference]) for entry in pair.inputs}
    found = pair.model(role).run(feeds, names, session=pair.spec.session)
    image, activations, gradients = (_one_batch(np.asarray(found[name])) for name in names)
    if activations.ndim != 4 or activations.shape != gradients.shape:
        raise ModelError(
            f"{names[1]} has shape {list(activations.shape)} and {names[2]} {list(gradients.shape)}; both must be"
            " [batch, height, width, channels]."
        )
    if image.ndim != 4 or min(image.shape[1], image.shape[3]) > 4:
        raise ModelError(f"{names[0]} has shape {list(image.shape)}, which is no batch of images.")
    if image.shape[3] > 4:  # channels first, as the graph computes
        image, activations, gradients = (
            array.transpose(0, 2, 3, 1) for array in (image, activations, gradients)
        )
    return image, activations, gradients


def _one_batch(answer: Array) -> Array:
    """Answers to one file at a time, each a batch of its own, as one batch."""
    return answer.reshape(-1, *answer.shape[2:]) if answer.ndim == 5 else answer


def _maps(
    reference: GradCamArrays,
    export: GradCamArrays,
    classes: Mapping[str, list[tuple[tuple[int, float], ...]]],
) -> Iterator[GradCam]:
    images = reference[0]
    maps = heat_maps(*reference[1:]), heat_maps(*export[1:])
    for index in range(min(len(maps[0]), len(maps[1]), len(images), MOST_IMAGES)):
        picture = _pixels(images[index])
        address, width, height = encoded_image(picture, _SIDE)
        yield GradCam(
            image=address,
            width=width,
            height=height,
            reference=_heat_map(maps[0][index], classes["reference"], index),
            export=_heat_map(maps[1][index], classes["export"], index),
        )


def _heat_map(
    rows: npt.NDArray[np.float64], classes: list[tuple[tuple[int, float], ...]], index: int
) -> HeatMap:
    return HeatMap(
        rows=tuple(tuple(short(value) for value in row) for row in np.nan_to_num(rows)),
        classes=classes[index] if index < len(classes) else (),
    )


def _pixels(image: Array) -> npt.NDArray[np.uint8]:
    """An image of any scale as bytes, the smallest value black, the largest white; grey or RGB."""
    if image.shape[2] != 3:
        image = image[..., :3] if image.shape[2] == 4 else image[..., :1]
    if image.dtype == np.uint8:
        return np.asarray(image)
    values = np.nan_to_num(image.astype(np.float64))
    low, high = float(values.min()), float(values.max())
    scaled = (values - low) / (high - low) if high > low else np.zeros_like(values)
    return np.round(scaled * 255.0).astype(np.uint8)


def _classes(pair: Pair, role: Role, arrays: Mapping[str, Array]) -> list[tuple[tuple[int, float], ...]]:
    """The likeliest classes of each image, by the first output that is a row of numbers an image."""
    for output in pair.outputs:
        array = arrays.get(getattr(output, role))
        if array is not None and array.ndim == 2 and array.shape[1] > 1 and array.dtype.kind == "f":
            return [_likeliest(row) for row in array]
    return []


def _likeliest(row: Array) -> tuple[tuple[int, float], ...]:
    best = np.argsort(-np.nan_to_num(row.astype(np.float64), nan=-np.inf), kind="stable")[:MOST_CLASSES]
    return tuple((int(index), short(row[index])) for index in best if np.isfinite(row[index]))
