"""The attributes of a node that is computed in float64."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice

from .. import ops
from ..graph import Attr, DType, Node, listed
from ..signatures import Argument, Signature, types_of
from .types import FLOAT, WIDE


def complete(node: Node) -> dict[str, Attr]:
    """All that is stated of ``node``, what it leaves at its default included; notes for TensorFlow's passes are not."""
    known = ops.registered(node.op)
    attrs = {**(known.defaults if known is not None else {}), **node.attrs}
    return {name: value for name, value in attrs.items() if not name.startswith("_")}


def widened_attributes(
    told: Signature, attrs: Mapping[str, Attr], given: Sequence[int | None]
) -> dict[str, Attr]:
    """``attrs`` with the types of what the node is given, and float64 for the floats that it gives.

    ``given`` are the types of its inputs in float64, None for one that stays as it is.
    """
    wide = dict(attrs)
    of_inputs: set[str] = set()
    types = iter(given)
    for argument in told.inputs:
        here = list(islice(types, _count(argument, attrs)))
        name = argument.types_attr or argument.type_attr
        of_inputs.add(name)
        if argument.types_attr:
            before = listed(attrs.get(name)) or ()
            pairs = zip(before, here, strict=True)
            wide[name] = tuple(kind if number is None else DType(number) for kind, number in pairs)
        elif name and here and here[0] is not None:
            wide[name] = DType(here[0])
    for name, definition in told.attrs.items():
        if name not in of_inputs and definition.kind in ("type", "list(type)"):
            wide[name] = _wide(attrs.get(name))
    return wide


def _count(argument: Argument, attrs: Mapping[str, Attr]) -> int:
    if argument.types_attr:
        return len(listed(attrs.get(argument.types_attr)) or ())
    count = attrs.get(argument.number_attr) if argument.number_attr else 1
    return count if isinstance(count, int) else 0


def _wide(value: Attr) -> Attr:
    several = listed(value)
    if several is not None:
        return tuple(map(_wide, several))
    return DType(WIDE.get(value.number, value.number)) if isinstance(value, DType) else value


def allowed(told: Signature, attrs: Mapping[str, Attr]) -> bool:
    """Whether an op may have these types at all."""
    for name, value in attrs.items():
        definition = told.attrs.get(name)
        if definition is None or definition.allowed is None:
            continue
        types = [each.number for each in listed(value) or (value,) if isinstance(each, DType)]
        if any(number not in definition.allowed for number in types):
            return False
    return True


def stated(node: Node, attrs: Mapping[str, Attr]) -> dict[str, Attr]:
    """Those of ``attrs`` that ``node`` states, and the types.

    Of other defaults, an older TensorFlow may not know the name.
    """
    return {
        name: value
        for name, value in attrs.items()
        if name in node.attrs or any(isinstance(each, DType) for each in listed(value) or (value,))
    }


def types_in(attrs: Mapping[str, Attr]) -> dict[str, int]:
    """The attributes that are a type, as their numbers."""
    return {name: value.number for name, value in attrs.items() if isinstance(value, DType)}


def has_float32(op: str, attrs: Mapping[str, Attr]) -> bool:
    """Whether ``op`` takes or gives a float32 with these types, which it does then whatever it is given."""
    found = types_of(op, attrs)
    return found is None or any(FLOAT in numbers for numbers in found)


def on_values(op: str, attrs: Mapping[str, Attr]) -> tuple[str, Mapping[str, Attr]]:
    """The op that does to a value what ``op`` does to a reference; nothing is printed or checked twice."""
    if op in ops.PASS_THROUGH:
        return "Identity", {"T": attrs.get("T", attrs.get("dtype"))}
    return (op.removeprefix("Ref"), attrs) if op in ops.CARRIERS else (op, attrs)
