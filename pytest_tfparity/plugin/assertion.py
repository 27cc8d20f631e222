"""``assert_parity``: the whole of a check, inside a test."""

from __future__ import annotations

from collections.abc import Mapping

from ..check.check import check
from ..errors import UsageError
from ..graph.graph import Array
from ..result import ParityResult
from .failure import ParityFailure
from .sides import ExportModel, GoldenInputs, ReferenceModel


def assert_parity(
    export: ExportModel,
    reference: ReferenceModel,
    golden_inputs: Mapping[str, Array] | None = None,
    *,
    atol: float | None = None,
    rtol: float | None = None,
) -> ParityResult:
    """Assert that the export matches its reference, like ``np.testing`` does for arrays.

    ``export`` and ``reference`` are what the fixtures ``export_model`` and ``reference_model`` give, or
    ``frozen_graph`` and ``checkpoint_session``.
    Both sides are first compared without running them; only what is not proven is run, on
    ``golden_inputs`` (by tensor name; default: the model's own). ``atol`` and ``rtol`` override
    the tolerance of the marker and the manifest. Raises :class:`ParityFailure`, an
    ``AssertionError``, with the whole report.
    """
    __tracebackhide__ = True
    if not isinstance(export, ExportModel) or not isinstance(reference, ReferenceModel):
        raise UsageError(
            "assert_parity takes the export and then the reference: the fixtures export_model and reference_model,"
            " or frozen_graph and checkpoint_session, in this order."
        )
    bench = export.bench
    if reference.bench.spec != bench.spec:
        raise UsageError(
            f"assert_parity was given the export of {bench.spec.name!r} and the reference of"
            f" {reference.bench.spec.name!r}. Give it both sides of one model."
        )
    spec = bench.spec.with_tolerance(atol=atol, rtol=rtol)
    own = isinstance(golden_inputs, GoldenInputs) and golden_inputs.spec == bench.spec
    inputs = None if own or golden_inputs is None else dict(golden_inputs)
    result = check(spec, bench.models, nodeid=bench.nodeid, inputs=inputs, details=bench.details)
    bench.record(result)
    if not result.passed:
        raise ParityFailure(result)
    return result
