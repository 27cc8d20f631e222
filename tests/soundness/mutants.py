"""Mutations of a GraphDef: an op, an attribute, a port, an input, a constant or a control input is another.

Or a node has one input more or less.
"""

from __future__ import annotations

import copy
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf
from tensorflow.python.framework import op_def_registry

from pytest_tfparity.errors import TfparityError
from pytest_tfparity.graph.live import liveness
from pytest_tfparity.graph.proof.fingerprint import Contents
from pytest_tfparity.graph.proof.proof import Side, normalised
from pytest_tfparity.graph.valid import first_flaw
from soundness.networks import batches
from soundness.pairs import Written, prove_normal

SWAPS = {
    "Relu": "Relu6", "Relu6": "Relu", "Tanh": "Sigmoid", "Sigmoid": "Tanh", "Elu": "Selu", "Selu": "Elu",
    "AddV2": "Sub", "Sub": "AddV2", "Mul": "RealDiv", "RealDiv": "Mul", "Add": "Sub", "Maximum": "Minimum",
    "Minimum": "Maximum", "Sqrt": "Rsqrt", "Rsqrt": "Sqrt", "Square": "Neg", "Neg": "Abs", "Abs": "Neg", "Mean": "Sum",
    "Sum": "Mean", "Max": "Min", "Min": "Max", "Greater": "GreaterEqual", "GreaterEqual": "Greater",
    "Less": "LessEqual", "LessEqual": "Less", "Equal": "NotEqual", "NotEqual": "Equal", "LogicalAnd": "LogicalOr",
    "LogicalOr": "LogicalAnd", "LogicalNot": "Identity", "Identity": "Neg", "StopGradient": "Neg",
    "ZerosLike": "OnesLike", "Softplus": "Softsign", "FloorDiv": "FloorMod", "FloorMod": "FloorDiv",
    "MaxPool": "AvgPool", "SquaredDifference": "Sub", "Prod": "Sum", "ArgMax": "ArgMin", "Exp": "Expm1",
}  # fmt: skip
"""Ops that take the same inputs and attributes and compute something else."""


LOWERED = "_lower_using_switch_merge"
UNTOUCHED = ("value", "_output_shapes", "_class", LOWERED)
"""Attributes that stay: what others change, and remarks."""


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """A graph with one thing changed: ``kind`` of change, at ``node``."""

    kind: str
    node: str
    model: Written


def mutant(model: Written, dice: random.Random, kinds: Sequence[str] = ()) -> Mutant | None:
    """One mutation, of one of ``kinds``, of a node of the graph or of a function; None where nothing was changed."""
    definition = copy.deepcopy(model.definition)
    bodies = [definition.node, *(function.node_def for function in definition.library.function)]
    nodes = [node for body in bodies for node in body if node.name not in model.inputs]
    node = dice.choice(nodes)
    kind = dice.choice(list(kinds or KINDS))
    where = next(body for body in bodies if any(each is node or each == node for each in body))
    if not KINDS[kind](node, where, dice):
        return None
    return Mutant(kind=kind, node=node.name, model=replace(model, definition=definition))


def _op(node: Any, _: Any, __: random.Random) -> bool:
    if node.op not in SWAPS:
        return False
    node.op = SWAPS[node.op]
    known = {attr.name for attr in op_def_registry.get(node.op).attr}
    for name in [name for name in node.attr if name not in known and not name.startswith("_")]:
        del node.attr[name]
    return True


def _attribute(node: Any, _: Any, dice: random.Random) -> bool:
    names = sorted(name for name in node.attr if name not in UNTOUCHED)
    if not names:
        return False
    value = node.attr[dice.choice(names)]
    kind = value.WhichOneof("value")
    if kind == "b":
        value.b = not value.b
    elif kind == "i":
        value.i += dice.choice((-1, 1))
    elif kind == "f":
        value.f = (
            float(np.nextafter(np.float32(value.f), np.float32(9), dtype=np.float32))
            if dice.random() < 0.5
            else value.f + 1
        )
    elif kind == "s":
        value.s = dice.choice((b"SAME", b"VALID", b"NCHW", b"NHWC", b"other", b""))
    elif kind == "type":
        value.type = dice.choice((1, 2, 3, 9, 10, 19))
    elif kind == "list" and value.list.i:
        index = dice.randrange(len(value.list.i))
        value.list.i[index] += 1
    elif kind == "shape" and value.shape.dim:
        value.shape.dim[dice.randrange(len(value.shape.dim))].size = dice.choice((-1, 1, 2, 7))
    elif kind == "func":
        return False
    else:
        return False
    return True


