"""Questions about a case that are answered once: a query is a free function, its answer is kept with the evidence.

``@query`` makes one of a function of ``Evidence``, ``@reference_query`` one of a function of ``ReferenceEvidence``:
the latter sees nothing of the export, so no repair of the export can change its answer, and it is kept.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from .evidence import Evidence, ReferenceEvidence

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, eq=False)
class Query(Generic[T_co]):
    """What ``find`` says of both sides, asked as ``evidence[query]``."""

    find: Callable[[Evidence], T_co]


@dataclass(frozen=True, eq=False)
class ReferenceQuery(Generic[T_co]):
    """What ``find`` says of the reference alone, asked as ``evidence[query]`` or ``reference[query]``."""

    find: Callable[[ReferenceEvidence], T_co]


def query(find: Callable[[Evidence], T]) -> Query[T]:
    """Make a query of a function of both sides."""
    return Query(find)


def reference_query(find: Callable[[ReferenceEvidence], T]) -> ReferenceQuery[T]:
    """Make a query of a function of the reference alone."""
    return ReferenceQuery(find)


class Answers:
    """The answers that are known, by their query."""

    def __init__(self) -> None:
        self._known: dict[Any, Any] = {}

    def of(self, asked: Query[T] | ReferenceQuery[T], subject: Any) -> T:
        """The answer to ``asked`` about ``subject``, found when it is first needed."""
        if asked not in self._known:
            self._known[asked] = asked.find(subject)
        answer: T = self._known[asked]
        return answer
