"""Results with everything that a page shows."""

from __future__ import annotations

from pytest_tfparity.result import Finding, Health, OutputComparison, ParityResult
from pytest_tfparity.result_details import (
    BatchNormRow,
    Details,
    Drawing,
    DrawnNode,
    GradCam,
    HeatMap,
    LayerRow,
    Neighbourhood,
    NodeDifference,
    OutputDifferences,
    WeightRow,
    WeightSummary,
)

PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5E"
    "rkJggg=="
)
ENVIRONMENT = {"tensorflow": "2.21.0", "numpy": "2.4.6", "python": "3.11.7"}


def failing(name: str = "net", *, nodes: int = 30, scope: str = "block1/bn") -> ParityResult:
    """A check that fails, with every kind of picture; ``nodes`` of the graph and as many other rows as fit."""
    layers = max(1, nodes // 10)
    return ParityResult(
        nodeid=f"tfparity.yaml::{name}",
        model=name,
        verdict="fail",
        outputs=(comparison(),),
        findings=(
            Finding(
                cause="bn-training-mode",
                certainty="proven",
                nodes=(f"{scope}/FusedBatchNormV3",),
                scopes=tuple(f"{scope}_{index}" for index in range(5)),
                message="It normalises with the current batch & ignores <moving_mean>.",
                fix="Build the export graph with training=False.",
                evidence=("is_training=true in the export",),
                repaired_max_abs=2.4e-7,
            ),
        ),
        downstream=61,
        health=(Health(cause="bn-stats-never-updated", scopes=(scope,), message="Still 0 and 1."),),
        notes=("A note.",),
        reference="model.ckpt-7",
        export="model.pb",
        details=Details(
            nodes=tuple(node(index, nodes, scope) for index in range(nodes)),
            nodes_total=nodes,
            layers=tuple(layer(index, layers) for index in range(layers)),
            layers_total=layers,
            outputs=(differences(), in_quanta()),
            batch_norms=tuple(batch_norm(f"{scope}_{index}", index % 2 == 0) for index in range(layers)),
            batch_norms_total=layers,
            weights=tuple(weight(f"{scope}_{index}/gamma", index % 2 == 0) for index in range(4 * layers)),
            weights_total=4 * layers,
            neighbourhoods=(neighbourhood(scope),),
            grad_cam=(grad_cam(),),
        ),
    )


def passing(name: str = "right") -> ParityResult:
    """A check that is proven."""
    return ParityResult(nodeid=f"tfparity.yaml::{name}", model=name, verdict="proven")


def broken(name: str = "broken") -> ParityResult:
    """A check that could not be made."""
    return ParityResult(
        nodeid=f"tfparity.yaml::{name}",
        model=name,
        verdict="error",
        error="model.pb is damaged.\nExport again.",
    )


def comparison() -> OutputComparison:
    """An output that fails."""
    return OutputComparison(
        reference="logits:0", export="net/logits:0", max_abs=0.027, max_rel=0.4, worst_index=(3, 7), failing=41,
        total=80, atol=1e-5, rtol=0.0, required_atol=0.027, required_rtol=0.4, passed=False, worst_reference=1.0,
        worst_export=1.027,
    )  # fmt: skip


def differences() -> OutputDifferences:
    """The differences of that output."""
    edges = tuple(10.0**exponent for exponent in range(-8, 0))
    points = tuple((index / 10.0, index / 10.0 + (0.02 if index % 3 else 0.0)) for index in range(400))
    return OutputDifferences(
        reference="logits:0", export="net/logits:0", edges=edges, counts=(1, 4, 9, 20, 3, 2, 1), equal=40, beyond=0,
        total=80, points=points,
    )  # fmt: skip


def in_quanta() -> OutputDifferences:
    """The differences of a quantised output."""
    return OutputDifferences(
        reference="classes:0", export="classes:0", edges=(0.0, 0.05, 0.15, 0.25), counts=(50, 20, 10), equal=30,
        beyond=0, total=80, points=((0.1, 0.1), (0.2, 0.4)), step=0.1,
    )  # fmt: skip


def layer(index: int, count: int) -> LayerRow:
    """A layer of an int8 export; the last one stands out, the first has no noise."""
    last = index == count - 1
    return LayerRow(
        index=index,
        name=f"block{index}/relu",
        type="int8",
        own=12.5 if last else None if index == 0 else 45.0,
        accumulated=12.0 if last else 40.0,
        used=(0.0, 6.0),
        given=(0.0, 1.5) if last else None,
        culprit=last,
    )


def node(index: int, count: int, scope: str) -> NodeDifference:
    """A node that differs if it lies in the second half; the one in the middle is the culprit."""
    differs = index >= count // 2
    return NodeDifference(
        index=index,
        name=f"{scope}/unit_{index}/Conv2D",
        op="Conv2D",
        accumulated=None if index == count - 1 else 10.0 ** (-1 - index % 4) if differs else 0.0,
        own=0.02 if index == count // 2 else 1e-7 if differs else 0.0,
        scale=1.0,
        culprit=index == count // 2,
        position=2 * index,
    )


def batch_norm(scope: str, divergent: bool) -> BatchNormRow:
    """A layer with four weights."""
    summaries = (
        WeightSummary(name="gamma", reference=None, export=None, max_abs=None),
        WeightSummary(
            name="beta", reference=(0.0, 0.1, 0.2, 0.3, 0.4), export=(0.0, 0.1, 0.2, 0.3, 0.4), max_abs=0.0
        ),
        WeightSummary(
            name="mean", reference=(-1.0, 0.0, 0.5, 0.7, 2.0), export=(0.0, 0.0, 0.0, 0.0, 0.0), max_abs=2.0
        ),
        WeightSummary(name="variance", reference=(1.0,), export=None, max_abs=None),
    )
    mode = "training" if divergent else "inference"
    return BatchNormRow(
        scope=scope, reference_mode="inference", export_mode=mode, weights=summaries, divergent=divergent
    )


def weight(variable: str, wrong: bool) -> WeightRow:
    """A variable whose average was expected."""
    return WeightRow(
        variable=variable,
        constant=variable,
        expected="average",
        holds="raw" if wrong else "average",
        origin="own" if wrong else "shadow",
        source=variable,
        distance=0.3 if wrong else 0.0,
        spread=0.3,
        wrong=wrong,
    )


def neighbourhood(scope: str) -> Neighbourhood:
    """A culprit between two others, on the export's side alone."""
    nodes = (
        DrawnNode(name=f"{scope}/Conv2D", op="Conv2D", role="same"),
        DrawnNode(name=f"{scope}/FusedBatchNormV3", op="FusedBatchNormV3", role="culprit"),
        DrawnNode(name=f"{scope}/Relu", op="Relu", role="differs"),
        DrawnNode(name=f"{scope}/Add", op="Add", role="differs"),
        DrawnNode(name=f"{scope}/alone", op="Const", role="same"),
    )
    drawing = Drawing(nodes=nodes, edges=((0, 1), (1, 2), (2, 3), (0, 3)))
    return Neighbourhood(finding=0, node=f"{scope}/FusedBatchNormV3", reference=None, export=drawing)


def grad_cam() -> GradCam:
    """Two maps over one pixel."""
    return GradCam(
        image=PIXEL,
        width=1,
        height=1,
        reference=HeatMap(rows=((0.0, 1.0), (0.5, 0.0)), classes=((3, 0.9), (1, 0.1))),
        export=HeatMap(rows=((1.0, 0.0), (0.5, 0.0)), classes=((1, 0.8), (3, 0.2))),
    )
