"""What TensorFlow's own optimisation passes do to a graph that is right."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ...graph.batch_norm.find import layer_scope
from ...graph.edit.graft import Graft, Repair
from ...graph.graph import Node, TensorName
from ..alignment import reference_of
from ..cause import Cause, Suspicion
from ..evidence import Evidence
from ..flow import export_flow, live_export, reference_flow
from ..places.batch_norms import graft, linears, norm_pairs, reference_norms
from ..places.folds import Folded, folds, unfolded
from ..wording import listed

_FUSED_PAD = frozenset({"FusedPadConv2D", "FusedResizeAndPadConv2D"})
_PADS = frozenset({"Pad", "PadV2", "MirrorPad"})


def _shared_output(evidence: Evidence) -> Iterator[Suspicion]:
    """A folded convolution whose raw output something else reads."""
    found = [each for each in evidence[folds] if each.fold.correct and each.output_shared]
    if not found:
        return
    others = [name for folded in found for name in folded.output_shared]
    convolutions = [folded.node for folded in found]
    repair: Repair = tuple(edit for folded in found for edit in unfolded(evidence, folded))
    yield Suspicion(
        cause="pass-fold-bn-shared-conv",
        nodes=tuple(dict.fromkeys([*convolutions, *others])),
        scopes=tuple(dict.fromkeys(layer_scope(name) for name in convolutions)),
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


def _shared_kernel(evidence: Evidence) -> Iterator[Suspicion]:
    """A folded kernel that another convolution uses too."""
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
        cause="pass-fold-bn-shared-weights",
        nodes=tuple(dict.fromkeys([*kernels, *wrong])),
        scopes=tuple(dict.fromkeys(layer_scope(name) for name in [*kernels, *wrong])),
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
    there = {pair.reference.node for pair in evidence[norm_pairs] if pair.reference and pair.export}
    edits: list[Graft] = []
    for linear in evidence[linears]:
        if linear.node not in wrong:
            continue
        node = evidence[reference_of].get(linear.node, linear.node)
        for norm in evidence[reference_norms]:
            if norm.linear == node and norm.node not in done | there:
                edges = {TensorName(node, 0): TensorName(linear.node, 0)}
                edits.append(graft(evidence, linear.output, norm, edges))
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
        if node.op in _FUSED_PAD:
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


def _fused_pad(evidence: Evidence) -> Iterator[Suspicion]:
    """Fused pad and convolution, which on CPU ignore the batch."""
    found = [each for each in _fused_pads(evidence) if not each.half_pixel]
    if found:
        ops = listed([each.node.op for each in found])
        yield _fused(
            "pass-fused-pad-conv-batch",
            found,
            f"{listed([each.node.name for each in found])} ({ops}): on CPU this op evaluates only the first"
            f" sample of a batch and repeats its answer for all others.{_seen(evidence)}",
            # With a batch of one it is right, and something else is wrong.
            certain=False,
        )


def _seen(evidence: Evidence) -> str:
    """That the rows of this batch are alike, where running the export shows it."""
    behaviour = evidence.case.behaviour
    alike = behaviour is not None and any(behaviour.equal_rows("export"))
    return " Every row of this batch got the answer of the first." if alike else ""


def _fused_resize(evidence: Evidence) -> Iterator[Suspicion]:
    """Fused resize and convolution, which drops ``half_pixel_centers``."""
    found = [each for each in _fused_pads(evidence) if each.half_pixel]
    if found:
        resizes = listed([each.resize.name for each in found if each.resize is not None])
        yield _fused(
            "pass-fused-resize-half-pixel",
            found,
            f"{listed([each.node.name for each in found])} ({found[0].node.op}) resizes without"
            f" half_pixel_centers, which {resizes} has in the {evidence.case.reference_graph} (and on CPU it evaluates"
            " only the first sample of a batch).",
            certain=True,
        )


def _fused(cause: str, found: Sequence[_FusedPad], message: str, *, certain: bool) -> Suspicion:
    names = [each.node.name for each in found]
    return Suspicion(
        cause=cause,
        nodes=tuple(names),
        scopes=tuple(dict.fromkeys(layer_scope(name) or name for name in names)),
        message=message,
        fix="Call optimize_for_inference(..., toco_compatible=True), which leaves these ops as they are.",
        certainty="decisive" if certain else "suggestive",
        repair=tuple(edit for each in found for edit in each.repair()),
    )


CAUSES: tuple[Cause, ...] = (
    Cause(id="pass-fold-bn-shared-conv", ways=(_shared_output,)),
    Cause(id="pass-fold-bn-shared-weights", ways=(_shared_kernel,)),
    Cause(id="pass-fused-resize-half-pixel", ways=(_fused_resize,)),
    Cause(id="pass-fused-pad-conv-batch", ways=(_fused_pad,)),
)
