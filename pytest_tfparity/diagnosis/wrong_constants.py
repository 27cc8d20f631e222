"""The constants of an export that hold something else than the reference has in their place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..graph.align.divergence import Kind
from ..graph.edit.graft import Constant, Repair
from ..graph.graph import Tensor
from .images import same, values
from .names import averaged_by, is_statistic
from .weights import Provenance

if TYPE_CHECKING:
    from .evidence import Evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class WrongConstant:
    """Constant ``constant`` of the export, which stands where the reference has ``node``.

    ``held`` is what it holds, ``right`` what the reference has. ``key`` is the checkpoint's tensor that
    the reference restores there and ``variable`` the variable that is or that it averages; None for a
    constant of the graph. ``origin`` says whose the value is. ``readers`` are nodes of the export.
    ``name`` is what the layer is called after, ``statistic`` whether a batch norm normalises with it.
    """

    constant: str
    node: str
    held: Tensor
    right: Tensor
    readers: tuple[str, ...]
    name: str
    key: str | None = None
    variable: str | None = None
    origin: Provenance | None = None
    statistic: bool = False

    @property
    def kind(self) -> str:
        """The kind of its origin; ``"graph"`` for a constant of the graph."""
        return self.origin.kind if self.origin is not None and self.key is not None else "graph"

    @property
    def edit(self) -> Constant:
        """What puts it right."""
        return Constant(node=self.constant, value=self.right)


def find_wrong_constants(evidence: Evidence) -> Iterator[WrongConstant]:
    """Every live constant that differs from the reference's, those nearest to the inputs first."""
    checkpoint, keys = evidence.setting.checkpoint, evidence.setting.keys
    statistics = evidence.statistics
    done: set[str] = set()
    for divergence in evidence.divergences:
        if divergence.kind is not Kind.CONSTANT or divergence.export[0] in done:
            continue
        constant, node = divergence.export[0], divergence.reference[0]
        held, right = evidence.value(evidence.export, constant), evidence.value(evidence.reference, node)
        if held is None or right is None or _equal(held, right):
            continue
        done.add(constant)
        key = keys.get(node)
        key = key if key in checkpoint else None
        yield WrongConstant(
            constant=constant,
            node=node,
            held=held,
            right=right,
            readers=divergence.readers,
            name=_name(constant, node),
            key=key,
            variable=None if key is None else averaged_by(key, checkpoint) or key,
            origin=evidence.provenances.get(constant),
            statistic=node in statistics if statistics else is_statistic(node),
        )


def _equal(held: Tensor, right: Tensor) -> bool:
    """Whether two constants are the same after all: inside a loop what surrounds them differs too."""
    return held.dtype == right.dtype and same(values(held), values(right))


def _name(constant: str, node: str) -> str:
    """The export's name if it is that of a variable, as far as the reference's shows."""
    return constant if constant.rpartition("/")[2] == node.rpartition("/")[2] else node


def repair(wrong: Iterable[WrongConstant]) -> Repair:
    """The edits that put ``wrong`` right."""
    return tuple(each.edit for each in wrong)


def scopes(evidence: Evidence, wrong: Sequence[WrongConstant]) -> tuple[str, ...]:
    """The layers of ``wrong``, each once."""
    found = evidence.layers.scopes([each.name for each in wrong])
    return tuple(dict.fromkeys(found.values()))


def nodes(evidence: Evidence, wrong: Sequence[WrongConstant]) -> tuple[str, ...]:
    """The nodes of the export to name: the ops of the same layers that read ``wrong``, and the constants."""
    layers = evidence.layers.scopes([each.name for each in wrong])
    found: dict[str, None] = {}
    for each in wrong:
        norm = evidence.norm_of.get(each.node)
        inside = f"{layers[each.name]}/"
        readers = (norm,) if norm is not None else each.readers
        found |= dict.fromkeys(reader for reader in readers if reader.startswith(inside))
    return (*found, *(each.constant for each in wrong if each.constant not in found))
