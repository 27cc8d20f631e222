"""The layer that a node or a weight belongs to, by name scopes."""

from __future__ import annotations

import re
from collections.abc import Iterable

_CONDITIONAL = re.compile(r"(smart_cond|cond|then|else|true_fn|false_fn|_?\d+)(_\d+)?$")
_AGAIN = re.compile(r"_\d+$")
_ARITHMETIC = re.compile(r"batchnorm(_\d+)?$")


def layer_of(name: str, *, arithmetic: bool = False, weights: Iterable[str | None] = ()) -> str:
    """The name scope of the layer: ``a/bn`` for ``a/bn/cond/FusedBatchNormV3_1``, ``a/conv`` for ``a/conv/kernel``.

    What stands outside of all scopes is a layer of its own. Of a batch norm spelt as ``arithmetic`` the scope
    ``batchnorm`` that ``tf.nn.batch_normalization`` opens is left out as well. Ops get a new scope each time
    a layer is applied or its scope is entered again, its ``weights`` do not: where these say so, the layer
    of ops in ``net_1/bn_1`` is ``net/bn``.
    """
    parts = _unconditional(name.split("/")[:-1])
    if arithmetic and len(parts) > 1 and _ARITHMETIC.match(parts[-1]):
        parts = _unconditional(parts[:-1])
    scope = "/".join(parts)
    return _entered_again(scope, weights) or name


def _unconditional(parts: list[str]) -> list[str]:
    while len(parts) > 1 and _CONDITIONAL.match(parts[-1]):
        parts = parts[:-1]
    return parts


def _entered_again(scope: str, weights: Iterable[str | None]) -> str:
    """The scope of ``weights`` if that differs from ``scope`` in the number of a second application alone."""
    parents = {weight.rpartition("/")[0] for weight in weights if weight is not None} - {scope}
    if len(parents) != 1:
        return scope
    parent = parents.pop()
    last, own = (_AGAIN.sub("", each.rpartition("/")[2]) for each in (parent, scope))
    return parent if parent and last == own else scope
