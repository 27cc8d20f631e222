"""The batch: a size that is built in, rows that depend on each other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from ...graph.align.divergence import Divergence, Kind
from ...graph.graph import Array, Node, TensorName
from ...runtime.feeds import signature
from ...runtime.splice import Half
from ..alignment import divergences, reference_of
from ..arrays import values
from ..behaviour import rows_coupled
from ..cause import Cause, Suspicion
from ..evidence import Evidence
from ..flow import live_export, live_reference
from ..places.batch_norms import export_norms
from ..places.repairs import as_reference_at
from ..scopes import scope_of
from ..wording import listed

# Ops that are told a shape, and by which input.
_SHAPED: Mapping[str, int] = {
    "Reshape": 1,
    "BroadcastTo": 1,
    "Fill": 0,
    "Tile": 1,
    "RandomUniform": 0,
    "RandomStandardNormal": 0,
    "TruncatedNormal": 0,
    "Conv2DBackpropInput": 0,
    "Slice": 2,
    "StridedSlice": 2,
    "ScatterNd": 2,
}
# Ops that reduce over the axes that they are told.
_REDUCTIONS = frozenset(
    ["Mean", "Sum", "Max", "Min", "Prod", "All", "Any", "EuclideanNorm", "ArgMax", "ArgMin", "Cumsum"]
)


class BatchDimPinned(Cause):
    """The export takes or makes batches of one size alone."""

    id = "batch-dim-pinned"

    def find(self, evidence: Evidence) -> Iterable[Suspicion]:
        yield from _placeholders(self.id, evidence)
        found = [pinned for each in evidence[divergences] for pinned in _pinned(evidence, each)]
        if not found:
            return
        nodes = tuple(dict.fromkeys(node.name for node, _, _ in found))
        first, size, _ = found[0]
        repair = [
            edit
            for divergence in _with_slices(evidence, [each for _, _, each in found])
            for edit in as_reference_at(evidence, divergence)
        ]
        yield Suspicion(
            cause=self.id,
            nodes=nodes,
            scopes=tuple(dict.fromkeys(scope_of(name) for name in nodes)),
            message=f"{first.op} {listed(nodes)} of {evidence.case.export_name} fixes the batch to {size}"
            f" row{'s' if size != 1 else ''}; the checkpoint's graph leaves it open.",
            fix="Use -1 for the leading dimension, or tf.shape(x)[0], and export again.",
            repair=tuple(repair),
        )


def _placeholders(cause: str, evidence: Evidence) -> Iterator[Suspicion]:
    """Inputs whose number of rows is fixed so that the golden batch cannot be cut to it."""
    inputs = {} if evidence.case.runner is None else evidence.case.runner.inputs
    for ours, theirs in zip(evidence.reference.inputs, evidence.export.inputs, strict=True):
        value = inputs.get(str(ours))
        if value is None or not value.ndim or theirs.node not in evidence.export.graph.nodes:
            continue
        dims = signature(evidence.export.graph, theirs).dims
        rows = value.shape[0]
        if not dims or dims[0] < 1 or not rows % dims[0] or len(dims) != value.ndim:
            continue
        yield Suspicion(
            cause=cause,
            nodes=(theirs.node,),
            scopes=(theirs.node,),
            message=f"{theirs} of {evidence.case.export_name} takes batches of exactly {dims[0]}; the golden"
            f" batch has {rows} rows.",
            fix="Build the export's placeholder with None for the batch.",
        )


def _pinned(evidence: Evidence, divergence: Divergence) -> Iterator[tuple[Node, int, Divergence]]:
    """The nodes that a divergence gives a fixed number of rows, and that number."""
    if divergence.kind is Kind.ONLY_IN_EXPORT:
        yield from _added(evidence, divergence)
    if divergence.kind not in (Kind.CONSTANT, Kind.OP) or not divergence.export:
        return
    shape = _shape(evidence, divergence.export[0])
    if shape is None or not shape.size or shape[0] < 1:
        return
    ours = _shape(evidence, divergence.reference[0], reference=True)
    if ours is not None and (ours.size != shape.size or ours[0] != -1):
        return
    for reader in divergence.readers:
        node = evidence[live_export].get(reader)
        if node is None or node.op not in _SHAPED or len(node.inputs) <= _SHAPED[node.op]:
            continue
        if node.inputs[_SHAPED[node.op]].node == divergence.export[0] and _of_batch(evidence, node):
            yield node, int(shape[0]), divergence


def _added(evidence: Evidence, divergence: Divergence) -> Iterator[tuple[Node, int, Divergence]]:
    """Nodes of the export alone that fold a batch into a fixed number of rows, so that outputs lose theirs."""
    outputs = evidence.case.outputs
    if outputs and all(output.problem is None or "shape" not in output.problem for output in outputs):
        return
    for name in divergence.export:
        node = evidence[live_export].get(name)
        if node is None or node.op != "Reshape" or not _of_batch(evidence, node):
            continue
        shape = _shape(evidence, node.inputs[1].node)
        if shape is not None and shape.size and shape[0] >= 1:
            yield node, int(shape[0]), divergence


def _shape(evidence: Evidence, name: str, *, reference: bool = False) -> Array | None:
    """A constant that can be a shape, as whole numbers; None for anything else."""
    tensor = (evidence.reference if reference else evidence.export).value(name)
    if tensor is None or len(tensor.shape) != 1 or tensor.dtype.number not in (3, 9):
        return None
    return values(tensor)


def _of_batch(evidence: Evidence, node: Node) -> bool:
    """Whether what is shaped depends on an input: the rows of a weight are no batch."""
    return node.name in Half.of(evidence.export).varying


def _with_slices(evidence: Evidence, found: list[Divergence]) -> Iterator[Divergence]:
    """The divergences themselves, and nodes that stand in the export alone right behind them: what takes
    the first rows of a batch that was folded together belongs to the same fault."""
    readers = {name for each in found for name in each.readers}
    behind = {
        name
        for name, node in evidence[live_export].items()
        if any(source.node in readers for source in node.inputs)
    }
    yield from found
    for each in evidence[divergences]:
        if each.kind is Kind.ONLY_IN_EXPORT and set(each.export) & behind:
            yield each


class OutputCouplesBatch(Cause):
    """A row of an output depends on the other rows of the batch."""

    id = "output-couples-batch"

    def find(self, evidence: Evidence) -> Iterable[Suspicion]:
        norms = _in_norms(evidence)
        found: dict[str, Divergence] = {}
        for divergence in evidence[divergences]:
            for name in (*divergence.export, *divergence.readers):
                node = evidence[live_export].get(name)
                if node is None or name in norms or not _over_batch(evidence, node):
                    continue
                partner = evidence[live_reference].get(evidence[reference_of].get(name, ""))
                if partner is None or not _over_batch(evidence, partner, reference=True):
                    found.setdefault(name, divergence)
        if not found:
            return
        behind = _behind(evidence, set(found))
        outputs = [output for output in evidence.export.outputs if output.node in behind]
        moved = _moved(evidence)
        coupled = [output for output in outputs if moved.get(output) != 0.0]
        if not coupled:
            return
        apart = [output for output in evidence.export.outputs if output not in coupled]
        alone = _behind_only(evidence, coupled, apart)
        repair = [
            edit
            for divergence in evidence[divergences]
            if {*divergence.export, *divergence.readers} <= alone
            for edit in as_reference_at(evidence, divergence)
        ]
        measured = [moved[output] for output in coupled if moved.get(output)]
        first = evidence[live_export][next(iter(found))]
        yield Suspicion(
            cause=self.id,
            nodes=tuple(found),
            scopes=_scopes(found, coupled),
            message=f"{listed([str(output) for output in coupled])} of {evidence.case.export_name} depends on"
            f" the other rows of the batch: {first.op} {first.name} reduces over axis 0, which the"
            " checkpoint's graph does not.",
            fix="Reduce over the axes of one row alone (1 and up, keepdims=True).",
            evidence=(
                f"A row alone differs from the same row in its batch by up to {max(filter(None, measured)):.3g}.",
            )
            if measured
            else (),
            repair=tuple(repair),
        )


def _scopes(names: Iterable[str], coupled: Iterable[TensorName]) -> tuple[str, ...]:
    """The layers of nodes; where these stand outside of all scopes, those of the outputs that need them."""
    found = [name for name in names if "/" in name] or [output.node for output in coupled]
    return tuple(dict.fromkeys(map(scope_of, found)))


def _moved(evidence: Evidence) -> Mapping[TensorName, float | None]:
    """By how much row 0 of each output moves when it is alone, where that can be tried."""
    return dict(zip(evidence.case.export.outputs, evidence[rows_coupled], strict=False))


def _over_batch(evidence: Evidence, node: Node, *, reference: bool = False) -> bool:
    """Whether a node reduces over axis 0 of something that depends on the inputs."""
    if node.op not in _REDUCTIONS or len(node.inputs) < 2:
        return False
    side = evidence.reference if reference else evidence.export
    reduced = side.graph.nodes.get(node.inputs[0].node)
    if reduced is not None and reduced.op in (
        "Shape",
        "ShapeN",
    ):  # the size of a tensor, as gradients ask for
        return False
    told = side.graph.nodes.get(node.inputs[1].node)
    if told is not None and told.op == "Range":  # all axes of a tensor whose rank is not known
        told = side.graph.nodes.get(told.inputs[0].node)
    axes = side.value(told.name if told is not None else None)
    if axes is None or 0 not in values(axes):
        return False
    return reference or node.name in Half.of(side).varying


def _in_norms(evidence: Evidence) -> set[str]:
    """The nodes between the input and the output of each batch norm: their moments are their own affair."""
    found: set[str] = set()
    for norm in evidence[export_norms]:
        stack = [norm.output.node]
        while stack:
            name = stack.pop()
            if name in found or name == norm.input.node or name not in evidence[live_export]:
                continue
            found.add(name)
            stack.extend(source.node for source in evidence[live_export][name].inputs)
    return found


def _behind(evidence: Evidence, names: set[str]) -> set[str]:
    """``names`` and every live node of the export that needs one of them."""
    found = set(names)
    for name, node in evidence[live_export].items():
        if any(source.node in found for source in node.inputs):
            found.add(name)
    return found


def _behind_only(evidence: Evidence, coupled: list[TensorName], apart: list[TensorName]) -> set[str]:
    """The nodes of the export that ``coupled`` need and ``apart`` do not."""
    graph = evidence.export.graph
    needed = graph.live(map(str, coupled), map(str, evidence.export.feeds))
    others = graph.live(map(str, apart), map(str, evidence.export.feeds))
    return set(needed) - set(others)


EARLY: tuple[Cause, ...] = (BatchDimPinned(),)
CAUSES: tuple[Cause, ...] = (OutputCouplesBatch(),)