def _data(node: Any) -> list[int]:
    return [index for index, name in enumerate(node.input) if not name.startswith("^")]


def _port(node: Any, _: Any, dice: random.Random) -> bool:
    places = _data(node)
    if not places:
        return False
    place = dice.choice(places)
    name, colon, port = node.input[place].rpartition(":")
    if not colon:
        name, port = node.input[place], "0"
    node.input[place] = f"{name}:{max(0, int(port) + dice.choice((-1, 1)))}"
    return True


def _input(node: Any, body: Any, dice: random.Random) -> bool:
    places = _data(node)
    if not places:
        return False
    if len(places) > 1 and dice.random() < 0.5:
        one, other = dice.sample(places, 2)
        node.input[one], node.input[other] = node.input[other], node.input[one]
        return True
    sources = [each for each in body if each.name != node.name]
    if not sources:
        return False
    place = dice.choice(places)
    suffix = node.input[place].partition(":")[2]
    in_function = suffix.count(":") or any(char.isalpha() for char in suffix)
    if in_function:
        node.input[place] = dice.choice(
            [name for each in body for name in each.input if not name.startswith("^")]
        )
    else:
        node.input[place] = dice.choice(sources).name
    return True


def _arity(node: Any, _: Any, dice: random.Random) -> bool:
    """One input less, or one more."""
    places = _data(node)
    if not places:
        return False
    place = dice.choice(places)
    if dice.random() < 0.5:
        del node.input[place]
    else:
        node.input.insert(place, node.input[dice.choice(places)])
    return True


def _constant(node: Any, _: Any, dice: random.Random) -> bool:
    if node.op != "Const":
        return False
    array = np.array(tf.make_ndarray(node.attr["value"].tensor))
    if not array.size or array.dtype == object:
        return False
    flat = array.reshape(-1)
    index = dice.randrange(flat.size)
    if array.dtype == np.bool_:
        flat[index] = not flat[index]
    elif array.dtype.kind == "f":
        flat[index] = -flat[index] if dice.random() < 0.3 else np.nextafter(flat[index], array.dtype.type(9))
    else:
        flat[index] += dice.choice((-1, 1))
    node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(array))
    return True


def _control(node: Any, body: Any, dice: random.Random) -> bool:
    held = [index for index, name in enumerate(node.input) if name.startswith("^")]
    if held and dice.random() < 0.6:
        del node.input[dice.choice(held)]
        return True
    others = [each.name for each in body if each.name != node.name]
    if not others:
        return False
    node.input.append(f"^{dice.choice(others)}")
    return True


def _lowering(node: Any, _: Any, __: random.Random) -> bool:
    """A conditional or loop runs as a function, or written out."""
    if LOWERED not in node.attr:
        return False
    node.attr[LOWERED].b = not node.attr[LOWERED].b
    return True


ROUNDED = ("lowering",)
"""Kinds that leave it open which kernels run: oneDNN takes nodes of the graph, and none of a function that stays one.

Without oneDNN (``TF_ENABLE_ONEDNN_OPTS=0``) the bits are the same."""

KINDS: dict[str, Callable[[Any, Any, random.Random], bool]] = {
    "op": _op,
    "attribute": _attribute,
    "port": _port,
    "input": _input,
    "arity": _arity,
    "constant": _constant,
    "control": _control,
    "lowering": _lowering,
}


