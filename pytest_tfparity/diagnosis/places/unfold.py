"""A batch norm of the reference that the export has in another form, and putting it back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ...graph.batch_norm.find import BatchNorm
from ...graph.batch_norm.fold import Fold, Linear
from ...graph.batch_norm.statistics import weight
from ...graph.edit.repair import Constant, Edit, Repair, Rewrite, constant_node, tensor_of_array
from ...graph.graph import Tensor, TensorName
from ...graph.read.tensors import values
from ..evidence import Evidence
from ..needed import export_flow
from .batch_norms import free_name, norm_graft
from .fold_formula import LayerWeights


@dataclass(frozen=True, slots=True, kw_only=True)
class Folded:
    """The batch norm ``norm`` of the reference and what stands in its place in the export.

    ``linear`` is the export's convolution or product that holds it, None where a multiplication and
    a sum do (``scale`` is the node of the former). ``output`` is the export's tensor in the place of the norm's
    output, None where the norm is still there (``kept``, that of the export). ``weights`` are the values
    that it was made of, by node of the reference; ``expected`` says that these are the reference's own.
    ``added`` is how many constants the offset is the sum of, ``later`` the constant that holds it where it is added
    after something else. ``output_shared`` are other nodes of the export
    that read the raw output, ``kernel_shared`` other convolutions that read the kernel.
    """

    norm: BatchNorm
    fold: Fold
    weights: LayerWeights
    expected: bool
    output: TensorName
    linear: Linear | None = None
    scale: str | None = None
    kept: BatchNorm | None = None
    added: int = 0
    later: str | None = None
    output_shared: tuple[str, ...] = ()
    kernel_shared: tuple[str, ...] = ()

    @property
    def neutral(self) -> bool:
        """Whether this is another spelling of the same function."""
        return self.fold.correct and self.kept is None and not self.output_shared and not self.kernel_shared

    @property
    def node(self) -> str:
        """The node of the export to name."""
        return self.linear.node if self.linear is not None else (self.scale or self.output.node)


def right_fold(norm: BatchNorm) -> Fold:
    """The fold that is right for ``norm``."""
    return Fold(epsilon=norm.epsilon, own_epsilon=True, axis="output", power=1, bias="correct", residual=0.0)


def unfolded(evidence: Evidence, folded: Folded) -> Repair:
    """Put kernel and batch norm back as in the reference, made of the weights that the export was made of."""
    edges: dict[TensorName, TensorName] = {}
    edits: list[Edit] = []
    if folded.linear is None:
        edges[folded.norm.input] = _scaled(evidence, folded)
    else:
        edits += _kernel(evidence, folded, folded.linear, edges)
    if not folded.expected:
        edits += _weights(evidence, folded, edges)
    if folded.kept is not None:
        # The norm stays: only what the fold changed before it is put back.
        edges |= {
            TensorName(right, 0): TensorName(held, 0)
            for right, held in zip(folded.norm.weights, folded.kept.weights, strict=True)
            if right is not None and held is not None
        }
    return (*edits, norm_graft(evidence, folded.output, folded.norm, edges))


def _scaled(evidence: Evidence, folded: Folded) -> TensorName:
    """What the multiplication that stands for the norm scales."""
    scale = evidence[export_flow].nodes[folded.scale or ""]
    return next(source for source in scale.inputs if weight(evidence[export_flow], source) is None)


def _kernel(
    evidence: Evidence, folded: Folded, linear: Linear, edges: dict[TensorName, TensorName]
) -> Iterator[Edit]:
    """The kernel before the fold, and the convolution's own bias that was scaled with it."""
    norm = folded.norm
    edges[TensorName(norm.linear or "", 0)] = TensorName(linear.node, 0)
    yield Constant(node=linear.kernel, value=_shaped(evidence, linear, folded))
    offset = evidence.export.value(folded.later)
    if folded.later is not None and offset is not None:
        yield Constant(node=folded.later, value=tensor_of_array(np.zeros_like(values(offset)), offset.dtype))
    if norm.bias is not None and norm.bias in folded.weights and folded.added > 1:
        own = linear.added[0].bias  # the first sum is that of the own bias
        edges[TensorName(norm.bias, 0)] = TensorName(own, 0)
        yield Constant(node=own, value=folded.weights[norm.bias])


def _weights(evidence: Evidence, folded: Folded, edges: dict[TensorName, TensorName]) -> Iterator[Edit]:
    """The weights of the norm that the export was made of, as new constants."""
    taken: list[str] = []
    for name, value in folded.weights.items():
        if name != folded.norm.kernel and TensorName(name, 0) not in edges:
            taken.append(free_name(evidence, name, taken))
            edges[TensorName(name, 0)] = TensorName(taken[-1], 0)
            yield Rewrite(node=constant_node(taken[-1], value))


def _shaped(evidence: Evidence, linear: Linear, folded: Folded) -> Tensor:
    """The unfolded kernel in the shape that the export's constant has."""
    kernel = folded.weights[folded.norm.kernel or ""]
    held = evidence.export.value(linear.kernel)
    if held is None or held.shape == kernel.shape:
        return kernel
    return tensor_of_array(values(kernel).reshape(held.shape), kernel.dtype)
