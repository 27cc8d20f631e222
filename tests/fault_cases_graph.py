"""Faults of the graph: wiring, preprocessing, layout, random ops, passes, what cannot be compared."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from fault_graphs import custom_op, cut_at, fused_pad, removed, scaled, unfrozen, updating
from fault_weights import Weights, of_layers
from faults import Case, Found, Reference

v1 = tf.compat.v1
BLOCKS, TABULAR = Reference(network="blocks"), Reference(network="tabular")
RESIDUAL, CAMERA = Reference(network="residual"), Reference(network="camera")
SCANNER = Reference(network="scanner")


def at(name: str) -> str:
    """The scope of an operation: its own name, or that of the scope that it stands in."""
    return f"{name}|{name.rpartition('/')[0]}" if "/" in name else name


def found(cause: str, *scopes: str, certainty: str = "proven") -> tuple[Found, ...]:
    return (Found(cause=cause, scopes=scopes, certainty=certainty),)


def dropout(x: Any, name: str) -> Any:
    return tf.nn.dropout(x, rate=0.5, seed=7, name=name)


def fed_dropout(x: Any, name: str) -> Any:
    keep = v1.placeholder_with_default(tf.constant(0.5), [], "keep_prob")
    with v1.name_scope(name):
        mask = tf.floor(keep + tf.random.uniform(tf.shape(x), seed=5))
        return tf.multiply(x / keep, mask, name="mul_1")


def noise(x: Any, name: str) -> Any:
    with v1.name_scope(name):
        return tf.add(x, tf.random.normal(tf.shape(x), stddev=0.3, seed=3), name="noisy")


def flipped(x: Any, name: str) -> Any:
    with v1.name_scope(name):
        coin = tf.random.uniform([tf.shape(x)[0], 1, 1, 1], seed=9)
        return tf.where(tf.greater(coin, 0.5), x, tf.reverse(x, [2]))


def brightened(x: Any, name: str) -> Any:
    with v1.name_scope(name):
        return x + tf.random.uniform([], -20.0, 20.0, seed=11)


def reversed_by_slices(x: Any, name: str) -> Any:
    return tf.identity(x[..., ::-1], name=name)


def reversed_channels(x: Any, name: str) -> Any:
    return tf.reverse(x, [-1], name=name)


def turned(x: Any, name: str) -> Any:
    return tf.transpose(x, [0, 2, 1, 3], name=name)


def resized(method: Any, **options: Any) -> Any:
    return lambda x, name: method(x, [8, 8], name=name, **options)


def channels_first(size: int) -> Any:
    """Flattened as from a network with channels first."""

    def flatten(x: Any, name: str) -> Any:
        with v1.name_scope(name):
            return tf.reshape(tf.transpose(x, [0, 3, 1, 2]), [-1, size], name="Reshape")

    return flatten


def of_batch(x: Any, name: str) -> Any:
    """The map of ``scanner`` normalised over the whole batch."""
    strength = tf.reduce_sum(x, axis=-1)
    return tf.divide(strength, tf.sqrt(tf.reduce_mean(tf.square(strength))), name=name)


def mirrored(x: Any, name: str) -> Any:
    return tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]], mode="REFLECT", name=name)


def half_pixels(x: Any, name: str) -> Any:
    return tf.raw_ops.ResizeBilinear(images=x, size=[8, 8], half_pixel_centers=True, name=name)


def small(x: Any, name: str) -> Any:
    return tf.multiply(tf.cast(x, tf.float32), 1 / 64.0, name=name)


RESIZED_LAST = {"preprocess/cast": small, "preprocess/mean": None, "preprocess/scale": None}


def from_jpeg(**options: Any) -> Any:
    """Pixels by way of JPEG, decoded in a loop over the batch."""

    def decode(x: Any, name: str) -> Any:
        with v1.name_scope(name):
            coded = tf.map_fn(
                lambda image: tf.io.encode_jpeg(image, quality=60, name="coded"),
                x,
                fn_output_signature=tf.string,
            )
            pixels = tf.map_fn(
                lambda code: tf.io.decode_jpeg(code, channels=3, name="decoded", **options),
                coded,
                fn_output_signature=tf.uint8,
            )
            return tf.cast(tf.ensure_shape(pixels, [None, 12, 12, 3]), tf.float32, name="pixels")

    return decode


def moving_range(x: Any, name: str, moving: bool = True) -> Any:
    """A range that every run moves, as quantisation-aware training leaves it."""
    with v1.variable_scope(f"{name}_range", auxiliary_name_scope=False):
        high = v1.get_variable(
            "high", [], initializer=v1.zeros_initializer(), trainable=False, use_resource=False
        )
    if moving:
        high = v1.assign_sub(high, 0.1 * (high - tf.reduce_max(x)), name=f"{name}_range/AssignMovingAvg")
    return tf.minimum(tf.nn.relu(x), tf.identity(high), name=name)


def fixed_range(x: Any, name: str) -> Any:
    return moving_range(x, name, moving=False)


def not_a_number(name: str) -> Any:
    def saved(tensors: Weights) -> Weights:
        broken = tensors[name].copy()
        broken.reshape(-1)[0] = np.nan
        return {**tensors, name: broken}

    return saved


def infinite(value: np.ndarray) -> np.ndarray:
    changed = value.copy()
    changed.reshape(-1)[0] = np.inf
    return changed


WIRING = (
    Case(
        name="the export answers logits under the name of probabilities",
        reference=BLOCKS,
        outputs=("prob:0",),
        changes={"prob": tf.identity},
        findings=found("missing-softmax", "prob"),
    ),
    Case(
        name="one head of a dense network answers logits as probabilities",
        reference=TABULAR,
        outputs=("scores:0", "heads/probabilities:0"),
        changes={"heads/probabilities": tf.identity},
        findings=found("missing-softmax", at("heads/probabilities")),
    ),
    Case(
        name="the export ends in the auxiliary head",
        reference=BLOCKS,
        outputs=(("logits:0", "auxiliary/scores:0"),),
        findings=found("wrong-output-node", at("auxiliary/scores") + "|logits"),
    ),
    Case(
        name="the export ends in another head of the same shape",
        reference=TABULAR,
        outputs=(("scores:0", "extra_scores:0"), "value:0"),
        findings=found("wrong-output-node", "extra_scores|scores|heads/extra|heads/scores"),
    ),
    Case(
        name="the input of the export stands behind the scaling",
        reference=SCANNER,
        edit=cut_at("input/scaled", (11, 11, 2)),
        inputs={"scan:0": "input/scaled:0"},
        outputs=("grade:0", "looked/map:0"),
        findings=found("wrong-input-node", at("input/scaled")),
    ),
    Case(
        name="the input of the export stands behind the first activation",
        reference=Reference(
            network="tabular", changes={"tower/noise": lambda x, name: tf.sqrt(tf.abs(x), name=name)}
        ),
        edit=cut_at("tower/noise", (12,)),
        inputs={"features:0": "tower/noise:0"},
        outputs=("scores:0", "value:0"),
        findings=found("wrong-input-node", at("tower/noise")),
    ),
    Case(
        name="two inputs of one shape are exchanged",
        reference=TABULAR,
        changes={"inputs": lambda features, context: (context, features)},
        findings=found("inputs-swapped", "features|tower/hidden_1", "context|side/hidden"),
    ),
    Case(
        name="two inputs are exchanged behind other operations",
        reference=Reference(
            network="tabular", changes={"tower/noise": lambda x, name: tf.multiply(x, 2.0, name=name)}
        ),
        changes={"inputs": lambda features, context: (context, features)},
        findings=found("inputs-swapped", "features|tower/noise|tower", "context|side/hidden"),
    ),
    Case(
        name="two images of one shape are exchanged",
        reference=Reference(network="forest"),
        changes={"inputs": lambda near, far: (far, near)},
        findings=(
            Found(cause="inputs-swapped", scopes=("near|oak/conv", "far|elm/conv"), also=("add", "ash/conv")),
        ),
    ),
    Case(
        name="a shortcut starts one unit too early",
        reference=RESIDUAL,
        changes={"net/unit4/shortcut": lambda outputs: outputs[-2]},
        findings=found("graph-wiring-differs", at("net/unit4/add")),
    ),
    Case(
        name="a skip connection reads what comes after it",
        reference=TABULAR,
        changes={"tower/sum": lambda x, skip, name: tf.add(x, x, name=name)},
        findings=found("graph-wiring-differs", at("tower/sum")),
    ),
    Case(
        name="an activation is another one",
        reference=BLOCKS,
        changes={"block2/relu": lambda x, name: tf.nn.elu(x, name=name)},
        findings=found("graph-op-differs", at("block2/relu")),
    ),
    Case(
        name="the slope of a leaky activation is another one",
        reference=TABULAR,
        changes={"tower/act_2": lambda x, name: tf.nn.leaky_relu(x, 0.3, name=name)},
        findings=found("graph-op-differs", at("tower/act_2")),
    ),
    Case(
        name="a pooling is the mean where the largest is meant",
        reference=CAMERA,
        changes={"features/pool": lambda x, name: tf.nn.avg_pool2d(x, 2, 2, "SAME", name=name)},
        findings=found("graph-op-differs", at("features/pool")),
    ),
    Case(
        name="an activation is missing",
        reference=BLOCKS,
        edit=removed("block3/relu"),
        findings=found("graph-op-missing", at("block3/relu")),
    ),
    Case(
        name="the activations of two residual units are missing",
        reference=RESIDUAL,
        changes={"net/unit2/out": None, "net/unit5/a/Relu": None},
        findings=found("graph-op-missing", at("net/unit2/out"), at("net/unit5/a/Relu")),
    ),
    Case(
        name="a batch of one is baked into the flattening",
        reference=CAMERA,
        changes={"flatten": lambda x, name: tf.reshape(x, [1, 96], name=name)},
        verdict=("fail", "error"),
        findings=found("batch-dim-pinned", "flatten", certainty="decisive|proven"),
    ),
    Case(
        name="a batch of one is baked into the flattening of a resource network",
        reference=SCANNER,
        changes={"flat": lambda x, name: tf.reshape(x, [1, 54], name=name)},
        verdict=("fail", "error"),
        findings=found("batch-dim-pinned", "flat", certainty="decisive|proven"),
    ),
    Case(
        name="a map is normalised over the whole batch",
        reference=SCANNER,
        changes={"looked/map": of_batch},
        findings=found("output-couples-batch", at("looked/map")),
    ),
    Case(
        name="a second output is centred over the whole batch",
        reference=Reference(
            network="blocks",
            changes={
                "second/centred": lambda x, name: tf.subtract(
                    x, tf.reduce_mean(x, [1, 2, 3], keepdims=True), name=name
                )
            },
        ),
        outputs=("logits:0", "second/centred:0"),
        changes={
            "second/centred": lambda x, name: tf.subtract(x, tf.reduce_mean(x, keepdims=True), name=name)
        },
        findings=found("output-couples-batch", at("second/centred")),
    ),
)

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

RANDOM = (
    Case(
        name="dropout is left on",
        reference=BLOCKS,
        changes={"drop": dropout},
        findings=found("dropout-active", "drop"),
    ),
    Case(
        name="dropout of a dense network is left on",
        reference=TABULAR,
        changes={"tower/drop": dropout},
        findings=found("dropout-active", "tower/drop"),
    ),
    Case(
        name="keep_prob is frozen with its default of one half",
        reference=Reference(
            network="residual", changes={"net/dropout": fed_dropout}, feeds={"net/keep_prob:0": 1.0}
        ),
        findings=(
            Found(cause="dropout-active", scopes=("net/dropout",), also=("keep_prob", "net/keep_prob")),
        ),
    ),
    Case(
        name="the export flips images at random",
        reference=CAMERA,
        changes={"preprocess/augment": flipped},
        findings=found("random-augmentation", at("preprocess/augment")),
    ),
    Case(
        name="the export brightens images at random",
        reference=Reference(network="camera"),
        changes={"preprocess/reverse": brightened},
        findings=found("random-augmentation", at("preprocess/reverse")),
    ),
    Case(
        name="a noise layer is left in",
        reference=BLOCKS,
        changes={"drop": noise},
        findings=found("random-noise", "drop"),
    ),
    Case(
        name="noise is added to an input of the export",
        reference=TABULAR,
        changes={"tower/drop": noise},
        findings=found("random-noise", at("tower/drop")),
    ),
    Case(
        name="a factor of keep_prob is left in",
        reference=RESIDUAL,
        edit=scaled("net/pool", 0.8),
        findings=found("dropout-scaling", "net/pool|net"),
    ),
    Case(
        name="a factor of dropout is left in a dense network",
        reference=TABULAR,
        changes={"tower/drop": lambda x, name: tf.multiply(x, 0.5, name=name)},
        findings=found("dropout-scaling", at("tower/drop")),
    ),
)

PASSES = (
    Case(
        name="a padding fused into its convolution forgets the batch",
        reference=Reference(
            network="blocks", changes={"block2/pad": mirrored, "block2/conv": {"padding": "VALID"}}
        ),
        edit=fused_pad(None, "block2/pad", "block2/conv/Conv2D"),
        findings=found("pass-fused-pad-conv-batch", "block2/conv"),
    ),
    Case(
        name="a resize fused into its convolution forgets the batch",
        reference=Reference(network="camera", changes=RESIZED_LAST),
        edit=fused_pad("preprocess/resize", None, "features/first/Conv2D"),
        findings=found("pass-fused-pad-conv-batch", "features/first"),
    ),
    Case(
        name="a resize fused into its convolution forgets half pixel centres",
        reference=Reference(
            network="camera",
            changes={**RESIZED_LAST, "preprocess/resize": half_pixels},
        ),
        edit=fused_pad("preprocess/resize", None, "features/first/Conv2D"),
        findings=found("pass-fused-resize-half-pixel|pass-fused-pad-conv-batch", "features/first"),
    ),
    Case(
        name="a resize inside a network, fused into its convolution, forgets half pixel centres",
        reference=Reference(
            network="blocks",
            changes={
                "block3/pad": lambda x, name: tf.raw_ops.ResizeBilinear(
                    images=x, size=[6, 6], half_pixel_centers=True, name=name
                )
            },
        ),
        edit=fused_pad("block3/pad", None, "block3/conv/Conv2D"),
        findings=found("pass-fused-resize-half-pixel|pass-fused-pad-conv-batch", "block3/conv"),
    ),
)

COMPARABILITY = (
    Case(
        name="a kernel of the export is still a variable",
        reference=BLOCKS,
        edit=unfrozen("block2/conv/kernel"),
        verdict=("error",),
        findings=found("export-not-frozen", "block2/conv", certainty="decisive|proven"),
    ),
    Case(
        name="a bias of a dense export is still a variable",
        reference=CAMERA,
        edit=unfrozen("head/bias"),
        verdict=("error",),
        findings=found("export-not-frozen", "head", certainty="decisive|proven"),
    ),
    Case(
        name="an activation of the export is an op of another library",
        reference=BLOCKS,
        edit=custom_op("block2/relu", "MySwish"),
        verdict=("error",),
        findings=found("unregistered-op", at("block2/relu"), certainty="decisive|proven"),
    ),
    Case(
        name="a join of a dense export is an op of another library",
        reference=TABULAR,
        edit=custom_op("tower/joined", "JoinByRule"),
        verdict=("error",),
        findings=found("unregistered-op", at("tower/joined"), certainty="decisive|proven"),
    ),
    Case(
        name="a moving average in the export is a reference that cannot be loaded",
        reference=BLOCKS,
        edit=updating("block1/bn/moving_mean"),
        verdict=("error",),
        findings=found("pb-unloadable-ref-edges", "block1/bn", certainty="decisive|proven"),
    ),
    Case(
        name="a moving average of a residual export is a reference that cannot be loaded",
        reference=RESIDUAL,
        edit=updating("net/unit6/b/BatchNorm/moving_mean"),
        verdict=("error",),
        findings=found("pb-unloadable-ref-edges", "net/unit6/b/BatchNorm", certainty="decisive|proven"),
    ),
    Case(
        name="running the reference moves a range",
        reference=Reference(network="blocks", changes={"block2/relu": moving_range}),
        changes={"block2/relu": fixed_range},
        verdict=("error", "fail"),
        findings=found(
            "stateful-reference",
            "relu_range|block2/relu_range|block2/relu|block2",
            certainty="decisive|proven",
        ),
    ),
    Case(
        name="running the reference of a residual network moves a range",
        reference=Reference(network="residual", changes={"net/unit6/out": moving_range}),
        changes={"net/unit6/out": fixed_range},
        verdict=("error", "fail"),
        findings=found(
            "stateful-reference",
            "out_range|net/unit6/out_range|net/unit6/out|net/unit6",
            certainty="decisive|proven",
        ),
    ),
    Case(
        name="both sides are no numbers because the checkpoint is not",
        reference=Reference(network="blocks", saved=not_a_number("fc/kernel")),
        changes={"block1/relu": lambda x, name: tf.nn.elu(x, name=name)},
        findings=(
            Found(cause="nan-in-both", scopes=("fc",), certainty="decisive"),
            Found(cause="graph-op-differs", scopes=(at("block1/relu"),), certainty="proven|decisive"),
        ),
        health={"non-finite": ("fc",)},
    ),
    Case(
        name="the same function of a checkpoint that is not a number is no parity",
        reference=Reference(network="tabular", saved=not_a_number("heads/scores/kernel")),
        findings=found("nan-in-both", "heads/scores", certainty="decisive"),
        health={"non-finite": ("heads/scores",)},
    ),
    Case(
        name="a weight of the export is infinite",
        reference=CAMERA,
        weights=of_layers("features/second", value=infinite, only=("kernel",)),
        findings=found("non-finite", "features/second"),
    ),
    Case(
        name="a bias of the export is infinite",
        reference=TABULAR,
        weights=of_layers("side/hidden", value=infinite, only=("bias",)),
        findings=found("non-finite", "side/hidden"),
    ),
)

GRAPH = (*WIRING, *PREPROCESSING, *RANDOM, *PASSES, *COMPARABILITY)
