"""Batch norm as one thing, however the graph spells it.

A record says what a layer normalises with: its mode, its weights, its epsilon and its axis. Fused
ops are read off; arithmetic is recognised by what it computes, not by the names or the order of
its nodes (``batchnorm_arithmetic``). Normalisation over other axes than the batch's (layer,
instance and group norm, L2) is no batch norm.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from .. import ops
from ..graph import Array, Graph, Node, Tensor, TensorName
from ..layer import layer_of, scope_of
from ..live_graph import LiveGraph, live_graph
from .arithmetic import ROOTS, Normalisation, arithmetic
from .statistics import Statistic, batch_axis_reshaped, momenta, statistic, weight

_GLOBAL = "BatchNormWithGlobalNormalization"
_FOUND_BY = ops.FUSED_BATCH_NORMS | ROOTS | {_GLOBAL}

Mode: TypeAlias = Literal["training", "inference", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchNorm:
    """One live batch norm of a graph.

    ``scope`` is the layer's name scope (``block1/bn``), ``node`` the node that computes the
    normalised value, ``output`` the tensor that the rest of the graph reads (behind the
    conditional that encloses ``node``, if one does), ``input`` what is normalised. ``mode`` is
    ``"training"`` where the statistics of the current batch are used, ``"inference"`` where stored
    ones are, ``"unknown"`` where a feed decides. ``decided_by`` is the node (a placeholder or a
    constant) that a conditional asks, None where there is no conditional. Inside a function, ``node``
    is the path of the call and the node's name in the function.

    ``gamma``, ``beta``, ``mean`` and ``variance`` are the constants or variables (node names)
    that the layer reads; None where it reads none, or one that is computed (``has_gamma`` and ``has_beta``
    are True then). In mode ``"unknown"`` mean and variance are the stored
    ones. ``axis`` is that of the channels: -1 for the last. ``kernel`` is the constant or variable
    of the convolution or product right before the layer, ``linear`` the node of it, ``bias`` what is
    added between the two.
    """

    scope: str
    node: str
    output: TensorName
    input: TensorName
    mode: Mode
    decided_by: str | None
    gamma: str | None
    beta: str | None
    mean: str | None
    variance: str | None
    epsilon: float
    axis: int
    momentum: float | None = None
    linear: str | None = None
    kernel: str | None = None
    bias: str | None = None
    has_gamma: bool = False
    has_beta: bool = False

    @property
    def weights(self) -> tuple[str | None, str | None, str | None, str | None]:
        """Gamma, beta, mean, variance."""
        return (self.gamma, self.beta, self.mean, self.variance)

    def named_by(self, keys: Mapping[str, str]) -> BatchNorm:
        """This batch norm with its weights under other names, those of a checkpoint say; unknown ones stay."""
        names = ("gamma", "beta", "mean", "variance", "kernel", "bias")
        return replace(self, **{name: keys.get(old, old) for name in names if (old := getattr(self, name))})


def find_batch_norms(
    graph: Graph,
    outputs: Iterable[TensorName],
    inputs: Iterable[TensorName] = (),
    feeds: Mapping[TensorName, Array] | None = None,
    variables: Mapping[str, Tensor] | None = None,
    *,
    live: LiveGraph | None = None,
) -> tuple[BatchNorm, ...]:
    """Every batch norm that ``outputs`` need, in the order of the graph's file.

    ``inputs`` are fed something that is not known, ``feeds`` these constants. ``variables``
    are the variables that have a value, by node name: nodes of these names count as weights
    whatever their op. ``live`` is what of the graph is taken, if that is known already. A layer that is
    applied twice is two records.
    """
    live = live or live_graph(graph, outputs, inputs, feeds, variables)
    known = frozenset(variables or ())
    found = [*_fused(live), *_global(live), *arithmetic(live, known)]
    position = {name: index for index, name in enumerate(graph.nodes)}
    found.sort(key=lambda each: (position.get(_place(graph, each.node.name), 0), live.order[each.node.name]))
    decays = momenta(graph) if found else {}
    records = (_record(live, each, known, decays) for each in found)
    joined = _joined(live, [record for record in records if record is not None])
    return tuple(replace(record, output=_in_file(graph, record.output)) for record in joined)


def may_have_batch_norms(graph: Graph) -> bool:
    """Whether an op of the graph, or of one of its functions, is one that :func:`find_batch_norms` begins at."""
    return any(node.op in _FOUND_BY for node in graph.nodes.values()) or any(
        node.op in _FOUND_BY for body in graph.functions.values() for node in body.nodes
    )


def _place(graph: Graph, name: str) -> str:
    """The node of the file that ``name`` is or, inside a function, the node that calls it."""
    while name and name not in graph.nodes:
        name = scope_of(name)
    return name


def _in_file(graph: Graph, tensor: TensorName) -> TensorName:
    """``tensor``, or the output of the functional conditional that stands for it in the file."""
    call, _, port = tensor.node.rpartition("/merge_")
    return TensorName(call, int(port)) if tensor.node not in graph.nodes and call in graph.nodes else tensor


def _fused(live: LiveGraph) -> Iterable[Normalisation]:
    for node in live.nodes.values():
        if node.op not in ops.FUSED_BATCH_NORMS or len(node.inputs) < 5:
            continue
        layout = node.attrs.get("data_format", b"NHWC")
        training = bool(node.attrs.get("is_training", True))
        if training and batch_axis_reshaped(live, node):
            continue
        yield Normalisation(
            node=node,
            input=node.inputs[0],
            gamma=node.inputs[1],
            beta=node.inputs[2],
            mean=node.inputs[3],
            variance=node.inputs[4],
            epsilon=_number(node.attrs.get("epsilon", 1e-4)),
            axis=1 if isinstance(layout, bytes) and layout.startswith(b"NC") else -1,
            training=training,
        )


def _global(live: LiveGraph) -> Iterable[Normalisation]:
    for node in live.nodes.values():
        if node.op != _GLOBAL or len(node.inputs) < 5:
            continue
        value, mean, variance, beta, gamma = node.inputs[:5]
        yield Normalisation(
            node=node,
            input=value,
            gamma=gamma if node.attrs.get("scale_after_normalization") else None,
            beta=beta,
            mean=mean,
            variance=variance,
            epsilon=_number(node.attrs.get("variance_epsilon", 0.0)),
        )


def _number(attr: object) -> float:
    return float(attr) if isinstance(attr, (int, float)) else 0.0


def _record(
    live: LiveGraph, found: Normalisation, variables: frozenset[str], decays: Mapping[str, float]
) -> BatchNorm | None:
    means = statistic(live, found.mean, variables)
    variances = statistic(live, found.variance, variables)
    mode = _mode(found.training, means, variances)
    if mode is None:
        return None
    output, outer = _behind(live, found.node)
    stored = (None, None) if mode == "training" else (means.stored, variances.stored)
    linear, kernel, bias = _linear(live, found.input, variables)
    axis = found.axis if found.axis is not None else means.axis or variances.axis or -1
    gamma, beta = (weight(live, each, variables) for each in (found.gamma, found.beta))
    return BatchNorm(
        scope=_scope(found, (gamma, beta, *stored)),
        node=found.node.name,
        output=output,
        input=live.source(found.input),
        mode=mode,
        decided_by=means.predicate or variances.predicate or _decider(live, found, outer),
        gamma=gamma,
        beta=beta,
        mean=stored[0],
        variance=stored[1],
        epsilon=found.epsilon,
        axis=axis,
        momentum=decays.get(means.stored or ""),
        linear=linear,
        kernel=kernel,
        bias=bias,
        has_gamma=found.gamma is not None,
        has_beta=found.beta is not None,
    )


def _scope(found: Normalisation, weights: Iterable[str | None]) -> str:
    name = found.node.name
    layer = layer_of(name, arithmetic=found.training is None, weights=weights)
    return "" if layer == name else layer


def _decider(live: LiveGraph, found: Normalisation, outer: str | None) -> str | None:
    """What decides the conditional around a layer: before its input, behind it, or where it reads its weights."""
    before = live.trace(found.input)[1]
    if before or outer:
        return before or outer
    read = (found.input, found.gamma, found.beta, found.mean, found.variance)
    deciders = (live.enclosing(tensor) for tensor in read if tensor is not None)
    return next((decider for decider in deciders if decider is not None), None)


def _joined(live: LiveGraph, records: Iterable[BatchNorm]) -> tuple[BatchNorm, ...]:
    """One record for both sides of a conditional that a feed decides: unknown is which of their modes it has.

    A layer that trains on one side, where the other has none, trains or not as the feed says.
    """
    joined: dict[object, BatchNorm] = {}
    for record in records:
        choice = live.choices.get(record.output.node)
        undecided = choice is not None and choice.taken is None
        key = record.output if undecided else (record.node, record.input)
        other = joined.get(key)
        joined[key] = record if other is None or not undecided else _either(record, other)
        if undecided and joined[key].mode == "training":
            joined[key] = replace(joined[key], mode="unknown")
    return tuple(joined.values())


def _either(one: BatchNorm, other: BatchNorm) -> BatchNorm:
    stored, rest = (one, other) if one.mode == "inference" else (other, one)
    mode: Mode = stored.mode if stored.mode == rest.mode else "unknown"
    return replace(stored, mode=mode, momentum=stored.momentum or rest.momentum)


def _mode(training: bool | None, mean: Statistic, variance: Statistic) -> Mode | None:
    if training is not None:
        return "training" if training else "inference"
    kinds = {mean.kind, variance.kind}
    if "other" in kinds:
        return None
    if "undecided" in kinds:
        return "unknown"
    return "training" if "batch" in kinds else "inference"


def _behind(live: LiveGraph, node: Node) -> tuple[TensorName, str | None]:
    """The tensor behind the conditional that encloses ``node``, and the predicate of that conditional."""
    output, predicate = TensorName(node.name, 0), None
    ahead = output
    while True:
        onward = [
            live.nodes[name] for name in live.readers.get(ahead.node, ()) if ahead in live.nodes[name].inputs
        ]
        if not onward:
            return output, predicate
        ahead = TensorName(onward[0].name, 0)
        if len(onward) == 1 and onward[0].op == "Identity":
            continue
        if any(reader.name not in live.choices for reader in onward):
            return output, predicate
        output, predicate = ahead, predicate or live.choices[ahead.node].predicate


def _linear(live: LiveGraph, tensor: TensorName, variables: frozenset[str]) -> tuple[str | None, ...]:
    """The convolution or product before ``tensor``, its kernel, and the bias that is added in between."""
    node = live.node(live.source(tensor))
    bias = None
    if node is not None and node.op in ops.ADDITIONS and len(node.inputs) == 2:
        bias = weight(live, node.inputs[1], variables)
    if node is not None and bias is not None:
        node = live.node(live.source(node.inputs[0]))
    node = _before_layout(live, node)
    if node is None or node.op not in ops.LINEAR or len(node.inputs) < 2:
        return None, None, None
    return node.name, weight(live, node.inputs[1], variables), bias


def _before_layout(live: LiveGraph, node: Node | None) -> Node | None:
    """What is reshaped: a dense layer, to [N, 1, 1, C] for a fused op, or a dilated one that is put together."""
    for _ in range(3):
        if node is not None and (node.op in ops.LAYOUTS or node.op == "BatchToSpaceND") and node.inputs:
            node = live.node(live.source(node.inputs[0]))
    return node
