"""Attributes that nodes of all graphs share, and what is found out of them once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from .graph import Attr

_Found = TypeVar("_Found")
_UNKNOWN = object()


class SharedAttrs(dict[str, Attr]):
    """Attributes that hold no constant and name no function; they must not be changed.

    Equal ones, which a reader makes one object, are those of hundreds of nodes in each of hundreds of models.
    ``known`` is what :func:`once` remembers.
    """

    __slots__ = ("known",)

    def __init__(self, attrs: Mapping[str, Attr]) -> None:
        super().__init__(attrs)
        self.known: dict[tuple[object, str], Any] = {}


def once(
    find: Callable[[str, Mapping[str, Attr]], _Found],
) -> Callable[[str, Mapping[str, Attr]], _Found]:
    """``find(op, attrs)``, which nothing else decides, found once for each op with the same shared attributes."""

    def found(op: str, attrs: Mapping[str, Attr]) -> _Found:
        if not isinstance(attrs, SharedAttrs):
            return find(op, attrs)
        known = attrs.known.get((find, op), _UNKNOWN)
        if known is _UNKNOWN:
            known = attrs.known[find, op] = find(op, attrs)
        answer: _Found = known
        return answer

    found.__doc__ = find.__doc__
    return found
