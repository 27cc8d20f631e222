"""What TensorFlow registers of each op's arguments: their number, their types, and what its attributes may be.

``signatures.tsv`` is TensorFlow's registry as a table, an op a line (2.21, with the ops of 1.15 and 2.12 that it has
dropped), written by ``tests/graph/op_tables.py``; a test compares it with the TensorFlow that is installed. Only the
lines of ops that are asked for are parsed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any, TypeAlias

from .graph import Attr, DType, listed
from .ops import registered

REFERENCE = 100
"""What the number of a reference's type is above that of its value (types.proto)."""
ANY = 0
"""The number of a type that is not known."""

Types: TypeAlias = "tuple[int, ...]"
"""Numbers of ``tensorflow.DataType``, one a tensor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Argument:
    """An input or output: one tensor, or several.

    The type is the attribute ``type_attr``, or ``dtype`` (a number of ``tensorflow.DataType``) where that is empty;
    ``number_attr`` says how many of one type there are, ``types_attr`` names a list of types, one a tensor.
    """

    type_attr: str = ""
    dtype: int = 0
    number_attr: str = ""
    types_attr: str = ""
    reference: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AttributeDef:
    """``kind`` as in OpDef (``list(int)``), whether it must be there, what it may be and how small or short."""

    kind: str
    required: bool = False
    allowed: frozenset[Any] | None = None
    least: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """An op as its OpDef says. ``gone`` is the producer version from which on TensorFlow refuses it.

    ``required`` are the attributes that must be there.
    """

    inputs: tuple[Argument, ...]
    outputs: tuple[Argument, ...]
    attrs: Mapping[str, AttributeDef] = field(default_factory=dict)
    gone: int | None = None
    required: tuple[str, ...] = ()


@cache
def signature(op: str) -> Signature | None:
    """The signature of ``op``; None for an op that TensorFlow does not know."""
    table = _table()
    start = table.find(f"\n{op}\t".encode())
    if start < 0:
        return None
    start += len(op.encode()) + 2
    entry = json.loads(table[start : table.index(b"\n", start)])
    attrs = {name: _attribute(told) for name, told in entry["attrs"].items()}
    return Signature(
        inputs=tuple(map(_argument, entry["inputs"])),
        outputs=tuple(map(_argument, entry["outputs"])),
        attrs=attrs,
        gone=entry.get("gone"),
        required=tuple(name for name, told in attrs.items() if told.required),
    )


def types_of(op: str, attrs: Mapping[str, Attr]) -> tuple[Types, Types] | None:
    """The types of what ``op`` takes and of what it gives; None for an op that TensorFlow does not know."""
    told, known = signature(op), registered(op)
    if told is None:
        return None
    attrs = {**(known.defaults if known is not None else {}), **attrs}
    return _types(told.inputs, attrs), _types(told.outputs, attrs)


def _types(arguments: Sequence[Argument], attrs: Mapping[str, Attr]) -> Types:
    found: list[int] = []
    for argument in arguments:
        offset = REFERENCE if argument.reference else 0
        if argument.types_attr:
            types = listed(attrs.get(argument.types_attr)) or ()
            found += [each.number + offset for each in types if isinstance(each, DType)]
            continue
        dtype = attrs.get(argument.type_attr) if argument.type_attr else DType(argument.dtype)
        count = attrs.get(argument.number_attr) if argument.number_attr else 1
        number = dtype.number + offset if isinstance(dtype, DType) else ANY
        found += [number] * (count if isinstance(count, int) else 0)
    return tuple(found)


def _argument(told: str) -> Argument:
    reference, told = told.startswith("&"), told.removeprefix("&")
    if told.startswith("["):
        return Argument(types_attr=told[1:-1], reference=reference)
    kind, _, number = told.partition("*")
    if kind.isdigit():
        return Argument(dtype=int(kind), number_attr=number, reference=reference)
    return Argument(type_attr=kind, number_attr=number, reference=reference)


def _attribute(told: Mapping[str, Any]) -> AttributeDef:
    allowed = told.get("allowed")
    if allowed is not None:
        allowed = frozenset(each.encode("latin-1") if isinstance(each, str) else each for each in allowed)
    return AttributeDef(
        kind=told["kind"], required=told.get("required", False), allowed=allowed, least=told.get("least")
    )


@cache
def _table() -> bytes:
    return b"\n" + resources.files(__package__).joinpath("signatures.tsv").read_bytes()
