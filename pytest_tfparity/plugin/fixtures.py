"""The fixtures: the export, the reference, and the golden inputs and outputs of one check."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from ..check.outputs import Outputs
    from ..graph.graph import Array
    from ..settings.spec import ParitySpec
    from .sides import Bench, ExportModel, ReferenceModel


@pytest.fixture
def _tfparity_model_name(request: pytest.FixtureRequest) -> str | None:
    """The model of the manifest that a test is run for; None where the test names its files."""
    from .marker import marked_models

    return getattr(request, "param", None) or next(iter(marked_models(request.node)), None)


@pytest.fixture
def parity_model(request: pytest.FixtureRequest, _tfparity_model_name: str | None) -> ParitySpec:
    """The check that the other fixtures follow: what the ``parity`` marker and ``tfparity.yaml`` state.

    Override it to do without a manifest; return the keywords of the marker or a ``ParitySpec``::

        @pytest.fixture
        def parity_model(trained_model):
            return {"checkpoint": trained_model / "ckpt", "frozen_graph": trained_model / "model.pb"}
    """
    from .marker import line_of, marked_settings
    from .session import parity_session

    item = request.node
    session = parity_session(request.config)
    return session.spec(_tfparity_model_name, marked_settings(item), item.path, line_of(item))


@pytest.fixture
def _tfparity_bench(request: pytest.FixtureRequest, parity_model: ParitySpec | Mapping[str, Any]) -> Bench:
    """What the two sides of one test share."""
    from .groups import plain_nodeid
    from .marker import marked_settings
    from .record import keep, keep_golden, record_of
    from .session import parity_session

    item = request.node
    session = parity_session(request.config)
    spec = session.overridden(parity_model, marked_settings(item), item.path)
    keep_golden(item, spec)
    return session.bench(
        spec,
        plain_nodeid(item),
        record=lambda result: keep(item, result),
        written=lambda result: record_of(item).written.append(result),
    )


@pytest.fixture
def frozen_graph(_tfparity_bench: Bench) -> ExportModel:
    """The export under test. ``frozen_graph.run(golden_inputs)`` gives its outputs by tensor name.

    Also ``.inputs``, ``.outputs`` (tensor names), ``.graph_def`` and ``.session``. The file is
    loaded once for all tests. The same as ``export_model``.
    """
    from .sides import ExportModel

    return ExportModel(_tfparity_bench)


@pytest.fixture
def checkpoint_session(_tfparity_bench: Bench) -> ReferenceModel:
    """The reference: the restored checkpoint. ``checkpoint_session.run(golden_inputs)`` gives its outputs.

    Also ``.variables`` (name to restored value) and ``.session``, a ``tf.compat.v1.Session`` that
    holds the restored graph, for checks of your own. The same as ``reference_model``.
    """
    from .sides import ReferenceModel

    return ReferenceModel(_tfparity_bench)


@pytest.fixture
def reference_model(_tfparity_bench: Bench) -> ReferenceModel:
    """The reference, whatever its format: ``reference_model.run(golden_inputs)`` gives its outputs by tensor name.

    Also ``.inputs`` and ``.outputs`` (tensor names).
    """
    from .sides import ReferenceModel

    return ReferenceModel(_tfparity_bench)


@pytest.fixture
def export_model(_tfparity_bench: Bench) -> ExportModel:
    """The export under test, whatever its format: ``export_model.run(golden_inputs)`` gives its outputs.

    Also ``.inputs`` and ``.outputs`` (tensor names).
    """
    from .sides import ExportModel

    return ExportModel(_tfparity_bench)


@pytest.fixture
def golden_inputs(request: pytest.FixtureRequest, _tfparity_bench: Bench) -> Mapping[str, Array]:
    """The inputs to compare on: tensor name (of the reference) to a read-only array."""
    from .session import parity_session

    return _tfparity_bench.golden_inputs(parity_session(request.config).update)


@pytest.fixture
def golden_outputs(request: pytest.FixtureRequest, _tfparity_bench: Bench) -> Outputs:
    """The stored outputs of the reference; compare them with ``frozen_graph.run(golden_inputs)``."""
    from .session import parity_session

    return _tfparity_bench.golden_outputs(parity_session(request.config).update)
