"""What is fed: arrays checked against placeholders before anything runs, constants made to fit them.

Done on the plain graph, without TensorFlow: feeding an array of the wrong rank can end the process
inside a kernel instead of raising.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import FeedError, did_you_mean
from ..graph import ops
from ..graph.graph import Array, DType, Graph, Node, Shape, TensorName, tensor_name
from ..graph.read.tensors import base_dtype, dtype_name, numpy_dtype

_STRING = 7
# Types of which numpy holds the bits alone; the others are spelt as numpy spells them.
NOT_NUMPY = frozenset({7, 11, 12, 13, 14, 15, 16, *range(24, 34)})
# Up to this producer a scalar shape may mean "unknown" (Placeholder in tensorflow/core/ops/array_ops.cc).
_SCALAR_MEANS_UNKNOWN = 21


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorSpec:
    """What a tensor takes: its dtype (None: any) and its shape (-1 unknown dimension, None unknown rank)."""

    dtype: DType | None
    dims: tuple[int, ...] | None

    def __str__(self) -> str:
        return f"{dtype_text(self.dtype) if self.dtype is not None else 'any dtype'} {shape_text(self.dims)}"


def dtype_text(dtype: DType) -> str:
    """A dtype's name as users of TensorFlow know it: ``float32``, ``string``, ``bfloat16``."""
    plain = numpy_dtype(dtype)
    return (
        dtype_name(base_dtype(dtype))
        if plain is None or base_dtype(dtype).number in NOT_NUMPY
        else plain.name
    )


def shape_text(dims: Sequence[int] | None) -> str:
    """A shape for messages: ``[?,8,8,1]``, or ``of any shape``."""
    if dims is None:
        return "of any shape"
    return "[" + ",".join("?" if size < 0 else str(size) for size in dims) + "]"


def tensor_spec(graph: Graph, tensor: TensorName) -> TensorSpec:
    """What is known, without TensorFlow, of what may be fed to ``tensor``."""
    node = graph.nodes[tensor.node]
    if node.op in ops.INPUTS:
        return TensorSpec(dtype=_dtype(node.attrs.get("dtype")), dims=_placeholder_dims(graph, node))
    types, shapes = node.attrs.get("output_types"), node.attrs.get("output_shapes")
    return TensorSpec(
        dtype=_dtype(_at(types, tensor.port)),
        dims=_dims(_at(shapes, tensor.port)),
    )


def checked(graph: Graph, label: str, inputs: Mapping[str, Array]) -> dict[TensorName, np.ndarray[Any, Any]]:
    """``inputs`` by tensor, in native byte order, strings as objects; dtype, rank and shape are right.

    Numbers are cast where that loses nothing, as TensorFlow does: pixels in uint8 for a float32 placeholder.
    A leading dimension that the placeholder pins is not held against an array (see :mod:`.batches`).
    Raises FeedError: no such tensor, fed twice, a dtype that would lose something, another rank or shape.
    """
    feeds: dict[TensorName, np.ndarray[Any, Any]] = {}
    for name, value in inputs.items():
        tensor = existing(graph, label, name)
        if tensor in feeds:
            raise FeedError(f"{tensor} of {label} is fed twice, as {name} and as {tensor}.")
        expected = tensor_spec(graph, tensor)
        given = native(np.asarray(value))
        fed = _cast(given, expected.dtype)
        if fed is None or not (shape_fits(given.shape, expected.dims) or is_list_of_one(fed, expected.dims)):
            raise FeedError.about(
                name,
                f"{tensor} of {label} takes {expected}; the array given for it is"
                f" {given.dtype if given.dtype != object else 'string'} {shape_text(given.shape)}.",
            )
        feeds[tensor] = fed
    return feeds


def is_list_of_one(value: Array, dims: tuple[int, ...] | None) -> bool:
    """Whether an array is a list of strings for a placeholder of one string: they are fed one at a time."""
    return dims == () and value.ndim == 1 and value.dtype.kind == "O"


def existing(graph: Graph, label: str, name: str) -> TensorName:
    """The tensor that a feed names. Raises FeedError with the nearest names if there is none."""
    tensor = tensor_name(name)
    if tensor.node not in graph.nodes:
        placeholders = [node.name for node in graph.nodes.values() if node.op in ops.INPUTS]
        hint = did_you_mean(tensor.node, placeholders) or (
            f" Its placeholders are {', '.join(placeholders[:5])}." if placeholders else ""
        )
        raise FeedError(f"{label} has no tensor {name!r} to feed.{hint}")
    return tensor


