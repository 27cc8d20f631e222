"""Which input and which output of one side is which of the other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

from ..check.pair import lacking, some
from ..check.random_inputs import type_number
from ..errors import SettingsError, UnreadableFile
from ..formats.model import HasGraph, Model
from ..graph import ops
from ..graph.graph import Node, tensor_name
from ..runtime.feeds import TensorSpec

_DEPTH = 3
"""How many ops behind an input its readers are compared."""
_Readers: TypeAlias = Mapping[tuple[int, str, int], int]


def matched_outputs(finals: Sequence[str], reference: Model, export: Model) -> dict[str, str]:
    """The reference's tensor for each of the tensors ``finals`` that the export ends in.

    Of one name, or of that which a copy has (imported under a prefix, or numbered by TensorFlow); where both sides have
    a single end, that. Raises ``SettingsError`` where only the user can know.
    """
    found = {name: name if reference.has_tensor(name) else _namesake(name, reference) for name in finals}
    unknown = [name for name, other in found.items() if other is None]
    ends = main_ends(reference) if unknown else ()
    if unknown == list(finals) and len(finals) == len(ends) == 1:
        return {finals[0]: ends[0]}
    if unknown:
        raise SettingsError(
            f"{lacking(reference, export, unknown)} Say which tensor it should be compared with:"
            f" --output NAME={unknown[0]}"
        )
    return {name: other for name, other in found.items() if other is not None}


def main_ends(model: Model) -> Sequence[str]:
    """What a model answers, of a graph for training without what only training needs."""
    if not isinstance(model, HasGraph):
        return model.outputs()
    from ..graph.heads import heads, variables_behind  # where names do not tell

    try:
        ends = model.outputs()
        found = heads(model.graph, map(tensor_name, _data(model, ends)), model.feeds)
    except UnreadableFile:
        return model.outputs()
    behind = {name: variables_behind(model.graph, [name]) for name in found if name in ends}
    return [name for name, own in behind.items() if not any(own < other for other in behind.values())] or ends


def matched_inputs(
    pairs: Mapping[str, str],
    reference: Model,
    export: Model,
    of_reference: Mapping[str, TensorSpec],
    of_export: Mapping[str, TensorSpec],
) -> dict[str, str]:
    """The export's inputs by those of the reference: ``pairs``, and the others by their dtypes and what reads them.

    Raises ``SettingsError`` where only the user can know.
    """
    found = dict(pairs)
    for name, taken in of_export.items():
        if name in found.values():
            continue
        alike = [
            other
            for other, its in of_reference.items()
            if other not in found and type_number(its.dtype) == type_number(taken.dtype)
        ]
        if len(alike) != 1:
            alike = _read_alike(reference, alike, export, name)
        if len(alike) != 1:
            raise SettingsError(
                f"Which input of the {reference.graph_noun} ({some(of_reference)}) is {name}"
                f" of the export? Say it: --input NAME={name}"
            )
        found[alike[0]] = name
    return found


def _namesake(name: str, reference: Model) -> str | None:
    """The reference's tensor of which ``name`` is a copy's: imported under a prefix, or numbered by TensorFlow."""
    node = tensor_name(name).node
    parts = node.split("/")
    stems = ["/".join(parts[start:]) for start in range(1, len(parts))]
    stem, _, number = node.rpartition("_")
    stems += [stem] if number.isdigit() else []
    return next((f"{each}:0" for each in stems if each and reference.has_tensor(f"{each}:0")), None)


def _data(model: HasGraph, ends: Sequence[str]) -> list[str]:
    """The inputs of the end that takes the fewest: what the network itself is fed, not its labels."""
    taken = [list(model.inputs([end])) for end in ends]
    return min((each for each in taken if each), key=len, default=[])


def _read_alike(reference: Model, names: Sequence[str], export: Model, name: str) -> list[str]:
    """Those of ``names`` whose readers in the reference are those of ``name`` in the export."""
    if not isinstance(reference, HasGraph) or not isinstance(export, HasGraph):
        return list(names)
    wanted = _readers(export, name)
    return [other for other in names if _readers(reference, other) == wanted]


def _readers(model: HasGraph, name: str) -> _Readers:
    """The ops that read ``name``, some ops deep, with the position at which they read; names play no part."""
    nodes: dict[str, list[tuple[Node, int]]] = {}
    for node in model.live(model.outputs()).values():
        for position, source in enumerate(node.inputs):
            nodes.setdefault(source.node, []).append((node, position))
    found: Counter[tuple[int, str, int]] = Counter()
    front = [tensor_name(name).node]
    for depth in range(_DEPTH):
        following = []
        for reader, position in _computing(nodes, front):
            found[depth, reader.op, position] += 1
            following.append(reader.name)
        front = following
    return found


def _computing(nodes: Mapping[str, list[tuple[Node, int]]], front: Iterable[str]) -> list[tuple[Node, int]]:
    """What reads ``front``, behind ops that only pass it on."""
    found, stack = [], list(front)
    while stack:
        for node, position in nodes.get(stack.pop(), ()):
            if node.op in ops.PASS_THROUGH:
                stack.append(node.name)
            else:
                found.append((node, position))
    return found
