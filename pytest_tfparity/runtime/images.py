"""Image files as arrays, decoded by TensorFlow as a graph would decode them."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from .importing import first_line
from .tensorflow import tensorflow

_LOSSLESS = 64 * 64
"""Pixels up to which an image is kept as it is."""


def decode_images(paths: Sequence[Path], channels: int) -> npt.NDArray[np.uint8]:
    """The images as one uint8 array [number, height, width, channels].

    PNG, JPEG, BMP and the first frame of a GIF. Raises InputError naming the file: missing, not an image,
    another number of channels than it can be decoded to, another size than the first.
    """
    if not paths:
        raise InputError("No image files are named.")
    decoded = [_decoded(path, channels) for path in paths]
    for path, image in zip(paths, decoded, strict=True):
        if image.shape != decoded[0].shape:
            raise InputError(
                f"{path} is {_size(image)} and {paths[0]} is {_size(decoded[0])};"
                " images of one input must be of one size."
            )
    return np.stack(decoded)


def _decoded(path: Path, channels: int) -> npt.NDArray[np.uint8]:
    tf = tensorflow()
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"The image {path} cannot be read: {error.strerror or error}.") from None
    # A graph and session of its own: eager execution may be switched off by the project.
    with tf.Graph().as_default() as graph, tf.compat.v1.Session(graph=graph) as session:
        image = tf.io.decode_image(data, channels=channels, expand_animations=False)
        try:
            array: npt.NDArray[Any] = session.run(image)
        except tf.errors.OpError as error:
            raise InputError(f"{path} is no image that TensorFlow can decode: {first_line(error)}.") from None
    if array.ndim != 3 or array.shape[2] != channels:
        raise InputError(f"{path} has shape {list(array.shape)}, not height, width and {channels} channels.")
    return array.astype(np.uint8, copy=False)


def _size(image: npt.NDArray[np.uint8]) -> str:
    height, width, _ = image.shape
    return f"{width} x {height}"


def encoded_image(image: npt.NDArray[np.uint8], side: int) -> tuple[str, int, int]:
    """An image [height, width, channels] as a ``data:`` address, its width and its height.

    Larger ones are made smaller so that neither side is longer than ``side`` pixels; small ones are kept bit for
    bit. Grey or RGB.
    """
    tf = tensorflow()
    height, width = image.shape[:2]
    scale = min(1.0, side / max(height, width))
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    with tf.Graph().as_default() as graph, tf.compat.v1.Session(graph=graph) as session:
        pixels = tf.constant(image)
        if scale < 1.0:
            pixels = tf.cast(tf.round(tf.image.resize(pixels, size, method="area")), tf.uint8)
        small = size[0] * size[1] <= _LOSSLESS
        encoded = tf.io.encode_png(pixels) if small else tf.io.encode_jpeg(pixels, quality=90)
        data: bytes = session.run(encoded)
    kind = "png" if small else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}", size[1], size[0]
