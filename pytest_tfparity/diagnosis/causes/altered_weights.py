"""Weights that are the checkpoint's changed by one rule, a sure story; and weights that differ without one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ...graph.layer import base_name
from ...graph.read.tensors import values
from ...wording import counted, enumerated
from ..arrays import cosine, same
from ..cause import Cause
from ..evidence import Evidence
from ..places.batch_norms import norm_pairs, reference_norms
from ..places.weights import WrongConstant, wrong_constants
from ..relations.relation import Relation
from .kinds.weights import WrongWeights, of_kind, source_of, statistics_of_kind, weights_cause
from .weights import is_under_own_name

_TOLD = 3
"""Rules that a message tells."""

# --- changed value by value


def _altered_told(found: WrongWeights, wrong: WrongConstant) -> str:
    relation, total = wrong.relation, values(wrong.held).size
    here, there = f"{wrong.constant} of {found.export_name}", source_of(wrong)
    if relation is None or relation.kind not in ("zeroed", "masked", "clipped"):
        return f"{here} is {there} {_rule(relation)}."
    some = f"{relation.changed:,} of {total:,} values of {here}"
    if relation.kind == "zeroed":
        return f"{some} are 0 where {there} has |w| < {relation.bound:.6g}; all others are equal."
    if relation.kind == "masked":
        return f"{some} are 0 where {there} is not, in large values and in small ones; all others are equal."
    low, high = relation.limits or (0.0, 0.0)
    return f"{some} are clipped: it is {there} limited to [{low:.6g}, {high:.6g}]."


def _rule(relation: Relation | None) -> str:
    """What was done to every value, after the name of the tensor."""
    if relation is None or relation.kind == "negated":
        return "with the opposite sign"
    if relation.kind == "scaled":
        return f"times {relation.number:.6g}"
    if relation.kind == "channels scaled":
        low, high = min(relation.factors), max(relation.factors)
        return f"times one factor for each entry of axis {relation.axis}, from {low:.4g} to {high:.4g}"
    if relation.kind == "rounded":
        return f"rounded to equal steps of {relation.factors[0]:.4g}"
    # A number that was added is known to the rounding of the sum alone.
    if relation.function == "x+c":
        return f"plus {relation.number:.3g}"
    number = "" if relation.number is None else f"{relation.number:.3g}"
    return f"with every value x replaced by {relation.function.replace('+c', f' + {number}')}"


_SCALED = ("scaled", "channels scaled")


def _altered(evidence: Evidence) -> Sequence[WrongConstant]:
    """Weights that were changed by one rule, where nothing else in the graph can make up for it.

    Factors of a kernel whose batch norm the export has in some other form may be those of the fold.
    """
    kept = {pair.reference.node for pair in evidence[norm_pairs]}
    folded = {norm.kernel for norm in evidence[reference_norms] if norm.node not in kept}
    return [
        each
        for each in of_kind("zeroed", "masked", "clipped", "rounded", *_SCALED, "mapped", "negated")(evidence)
        if not each.statistic and not (each.kind in _SCALED and each.node in folded)
    ]


ALTERED = weights_cause(
    id="weights-altered",
    where=_altered,
    says=lambda found: found.told(_altered_told),
    fix=lambda found: (
        f"Leave out the step that changes the weights between {found.reference_name} and the export (pruning, clipping,"
        " scaling, half of a batch norm fold), or state a tolerance that allows for it."
    ),
)


# --- statistics that went through a function


def _transformed_said(found: WrongWeights) -> str:
    rules = Counter((base_name(each.node), _rule(each.relation)) for each in found.wrong)
    told = [
        f"{name} of {counted(count, 'layer')} is that of the {found.reference_noun} {rule}"
        for (name, rule), count in rules.most_common(_TOLD)
    ]
    more = f" ({len(rules) - _TOLD} more such rules)" if len(rules) > _TOLD else ""
    return f"{found.layers}: in {found.export_name} {enumerated(told)}{more}."


TRANSFORMED = weights_cause(
    id="bn-stats-transformed",
    where=statistics_of_kind("mapped", "scaled", "negated", "channels scaled"),
    says=_transformed_said,
    fix=(
        "Write the statistics as TensorFlow expects them: the variance, not the standard deviation; without epsilon;"
        " those of Caffe divided by its scale factor."
    ),
    facts=lambda found: [f"Every value of {counted(len(found.wrong), 'statistic')} follows within rounding."],
)


# --- nothing relates them


def _unrelated(evidence: Evidence) -> Sequence[WrongConstant]:
    return [
        each
        for each in evidence[wrong_constants]
        if each.key is not None
        and each.constant not in evidence.explained
        and not (each.kind in ("other variable", "other shadow") and is_under_own_name(evidence, each))
    ]


def _difference_told(found: WrongWeights, wrong: WrongConstant) -> str:
    held, right = values(wrong.held), values(wrong.right)
    if held.shape != right.shape:
        return (
            f"{wrong.constant} has shape {list(held.shape)} in {found.export_name}, {wrong.key} has"
            f" {list(right.shape)}."
        )
    changed = int((held != right).sum())
    angle = cosine(held, right) if held.size > 2 else None
    near = "" if angle is None or same(held, right) else f"; cosine with {wrong.key} {angle:.3f}"
    return f"{changed:,} of {held.size:,} values of {wrong.constant} in {found.export_name} differ{near}."


WEIGHTS_DIFFER = weights_cause(
    id="weights-differ",
    where=_unrelated,
    says=lambda found: found.told(_difference_told),
    fix=lambda found: (
        f"Check where the export script takes these weights from: they are not those of {found.reference_name}, and do"
        " not follow from them in any way that is known."
    ),
    certain=False,
)

CAUSES: tuple[Cause, ...] = (ALTERED, TRANSFORMED)
LAST: tuple[Cause, ...] = (WEIGHTS_DIFFER,)
"""What is left of the weights once every cause that knows a story was asked."""
