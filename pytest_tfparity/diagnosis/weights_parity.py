"""``compare: weights``: the export's constants are the checkpoint's, without any graph of the checkpoint.

What can be claimed: every floating-point constant of more than one element whose content tells
where it comes from is, bit for bit, a variable of the checkpoint (its own, if the name says which; raw
or averaged as asked), and nothing of a layer that is used is left behind. What cannot: that the
constants are wired as in training. Scalars and shapes are no weights.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal, TypeAlias

from ..graph.graph import Tensor
from ..graph.layer import scope_of
from ..graph.read.restore import Ema
from ..graph.read.tensors import values
from .arrays import is_float, same
from .provenance import Provenance, provenance
from .tensor_names import is_model_variable, is_statistic, plain_name, shadow_of

WeightProblem: TypeAlias = Literal["differs", "averaged", "raw", "not found", "unused", "nothing"]

_STRING = 7
_FLOATS = (1, 2, 14, 19)
"""Numbers of dtypes in ``types.proto``: float, double, bfloat16 and half."""
_SHORT = 4
"""A mean colour has three values, or four with alpha."""
_WEIGHT_LIKE = re.compile(
    r"(^|/)(kernel|weights?|bias(es)?|gamma|beta|moving_\w+|depthwise_\w+|pointwise_\w+|embeddings?|w|b)(_\d+)?$",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightMismatch:
    """One way in which the export's constants are not the checkpoint's.

    ``problem``: ``"differs"`` (``constant`` is not ``variable``; ``provenance`` says what it is),
    ``"averaged"`` or ``"raw"`` (it is the variable, but the moving average, or not the average),
    ``"not found"`` (no variable has this content), ``"unused"`` (a variable that no constant
    holds, of a layer that is used), ``"nothing"`` (the export holds no weight at all).
    """

    problem: WeightProblem
    constant: str | None = None
    variable: str | None = None
    provenance: Provenance | None = None

    def told(self, noun: str) -> str:
        """A sentence about it; ``noun`` is what the reference is."""
        if self.problem == "nothing":
            return f"The export holds no weight that could be compared with the {noun}."
        if self.problem == "unused":
            return f"{self.variable} of the {noun} is used nowhere in the export, though its layer is."
        if self.problem == "averaged":
            return f"{self.constant} holds the moving average of {self.variable}, not the variable."
        if self.problem == "raw":
            return f"{self.constant} holds {self.variable}, not its moving average."
        if self.problem == "not found":
            return f"{self.constant} is no variable of the {noun}, under any name."
        found = self.provenance
        if found is None or (found.kind in ("unknown", "other shape") and found.informative):
            return f"{self.constant} differs from {self.variable} of the {noun}."
        return f"{self.constant} differs from {self.variable} of the {noun}: it is {_origin(found)}."


def _origin(found: Provenance) -> str:
    """What a constant is that differs from its variable, after "it is"."""
    if not found.informative:
        return "one number throughout"
    if found.kind == "other checkpoint":
        return f"the value of {found.source}"
    if found.kind == "mixture":
        return f"a mixture of the variable and {found.source}"
    done = _DONE.get(found.kind, found.kind)
    return f"{found.source}{f', {done}' if done else ''}"


_DONE = {
    "other variable": "", "other shadow": "", "slot": "", "float16": "rounded to float16",
    "bfloat16": "rounded to bfloat16", "cast": "in another float type", "negated": "with the opposite sign",
    "zeroed": "with small values set to 0", "masked": "with some values set to 0",
    "channels scaled": "times one factor for each channel", "mapped": "with a function applied to each value",
}  # fmt: skip
"""What was done to the source, by the kind of origin, where the kind alone does not say it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightsComparison:
    """What ``compare: weights`` found.

    ``equal`` says how many constants are, bit for bit, the checkpoint's. ``left_out`` are variables of layers that
    the export does not use at all (auxiliary heads), ``structural`` short constants in whose place no
    variable could stand (the mean colour of a preprocessing): worth a note, no mismatch.
    ``undecided`` says that there are moving averages and nobody said which was meant: that the
    constants are all raw, or all averaged, is then no proof that they should be.
    """

    mismatches: tuple[WeightMismatch, ...]
    equal: int
    averaged: int
    left_out: tuple[str, ...]
    structural: tuple[str, ...] = ()
    undecided: bool = False

    @property
    def passed(self) -> bool:
        """Whether the export's constants are the checkpoint's."""
        return not self.mismatches


