"""Name scopes, which stand for layers where no weight tells more: of a node, of several, around them all."""

from __future__ import annotations

from collections.abc import Iterable


def scope_of(name: str) -> str:
    """``block/conv`` for ``block/conv/kernel``; a name outside of all scopes is its own."""
    return name.rpartition("/")[0] or name


def scopes_of(names: Iterable[str]) -> tuple[str, ...]:
    """The scope of each name, each once."""
    return tuple(dict.fromkeys(map(scope_of, names)))


def common_scope(nodes: Iterable[str]) -> tuple[str, ...]:
    """The innermost scope that holds all of ``nodes``; if they share none, the outermost of their own."""
    names = list(dict.fromkeys(nodes))
    shared = []
    for parts in zip(*(scope_of(name).split("/") for name in names), strict=False):
        if len(set(parts)) > 1:
            break
        shared.append(parts[0])
    return ("/".join(shared),) if shared else _outermost(names)


def _outermost(names: list[str]) -> tuple[str, ...]:
    """The scopes of ``names``, none inside another; names outside of all scopes if no other is left."""
    found = scopes_of([name for name in names if "/" in name] or names)
    return tuple(each for each in found if not any(each.startswith(f"{other}/") for other in found))
