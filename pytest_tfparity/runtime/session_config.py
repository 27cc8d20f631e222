"""How sessions are configured: a ``ConfigProto`` for each kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from .tensorflow import tensorflow

SessionKind: TypeAlias = Literal["graph", "default"]
"""``"graph"``: the graph as it is written, unoptimised; ``"default"``: TensorFlow's own options."""

_GROWING = bytes.fromhex("3202 2001")  # gpu_options { allow_growth: true }
_ANYWHERE = bytes.fromhex("3801")  # allow_soft_placement: true
_AS_WRITTEN = bytes.fromhex(
    "5212"  # graph_options {
    "1a0b 18ffffffffffffffffff01"  # optimizer_options { opt_level: -1 }, which is L0
    "5203 980101"  # rewrite_options { disable_meta_optimizer: true } }
)

CONFIGS: Mapping[SessionKind, bytes] = {
    "default": _GROWING + _ANYWHERE,
    "graph": _GROWING + _ANYWHERE + _AS_WRITTEN,
}
"""Serialized, as the C library takes them. Source of the numbers: tensorflow/core/protobuf/config.proto."""


def session_config(kind: SessionKind) -> Any:
    """A ``ConfigProto``: with ``"graph"`` the graph optimiser is off, memory of a GPU is taken as needed."""
    return tensorflow().compat.v1.ConfigProto.FromString(CONFIGS[kind])
