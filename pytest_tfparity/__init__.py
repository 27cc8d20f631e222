"""Keep broken TensorFlow exports out of production: checkpoint and frozen graph must agree.

``parity`` marks a test with the model that it is about and the tolerance; ``assert_parity``
checks an export against its checkpoint inside a test. The fixtures ``frozen_graph``,
``checkpoint_session``, ``golden_inputs``, ``golden_outputs`` and ``parity_model`` come with the plugin.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .outputs import Outputs
    from .plugin import parity
    from .result import ParityResult
    from .road import ParityFailure
    from .settings.spec import ParitySpec
    from .sides import assert_parity

__all__ = ["Outputs", "ParityFailure", "ParityResult", "ParitySpec", "assert_parity", "parity"]
__version__ = "0.1.0"

_HOMES = {
    "Outputs": "outputs",
    "ParityFailure": "road",
    "ParityResult": "result",
    "ParitySpec": "settings.spec",
    "assert_parity": "sides",
    "parity": "plugin",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: loading the plugin must not import numpy."""
    if name in _HOMES:
        import importlib

        return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