@dataclass
class Score:
    """What became of mutants, by kind of mutation."""

    WRONG: ClassVar[tuple[str, str]] = ("proven and different", "proven, TensorFlow refuses")

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def add(self, network: str, mutant: Mutant, fate: str) -> None:
        self.counts[mutant.kind, fate] += 1
        if fate in self.WRONG:
            self.wrong.append(f"{network}: {fate}: {mutant.kind} at {mutant.node}")

    def total(self, *fates: str) -> int:
        return sum(count for (_, fate), count in self.counts.items() if not fates or fate in fates)

    def table(self, fates: Sequence[str]) -> str:
        """The counts, a line for each kind of mutation and one for all."""
        rows = [["", *fates, "all"]]
        for kind in KINDS:
            found = [self.counts[kind, fate] for fate in fates]
            rows.append([kind, *map(str, found), str(sum(found))])
        rows.append(["all", *(str(self.total(fate)) for fate in fates), str(self.total())])
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join("  ".join(map(str.rjust, row, widths)) for row in rows)


def attack(name: str, model: Written, count: int, seed: int, score: Score) -> None:
    """Make ``count`` mutants of a network; what is proven is run in TensorFlow beside the original."""
    dice = random.Random(f"{name}-{seed}")
    original = _Original(model, seed)
    made = 0
    for _ in range(count * 20):
        if made == count:
            return
        found = mutant(model, dice)
        if found is None:
            continue
        made += 1
        score.add(name, found, original.fate_of(found))


class _Original:
    """A network, and what TensorFlow answers to the inputs that it takes."""

    def __init__(self, model: Written, seed: int) -> None:
        self.contents = Contents()
        self.side = normalised(model.side, self.contents)
        self.answers: list[tuple[np.ndarray, list[np.ndarray]]] = []
        with model.running() as run:
            for batch in batches(model, seed):
                with suppress(tf.errors.OpError, ValueError):
                    self.answers.append((batch, run(batch)))
        assert self.answers, "TensorFlow runs the network on none of its inputs"

    def fate_of(self, mutant: Mutant) -> str:
        """What becomes of a mutant: what is proven of it, and whether that is so."""
        try:
            changed = mutant.model.side
            if not prove_normal(self.side, normalised(changed, self.contents)).proven:
                return "not proven"
            if first_flaw(changed.graph) is not None:
                return "unloadable"
        except TfparityError:
            return "refused by the reader"
        return self._run_beside(mutant, changed)

    def _run_beside(self, mutant: Mutant, changed: Side) -> str:
        model, rounded = mutant.model, mutant.kind in ROUNDED
        try:
            return self._compared(model, rounded)
        except ValueError:  # shape inference: it looks at nodes that no run of the outputs reaches
            live = liveness(
                changed.graph, changed.outputs, inputs=changed.inputs, variables=changed.variables
            )
            if mutant.node in live.nodes and not live.is_dead_node(mutant.node):
                return "proven, TensorFlow refuses"
        with suppress(ValueError):  # on a side of a conditional that is never taken
            needed = [*model.inputs, *model.outputs]
            pruned = tf.compat.v1.graph_util.extract_sub_graph(model.definition, needed)
            fate = self._compared(replace(model, definition=pruned), rounded)
            return "proven, an unneeded node is refused" if fate == "proven and equal" else fate
        return "proven, an unneeded node is refused"

    def _compared(self, other: Written, rounded: bool) -> str:
        try:
            with other.running() as run:
                for batch, expected in self.answers:
                    if not all(equal(a, b, rounded) for a, b in zip(expected, run(batch), strict=True)):
                        return "proven and different"
        except (tf.errors.OpError, TypeError, KeyError):
            return "proven, TensorFlow refuses"
        return "proven and equal"


def equal(one: np.ndarray, other: np.ndarray, rounded: bool = False) -> bool:
    """Whether two results are one. Threads of TensorFlow flush subnormal numbers to zero or do not: both are zero."""
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    if one.dtype.kind != "f":
        return bool(np.array_equal(one, other))
    smallest = np.finfo(one.dtype).smallest_normal
    one, other = (np.where(np.abs(each) < smallest, 0, each) for each in (one, other))
    if rounded:
        return bool(np.allclose(one, other, rtol=1e-5, atol=1e-6, equal_nan=True))
    return bool(np.array_equal(one, other, equal_nan=True))


def crowd(networks: Iterator[tuple[str, Written]], each: int, seed: int = 0) -> Score:
    """Attack every network with ``each`` mutants."""
    score = Score()
    for name, model in networks:
        attack(name, model, each, seed, score)
    return score
