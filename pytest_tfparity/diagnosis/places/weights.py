"""The constants of an export that hold something else than the reference has in their place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ...graph import ops
from ...graph.align.divergence import Kind
from ...graph.edit.repair import Constant, Repair
from ...graph.graph import Tensor
from ...graph.layer import base_name
from ...graph.read.tensors import values
from ..alignment import divergences, reference_of
from ..arrays import is_float, same
from ..case import Tensors
from ..evidence import Evidence, ReferenceEvidence
from ..initial_values import single_starts
from ..layers import layers
from ..needed import live_export
from ..provenance import Provenance, provenance
from ..query import query, reference_query
from ..relations.relation import Relation
from ..tensor_names import averaged_by, is_statistic
from .batch_norms import norm_of, reference_linears, reference_norms, statistics


@dataclass(frozen=True, slots=True, kw_only=True)
class WrongConstant:
    """Constant ``constant`` of the export, which stands where the reference has ``node``.

    ``held`` is what it holds, ``right`` what the reference has. ``key`` is the checkpoint's tensor that
    the reference restores there and ``variable`` the variable that is or that it averages; None for a
    constant of the graph. ``origin`` says whose the value is. ``readers`` are nodes of the export.
    ``name`` is what the layer is called after, ``statistic`` whether a batch norm normalises with it.
    """

    constant: str
    node: str
    held: Tensor
    right: Tensor
    readers: tuple[str, ...]
    name: str
    key: str | None = None
    variable: str | None = None
    origin: Provenance | None = None
    statistic: bool = False

    @property
    def kind(self) -> str:
        """The kind of its origin; ``"graph"`` for a constant of the graph."""
        return self.origin.kind if self.origin is not None and self.key is not None else "graph"

    @property
    def relation(self) -> Relation | None:
        """What the value is of :attr:`source`, where it is not equal to it."""
        return self.origin.relation if self.origin is not None else None

    @property
    def source(self) -> str | None:
        """The checkpoint's tensor whose value it is or is made of."""
        return self.origin.source if self.origin is not None else None

    @property
    def has_right_shape(self) -> bool:
        """Whether it has the shape of the reference's value."""
        return tuple(self.held.shape) == tuple(self.right.shape)

    @property
    def edit(self) -> Constant:
        """What puts it right."""
        return Constant(node=self.constant, value=self.right)


@reference_query
def held_weights(evidence: ReferenceEvidence) -> Tensors:
    """The weights that the reference's graph holds as constants (a part that was frozen before), by node.

    A kernel of a convolution or product counts if a bias or a batch norm stands behind it, with these: an untrained
    filter before the first layer has neither.
    """
    norms, nodes = evidence[reference_norms], evidence.reference.graph.nodes
    normed = {norm.kernel for norm in norms}
    names = {
        name for norm in norms if norm.kernel is not None for name in (norm.kernel, norm.bias, *norm.weights)
    }
    for linear in evidence[reference_linears]:
        if linear.kernel in normed or linear.added:
            names |= {linear.kernel, *(each.bias for each in linear.added)}
    found = {}
    for name in sorted(filter(None, names)):
        node = nodes.get(name)
        value = node.attrs.get("value") if node is not None and node.op == "Const" else None
        if isinstance(value, Tensor) and name not in evidence.checkpoint and is_float(values(value)):
            found[name] = value
    return found


@reference_query
def weight_tensors(evidence: ReferenceEvidence) -> Tensors:
    """All tensors of the checkpoint, and the weights that the reference's graph holds as constants."""
    return {**evidence.checkpoint, **evidence[held_weights]}


@reference_query
def weight_keys(evidence: ReferenceEvidence) -> Mapping[str, str]:
    """Which of :func:`weight_tensors` each node of the reference has."""
    return {**evidence.keys, **{name: name for name in evidence[held_weights]}}


@query
def wrong_constants(evidence: Evidence) -> tuple[WrongConstant, ...]:
    """The constants that hold something else than the reference has in their place."""
    return tuple(_find_wrong_constants(evidence))


