"""Constants that are computed before a proof: to the bit what TensorFlow computes, or not at all."""

from __future__ import annotations

import inspect
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from pytest_tfparity.graph.normal.attributes import meaningful
from pytest_tfparity.graph.normal.folding import _KERNELS, Folding
from pytest_tfparity.graph.read.graphdef import read_graph
from soundness.pairs import AS_WRITTEN, tensor

v1 = tf.compat.v1
raw = tf.raw_ops

FLOATS, INTEGERS = (np.float32, np.float64), (np.int32, np.int64)
ROUNDS = 80
SPECIAL = (0.0, -0.0, 1.0, -1.0, 1e-40, 3e38, np.inf, -np.inf, np.nan, 0.1, 1 / 3, 2.0**-126, 16777217.0)


class Dice(random.Random):
    """Draws arguments of ops: some that an op takes, some that it refuses."""

    def shape(self, rank: int | None = None) -> list[int]:
        return [self.choice((1, 2, 2, 3)) for _ in range(self.randrange(4) if rank is None else rank)]

    def array(self, kind: Any, shape: Sequence[int] | None = None) -> np.ndarray:
        shape = self.shape() if shape is None else shape
        size = int(np.prod(shape))
        if kind is np.bool_:
            values: list[Any] = [self.random() < 0.5 for _ in range(size)]
        elif kind in FLOATS:
            strange = self.random() < 0.3
            values = [
                self.choice(SPECIAL) if strange and self.random() < 0.2 else self.gauss(0, 3)
                for _ in range(size)
            ]
        elif kind in (np.uint8, np.int8):
            values = [self.randrange(0, 128) for _ in range(size)]
        else:
            most = 2**31 if self.random() < 0.1 else 6
            values = [self.randrange(-most, most) for _ in range(size)]
        with np.errstate(all="ignore"):
            return np.array(values, kind).reshape(shape)

    def broadcast(self, shape: list[int]) -> list[int]:
        """A shape that goes with ``shape``, mostly."""
        start = self.randrange(len(shape) + 1)
        return [1 if self.random() < 0.2 else size for size in shape[start:]]

    def kind(self, *kinds: Any) -> Any:
        return self.choice(kinds)

    def axis(self, rank: int) -> np.ndarray:
        return np.int32(self.randrange(-rank - 1, rank + 1))


def unary(*kinds: Any) -> Callable[[Dice], Any]:
    return lambda dice: ([dice.array(dice.kind(*kinds))], {})


def binary(*kinds: Any) -> Callable[[Dice], Any]:
    def draw(dice: Dice) -> Any:
        kind, shape = dice.kind(*kinds), dice.shape()
        pair = [dice.array(kind, shape), dice.array(kind, dice.broadcast(shape))]
        dice.shuffle(pair)
        return pair, {}

    return draw


def reduction(*kinds: Any) -> Callable[[Dice], Any]:
    def draw(dice: Dice) -> Any:
        array = dice.array(dice.kind(*kinds))
        axes = [dice.axis(array.ndim) for _ in range(dice.randrange(3))]
        return [array, np.array(axes, np.int32)], {"keep_dims": dice.random() < 0.5}

    return draw


ANY = (*FLOATS, *INTEGERS, np.bool_, np.uint8)
NUMBERS = (*FLOATS, *INTEGERS)


def _reshape(dice: Dice) -> Any:
    array = dice.array(dice.kind(*ANY))
    shape = dice.choice(([-1], [array.size], [1, -1], [2, -1], [array.size, 1], [-1, -1], [0, -1]))
    return [array, np.array(shape, dice.kind(*INTEGERS))], {}


def _transpose(dice: Dice) -> Any:
    array = dice.array(dice.kind(*ANY))
    order = list(range(array.ndim))
    dice.shuffle(order)
    return [array, np.array(order if dice.random() < 0.9 else order[1:], np.int32)], {}


def _with_axis(dice: Dice) -> Any:
    array = dice.array(dice.kind(*ANY))
    return [array, dice.axis(array.ndim)], {}


def _squeeze(dice: Dice) -> Any:
    array = dice.array(dice.kind(*ANY))
    axes = [int(dice.axis(array.ndim)) for _ in range(dice.randrange(2))]
    return [array], {"axis": axes}


