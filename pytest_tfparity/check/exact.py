"""The exact answers to a check's inputs, by which the rounding of its outputs is measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np

from ..comparison.decided import Decided, decided_by, roundings_needed
from ..comparison.dtypes import kind
from ..comparison.rounding import distance, rounding_of
from ..comparison.tolerance import ROUNDINGS
from ..errors import ModelError
from ..formats.model import GraphModel
from ..graph.graph import Array
from .outputs import digest_of
from .pair import Pair, not_at_hand

if TYPE_CHECKING:
    from ..goldens.store import Golden
    from ..graph.exact.scope import Island
    from ..runtime.exact import DecidedOn, Exact


@dataclass(frozen=True, slots=True, kw_only=True)
class ExactAnswers:
    """What the reference would answer if its arithmetic did not round, by its tensor names, as far as it is known.

    ``decided`` says of integers what decides them. ``notes`` are sentences about what makes it an approximation.
    """

    outputs: Mapping[str, Array]
    decided: Mapping[str, Decided] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


_answered: WeakKeyDictionary[GraphModel, dict[object, Exact]] = WeakKeyDictionary()
UNKNOWN = ExactAnswers(outputs={})


def asks_for_rounding(pair: Pair) -> bool:
    """Whether an output of the check is held against the exact answer."""
    return any(output.tolerance.rounding is not None for output in pair.outputs)


def exact_of_golden(pair: Pair, golden: Golden) -> ExactAnswers | None:
    """The exact answers that are stored; None if an output of floats that is held against one has none."""
    wanted = [output.reference for output in pair.outputs if output.tolerance.rounding is not None]
    floats = [name for name in wanted if kind(golden.outputs[name].dtype) in ("float", "complex")]
    if not all(name in golden.exact for name in floats):
        return None
    return ExactAnswers(outputs=golden.exact, decided=golden.decided)


def exact_answers(pair: Pair, inputs: Mapping[str, Array], answered: Mapping[str, Array]) -> ExactAnswers:
    """The exact answers of the reference to ``inputs``, where it ``answered`` (both by its names).

    Raises ModelError where there are none.
    """
    reference, name = pair.reference, pair.spec.name
    if reference is None:
        raise ModelError(
            f"{name} is held against the exact answer (rounding), which its goldens do not have. Update them where"
            f" their reference is: pytest --tfparity-update. {not_at_hand(pair.spec)}"
        )
    if not isinstance(reference, GraphModel):
        raise ModelError(
            f"{name} is held against the exact answer (rounding), but {pair.spec.shown(reference.path)}"
            f" ({reference.noun}) cannot be computed in float64. State atol and rtol instead."
        )
    try:
        found = _once(reference, inputs, list(answered))
    except ModelError as error:
        raise ModelError(
            f"{name} is held against the exact answer (rounding), which is not known: {error} State atol and rtol"
            " instead."
        ) from None
    decided = {name: made for name, each in found.decided.items() if (made := _decided(each)) is not None}
    for output, again in found.plain.items():
        if not _is_the_same(answered[output], again, found.outputs.get(output), decided.get(output)):
            raise ModelError(
                f"{name} is held against the exact answer (rounding), but {pair.spec.shown(reference.path)} answers"
                f" differently each time that it is run ({output}), which is no rounding. Take random ops out of it."
            )
    return ExactAnswers(outputs=found.outputs, decided=decided, notes=tuple(_notes(found.islands)))


def _decided(on: DecidedOn) -> Decided | None:
    """What decides an output of integers; None where what it is decided on has no rounding."""
    roundings = tuple(map(rounding_of, on.plain, on.exact))
    if None in roundings:
        return None
    return decided_by(
        on.decision.kind,
        on.exact,
        tuple(each for each in roundings if each is not None),
        sign=on.decision.sign,
        axis=on.decision.axis,
    )


def _is_the_same(answered: Array, again: Array, exact: Array | None, decided: Decided | None) -> bool:
    """Whether two answers of one model are as near to each other as two roundings of ``exact`` may be.

    Integers are the same where they are not ``decided`` otherwise but for a tie.
    """
    if exact is None:
        if decided is None or answered.shape != again.shape:
            return np.array_equal(answered, again)
        return bool((roundings_needed(decided, again, answered) <= ROUNDINGS).all())
    rounding, apart = rounding_of(again, exact), distance(answered, again.astype(exact.dtype))
    if rounding is None or apart is None:
        return rounding_of(answered, exact) is None  # then nothing passes, and that is said
    return apart <= ROUNDINGS * rounding.unit


def _once(reference: GraphModel, inputs: Mapping[str, Array], outputs: Sequence[str]) -> Exact:
    """The exact answers, computed once for several checks of a session that ask the same."""
    known = _answered.setdefault(reference, {})
    asked = tuple(outputs), digest_of(inputs)
    if asked not in known:
        known[asked] = reference.run_exactly(inputs, outputs)
    return known[asked]


def _notes(islands: tuple[Island, ...]) -> list[str]:
    if not islands:
        return []
    first, more = islands[0], len(islands) - 1
    place = f"{first.op} ({first.node}{f' of function {first.function}' if first.function else ''})"
    others = f" and {more} more nodes run" if more else " runs"
    return [
        f"The exact answer is an approximation: {place}{others} in float32, because TensorFlow has no such kernel in"
        " float64."
    ]
