"""The fixtures: the export, the reference, and the golden inputs and outputs of one check."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pytest

from .hooks import parity_session

if TYPE_CHECKING:
    from ..check.outputs import Outputs
    from ..graph.graph import Array
    from ..settings.spec import ParitySpec
    from .models import Bench, CheckpointSide, FrozenGraphSide


@pytest.fixture
def _tfparity_model_name(request: pytest.FixtureRequest) -> str | None:
    """The model of the manifest that a test is run for; None where the test names its files."""
    from .items import single_name

    return getattr(request, "param", None) or single_name(request.node)


@pytest.fixture
def parity_model(request: pytest.FixtureRequest, _tfparity_model_name: str | None) -> ParitySpec:
    """The check that the other fixtures follow: what the ``parity`` marker and ``tfparity.yaml`` state.

    Override it to do without a manifest; return the keywords of the marker or a ``ParitySpec``::

        @pytest.fixture
        def parity_model(trained_model):
            return {"checkpoint": trained_model / "ckpt", "frozen_graph": trained_model / "model.pb"}
    """
    from .items import keywords, line_of

    session = parity_session(request.config)
    return session.spec(
        _tfparity_model_name, keywords(request.node), request.node.path, line_of(request.node)
    )


@pytest.fixture
def _tfparity_bench(request: pytest.FixtureRequest, parity_model: ParitySpec | Mapping[str, Any]) -> Bench:
    """What the two sides of one test share."""
    from .items import WRITTEN, keywords, record, use_golden

    session = parity_session(request.config)
    spec = session.overridden(parity_model, keywords(request.node), request.node.path)
    item = request.node
    use_golden(item, spec)
    return session.bench(
        spec,
        item.nodeid,
        record=lambda result: record(item, result),
        written=item.stash.setdefault(WRITTEN, []).append,
    )


@pytest.fixture
def frozen_graph(_tfparity_bench: Bench) -> FrozenGraphSide:
    """The export under test. ``frozen_graph.run(golden_inputs)`` gives its outputs by tensor name.

    Also ``.inputs``, ``.outputs`` (tensor names), ``.graph_def`` and ``.session``. The file is
    loaded once for all tests.
    """
    from .models import FrozenGraphSide

    return FrozenGraphSide(_tfparity_bench)


@pytest.fixture
def checkpoint_session(_tfparity_bench: Bench) -> CheckpointSide:
    """The reference: the restored checkpoint. ``checkpoint_session.run(golden_inputs)`` gives its outputs.

    Also ``.variables`` (name to restored value) and ``.session``, a ``tf.compat.v1.Session`` that
    holds the restored graph, for checks of your own.
    """
    from .models import CheckpointSide

    return CheckpointSide(_tfparity_bench)


@pytest.fixture
def reference_model(_tfparity_bench: Bench) -> CheckpointSide:
    """The reference, whatever its format: ``reference_model.run(golden_inputs)`` gives its outputs by tensor name.

    Also ``.inputs`` and ``.outputs`` (tensor names).
    """
    from .models import CheckpointSide

    return CheckpointSide(_tfparity_bench)


@pytest.fixture
def export_model(_tfparity_bench: Bench) -> FrozenGraphSide:
    """The export under test, whatever its format: ``export_model.run(golden_inputs)`` gives its outputs.

    Also ``.inputs`` and ``.outputs`` (tensor names).
    """
    from .models import FrozenGraphSide

    return FrozenGraphSide(_tfparity_bench)


@pytest.fixture
def golden_inputs(request: pytest.FixtureRequest, _tfparity_bench: Bench) -> Mapping[str, Array]:
    """The inputs to compare on: tensor name (of the reference) to a read-only array."""
    return _tfparity_bench.golden_inputs(parity_session(request.config).update)


@pytest.fixture
def golden_outputs(request: pytest.FixtureRequest, _tfparity_bench: Bench) -> Outputs:
    """The stored outputs of the reference; compare them with ``frozen_graph.run(golden_inputs)``."""
    return _tfparity_bench.golden_outputs(parity_session(request.config).update)
