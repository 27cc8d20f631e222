"""What a model computed: a read-only mapping that remembers who made it, and from what."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from ..errors import UsageError
from ..graph.graph import Array
from ..result import ParityResult

OutputSource: TypeAlias = Literal["reference", "export", "golden"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Which model made the outputs, and from which inputs.

    ``inputs`` are the values fed, by the reference's names. ``judge`` compares these outputs (as
    export) with others (as reference).
    """

    role: OutputSource
    model: str
    inputs: Mapping[str, Array]
    judge: Callable[[Outputs, Outputs], ParityResult]


class Outputs(Mapping[str, Array]):
    """Tensor name to array, read-only. ``==`` compares with another model's outputs under the tolerance.

    The tolerance is that of the active ``parity`` marker, or else of the manifest. Comparing
    outputs that were made from different inputs, or both by the same side, raises
    :class:`~pytest_tfparity.errors.UsageError`: such a comparison would prove nothing.
    ``comparison`` is what the last ``==`` found.
    """

    __hash__ = None  # type: ignore[assignment]  # equality is not exact, so there is no hash

    def __init__(self, arrays: Mapping[str, Array], origin: Origin) -> None:
        self._arrays = {name: _frozen(array) for name, array in arrays.items()}
        self.origin = origin
        self.comparison: ParityResult | None = None

    def __getitem__(self, name: str) -> Array:
        return self._arrays[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    def __repr__(self) -> str:
        shapes = ", ".join(f"{name} {array.dtype}{list(array.shape)}" for name, array in self.items())
        return f"<{self.origin.role} outputs of {self.origin.model}: {shapes}>"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Outputs):
            return NotImplemented
        export, reference = _export_and_reference(self, other)
        self.comparison = other.comparison = export.origin.judge(export, reference)
        return self.comparison.passed


def _export_and_reference(left: Outputs, right: Outputs) -> tuple[Outputs, Outputs]:
    """The two outputs as (export, reference)."""
    export, reference = (left, right) if left.origin.role == "export" else (right, left)
    if export.origin.model != reference.origin.model:
        raise UsageError(
            f"These outputs belong to two models, {left.origin.model!r} and {right.origin.model!r}."
            " Compare the export with the reference of the same model."
        )
    if export.origin.role != "export" or reference.origin.role == "export":
        raise UsageError(
            f"Both sides of == are outputs of the {left.origin.role} of {left.origin.model!r}: comparing them"
            " says nothing about the export. Compare export_model.run(...) with reference_model.run(...) or with"
            " golden_outputs; frozen_graph and checkpoint_session are the same two fixtures."
        )
    if digest_of(left.origin.inputs) != digest_of(right.origin.inputs):
        raise UsageError(
            f"The two outputs of {left.origin.model!r} were made from different inputs."
            " Run both sides on the same inputs before comparing them."
        )
    return export, reference


def digest_of(inputs: Mapping[str, Array]) -> str:
    """One hash of the names, dtypes, shapes and contents of ``inputs``."""
    digest = hashlib.sha256()
    for name in sorted(inputs):
        array = np.asarray(inputs[name])
        digest.update(f"{name}\0{array.dtype.str}\0{array.shape}\0".encode())
        if array.dtype.hasobject:
            digest.update(repr(array.tolist()).encode())
        else:
            digest.update(np.ascontiguousarray(array).view(np.uint8).data if array.size else b"")
    return digest.hexdigest()


def _frozen(array: Array) -> Array:
    view: Array = np.asarray(array).view()
    view.flags.writeable = False
    return view
