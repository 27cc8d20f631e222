"""What is to be checked, as plain data: one ``ParitySpec`` a check, every path absolute."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, TypeAlias

from ..comparison.tolerance import Tolerance
from ..errors import relative_to
from ..formats.format import Role, SideSpec, is_elsewhere


@dataclass(frozen=True, slots=True, kw_only=True)
class NpzSource:
    """An array of an ``.npz`` file, or a whole ``.npy`` file."""

    path: Path
    key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RandomSource:
    """Seeded numbers that are the same on every platform."""

    distribution: Literal["normal", "uniform", "integers"]
    shape: tuple[int, ...]
    dtype: str = "float32"
    seed: int = 0
    low: float | None = None
    high: float | None = None
    mean: float = 0.0
    stddev: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSource:
    """Image files, decoded to uint8 and stacked; all of one size."""

    paths: tuple[Path, ...]
    channels: int = 3
    dtype: str = "uint8"


@dataclass(frozen=True, slots=True, kw_only=True)
class BytesSource:
    """Whole files as strings, for graphs that decode themselves."""

    paths: tuple[Path, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CallSource:
    """A function of the project, ``"module:function"``, that returns the array."""

    function: str


TIMEOUT = 300.0
"""Seconds that a check may take in a process of its own where nothing else is stated."""

InputSource: TypeAlias = NpzSource | RandomSource | ImageSource | BytesSource | CallSource


@dataclass(frozen=True, slots=True, kw_only=True)
class InputSpec:
    """An input tensor: its name on the reference's and on the export's side, and where its values come from.

    ``source`` is None where the values are given to ``run`` by the test itself or stand in the goldens alone. The
    export takes the values with their axes in the order ``transpose`` (as ``numpy.transpose`` does it), or as they are.
    """

    reference: str
    export: str
    source: InputSource | None = None
    transpose: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputSpec:
    """An output that is compared: its name on both sides and its tolerance.

    The export gives the reference's axes in the order ``transpose``, or as they are; it is compared in the reference's.
    """

    reference: str
    export: str
    tolerance: Tolerance
    transpose: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorPair:
    """A tensor by its name on both sides."""

    reference: str
    export: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GradCamSpec:
    """The tensors that Grad-CAM is made of: an image, the last convolution, the winning class's gradient there."""

    image: TensorPair
    activations: TensorPair
    gradients: TensorPair


@dataclass(frozen=True, slots=True, kw_only=True)
class ParitySpec:
    """One check, with every path absolute and every default filled in.

    ``root`` is the folder that builders and functions are imported from, ``manifest`` and
    ``line`` the place that stated the check, for messages. ``outputs`` may be empty: then the
    outputs are found (tensors that both graphs end in). ``run`` is ``"unproven"`` (a proof
    makes running superfluous) or ``"always"``. ``origins`` maps folders of fetched files to the URLs that messages
    call them by. ``timeout`` is in seconds, ``memory`` in gigabytes.
    """

    name: str
    root: Path
    reference: SideSpec | None
    export: SideSpec
    inputs: tuple[InputSpec, ...] = ()
    outputs: tuple[OutputSpec, ...] = ()
    tolerance: Tolerance = field(default_factory=Tolerance)
    golden: Path | None = None
    compare: Literal["outputs", "weights"] = "outputs"
    session: Literal["graph", "default"] = "graph"
    run: Literal["unproven", "always"] = "unproven"
    isolate: bool = True
    timeout: float = TIMEOUT
    memory: float = math.inf
    health: Literal["warn", "error", "ignore"] = "warn"
    grad_cam: GradCamSpec | None = None
    trust: Literal["contents", "checksums"] = "contents"
    offline: Literal["refuse", "allow"] = "refuse"
    manifest: Path | None = None
    line: int | None = None
    origins: Mapping[Path, str] = field(default_factory=dict, hash=False)

    @property
    def apart(self) -> bool:
        """Whether what the check runs is run in a process of its own; a limit beside the usual one needs that."""
        return self.isolate or self.timeout not in (TIMEOUT, math.inf) or not math.isinf(self.memory)

    def with_tolerance(self, *, atol: float | None = None, rtol: float | None = None) -> ParitySpec:
        """The same check under another tolerance for every output; None leaves a number as it is.

        A number that is given takes the place of a ``rounding``.
        """

        def changed(tolerance: Tolerance) -> Tolerance:
            return replace(
                tolerance,
                atol=tolerance.atol if atol is None else float(atol),
                rtol=tolerance.rtol if rtol is None else float(rtol),
                rounding=None,
            )

        if atol is None and rtol is None:
            return self
        outputs = tuple(replace(output, tolerance=changed(output.tolerance)) for output in self.outputs)
        return replace(self, tolerance=changed(self.tolerance), outputs=outputs)

    def side(self, role: Role) -> SideSpec | None:
        """What is stated of one side; None where there is no reference."""
        return self.reference if role == "reference" else self.export

    def with_side(self, role: Role, side: SideSpec) -> ParitySpec:
        """The same check with another ``side``."""
        return replace(self, reference=side) if role == "reference" else replace(self, export=side)

    def shown(self, path: Path) -> str:
        """``path`` as the user named it: relative to ``root``, unless it lies far away; a URL for what was fetched."""
        if is_elsewhere(path):
            from ..url import shown_for

            return shown_for(path)
        for folder, origin in self.origins.items():
            if path.is_relative_to(folder):
                return f"{origin}/{path.relative_to(folder).as_posix()}"
        relative = relative_to(path, self.root)
        return str(path) if relative.parts[:3] == ("..",) * 3 else relative.as_posix()