def constant_feeds(
    graph: Graph, label: str, feeds: Mapping[str, object]
) -> dict[TensorName, np.ndarray[Any, Any]]:
    """Constant feeds as arrays of their placeholders' dtypes. Raises FeedError where that loses something."""
    arrays = {}
    for name, value in feeds.items():
        tensor = existing(graph, label, name)
        expected = tensor_spec(graph, tensor)
        array = _constant(value, expected.dtype)
        if array is None or not shape_fits(array.shape, expected.dims, pinned=True):
            raise FeedError(f"{tensor} of {label} takes {expected}; the constant {value!r} does not fit it.")
        arrays[tensor] = array
    return arrays


def native(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """``array`` in native byte order; text and fixed-length strings as an object array of ``bytes``."""
    if array.dtype.kind == "U" or (
        array.dtype == object and any(isinstance(each, str) for each in array.flat)
    ):
        texts = [each.encode() if isinstance(each, str) else each for each in array.flat]
        return _objects(texts, array.shape)
    if array.dtype.kind == "S":
        return array.astype(object)
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _objects(values: list[Any], shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array.reshape(shape)


def _constant(value: object, dtype: DType | None) -> np.ndarray[Any, Any] | None:
    """``value`` in ``dtype``; None if it does not fit. Decimal fractions are rounded, as literals are."""
    plain = native(np.array(value))
    wanted = numpy_dtype(dtype) if dtype is not None else plain.dtype
    if wanted is None or (dtype is not None and dtype.number in NOT_NUMPY - {_STRING}):
        return None
    if "O" in (plain.dtype.kind, wanted.kind):
        return plain if wanted == plain.dtype else None
    if not plain.size:
        return plain.astype(wanted)
    if "b" in (plain.dtype.kind, wanted.kind):  # true is no number; 0 and 1 can mean false and true
        return plain.astype(wanted) if wanted.kind == "b" and np.isin(plain, (0, 1)).all() else None
    return _converted(plain, wanted)


def _converted(plain: np.ndarray[Any, Any], wanted: np.dtype[Any]) -> np.ndarray[Any, Any] | None:
    """Numbers in another dtype; None where that loses more than the digits of a decimal fraction."""
    with np.errstate(all="ignore"):
        array = plain.astype(wanted)
        if plain.dtype.kind == "f" and wanted.kind in "fc":
            return array if np.array_equal(np.isfinite(plain), np.isfinite(array)) else None
        return array if np.array_equal(array.astype(plain.dtype), plain) else None


def _dtype(value: object) -> DType | None:
    return base_dtype(value) if isinstance(value, DType) else None


def _dims(value: object) -> tuple[int, ...] | None:
    return value.dims if isinstance(value, Shape) else None


def _at(values: object, port: int) -> object:
    return values[port] if type(values) is tuple and port < len(values) else None


def _placeholder_dims(graph: Graph, node: Node) -> tuple[int, ...] | None:
    dims = _dims(node.attrs.get("shape"))
    if not dims and node.op == "Placeholder" and graph.producer <= _SCALAR_MEANS_UNKNOWN:
        return None
    return dims


def _dtype_fits(given: np.ndarray[Any, Any], dtype: DType | None) -> bool:
    if dtype is None:
        return True
    if dtype.number == _STRING:
        return given.dtype == object and all(isinstance(each, bytes) for each in given.flat)
    return str(given.dtype.name) == dtype_text(dtype)  # bfloat16 too, as ml_dtypes names it


def _cast(given: np.ndarray[Any, Any], dtype: DType | None) -> np.ndarray[Any, Any] | None:
    """``given`` as a placeholder of ``dtype`` takes it; None where that would lose something.

    Whole numbers go into every type of numbers that holds each of them; floats only into a wider type: that some
    float64 happen to be float32 says nothing of the next ones.
    """
    if _dtype_fits(given, dtype):
        return given
    wanted = numpy_dtype(dtype) if dtype is not None else None
    if dtype is None or wanted is None or dtype.number in NOT_NUMPY or wanted.kind not in "fiu":
        return None
    if given.dtype.kind in "iu":
        with np.errstate(all="ignore"):
            cast = given.astype(wanted)
            same = np.array_equal(cast.astype(given.dtype), given)
        return cast if same and _signs_agree(cast, given) else None
    widens = given.dtype.kind == "f" and wanted.kind == "f" and np.can_cast(given.dtype, wanted, "safe")
    return given.astype(wanted) if widens else None


def _signs_agree(cast: np.ndarray[Any, Any], given: np.ndarray[Any, Any]) -> bool:
    """Whether no number changed its sign on its way between signed and unsigned types."""
    return bool(((cast < 0) == (given < 0)).all())


def shape_fits(given: tuple[int, ...], dims: tuple[int, ...] | None, *, pinned: bool = False) -> bool:
    """Whether an array of shape ``given`` can be fed; the leading dimension counts only if ``pinned``."""
    if dims is None:
        return True
    if len(given) != len(dims):
        return False
    first = 0 if pinned else 1
    pairs = zip(dims[first:], given[first:], strict=True)
    return all(size < 0 or size == got for size, got in pairs)