def weights_parity(
    constants: Mapping[str, Tensor],
    checkpoint: Mapping[str, Tensor],
    *,
    ema: Ema = None,
    others: Mapping[str, Mapping[str, Tensor]] | None = None,
) -> WeightsComparison:
    """Compare the live constants of an export with a checkpoint's tensors.

    ``ema`` says which variables stand for their moving average: ``"none"``, ``"trainable"`` (every
    one but BN statistics), ``"all"``, or patterns of names. None: either, but all alike (BN
    statistics apart, which may be raw where the rest is averaged, never the other way round).
    """
    places = _places(constants, checkpoint)
    found = provenance(_weights(constants, places), checkpoint, variables_of=places, others=others)
    known = [each for each in found if each.kind in ("own", "shadow", "variable")]
    strange = [each for each in found if each.kind not in ("own", "shadow", "variable")]
    used = {*map(_variable, known), *places.values()} & set(checkpoint)
    unused = _unused(checkpoint, constants, used)
    structural = tuple(each.constant for each in strange if _structural(each, checkpoint, unused))
    lost, left_out = _lost(checkpoint, unused, used, strange)
    return WeightsComparison(
        mismatches=(
            *_strange(strange, structural),
            *_integers(constants, checkpoint, places),
            *_averages(known, checkpoint, ema),
            *(WeightMismatch(problem="unused", variable=name) for name in lost),
            *([] if any(each.informative for each in known) else [WeightMismatch(problem="nothing")]),
        ),
        equal=len(known),
        averaged=sum(each.kind == "shadow" for each in known),
        left_out=left_out,
        undecided=ema is None and any(each.averaged for each in found),
        structural=structural,
    )


def meant(constants: Mapping[str, Tensor], checkpoint: Mapping[str, Tensor], ema: Ema) -> dict[str, str]:
    """Constant to the tensor of the checkpoint that it should hold, by its name; see :func:`weights_parity` of ``ema``.

    Where nobody said whether averages are meant, it is what the constant holds.
    """
    found = {}
    for name, key in _places(constants, checkpoint).items():
        shadow = shadow_of(key, checkpoint)
        if shadow is not None:
            held, average = values(constants[name]), values(checkpoint[shadow])
            averaged = same(held, average) if ema is None else _wanted(key, ema)
            key = shadow if averaged else key
        found[name] = key
    return found


def _weights(constants: Mapping[str, Tensor], places: Collection[str]) -> dict[str, Tensor]:
    """What could be a weight: floats of more than one element, and whatever has a variable's name."""
    return {name: tensor for name, tensor in constants.items() if _is_weight(tensor) or name in places}


def _places(constants: Mapping[str, Tensor], checkpoint: Mapping[str, Tensor]) -> dict[str, str]:
    """Constant to the variable of the checkpoint whose name it has, as it is or as it is read."""
    names = {plain_name(key): key for key in checkpoint if is_model_variable(key, checkpoint)}
    return {name: names[plain] for name in constants if (plain := _plain(name)) in names}


def _strange(strange: Iterable[Provenance], structural: Collection[str]) -> Iterator[WeightMismatch]:
    """Constants that are not the checkpoint's, where their values or their places say anything."""
    for each in strange:
        if each.constant not in structural and (each.informative or each.variable is not None):
            problem: WeightProblem = "not found" if each.variable is None else "differs"
            yield WeightMismatch(
                problem=problem, constant=each.constant, variable=each.variable, provenance=each
            )


def _structural(each: Provenance, checkpoint: Mapping[str, Tensor], unused: list[str]) -> bool:
    """Whether a constant that is nobody's is a short vector that no variable could stand in place of."""
    size = math.prod(each.shape)
    return (
        each.variable is None
        and each.kind == "unknown"
        and size <= _SHORT
        and not _WEIGHT_LIKE.search(each.constant)
        and all(math.prod(checkpoint[name].shape) != size for name in unused)
    )


def _plain(name: str) -> str:
    for ending in ("/read", "/ReadVariableOp", "/resource"):
        name = name.removesuffix(ending)
    return name


def _is_weight(tensor: Tensor) -> bool:
    return math.prod(tensor.shape) > 1 and tensor.dtype.number in _FLOATS


