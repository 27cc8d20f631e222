"""Single values of a settings file: what each kind of value must be, and what it becomes.

A reader takes a value as it was written and returns it as the specification holds it, or raises
:class:`Wrong` with the rest of a sentence that begins with the key: "must be a path, not the number 5".
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..comparison.tolerance import ROUNDINGS, TopK
from ..errors import did_you_mean
from ..formats.format import FeedValue
from ..formats.section import KINDS, Key
from .schema import DTYPES
from .stated import Written, Wrong, described, must_be, shortened

_NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?")


def number_of(value: Written) -> float | None:
    """The finite number that is written, in quotes or not; None if it is none. ``1e-5`` is one."""
    plain = value.value
    if isinstance(plain, str) and _NUMBER.fullmatch(plain):
        plain = float(plain)
    if isinstance(plain, bool) or not isinstance(plain, (int, float)):
        return None
    try:
        return float(plain) if math.isfinite(plain) else None
    except OverflowError:
        return None


def _number(value: Written, key: Key) -> float:
    number = number_of(value)
    if number is None:
        raise must_be(KINDS[key.kind], value)
    return number


def _plain_number(value: Written, key: Key) -> float:
    number = _number(value, key)
    return value.value if isinstance(value.value, int) else number


def _tolerance(value: Written, key: Key) -> float:
    number = _number(value, key)
    if number < 0:
        raise must_be(KINDS[key.kind], value)
    return number


def _atol(value: Written, key: Key) -> float:
    return math.inf if value.value == math.inf else _tolerance(value, key)


def _limit(value: Written, key: Key) -> float:
    number = _atol(value, key)
    if number == 0:
        raise must_be(KINDS[key.kind], value)
    return number


def _rounding(value: Written, key: Key) -> float:
    number = _number(value, key)
    if number < 1:
        raise must_be(KINDS[key.kind], value)
    return number


def _rule(value: Written, key: Key) -> float:
    if value.value != "rounding":
        raise Wrong(
            f"must be rounding, not {described(value)}. Numbers are stated as atol, rtol or rounding",
            value.line,
        )
    return ROUNDINGS


def _share(value: Written, key: Key) -> float:
    number = _number(value, key)
    if not 0 < number <= 1:
        raise must_be(KINDS[key.kind], value)
    return number


def _whole(value: Written, key: Key, least: int) -> int:
    plain = value.value
    if isinstance(plain, bool) or not isinstance(plain, int) or not least <= plain < 2**63:
        raise must_be(KINDS[key.kind], value)
    return int(plain)


def _positive(value: Written, key: Key) -> int:
    return _whole(value, key, least=1)


def _seed(value: Written, key: Key) -> int:
    return _whole(value, key, least=0)


def _boolean(value: Written, key: Key) -> bool:
    if not isinstance(value.value, bool):
        raise must_be(KINDS[key.kind], value)
    return value.value


def _choice(value: Written, key: Key) -> str:
    *others, last = key.choices
    given = str(value.value) if type(value.value) in (str, int) else None
    if given is None:
        raise must_be(f"{', '.join(others)} or {last}", value)
    if given not in key.choices:
        raise Wrong(
            f"must be {', '.join(others)} or {last}, not {shortened(given)!r}."
            f"{did_you_mean(given, key.choices, 1)}",
            value.line,
        )
    return given


def _dtype(value: Written, key: Key) -> str:
    given = value.value
    if given not in DTYPES:
        hint = did_you_mean(given, DTYPES) if isinstance(given, str) else ""
        raise Wrong(f"must be one of {', '.join(DTYPES)}, not {described(value)}.{hint}", value.line)
    return str(given)


_QUANTILE = re.compile(r"quantile\(\s*([^()\s]+)\s*\)")


def _statistic(value: Written, key: Key) -> str:
    given = value.value
    if given in ("max", "mean", "median"):
        return str(given)
    quantile = _QUANTILE.fullmatch(given.strip()) if isinstance(given, str) else None
    share = number_of(Written(value=quantile[1])) if quantile else None
    if share is None or not 0 < share <= 1:
        hint = did_you_mean(given, ("max", "mean", "median"), 1) if isinstance(given, str) else ""
        raise Wrong(f"must be {KINDS[key.kind]}, not {described(value)}.{hint}", value.line)
    return f"quantile({share!r})"


_UNPRINTABLE = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")


def text_of(value: Written, expected: str) -> str:
    """The text that is written, which must not be empty nor hold control characters."""
    given = value.value
    if not isinstance(given, str):
        hint = ". Put it in quotes if it is meant" if isinstance(given, (bool, int, float)) else ""
        raise Wrong(f"must be {expected}, not {described(value)}{hint}", value.line)
    if not given.strip() or _UNPRINTABLE.search(given):
        raise must_be(expected, value)
    return given


def _text(value: Written, key: Key) -> str:
    return text_of(value, KINDS[key.kind])


def tensor_of(text: str) -> str:
    """A tensor's name with its port, ``"logits"`` as ``"logits:0"``. Raises :class:`Wrong`."""
    node, colon, port = text.rpartition(":")
    if not colon:
        node, port = text, "0"
    if text.startswith("^"):
        raise Wrong(f"names a control input, {text!r}; a tensor's name is 'node:0', without '^'")
    if not node or ":" in node or any(char.isspace() for char in node):
        raise Wrong(f"must be a tensor name such as 'logits:0', not {shortened(text)!r}")
    if not (port.isascii() and port.isdigit()) or len(port) > 9:
        raise Wrong(
            f"must be a tensor name such as 'logits:0', but what follows the colon of {shortened(text)!r} "
            "is not the number of an output"
        )
    return f"{node}:{int(port)}"


