"""Arrays whose values were changed one by one: cut off, multiplied, sent through a function, mixed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ...graph.graph import Array
from ..arrays import bits, is_float, same
from .relation import (
    ENOUGH,
    FLOAT32_ROUNDING,
    Doubles,
    Relation,
    RelationKind,
    channel_axes,
    channels,
    doubles,
    head,
)

_SAME_FACTOR = 1e-6
"""Eight units in the last place of 1: a factor nearer to 1 is rounding, one nearer to 0 no image of the original."""
_APART = 1e3 * FLOAT32_ROUNDING
"""How far a variable and its average must lie apart: then rounding leaves the share known to a thousandth.
Measured in the fault cases: 150 times as far at least."""
_MISFIT = 1e-2
"""What a mixture may leave unexplained of the distance between both. Measured: 7e-7 at most."""


# --- some values changed, the others left


def negated(array: Array, original: Array) -> Relation | None:
    """Every value with the opposite sign."""
    return Relation(kind="negated") if same(array, np.negative(original)) else None


def cut(array: Array, original: Array) -> Relation | None:
    """Some values at 0, or all of them between two limits, and the others as they were."""
    equal = bits(array) == bits(original)
    if np.unique(bits(array)[equal]).size < ENOUGH:
        return None
    held, right = array.reshape(-1), original.reshape(-1)
    changed = int((~equal).sum())
    if (held[~equal] == 0).all():
        largest, smallest = (
            np.abs(right[~equal]).max(),
            np.abs(right[equal & (held != 0)]).min(initial=np.inf),
        )
        kind: RelationKind = "zeroed" if largest < smallest else "masked"
        bound = float(smallest) if kind == "zeroed" else None
        return Relation(kind=kind, bound=bound, changed=changed)
    low, high = held.min(), held.max()
    if same(array, np.clip(original, low, high)):
        return Relation(kind="clipped", limits=(float(low), float(high)), changed=changed)
    return None


# --- every value times a number


def scaled(array: Array, original: Array) -> Relation | None:
    """Every value times one number."""
    factor = _factor(doubles(array), doubles(original))
    if factor is None or abs(factor) < _SAME_FACTOR or abs(factor - 1.0) < _SAME_FACTOR:
        return None
    return Relation(kind="scaled", number=factor)


def channels_scaled(array: Array, original: Array) -> Relation | None:
    """Every channel times a number of its own."""
    for axis in channel_axes(original):
        factors: list[float] = []
        for held, right in channels(array, original, axis):
            factor = _factor(held, right)
            if factor is None:
                break
            factors.append(factor)
        else:
            if all(abs(factor - 1.0) < _SAME_FACTOR for factor in factors):
                return None
            return Relation(kind="channels scaled", axis=axis, factors=tuple(factors))
    return None


def _factor(held: Doubles, right: Doubles) -> float | None:
    """The factor that takes ``right`` to ``held`` within the rounding of float32; None if there is none."""
    filled = right != 0
    if (held[~filled] != 0).any() or np.unique(right[filled]).size < ENOUGH:
        return None
    ratios = held[filled] / right[filled]
    factor = float(np.median(ratios))
    close = np.abs(ratios - factor) <= FLOAT32_ROUNDING * abs(factor)
    return factor if factor != 0 and close.all() else None


# --- every value through a function

_FUNCTIONS: dict[str, Callable[[Doubles], Doubles]] = {
    "sqrt(x)": np.sqrt,
    "x**2": np.square,
    "1/x": np.reciprocal,
    "1/sqrt(x)": lambda x: 1 / np.sqrt(x),
    "exp(x)": np.exp,
    "log(x)": np.log,
}


def function_of_each(array: Array, original: Array) -> Relation | None:
    """One function of every value."""
    held, right = doubles(array), doubles(original)
    if np.unique(right).size < ENOUGH:
        return None
    rounding = 4 * float(np.finfo(array.dtype.name).eps)
    for name, function in _FUNCTIONS.items():
        with np.errstate(all="ignore"):
            image = function(right)
        if np.isfinite(image).all() and (np.abs(held - image) <= rounding * np.abs(image)).all():
            return Relation(kind="mapped", function=name)
    return _shifted(held, right, rounding) or _shifted_inside(held, right, rounding)


_INVERSES: dict[str, tuple[Callable[[Doubles], Doubles], Callable[[Doubles], Doubles]]] = {
    "sqrt(x+c)": (np.square, np.sqrt),
    "1/sqrt(x+c)": (lambda y: 1 / np.square(y), lambda x: 1 / np.sqrt(x)),
}
"""Functions with a number inside, each with its inverse: a deviation that holds its epsilon already."""


def _shifted_inside(held: Doubles, right: Doubles, rounding: float) -> Relation | None:
    for name, (inverse, function) in _INVERSES.items():
        with np.errstate(all="ignore"):
            shifts = inverse(held) - right
            if not np.isfinite(shifts).all():
                continue
            # Where the values are smallest it is rounded least.
            shift = float(shifts[np.argmin(np.abs(right))])
            image = function(right + shift)
        # A shift is seen where it is larger than the rounding of the sum.
        seen = abs(shift) > 4 * rounding * float(np.abs(right).min())
        if seen and np.isfinite(image).all() and (np.abs(held - image) <= 2 * rounding * np.abs(image)).all():
            return Relation(kind="mapped", function=name, number=shift)
    return None


def _shifted(held: Doubles, right: Doubles, rounding: float) -> Relation | None:
    size = np.maximum(np.abs(held), np.abs(right))
    # Where the values are smallest their difference is rounded least.
    shift = float((held - right)[np.argmin(size)])
    spread = float(right.max() - right.min())
    # A shift is seen where it is larger than the rounding of the sum, and the values are not one number.
    if abs(shift) <= 4 * rounding * float(size.max()) or spread <= 4 * rounding * float(size.max()):
        return None
    if (np.abs(held - (right + shift)) <= rounding * np.maximum(size, abs(shift))).all():
        return Relation(kind="mapped", function="x+c", number=shift)
    return None


# --- between two arrays


def mixture(array: Array, average: Array, original: Array) -> Relation | None:
    """The d in (0, 1) with ``array = d * average + (1 - d) * original`` to rounding; None if there is none."""
    if not array.shape == average.shape == original.shape or array.size < ENOUGH or not is_float(array):
        return None
    if _share(head(array), head(average), head(original)) is None:
        return None
    share = _share(array, average, original)
    return None if share is None else Relation(kind="mixture", number=share)


def _share(array: Array, average: Array, original: Array) -> float | None:
    one, two, three = map(doubles, (array, average, original))
    apart = two - three
    square = float(apart @ apart)
    size = np.maximum(np.abs(two), np.abs(three))
    if not np.isfinite(square) or not np.isfinite(one).all():
        return None
    if np.abs(apart).max() <= _APART * size.max():
        return None
    share = float((one - three) @ apart) / square
    off = np.abs(one - (share * two + (1.0 - share) * three))
    fits = bool((off <= FLOAT32_ROUNDING * size).all()) and float(np.sqrt(off @ off)) <= _MISFIT * np.sqrt(
        square
    )
    return share if fits and _SAME_FACTOR < share < 1.0 - _SAME_FACTOR else None
