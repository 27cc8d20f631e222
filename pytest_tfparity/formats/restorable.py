"""Whether a checkpoint has what the variables of a graph need, said before TensorFlow is asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ..errors import ModelError, nearest
from ..graph import ops
from ..graph.edit.pruning import Part
from ..graph.graph import DType, Node, Shape, Tensor
from ..graph.layer import base_name, scope_of
from ..graph.read.restore import RestoredKey
from ..graph.read.slices import resolved, slice_shape, slice_spec
from ..graph.read.tensors import base_dtype
from ..runtime.feeds import dtype_text, shape_text
from ..wording import enumerated, verb

_STATISTICS = ("moving_mean", "moving_variance")


def require_fit(
    part: Part, keys: Mapping[str, RestoredKey], tensors: Mapping[str, Tensor], *, checkpoint: str, graph: str
) -> None:
    """Raise ModelError unless the checkpoint's ``tensors`` have a value that fits each variable of ``part``.

    ``keys`` say which tensor each variable is restored from; ``checkpoint`` and ``graph`` are for messages.
    """
    live = {name: node for name, node in part.nodes.items() if node.op in ops.VARIABLES}
    wanted = {name: keys[name].key if name in keys else name for name in live}
    missing = {name: key for name, key in wanted.items() if key not in tensors}
    if missing:
        raise ModelError(_missing(missing, len(live), tensors, checkpoint, graph))
    unrestored = [name for name in live if name not in keys]
    if unrestored:
        raise ModelError(
            f"The saver of {graph} does not restore {enumerated(unrestored)}, which the outputs need and the"
            " checkpoint has. Set `ema: none` to restore every variable under its own name, or name the .meta"
            " of the inference graph."
        )
    misfits = list(_misfits(live, keys, tensors))
    if misfits:
        more = f" and {len(misfits) - 3} more" if len(misfits) > 3 else ""
        raise ModelError(
            f"The checkpoint {checkpoint} is of another network than {graph}: {'; '.join(misfits[:3])}{more}."
        )


def _missing(
    missing: Mapping[str, str], live: int, tensors: Mapping[str, Tensor], checkpoint: str, graph: str
) -> str:
    lost = list(missing.values())
    start = f"The checkpoint {checkpoint} has no {enumerated(lost)}, which {graph} needs"
    statistics = [key for key in lost if base_name(key) in _STATISTICS]
    if len(statistics) == len(lost):
        scope = scope_of(statistics[0])
        there = [name for name in (f"{scope}/gamma", f"{scope}/beta") if name in tensors]
        has = f"It has {enumerated(there)}: batch" if there else "Batch"
        return (
            f"{start}. {has} norm's moving statistics were not saved"
            " (tf.train.Saver(tf.trainable_variables())?). Save tf.global_variables(); the statistics that"
            " this training had are lost."
        )
    if len(lost) == live:
        return (
            f"{start}: it is a checkpoint of another network (it holds {enumerated(tensors) or 'nothing'})."
        )
    near = nearest(lost[0], tensors)
    return f"{start}.{f' The nearest that it has: {enumerated(near)}.' if near else ''}"


def _misfits(
    live: Mapping[str, Node], keys: Mapping[str, RestoredKey], tensors: Mapping[str, Tensor]
) -> Iterator[str]:
    for name, node in live.items():
        key = keys[name]
        held = tensors[key.key]
        spec = slice_spec(key.slice)
        shape = key.shape or (slice_shape(resolved(spec.place, spec.shape)) if spec else held.shape)
        wanted, dtype = node.attrs.get("shape"), node.attrs.get("dtype")
        if spec and spec.shape != held.shape:
            yield _differs(key.key, shape_text(held.shape), shape_text(spec.shape))
        elif isinstance(wanted, Shape) and not _fits(shape, wanted.dims, node):
            yield _differs(key.key, shape_text(shape), shape_text(wanted.dims))
        elif isinstance(dtype, DType) and base_dtype(dtype) != held.dtype:
            yield _differs(key.key, dtype_text(held.dtype), dtype_text(dtype))


def _differs(key: str, held: str, wanted: str) -> str:
    return f"{key} is {held} in the checkpoint and {wanted} in the graph"


def _fits(shape: tuple[int, ...], dims: tuple[int, ...] | None, node: Node) -> bool:
    if dims is None or (
        not dims and node.op == "Variable"
    ):  # the old op writes an unknown shape as a scalar's
        return True
    return len(shape) == len(dims) and all(want in (-1, got) for want, got in zip(dims, shape, strict=True))


def require_restored(
    part: Part, keys: Mapping[str, RestoredKey], values: Mapping[str, Tensor], label: str
) -> None:
    """Raise ModelError unless the SavedModel ``label`` restores each variable of ``part`` that is to be run."""
    live = [name for name, node in part.nodes.items() if node.op in ops.VARIABLES]
    lost = [keys[name].key for name in live if name in keys and name not in values]
    if lost:
        raise ModelError(
            f"{label} restores {enumerated(lost)}, which its variables folder does not hold. Copy the whole folder, or"
            " save it again."
        )
    unrestored = [name for name in live if name not in keys]
    if unrestored:
        raise ModelError(
            f"{label} does not restore {enumerated(unrestored)}, which its outputs need: no value was saved for"
            f" {verb(unrestored, 'it', 'them')}."
        )
