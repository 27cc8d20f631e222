"""Faults of preprocessing and layout."""

from __future__ import annotations

import tensorflow as tf

from faults.corpus import Case, Reference
from faults.operations import (
    BLOCKS,
    CAMERA,
    SCANNER,
    at,
    channels_first,
    found,
    from_jpeg,
    resized,
    reversed_by_slices,
    reversed_channels,
    turned,
)

v1 = tf.compat.v1

PREPROCESSING = (
    Case(
        name="the export reverses the channels of the image",
        reference=CAMERA,
        changes={"preprocess/reverse": reversed_channels},
        findings=found("channel-order", at("preprocess/reverse")),
    ),
    Case(
        name="the export reverses the channels by a slice",
        reference=CAMERA,
        changes={"preprocess/reverse": reversed_by_slices},
        findings=found("channel-order", at("preprocess/reverse")),
    ),
    Case(
        name="the export lacks the reversal of the channels",
        reference=SCANNER,
        changes={"input/swapped": None},
        findings=found("channel-order", at("input/swapped")),
    ),
    Case(
        name="the export scales pixels to other bounds",
        reference=CAMERA,
        changes={
            "preprocess/mean": lambda x, name: tf.subtract(x, 127.5, name=name),
            "preprocess/scale": lambda x, name: tf.multiply(x, 1 / 127.5, name=name),
        },
        findings=found("input-scaling|preprocess-const", at("preprocess/mean"), at("preprocess/scale")),
    ),
    Case(
        name="the export leaves pixels as they are",
        reference=SCANNER,
        changes={"input/scaled": tf.identity},
        findings=found("input-scaling", at("input/scaled")),
    ),
    Case(
        name="the export divides where the checkpoint subtracts and multiplies",
        reference=Reference(
            network="camera",
            changes={"preprocess/mean": lambda x, name: tf.subtract(x, 127.5, name=name)},
        ),
        changes={
            "preprocess/mean": None,
            "preprocess/scale": lambda x, name: tf.divide(x, 255.0, name=name),
        },
        findings=found("input-scaling", at("preprocess/mean") + "|" + at("preprocess/scale")),
    ),
    Case(
        name="the export subtracts another mean",
        reference=CAMERA,
        changes={"preprocess/mean": lambda x, name: tf.subtract(x, [123.7, 116.8, 103.9], name=name)},
        findings=found("preprocess-const|input-scaling", at("preprocess/mean")),
    ),
    Case(
        name="the export multiplies the input by another factor",
        reference=SCANNER,
        changes={"input/scaled": lambda x, name: tf.subtract(x * 1.9, 1.0, name=name)},
        findings=found("preprocess-const|input-scaling", at("input/mul")),
    ),
    Case(
        name="the export does not crop the image",
        reference=CAMERA,
        changes={"preprocess/crop": None},
        findings=found("preprocess-missing", at("preprocess/crop")),
    ),
    Case(
        name="the export does not pad the image",
        reference=SCANNER,
        changes={"input/padded": None},
        findings=found("preprocess-missing", at("input/padded")),
    ),
    Case(
        name="the export resizes with aligned corners",
        reference=CAMERA,
        changes={"preprocess/resize": resized(v1.image.resize_bilinear, align_corners=True)},
        findings=found("resize-attr", at("preprocess/resize")),
    ),
    Case(
        name="the export resizes with half pixel centres",
        reference=SCANNER,
        changes={
            "input/resized": lambda x, name: tf.raw_ops.ResizeNearestNeighbor(
                images=x, size=[6, 6], half_pixel_centers=True, name=name
            )
        },
        findings=found("resize-attr", at("input/resized")),
    ),
    Case(
        name="the export resizes by the nearest neighbour",
        reference=CAMERA,
        changes={"preprocess/resize": resized(v1.image.resize_nearest_neighbor)},
        findings=found("resize-op", at("preprocess/resize")),
    ),
    Case(
        name="the export resizes bilinearly where the nearest neighbour is meant",
        reference=SCANNER,
        changes={"input/resized": lambda x, name: v1.image.resize_bilinear(x, [6, 6], name=name)},
        findings=found("resize-op", at("input/resized")),
    ),
    Case(
        name="the export decodes JPEG in another way",
        reference=Reference(network="camera", changes={"preprocess/cast": from_jpeg()}),
        changes={"preprocess/cast": from_jpeg(dct_method="INTEGER_FAST", fancy_upscaling=False)},
        findings=found("decode-attr", "preprocess/cast|preprocess/cast/map_1|preprocess/cast/map_1/while"),
    ),
    Case(
        name="the export decodes a string of JPEG in another way",
        reference=Reference(network="album"),
        changes={"decoder": {"dct_method": "INTEGER_FAST", "fancy_upscaling": False}},
        findings=found("decode-attr", "decoded|decoded/while|decoded/while/decode"),
    ),
    Case(
        name="the export transposes the image",
        reference=CAMERA,
        changes={"preprocess/turn": turned},
        findings=found("axis-transposed", at("preprocess/turn")),
    ),
    Case(
        name="the export does not transpose the image",
        reference=Reference(network="scanner", changes={"input/turned": turned}),
        changes={"input/turned": None},
        findings=found("axis-transposed", at("input/turned")),
    ),
    Case(
        name="the export flattens channels first",
        reference=CAMERA,
        changes={"flatten": channels_first(96)},
        findings=found("flatten-order", "flatten"),
    ),
    Case(
        name="the export flattens channels last where channels first is meant",
        reference=Reference(network="scanner", changes={"flat": channels_first(54)}),
        changes={"flat": lambda x, name: tf.reshape(x, [-1, 54], name=name)},
        findings=found("flatten-order", "flat"),
    ),
    Case(
        name="a strided convolution pads explicitly",
        reference=BLOCKS,
        changes={"block2/conv": {"padding": [[0, 0], [1, 1], [1, 1], [0, 0]]}},
        findings=found("padding", "block2/conv"),
    ),
    Case(
        name="a strided convolution lacks the padding before it",
        reference=Reference(
            network="blocks",
            changes={
                "block2/pad": lambda x, name: tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]], name=name),
                "block2/conv": {"padding": "VALID"},
            },
        ),
        changes={"block2/pad": None, "block2/conv": {"padding": "SAME"}},
        findings=found("padding", "block2/conv|block2/pad|block2"),
    ),
)