def _tensor(value: Written, key: Key) -> str:
    try:
        return tensor_of(text_of(value, KINDS[key.kind]))
    except Wrong as wrong:
        raise Wrong(str(wrong), value.line) from None


def _function(value: Written, key: Key) -> str:
    text = text_of(value, KINDS[key.kind])
    module, colon, function = text.partition(":")
    parts = [*module.split("."), *function.split(".")]
    if not colon or not all(part.isidentifier() for part in parts):
        raise Wrong(
            f"must be of the form module:function, such as 'digits.model:build', not {shortened(text)!r}",
            value.line,
        )
    return text


EMA = ("none", "trainable", "all", "undecided")


def _ema(value: Written, key: Key) -> str | tuple[str, ...]:
    given = value.value
    if isinstance(given, str) and given in EMA:
        return given
    if isinstance(given, list) and given:
        return tuple(text_of(pattern, "a list of name patterns, which are text") for pattern in given)
    hint = ""
    if isinstance(given, str):
        hint = f".{did_you_mean(given, EMA, 1)} A single pattern is written as a list: [{shortened(given)!r}]"
    if given is False or given is None:
        hint = ". To use no moving averages, write ema: none"
    if given is True:
        hint = ". To use those of the trainable variables, write ema: trainable"
    raise Wrong(f"must be {KINDS[key.kind]}, not {described(value)}{hint}", value.line)


def _texts(value: Written, key: Key) -> tuple[str, ...]:
    return tuple(text_of(each, KINDS[key.kind]) for each in list_of(value, KINDS[key.kind]))


def _shape(value: Written, key: Key) -> tuple[int, ...]:
    given = value.value
    if not isinstance(given, list):
        raise must_be(KINDS[key.kind], value)
    for size in given:
        if isinstance(size.value, bool) or not isinstance(size.value, int) or not 0 < size.value < 2**31:
            raise Wrong(
                f"must be a list of whole numbers of at least 1, but one of them is {described(size)}",
                size.line,
            )
    return tuple(int(size.value) for size in given)


def _permutation(value: Written, key: Key) -> tuple[int, ...]:
    given = value.value
    if not isinstance(given, list) or not given:
        raise must_be(KINDS[key.kind], value)
    axes = [axis.value for axis in given]
    if not all(type(axis) is int for axis in axes) or sorted(axes) != list(range(len(axes))):
        raise Wrong(
            f"must be {KINDS[key.kind]}, but it is {shortened(str(axes))}",
            value.line,
        )
    return tuple(axes)


def feed_of(value: Written) -> FeedValue:
    """A constant: a bool, number, text, or nested tuples of them, not ragged. Raises :class:`Wrong`."""
    given = value.value
    if isinstance(given, (bool, int, float, str)):
        return given
    if not isinstance(given, list):
        raise must_be("a bool, a number, text, or nested lists of them", value)
    items = tuple(feed_of(item) for item in given)
    if len({_extent(item) for item in items}) > 1:
        raise Wrong("must have rows of one length throughout; its lists are ragged", value.line)
    return items


def _extent(value: FeedValue) -> tuple[int, ...]:
    extent: list[int] = []
    while isinstance(value, tuple):
        extent.append(len(value))
        if not value:
            break
        value = value[0]
    return tuple(extent)


def top_k_of(settings: Mapping[str, Any]) -> TopK:
    """The settings of a ``top_k`` section as what they mean. Raises :class:`Wrong` if ``k`` is missing."""
    if "k" not in settings:
        raise Wrong("needs 'k', how many largest entries must be the same")
    return TopK(k=settings["k"], agree=settings.get("agree", 1.0))


VALUE_READERS: Mapping[str, Callable[[Written, Key], Any]] = {
    "tolerance": _tolerance,
    "atol": _atol,
    "limit": _limit,
    "rounding": _rounding,
    "rule": _rule,
    "number": _plain_number,
    "share": _share,
    "positive": _positive,
    "seed": _seed,
    "boolean": _boolean,
    "choice": _choice,
    "dtype": _dtype,
    "statistic": _statistic,
    "text": _text,
    "texts": _texts,
    "tensor": _tensor,
    "function": _function,
    "ema": _ema,
    "shape": _shape,
    "permutation": _permutation,
}
"""Readers of the kinds that need neither a folder nor a section of their own."""


def list_of(value: Written, expected: str) -> Sequence[Written]:
    """The items of a list, or the one item that is written without brackets."""
    given = value.value
    if isinstance(given, list):
        if not given:
            raise Wrong(f"must be {expected}, not an empty list", value.line)
        return list(given)
    return [value]
