"""What TensorFlow's own optimisation passes do to a graph that is right."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from ...graph import ops
from ...graph.edit.graft import Graft, Repair
from ...graph.graph import Node, TensorName
from ...graph.layer import layer_of
from ..alignment import reference_of
from ..behaviour import rows_equal
from ..cause import Cause, Suspicion
from ..evidence import Evidence
from ..flow import export_flow, live_export, reference_flow
from ..places.batch_norms import linears, norm_graft, norm_pairs, reference_norms
from ..places.folded import Folded, unfolded
from ..places.folds import folds
from ..wording import listed

_PADS = frozenset({"Pad", "PadV2", "MirrorPad"})


class SharedConvolution(Cause):
    """A folded convolution whose raw output something else reads."""

    id: ClassVar[str] = "pass-fold-bn-shared-conv"

    def find(self, evidence: Evidence) -> Iterable[Suspicion]:
        found = [each for each in evidence[folds] if each.fold.correct and each.output_shared]
        if not found:
            return
        others = [name for folded in found for name in folded.output_shared]
        convolutions = [folded.node for folded in found]
        repair: Repair = tuple(edit for folded in found for edit in unfolded(evidence, folded))
        yield Suspicion(
            cause=self.id,
            nodes=tuple(dict.fromkeys([*convolutions, *others])),
            scopes=tuple(dict.fromkeys(layer_of(name) for name in convolutions)),
            message=(
                f"{_feeds(convolutions, others)} besides its batch norm, and folding that batch"
                f" norm ({listed([folded.norm.scope for folded in found])}) into"
                f" {evidence.case.export_name} changed what the others read."
            ),
            fix=f"Do not fold {listed([folded.norm.scope for folded in found])}: skip fold_batch_norms for it.",
            evidence=("The kernel is a right fold of the checkpoint's; its raw output has other readers.",),
            repair=repair,
        )


def _feeds(convolutions: Sequence[str], others: Sequence[str]) -> str:
    outside = [name for name in others if name not in convolutions]
    said = f"feeds {listed(outside)}" if outside else "is an output"
    return f"{listed(convolutions)} {said}"


class SharedWeights(Cause):
    """A folded kernel that another convolution uses too."""

    id: ClassVar[str] = "pass-fold-bn-shared-weights"

    def find(self, evidence: Evidence) -> Iterable[Suspicion]:
        found = [
            each
            for each in evidence[folds]
            if each.fold.correct and each.kernel_shared and not each.output_shared
        ]
        if not found:
            return
        right = {folded.node for folded in found}
        wrong = [name for folded in found for name in folded.kernel_shared if name not in right]
        kernels = [folded.linear.kernel for folded in found if folded.linear is not None]
        if not wrong:
            return
        yield Suspicion(
            cause=self.id,
            nodes=tuple(dict.fromkeys([*kernels, *wrong])),
            scopes=tuple(dict.fromkeys(layer_of(name) for name in [*kernels, *wrong])),
            message=(
                f"{listed(kernels)} holds the scale of {listed([each.norm.scope for each in found])}, which was"
                f" folded into it, and {listed(wrong)} uses the same kernel."
            ),
            fix=f"Duplicate {listed(kernels)} before folding, or skip fold_batch_norms for it.",
            evidence=("The kernel is a right fold of the checkpoint's for one of its readers alone.",),
            repair=(*_unfolded(evidence, found), *_others(evidence, found, wrong)),
        )


def _unfolded(evidence: Evidence, found: Sequence[Folded]) -> Repair:
    return tuple(edit for folded in found for edit in unfolded(evidence, folded))


def _others(evidence: Evidence, found: Sequence[Folded], wrong: Sequence[str]) -> Repair:
    """Batch norms that were folded away behind another reader of the kernel, put back."""
    done = {folded.norm.node for folded in found}
    there = {pair.reference.node for pair in evidence[norm_pairs]}
    edits: list[Graft] = []
    for linear in evidence[linears]:
        if linear.node not in wrong:
            continue
        node = evidence[reference_of].get(linear.node, linear.node)
        for norm in evidence[reference_norms]:
            if norm.linear == node and norm.node not in done | there:
                edges = {TensorName(node, 0): TensorName(linear.node, 0)}
                edits.append(norm_graft(evidence, linear.output, norm, edges))
    return tuple(edits)


@dataclass(frozen=True, slots=True, kw_only=True)
class _FusedPad:
    """A fused op of the export, and the nodes of the reference that it stands for."""

    node: Node
    convolution: Node
    resize: Node | None
    input: TensorName

    @property
    def half_pixel(self) -> bool:
        return self.resize is not None and bool(self.resize.attrs.get("half_pixel_centers", False))

    def repair(self) -> Repair:
        """Resize, pad and convolution as in the reference."""
        theirs = self.node.inputs[0]
        return (
            Graft(
                export=TensorName(self.node.name, 0),
                reference=TensorName(self.convolution.name, 0),
                at=lambda tensor: theirs if tensor == self.input else None,
            ),
        )


def _fused_pads(evidence: Evidence) -> list[_FusedPad]:
    found = []
    for node in evidence[live_export].values():
        if node.op in ops.FUSED_PADS:
            pair = _convolution(evidence, node)
            if pair is not None:
                found.append(pair)
    return found


def _convolution(evidence: Evidence, fused: Node) -> _FusedPad | None:
    """The convolution of the reference in the place of ``fused``: by name, else by its kernel."""
    flow = evidence[reference_flow]
    convolutions = [node for node in flow.nodes.values() if node.op == "Conv2D"]
    kernel = evidence[export_flow].source(fused.inputs[-1]).node
    variable = evidence[reference_of].get(kernel, kernel)
    same = [node for node in convolutions if flow.source(node.inputs[1]).node == variable]
    named = [node for node in convolutions if node.name == fused.name]
    if not named and len(same) != 1:
        same = _equal(evidence, kernel, convolutions)
    if not named and len(same) != 1:
        return None
    convolution = (named or same)[0]
    source, resize = flow.source(convolution.inputs[0]), None
    before = flow.node(source)
    if before is not None and before.op in _PADS:
        source = flow.source(before.inputs[0])
        before = flow.node(source)
    if before is not None and fused.op == "FusedResizeAndPadConv2D" and before.op.startswith("Resize"):
        resize, source = before, flow.source(before.inputs[0])
    reached = source if resize is None else resize.inputs[0]
    return _FusedPad(node=fused, convolution=convolution, resize=resize, input=reached)


def _equal(evidence: Evidence, kernel: str, convolutions: Iterable[Node]) -> list[Node]:
    held = evidence.export.value(kernel)
    digest = evidence.case.contents.digest
    found = []
    for node in convolutions:
        name = evidence[reference_flow].source(node.inputs[1]).node
        value = evidence.reference.value(name)
        if held is not None and value is not None and digest(held) == digest(value):
            found.append(node)
    return found


class FusedPad(Cause):
    """Fused pad and convolution, which on CPU ignore the batch."""

    id: ClassVar[str] = "pass-fused-pad-conv-batch"

    def find(self, evidence: Evidence) -> Iterable[Suspicion]:
        found = [each for each in _fused_pads(evidence) if not each.half_pixel]
        if found:
            ops = listed([each.node.op for each in found])
            yield _fused(
                self.id,
                found,
                f"{listed([each.node.name for each in found])} ({ops}): on CPU this op evaluates only the first"
                f" sample of a batch and repeats its answer for all others.{_seen(evidence)}",
                # With a batch of one it is right, and something else is wrong.
                certain=False,
            )


def _seen(evidence: Evidence) -> str:
    """That the rows of this batch are alike, where running the export shows it."""
    return " Every row of this batch got the answer of the first." if any(evidence[rows_equal]) else ""


class FusedResize(Cause):
    """Fused resize and convolution, which drops ``half_pixel_centers``."""

    id: ClassVar[str] = "pass-fused-resize-half-pixel"

    def find(self, evidence: Evidence) -> Iterable[Suspicion]:
        found = [each for each in _fused_pads(evidence) if each.half_pixel]
        if found:
            resizes = listed([each.resize.name for each in found if each.resize is not None])
            yield _fused(
                self.id,
                found,
                f"{listed([each.node.name for each in found])} ({found[0].node.op}) resizes without"
                f" half_pixel_centers, which {resizes} has in the checkpoint's graph (and on CPU it evaluates"
                " only the first sample of a batch).",
                certain=True,
            )


def _fused(cause: str, found: Sequence[_FusedPad], message: str, *, certain: bool) -> Suspicion:
    names = [each.node.name for each in found]
    return Suspicion(
        cause=cause,
        nodes=tuple(names),
        scopes=tuple(dict.fromkeys(layer_of(name) for name in names)),
        message=message,
        fix="Call optimize_for_inference(..., toco_compatible=True), which leaves these ops as they are.",
        certainty="decisive" if certain else "suggestive",
        repair=tuple(edit for each in found for edit in each.repair()),
    )


CAUSES: tuple[Cause, ...] = (SharedConvolution(), SharedWeights(), FusedResize(), FusedPad())
