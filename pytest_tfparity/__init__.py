"""Keep broken TensorFlow exports out of production: an export must compute what its reference computes.

``parity`` marks a test with the model that it is about and the tolerance; ``assert_parity`` checks an export
against its reference inside a test. The fixtures ``export_model`` and ``reference_model`` (for the usual formats
also called ``frozen_graph`` and ``checkpoint_session``), ``golden_inputs``, ``golden_outputs`` and
``parity_model`` come with the plugin.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .check.outputs import Outputs
    from .comparison.tolerance import Tolerance, TopK
    from .errors import (
        FeedError,
        GoldenError,
        HealthWarning,
        InputError,
        ModelError,
        RuntimeMissing,
        SettingsError,
        TensorFlowMissing,
        TensorNotFound,
        TfparityError,
        UsageError,
    )
    from .formats.format import SideSpec
    from .plugin.assertion import assert_parity
    from .plugin.failure import ParityFailure
    from .plugin.marker import parity
    from .plugin.sides import ExportModel, ReferenceModel
    from .result import Finding, Health, OutputComparison, ParityResult, Seconds
    from .settings.spec import (
        BytesSource,
        CallSource,
        GradCamSpec,
        ImageSource,
        InputSpec,
        NpzSource,
        OutputSpec,
        ParitySpec,
        RandomSource,
        TensorPair,
    )

__version__ = "0.1.0"
__all__ = [
    "BytesSource",
    "CallSource",
    "ExportModel",
    "FeedError",
    "Finding",
    "GoldenError",
    "GradCamSpec",
    "Health",
    "HealthWarning",
    "ImageSource",
    "InputError",
    "InputSpec",
    "ModelError",
    "NpzSource",
    "OutputComparison",
    "OutputSpec",
    "Outputs",
    "ParityFailure",
    "ParityResult",
    "ParitySpec",
    "RandomSource",
    "ReferenceModel",
    "RuntimeMissing",
    "Seconds",
    "SettingsError",
    "SideSpec",
    "TensorFlowMissing",
    "TensorNotFound",
    "TensorPair",
    "TfparityError",
    "Tolerance",
    "TopK",
    "UsageError",
    "assert_parity",
    "parity",
]

_HOMES = {
    "check.outputs": ("Outputs",),
    "comparison.tolerance": ("Tolerance", "TopK"),
    "errors": (
        *("FeedError", "GoldenError", "HealthWarning", "InputError", "ModelError", "RuntimeMissing"),
        *("SettingsError", "TensorFlowMissing", "TensorNotFound", "TfparityError", "UsageError"),
    ),
    "formats.format": ("SideSpec",),
    "plugin.assertion": ("assert_parity",),
    "plugin.failure": ("ParityFailure",),
    "plugin.marker": ("parity",),
    "plugin.sides": ("ExportModel", "ReferenceModel"),
    "result": ("Finding", "Health", "OutputComparison", "ParityResult", "Seconds"),
    "settings.spec": (
        *("BytesSource", "CallSource", "GradCamSpec", "ImageSource", "InputSpec", "NpzSource"),
        *("OutputSpec", "ParitySpec", "RandomSource", "TensorPair"),
    ),
}
"""The module that each public name lives in."""


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: loading the plugin must not import numpy."""
    for module, names in _HOMES.items():
        if name in names:
            import importlib

            return getattr(importlib.import_module(f".{module}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """What there is, public names that are not imported yet among it."""
    return sorted({*globals(), *__all__})
