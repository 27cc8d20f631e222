"""Which types become which in float64, and which ops decide something instead of computing it."""

from __future__ import annotations

import re

from .. import ops

FLOAT, DOUBLE, STRING, RESOURCE, VARIANT = 1, 2, 7, 20, 21
"""Numbers of ``tensorflow.DataType`` (types.proto)."""
WIDE = {FLOAT: DOUBLE, 14: DOUBLE, 19: DOUBLE, DOUBLE: DOUBLE, 8: 18, 18: 18}
"""The type that holds the exact value of a tensor: float64 for every float, complex128 for every complex number."""
HANDLES = frozenset({RESOURCE, VARIANT})
"""Types of what holds tensors: an array, a list."""

_DECISIONS = re.compile(
    r"(Floor|Ceil|Rint|Round|Sign|FloorDiv|TruncateDiv|Bitcast|Unique\w*|CombinedNonMaxSuppression"
    r"|FakeQuant\w*|QuantizeAndDequantize\w*|SampleDistortedBoundingBox\w*)$"
)
_RANDOM = re.compile(
    r"Random|Multinomial|CandidateSampler|StatelessTruncated|StatelessParameterized|StatelessSample"
)


def decides(op: str) -> bool:
    """Whether the answer of ``op`` jumps, or is drawn: what it answered in float32 is taken as it is."""
    return _DECISIONS.match(op) is not None or _RANDOM.search(op) is not None or ops.is_random(op)