def _integers(
    constants: Mapping[str, Tensor], checkpoint: Mapping[str, Tensor], places: Mapping[str, str]
) -> list[WeightMismatch]:
    """Variables that hold no floats, where the names match."""
    return [
        WeightMismatch(problem="differs", constant=name, variable=key)
        for name, key in places.items()
        if not is_float(values(constants[name]))
        and constants[name].dtype.number != _STRING
        and not same(values(constants[name]), values(checkpoint[key]))
    ]


def _averages(known: list[Provenance], checkpoint: Mapping[str, Tensor], ema: Ema) -> list[WeightMismatch]:
    """Constants that hold the average where the variable was meant, or the other way round."""
    apart = [(each, name) for each in known if _has_average(name := _variable(each), checkpoint)]
    wanted = _uniform(apart) if ema is None else {name: _wanted(name, ema) for _, name in apart}
    return [
        WeightMismatch(
            problem="averaged" if each.kind == "shadow" else "raw",
            constant=each.constant,
            variable=name,
            provenance=each,
        )
        for each, name in apart
        if wanted[name] is not None and wanted[name] != (each.kind == "shadow")
    ]


def _uniform(apart: list[tuple[Provenance, str]]) -> dict[str, bool | None]:
    """Whether each variable of ``apart`` is meant to be averaged where nobody said: as most weights are.

    None where either will do: BN statistics beside averaged weights, as long as they are all alike; raw is the rule.
    """
    weights = [each.kind == "shadow" for each, name in apart if not is_statistic(name)]
    statistics = {each.kind for each, name in apart if is_statistic(name)}
    average = sum(weights) * 2 > len(weights)
    of_statistics = False if len(statistics) > 1 or (weights and not average) else None
    return {name: of_statistics if is_statistic(name) else average for _, name in apart}


def _wanted(name: str, ema: str | tuple[str, ...]) -> bool:
    if ema == "none":
        return False
    if ema in ("all", "trainable"):
        return ema == "all" or not is_statistic(name)
    patterns = (ema,) if isinstance(ema, str) else ema
    return any(fnmatchcase(plain_name(name), pattern) for pattern in patterns)


def _variable(each: Provenance) -> str:
    """The variable whose content ``each`` holds, raw or averaged."""
    source = each.variable or each.source or ""
    return source.removesuffix("/ExponentialMovingAverage") if each.kind == "shadow" else source


def _has_average(name: str, checkpoint: Mapping[str, Tensor]) -> bool:
    shadow = shadow_of(name, checkpoint)
    return (
        shadow is not None
        and name in checkpoint
        and not same(values(checkpoint[name]), values(checkpoint[shadow]))
    )


def _unused(checkpoint: Mapping[str, Tensor], constants: Mapping[str, Tensor], used: set[str]) -> list[str]:
    """The float variables of the model that no constant holds, raw or averaged, under any name."""
    by_shape: dict[tuple[int, ...], list[Tensor]] = {}
    for tensor in constants.values():
        by_shape.setdefault(tuple(tensor.shape), []).append(tensor)
    unused = []
    for key, tensor in checkpoint.items():
        if key in used or not is_model_variable(key, checkpoint) or not _is_variable(tensor):
            continue
        shadow = shadow_of(key, checkpoint)
        forms = [values(checkpoint[name]) for name in (key, shadow) if name is not None]
        there = by_shape.get(tuple(tensor.shape), ())
        if not any(same(form, values(other)) for other in there for form in forms):
            unused.append(key)
    return unused


def _lost(
    checkpoint: Mapping[str, Tensor], unused: list[str], used: set[str], strange: list[Provenance]
) -> tuple[list[str], tuple[str, ...]]:
    """Of the unused variables those that the export should hold, and those of layers that it left out.

    A variable should be there if its layer is, or if a constant of its shape holds something else.
    """
    layers = {_layer(name) for name in used}
    shapes = {each.shape for each in strange if each.variable is None}
    lost = [key for key in unused if _layer(key) in layers or tuple(checkpoint[key].shape) in shapes]
    return lost, tuple(key for key in unused if key not in lost)


def _is_variable(tensor: Tensor) -> bool:
    return bool(tensor.shape) and tensor.dtype.number in _FLOATS


def _layer(name: str) -> str:
    return scope_of(plain_name(name))
