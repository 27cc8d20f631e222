"""Keep broken TensorFlow exports out of production: checkpoint and frozen graph must agree.

``parity`` marks a test with the model that it is about and the tolerance; ``assert_parity``
checks an export against its checkpoint inside a test. The fixtures ``frozen_graph``,
``checkpoint_session``, ``golden_inputs``, ``golden_outputs`` and ``parity_model`` come with the plugin.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .check.outputs import Outputs
    from .plugin.failure import ParityFailure
    from .plugin.marker import parity
    from .plugin.models import assert_parity
    from .result import ParityResult
    from .settings.spec import ParitySpec

__all__ = ["Outputs", "ParityFailure", "ParityResult", "ParitySpec", "assert_parity", "parity"]
__version__ = "0.1.0"

_HOMES = {
    "Outputs": "check.outputs",
    "ParityFailure": "plugin.failure",
    "ParityResult": "result",
    "ParitySpec": "settings.spec",
    "assert_parity": "plugin.models",
    "parity": "plugin.marker",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: loading the plugin must not import numpy."""
    if name in _HOMES:
        import importlib

        return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
