"""What TensorFlow's own optimisation passes do to a graph that is right."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ...graph import ops
from ...graph.edit.repair import Graft, Repair
from ...graph.graph import Node, TensorName
from ...graph.layer import layers_of
from ...graph.live_graph import LiveGraph
from ...wording import enumerated, verb
from ..alignment import reference_of
from ..behaviour import rows_equal
from ..cause import Cause, Suspicion
from ..evidence import Evidence
from ..needed import export_flow, live_export, reference_flow
from ..places.batch_norms import linears, norm_graft, norm_pairs, reference_norms
from ..places.folds import folds
from ..places.unfold import Folded, unfolded


def _shared_output(evidence: Evidence) -> Iterator[Suspicion]:
    """A folded convolution whose raw output something else reads."""
    found = [each for each in evidence[folds] if each.fold.correct and each.output_shared]
    if not found:
        return
    others = [name for folded in found for name in folded.output_shared]
    convolutions = [folded.node for folded in found]
    norms = enumerated([folded.norm.scope for folded in found])
    yield Suspicion(
        cause="pass-fold-bn-shared-conv",
        nodes=tuple(dict.fromkeys([*convolutions, *others])),
        scopes=layers_of(convolutions),
        message=(
            f"{_feeds(convolutions, others)} besides its batch norm, and folding that batch norm ({norms}) into"
            f" {evidence.case.export_name} changed what the others read."
        ),
        fix=f"Do not fold {norms}: skip fold_batch_norms for it.",
        evidence=(
            f"The kernel is a right fold of that in {evidence.case.reference_name}; its raw output has other readers.",
        ),
        repair=_unfolded(evidence, found),
    )


def _feeds(convolutions: Sequence[str], others: Sequence[str]) -> str:
    outside = [name for name in others if name not in convolutions]
    outputs = verb(convolutions, "is an output", "are outputs")
    said = f"{verb(convolutions, 'feeds', 'feed')} {enumerated(outside)}" if outside else outputs
    return f"{enumerated(convolutions)} {said}"


def _shared_kernel(evidence: Evidence) -> Iterator[Suspicion]:
    """A folded kernel that another convolution uses too."""
    found = [folded for folded in evidence[folds] if _shares_kernel(folded)]
    right = {folded.node for folded in found}
    wrong = [name for folded in found for name in folded.kernel_shared if name not in right]
    if not wrong:
        return
    kernels = [folded.linear.kernel for folded in found if folded.linear is not None]
    norms = enumerated([folded.norm.scope for folded in found])
    yield Suspicion(
        cause="pass-fold-bn-shared-weights",
        nodes=tuple(dict.fromkeys([*kernels, *wrong])),
        scopes=layers_of([*kernels, *wrong]),
        message=(
            f"{enumerated(kernels)} {verb(kernels, 'holds', 'hold')} the scale of {norms}, which was folded in, and"
            f" {enumerated(wrong)} {verb(wrong, 'uses', 'use')}"
            " the same kernel."
        ),
        fix=f"Duplicate {enumerated(kernels)} before folding, or skip fold_batch_norms for it.",
        evidence=(
            f"The kernel is a right fold of that in {evidence.case.reference_name} for one of its readers alone.",
        ),
        repair=(*_unfolded(evidence, found), *_others(evidence, found, wrong)),
    )


def _shares_kernel(folded: Folded) -> bool:
    return folded.fold.correct and bool(folded.kernel_shared) and not folded.output_shared


def _unfolded(evidence: Evidence, found: Sequence[Folded]) -> Repair:
    return tuple(edit for folded in found for edit in unfolded(evidence, folded))


def _others(evidence: Evidence, found: Sequence[Folded], wrong: Sequence[str]) -> Repair:
    """Batch norms that were folded away behind another reader of the kernel, put back."""
    done = {folded.norm.node for folded in found}
    there = {pair.reference.node for pair in evidence[norm_pairs] if pair.reference and pair.export}
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
    """A fused op of the export, and the nodes of the reference that it stands for.

    ``input`` is what these read, where the fused op reads its own.
    """

    node: Node
    convolution: Node
    resize: Node | None
    input: TensorName

    @property
    def half_pixel(self) -> bool:
        """Whether the resize has an attribute that the fused op cannot have."""
        return self.resize is not None and bool(self.resize.attrs.get("half_pixel_centers", False))

    @property
    def repair(self) -> Graft:
        """Resize, pad and convolution as in the reference."""
        return Graft(
            export=TensorName(self.node.name, 0),
            reference=TensorName(self.convolution.name, 0),
            at=lambda tensor: self.node.inputs[0] if tensor == self.input else None,
        )


def _fused_pads(evidence: Evidence) -> Iterator[_FusedPad]:
    """The fused ops of the export whose convolution is known."""
    for node in evidence[live_export].values():
        convolution = _convolution(evidence, node) if node.op in ops.FUSED_PADS else None
        if convolution is not None:
            resize, read = _before_convolution(evidence[reference_flow], convolution, node.op)
            yield _FusedPad(node=node, convolution=convolution, resize=resize, input=read)


def _convolution(evidence: Evidence, fused: Node) -> Node | None:
    """The convolution of the reference in the place of ``fused``: by name, by its variable, by its values."""
    flow = evidence[reference_flow]
    convolutions = [node for node in flow.nodes.values() if node.op == "Conv2D"]
    kernel = evidence[export_flow].source(fused.inputs[-1]).node
    variable = evidence[reference_of].get(kernel, kernel)
    named = [node for node in convolutions if node.name == fused.name]
    if named:
        return named[0]
    reading = [node for node in convolutions if flow.source(node.inputs[1]).node == variable]
    found = reading if len(reading) == 1 else _equal(evidence, kernel, convolutions)
    return found[0] if len(found) == 1 else None


def _before_convolution(flow: LiveGraph, convolution: Node, fused: str) -> tuple[Node | None, TensorName]:
    """The resize before a convolution, where ``fused`` is of an op that holds one, and what both read."""
    source = flow.source(convolution.inputs[0])
    before = flow.node(source)
    if before is not None and before.op in ops.PADS:
        source = flow.source(before.inputs[0])
        before = flow.node(source)
    if before is not None and fused == "FusedResizeAndPadConv2D" and before.op.startswith("Resize"):
        return before, before.inputs[0]
    return None, source


def _equal(evidence: Evidence, kernel: str, convolutions: Iterable[Node]) -> list[Node]:
    """The convolutions whose kernel holds the same values as ``kernel`` of the export."""
    held, digest = evidence.export.value(kernel), evidence.case.contents.digest
    if held is None:
        return []
    kernels = ((node, evidence[reference_flow].source(node.inputs[1]).node) for node in convolutions)
    values = ((node, evidence.reference.value(name)) for node, name in kernels)
    return [node for node, value in values if value is not None and digest(value) == digest(held)]


def _fused_pad(evidence: Evidence) -> Iterator[Suspicion]:
    """Fused pad and convolution, which on CPU ignore the batch."""
    found = [each for each in _fused_pads(evidence) if not each.half_pixel]
    if found:
        fused = enumerated([each.node.op for each in found])
        yield _fused(
            "pass-fused-pad-conv-batch",
            found,
            f"{enumerated([each.node.name for each in found])} ({fused}): on CPU this op evaluates only the first"
            f" sample of a batch and repeats its answer for all others.{_seen(evidence)}",
            # With a batch of one it is right, and something else is wrong.
            certain=False,
        )


def _seen(evidence: Evidence) -> str:
    """That the rows of this batch are alike, where running the export shows it."""
    return " Every row of this batch got the answer of the first." if any(evidence[rows_equal]) else ""


def _fused_resize(evidence: Evidence) -> Iterator[Suspicion]:
    """Fused resize and convolution, which drops ``half_pixel_centers``."""
    found = [each for each in _fused_pads(evidence) if each.half_pixel]
    if found:
        resizes = enumerated([each.resize.name for each in found if each.resize is not None])
        yield _fused(
            "pass-fused-resize-half-pixel",
            found,
            f"{enumerated([each.node.name for each in found])} ({found[0].node.op}) resizes without"
            f" half_pixel_centers, which {resizes} has in the {evidence.case.reference_graph} (and on CPU it evaluates"
            " only the first sample of a batch).",
            certain=True,
        )


def _fused(cause: str, found: Sequence[_FusedPad], message: str, *, certain: bool) -> Suspicion:
    names = [each.node.name for each in found]
    return Suspicion(
        cause=cause,
        nodes=tuple(names),
        scopes=layers_of(names),
        message=message,
        fix="Call optimize_for_inference(..., toco_compatible=True), which leaves these ops as they are.",
        certainty="decisive" if certain else "suggestive",
        repair=tuple(each.repair for each in found),
    )


CAUSES: tuple[Cause, ...] = (
    Cause(id="pass-fold-bn-shared-conv", ways=(_shared_output,)),
    Cause(id="pass-fold-bn-shared-weights", ways=(_shared_kernel,)),
    Cause(id="pass-fused-resize-half-pixel", ways=(_fused_resize,)),
    Cause(id="pass-fused-pad-conv-batch", ways=(_fused_pad,)),
)
