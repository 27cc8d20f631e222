"""``trust: checksums``: a reference that is needed for nothing but what its weights are, by its index.

The graphs are compared as for a proof. In the place of a variable's value stands the constant of the export that has
its type, shape and checksum (crc32c), which is no proof: two contents can share 32 bits.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ..errors import TfparityError
from ..formats.format import SideSpec
from ..formats.indexed_checkpoint import IndexedCheckpoint, KnownValues
from ..formats.model import HasGraph, HasOwnRuntime, Model
from ..formats.store import ModelStore
from ..graph.graph import Graph, Tensor
from ..graph.proof.proof import prove
from ..result import ParityResult
from ..settings.spec import ParitySpec
from .inputs import inputs_at_hand
from .pair import open_pair
from .verdict import refusal, sound

BY_CHECKSUMS = "the weights were compared by their checksums (crc32c), not bit for bit"
_NOT_LOOKED_AT = (
    "Its weights were told by the checksums in its index (trust: checksums); its health was not looked at."
)


def may_decide(spec: ParitySpec) -> bool:
    """Whether checksums can decide a check: they say nothing of goldens, of health and of what is to be run."""
    return (
        spec.reference is not None
        and spec.reference.format == "checkpoint"
        and spec.reference.options.get("builder") is None
        and spec.compare == "outputs"
        and spec.run == "unproven"
        and spec.health != "error"
        and spec.golden is None
    )


def passed_by_checksums(spec: ParitySpec, models: ModelStore, draft: ParityResult) -> ParityResult:
    """The pass of a check whose graphs are the same and whose weights have the same checksums.

    Else ``draft`` with a note why checksums do not decide: all of the reference is needed then.
    """
    reason = _reason(spec, models, draft)
    if reason is not None:
        note = f"The checksums do not decide: {reason}. The whole {draft.reference_noun} was read."
        return replace(draft, notes=(note,))
    return replace(draft, verdict="pass", unproven=BY_CHECKSUMS, notes=(_NOT_LOOKED_AT,))


def _reason(spec: ParitySpec, models: ModelStore, draft: ParityResult) -> str | None:
    """Why checksums do not decide a check; None where they do."""
    if not may_decide(spec):
        return "this check needs more than what the weights are"
    export = models.open(spec.export, spec.root)
    if not isinstance(export, HasGraph) or isinstance(export, HasOwnRuntime):
        return f"{export.label} has no graph with constants"
    try:
        known = KnownValues(constants(export.graph))
        pair = open_pair(spec, _WithIndex(models, spec, known))
        proof = prove(pair.normal("reference"), pair.normal("export"))
        pair.check_inputs(inputs_at_hand(spec))
        careful = replace(pair, spec=replace(spec, health="ignore"))
        if not proof.proven:
            return f"the graphs are not the same: {proof.reason}"
        if not sound(careful, draft) or any(map(refusal, (pair.export, pair.reference))):
            return "a weight is not finite, or TensorFlow does not import one of the files"
    except TfparityError as error:
        return str(error).rstrip(".")
    return None


def constants(graph: Graph) -> list[Tensor]:
    """The constants of a graph and of its functions."""
    found = [node.attrs.get("value") for node in graph.nodes.values() if node.op == "Const"]
    for function in graph.functions.values():
        found += [node.attrs.get("value") for node in function.nodes if node.op == "Const"]
    return [value for value in found if isinstance(value, Tensor)]


class _WithIndex(ModelStore):
    """The models of another store, but for the reference, of which the index is opened."""

    def __init__(self, models: ModelStore, spec: ParitySpec, known: KnownValues) -> None:
        super().__init__()
        self._others = models
        self._reference = spec.reference
        self._known = known

    def open(self, spec: SideSpec, root: Path) -> Model:
        """See :meth:`.ModelStore.open`."""
        if spec is self._reference:
            return IndexedCheckpoint(spec, root, self._known)
        return self._others.open(spec, root)
