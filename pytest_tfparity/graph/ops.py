"""What TensorFlow registers of each op: its outputs, the defaults of its attributes, whether it has state.

``ops.json`` is TensorFlow's registry as plain data (1.15 and 2.21 merged), written by
``tests/graph/op_registry.py``; a test compares it with the TensorFlow that is installed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

from .graph import Attr, DType, Shape


@dataclass(frozen=True, slots=True)
class Op:
    """A registered op.

    ``outputs`` are pairs of an output's name and the attribute that says how many tensors it is
    (empty: one). ``pure`` means that the outputs depend on inputs and attributes alone. ``refers``
    means that an input is a reference to a variable or another resource, so that the op may change it.
    """

    outputs: tuple[tuple[str, str], ...]
    defaults: Mapping[str, Attr] = field(default_factory=dict)
    pure: bool = True
    stateful: bool = False
    refers: bool = False


@cache
def op(name: str) -> Op | None:
    """The op that TensorFlow registers under ``name``; None for an op that is not TensorFlow's own."""
    entry = _table().get(name)
    if entry is None:
        return None
    outputs = entry["outputs"] if "outputs" in entry else [[entry["output"], ""]]
    return Op(
        outputs=tuple((output, count) for output, count in outputs),
        defaults={attr: _value(*default) for attr, default in entry.get("defaults", {}).items()},
        pure=not entry.get("stateful") and not entry.get("impure"),
        stateful=bool(entry.get("stateful")),
        refers=bool(entry.get("refers")),
    )


def first_port(name: str, output: str, attrs: Mapping[str, Attr]) -> int | None:
    """The number of the first tensor of output ``output`` of an op; None where that is not known."""
    known = op(name)
    if known is None:
        return None
    port = 0
    for candidate, count_attr in known.outputs:
        if candidate == output:
            return port
        count = attrs.get(count_attr, known.defaults.get(count_attr)) if count_attr else 1
        if isinstance(count, tuple) and not isinstance(count, (DType, Shape)):
            count = len(count)
        if not isinstance(count, int):
            return None
        port += count
    return None


@cache
def _table() -> dict[str, dict[str, Any]]:
    text = resources.files(__package__).joinpath("ops.json").read_text(encoding="utf-8")
    table: dict[str, dict[str, Any]] = json.loads(text)
    return table


def _value(kind: str, value: Any) -> Attr:
    if kind.endswith("s"):
        return tuple(_value(kind[:-1], each) for each in value)
    if kind == "type":
        return DType(value)
    if kind == "string":
        return str(value).encode("latin-1")
    if kind == "shape":
        return Shape(None if value is None else tuple(value))
    plain: bool | int | float = value
    return plain
