"""Faults of the wiring, and what comes of TensorFlow's passes."""

from __future__ import annotations

import tensorflow as tf

from faults.corpus import Case, Found, Reference
from faults.graphs import cut_at, fused_pad, removed
from faults.operations import (
    BLOCKS,
    CAMERA,
    RESIDUAL,
    RESIZED_LAST,
    SCANNER,
    TABULAR,
    at,
    found,
    half_pixels,
    mirrored,
    of_batch,
)

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

GRAPH = (*WIRING, *PASSES)