def _find_wrong_constants(evidence: Evidence) -> Iterator[WrongConstant]:
    """Every live constant that differs from the reference's, those nearest to the inputs first."""
    checkpoint, keys = evidence[weight_tensors], evidence[weight_keys]
    moving = evidence[statistics]
    done: set[str] = set()
    for divergence in evidence[divergences]:
        if divergence.kind is not Kind.CONSTANT or divergence.export[0] in done:
            continue
        constant, node = divergence.export[0], divergence.reference[0]
        held, right = evidence.export.value(constant), evidence.reference.value(node)
        if held is None or right is None or _equal(held, right):
            continue
        done.add(constant)
        key = keys.get(node)
        key = key if key in checkpoint else None
        yield WrongConstant(
            constant=constant,
            node=node,
            held=held,
            right=right,
            readers=divergence.readers,
            name=_name(constant, node),
            key=key,
            variable=None if key is None else averaged_by(key, checkpoint) or key,
            origin=evidence[provenances].get(constant),
            statistic=node in moving if moving else is_statistic(node),
        )


def _equal(held: Tensor, right: Tensor) -> bool:
    """Whether two constants are the same after all: inside a loop what surrounds them differs too."""
    return held.dtype == right.dtype and same(values(held), values(right))


def _name(constant: str, node: str) -> str:
    """The export's name if it is that of a variable, as far as the reference's shows."""
    return constant if base_name(constant) == base_name(node) else node


def weights_as_reference(wrong: Iterable[WrongConstant]) -> Repair:
    """The edits that put ``wrong`` right."""
    return tuple(each.edit for each in wrong)


def weight_scopes(evidence: Evidence, wrong: Sequence[WrongConstant]) -> tuple[str, ...]:
    """The layers of ``wrong``, each once."""
    found = evidence[layers].scopes([each.name for each in wrong])
    return tuple(dict.fromkeys(found.values()))


def weight_nodes(evidence: Evidence, wrong: Sequence[WrongConstant]) -> tuple[str, ...]:
    """The nodes of the export to name: the ops of the same layers that read ``wrong``, and the constants."""
    scopes = evidence[layers].scopes([each.name for each in wrong])
    found: dict[str, None] = {}
    for each in wrong:
        norm = evidence[norm_of].get(each.node)
        inside = f"{scopes[each.name]}/"
        readers = (norm,) if norm is not None else each.readers
        found |= dict.fromkeys(reader for reader in readers if reader.startswith(inside))
    return (*found, *(each.constant for each in wrong if each.constant not in found))


@query
def export_constants(evidence: Evidence) -> Tensors:
    """The live constants of the export, by node name, and the variables that it keeps: those that loops read."""
    found = {}
    for name, node in evidence[live_export].items():
        held = evidence.export.value(name) if node.op == "Const" or node.op in ops.VARIABLES else None
        if held is not None:
            found[name] = held
    return found


@query
def variable_of(evidence: Evidence) -> Mapping[str, str]:
    """Constant of the export to the checkpoint's (raw) variable in whose place it stands."""
    places = {}
    for name in evidence[export_constants]:
        key = expected_key(evidence, name)
        if key is not None:
            places[name] = averaged_by(key, evidence[weight_tensors]) or key
    return places


def expected_key(evidence: Evidence, constant: str) -> str | None:
    """The checkpoint's tensor that the reference has in the place of a constant of the export."""
    node = evidence[reference_of].get(constant)
    return evidence[weight_keys].get(node) if node is not None else None


@query
def provenances(evidence: Evidence) -> Mapping[str, Provenance]:
    """Where each float constant of the export comes from, by its node name."""
    case = evidence.case
    differing = {name for divergence in evidence[divergences] for name in divergence.export}
    keys = {name: key for name in evidence[variable_of] if (key := expected_key(evidence, name)) is not None}
    equal = {
        name: key for name, key in keys.items() if name not in differing and key in evidence[weight_tensors]
    }
    found = provenance(
        evidence[export_constants],
        evidence[weight_tensors],
        variables_of=evidence[variable_of],
        others=case.others if len(equal) < len(keys) else {},
        starts=evidence[single_starts],
        parts={name: case.parts[node] for name, node in evidence[reference_of].items() if node in case.parts},
        equal=equal,
    )
    return {each.constant: each for each in found}
