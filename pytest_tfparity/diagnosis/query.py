"""Questions about a case that are answered once: a query is a free function, its answer is kept with the evidence.

What a query may see says how long its answer holds:

- ``@query`` makes one of a function of ``Evidence``: its answer holds until the export is repaired;
- ``@case_query`` of a function of ``CaseEvidence``, the export as it was given: its answer holds throughout;
- ``@reference_query`` of a function of ``ReferenceEvidence``, which shows nothing of the export: likewise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

if TYPE_CHECKING:
    from .evidence import CaseEvidence, Evidence, ReferenceEvidence

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, eq=False)
class Query(Generic[T_co]):
    """What ``find`` says of both sides, asked as ``evidence[query]``."""

    find: Callable[[Evidence], T_co]


@dataclass(frozen=True, eq=False)
class CaseQuery(Generic[T_co]):
    """What ``find`` says of both sides as they were given, asked as ``evidence[query]``."""

    find: Callable[[CaseEvidence], T_co]


@dataclass(frozen=True, eq=False)
class ReferenceQuery(Generic[T_co]):
    """What ``find`` says of the reference alone, asked as ``evidence[query]`` or ``reference[query]``."""

    find: Callable[[ReferenceEvidence], T_co]


AnyQuery: TypeAlias = "Query[T] | CaseQuery[T] | ReferenceQuery[T]"


def query(find: Callable[[Evidence], T]) -> Query[T]:
    """Make a query of a function of both sides."""
    return Query(find)


def case_query(find: Callable[[CaseEvidence], T]) -> CaseQuery[T]:
    """Make a query of a function of both sides as they were given."""
    return CaseQuery(find)


def reference_query(find: Callable[[ReferenceEvidence], T]) -> ReferenceQuery[T]:
    """Make a query of a function of the reference alone."""
    return ReferenceQuery(find)


class Answers:
    """The answers that are known, by their query."""

    def __init__(self) -> None:
        self._known: dict[Any, Any] = {}

    def of(self, asked: AnyQuery[T], subject: Any) -> T:
        """The answer to ``asked`` about ``subject``, found when it is first needed."""
        if asked not in self._known:
            self._known[asked] = asked.find(subject)
        answer: T = self._known[asked]
        return answer
