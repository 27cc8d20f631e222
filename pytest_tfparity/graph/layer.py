"""The layer that a node or a weight belongs to, by name scopes: the one place where names are cut."""

from __future__ import annotations

import re
from collections.abc import Iterable

_CONDITIONAL = re.compile(r"(smart_cond|cond|then|else|true_fn|false_fn|_?\d+)(_\d+)?$")
_COND = re.compile(r"(smart_)?cond(_\d+)?")
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


def layer_around_conditional(name: str) -> str:
    """The layer around the conditional that a node stands in: ``drop`` for ``drop/cond/dropout/random``."""
    parts = name.split("/")[:-1]
    for index, part in enumerate(parts):
        if index and _COND.fullmatch(part):
            return "/".join(parts[:index])
    return "/".join(parts[:1])


def layers_of(names: Iterable[str]) -> tuple[str, ...]:
    """The layer of each of ``names``, each once."""
    return tuple(dict.fromkeys(map(layer_of, names)))


def common_layer(nodes: Iterable[str]) -> tuple[str, ...]:
    """The innermost scope that holds all of ``nodes``; if they share none, the outermost of their own."""
    names = list(dict.fromkeys(nodes))
    shared = []
    for parts in zip(*(layer_of(name).split("/") for name in names), strict=False):
        if len(set(parts)) > 1:
            break
        shared.append(parts[0])
    return ("/".join(shared),) if shared else _outermost(names)


def _outermost(names: list[str]) -> tuple[str, ...]:
    """The scopes of ``names``, none inside another; names outside of all scopes if no other is left."""
    found = layers_of([name for name in names if "/" in name] or names)
    return tuple(each for each in found if not any(each.startswith(f"{other}/") for other in found))


def scope_of(name: str) -> str:
    """The name scope around ``name``, whatever it is called; empty where there is none."""
    return name.rpartition("/")[0]


def base_name(name: str) -> str:
    """The name inside its scope: ``gamma`` for ``block/bn/gamma``."""
    return name.rpartition("/")[2]


def entered_once(scope: str) -> str:
    """``net/conv`` for ``net/conv_1``: a scope that is entered again gets a number."""
    return _AGAIN.sub("", scope)


def _unconditional(parts: list[str]) -> list[str]:
    while len(parts) > 1 and _CONDITIONAL.match(parts[-1]):
        parts = parts[:-1]
    return parts


def _entered_again(scope: str, weights: Iterable[str | None]) -> str:
    """The scope of ``weights`` if that differs from ``scope`` in the number of a second application alone."""
    parents = {scope_of(weight) for weight in weights if weight is not None} - {scope}
    if len(parents) != 1:
        return scope
    parent = parents.pop()
    last, own = (entered_once(base_name(each)) for each in (parent, scope))
    return parent if parent and last == own else scope