def _several(dice: Dice) -> tuple[list[np.ndarray], int]:
    kind, shape = dice.kind(*ANY), dice.shape()
    arrays = [dice.array(kind, shape) for _ in range(dice.randrange(1, 4))]
    return arrays, int(dice.axis(len(shape)))


def _concat(dice: Dice) -> Any:
    arrays, axis = _several(dice)
    return [[*arrays, arrays[0]], np.int32(axis)], {}


def _pack(dice: Dice) -> Any:
    arrays, axis = _several(dice)
    return [arrays], {"axis": axis}


def _unpack(dice: Dice) -> Any:
    array = dice.array(dice.kind(*ANY))
    axis = int(dice.axis(array.ndim))
    sizes = [array.shape[axis]] if -array.ndim <= axis < array.ndim else []
    return [array], {"num": dice.choice((1, *sizes, *sizes)), "axis": axis}


def _split(dice: Dice) -> Any:
    array = dice.array(dice.kind(*ANY))
    return [dice.axis(array.ndim), array], {"num_split": dice.choice((1, 2, 3))}


def _slice(dice: Dice) -> Any:
    array = dice.array(dice.kind(*ANY))
    begins = [dice.choice((0, 0, 0, 1, 2)) for _ in array.shape]
    sizes = [dice.choice((-1, -1, 0, 1, 2)) for _ in array.shape]
    return [array, np.array(begins, np.int32), np.array(sizes, np.int32)], {}


def _strided_slice(dice: Dice) -> Any:
    array = dice.array(dice.kind(*ANY))
    count = dice.randrange(0, array.ndim + 2)
    begins, ends = ([dice.randrange(-4, 5) for _ in range(count)] for _ in range(2))
    strides = [dice.choice((1, 1, 1, 2, -1, -2)) for _ in range(count)]
    masks = {
        f"{name}_mask": dice.randrange(1 << count) if dice.random() < 0.4 else 0
        for name in ("begin", "end", "ellipsis", "new_axis", "shrink_axis")
    }
    return [array, *(np.array(each, np.int32) for each in (begins, ends, strides))], masks


def _gather(dice: Dice) -> Any:
    array = dice.array(dice.kind(*ANY))
    return [array, np.abs(dice.array(np.int32)) % 4, dice.axis(array.ndim)], {}


def _tile(dice: Dice) -> Any:
    array = dice.array(dice.kind(*ANY))
    return [array, np.array([dice.choice((0, 1, 2)) for _ in array.shape], np.int32)], {}


def _fill(dice: Dice) -> Any:
    return [np.array(dice.shape(), np.int32), dice.array(dice.kind(*ANY), [])], {}


def _broadcast(dice: Dice) -> Any:
    shape = dice.shape()
    return [dice.array(dice.kind(*ANY), dice.broadcast(shape)), np.array(shape, np.int32)], {}


def _reverse(dice: Dice) -> Any:
    array = dice.array(dice.kind(*ANY))
    return [array, np.array([dice.axis(array.ndim) for _ in range(dice.randrange(3))], np.int32)], {}


def _pad(dice: Dice) -> Any:
    array = dice.array(dice.kind(*NUMBERS))
    return [
        array,
        np.array([[dice.randrange(3), dice.randrange(3)] for _ in array.shape], np.int32).reshape(-1, 2),
    ], {}


def _pad_with(dice: Dice) -> Any:
    (array, widths), _ = _pad(dice)
    return [array, widths, dice.array(array.dtype.type, [])], {}


def _select(dice: Dice) -> Any:
    (one, other), _ = binary(*ANY)(dice)
    shape = dice.choice((one.shape, (), (3,)))
    return [dice.array(np.bool_, shape), one, other], {}


def _range(dice: Dice) -> Any:
    kind = dice.kind(*INTEGERS)
    return [kind(dice.randrange(-9, 9)), kind(dice.randrange(-9, 9)), kind(dice.randrange(-3, 4))], {}


def _cast(dice: Dice) -> Any:
    target = dice.kind(*FLOATS, *INTEGERS, np.bool_, np.uint8, np.int8, np.int16)
    return [dice.array(dice.kind(*ANY, np.int8))], {"DstT": tf.as_dtype(target)}


