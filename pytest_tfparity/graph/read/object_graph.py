"""The names that variables were made with, from the object graph that an object-based checkpoint holds.

Such a checkpoint keeps values under the path of attributes that leads to them
(``_operations/1/_kernel/.ATTRIBUTES/VARIABLE_VALUE``). Format: ``trackable_object_graph.proto`` of
tensorflow/core/protobuf, a string under the key ``_CHECKPOINTABLE_OBJECT_GRAPH``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from google.protobuf.message import DecodeError

from ...errors import ModelError
from ..graph import Tensor
from . import messages
from .bundle import OBJECT_GRAPH

_VALUE = "VARIABLE_VALUE"


def variable_names(tensors: Mapping[str, Tensor], source: str) -> Mapping[str, str]:
    """Key of the checkpoint to the full name of the variable that is kept there; empty without an object graph.

    Several keys can have one name. Raises ModelError, with ``source`` in it, if the object graph is damaged.
    """
    return {
        attribute.checkpoint_key: attribute.full_name
        for node in _nodes(tensors, source)
        for attribute in node.attributes
        if attribute.name == _VALUE and attribute.full_name
    }


def children(tensors: Mapping[str, Tensor], source: str) -> Sequence[str]:
    """What the objects right below the root are called. Raises ModelError, as :func:`variable_names` does."""
    return [child.local_name for root in _nodes(tensors, source)[:1] for child in root.children]


def _nodes(tensors: Mapping[str, Tensor], source: str) -> Any:
    held = tensors.get(OBJECT_GRAPH)
    if held is None:
        return []
    try:
        return messages.TrackableObjectGraph.FromString(held.array.item()).nodes
    except (DecodeError, TypeError, ValueError):
        raise ModelError(f"The object graph in {source} is damaged. Write or copy it again.") from None


def shown_names(
    tensors: Mapping[str, Tensor], names: Mapping[str, str], restored: Iterable[str]
) -> Mapping[str, str]:
    """Key to the name that people know its value by: the variable's own, or the key where that is not the only one.

    What a model reaches on two ways is kept twice (https://github.com/keras-team/keras/issues/23553): of several
    values with one name, type and shape, those that are ``restored`` (keys) are meant, and the others left out.
    """
    wanted = list(dict.fromkeys(restored))
    used: dict[str, list[str]] = {}
    for key in wanted:
        used.setdefault(names.get(key, key), []).append(key)
    shown = {keys[0]: name for name, keys in used.items() if len(keys) == 1}
    shown |= {key: key for keys in used.values() if len(keys) > 1 for key in keys}
    for key in sorted(tensors.keys() - set(wanted) - {OBJECT_GRAPH}):
        name = names.get(key, key)
        twins = [other for other in used.get(name, ()) if _is_like(tensors.get(other), tensors[key])]
        if not twins:
            shown[key] = key if name in used else name
            used.setdefault(name, []).append(key)
    return shown


def _is_like(one: Tensor | None, other: Tensor) -> bool:
    return one is not None and (one.dtype, one.shape) == (other.dtype, other.shape)
