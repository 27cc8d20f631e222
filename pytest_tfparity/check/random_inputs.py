"""Random arrays that are the same on every platform and with every numpy, from a seed and a name.

Bits come from the counter-based generator Philox4x64-10 (Salmon et al., "Parallel random numbers: as
easy as 1, 2, 3", 2011), whose stream numpy guarantees for ``Philox``, with the first 128 bits of
``sha256("SEED NAME")`` as its key. numpy's distributions may change from version to version, so
they are not used: from the raw bits on there are only integer arithmetic and single, correctly
rounded float64 operations, no function of a mathematics library.

- uniform: the upper 53 bits over 2**53, times ``high - low``, plus ``low``; where rounding to the
  dtype reaches ``high``, the number before it.
- integers: ``low`` plus the 64 bits modulo ``high - low`` (the bias is at most ``(high - low) / 2**64``).
- normal: the sum of twelve 32-bit uniform numbers, minus 6 (the Irwin-Hall distribution: mean 0,
  variance 1, within 6), which is computed exactly; times ``stddev``, plus ``mean``.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..graph.graph import DType
from ..runtime.feeds import TensorSpec
from ..settings.spec import RandomSource

_MOST = 1 << 28
"""Random numbers of one input: 2 GiB as they are drawn."""
Draw = Callable[[int], npt.NDArray[np.uint64]]

BATCH = 4
"""How many rows random inputs have where the placeholder leaves it open: few enough for any network, and several, so
that what mixes the rows of a batch shows."""

# numbers of tensorflow.DataType (types.proto) that random inputs are made for
_FLOATS = {1: "float32", 2: "float64", 19: "float16"}
_INTEGERS = {
    3: "int32",
    4: "uint8",
    5: "int16",
    6: "int8",
    9: "int64",
    17: "uint16",
    22: "uint32",
    23: "uint64",
}
STRING = 7
_UINT8 = 4


class NoRandomNumbers(Exception):
    """Why no values can be made up for an input: a clause."""


def random_source(*sides: TensorSpec) -> RandomSource:
    """Seeded random numbers that fit what every one of ``sides`` takes for one input.

    Where a side takes whole numbers and the other one floats, whole numbers. Raises NoRandomNumbers.
    """
    numbers = [type_number(side.dtype) for side in sides]
    number = next((each for each in numbers if each in _INTEGERS), numbers[0])
    if number not in _FLOATS and number not in _INTEGERS:
        raise NoRandomNumbers(f"random values cannot be made up for {sides[0]}")
    shape = _common_shape(sides)
    if number in _FLOATS:
        return RandomSource(distribution="normal", shape=shape, dtype=_FLOATS[number])
    high = 256 if number == _UINT8 else 2
    return RandomSource(distribution="integers", shape=shape, dtype=_INTEGERS[number], low=0, high=high)


def type_number(dtype: DType | None) -> int:
    """The number of a dtype in ``types.proto``, 0 where any dtype fits."""
    return dtype.number if dtype is not None else 0


def _common_shape(sides: tuple[TensorSpec, ...]) -> tuple[int, ...]:
    """The shape that all of ``sides`` take, the first known dimension winning, ``BATCH`` rows if left open."""
    shapes = [side.dims for side in sides if side.dims]
    if not shapes or len({len(dims) for dims in shapes}) > 1:
        raise _unknown(sides[0])
    dims = [max(sizes) for sizes in zip(*shapes, strict=True)]
    if dims[0] < 0:
        dims[0] = BATCH
    if min(dims) < 0:
        raise _unknown(sides[0])
    return tuple(dims)


def _unknown(side: TensorSpec) -> NoRandomNumbers:
    return NoRandomNumbers(f"its shape is not known ({side}), so no values can be made up")


def random_array(source: RandomSource, name: str) -> npt.NDArray[Any]:
    """The array that ``source`` describes for the input ``name``. Raises InputError if it describes none."""
    count = math.prod(source.shape)
    dtype = _dtype(source, name)
    if min(source.shape, default=1) < 1:
        raise InputError(f"Input {name}: sizes of a shape are at least 1, but it is {list(source.shape)}.")
    if count > _MOST:
        raise InputError(
            f"Input {name}: {count:,} random numbers are more than fit into a check ({_MOST:,}); give a smaller shape"
            f" than {list(source.shape)}."
        )
    bits = np.random.Philox(key=_key(source.seed, name))

    def draw(number: int) -> npt.NDArray[np.uint64]:
        return np.asarray(bits.random_raw(number), np.uint64) if number else np.empty(0, np.uint64)

    with np.errstate(over="ignore", invalid="ignore"):
        if source.distribution == "integers":
            values = _integers(draw, count, source, dtype, name)
        elif source.distribution == "uniform":
            values = _uniform(draw, count, source, dtype, name)
        else:
            values = _normal(draw, count, source, dtype)
        if not np.isfinite(values.astype(np.float64)).all():
            raise InputError(f"Input {name}: some of these random numbers are beyond {source.dtype}.")
    return values.reshape(source.shape)


def _key(seed: int, name: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed} {name}".encode()).digest()[:16], "little")


def _dtype(source: RandomSource, name: str) -> np.dtype[Any]:
    try:
        dtype = np.dtype(source.dtype)
    except TypeError:
        from ..comparison.dtypes import small_dtype

        try:
            dtype = small_dtype(source.dtype)
        except LookupError:
            raise InputError(f"Input {name}: there are no random numbers of dtype {source.dtype}.") from None
    kinds = ("float", "integer") if source.distribution == "integers" else ("float",)
    if _kind(dtype) not in kinds:
        hint = " Use the distribution integers." if _kind(dtype) == "integer" else ""
        raise InputError(
            f"Input {name}: random numbers of the distribution {source.distribution} cannot have dtype"
            f" {source.dtype}.{hint}"
        )
    return dtype


def _kind(dtype: np.dtype[Any]) -> str:
    """See :func:`..comparison.dtypes.kind`, which is asked of what numpy itself lacks."""
    if dtype.kind in "fiub":
        return "float" if dtype.kind == "f" else "integer"
    from ..comparison.dtypes import kind

    return kind(dtype)


def _uniform(
    draw: Draw, count: int, source: RandomSource, dtype: np.dtype[Any], name: str
) -> npt.NDArray[Any]:
    low = 0.0 if source.low is None else float(source.low)
    high = 1.0 if source.high is None else float(source.high)
    _ordered(low, high, name)
    unit = (draw(count) >> np.uint64(11)).astype(np.float64) * 2.0**-53
    values = (low + (high - low) * unit).astype(dtype)
    below = dtype.type(high)
    if not (math.isfinite(float(below)) and math.isfinite(float(dtype.type(low)))):
        raise InputError(f"Input {name}: low or high is beyond {source.dtype}.")
    if float(below) >= high:
        below = np.nextafter(below, dtype.type(-np.inf))
    within: npt.NDArray[Any] = np.where(values.astype(np.float64) < high, values, below)
    return within


def _integers(
    draw: Draw, count: int, source: RandomSource, dtype: np.dtype[Any], name: str
) -> npt.NDArray[Any]:
    least, most = _range(dtype)
    low = 0 if source.low is None else _whole(source.low, name)
    high = min(low + 256, most + 1) if source.high is None else _whole(source.high, name)
    _ordered(low, high, name)
    if low < least or high > most + 1:
        raise InputError(
            f"Input {name}: integers from {low} to below {high} do not fit {source.dtype},"
            f" which goes from {least} to {most}."
        )
    span = high - low
    offsets = draw(count) if span >= 2**64 else draw(count) % np.uint64(span)
    # modulo 2**64 the sum is right for every low that fits
    values = offsets + np.uint64(low % 2**64)
    integers: npt.NDArray[Any] = (values if low >= 0 else values.view(np.int64)).astype(dtype)
    return integers


def _normal(draw: Draw, count: int, source: RandomSource, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    total = np.zeros(count, np.int64)
    for _ in range(6):
        raw = draw(count)
        total += (raw & np.uint64(0xFFFFFFFF)).astype(np.int64) + (raw >> np.uint64(32)).astype(np.int64)
    # Each number stands for the middle of its cell, (n + 1/2) / 2**32, so twelve add 6 halves.
    unit = (total - 6 * (2**32 - 1)).astype(np.float64) * 2.0**-32
    values: npt.NDArray[Any] = (source.mean + source.stddev * unit).astype(dtype)
    return values


def _range(dtype: np.dtype[Any]) -> tuple[int, int]:
    """The least and the largest integer that ``dtype`` is asked to hold exactly."""
    if dtype.kind == "b":
        return 0, 1
    if _kind(dtype) == "float":
        digits = {2: 11, 4: 24, 8: 53}.get(dtype.itemsize, 53) if dtype.kind == "f" else 8
        digits = 3 if dtype.itemsize == 1 else digits
        return -(2**digits), 2**digits
    if dtype.kind in "iu":
        return int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
    width = int(dtype.name.rpartition("int")[2])
    return (0, 2**width - 1) if dtype.name.startswith("u") else (-(2 ** (width - 1)), 2 ** (width - 1) - 1)


def _whole(value: float, name: str) -> int:
    if not math.isfinite(value) or value != int(value):
        raise InputError(f"Input {name}: low and high of integers must be whole numbers, not {value!r}.")
    return int(value)


def _ordered(low: float, high: float, name: str) -> None:
    if not low < high or math.isinf(low) or math.isinf(high):
        raise InputError(f"Input {name}: low must be below high, but low is {low:g} and high is {high:g}.")