DRAWS: dict[str, Callable[[Dice], Any]] = {
    "Reshape": _reshape, "Transpose": _transpose, "ExpandDims": _with_axis, "Squeeze": _squeeze, "ConcatV2": _concat,
    "Pack": _pack, "Unpack": _unpack, "Split": _split, "Slice": _slice, "StridedSlice": _strided_slice,
    "GatherV2": _gather, "Tile": _tile, "Fill": _fill, "BroadcastTo": _broadcast, "ReverseV2": _reverse, "Pad": _pad,
    "PadV2": _pad_with, "Select": _select, "SelectV2": _select, "Shape": unary(*ANY), "Size": unary(*ANY),
    "ShapeN": lambda dice: ([_several(dice)[0]], {}), "Rank": unary(*ANY), "ZerosLike": unary(*ANY),
    "OnesLike": unary(*ANY), "Range": _range, "Cast": _cast, "Square": unary(*NUMBERS), "Neg": unary(*NUMBERS),
    "Abs": unary(*NUMBERS), "LogicalNot": unary(np.bool_), "LogicalAnd": binary(np.bool_),
    "LogicalOr": binary(np.bool_), "Equal": binary(*ANY), "NotEqual": binary(*ANY), "RealDiv": binary(*FLOATS),
    "FloorDiv": binary(*INTEGERS), "FloorMod": binary(*INTEGERS), "SquaredDifference": binary(*FLOATS),
    **dict.fromkeys(("AddV2", "Sub", "Mul", "Less", "LessEqual", "Greater", "GreaterEqual"), binary(*NUMBERS)),
    **dict.fromkeys(("Maximum", "Minimum"), binary(*NUMBERS)),
    **dict.fromkeys(("Sum", "Prod", "Max", "Min"), reduction(*NUMBERS)),
    **dict.fromkeys(("All", "Any"), reduction(np.bool_)),
}  # fmt: skip


def computed(op: str, arguments: list[Any], attrs: dict[str, Any]) -> tuple[Any, list[np.ndarray] | None]:
    """The node as TensorFlow writes it, and what it gives to any arguments; None where it refuses these."""
    feeds: dict[Any, Any] = {}

    def held(value: Any) -> Any:
        if isinstance(value, list):
            return [held(each) for each in value]
        made = v1.placeholder(tf.as_dtype(np.asarray(value).dtype), None)
        feeds[made] = value
        return made

    with tf.Graph().as_default() as graph:
        kernel = getattr(raw, op)
        names = inspect.signature(kernel).parameters
        found = kernel(**dict(zip(names, map(held, arguments), strict=False)), **attrs)
        outputs = list(found) if isinstance(found, (list, tuple)) else [found]
        with v1.Session(graph=graph, config=AS_WRITTEN) as session:
            try:
                return outputs[0].op, session.run(outputs, feeds)
            except tf.errors.OpError:
                return outputs[0].op, None


def folded(node: Any, arguments: list[Any], folder: Path) -> list[np.ndarray] | None:
    path = folder / "graph.pb"
    path.write_bytes(node.graph.as_graph_def().SerializeToString())
    read = read_graph(path).nodes[node.name]
    flat = [
        each for argument in arguments for each in (argument if isinstance(argument, list) else [argument])
    ]
    found = Folding()(read.op, meaningful(read.op, read.attrs), [tensor(each) for each in flat])
    return None if found is None else [each.array for each in found]


def bits(array: np.ndarray) -> tuple[Any, ...]:
    return array.dtype, array.shape, array.tobytes()


def test_every_op_that_is_computed_is_tried() -> None:
    assert DRAWS.keys() == _KERNELS.keys()


@pytest.mark.parametrize("op", DRAWS)
def test_what_is_computed_is_what_tensorflow_computes(op: str, tmp_path: Path) -> None:
    dice = Dice(op)
    known = 0
    for _ in range(ROUNDS):
        arguments, attrs = DRAWS[op](dice)
        node, expected = computed(op, arguments, attrs)
        found = folded(node, arguments, tmp_path)
        if found is not None:
            assert expected is not None, (arguments, attrs)
            assert list(map(bits, found)) == list(map(bits, expected)), (arguments, attrs)
            known += 1
    assert known >= 8
