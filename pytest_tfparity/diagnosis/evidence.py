"""What is known about a failed check, each kind gathered when first asked for, cheapest first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property, partial
from typing import TYPE_CHECKING

import numpy as np

from ..errors import TfparityError
from ..graph import ops
from ..graph.align.align import align
from ..graph.align.divergence import Alignment, Divergence, Kind
from ..graph.batch_norm.find import BatchNorm, find_batch_norms
from ..graph.batch_norm.fold import Linear, fold_candidates
from ..graph.batch_norm.pairs import BatchNormPair, pair_batch_norms
from ..graph.edit.graft import Graft, Repair, repaired
from ..graph.graph import Graph, Node, Tensor, TensorName
from ..graph.live_graph import LiveGraph, live_graph, taken_graph
from ..graph.proof.proof import NormalSide, Proof, Side, normalised, prove
from ..runtime.activations import Activation
from .case import Setting, Tensors
from .images import informative, values
from .initial import Start, starts, trained_variables
from .layers import Layers, layers_of
from .mending import mended
from .names import averaged_by, shadow_of
from .story import RestoreStory, restore_story
from .weights import Provenance, provenance
from .wrong_constants import WrongConstant, find_wrong_constants

if TYPE_CHECKING:
    from .differences import Differences
    from .folded import Folded

_OF_THE_REFERENCE = (
    "live_reference",
    "reference_flow",
    "reference_readings",
    "taken_reference",
    "reference_norms",
    "statistics",
    "starts",
    "trained",
)
"""What no repair of the export changes."""


class Evidence:
    """Both sides, the export with the repairs so far, and what follows from comparing them.

    ``named`` are the nodes of what was found before, for causes that would explain what is left.
    """

    def __init__(self, setting: Setting, export: Side | None = None) -> None:
        self.setting = setting
        self.reference = setting.reference
        self.export = export or setting.original
        self.named: frozenset[str] = frozenset()

    def after(self, repair: Repair) -> Evidence:
        """The evidence that is left once ``repair`` is made. Raises ``Ungraftable``."""
        changed = Evidence(self.setting, repaired(self.export, self.reference, repair))
        known = {name: self.__dict__[name] for name in _OF_THE_REFERENCE if name in self.__dict__}
        changed.__dict__.update(known)
        changed.named = self.named
        return changed

    # --- structure

    @cached_property
    def alignment(self) -> Alignment:
        """Which node is which, and where their own computations differ."""
        return align(*self._normal_sides)

    @cached_property
    def _normal_sides(self) -> tuple[NormalSide, NormalSide]:
        contents = self.setting.contents
        return normalised(self.reference, contents), normalised(self.export, contents)

    @cached_property
    def divergences(self) -> tuple[Divergence, ...]:
        """Where both sides part, those nearest to the inputs first.

        A variable that the checkpoint lacks is no such place: there is nothing to compare with.
        """
        return tuple(each for each in self.alignment.divergences if not self._is_lost(each))

    def _is_lost(self, divergence: Divergence) -> bool:
        if len(divergence.reference) != 1 or divergence.reference[0] in self.reference.variables:
            return False
        node = self.reference.graph.nodes.get(divergence.reference[0])
        held = (self.export.graph.nodes.get(name) for name in divergence.export)
        return (
            node is not None
            and node.op in ops.VARIABLES
            and all(each is not None and each.op == "Const" for each in held)
        )

    @cached_property
    def proof(self) -> Proof:
        """Whether both sides are the same function as they stand."""
        return prove(*self._normal_sides)

    @cached_property
    def reference_of(self) -> Mapping[str, str]:
        """Node of the export to the aligned node of the reference, which several copies of a constant may share."""
        found = {export: reference for reference, export in self.alignment.nodes.items()}
        for each in self.divergences:
            if each.kind is Kind.CONSTANT:
                found.setdefault(each.export[0], each.reference[0])
        return found

    @cached_property
    def live_export(self) -> Mapping[str, Node]:
        """The nodes of the export that its outputs need, inputs first."""
        return self.export.graph.live(map(str, self.export.outputs), map(str, self.export.feeds))

    @cached_property
    def live_reference(self) -> Mapping[str, Node]:
        """The nodes of the reference that its outputs need, inputs first."""
        return self.reference.graph.live(map(str, self.reference.outputs), map(str, self.reference.feeds))

    def counterpart(self, tensor: TensorName) -> TensorName | None:
        """The export's tensor in the place of a tensor of the reference, or None."""
        node = self.alignment.nodes.get(tensor.node)
        return TensorName(node, tensor.port) if node is not None else None

    def as_reference(self, export: str, *, port: int = 0, own: Iterable[str] = ()) -> Graft | None:
        """Compute ``export:port`` as its aligned node of the reference does, from aligned tensors on.

        ``own`` are nodes of the reference that are copied although they are aligned.
        """
        reference = self.reference_of.get(export)
        if reference is None:
            return None
        copied = {reference, *own}
        return Graft(
            export=TensorName(export, port),
            reference=TensorName(reference, port),
            at=lambda tensor: None if tensor.node in copied else self.counterpart(tensor),
        )

    def as_reference_at(self, divergence: Divergence) -> Repair:
        """The edits that make the place of ``divergence`` compute what the reference computes there.

        A constant gets the reference's value, an attribute likewise; otherwise what reads the place is
        given what the reference computes there, from aligned tensors on. Empty where no such edit is known.
        """
        return mended(self, divergence)

    @cached_property
    def activations(self) -> Mapping[str, Activation]:
        """How each node of the export differs when run, by its name, inputs first; empty where it cannot be."""
        if self.setting.measure is None:
            return {}
        try:
            found = self.setting.measure(self.export, self.alignment.nodes)
        except TfparityError:
            return {}
        return {each.export: each for each in found}

    @cached_property
    def differences(self) -> Differences:
        """The divergences, each under the cause that it speaks for."""
        from .differences import Differences

        return Differences(self)

    @cached_property
    def weighted(self) -> tuple[set[str], set[str]]:
        """On each side (reference, export) the nodes that depend on restored weights."""
        from .place import weighted

        return weighted(self)

    def different(self) -> set[str]:
        """The live nodes of the export that diverge or read something that does."""
        found = {
            name for divergence in self.divergences for name in (*divergence.export, *divergence.readers)
        }
        for name, node in self.live_export.items():  # inputs come first
            if any(source.node in found for source in node.inputs):
                found.add(name)
        return found & set(self.live_export)

    @cached_property
    def reference_flow(self) -> LiveGraph:
        """The reference with its predicates followed: through what each tensor passes."""
        return _flow(self.reference)

    @cached_property
    def export_flow(self) -> LiveGraph:
        """The export with its predicates followed."""
        return _flow(self.export)

    @cached_property
    def reference_readings(self) -> Mapping[str, tuple[str, ...]]:
        """Node of the reference to the nodes that read it, through all that only passes it on."""
        return _readings(self.reference_flow)

    @cached_property
    def export_readings(self) -> Mapping[str, tuple[str, ...]]:
        """Node of the export to the nodes that read it, through all that only passes it on."""
        return _readings(self.export_flow)

    @cached_property
    def taken_reference(self) -> Graph:
        """The reference without decided conditionals and function calls, to copy nodes from."""
        return taken_graph(self.reference_flow)

    # --- batch norm

    @cached_property
    def reference_norms(self) -> tuple[BatchNorm, ...]:
        """The live batch norms of the reference."""
        return _norms(self.reference, self.reference_flow)

    @cached_property
    def export_norms(self) -> tuple[BatchNorm, ...]:
        """The live batch norms of the export as it is now."""
        return _norms(self.export, self.export_flow)

    @cached_property
    def norm_pairs(self) -> tuple[BatchNormPair, ...]:
        """The batch norms of both sides, side by side."""
        return pair_batch_norms(
            self.reference_norms,
            self.export_norms,
            self.reference_of,
            reference_content=lambda name: self._content(self.reference, name),
            export_content=lambda name: self._content(self.export, name),
        )

    @cached_property
    def folded(self) -> tuple[Folded, ...]:
        """The batch norms of the reference that stand in the export in another form."""
        from .folded import find_folded

        return tuple(find_folded(self))

    @cached_property
    def linears(self) -> tuple[Linear, ...]:
        """The convolutions and products of the export that a batch norm may be folded into."""
        side = self.export
        return fold_candidates(side.graph, side.outputs, side.inputs, side.feeds, live=self.export_flow)

    def value(self, side: Side, name: str | None) -> Tensor | None:
        """The constant or variable ``name`` of a side, or None if it has no value."""
        if name is None:
            return None
        if name in side.variables:
            return side.variables[name]
        node = side.graph.nodes.get(name)
        held = node.attrs.get("value") if node is not None and node.op == "Const" else None
        return held if isinstance(held, Tensor) else None

    def _content(self, side: Side, name: str) -> bytes | None:
        tensor = self.value(side, name)
        if tensor is None or not informative(values(tensor)):
            return None
        return self.setting.contents.digest(tensor)

    # --- weights

    @cached_property
    def variable_of(self) -> Mapping[str, str]:
        """Constant of the export to the checkpoint's (raw) variable in whose place it stands."""
        places = {}
        for name in self.constants:
            node = self.reference_of.get(name)
            key = self.setting.keys.get(node) if node is not None else None
            if key is not None:
                places[name] = averaged_by(key, self.setting.checkpoint) or key
        return places

    @cached_property
    def constants(self) -> Tensors:
        """The live constants of the export, by node name."""
        found = {}
        for name, node in self.live_export.items():
            held = node.attrs.get("value") if node.op == "Const" else None
            if isinstance(held, Tensor):
                found[name] = held
        return found

    @cached_property
    def provenances(self) -> Mapping[str, Provenance]:
        """Where each float constant of the export comes from, by its node name."""
        differing = {name for divergence in self.divergences for name in divergence.export}
        keys = {name: key for name in self.variable_of if (key := self.expected_key(name)) is not None}
        equal = {
            name: key
            for name, key in keys.items()
            if name not in differing and key in self.setting.checkpoint
        }
        parts = self.setting.parts
        found = provenance(
            self.constants,
            self.setting.checkpoint,
            variables_of=self.variable_of,
            others=self.setting.others() if len(equal) < len(keys) else {},
            initial=self._initial_values(),
            parts={name: parts[node] for name, node in self.reference_of.items() if node in parts},
            equal=equal,
        )
        return {each.constant: each for each in found}

    @cached_property
    def wrong_constants(self) -> tuple[WrongConstant, ...]:
        """The constants that hold something else than the reference has in their place."""
        return tuple(find_wrong_constants(self))

    @cached_property
    def statistics(self) -> frozenset[str]:
        """The variables of the reference that its batch norms normalise with."""
        names = (name for norm in self.reference_norms for name in (norm.mean, norm.variance))
        return frozenset(name for name in names if name is not None)

    @cached_property
    def starts(self) -> Mapping[str, Start]:
        """The initial values of the reference's variables, as far as its graph says."""
        return starts(self.reference.graph, self.setting.keys)

    @cached_property
    def trained(self) -> frozenset[str]:
        """The variables that an optimiser in the reference's graph changes."""
        return trained_variables(self.reference.graph)

    @cached_property
    def layers(self) -> Layers:
        """The layers of the network, by the names of its weights."""
        return layers_of(self)

    @cached_property
    def norm_of(self) -> Mapping[str, str]:
        """Weight of the reference's batch norms to the node of the export that normalises with it."""
        found: dict[str, str] = {}
        for pair in self.norm_pairs:
            if pair.reference is not None and pair.export is not None:
                for name in filter(None, pair.reference.weights):
                    found.setdefault(name, pair.export.node)
        return found

    def _initial_values(self) -> Mapping[str, Tensor]:
        """Initial values of one number throughout, by the checkpoint's variable."""
        found = {}
        for name, start in self.starts.items():
            key, value = self.setting.keys.get(name), self.reference.variables.get(name)
            if key is None or value is None or start.low != start.high or not np.isfinite(start.low):
                continue
            if value.dtype.number in (1, 2, 19):
                filled = partial(np.full, value.shape, start.low, value.array.dtype)
                found[averaged_by(key, self.setting.checkpoint) or key] = Tensor(
                    value.dtype, value.shape, filled
                )
        return found

    @cached_property
    def story(self) -> RestoreStory:
        """What the provenances of all constants say together."""
        statistics = {self.setting.keys.get(name, name) for name in self.statistics}
        raw = {averaged_by(key, self.setting.checkpoint) or key for key in statistics}
        return restore_story(list(self.provenances.values()), raw)

    def expected_key(self, constant: str) -> str | None:
        """The checkpoint's tensor that the reference has in the place of a constant of the export."""
        node = self.reference_of.get(constant)
        return self.setting.keys.get(node) if node is not None else None

    def shadow(self, variable: str) -> str | None:
        """The moving average of a variable in the checkpoint, or None."""
        return shadow_of(variable, self.setting.checkpoint)

    def by_key(self, norm: BatchNorm) -> BatchNorm:
        """A batch norm of the reference with its weights named as in the checkpoint."""
        return norm.named_by(self.setting.keys)


def _readings(flow: LiveGraph) -> Mapping[str, tuple[str, ...]]:
    found: dict[str, dict[str, None]] = {}
    for name, node in flow.nodes.items():
        for source in node.inputs:
            found.setdefault(flow.source(source).node, {})[name] = None
    return {source: tuple(readers) for source, readers in found.items()}


def _flow(side: Side) -> LiveGraph:
    return live_graph(side.graph, side.outputs, side.inputs, side.feeds, side.variables)


def _norms(side: Side, flow: LiveGraph) -> tuple[BatchNorm, ...]:
    return find_batch_norms(side.graph, side.outputs, side.inputs, side.feeds, side.variables, live=flow)
