"""What is wrong with the reference itself, whether parity holds or not; read without TensorFlow."""

from __future__ import annotations

from ..diagnosis.arrays import not_finite
from ..diagnosis.health import checkpoint_health
from ..errors import UnreadableFile
from ..formats.model import HasGraph, HasWeights
from ..graph.batch_norm.find import BatchNorm, find_batch_norms, may_have_batch_norms
from ..graph.read.restore import SHADOW
from ..result import Health, ParityResult
from .pair import Pair

NOT_FINITE_CAUSES = frozenset({"non-finite", "bn-variance-nonfinite"})
"""What the health of a checkpoint calls NaN or infinity in a weight."""


def healthy(pair: Pair) -> tuple[Health, ...]:
    """The checkpoint's health, as far as its files can be read without TensorFlow."""
    try:
        return _health(pair)
    except UnreadableFile:
        return ()


def sound(pair: Pair, draft: ParityResult) -> bool:
    """Whether all weights are finite: two graphs that both answer NaN are the same function, and no parity."""
    if pair.spec.health != "ignore":
        return not any(health.cause in NOT_FINITE_CAUSES for health in draft.health)
    try:
        return not _unsound_weights(pair)
    except UnreadableFile:
        return True


def _health(pair: Pair) -> tuple[Health, ...]:
    model = pair.reference
    if not isinstance(model, HasWeights) or not isinstance(model, HasGraph):
        return ()
    normal = pair.normal("reference")
    side = normal.side
    keys = {name: key.key for name, key in model.keys().items()}
    found: tuple[BatchNorm, ...] = ()
    if may_have_batch_norms(side.graph):
        found = find_batch_norms(side.graph, side.outputs, variables=side.variables, live=normal.taken)
    return checkpoint_health(
        model.tensors(),
        batch_norms=[norm.named_by(keys) for norm in found],
        named=model.variable_names(),
        graph=side.graph,
        averages_used=any(key.endswith(SHADOW) for key in keys.values()),
        noun=model.noun,
    )


def _unsound_weights(pair: Pair) -> bool:
    """Whether a weight that the outputs of the reference need is not finite."""
    side = pair.normal("reference").side
    live = side.graph.live(map(str, side.outputs), map(str, side.feeds))
    return any(not_finite(side.variables[name]) for name in live if name in side.variables)
