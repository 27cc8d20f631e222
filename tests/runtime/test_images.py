"""Images are decoded and stacked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pytest_tfparity.errors import InputError
from pytest_tfparity.runtime.images import decode_images

tf = pytest.importorskip("tensorflow")


def test_images_are_decoded_and_stacked(tmp_path: Path) -> None:
    pixels = np.arange(2 * 4 * 3 * 3, dtype=np.uint8).reshape(2, 4, 3, 3)
    paths = [tmp_path / "one.png", tmp_path / "two.bmp"]
    paths[0].write_bytes(tf.io.encode_png(pixels[0]).numpy())
    paths[1].write_bytes(tf.io.encode_png(pixels[1]).numpy())
    decoded = decode_images(paths, 3)
    assert decoded.dtype == np.uint8
    np.testing.assert_array_equal(decoded, pixels)
    assert decode_images(paths, 1).shape == (2, 4, 3, 1)


def test_images_that_cannot_be_stacked_or_read_are_named(tmp_path: Path) -> None:
    small, wide, text = tmp_path / "small.png", tmp_path / "wide.png", tmp_path / "text.png"
    small.write_bytes(tf.io.encode_png(np.zeros((2, 3, 3), np.uint8)).numpy())
    wide.write_bytes(tf.io.encode_png(np.zeros((2, 5, 3), np.uint8)).numpy())
    text.write_text("no image")
    with pytest.raises(InputError, match=r"wide.png is 5 x 2 and .*small.png is 3 x 2"):
        decode_images([small, wide], 3)
    with pytest.raises(InputError, match=r"text.png is no image that TensorFlow can decode"):
        decode_images([text], 3)
    with pytest.raises(InputError, match=r"gone.png cannot be read: No such file"):
        decode_images([tmp_path / "gone.png"], 3)
