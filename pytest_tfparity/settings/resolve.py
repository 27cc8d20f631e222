"""Manifest, marker, ini and options into one ``ParitySpec`` a check.

An option wins over the marker, the marker over the manifest (there an output's own tolerance over
the model's, the model's over ``defaults``), the manifest over the ini values, these over the
defaults. So ``--tfparity-atol`` and a marker's ``atol`` also hold for outputs with a tolerance of
their own in the manifest; the tolerance of an output that the marker itself lists wins over the
marker's ``atol``, which is that of all its outputs, but not over an option.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..comparison.tolerance import METRICS, Tolerance
from ..errors import Problem, SettingsError
from ..formats.format import SideSpec
from .readers import read_configuration, read_marker, reading_of
from .roles import PLAIN, merged, side_spec
from .rules import problems_of
from .schema import CONDUCT, TOLERANCE
from .spec import OutputSpec, ParitySpec
from .stated import Layer, Place

if TYPE_CHECKING:
    from .entries import InputEntry, OutputEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelEntry:
    """A model of a manifest: where it begins, its own settings, and those of ``defaults``."""

    name: str
    place: Place
    own: Layer
    defaults: Layer

    @property
    def line(self) -> int | None:
        """The line that the model begins on."""
        return self.place.line

    @property
    def owner(self) -> str:
        """How messages call the model."""
        return f"model {self.name!r}"

    @property
    def root(self) -> Path:
        """The manifest's folder, which paths and functions are relative to."""
        return self.place.file.parent


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layers:
    """All that was stated for one check, weakest first."""

    ini: Layer
    defaults: Layer
    model: Layer
    marker: Layer
    options: Layer

    @property
    def together(self) -> Layer:
        """The settings that hold for the check."""
        return merged((self.ini, self.defaults, self.model, self.marker, self.options))

    def output_settings(self, own: Layer) -> Layer:
        """The settings that hold for an output with settings of its own, by who lists the output."""
        stronger = (self.marker, own) if "outputs" in self.marker else (own, self.marker)
        return merged((self.ini, self.defaults, self.model, *stronger, self.options))


def resolve(
    entry: ModelEntry | None,
    *,
    marker: Mapping[str, Any],
    ini: Mapping[str, Any],
    options: Mapping[str, Any],
    root: Path,
    name: str,
    file: Path | None = None,
    line: int | None = None,
) -> ParitySpec:
    """One check from a model of the manifest (or None), a marker's keywords, ini values and options.

    ``ini`` and ``options`` are keyed by setting (``"atol"``); None means not given. ``root`` is the folder
    that paths of the marker are relative to, and that functions are imported from where there is no
    ``entry`` (else the manifest's). ``file`` and ``line`` are where the marker stands; without a file the
    keywords are those of a command line. Raises SettingsError with every problem.
    """
    owner = "the parity marker" if file else "the command line"
    place = Place(file or Path("command line"), line)
    marked_in, ini_in, options_in = (
        reading_of(file, root) for file in (place.file, Path("configuration"), Path("command line"))
    )
    layers = _Layers(
        ini=read_configuration(ini_in, ini, "the ini values", lambda key: key.ini),
        defaults=entry.defaults if entry else {},
        model=entry.own if entry else {},
        marker=read_marker(marked_in, marker, place.line, owner),
        options=read_configuration(options_in, options, "the options", lambda key: key.flag),
    )
    problems = [*marked_in.problems, *ini_in.problems, *options_in.problems]
    settings = layers.together
    problems += problems_of(
        settings,
        owner=entry.owner if entry else owner,
        place=entry.place if entry else place,
        root=entry.root if entry else root,
    )
    raise_if(problems)
    if any(stated.value is None for stated in settings.values()):
        raise SettingsError(f"Model {name!r} has wrong settings in its manifest.")
    export = side_spec(settings, "export")
    if export is None:
        raise SettingsError(f"Model {name!r} has no export in its manifest.")
    return _spec(
        layers, export, name=name, root=entry.root if entry else root, place=entry.place if entry else None
    )


def raise_if(problems: list[Problem]) -> None:
    """Raise SettingsError with the problems, each once, if there are any."""
    if problems:
        raise SettingsError(list(dict.fromkeys(problems)))


def _spec(layers: _Layers, export: SideSpec, *, name: str, root: Path, place: Place | None) -> ParitySpec:
    together = layers.together
    plain = {setting: stated.value for setting, stated in together.items()}
    inputs: tuple[InputEntry, ...] = plain.get("inputs", ())
    outputs: tuple[OutputEntry, ...] = plain.get("outputs", ())
    return ParitySpec(
        name=name,
        root=root,
        reference=side_spec(together, "reference"),
        export=export,
        inputs=tuple(entry.spec for entry in inputs),
        outputs=tuple(
            OutputSpec(
                reference=entry.reference,
                export=entry.export,
                tolerance=_tolerance(layers.output_settings(entry.own)),
                transpose=entry.transpose,
            )
            for entry in outputs
        ),
        tolerance=_tolerance(together),
        golden=plain.get("golden"),
        grad_cam=plain.get("grad_cam"),
        manifest=place.file if place else None,
        line=place.line if place else None,
        **{key.name: plain[key.name] for key in CONDUCT if key.name in plain},
    )


def _tolerance(settings: Layer) -> Tolerance:
    stated = {key.name: settings[key.name].value for key in TOLERANCE if key.name in settings}
    if any(name in stated for name in METRICS) and not any(name in stated for name in (*PLAIN, "rounding")):
        stated["atol"] = math.inf
    return Tolerance(**stated)
